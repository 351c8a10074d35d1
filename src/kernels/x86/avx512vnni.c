/* AVX-512 with VNNI: products with block-quantized weights by vpdpwssd, with 16-bit integers on both sides.
 *
 * Weights are processed in quads of four blocks of 32. A quad becomes four vectors of 16-bit words, [8 words of each
 * block]. Four chained vpdpwssd then sum 128 products into 16 lanes, four per block, and one conversion and one
 * multiply-add with the blocks' scales finish them. The order of elements is the one that is cheapest to unpack from
 * nibbles (act_run in kernels.h): w[2 * odd + half][8 * block + i] is element 16 half + 2 i + odd of the block. Types
 * with unsigned quants, u = w + offset, start the sums from -offset * sum of the activations.
 *
 * Sums are exact in 32-bit lanes: 8 products of at most 128 * 32767. Two quads, a run of 256 elements, share a scale of
 * the activations, which is applied last. The order of a sum over k does not depend on m or the number of rows. */
#if !defined(__AVX512VNNI__) || !defined(__AVX512VBMI__)
#error "build with the AVX-512 VNNI flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

enum {
    BLOCKS = ACT_RUN / QK, /* in a run */
    ONE_ROWS = 4,          /* weight rows per pass with one activation row: they share its loads */
    MANY_ROWS = 2,         /* weight rows per pass with several activation rows, which share the unpacking */
};

/* Inline assembly: gcc 12 copies accumulators around the intrinsic. */
static inline __m512i dot_words(__m512i acc, __m512i a, __m512i b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}

static inline __m512i load_64(const void *p) { return _mm512_loadu_si512(p); }
static inline __m512i both_halves(const uint8_t *p)
{
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline __m512i join(__m256i low, __m256i high)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
/* 16-bit shift counts: a in the lower 32 bytes, b in the upper */
static inline __m512i counts(int a, int b) { return join(_mm256_set1_epi16((short)a), _mm256_set1_epi16((short)b)); }

/* ---- activations ---- */

static vf run_max(const float *x, size_t n)
{
    vf max = vf_zero();
    for (size_t i = 0; i < n; i += VL)
        max = vf_max(vf_abs(vf_load(x + i)), max);
    return max;
}

/* Words of 16 consecutive elements. */
static inline __m256i act_words(const float *x, vf inverse)
{
    return _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(vf_load(x) * inverse));
}

static void quantize_quad(act_run *out, unsigned q, const float *x, vf inverse)
{
    const __m512i even = _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26,
                                          24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi16(even, _mm512_set1_epi16(1)), one = _mm512_set1_epi16(1);
    for (unsigned h = 0; h < 2; h++) {
        __m512i ab = join(act_words(x + 16 * h, inverse), act_words(x + QK + 16 * h, inverse));
        __m512i cd = join(act_words(x + 2 * QK + 16 * h, inverse), act_words(x + 3 * QK + 16 * h, inverse));
        __m512i v0 = _mm512_permutex2var_epi16(ab, even, cd), v1 = _mm512_permutex2var_epi16(ab, odd, cd);
        _mm512_storeu_si512(out->v[q][h], v0);
        _mm512_storeu_si512(out->v[q][2 + h], v1);
        _mm512_storeu_si512(out->sum[q][h], dot_words(dot_words(_mm512_setzero_si512(), v0, one), v1, one));
    }
}

static void quantize_act(void *out, const float *x, size_t n)
{
    for (act_run *run = out; n > 0; run++) {
        size_t m = n < ACT_RUN ? n : ACT_RUN;
        float top = vf_hmax(run_max(x, m)), padded[ACT_RUN] = { 0 };
        const float *from = x;
        if (m < ACT_RUN)
            from = memcpy(padded, x, m * sizeof *x);
        bool zero = !(top >= ACT_MIN);
        run->d = zero ? 0.0f : top / ACT_RUN_MAX;
        vf inverse = vf_set1(zero ? 0.0f : ACT_RUN_MAX / top);
        quantize_quad(run, 0, from, inverse);
        quantize_quad(run, 1, from + ACT_RUN / 2, inverse);
        x += m;
        n -= m;
    }
}

/* ---- weights ---- */

typedef struct quad {
    __m512i w[4];
    vf scale[2]; /* 4 lanes per block: of the two halves of blocks (Q6_K), else [0] of whole blocks */
    vf min;      /* 4 lanes per block */
} quad;

/* Scales for both quads of a superblock (Q6_K: of 16 groups; else of 8 blocks, then 8 minima). */
typedef vf (*scales_fn)(const uint8_t *run);
/* Quad q, 0 or 1, of a run. */
typedef quad (*quad_fn)(const uint8_t *run, unsigned q, vf scales);

/* Four blocks of a size as two vectors: the first 64 bytes, and as many of the last bytes as needed. 64-byte loads
 * nearly always cross a cache line, which doubles their cost; so there are as few as possible, and loaded vectors are
 * kept. */
typedef struct blocks_4 {
    __m512i a, b;
} blocks_4;

/* Where b begins. */
#define SECOND_AT(size) (4 * (size) <= 80 ? 4 * (size)-16 : 4 * (size) <= 96 ? 4 * (size)-32 : 64)

static inline __attribute__((always_inline)) blocks_4 load_blocks(const uint8_t *p, int size)
{
    const uint8_t *at = p + SECOND_AT(size);
    blocks_4 r = { load_64(p), _mm512_setzero_si512() };
    if (4 * size <= 80)
        r.b = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)at));
    else if (4 * size <= 96)
        r.b = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)at));
    else
        r.b = load_64(at);
    __asm__("" : "+v"(r.a), "+v"(r.b)); /* else gcc reloads for every use */
    return r;
}

/* Index of the byte at o; the caller handles bytes that are in neither vector. */
#define FROM(o, size) (char)((o) < 64 ? (o) : 64 + (o)-SECOND_AT(size))
#define FROM_4(o, s) FROM(o, s), FROM((o) + 1, s), FROM((o) + 2, s), FROM((o) + 3, s)
#define FROM_16(o, s) FROM_4(o, s), FROM_4((o) + 4, s), FROM_4((o) + 8, s), FROM_4((o) + 12, s)
/* 16 bytes of each block, from at on. */
#define BYTES_OF_FOUR(at, s)                                                                                           \
    {                                                                                                                  \
        FROM_16(at, s), FROM_16((at) + (s), s), FROM_16((at) + 2 * (s), s), FROM_16((at) + 3 * (s), s)                 \
    }
/* One 16-bit word of each block, eight times. */
#define TWICE(o, s) FROM(o, s), FROM((o) + 1, s), FROM(o, s), FROM((o) + 1, s)
#define WORD_8(o, s) TWICE(o, s), TWICE(o, s), TWICE(o, s), TWICE(o, s)
#define WORD_OF_FOUR(at, s)                                                                                            \
    {                                                                                                                  \
        WORD_8(at, s), WORD_8((at) + (s), s), WORD_8((at) + 2 * (s), s), WORD_8((at) + 3 * (s), s)                     \
    }

static inline __m512i pick(blocks_4 b, const char index[64])
{
    return _mm512_permutex2var_epi8(b.a, load_64(index), b.b);
}

/* The float16 at byte at of four blocks, four lanes each. */
static inline __attribute__((always_inline)) vf pick_halves(blocks_4 b, int at, int size)
{
#define HALF(i) (short)(FROM(at + (i)*size, size) / 2)
    __m256i index = _mm256_setr_epi16(HALF(0), HALF(0), HALF(0), HALF(0), HALF(1), HALF(1), HALF(1), HALF(1), HALF(2),
                                      HALF(2), HALF(2), HALF(2), HALF(3), HALF(3), HALF(3), HALF(3));
#undef HALF
    __m512i from = _mm512_castsi256_si512(index);
    __m512i words =
        at + 3 * size < 64 ? _mm512_permutexvar_epi16(from, b.a) : _mm512_permutex2var_epi16(b.a, from, b.b);
    return _mm512_cvtph_ps(_mm512_castsi512_si256(words));
}

/* first, second: the first and second 16 elements of the blocks. */
static inline void words_of_bytes(__m512i w[4], __m512i first, __m512i second)
{
    const __m512i low = _mm512_set1_epi16(255);
    w[0] = _mm512_and_si512(first, low);
    w[1] = _mm512_and_si512(second, low);
    w[2] = _mm512_srli_epi16(first, 8);
    w[3] = _mm512_srli_epi16(second, 8);
}

/* Low nibbles are elements 0 .. 15 of a block, high ones 16 .. 31. */
static inline void words_of_nibbles(__m512i w[4], __m512i q)
{
    const __m512i low = _mm512_set1_epi16(15);
    w[0] = _mm512_and_si512(q, low);
    w[1] = _mm512_and_si512(_mm512_srli_epi16(q, 4), low);
    w[2] = _mm512_and_si512(_mm512_srli_epi16(q, 8), low);
    w[3] = _mm512_srli_epi16(q, 12);
}

/* Adds 16 to elements whose fifth bit is set. bits[h]: the 16 bits of half h of a block, in each word of the block. */
static inline void add_fifth_bits(__m512i w[4], const __m512i bits[2])
{
    const __m512i even =
        _mm512_set4_epi64(0x4000100004000100, 0x0040001000040001, 0x4000100004000100, 0x0040001000040001);
    const __m512i sixteen = _mm512_set1_epi16(16);
    for (int h = 0; h < 2; h++) {
        w[h] = _mm512_mask_add_epi16(w[h], _mm512_test_epi16_mask(bits[h], even), w[h], sixteen);
        w[2 + h] = _mm512_mask_add_epi16(w[2 + h], _mm512_test_epi16_mask(bits[h], _mm512_slli_epi16(even, 1)),
                                         w[2 + h], sixteen);
    }
}

/* Like words_of_bytes, for signed bytes. */
static inline void words_of_signed_bytes(__m512i w[4], __m512i first, __m512i second)
{
    w[0] = _mm512_srai_epi16(_mm512_slli_epi16(first, 8), 8);
    w[1] = _mm512_srai_epi16(_mm512_slli_epi16(second, 8), 8);
    w[2] = _mm512_srai_epi16(first, 8);
    w[3] = _mm512_srai_epi16(second, 8);
}

static inline __attribute__((always_inline)) quad quad_q8_0(const uint8_t *run, unsigned q, vf scales)
{
    enum { SIZE = sizeof(block_q8_0) };
    static const _Alignas(64) char first_16[64] = BYTES_OF_FOUR(2, SIZE), last_16[64] = BYTES_OF_FOUR(18, SIZE);
    const uint8_t *p = run + q * 4 * SIZE;
    blocks_4 b = load_blocks(p, SIZE);
    __m512i first = pick(b, first_16), second = pick(b, last_16);
    second = _mm512_inserti32x4(second, _mm_loadu_si128((const __m128i *)(const void *)(p + 4 * SIZE - 16)), 3);
    quad r;
    words_of_signed_bytes(r.w, first, second);
    r.scale[0] = pick_halves(b, 0, SIZE);
    return r;
}

static inline __attribute__((always_inline)) quad quad_q4_0(const uint8_t *run, unsigned q, vf scales)
{
    enum { SIZE = sizeof(block_q4_0) };
    static const _Alignas(64) char index[64] = BYTES_OF_FOUR(2, SIZE);
    blocks_4 b = load_blocks(run + q * 4 * SIZE, SIZE);
    quad r;
    words_of_nibbles(r.w, pick(b, index));
    r.scale[0] = pick_halves(b, 0, SIZE);
    return r;
}

static inline __attribute__((always_inline)) quad quad_iq4_nl(const uint8_t *run, unsigned q, vf scales)
{
    enum { SIZE = sizeof(block_iq4_nl) };
    static const _Alignas(64) char index[64] = BYTES_OF_FOUR(2, SIZE);
    const __m512i book = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)quant_iq4_nl));
    const __m512i low = _mm512_set1_epi8(15);
    blocks_4 b = load_blocks(run + q * 4 * SIZE, SIZE);
    __m512i nibbles = pick(b, index);
    __m512i first = _mm512_shuffle_epi8(book, _mm512_and_si512(nibbles, low));
    __m512i second = _mm512_shuffle_epi8(book, _mm512_and_si512(_mm512_srli_epi16(nibbles, 4), low));
    quad r;
    words_of_signed_bytes(r.w, first, second);
    r.scale[0] = pick_halves(b, 0, SIZE);
    return r;
}

static inline __attribute__((always_inline)) quad quad_q4_1(const uint8_t *run, unsigned q, vf scales)
{
    enum { SIZE = sizeof(block_q4_1) };
    static const _Alignas(64) char index[64] = BYTES_OF_FOUR(4, SIZE);
    blocks_4 b = load_blocks(run + q * 4 * SIZE, SIZE);
    quad r;
    words_of_nibbles(r.w, pick(b, index));
    r.scale[0] = pick_halves(b, 0, SIZE);
    r.min = pick_halves(b, 2, SIZE);
    return r;
}

static inline __attribute__((always_inline)) quad quad_q5_0(const uint8_t *run, unsigned q, vf scales)
{
    enum { SIZE = sizeof(block_q5_0) };
    static const _Alignas(64) char index[64] = BYTES_OF_FOUR(6, SIZE);
    static const _Alignas(64) char bits[2][64] = { WORD_OF_FOUR(2, SIZE), WORD_OF_FOUR(4, SIZE) };
    blocks_4 b = load_blocks(run + q * 4 * SIZE, SIZE);
    quad r;
    words_of_nibbles(r.w, pick(b, index));
    add_fifth_bits(r.w, (const __m512i[]){ pick(b, bits[0]), pick(b, bits[1]) });
    r.scale[0] = pick_halves(b, 0, SIZE);
    return r;
}

static inline __attribute__((always_inline)) quad quad_q5_1(const uint8_t *run, unsigned q, vf scales)
{
    enum { SIZE = sizeof(block_q5_1) };
    static const _Alignas(64) char index[64] = BYTES_OF_FOUR(8, SIZE);
    static const _Alignas(64) char bits[2][64] = { WORD_OF_FOUR(4, SIZE), WORD_OF_FOUR(6, SIZE) };
    blocks_4 b = load_blocks(run + q * 4 * SIZE, SIZE);
    quad r;
    words_of_nibbles(r.w, pick(b, index));
    add_fifth_bits(r.w, (const __m512i[]){ pick(b, bits[0]), pick(b, bits[1]) });
    r.scale[0] = pick_halves(b, 0, SIZE);
    r.min = pick_halves(b, 2, SIZE);
    return r;
}

/* ---- superblocks of 256 are runs ---- */

static inline vf half_everywhere(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm512_cvtph_ps(_mm256_set1_epi16((short)h));
}

static inline vf scales_q6_k(const uint8_t *run)
{
    __m128i sc = _mm_loadu_si128((const __m128i *)(const void *)(run + offsetof(block_q6_k, scales)));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sc)) * half_everywhere(run + offsetof(block_q6_k, d));
}

static inline __attribute__((always_inline)) quad quad_q6_k(const uint8_t *run, unsigned q, vf scales)
{
    /* 128 elements: low nibbles of 64 bytes, then high ones; bits 5 and 6 of quarter i: 2 i, 2 i + 1 of 32 bytes */
    const __m512i top = _mm512_set1_epi8(0x30), low = _mm512_set1_epi8(15);
    __m512i nibbles = load_64(run + 64 * q), bits = both_halves(run + offsetof(block_q6_k, qh) + 32 * q);
    __m512i ab = _mm512_and_si512(_mm512_sllv_epi16(bits, counts(4, 2)), top);
    __m512i cd = _mm512_and_si512(_mm512_srlv_epi16(bits, counts(0, 2)), top);
    ab = _mm512_ternarylogic_epi32(ab, nibbles, low, 0xf8); /* ab | (nibbles & 15) */
    cd = _mm512_ternarylogic_epi32(cd, _mm512_srli_epi16(nibbles, 4), low, 0xf8);
    quad r;
    words_of_bytes(r.w, _mm512_shuffle_i32x4(ab, cd, 0x88), _mm512_shuffle_i32x4(ab, cd, 0xdd));
    __m512i even = _mm512_add_epi32(_mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6),
                                    _mm512_set1_epi32((int)(8 * q)));
    r.scale[0] = _mm512_permutexvar_ps(even, scales);
    r.scale[1] = _mm512_permutexvar_ps(_mm512_add_epi32(even, _mm512_set1_epi32(1)), scales);
    return r;
}

/* Q4_K and Q5_K begin with the same fields: d, dmin, 12 bytes with eight 6-bit scales and minima (quant_k_scale_min).
 */
static inline vf scales_k(const uint8_t *run)
{
    /* header bytes: 0 d, 2 dmin, 4 .. 15 packed scales and minima; lanes: scales 0 .. 7, minima 0 .. 7 */
    const __m128i whole = _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i upper = _mm_setr_epi8(-1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1, 8, 9, 10, 11);
    const __m128i halves = _mm_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1);
    const __m512i shift = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4);
    const __m512i mask = _mm512_setr_epi32(63, 63, 63, 63, 15, 15, 15, 15, 63, 63, 63, 63, 15, 15, 15, 15);
    __m128i header = _mm_loadu_si128((const __m128i *)(const void *)run);
    __m512i low = _mm512_srlv_epi32(_mm512_cvtepu8_epi32(_mm_shuffle_epi8(header, whole)), shift);
    __m512i high = _mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_shuffle_epi8(header, upper)), 2);
    high = _mm512_and_si512(high, _mm512_set1_epi32(0x30));
    __m256i d = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_shuffle_epi8(header, halves)),
                                        _mm_shuffle_epi8(_mm_srli_si128(header, 2), halves), 1);
    d = _mm256_xor_si256(d, _mm256_setr_epi64x(0, 0, (long long)0x8000800080008000, (long long)0x8000800080008000));
    vf n = _mm512_cvtepi32_ps(_mm512_ternarylogic_epi32(high, low, mask, 0xf8)); /* high | (low & mask) */
    return n * _mm512_cvtph_ps(d);
}

static inline void spread_scales_k(quad *r, unsigned q, vf scales)
{
    __m512i at = _mm512_add_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                                  _mm512_set1_epi32((int)(4 * q)));
    r->scale[0] = _mm512_permutexvar_ps(at, scales);
    r->min = _mm512_permutexvar_ps(_mm512_add_epi32(at, _mm512_set1_epi32(8)), scales);
}

/* even: bytes of blocks 0 (32 bytes) and 2, odd: of blocks 1 and 3 */
static inline void words_of_pairs(__m512i w[4], __m512i even, __m512i odd)
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13),
                  second = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    words_of_bytes(w, _mm512_permutex2var_epi64(even, first, odd), _mm512_permutex2var_epi64(even, second, odd));
}

static inline __attribute__((always_inline)) quad quad_q4_k(const uint8_t *run, unsigned q, vf scales)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i nibbles = load_64(run + offsetof(block_q4_k, qs) + 64 * q);
    quad r;
    words_of_pairs(r.w, _mm512_and_si512(nibbles, low), _mm512_and_si512(_mm512_srli_epi16(nibbles, 4), low));
    spread_scales_k(&r, q, scales);
    return r;
}

static inline __attribute__((always_inline)) quad quad_q5_k(const uint8_t *run, unsigned q, vf scales)
{
    const __m512i low = _mm512_set1_epi8(15), fifth = _mm512_set1_epi8(16);
    __m512i nibbles = load_64(run + offsetof(block_q5_k, qs) + 64 * q);
    __m512i bits = both_halves(run + offsetof(block_q5_k, qh)); /* bit j: block j */
    __m512i even = q == 0 ? _mm512_sllv_epi16(bits, counts(4, 2)) : _mm512_srlv_epi16(bits, counts(0, 2));
    __m512i odd = q == 0 ? _mm512_sllv_epi16(bits, counts(3, 1)) : _mm512_srlv_epi16(bits, counts(1, 3));
    even = _mm512_ternarylogic_epi32(_mm512_and_si512(even, fifth), nibbles, low, 0xf8);
    odd = _mm512_ternarylogic_epi32(_mm512_and_si512(odd, fifth), _mm512_srli_epi16(nibbles, 4), low, 0xf8);
    quad r;
    words_of_pairs(r.w, even, odd);
    spread_scales_k(&r, q, scales);
    return r;
}

/* ---- products ---- */

typedef struct block_kind {
    quad_fn quad;
    scales_fn scales;     /* superblocks only */
    unsigned bytes;       /* of a run */
    unsigned block_bytes; /* 0: superblocks */
    vf (*tail)(vf acc, const uint8_t *w, size_t n,
               const act_run *x); /* dot_tail; NULL: superblocks, rows are whole runs */
    int offset_bits;              /* quants are w + 2^offset_bits; 0: they are w */
    bool has_min, split;          /* split: halves of blocks have different scales */
} block_kind;

/* Activations of a quad, loaded for products with its weights. */
typedef struct act_quad {
    __m512i v[4];
    __m512i start[2]; /* initial sums: [0] of whole blocks, or those of the two halves */
    vf sum;           /* sum of the activations of each lane, for minima */
} act_quad;

static inline __attribute__((always_inline)) act_quad act_load(const act_run *a, unsigned q, block_kind kind)
{
    act_quad r;
    for (int i = 0; i < 4; i++)
        r.v[i] = load_64(a->v[q][i]);
    __m512i none = _mm512_setzero_si512(), first = load_64(a->sum[q][0]), second = load_64(a->sum[q][1]);
    __m512i both = _mm512_add_epi32(first, second);
    unsigned bits = (unsigned)kind.offset_bits;
    r.start[0] = bits ? _mm512_sub_epi32(none, _mm512_slli_epi32(kind.split ? first : both, bits)) : none;
    r.start[1] = bits ? _mm512_sub_epi32(none, _mm512_slli_epi32(second, bits)) : none;
    r.sum = _mm512_cvtepi32_ps(both);
    __asm__("" : "+v"(r.v[0]), "+v"(r.v[1]), "+v"(r.v[2]), "+v"(r.v[3])); /* load once, not for every use */
    return r;
}

/* sum + the products of a quad, before multiplication by the activations' scale. */
static inline __attribute__((always_inline)) vf dot_quad(vf sum, const quad *w, const act_quad *a, block_kind kind)
{
    __m512i first = dot_words(a->start[0], w->w[0], a->v[0]);
    if (kind.split) {
        first = dot_words(first, w->w[2], a->v[2]);
        __m512i second = dot_words(dot_words(a->start[1], w->w[1], a->v[1]), w->w[3], a->v[3]);
        sum = vf_fma(_mm512_cvtepi32_ps(second), w->scale[1], sum);
    } else {
        first = dot_words(first, w->w[1], a->v[1]);
        first = dot_words(first, w->w[2], a->v[2]);
        first = dot_words(first, w->w[3], a->v[3]);
    }
    sum = vf_fma(_mm512_cvtepi32_ps(first), w->scale[0], sum);
    return kind.has_min ? vf_fma(w->min, a->sum, sum) : sum;
}

/* acc[r] += w_r . x over a run, w_r = w + r * stride. rows and kind are constants at the call. */
static inline __attribute__((always_inline)) void dot_run_one(vf *acc, const uint8_t *w, size_t stride,
                                                              const act_run *x, unsigned rows, block_kind kind)
{
    act_quad a[2] = { act_load(x, 0, kind), act_load(x, 1, kind) };
    vf d = vf_set1(x->d);
#pragma GCC unroll 4
    for (unsigned r = 0; r < rows; r++) {
        vf scales = kind.scales ? kind.scales(w + r * stride) : vf_zero(), sum = vf_zero();
#pragma GCC unroll 2
        for (unsigned q = 0; q < 2; q++) {
            quad weights = kind.quad(w + r * stride, q, scales);
            sum = dot_quad(sum, &weights, &a[q], kind);
        }
        acc[r] = vf_fma(sum, d, acc[r]);
    }
}

/* The same for m rows of activations, row_runs apart: acc[r * GEMV_MAX_ROWS + j]. */
static inline __attribute__((always_inline)) void dot_run_many(vf *acc, const uint8_t *w, size_t stride,
                                                               const act_run *x, size_t row_runs, size_t m,
                                                               unsigned rows, block_kind kind)
{
    quad weights[MANY_ROWS][2];
#pragma GCC unroll 2
    for (unsigned r = 0; r < rows; r++) {
        vf scales = kind.scales ? kind.scales(w + r * stride) : vf_zero();
#pragma GCC unroll 2
        for (unsigned q = 0; q < 2; q++)
            weights[r][q] = kind.quad(w + r * stride, q, scales);
    }
#pragma GCC unroll 1
    for (size_t j = 0; j < m; j++, x += row_runs) {
        vf sum[MANY_ROWS];
#pragma GCC unroll 2
        for (unsigned q = 0; q < 2; q++) {
            act_quad a = act_load(x, q, kind);
#pragma GCC unroll 2
            for (unsigned r = 0; r < rows; r++)
                sum[r] = dot_quad(q == 0 ? vf_zero() : sum[r], &weights[r][q], &a, kind);
        }
#pragma GCC unroll 2
        for (unsigned r = 0; r < rows; r++)
            acc[r * GEMV_MAX_ROWS + j] = vf_fma(sum[r], vf_set1(x->d), acc[r * GEMV_MAX_ROWS + j]);
    }
}

/* Hardware prefetchers handle the streams of several rows poorly. So while a group of rows is computed, the group three
 * steps after the next one is prefetched to L2 and the next one to L1, each as one stream. */
static inline __attribute__((always_inline)) void fetch_ahead(const uint8_t *ahead, size_t bytes, size_t far)
{
#pragma GCC unroll 32
    for (size_t at = 0; at < bytes; at += 64) {
        _mm_prefetch(ahead + at, _MM_HINT_T0);
        _mm_prefetch(ahead + at + far, _MM_HINT_T1);
    }
}

/* acc + the incomplete run of a row, n blocks, padded with zeros like the activations. */
static inline __attribute__((always_inline)) vf dot_tail(vf acc, const uint8_t *w, size_t n, const act_run *x,
                                                         block_kind kind)
{
    uint8_t whole[BLOCKS * sizeof(block_q8_0)] = { 0 };
    memcpy(whole, w, n * kind.block_bytes);
    dot_run_one(&acc, whole, 0, x, 1, kind);
    return acc;
}

static inline __attribute__((always_inline)) void gemv_one(float *out, const uint8_t *w, size_t row_bytes,
                                                           const act_run *x, size_t k, unsigned rows, block_kind kind)
{
    vf acc[ONE_ROWS];
    const uint8_t *ahead = w + rows * row_bytes;
#pragma GCC unroll 4
    for (unsigned r = 0; r < rows; r++)
        acc[r] = vf_zero();
    for (size_t i = 0; i < k / ACT_RUN; i++, w += kind.bytes, x++, ahead += rows * kind.bytes) {
        fetch_ahead(ahead, rows * kind.bytes, 3 * rows * row_bytes);
        dot_run_one(acc, w, row_bytes, x, rows, kind);
    }
    if (kind.tail && k % ACT_RUN)
        for (unsigned r = 0; r < rows; r++)
            acc[r] = kind.tail(acc[r], w + r * row_bytes, k % ACT_RUN / QK, x);
#pragma GCC unroll 4
    for (unsigned r = 0; r < rows; r++)
        out[r] = vf_sum(acc[r]);
}

static inline __attribute__((always_inline)) void gemv_many(float *out, size_t ld_out, const uint8_t *w,
                                                            size_t row_bytes, const act_run *x, size_t k, size_t m,
                                                            unsigned rows, block_kind kind)
{
    vf acc[MANY_ROWS * GEMV_MAX_ROWS];
    size_t row_runs = (k + ACT_RUN - 1) / ACT_RUN;
    const uint8_t *ahead = w + rows * row_bytes;
    for (unsigned i = 0; i < MANY_ROWS * GEMV_MAX_ROWS; i++)
        acc[i] = vf_zero();
    for (size_t i = 0; i < k / ACT_RUN; i++, w += kind.bytes, x++, ahead += rows * kind.bytes) {
        fetch_ahead(ahead, rows * kind.bytes, 3 * rows * row_bytes);
        dot_run_many(acc, w, row_bytes, x, row_runs, m, rows, kind);
    }
    if (kind.tail && k % ACT_RUN)
        for (size_t j = 0; j < m; j++)
            for (unsigned r = 0; r < rows; r++)
                acc[r * GEMV_MAX_ROWS + j] =
                    kind.tail(acc[r * GEMV_MAX_ROWS + j], w + r * row_bytes, k % ACT_RUN / QK, x + j * row_runs);
    for (size_t j = 0; j < m; j++)
#pragma GCC unroll 2
        for (unsigned r = 0; r < rows; r++)
            out[j * ld_out + r] = vf_sum(acc[r * GEMV_MAX_ROWS + j]);
}

static inline __attribute__((always_inline)) void gemv(float *out, size_t ld_out, const uint8_t *w, const act_run *x,
                                                       size_t n, size_t k, size_t m, block_kind kind)
{
    size_t row_bytes = kind.block_bytes ? k / QK * kind.block_bytes : k / ACT_RUN * kind.bytes, r = 0;
    if (m > 1) {
        for (; r + MANY_ROWS <= n; r += MANY_ROWS)
            gemv_many(out + r, ld_out, w + r * row_bytes, row_bytes, x, k, m, MANY_ROWS, kind);
        for (; r < n; r++)
            gemv_many(out + r, ld_out, w + r * row_bytes, row_bytes, x, k, m, 1, kind);
        return;
    }
    for (; r + ONE_ROWS <= n; r += ONE_ROWS)
        gemv_one(out + r, w + r * row_bytes, row_bytes, x, k, ONE_ROWS, kind);
    for (; r < n; r++)
        gemv_one(out + r, w + r * row_bytes, row_bytes, x, k, 1, kind);
}

#define GEMV(type, ...)                                                                                                \
    static void gemv_##type(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)     \
    {                                                                                                                  \
        gemv(out, ld_out, w, x, n, k, m, (block_kind){ .quad = quad_##type, __VA_ARGS__ });                            \
    }
#define GEMV_32(type, ...)                                                                                             \
    static __attribute__((noinline)) vf tail_##type(vf acc, const uint8_t *w, size_t n, const act_run *x)              \
    {                                                                                                                  \
        return dot_tail(acc, w, n, x,                                                                                  \
                        (block_kind){ .quad = quad_##type, .block_bytes = sizeof(block_##type), __VA_ARGS__ });        \
    }                                                                                                                  \
    GEMV(type, .bytes = BLOCKS * sizeof(block_##type), .block_bytes = sizeof(block_##type), .tail = tail_##type,       \
         __VA_ARGS__)

GEMV_32(q8_0, .offset_bits = 0)
GEMV_32(q4_0, .offset_bits = 3)
GEMV_32(q4_1, .has_min = true)
GEMV_32(q5_0, .offset_bits = 4)
GEMV_32(q5_1, .has_min = true)
GEMV(q6_k, .bytes = sizeof(block_q6_k), .scales = scales_q6_k, .offset_bits = 5, .split = true)
GEMV(q4_k, .bytes = sizeof(block_q4_k), .scales = scales_k, .has_min = true)
GEMV(q5_k, .bytes = sizeof(block_q5_k), .scales = scales_k, .has_min = true)
GEMV_32(iq4_nl, .offset_bits = 0)

void kernels_fill_avx512vnni(kernels *k)
{
    k->act_form = ACT_RUNS;
    k->quantize_act = quantize_act;
    k->gemv[QUANT_Q8_0] = gemv_q8_0;
    k->gemv[QUANT_Q4_0] = gemv_q4_0;
    k->gemv[QUANT_Q4_1] = gemv_q4_1;
    k->gemv[QUANT_Q5_0] = gemv_q5_0;
    k->gemv[QUANT_Q5_1] = gemv_q5_1;
    k->gemv[QUANT_Q6_K] = gemv_q6_k;
    k->gemv[QUANT_Q4_K] = gemv_q4_k;
    k->gemv[QUANT_Q5_K] = gemv_q5_k;
    k->gemv[QUANT_IQ4_NL] = gemv_iq4_nl;
    kernels_fill_avx512bf16(k);
    kernels_fill_avx512int8(k);
}
