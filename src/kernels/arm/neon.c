/* NEON, which every 64-bit ARM processor has: the templates with vectors of 4 floats, and kernels for quantized blocks
 * without byte products: dequantization, quantization of activations, and products of 16-bit integers. */
#ifndef __ARM_NEON
#error "build with the NEON flags of src/kernels/meson.build"
#endif

#include "kernels/arm/vec.h"
#include "kernels/levels.h"

#include "kernels/exp.inc.h"
#include "kernels/rows.inc.h"
#include "kernels/screen.inc.h"

/* 24 accumulators, 4 vectors of b and one value of a: 29 of 32 registers */
enum { TILE_ROWS = 6, TILE_VECS = 4 };
#include "kernels/gemm.inc.h"

#include "kernels/attention.inc.h"

enum { GEMV_FLOAT_ROWS = 4 };
#include "kernels/dequantize_float.inc.h"
#include "kernels/gemv_float.inc.h"

#include "kernels/arm/blocks_neon.h"

/* ---- activations to fixed point ---- */

static void quantize_act_block(act_block *out, const float *x)
{
    vf f[8], max = vf_zero();
    for (size_t i = 0; i < 8; i++) {
        f[i] = vf_load(x + i * VL);
        max = vf_max(vf_abs(f[i]), max);
    }
    float top = vf_hmax(max);
    if (!(top >= ACT_MIN)) {
        *out = (act_block){ 0 };
        return;
    }
    vf inverse = vf_set1(ACT_MAX / top);
    out->d = top / ACT_MAX;
    for (size_t h = 0; h < 2; h++) {
        int16x8_t v[2];
        int8x8_t hi[2];
        for (size_t i = 0; i < 2; i++) {
            const vf *from = f + 4 * h + 2 * i;
            v[i] = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(from[0] * inverse)),
                                vqmovn_s32(vcvtnq_s32_f32(from[1] * inverse)));
            hi[i] = vshrn_n_s16(vaddq_s16(v[i], vdupq_n_s16(128)), 8); /* v + 128 <= 32767 */
        }
        vst1q_s8(out->hi + 16 * h, vcombine_s8(hi[0], hi[1]));
        vst1q_s8(out->lo + 16 * h, vcombine_s8(vmovn_s16(v[0]), vmovn_s16(v[1]))); /* v - 256 hi, modulo 256 */
        out->sum[h] = vaddlvq_s16(v[0]) + vaddlvq_s16(v[1]);
    }
}

static void quantize_act(void *out, const float *x, size_t n)
{
    act_block *block = out;
    for (size_t i = 0; i < n; i += QK)
        quantize_act_block(block++, x + i);
}

/* ---- activations to bytes ---- */

static void quantize_act8_block(act8_block *out, const float *x)
{
    vf f[8], max = vf_zero();
    for (size_t i = 0; i < 8; i++) {
        f[i] = vf_load(x + i * VL);
        max = vf_max(vf_abs(f[i]), max);
    }
    float top = vf_hmax(max);
    *out = (act8_block){ 0 };
    if (!(top >= ACT_MIN))
        return;
    vf inverse = vf_set1(127.0f / top);
    int32_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        int16x8_t v = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(f[2 * i] * inverse)),
                                   vqmovn_s32(vcvtnq_s32_f32(f[2 * i + 1] * inverse)));
        vst1_s8(out->q + 8 * i, vmovn_s16(v));
        sum += vaddvq_s16(v);
    }
    out->d = top / 127.0f;
    out->d_sum = out->d * (float)sum;
    out->start = -128 * sum;
}

static void quantize_act8(act8_block *out, size_t stride, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += QK, out += stride)
        quantize_act8_block(out, x + i);
}

/* ---- dequantization ---- */

static inline void widen(vf out[4], int8x16_t q)
{
    int16x8_t low = vmovl_s8(vget_low_s8(q)), high = vmovl_s8(vget_high_s8(q));
    out[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(low)));
    out[1] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(low)));
    out[2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(high)));
    out[3] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)));
}

/* Same operations and order as the scalar reference, without contraction: bit-exact. */
static inline __attribute__((always_inline)) void
dequantize(float *out, const uint8_t *blocks, size_t n, unpack_fn unpack, unsigned bytes, unsigned parts, int has_min)
{
    for (size_t i = 0; i < n; i += parts * QK, blocks += bytes) {
#pragma GCC unroll 8
        for (unsigned part = 0; part < parts; part++, out += QK) {
            unpacked u = unpack(blocks, part);
            vf v[8];
            widen(v, u.q[0]);
            widen(v + 4, u.q[1]);
            for (size_t j = 0; j < 8; j++) {
                vf value = v[j] * vf_set1(u.scale[j / 4]);
                if (has_min)
                    value += vf_set1(u.min);
                vf_store(out + j * VL, value);
            }
        }
    }
}

#define DEQUANTIZE(type, parts, has_min)                                                                               \
    static void dequantize_##type(float *out, const void *blocks, size_t n)                                            \
    {                                                                                                                  \
        dequantize(out, blocks, n, unpack_##type, sizeof(block_##type), parts, has_min);                               \
    }
DEQUANTIZE(q8_0, 1, 0)
DEQUANTIZE(q4_0, 1, 0)
DEQUANTIZE(q4_1, 1, 1)
DEQUANTIZE(q5_0, 1, 0)
DEQUANTIZE(q5_1, 1, 1)
DEQUANTIZE(q6_k, 8, 0)
DEQUANTIZE(q4_k, 8, 1)
DEQUANTIZE(q5_k, 8, 1)
DEQUANTIZE(iq4_nl, 1, 0)

static inline __attribute__((always_inline)) void unpack_int8(int8_t *q, float *scale, float *min, size_t stride,
                                                              const uint8_t *blocks, size_t n, unpack_fn unpack,
                                                              unsigned bytes, unsigned parts, int has_min)
{
    for (size_t i = 0; i < n; i += parts * QK, blocks += bytes) {
#pragma GCC unroll 8
        for (unsigned part = 0; part < parts; part++, q += QK, scale += stride) {
            unpacked u = unpack(blocks, part);
            vst1q_s8(q, u.q[0]);
            vst1q_s8(q + 16, u.q[1]);
            *scale = u.scale[0];
            if (has_min) {
                *min = u.min;
                min += stride;
            }
        }
    }
}

#define UNPACK_INT8(type, parts, has_min)                                                                              \
    static void unpack_int8_##type(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)   \
    {                                                                                                                  \
        unpack_int8(q, scale, min, stride, blocks, n, unpack_##type, sizeof(block_##type), parts, has_min);            \
    }
UNPACK_INT8(q8_0, 1, 0)
UNPACK_INT8(q4_0, 1, 0)
UNPACK_INT8(q4_1, 1, 1)
UNPACK_INT8(q5_0, 1, 0)
UNPACK_INT8(q5_1, 1, 1)
UNPACK_INT8(q4_k, 8, 1)
UNPACK_INT8(q5_k, 8, 1)
UNPACK_INT8(iq4_nl, 1, 0)

/* ---- products with quantized rows ---- */

typedef struct loaded_act {
    int16x8_t v[4]; /* the 32 integers, 16 bits each */
    float d, d_sum;
} loaded_act;

static inline loaded_act act_load(const act_block *x)
{
    loaded_act a;
    for (int i = 0; i < 4; i++) {
        int16x8_t hi = vshll_n_s8(vld1_s8(x->hi + 8 * i), 8);
        a.v[i] = vaddw_s8(hi, vld1_s8(x->lo + 8 * i));
    }
    a.d = x->d;
    a.d_sum = x->d * (float)(x->sum[0] + x->sum[1]);
    return a;
}

/* Four products per lane. */
static inline int32x4_t dot_16(int8x16_t w, const int16x8_t v[2])
{
    int16x8_t low = vmovl_s8(vget_low_s8(w)), high = vmovl_s8(vget_high_s8(w));
    int32x4_t sum = vmull_s16(vget_low_s16(low), vget_low_s16(v[0]));
    sum = vmlal_high_s16(sum, low, v[0]);
    sum = vmlal_s16(sum, vget_low_s16(high), vget_low_s16(v[1]));
    return vmlal_high_s16(sum, high, v[1]);
}

/* A lane sums 4 or 8 products of 8 and 16 bits, below 2^25: no overflow, and the conversion to float rounds at most
 * once. */
static inline __attribute__((always_inline)) vf dot_act(vf acc, const unpacked *w, const loaded_act *x, int two_scales)
{
    int32x4_t p0 = dot_16(w->q[0], x->v), p1 = dot_16(w->q[1], x->v + 2);
    if (two_scales) {
        acc = vf_fma(vcvtq_f32_s32(p0), vf_set1(w->scale[0] * x->d), acc);
        return vf_fma(vcvtq_f32_s32(p1), vf_set1(w->scale[1] * x->d), acc);
    }
    return vf_fma(vcvtq_f32_s32(vaddq_s32(p0, p1)), vf_set1(w->scale[0] * x->d), acc);
}

enum { GEMV_ROWS = 4 };
#include "kernels/gemv_blocks.inc.h"

void kernels_fill_neon(kernels *k)
{
    rows_fill(k);
    gemm_fill(&k->gemm);
    gemv_float_fill(k);
    dequantize_float_fill(k);
    gemv_blocks_fill(k);
    k->attention = attention;
    k->screen_row = screen_row;
    k->attention_step = attention_step;
    k->quantize_act = quantize_act;
    k->quantize_act8 = quantize_act8;
    k->unpack_int8[QUANT_Q8_0] = unpack_int8_q8_0;
    k->unpack_int8[QUANT_Q4_0] = unpack_int8_q4_0;
    k->unpack_int8[QUANT_Q4_1] = unpack_int8_q4_1;
    k->unpack_int8[QUANT_Q5_0] = unpack_int8_q5_0;
    k->unpack_int8[QUANT_Q5_1] = unpack_int8_q5_1;
    k->unpack_int8[QUANT_Q4_K] = unpack_int8_q4_k;
    k->unpack_int8[QUANT_Q5_K] = unpack_int8_q5_k;
    k->unpack_int8[QUANT_IQ4_NL] = unpack_int8_iq4_nl;
    k->dequantize[QUANT_Q8_0] = dequantize_q8_0;
    k->dequantize[QUANT_Q4_0] = dequantize_q4_0;
    k->dequantize[QUANT_Q4_1] = dequantize_q4_1;
    k->dequantize[QUANT_Q5_0] = dequantize_q5_0;
    k->dequantize[QUANT_Q5_1] = dequantize_q5_1;
    k->dequantize[QUANT_Q6_K] = dequantize_q6_k;
    k->dequantize[QUANT_Q4_K] = dequantize_q4_k;
    k->dequantize[QUANT_Q5_K] = dequantize_q5_k;
    k->dequantize[QUANT_IQ4_NL] = dequantize_iq4_nl;
}
