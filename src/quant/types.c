/* The type table: names, ids, block sizes and conversions of the types of stored tensors. */
#include "quant/formats.h"

#include <assert.h>

#include "base/error.h"

#define FUNCTIONS(type) type##_quantize, type##_dequantize, type##_quantize_weighted, type##_put
#define BLOCK(type, largest) sizeof(block_##type), (largest), FUNCTIONS(type), type##_refit

/* The searches of q6_k, q4_k, q5_k and iq4_nl fit scales to the weights, so the stored numbers may be a little beyond
 * those that the range needs: their limits are powers of two about half as large as the formats'. */
static const quant_info types[QUANT_TYPE_COUNT] = {
    [QUANT_F32] = { "f32", 0, 0, 1, 4, FLT_MAX, FUNCTIONS(f32), NULL },
    [QUANT_F16] = { "f16", 1, 1, 1, 2, HALF_MAX, FUNCTIONS(f16), NULL },
    [QUANT_BF16] = { "bf16", 30, 32, 1, 2, BF16_MAX, FUNCTIONS(bf16), NULL },
    [QUANT_Q8_0] = { "q8_0", 8, 7, QK, BLOCK(q8_0, 127 * HALF_MAX) },
    [QUANT_Q4_0] = { "q4_0", 2, 2, QK, BLOCK(q4_0, 8 * HALF_MAX) },
    [QUANT_Q4_1] = { "q4_1", 3, 3, QK, BLOCK(q4_1, HALF_MAX) },
    [QUANT_Q5_0] = { "q5_0", 6, 8, QK, BLOCK(q5_0, 16 * HALF_MAX) },
    [QUANT_Q5_1] = { "q5_1", 7, 9, QK, BLOCK(q5_1, HALF_MAX) },
    [QUANT_Q6_K] = { "q6_k", 14, 18, QK_K, BLOCK(q6_k, 0x1p27f) },
    /* general.file_type has Q4_K and Q5_K only as mixes; these are the "medium" ones. */
    [QUANT_Q4_K] = { "q4_k", 12, 15, QK_K, BLOCK(q4_k, 0x1p21f) },
    [QUANT_Q5_K] = { "q5_k", 13, 17, QK_K, BLOCK(q5_k, 0x1p21f) },
    [QUANT_IQ4_NL] = { "iq4_nl", 20, 25, QK, BLOCK(iq4_nl, 0x1p22f) },
};

/* Every type id that GGUF files may contain. The missing ones were assigned once and withdrawn. */
static const char *const ggml_names[] = {
    [0] = "f32",     [1] = "f16",    [2] = "q4_0",     [3] = "q4_1",    [6] = "q5_0",     [7] = "q5_1",
    [8] = "q8_0",    [9] = "q8_1",   [10] = "q2_k",    [11] = "q3_k",   [12] = "q4_k",    [13] = "q5_k",
    [14] = "q6_k",   [15] = "q8_k",  [16] = "iq2_xxs", [17] = "iq2_xs", [18] = "iq3_xxs", [19] = "iq1_s",
    [20] = "iq4_nl", [21] = "iq3_s", [22] = "iq2_s",   [23] = "iq4_xs", [24] = "i8",      [25] = "i16",
    [26] = "i32",    [27] = "i64",   [28] = "f64",     [29] = "iq1_m",  [30] = "bf16",    [34] = "tq1_0",
    [35] = "tq2_0",  [39] = "mxfp4", [40] = "nvfp4",   [41] = "q1_0",
};

const quant_info *quant_get(quant_type type)
{
    assert((unsigned)type < QUANT_TYPE_COUNT);
    return &types[type];
}

int quant_same_name(const char *a, const char *b)
{
    for (;; a++, b++) {
        const int ca = *a >= 'A' && *a <= 'Z' ? *a - 'A' + 'a' : *a;
        if (ca != *b)
            return 0;
        if (ca == 0)
            return 1;
    }
}

const char *quant_alias(quant_type type)
{
    static const char *const aliases[QUANT_TYPE_COUNT] = {
        [QUANT_Q4_K] = "q4k",
        [QUANT_Q5_K] = "q5k",
        [QUANT_Q6_K] = "q6k",
    };
    return aliases[type];
}

int quant_from_name(const char *name)
{
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const char *alias = quant_alias((quant_type)t);
        if (quant_same_name(name, types[t].name) || (alias && quant_same_name(name, alias)))
            return t;
    }
    return -1;
}

int quant_from_ggml_id(uint32_t id)
{
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        if (types[t].ggml_id == id)
            return t;
    return -1;
}

const char *quant_ggml_name(uint32_t id) { return id < ARRAY_LEN(ggml_names) ? ggml_names[id] : NULL; }
