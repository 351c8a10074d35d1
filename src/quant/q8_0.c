/* Q8_0: blocks of 32 weights, weight = d * q with q in -127..127.
 *
 * In: rows of float32. Out: 34 bytes per 32 weights. Quants are computed with the scale before it is rounded to
 * float16. */
#include "quant/search.h"

/* Rounds half away from zero, for |v| < 2^22: adding the largest float below 1/2 reaches the next integer exactly when
 * the fraction is at least 1/2. */
static inline int8_t round_away(float v) { return (int8_t)(int32_t)(v + copysignf(0x1.fffffep-2f, v)); }

static void quantize_block(block_q8_0 *b, const float x[QK])
{
    const float d = fabsf(block_extreme(x)) / 127, inverse = block_inverse(d);
    b->d = f16_from_f32(d);
    if (isinf(inverse)) { /* subnormal weights: d and the quants are stored as 0, as in the reference */
        memset(b->qs, 0, sizeof b->qs);
        return;
    }
    for (int i = 0; i < QK; i++)
        b->qs[i] = round_away(x[i] * inverse);
}

void q8_0_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK; n -= QK, x += QK, p += sizeof(block_q8_0)) {
        block_q8_0 b;
        quantize_block(&b, x);
        memcpy(p, &b, sizeof b);
    }
}

void q8_0_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK; n -= QK, out += QK, p += sizeof(block_q8_0)) {
        block_q8_0 b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d);
        for (int i = 0; i < QK; i++)
            out[i] = (float)b.qs[i] * d;
    }
}

static void search_block(void *block, const float *x, const float *importance)
{
    static const grid integers = { -127, 127, NULL };
    search_scale_block(block, QUANT_Q8_0, &integers, x, importance);
}

void q8_0_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_Q8_0, search_block, out, x, importance, n);
}

float q8_0_put(void *block, unsigned i, float x)
{
    uint8_t *p = block;
    const float d = half_at(p);
    const int code = nearest_code(x, d, 0, -127, 127);
    p[offsetof(block_q8_0, qs) + i] = (uint8_t)code;
    return (float)code * d;
}

void q8_0_refit(void *block, const float *x, const float *importance)
{
    block_q8_0 b;
    float points[QK];
    memcpy(&b, block, sizeof b);
    for (int i = 0; i < QK; i++)
        points[i] = b.qs[i];
    b.d = refit_half_scale(b.d, points, x, importance, QK);
    memcpy(block, &b, sizeof b);
}
