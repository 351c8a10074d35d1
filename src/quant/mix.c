/* See mix.h. */
#include "quant/mix.h"

#include "base/error.h"

#define TYPE(name, type)                                                                                               \
    {                                                                                                                  \
        name, type, type, type, false                                                                                  \
    }

static const quant_mix mixes[] = {
    TYPE("q8_0", QUANT_Q8_0),
    TYPE("q6_k", QUANT_Q6_K),
    { "q5_k_m", QUANT_Q5_K, QUANT_Q8_0, QUANT_Q6_K, true },
    TYPE("q5_k", QUANT_Q5_K),
    TYPE("q5_1", QUANT_Q5_1),
    TYPE("q5_0", QUANT_Q5_0),
    { "q4_k_m", QUANT_Q4_K, QUANT_Q8_0, QUANT_Q6_K, true },
    TYPE("q4_k", QUANT_Q4_K),
    TYPE("q4_1", QUANT_Q4_1),
    TYPE("q4_0", QUANT_Q4_0),
    TYPE("iq4_nl", QUANT_IQ4_NL),
    TYPE("bf16", QUANT_BF16),
    TYPE("f16", QUANT_F16),
};

size_t quant_mix_count(void) { return ARRAY_LEN(mixes); }
const quant_mix *quant_mix_at(size_t index) { return &mixes[index]; }

const quant_mix *quant_mix_find(const char *name)
{
    int type = quant_from_name(name);
    for (size_t i = 0; i < ARRAY_LEN(mixes); i++)
        if (mixes[i].is_mix ? quant_same_name(name, mixes[i].name) : type == (int)mixes[i].matrix)
            return &mixes[i];
    return NULL;
}
