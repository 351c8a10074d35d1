/* The interface between dispatch.c and the files of the levels: each function overrides the kernels in k that its level
 * improves. */
#ifndef QASR_KERNELS_LEVELS_H
#define QASR_KERNELS_LEVELS_H

#include "kernels/kernels.h"

void kernels_fill_scalar(kernels *k);
void kernels_fill_avx2(kernels *k);
void kernels_fill_avx2int8(kernels *k); /* part of the level above */
void kernels_fill_avxvnni(kernels *k);
void kernels_fill_avxvnni_evex(kernels *k); /* only in tests: see avxvnni.c */
void kernels_fill_avx512(kernels *k);
void kernels_fill_avx512vnni(kernels *k);
void kernels_fill_avx512bf16(kernels *k); /* parts of the level above */
void kernels_fill_avx512int8(kernels *k);
void kernels_fill_amx(kernels *k);
/* pack_b for panels of 32 rows, with AVX-512 */
void kernels_pack_b_32(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps);

void kernels_fill_neon(kernels *k);
void kernels_fill_dotprod(kernels *k);
void kernels_fill_dotprodint8(kernels *k); /* part of the level above */
void kernels_fill_i8mm(kernels *k);

#endif
