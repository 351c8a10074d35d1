/* NEON with byte matrix products (smmla: two rows by two columns, 8 bytes each): the register tile of int8 products.
 * Products of few rows still use sdot: they are bound by memory. */
#ifndef __ARM_FEATURE_MATMUL_INT8
#error "build with the i8mm flags of src/kernels/meson.build"
#endif

#include "kernels/arm/vec.h"
#include "kernels/levels.h"

enum { INT8_ROWS = 6, INT8_VECS = 2, K_STEP = 8, COLS = INT8_VECS * VL };

typedef int32x4_t vi;
static inline vf vf_from_vi(vi v) { return vcvtq_f32_s32(v); }

/* Panel: 8 elements of column 0, 8 of column 1, ..; then the next 8 of each. */
static inline __attribute__((always_inline)) void dot_block(vi acc[INT8_ROWS][INT8_VECS], const act8_block *a,
                                                            const float *b, unsigned rows, int with_min)
{
    const int8_t *w = (const int8_t *)b;
    const unsigned pairs = (rows + 1) / 2; /* the panel of activations has zeros for missing rows */
    vi sum[INT8_ROWS / 2][COLS / 2];       /* each of two rows and two columns */
#pragma GCC unroll 4
    for (unsigned p = 0; p < pairs; p++)
#pragma GCC unroll 4
        for (unsigned c = 0; c < COLS / 2; c++)
            sum[p][c] = vdupq_n_s32(0);
#pragma GCC unroll 4
    for (unsigned i = 0; i < QK; i += K_STEP, w += K_STEP * COLS) {
        int8x16_t x[INT8_ROWS / 2];
#pragma GCC unroll 4
        for (unsigned p = 0; p < pairs; p++)
            x[p] = vcombine_s8(vld1_s8(a[2 * p].q + i), vld1_s8(a[2 * p + 1].q + i));
#pragma GCC unroll 4
        for (unsigned c = 0; c < COLS / 2; c++) {
            int8x16_t wv = vld1q_s8(w + c * 2 * K_STEP);
#pragma GCC unroll 4
            for (unsigned p = 0; p < pairs; p++)
                sum[p][c] = vmmlaq_s32(sum[p][c], x[p], wv);
        }
    }
#pragma GCC unroll 4
    for (unsigned p = 0; p < pairs; p++)
#pragma GCC unroll 4
        for (unsigned v = 0; v < INT8_VECS; v++) {
            int64x2_t left = vreinterpretq_s64_s32(sum[p][2 * v]), right = vreinterpretq_s64_s32(sum[p][2 * v + 1]);
            acc[2 * p][v] = vreinterpretq_s32_s64(vtrn1q_s64(left, right));
            acc[2 * p + 1][v] = vreinterpretq_s32_s64(vtrn2q_s64(left, right));
        }
}

#include "kernels/gemm_int8.inc.h"

static void pack_b(float *q, const int8_t *rows, size_t ld, unsigned n_rows, size_t blocks, int with_min)
{
    int8_t *to = (int8_t *)q;
    for (size_t i = 0; i < blocks * QK; i += K_STEP)
        for (unsigned c = 0; c < COLS; c++, to += K_STEP) {
            if (c < n_rows)
                memcpy(to, rows + c * ld + i, K_STEP);
            else
                memset(to, 0, K_STEP);
        }
}

void kernels_fill_i8mm(kernels *k)
{
    k->gemm_int8 =
        (gemm_int8_kernels){ .mr = INT8_ROWS, .nr = INT8_COLS, .bits = 8, .tile = int8_tile, .pack_b = pack_b };
}
