/* Vectors of VL = 4 floats with NEON, under the names that the templates (*.inc.h) use. Static inline only: the files
 * of a level must not emit code that another level could be linked to. */
#ifndef QASR_KERNELS_ARM_VEC_H
#define QASR_KERNELS_ARM_VEC_H

#include <arm_neon.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { VL = 4 };
typedef float32x4_t vf;

static inline vf vf_set1(float x) { return vdupq_n_f32(x); }
static inline vf vf_zero(void) { return vdupq_n_f32(0.0f); }
static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf v) { vst1q_f32(p, v); }
/* The first n lanes, n <= VL; the others are 0 (loads) or not written (stores). */
static inline vf vf_load_part(const float *p, size_t n)
{
    if (n >= VL)
        return vf_load(p);
    const float32x2_t none = vdup_n_f32(0.0f);
    float32x2_t low = n >= 2 ? vld1_f32(p) : n == 1 ? vld1_lane_f32(p, none, 0) : none;
    return vcombine_f32(low, n == 3 ? vld1_lane_f32(p + 2, none, 0) : none);
}
static inline void vf_store_part(float *p, vf v, size_t n)
{
    if (n >= VL)
        vf_store(p, v);
    else if (n >= 2)
        vst1_f32(p, vget_low_f32(v));
    else if (n == 1)
        vst1q_lane_f32(p, v, 0);
    if (n == 3)
        vst1q_lane_f32(p + 2, v, 2);
}
static inline uint16x4_t load_part_16(const uint16_t *p, size_t n)
{
    uint16_t t[VL] = { 0 };
    for (size_t i = 0; i < n; i++)
        t[i] = p[i];
    return vld1_u16(t);
}
static inline vf vf_from_f16(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }
static inline vf vf_load_f16(const uint16_t *p) { return vf_from_f16(vld1_u16(p)); }
static inline vf vf_load_f16_part(const uint16_t *p, size_t n) { return vf_from_f16(load_part_16(p, n)); }
static inline vf vf_set1_f16(uint16_t h) { return vf_from_f16(vdup_n_u16(h)); }
static inline vf vf_load_i8(const int8_t *p)
{
    int32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(bytes))))));
}
static inline vf vf_from_bf16(uint16x4_t h) { return vreinterpretq_f32_u32(vshll_n_u16(h, 16)); }
static inline vf vf_load_bf16(const uint16_t *p) { return vf_from_bf16(vld1_u16(p)); }
static inline vf vf_load_bf16_part(const uint16_t *p, size_t n) { return vf_from_bf16(load_part_16(p, n)); }
static inline void vf_store_f16(uint16_t *p, vf v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
static inline void vf_store_f16_part(uint16_t *p, vf v, size_t n)
{
    uint16_t t[VL];
    vf_store_f16(t, v);
    for (size_t i = 0; i < n; i++)
        p[i] = t[i];
}
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); } /* c - a b */
/* With a NaN operand both return b; NEON's own instructions would return the NaN. */
static inline vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline vf vf_abs(vf a) { return vabsq_f32(a); }
static inline vf vf_round(vf a) { return vrndnq_f32(a); }
/* a * 2^n for integral n in [-126, 127] and a in [0.5, 2] whose product is a normal number */
static inline vf vf_scale2(vf a, vf n)
{
    int32x4_t e = vshlq_n_s32(vcvtnq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), e));
}
static const float EXP_LOWEST = -87.0f;
static inline vf vf_exp_underflow(vf result, vf x) /* below EXP_LOWEST: 0 */
{
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(result), vcltq_f32(x, vf_set1(EXP_LOWEST))));
}
static inline vf vf_pick_positive(vf x, vf yes, vf no) /* x > 0 ? yes : no */
{
    return vbslq_f32(vcgtzq_f32(x), yes, no);
}
static inline unsigned vf_mask_eq(vf a, vf b)
{
    const uint32x4_t bit = { 1, 2, 4, 8 };
    return vaddvq_u32(vandq_u32(vceqq_f32(a, b), bit));
}
static inline float vf_first(vf v) { return vgetq_lane_f32(v, 0); }
static inline float vf_sum(vf v) { return vaddvq_f32(v); }
/* Lane i: the sum of r[i]. All are summed in the same order. Overwrites r. */
static inline vf vf_sums(vf r[VL]) { return vpaddq_f32(vpaddq_f32(r[0], r[1]), vpaddq_f32(r[2], r[3])); }
static inline float vf_hmax(vf v) { return vmaxvq_f32(v); }     /* NaN if any lane is NaN */
static inline vf vf_cols_before(vf v, ptrdiff_t n, float other) /* lanes from n on become other */
{
    const int32x4_t lane = { 0, 1, 2, 3 };
    int32_t keep = n >= VL ? VL : n <= 0 ? 0 : (int32_t)n;
    return vbslq_f32(vcltq_s32(lane, vdupq_n_s32(keep)), v, vf_set1(other));
}

/* r[i] lane j becomes r[j] lane i */
static inline void vf_transpose(vf r[VL])
{
    float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(r[0], r[1])), b = vreinterpretq_f64_f32(vtrn2q_f32(r[0], r[1]));
    float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(r[2], r[3])), d = vreinterpretq_f64_f32(vtrn2q_f32(r[2], r[3]));
    r[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    r[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    r[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    r[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

/* Four steps of a panel of six rows: a 4 x 4 transpose for rows 0 to 3, pairs for rows 4 and 5. */
static inline void pack_six_by_four(float *panel, const float *rows, size_t ld)
{
    vf r[VL] = { vf_load(rows), vf_load(rows + ld), vf_load(rows + 2 * ld), vf_load(rows + 3 * ld) };
    vf r4 = vf_load(rows + 4 * ld), r5 = vf_load(rows + 5 * ld);
    vf low = vzip1q_f32(r4, r5), high = vzip2q_f32(r4, r5);
    vf_transpose(r);
    vf_store(panel, r[0]);
    vst1_f32(panel + 4, vget_low_f32(low));
    vf_store(panel + 6, r[1]);
    vst1_f32(panel + 10, vget_high_f32(low));
    vf_store(panel + 12, r[2]);
    vst1_f32(panel + 16, vget_low_f32(high));
    vf_store(panel + 18, r[3]);
    vst1_f32(panel + 22, vget_high_f32(high));
}

#endif
