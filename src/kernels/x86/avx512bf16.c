/* AVX-512 BF16: the register tile on pairs of bfloat16 (vdpbf16ps: two products and their sum per lane), twice as fast
 * as float32 on processors with a dedicated unit, and the conversion of rows. */
#ifndef __AVX512BF16__
#error "build with the AVX-512 VNNI flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

static inline vf dot_pairs(vf x, vf b, vf c) { return _mm512_dpbf16_ps(c, (__m512bh)x, (__m512bh)b); }

enum { TILE_ROWS = 6, TILE_VECS = 4 };
#define TILE_MADD(x, b, c) dot_pairs(x, b, c)
#include "kernels/gemm.inc.h"

static void bf16_from_f32_row(uint16_t *out, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL)
        _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(vf_load(x + i + VL), vf_load(x + i)));
    for (; i < n; i += VL) {
        size_t part = n - i < VL ? n - i : VL;
        _mm256_mask_storeu_epi16(out + i, first_lanes(part), (__m256i)_mm512_cvtneps_pbh(vf_load_part(x + i, part)));
    }
}

void kernels_pack_b_32(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps)
{
    gemm_pack(panel, 32, rows, ld, n_rows, steps);
}

void kernels_fill_avx512bf16(kernels *k)
{
    k->bf16_from_f32 = bf16_from_f32_row;
    if (cpu_has_fast_bf16())
        gemm_fill(&k->gemm_bf16);
}
