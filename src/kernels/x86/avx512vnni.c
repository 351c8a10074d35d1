/* AVX-512 with VNNI and BF16: products with block-quantized weights by vpdpbusd, 64 elements (a pair of blocks of
 * 32) at a time. Weights are made unsigned, u = w + offset; the activations' integer is 256 hi + lo, so
 *   sum u v = 256 sum u hi + sum u lo,  sum w v = sum u v - offset sum v
 * hold exactly in 32-bit lanes of 4 elements each (4 * 255 * 32639 < 2^25), and each lane of the result, at most 4 * 128 *
 * 32639 < 2^24, converts to float exactly. Then one multiply-add per lane with weight scale * activation scale. Types
 * with a minimum add minimum * activation scale * sum v instead of the offset.
 *
 * (A high nibble left in place is 16 u, its lane 16 times the sum of at most 15 u: the same bounds hold.)
 * Rows go by in runs of 8 blocks (256 elements): scales are gathered, converted and multiplied once per run. */
#if !defined(__AVX512VNNI__) || !defined(__AVX512VBMI__)
#error "build with the AVX-512 VNNI flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

enum {
    RUN = 8,       /* blocks of 32 in a run */
    MAX_ROWS = 8,  /* weight rows taken at once: they share the work on activations */
};

/* Inline assembly: gcc 12 copies accumulators around the intrinsic. */
static inline __m512i dot_bytes(__m512i acc, __m512i u, __m512i s)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(u), "v"(s));
    return acc;
}

static inline __m256i load_bytes(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline __m512i load_64(const void *p) { return _mm512_loadu_si512(p); }
static inline __m512i join(__m256i low, __m256i high) { return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1); }
static inline __m512i both_halves(const uint8_t *p) { return _mm512_broadcast_i64x4(load_bytes(p)); }

/* 16-bit shift counts: a in the lower 32 bytes, b in the upper */
static inline __m512i counts(int a, int b) { return join(_mm256_set1_epi16((short)a), _mm256_set1_epi16((short)b)); }

/* Which of a run's 16 scales belongs to a lane of a pair, and what it is multiplied by. */
typedef enum lane_plan {
    LANES_BLOCKS,        /* 8 lanes per block */
    LANES_GROUPS_16,     /* 4 lanes per group of 16: scales 0 .. 15 are groups (Q6_K) */
    LANES_NIBBLES_16,    /* of a block's 8 lanes the last 4 hold 16 u (Q4_0, Q4_1) */
    LANES_NIBBLES_BLOCK, /* odd blocks hold 16 u (Q4_K) */
} lane_plan;

/* ---- activations ---- */

typedef struct act_run { /* lane i and lane i + 8 belong to block i of the run */
    vf d;
    vf d_sum; /* d * sum v of the block; lanes 8 .. 15 are 0 */
} act_run;

/* n blocks, the others count as 0. */
static inline __attribute__((always_inline)) act_run act_load_run(const act_block *x, size_t n, int has_min)
{
    float d[RUN];
    int32_t sum[RUN];
#pragma GCC unroll 8
    for (size_t i = 0; i < RUN; i++) {
        d[i] = i < n ? x[i].d : 0.0f;
        sum[i] = i < n ? x[i].sum[0] + x[i].sum[1] : 0;
    }
    __m256 dv = _mm256_setr_ps(d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
    act_run a = { _mm512_broadcast_f32x8(dv), vf_zero() };
    if (has_min) {
        __m256i s = _mm256_setr_epi32(sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]);
        a.d_sum = _mm512_zextps256_ps512(_mm256_mul_ps(dv, _mm256_cvtepi32_ps(s)));
    }
    return a;
}

typedef struct act_pair { /* two blocks */
    __m512i hi, lo;
    __m512i fix; /* -offset * sum v of each lane's four elements */
} act_pair;

/* Without second the upper half is 0. */
static inline __attribute__((always_inline)) act_pair act_load_pair(const act_block *x, int second, int offset,
                                                                    lane_plan lanes)
{
    act_pair a;
    __m256i none = _mm256_setzero_si256();
    a.hi = join(load_bytes(x->hi), second ? load_bytes(x[1].hi) : none);
    a.lo = join(load_bytes(x->lo), second ? load_bytes(x[1].lo) : none);
    a.fix = _mm512_setzero_si512();
    if (offset) {
        __m512i unit = _mm512_set1_epi8((char)offset);
        if (lanes == LANES_NIBBLES_16)
            unit = _mm512_mask_slli_epi32(unit, 0xf0f0, unit, 4); /* offset < 16 */
        __m512i hi = dot_bytes(a.fix, unit, a.hi);
        a.fix = _mm512_sub_epi32(a.fix, dot_bytes(_mm512_slli_epi32(hi, 8), unit, a.lo));
    }
    return a;
}

/* ---- weights ---- */

/* Of a run. Blocks of 32: lanes i and i + 8 belong to block i. Q6_K: lane i to group i of 16 elements. */
typedef struct weight_scales {
    vf scale, min;
} weight_scales;

/* Scales of a run of n blocks; n is RUN where scales_fn is called for a constant n. */
typedef weight_scales (*scales_fn)(const uint8_t *blocks, size_t n);
/* Quants of pair 0 .. 3 of a run as 64 unsigned bytes, elements in order; without second the upper half is 0. */
typedef __m512i (*quants_fn)(const uint8_t *blocks, unsigned pair, int second);

/* The halves at byte at of n blocks of the given size, in lanes i and i + 8. A full run of 8 * bytes >= 144 is fetched
 * by shuffling words out of its first 128 bytes (blocks 0 .. 3) and of 128 bytes that hold blocks 4 .. 7. */
static inline __attribute__((always_inline)) vf block_halves(const uint8_t *b, int at, int bytes, size_t n)
{
    if (n < RUN) {
        uint16_t h[RUN] = { 0 };
        for (size_t i = 0; i < n; i++)
            memcpy(&h[i], b + at + i * (size_t)bytes, sizeof *h);
        return _mm512_cvtph_ps(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)h)));
    }
    int skip = 4 * bytes < 8 * bytes - 128 ? 4 * bytes : 8 * bytes - 128, u = at / 2, s = bytes / 2, v = u - skip / 2;
    __m512i first = _mm512_castsi256_si512(_mm256_broadcastsi128_si256(
        _mm_setr_epi16((short)u, (short)(u + s), (short)(u + 2 * s), (short)(u + 3 * s), 0, 0, 0, 0)));
    __m512i last = _mm512_castsi256_si512(_mm256_broadcastsi128_si256(_mm_setr_epi16(
        0, 0, 0, 0, (short)(v + 4 * s), (short)(v + 5 * s), (short)(v + 6 * s), (short)(v + 7 * s))));
    __m512i low = _mm512_permutex2var_epi16(load_64(b), first, load_64(b + 64));
    __m512i high = _mm512_permutex2var_epi16(load_64(b + skip), last, load_64(b + skip + 64));
    return _mm512_cvtph_ps(_mm256_blend_epi16(_mm512_castsi512_si256(low), _mm512_castsi512_si256(high), 0xf0));
}

#define SCALES_32(type, with_min)                                                                                      \
    static inline __attribute__((always_inline)) weight_scales scales_##type(const uint8_t *b, size_t n)               \
    {                                                                                                                  \
        weight_scales s = { block_halves(b, 0, sizeof(block_##type), n), vf_zero() };                                  \
        if (with_min)                                                                                                  \
            s.min = block_halves(b, 2, sizeof(block_##type), n);                                                       \
        return s;                                                                                                      \
    }
SCALES_32(q8_0, 0)
SCALES_32(q4_0, 0)
SCALES_32(q4_1, 1)
SCALES_32(q5_0, 0)
SCALES_32(q5_1, 1)

/* 4-bit types leave high nibbles where they are, 16 u: their lanes' scales are divided by 16, which is exact. */

/* Two blocks' 16 bytes of nibbles twice each. */
static inline __m512i twice_16(const uint8_t *b, size_t bytes, int second)
{
    __m512i q = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)b));
    return second ? _mm512_mask_broadcast_i32x4(q, 0xff00, _mm_loadu_si128((const __m128i *)(b + bytes)))
                  : _mm512_zextsi256_si512(_mm512_castsi512_si256(q));
}

/* Low nibbles are elements 0 .. 15 of a block, high ones 16 .. 31. */
static inline __m512i nibble_pair(const uint8_t *b, size_t bytes, int second)
{
    const __m512i shifts = _mm512_set_epi64(0x0004000400040004, 0x0004000400040004, 0, 0, 0x0004000400040004,
                                            0x0004000400040004, 0, 0);
    return _mm512_and_si512(_mm512_srlv_epi16(twice_16(b, bytes, second), shifts), _mm512_set1_epi8(15));
}

static inline __m512i nibble_pair_in_place(const uint8_t *b, size_t bytes, int second)
{
    const __m512i mask = _mm512_set_epi64((long long)0xf0f0f0f0f0f0f0f0, (long long)0xf0f0f0f0f0f0f0f0, 0x0f0f0f0f0f0f0f0f,
                                          0x0f0f0f0f0f0f0f0f, (long long)0xf0f0f0f0f0f0f0f0,
                                          (long long)0xf0f0f0f0f0f0f0f0, 0x0f0f0f0f0f0f0f0f, 0x0f0f0f0f0f0f0f0f);
    return _mm512_and_si512(twice_16(b, bytes, second), mask);
}

/* Adds 16 where the bits of two blocks' 32-bit words are set. */
static inline __m512i with_fifth_bits(__m512i q, const uint8_t *b, size_t bytes, int second)
{
    uint32_t low, high = 0;
    memcpy(&low, b, sizeof low);
    if (second)
        memcpy(&high, b + bytes, sizeof high);
    return _mm512_mask_add_epi8(q, (uint64_t)high << 32 | low, q, _mm512_set1_epi8(16));
}

static inline __m512i quants_q8_0(const uint8_t *b, unsigned pair, int second)
{
    b += 2 * pair * sizeof(block_q8_0) + 2;
    __m512i q = join(load_bytes(b), second ? load_bytes(b + sizeof(block_q8_0)) : _mm256_setzero_si256());
    return _mm512_xor_si512(q, _mm512_set1_epi8(-128));
}

static inline __m512i quants_q4_0(const uint8_t *b, unsigned pair, int second)
{
    return nibble_pair_in_place(b + 2 * pair * sizeof(block_q4_0) + 2, sizeof(block_q4_0), second);
}

static inline __m512i quants_q4_1(const uint8_t *b, unsigned pair, int second)
{
    return nibble_pair_in_place(b + 2 * pair * sizeof(block_q4_1) + 4, sizeof(block_q4_1), second);
}

static inline __m512i quants_q5_0(const uint8_t *b, unsigned pair, int second)
{
    b += 2 * pair * sizeof(block_q5_0);
    return with_fifth_bits(nibble_pair(b + 6, sizeof(block_q5_0), second), b + 2, sizeof(block_q5_0), second);
}

static inline __m512i quants_q5_1(const uint8_t *b, unsigned pair, int second)
{
    b += 2 * pair * sizeof(block_q5_1);
    return with_fifth_bits(nibble_pair(b + 8, sizeof(block_q5_1), second), b + 4, sizeof(block_q5_1), second);
}

/* ---- superblocks of 256 are runs ---- */

static inline vf half_everywhere(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm512_cvtph_ps(_mm256_set1_epi16((short)h));
}

static inline weight_scales scales_q6_k(const uint8_t *b, size_t n)
{
    __m128i sc = _mm_loadu_si128((const __m128i *)(b + offsetof(block_q6_k, scales)));
    vf scale = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sc)) * half_everywhere(b + offsetof(block_q6_k, d));
    return (weight_scales){ scale, vf_zero() };
}

static inline __m512i quants_q6_k(const uint8_t *b, unsigned pair, int second)
{
    unsigned half = pair / 2; /* 128 elements: pair 0 the low nibbles of 64 bytes, pair 1 the high ones */
    __m512i low = load_64(b + 64 * half);
    __m512i high = both_halves(b + offsetof(block_q6_k, qh) + 32 * half); /* bits 5 and 6 of quarter i: 2 i, 2 i + 1 */
    if (pair % 2) {
        low = _mm512_srli_epi16(low, 4);
        high = _mm512_srlv_epi16(high, counts(0, 2));
    } else {
        high = _mm512_sllv_epi16(high, counts(4, 2));
    }
    high = _mm512_and_si512(high, _mm512_set1_epi8(0x30));
    return _mm512_ternarylogic_epi32(high, low, _mm512_set1_epi8(15), 0xf8); /* high | (low & 15) */
}

/* Q4_K and Q5_K begin alike: d, dmin, 12 bytes with eight 6-bit scales and minima (quant_k_scale_min). */
static inline weight_scales scales_k(const uint8_t *b, size_t n)
{
    uint32_t s[3];
    memcpy(s, b + offsetof(block_q4_k, scales), sizeof s);
    uint64_t scale = (s[0] & 0x3f3f3f3f) |
                     (uint64_t)((s[2] & 0x0f0f0f0f) | (s[0] >> 6 & 0x03030303) << 4) << 32;
    uint64_t min = (s[1] & 0x3f3f3f3f) |
                   (uint64_t)((s[2] >> 4 & 0x0f0f0f0f) | (s[1] >> 6 & 0x03030303) << 4) << 32;
    vf sv = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_set1_epi64x((long long)scale)));
    vf mv = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_set1_epi64x((long long)min)));
    return (weight_scales){ sv * half_everywhere(b), vf_zero() - mv * half_everywhere(b + 2) };
}

static inline __m512i quants_q4_k(const uint8_t *b, unsigned pair, int second)
{
    __m512i q = both_halves(b + offsetof(block_q4_k, qs) + 32 * pair);
    return _mm512_and_si512(q, join(_mm256_set1_epi8(0x0f), _mm256_set1_epi8((char)0xf0)));
}

static inline __m512i quants_q5_k(const uint8_t *b, unsigned pair, int second)
{
    __m512i q = _mm512_srlv_epi16(both_halves(b + offsetof(block_q5_k, qs) + 32 * pair), counts(0, 4));
    __m512i high = both_halves(b + offsetof(block_q5_k, qh)); /* bit 5 of block j: bit j */
    if (pair < 2)
        high = _mm512_sllv_epi16(high, counts(4 - 2 * (int)pair, 3 - 2 * (int)pair));
    else
        high = _mm512_srlv_epi16(high, counts(2 * (int)pair - 4, 2 * (int)pair - 3));
    high = _mm512_and_si512(high, _mm512_set1_epi8(16));
    return _mm512_ternarylogic_epi32(high, q, _mm512_set1_epi8(15), 0xf8); /* high | (q & 15) */
}

/* ---- rows ---- */

typedef struct block_kind {
    scales_fn scales;
    quants_fn quants;
    unsigned bytes; /* of a run */
    int offset, has_min;
    lane_plan lanes;
} block_kind;

/* Activation scales as they meet the scales of a run of weights. */
static inline vf plan_scales(vf d, lane_plan lanes)
{
    const vf part = vf_set1(1.0f / 16);
    switch (lanes) {
    case LANES_GROUPS_16: return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), d);
    case LANES_NIBBLES_16: return _mm512_mask_mul_ps(d, 0xff00, d, part); /* blocks again in lanes 8 .. 15 */
    case LANES_NIBBLES_BLOCK: return _mm512_mask_mul_ps(d, 0xaaaa, d, part);
    default: return d;
    }
}

/* Of each lane of a pair: the lane of its scale. */
static inline __m512i plan_lanes(unsigned pair, lane_plan lanes)
{
    __m512i at = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    if (lanes == LANES_GROUPS_16)
        at = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    else if (lanes == LANES_NIBBLES_16)
        at = _mm512_setr_epi32(0, 0, 0, 0, 8, 8, 8, 8, 1, 1, 1, 1, 9, 9, 9, 9);
    return _mm512_add_epi32(at, _mm512_set1_epi32((int)(pair * (lanes == LANES_GROUPS_16 ? 4 : 2))));
}

/* acc[r] += w_r . x over a run of n blocks, w_r = w + r * row_bytes. rows and kind are constants at the call, and n
 * too but for the last run of a row. Fetches what lies ahead, as many bytes as it uses. */
static inline __attribute__((always_inline)) void dot_run(vf acc[MAX_ROWS], const uint8_t *w, size_t row_bytes,
                                                          const act_block *x, size_t n, const uint8_t *ahead,
                                                          unsigned rows, block_kind kind)
{
    act_run a = act_load_run(x, n, kind.has_min);
    a.d = plan_scales(a.d, kind.lanes);
    vf scale[MAX_ROWS];
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++) {
        weight_scales s = kind.scales(w + r * row_bytes, n);
        scale[r] = s.scale * a.d;
        if (kind.has_min)
            acc[r] = vf_fma(s.min, a.d_sum, acc[r]);
    }
#pragma GCC unroll 4
    for (unsigned pair = 0; pair < (n + 1) / 2; pair++) {
#pragma GCC unroll 16
        for (unsigned at = 0; at < rows * kind.bytes / 4; at += 64) {
            const uint8_t *line = ahead + pair * (rows * kind.bytes / 4) + at;
            _mm_prefetch(line, _MM_HINT_T0);
            _mm_prefetch(line + 3 * rows * row_bytes, _MM_HINT_T1);
        }
        int second = 2 * pair + 1 < n;
        act_pair p = act_load_pair(x + 2 * pair, second, kind.offset, kind.lanes);
        __m512i at = plan_lanes(pair, kind.lanes);
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++) {
            __m512i u = kind.quants(w + r * row_bytes, pair, second);
            __m512i hi = dot_bytes(_mm512_setzero_si512(), u, p.hi), lo = dot_bytes(p.fix, u, p.lo);
            vf sum = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(hi, 8), lo));
            acc[r] = vf_fma(sum, _mm512_permutexvar_ps(at, scale[r]), acc[r]);
        }
    }
}

/* Many rows at once are many streams, which the hardware follows badly. So while these rows are computed, those three
 * steps further on come to the second cache and the next ones to the first, each as one stream. */
static inline __attribute__((always_inline)) void gemv_rows(float *out, const uint8_t *w, size_t row_bytes,
                                                            const act_block *x, size_t k, unsigned rows, block_kind kind)
{
    vf acc[MAX_ROWS];
    const uint8_t *ahead = w + rows * row_bytes;
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
        acc[r] = vf_zero();
    size_t n = k / QK;
    for (; n >= RUN; n -= RUN, w += kind.bytes, x += RUN, ahead += rows * kind.bytes)
        dot_run(acc, w, row_bytes, x, RUN, ahead, rows, kind);
    if (n > 0)
        dot_run(acc, w, row_bytes, x, n, ahead, rows, kind);
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
        out[r] = vf_sum(acc[r]);
}

#define GEMV(type, rows, run_bytes, weight_offset, with_min, lanes, scales)                                            \
    static void gemv_##type(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)     \
    {                                                                                                                  \
        const block_kind kind = { scales, quants_##type, run_bytes, weight_offset, with_min, lanes };                  \
        size_t row_bytes = k / QK * ((run_bytes) / RUN) + k / (RUN * QK) * ((run_bytes) % RUN), r = 0;                 \
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

GEMV(q8_0, 8, RUN * sizeof(block_q8_0), 128, 0, LANES_BLOCKS, scales_q8_0)
GEMV(q4_0, 8, RUN * sizeof(block_q4_0), 8, 0, LANES_NIBBLES_16, scales_q4_0)
GEMV(q4_1, 8, RUN * sizeof(block_q4_1), 0, 1, LANES_NIBBLES_16, scales_q4_1)
GEMV(q5_0, 8, RUN * sizeof(block_q5_0), 16, 0, LANES_BLOCKS, scales_q5_0)
GEMV(q5_1, 8, RUN * sizeof(block_q5_1), 0, 1, LANES_BLOCKS, scales_q5_1)
GEMV(q6_k, 8, sizeof(block_q6_k), 32, 0, LANES_GROUPS_16, scales_q6_k)
GEMV(q4_k, 8, sizeof(block_q4_k), 0, 1, LANES_NIBBLES_BLOCK, scales_k)
GEMV(q5_k, 8, sizeof(block_q5_k), 0, 1, LANES_BLOCKS, scales_k)

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
    kernels_fill_avx512bf16(k);
    kernels_fill_avx512int8(k);
}
