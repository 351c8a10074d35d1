/* AVX-512 VNNI: the register tile of int8 products. 12 vectors of integers, 12 of float sums, two of weights and one of
 * activations stay in registers. Per block, row and vector, 10 instructions use the multipliers (Zen 4): 8 vpdpbusd,
 * one for the scale of the weights, one for that of the activations. Tiles of 6 x 64 with float sums in L1 are 5 %
 * slower; other shapes in registers (4 x 48, 8 x 32) are as fast. */
#ifndef __AVX512VNNI__
#error "build with the AVX-512 VNNI flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

enum { INT8_ROWS = 6, INT8_VECS = 2 };

typedef __m512i vi;
static inline vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline vi vi_load(const float *p) { return _mm512_loadu_si512(p); }
static inline vf vf_from_vi(vi v) { return _mm512_cvtepi32_ps(v); }

/* Inline assembly: gcc 12 copies accumulators around the intrinsic. */
static inline vi dot_bytes(vi acc, vi u, vi s)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(u), "v"(s));
    return acc;
}

#include "kernels/x86/int8_vnni.inc.h"

void kernels_fill_avx512int8(kernels *k) { gemm_int8_fill(&k->gemm_int8); }
