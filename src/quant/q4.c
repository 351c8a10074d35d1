/* Q4_0 and Q4_1: blocks of 32 weights with 4 bits each, element j in the low half of byte j and element
 * j + 16 in the high half. Q4_0: weight = d * (q - 8). Q4_1: weight = d * q + m.
 *
 * In: rows of float32. Out: 18 or 20 bytes per 32 weights. Q4_0: the value of largest magnitude becomes quant 0,
 * whatever its sign; so d has the opposite sign. Q4_1: quant 0 is the smallest value, quant 15 the largest. */
#include "quant/search.h"

static inline uint8_t round_up_from(float v)
{
    const int32_t q = (int32_t)(v + 8.5f);
    return (uint8_t)(q < 15 ? q : 15);
}

static void quantize_block(block_q4_0 *b, const float x[QK])
{
    const float d = block_extreme(x) / -8, inverse = block_inverse(d);
    b->d = f16_from_f32(d);
    if (isinf(inverse)) { /* subnormal weights: d and the quants are stored as 0, as in the reference */
        memset(b->qs, 0, sizeof b->qs);
        return;
    }
    for (int j = 0; j < QK / 2; j++)
        b->qs[j] = (uint8_t)(round_up_from(x[j] * inverse) | round_up_from(x[j + QK / 2] * inverse) << 4);
}

void q4_0_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK; n -= QK, x += QK, p += sizeof(block_q4_0)) {
        block_q4_0 b;
        quantize_block(&b, x);
        memcpy(p, &b, sizeof b);
    }
}

void q4_0_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK; n -= QK, out += QK, p += sizeof(block_q4_0)) {
        block_q4_0 b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d);
        for (int j = 0; j < QK / 2; j++) {
            out[j] = (float)((b.qs[j] & 15) - 8) * d;
            out[j + QK / 2] = (float)((b.qs[j] >> 4) - 8) * d;
        }
    }
}

void q4_1_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK; n -= QK, x += QK, p += sizeof(block_q4_1)) {
        block_q4_1 b;
        float low, d;
        uint8_t q[QK];
        block_line(q, &d, &low, x, 15);
        b.d = f16_from_f32(d);
        b.m = f16_from_f32(low);
        for (int j = 0; j < QK / 2; j++)
            b.qs[j] = (uint8_t)(q[j] | q[j + QK / 2] << 4);
        memcpy(p, &b, sizeof b);
    }
}

void q4_1_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK; n -= QK, out += QK, p += sizeof(block_q4_1)) {
        block_q4_1 b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d), m = f32_from_f16(b.m);
        for (int j = 0; j < QK / 2; j++) {
            out[j] = (float)(b.qs[j] & 15) * d + m;
            out[j + QK / 2] = (float)(b.qs[j] >> 4) * d + m;
        }
    }
}

/* ---- importance-weighted, one element, refit ---- */

static void search_q4_0(void *block, const float *x, const float *importance)
{
    static const grid integers = { -8, 7, NULL };
    search_scale_block(block, QUANT_Q4_0, &integers, x, importance);
}

void q4_0_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_Q4_0, search_q4_0, out, x, importance, n);
}

float q4_0_put(void *block, unsigned i, float x)
{
    uint8_t *p = block;
    const float d = half_at(p);
    const int code = nearest_code(x, d, 0, -8, 7);
    set_nibble(p + offsetof(block_q4_0, qs), i, code + 8);
    return (float)code * d;
}

void q4_0_refit(void *block, const float *x, const float *importance)
{
    uint8_t *p = block;
    float points[QK];
    for (unsigned i = 0; i < QK; i++)
        points[i] = (float)(nibble_at(p + offsetof(block_q4_0, qs), i) - 8);
    const uint16_t d = refit_half_scale(half_bits(p), points, x, importance, QK);
    memcpy(p, &d, sizeof d);
}

static void search_q4_1(void *block, const float *x, const float *importance)
{
    search_line_block(block, QUANT_Q4_1, 15, x, importance);
}

void q4_1_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_Q4_1, search_q4_1, out, x, importance, n);
}

float q4_1_put(void *block, unsigned i, float x)
{
    uint8_t *p = block;
    const float d = half_at(p), m = half_at(p + 2);
    const int code = nearest_code(x, d, m, 0, 15);
    set_nibble(p + offsetof(block_q4_1, qs), i, code);
    return (float)code * d + m;
}

void q4_1_refit(void *block, const float *x, const float *importance)
{
    block_q4_1 b;
    float codes[QK];
    memcpy(&b, block, sizeof b);
    for (unsigned i = 0; i < QK; i++)
        codes[i] = (float)nibble_at(b.qs, i);
    refit_half_line(&b.d, &b.m, codes, x, importance, QK);
    memcpy(block, &b, sizeof b);
}
