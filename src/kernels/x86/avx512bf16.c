/* AVX-512 BF16: the register tile on pairs of bfloat16 (vdpbf16ps: two products and their sum a lane), twice the
 * rate of float32, and the conversion of rows. */
#ifndef __AVX512BF16__
#error "build with the AVX-512 VNNI flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

enum { TILE_ROWS = 6, TILE_VECS = 4, TILE_COLS = TILE_VECS * VL };

static inline vf dot_pairs(vf acc, vf a, vf b)
{
    return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
}

static inline size_t lanes_of(unsigned n, unsigned v) /* lanes of vector v among n columns */
{
    return n <= v * VL ? 0 : n - v * VL < VL ? n - v * VL : VL;
}

/* rows is a constant where it is called: everything unrolls and acc stays in registers. */
static inline __attribute__((always_inline)) void tile_rows(float *c, size_t ldc, const float *a, const float *b,
                                                            size_t steps, unsigned n, int accumulate, unsigned rows)
{
    vf acc[TILE_ROWS][TILE_VECS];
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < TILE_VECS; v++)
            acc[r][v] = accumulate ? vf_load_part(c + r * ldc + v * VL, lanes_of(n, v)) : vf_zero();
    for (size_t i = 0; i < steps; i++, a += TILE_ROWS, b += TILE_COLS) {
        vf bv[TILE_VECS];
#pragma GCC unroll 8
        for (unsigned v = 0; v < TILE_VECS; v++)
            bv[v] = vf_load(b + v * VL);
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++) {
            vf x = vf_set1(a[r]);
#pragma GCC unroll 8
            for (unsigned v = 0; v < TILE_VECS; v++)
                acc[r][v] = dot_pairs(acc[r][v], x, bv[v]);
        }
    }
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < TILE_VECS; v++)
            vf_store_part(c + r * ldc + v * VL, acc[r][v], lanes_of(n, v));
}

static void tile_bf16(float *c, size_t ldc, const float *a, const float *b, size_t steps, unsigned m, unsigned n,
                      int accumulate)
{
    switch (m) {
    case 6: tile_rows(c, ldc, a, b, steps, n, accumulate, 6); break;
    case 5: tile_rows(c, ldc, a, b, steps, n, accumulate, 5); break;
    case 4: tile_rows(c, ldc, a, b, steps, n, accumulate, 4); break;
    case 3: tile_rows(c, ldc, a, b, steps, n, accumulate, 3); break;
    case 2: tile_rows(c, ldc, a, b, steps, n, accumulate, 2); break;
    case 1: tile_rows(c, ldc, a, b, steps, n, accumulate, 1); break;
    default: break;
    }
}

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

void kernels_fill_avx512bf16(kernels *k)
{
    _Static_assert((int)TILE_ROWS == 6, "one case per number of rows");
    k->gemm.tile_bf16 = tile_bf16; /* panels of the same width as the float32 tile's */
    k->bf16_from_f32 = bf16_from_f32_row;
}
