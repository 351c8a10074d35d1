/* Unpacks quantized blocks to bytes and scales, 32 elements at a time: value = scale * q + min. Offsets are already
 * subtracted from q, so q is signed if the type has no minimum. Static inline only. */
#ifndef QASR_KERNELS_X86_BLOCKS_AVX2_H
#define QASR_KERNELS_X86_BLOCKS_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "quant/quant.h"

typedef struct unpacked {
    __m256i q;      /* 32 bytes, elements in order */
    float scale[2]; /* of elements 0 .. 15 and 16 .. 31 */
    float min;
} unpacked;

/* Hardware prefetchers handle the streams of several rows poorly. So while a group of rows is computed, the group three
 * steps after the next one is prefetched to L2 and the next one to L1, each as one stream (gemv_blocks.inc.h). */
#define GEMV_PREFETCH(p, far)                                                                                          \
    do {                                                                                                               \
        _mm_prefetch((p), _MM_HINT_T0);                                                                                \
        _mm_prefetch((p) + (far), _MM_HINT_T1);                                                                        \
    } while (0)

/* Part p (0 .. 7) of a superblock of 256; p is 0 for blocks of 32. */
typedef unpacked (*unpack_fn)(const uint8_t *block, unsigned p);

static inline float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

static inline __m256i load_bytes(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* 16 bytes: low nibbles are elements 0 .. 15, high nibbles 16 .. 31 */
static inline __m256i load_nibbles(const uint8_t *p)
{
    __m128i b = _mm_loadu_si128((const __m128i *)p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(b, 4), b), _mm256_set1_epi8(15));
}

/* 16 in each byte i whose bit i of the 32-bit word at p is set */
static inline __m256i load_fifth_bits(const uint8_t *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    const __m256i byte_of = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit_of = _mm256_set1_epi64x((long long)0x8040201008040201ull);
    __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(word), byte_of), bit_of);
    return _mm256_and_si256(_mm256_cmpeq_epi8(bits, bit_of), _mm256_set1_epi8(16));
}

static inline unpacked unpack_q8_0(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    return (unpacked){ load_bytes(b + 2), { d, d }, 0.0f };
}

static inline unpacked unpack_q4_0(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    return (unpacked){ _mm256_sub_epi8(load_nibbles(b + 2), _mm256_set1_epi8(8)), { d, d }, 0.0f };
}

static inline unpacked unpack_iq4_nl(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    __m256i book = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)quant_iq4_nl));
    return (unpacked){ _mm256_shuffle_epi8(book, load_nibbles(b + 2)), { d, d }, 0.0f };
}

static inline unpacked unpack_q4_1(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    return (unpacked){ load_nibbles(b + 4), { d, d }, half_at(b + 2) };
}

static inline unpacked unpack_q5_0(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    __m256i q = _mm256_or_si256(load_nibbles(b + 6), load_fifth_bits(b + 2));
    return (unpacked){ _mm256_sub_epi8(q, _mm256_set1_epi8(16)), { d, d }, 0.0f };
}

static inline unpacked unpack_q5_1(const uint8_t *b, unsigned p)
{
    float d = half_at(b);
    return (unpacked){ _mm256_or_si256(load_nibbles(b + 8), load_fifth_bits(b + 4)), { d, d }, half_at(b + 2) };
}

static inline unpacked unpack_q6_k(const uint8_t *b, unsigned p)
{
    unsigned half = p / 4, quarter = p % 4; /* half: 128 elements; quarter: 32 of them */
    const int8_t *sc = (const int8_t *)b + offsetof(block_q6_k, scales) + 2 * p;
    float d = half_at(b + offsetof(block_q6_k, d));
    __m256i low = load_bytes(b + 64 * half + 32 * (quarter % 2));
    __m256i high = load_bytes(b + offsetof(block_q6_k, qh) + 32 * half);
    low = _mm256_and_si256(_mm256_srli_epi16(low, quarter < 2 ? 0 : 4), _mm256_set1_epi8(15));
    high = _mm256_and_si256(_mm256_srli_epi16(high, (int)(2 * quarter)), _mm256_set1_epi8(3));
    __m256i q = _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
    return (unpacked){ _mm256_sub_epi8(q, _mm256_set1_epi8(32)), { d * sc[0], d * sc[1] }, 0.0f };
}

static inline unpacked unpack_q4_k(const uint8_t *b, unsigned p)
{
    uint8_t scale, min;
    quant_k_scale_min(b + offsetof(block_q4_k, scales), p, &scale, &min);
    float d = half_at(b) * scale;
    __m256i q = load_bytes(b + offsetof(block_q4_k, qs) + 32 * (p / 2));
    q = _mm256_and_si256(_mm256_srli_epi16(q, p % 2 ? 4 : 0), _mm256_set1_epi8(15));
    return (unpacked){ q, { d, d }, -(half_at(b + 2) * min) };
}

static inline unpacked unpack_q5_k(const uint8_t *b, unsigned p)
{
    uint8_t scale, min;
    quant_k_scale_min(b + offsetof(block_q5_k, scales), p, &scale, &min);
    float d = half_at(b) * scale;
    __m256i q = load_bytes(b + offsetof(block_q5_k, qs) + 32 * (p / 2));
    q = _mm256_and_si256(_mm256_srli_epi16(q, p % 2 ? 4 : 0), _mm256_set1_epi8(15));
    __m256i high = _mm256_srli_epi16(load_bytes(b + offsetof(block_q5_k, qh)), (int)p);
    high = _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(1)), 4);
    return (unpacked){ _mm256_or_si256(q, high), { d, d }, -(half_at(b + 2) * min) };
}

#endif
