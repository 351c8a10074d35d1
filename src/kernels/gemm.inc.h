/* The register tile of matrix products, and the packing of its panels; attention uses the same tile.
 * Included by the file of a level after its vec.h, with
 *   TILE_ROWS           rows of a full tile
 *   TILE_VECS           columns of a full tile, in vectors
 *   TILE_MADD(x, b, c)  one step: c + x b of cells; default: float32 */

#include "kernels/pack.inc.h"

#ifndef TILE_MADD
#define TILE_MADD(x, b, c) vf_fma(x, b, c)
#endif

enum { TILE_COLS = TILE_VECS * VL };

/* acc[r][v] += sum over i < k of a[r * a_row + i * a_col] * b[i * ldb + v * VL ..], i from 0 upwards.
 * rows and vecs are constants at the call, so everything unrolls and acc stays in registers. */
static inline __attribute__((always_inline)) void tile_run(vf acc[TILE_ROWS][TILE_VECS], const float *a, size_t a_row,
                                                           size_t a_col, const float *b, size_t ldb, size_t k,
                                                           unsigned rows, unsigned vecs)
{
    for (size_t i = 0; i < k; i++, a += a_col, b += ldb) {
        vf bv[TILE_VECS];
#pragma GCC unroll 8
        for (unsigned v = 0; v < vecs; v++)
            bv[v] = vf_load(b + v * VL);
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++) {
            vf x = vf_set1(a[r * a_row]);
#pragma GCC unroll 8
            for (unsigned v = 0; v < vecs; v++)
                acc[r][v] = TILE_MADD(x, bv[v], acc[r][v]);
        }
    }
}

static inline size_t lanes_of(unsigned n, unsigned v) /* lanes of vector v among n columns */
{
    return n <= v * VL ? 0 : n - v * VL < VL ? n - v * VL : VL;
}

static inline __attribute__((always_inline)) void tile_rows(float *c, size_t ldc, const float *a, const float *b,
                                                            size_t k, unsigned n, int accumulate, unsigned rows)
{
    vf acc[TILE_ROWS][TILE_VECS];
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < TILE_VECS; v++)
            acc[r][v] = accumulate ? vf_load_part(c + r * ldc + v * VL, lanes_of(n, v)) : vf_zero();
    tile_run(acc, a, 1, TILE_ROWS, b, TILE_COLS, k, rows, TILE_VECS);
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < TILE_VECS; v++)
            vf_store_part(c + r * ldc + v * VL, acc[r][v], lanes_of(n, v));
}

static void gemm_tile(float *c, size_t ldc, const float *a, const float *b, size_t k, unsigned m, unsigned n,
                      int accumulate)
{
    _Static_assert(TILE_ROWS == 6, "one case per number of rows");
    switch (m) {
    case 6: tile_rows(c, ldc, a, b, k, n, accumulate, 6); break;
    case 5: tile_rows(c, ldc, a, b, k, n, accumulate, 5); break;
    case 4: tile_rows(c, ldc, a, b, k, n, accumulate, 4); break;
    case 3: tile_rows(c, ldc, a, b, k, n, accumulate, 3); break;
    case 2: tile_rows(c, ldc, a, b, k, n, accumulate, 2); break;
    case 1: tile_rows(c, ldc, a, b, k, n, accumulate, 1); break;
    default: break;
    }
}

static void gemm_pack_a(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps)
{
    gemm_pack(panel, TILE_ROWS, rows, ld, n_rows, steps);
}

static void gemm_pack_b(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps)
{
    gemm_pack(panel, TILE_COLS, rows, ld, n_rows, steps);
}

static void gemm_fill(gemm_kernels *g)
{
    *g = (gemm_kernels){
        .mr = TILE_ROWS, .nr = TILE_COLS, .tile = gemm_tile, .pack_a = gemm_pack_a, .pack_b = gemm_pack_b
    };
}
