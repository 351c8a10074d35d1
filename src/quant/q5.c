/* Q5_0 and Q5_1: blocks of 32 weights with 5 bits each. The low four bits are laid out as in Q4_0; the fifth bit of
 * element j is bit j of qh, a little-endian 32-bit word. Q5_0: weight = d * (q - 16). Q5_1: weight = d * q + m.
 *
 * In: rows of float32. Out: 22 or 24 bytes per 32 weights. Q5_0: the value of largest magnitude becomes quant 0. Q5_1:
 * quant 0 is the smallest value, quant 31 the largest. */
#include "quant/search.h"

static inline uint8_t round_up_from(float v)
{
    const int32_t q = (int32_t)(v + 16.5f);
    return (uint8_t)(q < 31 ? q : 31);
}

static void pack(uint8_t qs[QK / 2], uint8_t qh[4], const uint8_t q[QK])
{
    for (int j = 0; j < QK / 2; j++)
        qs[j] = (uint8_t)((q[j] & 15) | (q[j + QK / 2] & 15) << 4);
    for (int k = 0; k < 4; k++) {
        unsigned bits = 0;
        for (int j = 0; j < 8; j++)
            bits |= (unsigned)(q[8 * k + j] >> 4) << j;
        qh[k] = (uint8_t)bits;
    }
}

static void quantize_block(block_q5_0 *b, const float x[QK])
{
    const float d = block_extreme(x) / -16, inverse = block_inverse(d);
    uint8_t q[QK] = { 0 }; /* subnormal weights keep 0, as in the reference; d is 0 too */
    if (!isinf(inverse))
        for (int i = 0; i < QK; i++)
            q[i] = round_up_from(x[i] * inverse);
    b->d = f16_from_f32(d);
    pack(b->qs, b->qh, q);
}

void q5_0_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK; n -= QK, x += QK, p += sizeof(block_q5_0)) {
        block_q5_0 b;
        quantize_block(&b, x);
        memcpy(p, &b, sizeof b);
    }
}

void q5_1_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK; n -= QK, x += QK, p += sizeof(block_q5_1)) {
        block_q5_1 b;
        float low, d;
        uint8_t q[QK];
        block_line(q, &d, &low, x, 31);
        b.d = f16_from_f32(d);
        b.m = f16_from_f32(low);
        pack(b.qs, b.qh, q);
        memcpy(p, &b, sizeof b);
    }
}

/* Quant of element i, 0..31, from its four low bits in qs and its fifth bit in qh. */
static inline int quant_at(const uint8_t *qs, const uint8_t *qh, unsigned i)
{
    return nibble_at(qs, i) | (qh[i / 8] >> i % 8 & 1) << 4;
}

static inline void set_quant(uint8_t *qs, uint8_t *qh, unsigned i, int code)
{
    set_nibble(qs, i, code & 15);
    qh[i / 8] = (uint8_t)((qh[i / 8] & ~(1u << i % 8)) | (unsigned)(code >> 4) << i % 8);
}

void q5_0_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK; n -= QK, out += QK, p += sizeof(block_q5_0)) {
        block_q5_0 b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d);
        for (unsigned i = 0; i < QK; i++)
            out[i] = (float)(quant_at(b.qs, b.qh, i) - 16) * d;
    }
}

void q5_1_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK; n -= QK, out += QK, p += sizeof(block_q5_1)) {
        block_q5_1 b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d), m = f32_from_f16(b.m);
        for (unsigned i = 0; i < QK; i++)
            out[i] = (float)quant_at(b.qs, b.qh, i) * d + m;
    }
}

/* ---- importance-weighted, one element, refit ---- */

static void search_q5_0(void *block, const float *x, const float *importance)
{
    static const grid integers = { -16, 15, NULL };
    search_scale_block(block, QUANT_Q5_0, &integers, x, importance);
}

void q5_0_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_Q5_0, search_q5_0, out, x, importance, n);
}

float q5_0_put(void *block, unsigned i, float x)
{
    uint8_t *p = block;
    const float d = half_at(p);
    const int code = nearest_code(x, d, 0, -16, 15);
    set_quant(p + offsetof(block_q5_0, qs), p + offsetof(block_q5_0, qh), i, code + 16);
    return (float)code * d;
}

void q5_0_refit(void *block, const float *x, const float *importance)
{
    block_q5_0 b;
    float points[QK];
    memcpy(&b, block, sizeof b);
    for (unsigned i = 0; i < QK; i++)
        points[i] = (float)(quant_at(b.qs, b.qh, i) - 16);
    b.d = refit_half_scale(b.d, points, x, importance, QK);
    memcpy(block, &b, sizeof b);
}

static void search_q5_1(void *block, const float *x, const float *importance)
{
    search_line_block(block, QUANT_Q5_1, 31, x, importance);
}

void q5_1_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_Q5_1, search_q5_1, out, x, importance, n);
}

float q5_1_put(void *block, unsigned i, float x)
{
    uint8_t *p = block;
    const float d = half_at(p), m = half_at(p + 2);
    const int code = nearest_code(x, d, m, 0, 31);
    set_quant(p + offsetof(block_q5_1, qs), p + offsetof(block_q5_1, qh), i, code);
    return (float)code * d + m;
}

void q5_1_refit(void *block, const float *x, const float *importance)
{
    block_q5_1 b;
    float codes[QK];
    memcpy(&b, block, sizeof b);
    for (unsigned i = 0; i < QK; i++)
        codes[i] = (float)quant_at(b.qs, b.qh, i);
    refit_half_line(&b.d, &b.m, codes, x, importance, QK);
    memcpy(block, &b, sizeof b);
}
