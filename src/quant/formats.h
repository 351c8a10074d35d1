/* Internals shared by the files of this folder: the functions of the type table, and rounding.
 *
 * All quantizers compute in float32, one operation at a time, in the order written, with products from left to right.
 * This makes their bytes the same on every machine and compiler. So: no fused multiply-add, no -ffast-math, and in
 * vectorized loops each lane computes one whole group of the scalar rule.
 *
 * Callers of a quantizer ensure that inputs are finite and not beyond quant_info.largest (others give an arbitrary
 * block, never an error). Subnormals must not be flushed to zero. */
#ifndef QASR_QUANT_FORMATS_H
#define QASR_QUANT_FORMATS_H

#include <float.h>
#include <math.h>

#include "quant/quant.h"

/* The largest finite float16, which scales and minima are, and bfloat16. */
#define HALF_MAX 65504.0f
#define BF16_MAX 0x1.fep127f

#if FLT_EVAL_METHOD != 0 || defined(__FAST_MATH__)
#error "the block formats need float arithmetic that rounds after every operation"
#endif

/* Functions of a type table entry. */
#define FORMAT(type)                                                                                                   \
    void type##_quantize(void *out, const float *x, size_t n);                                                         \
    void type##_dequantize(float *out, const void *blocks, size_t n);                                                  \
    void type##_quantize_weighted(void *out, const float *x, const float *importance, size_t n);                       \
    float type##_put(void *block, unsigned i, float x)
#define BLOCK_FORMAT(type)                                                                                             \
    FORMAT(type);                                                                                                      \
    void type##_refit(void *block, const float *x, const float *importance)
FORMAT(f32);
FORMAT(f16);
FORMAT(bf16);
BLOCK_FORMAT(q8_0);
BLOCK_FORMAT(q4_0);
BLOCK_FORMAT(q4_1);
BLOCK_FORMAT(q5_0);
BLOCK_FORMAT(q5_1);
BLOCK_FORMAT(q6_k);
BLOCK_FORMAT(q4_k);
BLOCK_FORMAT(q5_k);
BLOCK_FORMAT(iq4_nl);
#undef FORMAT
#undef BLOCK_FORMAT

/* 1.5 * 2^23: adding it leaves a float whose low mantissa bits are the nearest integer, ties to even. */
#define ROUND_MAGIC 12582912.0f

/* Nearest integer, ties to even, for |v| < 2^22. Other values give a defined result too: the same mantissa bits as in
 * the reference. */
static inline int32_t round_even(float v)
{
    const float t = v + ROUND_MAGIC;
    uint32_t u;
    memcpy(&u, &t, sizeof u);
    return (int32_t)(u & 0x7fffff) - 0x400000;
}

/* The value of largest magnitude with its sign, the first one on ties; 0 for an all-zero block. */
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

/* 1 / d, or 0 if d is 0. */
static inline float block_inverse(float d) { return d != 0 ? 1 / d : 0; }

static inline int32_t clamp_int(int32_t v, int32_t low, int32_t high) { return v < low ? low : v > high ? high : v; }

/* The rule of Q4_1 and Q5_1: quants 0 .. q_max span the smallest to the largest value. If the range is so small that
 * the inverse scale overflows, all quants are 0; the reference's result for infinity depends on the machine. */
static inline void block_line(uint8_t q[QK], float *d, float *low, const float x[QK], int q_max)
{
    float least = x[0], largest = x[0];
    for (int i = 1; i < QK; i++) {
        least = x[i] < least ? x[i] : least;
        largest = x[i] > largest ? x[i] : largest;
    }
    *low = least;
    *d = (largest - least) / (float)q_max;
    const float inverse = block_inverse(*d);
    for (int i = 0; i < QK; i++)
        q[i] = isinf(inverse) ? 0 : (uint8_t)clamp_int((int32_t)((x[i] - least) * inverse + 0.5f), 0, q_max);
}

/* The code in low .. high whose value, code * scale + offset in float32, is nearest to x. */
static inline int nearest_code(float x, float scale, float offset, int low, int high)
{
    if (scale == 0)
        return clamp_int(0, low, high);
    const double t = ((double)x - offset) / scale;
    const int c = (int)((t > low ? t < high ? t : high : low) - low + 0.5) + low;
    const int other = t > c ? c + 1 : c - 1; /* values are rounded, so the code on the other side of t may be nearer */
    if (other < low || other > high)
        return c;
    const float v = (float)c * scale + offset, v_other = (float)other * scale + offset;
    return fabs((double)v_other - x) < fabs((double)v - x) ? other : c;
}

static inline uint16_t half_bits(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

static inline float half_at(const uint8_t *p) { return f32_from_f16(half_bits(p)); }

/* Element i of 32 in 16 bytes: low nibbles are elements 0 .. 15, high nibbles 16 .. 31. */
static inline int nibble_at(const uint8_t *qs, unsigned i) { return qs[i % 16] >> (i < 16 ? 0 : 4) & 15; }

static inline void set_nibble(uint8_t *qs, unsigned i, int code)
{
    const unsigned shift = i < 16 ? 0 : 4;
    qs[i % 16] = (uint8_t)((qs[i % 16] & ~(15u << shift)) | (unsigned)code << shift);
}

#endif
