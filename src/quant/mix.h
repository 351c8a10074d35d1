/* The names of types and of mixes of types that a model can be quantized to. This is the only list: the library and the
 * command line accept and show these names, and look for decoder files with them. */
#ifndef QASR_QUANT_MIX_H
#define QASR_QUANT_MIX_H

#include <stdbool.h>

#include "quant/quant.h"

typedef struct quant_mix {
    const char *name;         /* "q4_k", "q4_k_m" */
    quant_type matrix;        /* attention, MLP and projections, except attention_out */
    quant_type attention_out; /* o_proj, out_proj */
    quant_type embedding;
    bool is_mix; /* rows that are not whole blocks of the type become q8_0, not the type nearest in size */
} quant_mix;

/* From 8 to 4 bits, then the nearly lossless types. */
size_t quant_mix_count(void);
const quant_mix *quant_mix_at(size_t index);
/* Ignores case and knows aliases ("q6k"); NULL if there is no such name. */
const quant_mix *quant_mix_find(const char *name);

#endif
