/* Q5_0 and Q5_1: blocks of 32 weights with 5 bits each. The low four are laid out as in Q4_0; the fifth of
 * element j is bit j of qh, a little-endian 32-bit word. Q5_0: weight = d * (q - 16). Q5_1, which is only
 * read: weight = d * q + m.
 *
 * In: rows of float32. Out: 22 bytes per 32 weights; the value of the largest magnitude becomes quant 0. */
#include "quant/formats.h"

static inline uint8_t round_up_from(float v)
{
    const int32_t q = (int32_t)(v + 16.5f);
    return (uint8_t)(q < 31 ? q : 31);
}

static void quantize_block(block_q5_0 *b, const float x[QK])
{
    const float d = block_extreme(x) / -16, inverse = block_inverse(d);
    uint8_t q[QK] = {0}; /* stays so for subnormal weights, as the reference leaves them; d is 0 then */
    if (!isinf(inverse))
        for (int i = 0; i < QK; i++)
            q[i] = round_up_from(x[i] * inverse);
    b->d = f16_from_f32(d);
    for (int j = 0; j < QK / 2; j++)
        b->qs[j] = (uint8_t)((q[j] & 15) | (q[j + QK / 2] & 15) << 4);
    for (int k = 0; k < 4; k++) {
        unsigned bits = 0;
        for (int j = 0; j < 8; j++)
            bits |= (unsigned)(q[8 * k + j] >> 4) << j;
        b->qh[k] = (uint8_t)bits;
    }
}

void q5_0_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK; n -= QK, x += QK, p += sizeof(block_q5_0)) {
        block_q5_0 b;
        quantize_block(&b, x);
        memcpy(p, &b, sizeof b);
    }
}

/* Quant of element i, 0..31, from its four low bits in qs and the one in qh. */
static inline int quant_at(const uint8_t *qs, const uint8_t *qh, int i)
{
    const int low = i < QK / 2 ? qs[i] & 15 : qs[i - QK / 2] >> 4;
    return low | (qh[i / 8] >> i % 8 & 1) << 4;
}

void q5_0_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK; n -= QK, out += QK, p += sizeof(block_q5_0)) {
        block_q5_0 b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d);
        for (int i = 0; i < QK; i++)
            out[i] = (float)(quant_at(b.qs, b.qh, i) - 16) * d;
    }
}

void q5_1_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK; n -= QK, out += QK, p += sizeof(block_q5_1)) {
        block_q5_1 b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d), m = f32_from_f16(b.m);
        for (int i = 0; i < QK; i++)
            out[i] = (float)quant_at(b.qs, b.qh, i) * d + m;
    }
}
