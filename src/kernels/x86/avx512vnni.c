/* AVX-512 with VNNI and BF16: products with block-quantized weights by vpdpbusd, 64 elements (a pair of blocks of
 * 32) at a time. Weights are made unsigned, u = w + offset; the activations' integer is 256 hi + lo, so
 *   sum u v = 256 sum u hi + sum u lo,  sum w v = sum u v - offset sum v
 * hold exactly in 32-bit lanes of 4 elements each (4 * 255 * 32639 < 2^25), and each lane of the result, below 4 * 128 *
 * 32639 < 2^24, converts to float exactly. Then one multiply-add per lane with weight scale * activation scale. Types
 * with a minimum add minimum * activation scale * sum v instead of the offset. */
#if !defined(__AVX512VNNI__) || !defined(__AVX512VBMI__)
#error "build with the AVX-512 VNNI flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

enum { MAX_ROWS = 8 }; /* weight rows taken at once: they share the work on activations */

/* Inline assembly: gcc 12 copies accumulators around the intrinsic. */
static inline __m512i dot_bytes(__m512i acc, __m512i u, __m512i s)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(u), "v"(s));
    return acc;
}

/* ---- two blocks of activations ---- */

typedef struct act_pair {
    __m512i hi, lo;
    __m512i fix; /* -offset * sum v of each lane's four elements */
    vf d;        /* scale of each lane's block */
    vf d_sum;    /* d * sum v of each lane's four elements */
} act_pair;

static inline __m512i join(__m256i low, __m256i high) { return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1); }

static inline __m256i load_bytes(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* Without second the upper half is 0. */
static inline __attribute__((always_inline)) act_pair act_load(const act_block *x, int second, int offset, int has_min)
{
    act_pair a;
    __m256i none = _mm256_setzero_si256();
    a.hi = join(load_bytes(x->hi), second ? load_bytes(x[1].hi) : none);
    a.lo = join(load_bytes(x->lo), second ? load_bytes(x[1].lo) : none);
    a.d = _mm512_mask_blend_ps(0xff00, vf_set1(x->d), second ? vf_set1(x[1].d) : vf_zero());
    __m512i unit = _mm512_set1_epi8(has_min ? 1 : (char)offset), zero = _mm512_setzero_si512();
    __m512i sum = dot_bytes(_mm512_slli_epi32(dot_bytes(zero, unit, a.hi), 8), unit, a.lo);
    a.fix = zero;
    a.d_sum = vf_zero();
    if (has_min)
        a.d_sum = _mm512_cvtepi32_ps(sum) * a.d;
    else
        a.fix = _mm512_sub_epi32(zero, sum);
    return a;
}

/* ---- pairs of weight blocks ---- */

typedef struct weight_pair {
    __m512i u;     /* 64 unsigned bytes, elements in order */
    vf scale, min; /* of each lane's four elements */
} weight_pair;

typedef struct super_scales { /* of a superblock: lane i belongs to group i */
    vf scale, min;
} super_scales;

typedef super_scales (*prepare_fn)(const uint8_t *block);
typedef weight_pair (*load_fn)(const uint8_t *block, unsigned pair, const super_scales *s, int second);

static inline super_scales prepare_none(const uint8_t *b) { return (super_scales){ vf_zero(), vf_zero() }; }

/* Lanes 0 .. 7 the half at b + at, lanes 8 .. 15 that of the second block, bytes further on (0 without second). at and
 * bytes are even, and a pair of blocks has at least 36 bytes: one load and one shuffle fetch both. */
static inline vf halves(const uint8_t *b, int at, int bytes, int second)
{
    if (!second) {
        uint16_t h;
        memcpy(&h, b + at, sizeof h);
        return _mm512_cvtph_ps(_mm256_zextsi128_si256(_mm_set1_epi16((short)h)));
    }
    short u = (short)(at / 2), v = (short)((at + bytes) / 2);
    __m256i index = _mm256_set_epi16(v, v, v, v, v, v, v, v, u, u, u, u, u, u, u, u);
    if (v < 16)
        return _mm512_cvtph_ps(_mm256_permutexvar_epi16(index, load_bytes(b)));
    __m512i all = _mm512_permutexvar_epi16(_mm512_castsi256_si512(index), _mm512_loadu_si512(b));
    return _mm512_cvtph_ps(_mm512_castsi512_si256(all));
}

/* Two blocks' 16 bytes of nibbles: low nibbles are elements 0 .. 15 of a block, high ones 16 .. 31. */
static inline __m512i nibble_pair(const uint8_t *low, const uint8_t *high)
{
    const __m512i shifts = _mm512_set_epi64(0x0004000400040004, 0x0004000400040004, 0, 0, 0x0004000400040004,
                                            0x0004000400040004, 0, 0);
    __m512i q = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)low));
    q = high ? _mm512_mask_broadcast_i32x4(q, 0xff00, _mm_loadu_si128((const __m128i *)high))
             : _mm512_zextsi256_si512(_mm512_castsi512_si256(q));
    return _mm512_and_si512(_mm512_srlv_epi16(q, shifts), _mm512_set1_epi8(15));
}

/* Adds 16 where the bits of two blocks' 32-bit words are set. */
static inline __m512i with_fifth_bits(__m512i q, const uint8_t *low, const uint8_t *high)
{
    uint32_t a, b = 0;
    memcpy(&a, low, sizeof a);
    if (high)
        memcpy(&b, high, sizeof b);
    return _mm512_mask_add_epi8(q, (uint64_t)b << 32 | a, q, _mm512_set1_epi8(16));
}

static inline weight_pair load_q8_0(const uint8_t *b, unsigned pair, const super_scales *s, int second)
{
    const uint8_t *c = second ? b + sizeof(block_q8_0) : NULL;
    __m512i q = join(load_bytes(b + 2), second ? load_bytes(c + 2) : _mm256_setzero_si256());
    return (weight_pair){ _mm512_xor_si512(q, _mm512_set1_epi8(-128)), halves(b, 0, sizeof(block_q8_0), second), vf_zero() };
}

static inline weight_pair load_q4_0(const uint8_t *b, unsigned pair, const super_scales *s, int second)
{
    const uint8_t *c = second ? b + sizeof(block_q4_0) : NULL;
    return (weight_pair){ nibble_pair(b + 2, second ? c + 2 : NULL), halves(b, 0, sizeof(block_q4_0), second), vf_zero() };
}

static inline weight_pair load_q4_1(const uint8_t *b, unsigned pair, const super_scales *s, int second)
{
    const uint8_t *c = second ? b + sizeof(block_q4_1) : NULL;
    return (weight_pair){ nibble_pair(b + 4, second ? c + 4 : NULL), halves(b, 0, sizeof(block_q4_1), second),
                          halves(b, 2, sizeof(block_q4_1), second) };
}

static inline weight_pair load_q5_0(const uint8_t *b, unsigned pair, const super_scales *s, int second)
{
    const uint8_t *c = second ? b + sizeof(block_q5_0) : NULL;
    __m512i q = with_fifth_bits(nibble_pair(b + 6, second ? c + 6 : NULL), b + 2, second ? c + 2 : NULL);
    return (weight_pair){ q, halves(b, 0, sizeof(block_q5_0), second), vf_zero() };
}

static inline weight_pair load_q5_1(const uint8_t *b, unsigned pair, const super_scales *s, int second)
{
    const uint8_t *c = second ? b + sizeof(block_q5_1) : NULL;
    __m512i q = with_fifth_bits(nibble_pair(b + 8, second ? c + 8 : NULL), b + 4, second ? c + 4 : NULL);
    return (weight_pair){ q, halves(b, 0, sizeof(block_q5_1), second), halves(b, 2, sizeof(block_q5_1), second) };
}

/* ---- superblocks of 256: four pairs ---- */

static inline __m512i both_halves(const uint8_t *p) { return _mm512_broadcast_i64x4(load_bytes(p)); }

/* 16-bit shift counts: a in the lower 32 bytes, b in the upper */
static inline __m512i counts(int a, int b)
{
    return join(_mm256_set1_epi16((short)a), _mm256_set1_epi16((short)b));
}

static inline vf half_everywhere(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm512_cvtph_ps(_mm256_set1_epi16((short)h));
}

static inline super_scales prepare_q6_k(const uint8_t *b)
{
    __m128i sc = _mm_loadu_si128((const __m128i *)(b + offsetof(block_q6_k, scales)));
    vf scale = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sc)) * half_everywhere(b + offsetof(block_q6_k, d));
    return (super_scales){ scale, vf_zero() };
}

static inline weight_pair load_q6_k(const uint8_t *b, unsigned pair, const super_scales *s, int second)
{
    unsigned half = pair / 2; /* 128 elements: pair 0 the low nibbles of 64 bytes, pair 1 the high ones */
    __m512i low = _mm512_loadu_si512(b + 64 * half);
    __m512i high = both_halves(b + offsetof(block_q6_k, qh) + 32 * half); /* bits 5 and 6 of quarter i: 2 i, 2 i + 1 */
    if (pair % 2) {
        low = _mm512_srli_epi16(low, 4);
        high = _mm512_srlv_epi16(high, counts(0, 2));
    } else {
        high = _mm512_sllv_epi16(high, counts(4, 2));
    }
    high = _mm512_and_si512(high, _mm512_set1_epi8(0x30));
    __m512i q = _mm512_ternarylogic_epi32(high, low, _mm512_set1_epi8(15), 0xf8); /* high | (low & 15) */
    const __m512i group = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    __m512i at = _mm512_add_epi32(group, _mm512_set1_epi32((int)(4 * pair)));
    return (weight_pair){ q, _mm512_permutexvar_ps(at, s->scale), vf_zero() };
}

/* Q4_K and Q5_K begin alike: d, dmin, 12 bytes with eight 6-bit scales and minima (quant_k_scale_min). */
static inline super_scales prepare_k(const uint8_t *b)
{
    uint32_t s[3];
    memcpy(s, b + offsetof(block_q4_k, scales), sizeof s);
    uint64_t scale = (s[0] & 0x3f3f3f3f) |
                     (uint64_t)((s[2] & 0x0f0f0f0f) | (s[0] >> 6 & 0x03030303) << 4) << 32;
    uint64_t min = (s[1] & 0x3f3f3f3f) |
                   (uint64_t)((s[2] >> 4 & 0x0f0f0f0f) | (s[1] >> 6 & 0x03030303) << 4) << 32;
    vf sv = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_cvtsi64_si128((long long)scale)));
    vf mv = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_cvtsi64_si128((long long)min)));
    return (super_scales){ sv * half_everywhere(b), vf_zero() - mv * half_everywhere(b + 2) };
}

static inline weight_pair pair_k(__m512i q, unsigned pair, const super_scales *s)
{
    const __m512i group = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    __m512i at = _mm512_add_epi32(group, _mm512_set1_epi32((int)(2 * pair)));
    return (weight_pair){ q, _mm512_permutexvar_ps(at, s->scale), _mm512_permutexvar_ps(at, s->min) };
}

static inline weight_pair load_q4_k(const uint8_t *b, unsigned pair, const super_scales *s, int second)
{
    __m512i q = both_halves(b + offsetof(block_q4_k, qs) + 32 * pair);
    return pair_k(_mm512_and_si512(_mm512_srlv_epi16(q, counts(0, 4)), _mm512_set1_epi8(15)), pair, s);
}

static inline weight_pair load_q5_k(const uint8_t *b, unsigned pair, const super_scales *s, int second)
{
    __m512i q = _mm512_srlv_epi16(both_halves(b + offsetof(block_q5_k, qs) + 32 * pair), counts(0, 4));
    __m512i high = both_halves(b + offsetof(block_q5_k, qh)); /* bit 5 of block j: bit j */
    if (pair < 2)
        high = _mm512_sllv_epi16(high, counts(4 - 2 * (int)pair, 3 - 2 * (int)pair));
    else
        high = _mm512_srlv_epi16(high, counts(2 * (int)pair - 4, 2 * (int)pair - 3));
    high = _mm512_and_si512(high, _mm512_set1_epi8(16));
    return pair_k(_mm512_ternarylogic_epi32(high, q, _mm512_set1_epi8(15), 0xf8), pair, s);
}

/* ---- rows ---- */

typedef struct block_kind {
    prepare_fn prepare;
    load_fn load;
    unsigned bytes; /* per step: a pair of blocks of 32, or a superblock */
    unsigned pairs; /* per step */
    int offset, has_min;
} block_kind;

static inline __attribute__((always_inline)) vf dot_pair(vf acc, const weight_pair *w, const act_pair *x, int has_min)
{
    __m512i hi = dot_bytes(_mm512_setzero_si512(), w->u, x->hi), lo = dot_bytes(x->fix, w->u, x->lo);
    acc = vf_fma(_mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(hi, 8), lo)), w->scale * x->d, acc);
    return has_min ? vf_fma(w->min, x->d_sum, acc) : acc;
}

static inline __attribute__((always_inline)) void gemv_rows(float *out, const uint8_t *w, size_t row_bytes,
                                                            const act_block *x, size_t k, unsigned rows, block_kind kind)
{
    vf acc[MAX_ROWS];
    /* Many rows at once are many streams, which the hardware follows badly. So the next rows are fetched ahead, as
     * one stream, while these are computed. */
    const uint8_t *ahead = w + rows * row_bytes;
    unsigned step = rows * kind.bytes;
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
        acc[r] = vf_zero();
    for (size_t n = k / (2 * QK * kind.pairs); n > 0; n--, w += kind.bytes) {
        super_scales s[MAX_ROWS];
#pragma GCC unroll 16
        for (unsigned at = 0; at < step; at += 64)
            _mm_prefetch(ahead + at, _MM_HINT_T0);
        ahead += step;
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++)
            s[r] = kind.prepare(w + r * row_bytes);
#pragma GCC unroll 8
        for (unsigned pair = 0; pair < kind.pairs; pair++, x += 2) {
            act_pair a = act_load(x, 1, kind.offset, kind.has_min);
#pragma GCC unroll 8
            for (unsigned r = 0; r < rows; r++) {
                weight_pair p = kind.load(w + r * row_bytes, pair, &s[r], 1);
                acc[r] = dot_pair(acc[r], &p, &a, kind.has_min);
            }
        }
    }
    if (kind.pairs == 1 && k % (2 * QK)) { /* an odd block of 32 */
        act_pair a = act_load(x, 0, kind.offset, kind.has_min);
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++) {
            weight_pair p = kind.load(w + r * row_bytes, 0, NULL, 0);
            acc[r] = dot_pair(acc[r], &p, &a, kind.has_min);
        }
    }
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
        out[r] = vf_sum(acc[r]);
}

#define GEMV(type, rows, step_bytes, step_pairs, weight_offset, with_min, prepare_scales)                              \
    static void gemv_##type(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)     \
    {                                                                                                                  \
        const block_kind kind = { prepare_scales, load_##type, step_bytes, step_pairs, weight_offset, with_min };      \
        size_t row_bytes = k / QK * (step_bytes) / (2 * (step_pairs)), r = 0;                                          \
        const act_block *a = x;                                                                                        \
        for (; r + (rows) <= n; r += (rows))                                                                           \
            for (size_t j = 0; j < m; j++)                                                                             \
                gemv_rows(out + j * ld_out + r, (const uint8_t *)w + r * row_bytes, row_bytes, a + j * (k / QK), k,    \
                          rows, kind);                                                                                 \
        for (; r < n; r++)                                                                                             \
            for (size_t j = 0; j < m; j++)                                                                             \
                gemv_rows(out + j * ld_out + r, (const uint8_t *)w + r * row_bytes, row_bytes, a + j * (k / QK), k, 1, \
                          kind);                                                                                       \
    }

GEMV(q8_0, 8, 2 * sizeof(block_q8_0), 1, 128, 0, prepare_none)
GEMV(q4_0, 8, 2 * sizeof(block_q4_0), 1, 8, 0, prepare_none)
GEMV(q4_1, 8, 2 * sizeof(block_q4_1), 1, 0, 1, prepare_none)
GEMV(q5_0, 8, 2 * sizeof(block_q5_0), 1, 16, 0, prepare_none)
GEMV(q5_1, 8, 2 * sizeof(block_q5_1), 1, 0, 1, prepare_none)
GEMV(q6_k, 4, sizeof(block_q6_k), 4, 32, 0, prepare_q6_k)
GEMV(q4_k, 4, sizeof(block_q4_k), 4, 0, 1, prepare_k)
GEMV(q5_k, 4, sizeof(block_q5_k), 4, 0, 1, prepare_k)

void kernels_fill_avx512vnni(kernels *k)
{
    k->gemv[QUANT_Q8_0] = gemv_q8_0;
    k->gemv[QUANT_Q4_0] = gemv_q4_0;
    k->gemv[QUANT_Q4_1] = gemv_q4_1;
    k->gemv[QUANT_Q5_0] = gemv_q5_0;
    k->gemv[QUANT_Q5_1] = gemv_q5_1;
    k->gemv[QUANT_Q6_K] = gemv_q6_k;
    k->gemv[QUANT_Q4_K] = gemv_q4_k;
    k->gemv[QUANT_Q5_K] = gemv_q5_k;
}
