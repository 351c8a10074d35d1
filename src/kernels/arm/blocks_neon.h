/* Unpacks quantized blocks to bytes and scales, 32 elements at a time: value = scale * q + min. Offsets are already
 * subtracted from q, so q is signed if the type has no minimum. Static inline only. */
#ifndef QASR_KERNELS_ARM_BLOCKS_NEON_H
#define QASR_KERNELS_ARM_BLOCKS_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "quant/quant.h"

typedef struct unpacked {
    int8x16_t q[2]; /* elements 0 .. 15 and 16 .. 31 */
    float scale[2]; /* one per q */
    float min;
} unpacked;

/* Part p (0 .. 7) of a superblock of 256; p is 0 for blocks of 32. */
typedef unpacked (*unpack_fn)(const uint8_t *block, unsigned p);

static inline float half_at(const uint8_t *p)
{
    __fp16 h;
    memcpy(&h, p, sizeof h);
    return (float)h;
}

static inline uint8x16_t low_nibbles(uint8x16_t b) { return vandq_u8(b, vdupq_n_u8(15)); }
static inline uint8x16_t high_nibbles(uint8x16_t b) { return vshrq_n_u8(b, 4); }
static inline uint8x16_t shift_right(uint8x16_t b, unsigned n) { return vshlq_u8(b, vdupq_n_s8((int8_t) - (int)n)); }
static inline int8x16_t minus(uint8x16_t b, int8_t offset)
{
    return vsubq_s8(vreinterpretq_s8_u8(b), vdupq_n_s8(offset));
}

/* 16 in each byte i whose bit i of the 16-bit word at p is set */
static inline uint8x16_t fifth_bits(const uint8_t *p)
{
    const uint8x16_t bit = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    uint8x16_t bytes = vcombine_u8(vdup_n_u8(p[0]), vdup_n_u8(p[1]));
    return vandq_u8(vtstq_u8(bytes, bit), vdupq_n_u8(16));
}

static inline unpacked unpack_q8_0(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    const int8_t *q = (const int8_t *)b + 2;
    return (unpacked){ { vld1q_s8(q), vld1q_s8(q + 16) }, { d, d }, 0.0f };
}

/* Low nibbles are elements 0 .. 15, high ones 16 .. 31. */
static inline unpacked unpack_q4_0(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    uint8x16_t q = vld1q_u8(b + 2);
    return (unpacked){ { minus(low_nibbles(q), 8), minus(high_nibbles(q), 8) }, { d, d }, 0.0f };
}

static inline unpacked unpack_iq4_nl(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    int8x16_t book = vld1q_s8(quant_iq4_nl);
    uint8x16_t q = vld1q_u8(b + 2);
    return (unpacked){ { vqtbl1q_s8(book, low_nibbles(q)), vqtbl1q_s8(book, high_nibbles(q)) }, { d, d }, 0.0f };
}

static inline unpacked unpack_q4_1(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    uint8x16_t q = vld1q_u8(b + 4);
    return (unpacked){ { vreinterpretq_s8_u8(low_nibbles(q)), vreinterpretq_s8_u8(high_nibbles(q)) },
                       { d, d },
                       half_at(b + 2) };
}

static inline unpacked unpack_q5_0(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    uint8x16_t q = vld1q_u8(b + 6);
    return (unpacked){ { minus(vorrq_u8(low_nibbles(q), fifth_bits(b + 2)), 16),
                         minus(vorrq_u8(high_nibbles(q), fifth_bits(b + 4)), 16) },
                       { d, d },
                       0.0f };
}

static inline unpacked unpack_q5_1(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    uint8x16_t q = vld1q_u8(b + 8);
    return (unpacked){ { vreinterpretq_s8_u8(vorrq_u8(low_nibbles(q), fifth_bits(b + 4))),
                         vreinterpretq_s8_u8(vorrq_u8(high_nibbles(q), fifth_bits(b + 6))) },
                       { d, d },
                       half_at(b + 2) };
}

static inline unpacked unpack_q6_k(const uint8_t *b, unsigned p)
{
    unsigned half = p / 4, quarter = p % 4; /* half: 128 elements; quarter: 32 of them */
    const int8_t *sc = (const int8_t *)b + offsetof(block_q6_k, scales) + 2 * p;
    float d = half_at(b + offsetof(block_q6_k, d));
    const uint8_t *low = b + 64 * half + 32 * (quarter % 2), *high = b + offsetof(block_q6_k, qh) + 32 * half;
    unpacked u = { .scale = { d * sc[0], d * sc[1] } };
    for (unsigned i = 0; i < 2; i++) {
        uint8x16_t q = vld1q_u8(low + 16 * i), h = shift_right(vld1q_u8(high + 16 * i), 2 * quarter);
        q = quarter < 2 ? low_nibbles(q) : high_nibbles(q);
        u.q[i] = minus(vorrq_u8(q, vshlq_n_u8(vandq_u8(h, vdupq_n_u8(3)), 4)), 32);
    }
    return u;
}

/* Q4_K and Q5_K begin with the same fields: d, dmin, 12 bytes of scales and minima. */
static inline unpacked unpack_k_scales(const uint8_t *b, unsigned p)
{
    uint8_t scale, min;
    quant_k_scale_min(b + offsetof(block_q4_k, scales), p, &scale, &min);
    float d = half_at(b) * scale;
    return (unpacked){ .scale = { d, d }, .min = -(half_at(b + 2) * min) };
}

static inline unpacked unpack_q4_k(const uint8_t *b, unsigned p)
{
    unpacked u = unpack_k_scales(b, p);
    const uint8_t *qs = b + offsetof(block_q4_k, qs) + 32 * (p / 2);
    for (unsigned i = 0; i < 2; i++) {
        uint8x16_t q = vld1q_u8(qs + 16 * i);
        u.q[i] = vreinterpretq_s8_u8(p % 2 ? high_nibbles(q) : low_nibbles(q));
    }
    return u;
}

static inline unpacked unpack_q5_k(const uint8_t *b, unsigned p)
{
    unpacked u = unpack_k_scales(b, p);
    const uint8_t *qs = b + offsetof(block_q5_k, qs) + 32 * (p / 2), *qh = b + offsetof(block_q5_k, qh);
    for (unsigned i = 0; i < 2; i++) {
        uint8x16_t q = vld1q_u8(qs + 16 * i), h = shift_right(vld1q_u8(qh + 16 * i), p);
        q = p % 2 ? high_nibbles(q) : low_nibbles(q);
        u.q[i] = vreinterpretq_s8_u8(vorrq_u8(q, vshlq_n_u8(vandq_u8(h, vdupq_n_u8(1)), 4)));
    }
    return u;
}

#endif
