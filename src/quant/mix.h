/* The names by which quantization is asked for: those of types, and of mixes of types. This is the one list: what the
 * library and the command line take, what they show, and which decoder files are looked for come from it. */
#ifndef QASR_QUANT_MIX_H
#define QASR_QUANT_MIX_H

#include <stdbool.h>

#include "quant/quant.h"

typedef struct quant_mix {
    const char *name;         /* "q4_k", "q4_k_m" */
    quant_type matrix;        /* matrices of attention, mlp, projections, but for the next */
    quant_type attention_out; /* o_proj, out_proj */
    quant_type embedding;
    bool is_mix; /* rows that do not fit the type's blocks become q8_0, not the type nearest in size */
} quant_mix;

/* From 8-bit codes to 4-bit ones, then the types that lose next to nothing. */
size_t quant_mix_count(void);
const quant_mix *quant_mix_at(size_t index);
/* Lower or upper case, "q6k" too; NULL if there is none. */
const quant_mix *quant_mix_find(const char *name);

#endif
