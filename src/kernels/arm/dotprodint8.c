/* NEON with dot products of signed bytes: the register tile of int8 products. Registers hold 12 vectors of integers, 12
 * of float sums, two of weights, and the activations of a step. */
#ifndef __ARM_FEATURE_DOTPROD
#error "build with the dot product flags of src/kernels/meson.build"
#endif

#include "kernels/arm/vec.h"
#include "kernels/levels.h"

enum { INT8_ROWS = 6, INT8_VECS = 2 };

typedef int32x4_t vi;
static inline vf vf_from_vi(vi v) { return vcvtq_f32_s32(v); }

static inline __attribute__((always_inline)) void dot_block(vi acc[INT8_ROWS][INT8_VECS], const act8_block *a,
                                                            const float *b, unsigned rows, int with_min)
{
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < INT8_VECS; v++)
            acc[r][v] = vdupq_n_s32(0);
#pragma GCC unroll 8
    for (unsigned i = 0; i < QK; i += 4, b += INT8_VECS * VL) {
        int8x16_t bv[INT8_VECS];
#pragma GCC unroll 8
        for (unsigned v = 0; v < INT8_VECS; v++)
            bv[v] = vreinterpretq_s8_f32(vf_load(b + v * VL));
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++) {
            int8x16_t x = vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)(a[r].q + i)));
#pragma GCC unroll 8
            for (unsigned v = 0; v < INT8_VECS; v++)
                acc[r][v] = vdotq_s32(acc[r][v], bv[v], x);
        }
    }
}

#include "kernels/gemm_int8.inc.h"
#include "kernels/pack.inc.h"

static void pack_b(float *q, const int8_t *rows, size_t ld, unsigned n_rows, size_t blocks, int with_min)
{
    gemm_pack(q, INT8_COLS, (const float *)(const void *)rows, ld / 4, n_rows, blocks * (QK / 4));
}

void kernels_fill_dotprodint8(kernels *k)
{
    k->gemm_int8 =
        (gemm_int8_kernels){ .mr = INT8_ROWS, .nr = INT8_COLS, .bits = 8, .tile = int8_tile, .pack_b = pack_b };
}
