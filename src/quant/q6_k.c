/* Q6_K: superblocks of 256 weights in 16 groups of 16; weight = d * scales[group] * q, q in -32..31.
 *
 * In: rows of float32. Out: 210 bytes per 256 weights. Each group looks for the scale with the least error,
 * weighted with x^2, among the one that maps its largest value to -32 and 18 near it; the scales then get 8
 * bits of their own and the weights are rounded again with the scales as stored.
 *
 * Nearly all the time goes into the 19 trials. They run with one lane per group: all sums of a group are
 * still made from its element 0 upwards, so the result is the one of the plain loop, while the loops over g
 * are ones that compilers vectorise. */
#include "quant/formats.h"

#include <math.h>
#include <stdbool.h>

enum { GROUPS = 16, GROUP_LEN = 16, TRIALS = 9 };

#define NOTHING 1e-15f /* magnitudes below count as zero */

/* The state of the search of one superblock, element first, group last. */
typedef struct search {
    float x[GROUP_LEN][GROUPS];  /* the weights */
    float w[GROUP_LEN][GROUPS];  /* importance: x * x */
    float wx[GROUP_LEN][GROUPS]; /* w * x */
    float extreme[GROUPS];       /* value of the largest magnitude, with its sign */
    bool dead[GROUPS];           /* no magnitude reaches NOTHING: scale 0 and all quants 0 */
    float inverse[GROUPS];       /* best inverse scale so far */
    float scale[GROUPS];         /* and the scale that fits the quants it gives */
    float merit[GROUPS];         /* how much of the weighted energy it explains */
    /* ROUND_MAGIC plus the least and the largest quant. Not constants in the loop: choosing the larger of
     * two variables is one instruction, while gcc compares with a constant and then blends. */
    float low, high;
} search;

static void search_load(search *s, const float *x)
{
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; i < GROUP_LEN; i++)
            s->x[i][g] = x[GROUP_LEN * g + i];
    s->low = ROUND_MAGIC - 32;
    s->high = ROUND_MAGIC + 31;
    float largest[GROUPS] = {0};
    for (int g = 0; g < GROUPS; g++)
        s->extreme[g] = 0;
    for (int i = 0; i < GROUP_LEN; i++)
        for (int g = 0; g < GROUPS; g++) {
            const float v = s->x[i][g], a = fabsf(v);
            s->w[i][g] = v * v;
            s->wx[i][g] = v * v * v;
            s->extreme[g] = a > largest[g] ? v : s->extreme[g];
            largest[g] = a > largest[g] ? a : largest[g];
        }
    for (int g = 0; g < GROUPS; g++) {
        s->dead[g] = largest[g] < NOTHING;
        s->extreme[g] = s->dead[g] ? INFINITY : s->extreme[g]; /* inverse scales of 0 */
    }
}

/* Quantises all groups with inverse scales -steps/extreme. sum_xl[g], sum_ll[g]: sums of w x l and w l l. */
static void search_sums(const search *s, float steps, float inverse[GROUPS], float sum_xl[GROUPS],
                        float sum_ll[GROUPS])
{
    const float low = s->low, high = s->high;
    for (int g = 0; g < GROUPS; g++) {
        const float is = -steps / s->extreme[g];
        float xl = 0, ll = 0;
#pragma GCC unroll 16
        for (int i = 0; i < GROUP_LEN; i++) {
            /* |is * x| < 34, so clamping before the magic number is taken off is the same as after. */
            float t = is * s->x[i][g] + ROUND_MAGIC;
            t = t > low ? t : low;
            t = t < high ? t : high;
            const float l = t - ROUND_MAGIC;
            xl += s->wx[i][g] * l;
            ll += s->w[i][g] * l * l;
        }
        inverse[g] = is;
        sum_xl[g] = xl;
        sum_ll[g] = ll;
    }
}

/* The search of all groups; a group without weights worth keeping ends with scale 0. */
static void search_run(search *s)
{
    float inverse[GROUPS], sum_xl[GROUPS], sum_ll[GROUPS];
    search_sums(s, 32, s->inverse, sum_xl, sum_ll);
    for (int g = 0; g < GROUPS; g++) {
        const float fit = sum_xl[g] / sum_ll[g];
        s->scale[g] = sum_ll[g] != 0 ? fit : 0; /* 0 for dead groups: all their l are 0 */
        s->merit[g] = s->scale[g] * sum_xl[g];
    }
    for (int trial = -TRIALS; trial <= TRIALS; trial++) {
        if (trial == 0)
            continue;
        search_sums(s, 32 + 0.1f * (float)trial, inverse, sum_xl, sum_ll);
        for (int g = 0; g < GROUPS; g++) {
            const int better = (sum_ll[g] > 0) & (sum_xl[g] * sum_xl[g] > s->merit[g] * sum_ll[g]);
            const float fit = sum_xl[g] / sum_ll[g], merit = fit * sum_xl[g];
            s->inverse[g] = better ? inverse[g] : s->inverse[g];
            s->scale[g] = better ? fit : s->scale[g];
            s->merit[g] = better ? merit : s->merit[g];
        }
    }
}

/* Scales in 8 bits and the half that multiplies them; false if all weights are as good as zero. */
static bool store_scales(block_q6_k *b, const float scale[GROUPS])
{
    float largest = 0, extreme = 0;
    for (int g = 0; g < GROUPS; g++)
        if (fabsf(scale[g]) > largest) {
            largest = fabsf(scale[g]);
            extreme = scale[g];
        }
    if (largest < NOTHING)
        return false;
    const float inverse = -128 / extreme;
    b->d = f16_from_f32(1 / inverse);
    for (int g = 0; g < GROUPS; g++) {
        const int32_t sc = round_even(inverse * scale[g]);
        b->scales[g] = (int8_t)(sc < 127 ? sc : 127);
    }
    return true;
}

/* Quants (plus 32) of one group with the scale as stored or, when that came out as zero, as searched. */
static void round_group(uint8_t q[GROUP_LEN], const float *x, float scale, float searched_inverse)
{
    for (int i = 0; i < GROUP_LEN; i++) {
        const float v = scale != 0 ? x[i] / scale : x[i] * searched_inverse;
        q[i] = (uint8_t)(clamp_int(round_even(v), -32, 31) + 32);
    }
}

static void pack(block_q6_k *b, const uint8_t q[QK_K])
{
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *p = q + 128 * h + l;
            b->ql[64 * h + l] = (uint8_t)((p[0] & 15) | (p[64] & 15) << 4);
            b->ql[64 * h + 32 + l] = (uint8_t)((p[32] & 15) | (p[96] & 15) << 4);
            b->qh[32 * h + l] =
                (uint8_t)(p[0] >> 4 | (p[32] >> 4) << 2 | (p[64] >> 4) << 4 | (p[96] >> 4) << 6);
        }
}

static void quantize_block(block_q6_k *b, const float *x)
{
    search s;
    search_load(&s, x);
    search_run(&s);
    if (!store_scales(b, s.scale)) {
        memset(b, 0, sizeof *b);
        return;
    }
    const float d = f32_from_f16(b->d);
    uint8_t q[QK_K];
    for (int g = 0; g < GROUPS; g++) {
        if (s.dead[g]) /* neither searched nor rounded again: its scale is 0 */
            memset(q + GROUP_LEN * g, 0, GROUP_LEN);
        else
            round_group(q + GROUP_LEN * g, x + GROUP_LEN * g, d * (float)b->scales[g], s.inverse[g]);
    }
    pack(b, q);
}

void q6_k_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK_K; n -= QK_K, x += QK_K, p += sizeof(block_q6_k)) {
        block_q6_k b;
        quantize_block(&b, x);
        memcpy(p, &b, sizeof b);
    }
}

void q6_k_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK_K; n -= QK_K, out += QK_K, p += sizeof(block_q6_k)) {
        block_q6_k b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d);
        for (int i = 0; i < QK_K; i++) {
            const int h = i / 128, k = i / 32 % 4, l = i % 32;
            const int low = b.ql[64 * h + 32 * (k & 1) + l] >> (k & 2) * 2 & 15;
            const int high = b.qh[32 * h + l] >> 2 * k & 3;
            out[i] = d * (float)b.scales[i / GROUP_LEN] * (float)(low + 16 * high - 32);
        }
    }
}
