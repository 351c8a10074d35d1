/* int8 products with vpdpbusd: weights are unsigned bytes w + 128, activations signed bytes, and sums start at -128
 * times the sum of the activations. Included by the file of a level after its vec.h, with
 *   INT8_ROWS, INT8_VECS  as in gemm_int8.inc.h
 *   vi, vi_set1, vi_load, vf_from_vi
 *   dot_bytes(acc, u, s)  vpdpbusd */

static inline __attribute__((always_inline)) void dot_block(vi acc[INT8_ROWS][INT8_VECS], const act8_block *a,
                                                            const float *b, unsigned rows, int with_min)
{
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < INT8_VECS; v++)
            acc[r][v] = vi_set1(a[r].start);
#pragma GCC unroll 8
    for (unsigned i = 0; i < QK / 4; i++, b += INT8_VECS * VL) {
        vi bv[INT8_VECS];
#pragma GCC unroll 8
        for (unsigned v = 0; v < INT8_VECS; v++)
            bv[v] = vi_load(b + v * VL);
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, a[r].q + 4 * i, sizeof four);
            vi x = vi_set1(four);
#pragma GCC unroll 8
            for (unsigned v = 0; v < INT8_VECS; v++)
                acc[r][v] = dot_bytes(acc[r][v], bv[v], x);
        }
    }
}

#include "kernels/gemm_int8.inc.h"
#include "kernels/x86/int8_pack.inc.h"

static void int8_pack_b(float *q, const int8_t *rows, size_t ld, unsigned n_rows, size_t blocks, int with_min)
{
    pack_bytes(q, rows, ld, n_rows, blocks, 128);
}

static void gemm_int8_fill(gemm_int8_kernels *g)
{
    *g = (gemm_int8_kernels){ .mr = INT8_ROWS, .nr = INT8_COLS, .bits = 8, .tile = int8_tile, .pack_b = int8_pack_b };
}
