/* Element types without blocks: float32, float16 (IEEE half) and bfloat16.
 *
 * Converts between n float32 values and n stored values of 2 or 4 bytes at any alignment. float16 and bfloat16 round to
 * nearest even. The conversions are free of branches, so loops over rows vectorize. */
#include "quant/formats.h"

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint16_t half_from_float(float x)
{
    const uint32_t u = bits_of(x), a = u & 0x7fffffff;
    /* Normal numbers: round at bit 13, change the exponent bias from 127 to 15. A carry out of the mantissa increments
     * the exponent, as it should; from 65520 on this reaches infinity. */
    const uint32_t rounded = ((a + 0xfff + ((a >> 13) & 1)) >> 13) - (112u << 10);
    const uint32_t normal = rounded < 0x7c00 ? rounded : 0x7c00;
    /* Below 2^-14: the last bit of 0.5f is 2^-24, the step of subnormal float16, so the addition rounds correctly. */
    const uint32_t subnormal = bits_of(float_of(a) + 0.5f) - 0x3f000000;
    /* NaN: becomes quiet and keeps the upper bits of its payload. */
    const uint32_t nan = 0x7e00 | ((a >> 13) & 0x3ff);
    uint32_t h = a < 0x38800000 ? subnormal : normal;
    h = a > 0x7f800000 ? nan : h;
    return (uint16_t)((u >> 16 & 0x8000) | h);
}

static inline float float_from_half(uint16_t h)
{
    const uint32_t a = h & 0x7fff, wide = a << 13;
    const uint32_t normal = wide + (112u << 23);
    const uint32_t special = wide | 0x7f800000 | (a > 0x7c00 ? 0x400000 : 0);
    const uint32_t subnormal = bits_of((float)(int32_t)a * 0x1p-24f);
    uint32_t u = a < 0x400 ? subnormal : normal;
    u = a >= 0x7c00 ? special : u;
    return float_of((uint32_t)(h & 0x8000) << 16 | u);
}

static inline uint16_t bfloat_from_float(float x)
{
    const uint32_t u = bits_of(x);
    const uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    const uint32_t nan = u >> 16 | 64;
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

uint16_t f16_from_f32(float x) { return half_from_float(x); }

float f32_from_f16(uint16_t h) { return float_from_half(h); }

uint16_t bf16_from_f32(float x) { return bfloat_from_float(x); }

void f32_quantize(void *out, const float *x, size_t n) { memcpy(out, x, n * sizeof *x); }

void f32_dequantize(float *out, const void *blocks, size_t n) { memcpy(out, blocks, n * sizeof *out); }

void f16_quantize(void *out, const float *x, size_t n)
{
    unsigned char *p = out;
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = half_from_float(x[i]);
        memcpy(p + 2 * i, &h, 2);
    }
}

void f16_dequantize(float *out, const void *blocks, size_t n)
{
    const unsigned char *p = blocks;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        out[i] = float_from_half(h);
    }
}

void bf16_quantize(void *out, const float *x, size_t n)
{
    unsigned char *p = out;
    for (size_t i = 0; i < n; i++) {
        const uint16_t b = bfloat_from_float(x[i]);
        memcpy(p + 2 * i, &b, 2);
    }
}

void bf16_dequantize(float *out, const void *blocks, size_t n)
{
    const unsigned char *p = blocks;
    for (size_t i = 0; i < n; i++) {
        uint16_t b;
        memcpy(&b, p + 2 * i, 2);
        out[i] = f32_from_bf16(b);
    }
}

/* ---- put: a block is one number ---- */

float f32_put(void *block, unsigned i, float x)
{
    memcpy(block, &x, sizeof x);
    return x;
}

float f16_put(void *block, unsigned i, float x)
{
    const uint16_t h = half_from_float(x < HALF_MAX ? x > -HALF_MAX ? x : -HALF_MAX : HALF_MAX);
    memcpy(block, &h, sizeof h);
    return float_from_half(h);
}

float bf16_put(void *block, unsigned i, float x)
{
    const uint16_t b = bfloat_from_float(x < BF16_MAX ? x > -BF16_MAX ? x : -BF16_MAX : BF16_MAX);
    memcpy(block, &b, sizeof b);
    return f32_from_bf16(b);
}

void f32_quantize_weighted(void *out, const float *x, const float *importance, size_t n) { f32_quantize(out, x, n); }

void f16_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    for (size_t i = 0; i < n; i++)
        f16_put((unsigned char *)out + 2 * i, 0, x[i]);
}

void bf16_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bf16_put((unsigned char *)out + 2 * i, 0, x[i]);
}
