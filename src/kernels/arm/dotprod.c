/* NEON with dot products of signed bytes (sdot): products with block-quantized weights. Activations are v = 256 hi + lo
 * and weights are signed, so sum w v = 256 sum w hi + sum w lo is exact in 32-bit lanes: a lane sums 4 or 8 products of
 * 8 and 16 bits, below 2^25, and its conversion to float rounds at most once. */
#ifndef __ARM_FEATURE_DOTPROD
#error "build with the dot product flags of src/kernels/meson.build"
#endif

#include "kernels/arm/vec.h"
#include "kernels/levels.h"

#include "kernels/arm/blocks_neon.h"

typedef struct loaded_act {
    int8x16_t hi[2], lo[2];
    float d, d_sum;
} loaded_act;

static inline loaded_act act_load(const act_block *x)
{
    return (loaded_act){ { vld1q_s8(x->hi), vld1q_s8(x->hi + 16) },
                         { vld1q_s8(x->lo), vld1q_s8(x->lo + 16) },
                         x->d,
                         x->d * (float)(x->sum[0] + x->sum[1]) };
}

static inline vf join(int32x4_t hi, int32x4_t lo) { return vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(hi, 8), lo)); }

static inline __attribute__((always_inline)) vf dot_act(vf acc, const unpacked *w, const loaded_act *x, int two_scales)
{
    const int32x4_t none = vdupq_n_s32(0);
    int32x4_t hi = vdotq_s32(none, w->q[0], x->hi[0]), lo = vdotq_s32(none, w->q[0], x->lo[0]);
    if (two_scales) {
        acc = vf_fma(join(hi, lo), vf_set1(w->scale[0] * x->d), acc);
        hi = lo = none;
    }
    hi = vdotq_s32(hi, w->q[1], x->hi[1]);
    lo = vdotq_s32(lo, w->q[1], x->lo[1]);
    return vf_fma(join(hi, lo), vf_set1(w->scale[1] * x->d), acc);
}

enum { GEMV_ROWS = 4 };
#include "kernels/gemv_blocks.inc.h"

void kernels_fill_dotprod(kernels *k)
{
    gemv_blocks_fill(k);
    kernels_fill_dotprodint8(k);
}
