/* AVX2, FMA and F16C: the templates with vectors of 8 floats, and kernels for quantized blocks without byte products:
 * dequantization, quantization of activations, and products of 16-bit integers. */
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "build with the AVX2 flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

#include "kernels/exp.inc.h"
#include "kernels/rows.inc.h"
#include "kernels/screen.inc.h"

enum { TILE_ROWS = 6, TILE_VECS = 2 };
#include "kernels/gemm.inc.h"

#include "kernels/attention.inc.h"

enum { GEMV_FLOAT_ROWS = 2 };
#include "kernels/dequantize_float.inc.h"
#include "kernels/gemv_float.inc.h"

#include "kernels/x86/blocks_avx2.h"

/* ---- activations to fixed point ---- */

static inline __m128i pack_bytes(__m256i words) /* the low byte of each */
{
    __m256i low = _mm256_and_si256(words, _mm256_set1_epi16(255));
    return _mm_packus_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
}

static inline int32_t sum_words(__m256i words)
{
    __m256i pairs = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
    __m128i q = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(q, _mm_shuffle_epi32(q, 0xb1)));
}

static void quantize_act_block(act_block *out, const float *x)
{
    vf f[4];
    for (size_t i = 0; i < 4; i++)
        f[i] = vf_load(x + i * VL);
    float top = vf_hmax(vf_max(vf_max(vf_abs(f[0]), vf_abs(f[1])), vf_max(vf_abs(f[2]), vf_abs(f[3]))));
    if (!(top >= ACT_MIN)) {
        *out = (act_block){ 0 };
        return;
    }
    vf inverse = vf_set1(ACT_MAX / top);
    out->d = top / ACT_MAX;
    for (size_t h = 0; h < 2; h++) {
        __m256i a = _mm256_cvtps_epi32(f[2 * h] * inverse), b = _mm256_cvtps_epi32(f[2 * h + 1] * inverse);
        __m256i v = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
        __m256i hi = _mm256_srai_epi16(_mm256_add_epi16(v, _mm256_set1_epi16(128)), 8); /* v + 128 <= 32767 */
        _mm_storeu_si128((__m128i *)(out->hi + 16 * h), pack_bytes(hi));
        _mm_storeu_si128((__m128i *)(out->lo + 16 * h), pack_bytes(v)); /* v - 256 hi, modulo 256 */
        out->sum[h] = sum_words(v);
    }
}

static void quantize_act(void *out, const float *x, size_t n)
{
    act_block *block = out;
    for (size_t i = 0; i < n; i += QK)
        quantize_act_block(block++, x + i);
}

/* ---- activations to bytes ---- */

static void quantize_act8_block(act8_block *out, const float *x)
{
    vf f[4];
    for (size_t i = 0; i < 4; i++)
        f[i] = vf_load(x + i * VL);
    float top = vf_hmax(vf_max(vf_max(vf_abs(f[0]), vf_abs(f[1])), vf_max(vf_abs(f[2]), vf_abs(f[3]))));
    if (!(top >= ACT_MIN)) {
        *out = (act8_block){ 0 };
        return;
    }
    vf inverse = vf_set1(127.0f / top);
    __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(f[0] * inverse), _mm256_cvtps_epi32(f[1] * inverse));
    __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(f[2] * inverse), _mm256_cvtps_epi32(f[3] * inverse));
    __m256i q = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    int32_t sum = sum_words(_mm256_add_epi16(low, high));
    *out = (act8_block){ .d = top / 127.0f, .start = -128 * sum };
    out->d_sum = out->d * (float)sum;
    _mm256_storeu_si256((__m256i *)out->q, q);
}

static void quantize_act8(act8_block *out, size_t stride, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += QK, out += stride)
        quantize_act8_block(out, x + i);
}

/* ---- dequantization ---- */

static inline vf bytes_to_float(__m128i q) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)); }

/* Same operations and order as the scalar reference, without contraction: bit-exact. */
static inline __attribute__((always_inline)) void
dequantize(float *out, const uint8_t *blocks, size_t n, unpack_fn unpack, unsigned bytes, unsigned parts, int has_min)
{
    for (size_t i = 0; i < n; i += parts * QK, blocks += bytes) {
#pragma GCC unroll 8
        for (unsigned part = 0; part < parts; part++, out += QK) {
            unpacked u = unpack(blocks, part);
            __m128i lo = _mm256_castsi256_si128(u.q), hi = _mm256_extracti128_si256(u.q, 1);
            vf v[4] = { bytes_to_float(lo), bytes_to_float(_mm_srli_si128(lo, 8)), bytes_to_float(hi),
                        bytes_to_float(_mm_srli_si128(hi, 8)) };
            for (size_t j = 0; j < 4; j++) {
                vf value = v[j] * vf_set1(u.scale[j / 2]);
                if (has_min)
                    value += vf_set1(u.min);
                vf_store(out + j * VL, value);
            }
        }
    }
}

static inline __attribute__((always_inline)) void unpack_int8(int8_t *q, float *scale, float *min, size_t stride,
                                                              const uint8_t *blocks, size_t n, unpack_fn unpack,
                                                              unsigned bytes, unsigned parts, int has_min)
{
    for (size_t i = 0; i < n; i += parts * QK, blocks += bytes) {
#pragma GCC unroll 8
        for (unsigned part = 0; part < parts; part++, q += QK, scale += stride) {
            unpacked u = unpack(blocks, part);
            _mm256_storeu_si256((__m256i *)q, u.q);
            *scale = u.scale[0];
            if (has_min) {
                *min = u.min;
                min += stride;
            }
        }
    }
}

#define DEQUANTIZE(type, parts, has_min)                                                                               \
    static void dequantize_##type(float *out, const void *blocks, size_t n)                                            \
    {                                                                                                                  \
        dequantize(out, blocks, n, unpack_##type, sizeof(block_##type), parts, has_min);                               \
    }
DEQUANTIZE(q8_0, 1, 0)
DEQUANTIZE(q4_0, 1, 0)
DEQUANTIZE(q4_1, 1, 1)
DEQUANTIZE(q5_0, 1, 0)
DEQUANTIZE(q5_1, 1, 1)
DEQUANTIZE(q6_k, 8, 0)
DEQUANTIZE(q4_k, 8, 1)
DEQUANTIZE(q5_k, 8, 1)
DEQUANTIZE(iq4_nl, 1, 0)

#define UNPACK_INT8(type, parts, has_min)                                                                              \
    static void unpack_int8_##type(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)   \
    {                                                                                                                  \
        unpack_int8(q, scale, min, stride, blocks, n, unpack_##type, sizeof(block_##type), parts, has_min);            \
    }
UNPACK_INT8(q8_0, 1, 0)
UNPACK_INT8(q4_0, 1, 0)
UNPACK_INT8(q4_1, 1, 1)
UNPACK_INT8(q5_0, 1, 0)
UNPACK_INT8(q5_1, 1, 1)
UNPACK_INT8(q4_k, 8, 1)
UNPACK_INT8(q5_k, 8, 1)
UNPACK_INT8(iq4_nl, 1, 0)

/* ---- products with quantized rows ---- */

typedef struct loaded_act {
    __m256i v[2];   /* the 32 integers, 16 bits each */
    float d, d_sum; /* scale; scale * sum of the integers */
} loaded_act;

static inline loaded_act act_load(const act_block *x)
{
    loaded_act a;
    for (int h = 0; h < 2; h++) {
        __m256i hi = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(x->hi + 16 * h)));
        __m256i lo = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(x->lo + 16 * h)));
        a.v[h] = _mm256_add_epi16(_mm256_slli_epi16(hi, 8), lo);
    }
    a.d = x->d;
    a.d_sum = x->d * (float)(x->sum[0] + x->sum[1]);
    return a;
}

/* acc += w . x of 32 elements. A 32-bit lane sums at most 4 products, each at most 128 * 32639: the sum is below 2^24,
 * so there is no overflow and the conversion to float is exact. */
static inline __attribute__((always_inline)) vf dot_act(vf acc, const unpacked *w, const loaded_act *x, int two_scales)
{
    __m256i p0 = _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(w->q)), x->v[0]);
    __m256i p1 = _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_extracti128_si256(w->q, 1)), x->v[1]);
    if (two_scales) {
        acc = vf_fma(_mm256_cvtepi32_ps(p0), vf_set1(w->scale[0] * x->d), acc);
        return vf_fma(_mm256_cvtepi32_ps(p1), vf_set1(w->scale[1] * x->d), acc);
    }
    return vf_fma(_mm256_cvtepi32_ps(_mm256_add_epi32(p0, p1)), vf_set1(w->scale[0] * x->d), acc);
}

enum { GEMV_ROWS = 4 };
#include "kernels/gemv_blocks.inc.h"

void kernels_fill_avx2(kernels *k)
{
    rows_fill(k);
    gemm_fill(&k->gemm);
    gemv_float_fill(k);
    dequantize_float_fill(k);
    k->attention = attention;
    k->screen_row = screen_row;
    k->attention_step = attention_step;
    k->quantize_act = quantize_act;
    k->quantize_act8 = quantize_act8;
    k->unpack_int8[QUANT_Q8_0] = unpack_int8_q8_0;
    k->unpack_int8[QUANT_Q4_0] = unpack_int8_q4_0;
    k->unpack_int8[QUANT_Q4_1] = unpack_int8_q4_1;
    k->unpack_int8[QUANT_Q5_0] = unpack_int8_q5_0;
    k->unpack_int8[QUANT_Q5_1] = unpack_int8_q5_1;
    k->unpack_int8[QUANT_Q4_K] = unpack_int8_q4_k;
    k->unpack_int8[QUANT_Q5_K] = unpack_int8_q5_k;
    k->unpack_int8[QUANT_IQ4_NL] = unpack_int8_iq4_nl;
    k->dequantize[QUANT_Q8_0] = dequantize_q8_0;
    k->dequantize[QUANT_Q4_0] = dequantize_q4_0;
    k->dequantize[QUANT_Q4_1] = dequantize_q4_1;
    k->dequantize[QUANT_Q5_0] = dequantize_q5_0;
    k->dequantize[QUANT_Q5_1] = dequantize_q5_1;
    k->dequantize[QUANT_Q6_K] = dequantize_q6_k;
    k->dequantize[QUANT_Q4_K] = dequantize_q4_k;
    k->dequantize[QUANT_Q5_K] = dequantize_q5_k;
    k->dequantize[QUANT_IQ4_NL] = dequantize_iq4_nl;
    gemv_blocks_fill(k);
    kernels_fill_avx2int8(k);
}
