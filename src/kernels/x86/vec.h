/* Vectors of VL floats, 16 with AVX-512 and 8 with AVX2, under the names that the templates (*.inc.h) use. Static
 * inline only: the files of a level must not emit code that another level could be linked to. */
#ifndef QASR_KERNELS_X86_VEC_H
#define QASR_KERNELS_X86_VEC_H

#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__

enum { VL = 16 };
typedef __m512 vf;

static inline vf vf_set1(float x) { return _mm512_set1_ps(x); }
static inline vf vf_zero(void) { return _mm512_setzero_ps(); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
static inline __mmask16 first_lanes(size_t n) { return (__mmask16)((1u << n) - 1); }
/* The first n lanes, n <= VL; the others are 0 (loads) or not written (stores). */
static inline vf vf_load_part(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
static inline void vf_store_part(float *p, vf v, size_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
static inline vf vf_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline vf vf_load_f16_part(const uint16_t *p, size_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
static inline vf vf_set1_f16(uint16_t h) { return _mm512_cvtph_ps(_mm256_set1_epi16((short)h)); }
static inline vf vf_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static inline vf vf_from_bf16(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
static inline vf vf_load_bf16(const uint16_t *p) { return vf_from_bf16(_mm256_loadu_si256((const __m256i *)p)); }
static inline vf vf_load_bf16_part(const uint16_t *p, size_t n)
{
    return vf_from_bf16(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
static inline void vf_store_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline void vf_store_f16_part(uint16_t *p, vf v, size_t n)
{
    _mm256_mask_storeu_epi16(p, first_lanes(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a b */
/* With a NaN operand both return b. */
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
static inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* a * 2^n for integral n; handles underflow, so vf_exp needs no other check. */
static inline vf vf_scale2(vf a, vf n) { return _mm512_scalef_ps(a, n); }
static const float EXP_LOWEST = -104.0f; /* e^x rounds to 0 */
static inline vf vf_exp_underflow(vf result, vf x)
{
    (void)x;
    return result;
}
static inline vf vf_pick_positive(vf x, vf yes, vf no) /* x > 0 ? yes : no */
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, vf_zero(), _CMP_GT_OQ), no, yes);
}
static inline unsigned vf_mask_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline float vf_first(vf v) { return _mm512_cvtss_f32(v); }
static inline float vf_sum(vf v)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
/* Lane i: the sum of r[i]. All are summed in the same order. Overwrites r. */
static inline vf vf_sums(vf r[VL])
{
    for (int i = 0; i < 8; i++)
        r[i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]) + _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    for (int i = 0; i < 4; i++) {
        __m512d a = _mm512_castps_pd(r[2 * i]), b = _mm512_castps_pd(r[2 * i + 1]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)) + _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
    for (int n = 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            r[i] =
                _mm512_shuffle_f32x4(r[2 * i], r[2 * i + 1], 0x88) + _mm512_shuffle_f32x4(r[2 * i], r[2 * i + 1], 0xdd);
    return r[0];
}
static inline float vf_hmax(vf v)
{
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
static inline vf vf_cols_before(vf v, ptrdiff_t n, float other) /* lanes from n on become other */
{
    __mmask16 keep = n >= VL ? 0xffff : n <= 0 ? 0 : first_lanes((size_t)n);
    return _mm512_mask_blend_ps(keep, vf_set1(other), v);
}

/* r[i] lane j becomes r[j] lane i */
static inline void vf_transpose(vf r[VL])
{
    vf t[VL];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    for (int i = 0; i < 4; i++) { /* r[4 g + i]: columns i, 4 + i, 8 + i, 12 + i of rows 4 g .. 4 g + 3 */
        vf ab0 = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88), ab1 = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd);
        vf cd0 = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
        vf cd1 = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
        t[i] = _mm512_shuffle_f32x4(ab0, cd0, 0x88);
        t[4 + i] = _mm512_shuffle_f32x4(ab1, cd1, 0x88);
        t[8 + i] = _mm512_shuffle_f32x4(ab0, cd0, 0xdd);
        t[12 + i] = _mm512_shuffle_f32x4(ab1, cd1, 0xdd);
    }
    for (int i = 0; i < 16; i++)
        r[i] = t[i];
}

#else /* AVX2 */

enum { VL = 8 };
typedef __m256 vf;

static inline vf vf_set1(float x) { return _mm256_set1_ps(x); }
static inline vf vf_zero(void) { return _mm256_setzero_ps(); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
static inline __m256i first_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/* The first n lanes, n <= VL; the others are 0 (loads) or not written (stores). */
static inline vf vf_load_part(const float *p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
static inline void vf_store_part(float *p, vf v, size_t n) { _mm256_maskstore_ps(p, first_lanes(n), v); }
static inline __m128i load_part_16(const uint16_t *p, size_t n)
{
    uint16_t t[8] = { 0 };
    for (size_t i = 0; i < n; i++)
        t[i] = p[i];
    return _mm_loadu_si128((const __m128i *)t);
}
static inline vf vf_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
static inline vf vf_load_f16_part(const uint16_t *p, size_t n) { return _mm256_cvtph_ps(load_part_16(p, n)); }
static inline vf vf_set1_f16(uint16_t h) { return _mm256_cvtph_ps(_mm_set1_epi16((short)h)); }
static inline vf vf_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
static inline vf vf_from_bf16(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
static inline vf vf_load_bf16(const uint16_t *p) { return vf_from_bf16(_mm_loadu_si128((const __m128i *)p)); }
static inline vf vf_load_bf16_part(const uint16_t *p, size_t n) { return vf_from_bf16(load_part_16(p, n)); }
static inline void vf_store_f16(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline void vf_store_f16_part(uint16_t *p, vf v, size_t n)
{
    uint16_t t[8];
    vf_store_f16(t, v);
    for (size_t i = 0; i < n; i++)
        p[i] = t[i];
}
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a b */
/* With a NaN operand both return b. */
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm256_andnot_ps(vf_set1(-0.0f), a); }
static inline vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* a * 2^n for integral n in [-126, 127] and a in [0.5, 2] whose product is a normal number */
static inline vf vf_scale2(vf a, vf n)
{
    __m256i e = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), e));
}
static const float EXP_LOWEST = -87.0f;
static inline vf vf_exp_underflow(vf result, vf x) /* below EXP_LOWEST: 0 */
{
    return _mm256_andnot_ps(_mm256_cmp_ps(x, vf_set1(EXP_LOWEST), _CMP_LT_OQ), result);
}
static inline vf vf_pick_positive(vf x, vf yes, vf no) /* x > 0 ? yes : no */
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(x, vf_zero(), _CMP_GT_OQ));
}
static inline unsigned vf_mask_eq(vf a, vf b) { return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }
static inline float vf_first(vf v) { return _mm256_cvtss_f32(v); }
static inline float vf_sum(vf h)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
/* Lane i: the sum of r[i]. All are summed in the same order. Overwrites r. */
static inline vf vf_sums(vf r[VL])
{
    for (int n = 4; n > 1; n /= 2)
        for (int i = 0; i < n; i++)
            r[i] = _mm256_hadd_ps(r[2 * i], r[2 * i + 1]);
    return _mm256_permute2f128_ps(r[0], r[1], 0x20) + _mm256_permute2f128_ps(r[0], r[1], 0x31);
}
static inline float vf_hmax(vf h)
{
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
static inline vf vf_cols_before(vf v, ptrdiff_t n, float other) /* lanes from n on become other */
{
    size_t keep = n >= VL ? VL : n <= 0 ? 0 : (size_t)n;
    return _mm256_blendv_ps(vf_set1(other), v, _mm256_castsi256_ps(first_lanes(keep)));
}

/* r[i] lane j becomes r[j] lane i */
static inline void vf_transpose(vf r[VL])
{
    vf t[VL];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            __m256d a = _mm256_castps_pd(t[i + j]), b = _mm256_castps_pd(t[i + j + 2]);
            r[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
            r[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        }
    for (int i = 0; i < 4; i++) { /* r[4 g + i]: columns i and 4 + i of rows 4 g .. 4 g + 3 */
        vf lo = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20), hi = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
        r[i] = lo;
        r[4 + i] = hi;
    }
}

#endif

/* Four steps of a panel of six rows: a 4 x 4 transpose for rows 0 to 3, pairs for rows 4 and 5. */
static inline void pack_six_by_four(float *panel, const float *rows, size_t ld)
{
    __m128 r0 = _mm_loadu_ps(rows), r1 = _mm_loadu_ps(rows + ld);
    __m128 r2 = _mm_loadu_ps(rows + 2 * ld), r3 = _mm_loadu_ps(rows + 3 * ld);
    __m128 r4 = _mm_loadu_ps(rows + 4 * ld), r5 = _mm_loadu_ps(rows + 5 * ld);
    _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
    __m128 lo = _mm_unpacklo_ps(r4, r5), hi = _mm_unpackhi_ps(r4, r5);
    _mm_storeu_ps(panel, r0);
    _mm_storel_pi((__m64 *)(panel + 4), lo);
    _mm_storeu_ps(panel + 6, r1);
    _mm_storeh_pi((__m64 *)(panel + 10), lo);
    _mm_storeu_ps(panel + 12, r2);
    _mm_storel_pi((__m64 *)(panel + 16), hi);
    _mm_storeu_ps(panel + 18, r3);
    _mm_storeh_pi((__m64 *)(panel + 22), hi);
}

#endif
