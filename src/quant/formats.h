/* What the files of this folder share: the entries of the type table and rounding.
 *
 * All quantizers work in float32, one operation at a time, in the order written, with products from left to
 * right; this is what makes their bytes the same on every machine and compiler. So: no fused multiply-add, no
 * -ffast-math, and where loops are vectorised, one lane is one whole group of the scalar rule.
 *
 * Preconditions of every quantizer, the caller's business: inputs are finite (a NaN or an infinity gives some
 * block, never an error) and moderate: up to 500000 is safe in all block formats, beyond that the scale of a
 * block may be stored as infinity. Subnormals must not be flushed to zero. */
#ifndef QASR_QUANT_FORMATS_H
#define QASR_QUANT_FORMATS_H

#include <float.h>
#include <math.h>

#include "quant/quant.h"

#if FLT_EVAL_METHOD != 0 || defined(__FAST_MATH__)
#error "the block formats need float arithmetic that rounds after every operation"
#endif

void f32_quantize(void *out, const float *x, size_t n);
void f32_dequantize(float *out, const void *blocks, size_t n);
void f16_quantize(void *out, const float *x, size_t n);
void f16_dequantize(float *out, const void *blocks, size_t n);
void bf16_quantize(void *out, const float *x, size_t n);
void bf16_dequantize(float *out, const void *blocks, size_t n);
void q8_0_quantize(void *out, const float *x, size_t n);
void q8_0_dequantize(float *out, const void *blocks, size_t n);
void q4_0_quantize(void *out, const float *x, size_t n);
void q4_0_dequantize(float *out, const void *blocks, size_t n);
void q4_1_dequantize(float *out, const void *blocks, size_t n);
void q5_0_quantize(void *out, const float *x, size_t n);
void q5_0_dequantize(float *out, const void *blocks, size_t n);
void q5_1_dequantize(float *out, const void *blocks, size_t n);
void q4_k_quantize(void *out, const float *x, size_t n);
void q4_k_dequantize(float *out, const void *blocks, size_t n);
void q5_k_quantize(void *out, const float *x, size_t n);
void q5_k_dequantize(float *out, const void *blocks, size_t n);
void q6_k_quantize(void *out, const float *x, size_t n);
void q6_k_dequantize(float *out, const void *blocks, size_t n);

/* 1.5 * 2^23: adding it leaves a float whose low mantissa bits are the nearest integer, ties to even. */
#define ROUND_MAGIC 12582912.0f

/* Nearest integer, ties to even, for |v| < 2^22. For anything else still defined: the same mantissa bits as
 * the reference takes. */
static inline int32_t round_even(float v)
{
    const float t = v + ROUND_MAGIC;
    uint32_t u;
    memcpy(&u, &t, sizeof u);
    return (int32_t)(u & 0x7fffff) - 0x400000;
}

/* The value of the largest magnitude with its sign, the first one of equals; 0 for an all-zero block. */
static inline float block_extreme(const float x[QK])
{
    float largest = 0, extreme = 0;
    for (int i = 0; i < QK; i++) {
        const float a = fabsf(x[i]);
        extreme = a > largest ? x[i] : extreme;
        largest = a > largest ? a : largest;
    }
    return extreme;
}

/* 1/d for a scale, 0 for none. */
static inline float block_inverse(float d)
{
    return d != 0 ? 1 / d : 0;
}

static inline int32_t clamp_int(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

#endif
