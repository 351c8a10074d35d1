/* Q6_K: superblocks of 256 weights in 16 groups of 16; weight = d * scales[group] * q, q in -32..31.
 *
 * In: rows of float32. Out: 210 bytes per 256 weights. The scale of a group has the least error, weighted with x^2,
 * among 19 candidates: the one that maps the value of largest magnitude to -32, and 18 near it. The scales are then
 * rounded to 8 bits, and the weights are rounded again with the stored scales.
 *
 * Nearly all the time goes into the 19 trials. They run with one lane per group, so that compilers vectorize the loops
 * over g. Each group still sums from element 0 upwards, so the results are those of a plain loop. */
#include "quant/search.h"

enum { GROUPS = 16, GROUP_LEN = 16, TRIALS = 9 };

#define NOTHING 1e-15f /* smaller magnitudes count as zero */

/* Search state of one superblock; arrays are [element][group]. */
typedef struct search {
    float x[GROUP_LEN][GROUPS];  /* the weights */
    float w[GROUP_LEN][GROUPS];  /* importance: x * x */
    float wx[GROUP_LEN][GROUPS]; /* w * x */
    float extreme[GROUPS];       /* value of largest magnitude, with its sign */
    bool dead[GROUPS];           /* no magnitude reaches NOTHING: scale 0 and all quants 0 */
    float inverse[GROUPS];       /* best inverse scale so far */
    float scale[GROUPS];         /* the scale that fits its quants best */
    float merit[GROUPS];         /* weighted energy that this scale explains */
    /* ROUND_MAGIC plus the smallest and the largest quant. Variables, because gcc makes one instruction of the maximum
     * of two variables, but a comparison and a blend of the maximum with a constant. */
    float low, high;
} search;

static void search_load(search *s, const float *x)
{
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; i < GROUP_LEN; i++)
            s->x[i][g] = x[GROUP_LEN * g + i];
    s->low = ROUND_MAGIC - 32;
    s->high = ROUND_MAGIC + 31;
    float largest[GROUPS] = { 0 };
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
        s->extreme[g] = s->dead[g] ? INFINITY : s->extreme[g]; /* makes inverse scales 0 */
    }
}

/* Quantizes all groups with inverse scales -steps/extreme. sum_xl[g], sum_ll[g]: sums of w x l and w l l. */
static void search_sums(const search *s, float steps, float inverse[GROUPS], float sum_xl[GROUPS], float sum_ll[GROUPS])
{
    const float low = s->low, high = s->high;
    for (int g = 0; g < GROUPS; g++) {
        const float is = -steps / s->extreme[g];
        float xl = 0, ll = 0;
#pragma GCC unroll 16
        for (int i = 0; i < GROUP_LEN; i++) {
            /* |is * x| < 34, so it does not matter whether clamping comes before or after the subtraction. */
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

/* Searches all groups; dead groups end with scale 0. */
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

/* Stores the scales in 8 bits and their common factor as float16; false if all weights count as zero. */
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

/* Quants (plus 32) of one group with the stored scale or, if that is zero, with the scale of the search. */
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
            b->qh[32 * h + l] = (uint8_t)(p[0] >> 4 | (p[32] >> 4) << 2 | (p[64] >> 4) << 4 | (p[96] >> 4) << 6);
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
        if (s.dead[g]) /* its scale is 0; no second rounding */
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

static inline int quant_at(const uint8_t *ql, const uint8_t *qh, unsigned i)
{
    const unsigned h = i / 128, k = i / 32 % 4, l = i % 32;
    const int low = ql[64 * h + 32 * (k & 1) + l] >> (k & 2) * 2 & 15;
    const int high = qh[32 * h + l] >> 2 * k & 3;
    return low + 16 * high - 32;
}

void q6_k_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK_K; n -= QK_K, out += QK_K, p += sizeof(block_q6_k)) {
        block_q6_k b;
        memcpy(&b, p, sizeof b);
        const float d = f32_from_f16(b.d);
        for (unsigned i = 0; i < QK_K; i++)
            out[i] = d * (float)b.scales[i / GROUP_LEN] * (float)quant_at(b.ql, b.qh, i);
    }
}

/* ---- quantization with importance ----
 *
 * First, each group gets its own best scale. Then several float16 values of d that cover all these scales are tried;
 * each group takes the nearest 8-bit number. With the best d, each group chooses among the 8-bit numbers near its
 * scale, d is fitted to the choices, and so on until nothing improves. */

static const grid integers = { -32, 31, NULL };

typedef struct scales {
    group g[GROUPS];
    float wanted[GROUPS]; /* best scale of each group alone */
} scales;

/* A candidate block. The 8-bit integers are floats, as the search computes in float. */
typedef struct chosen {
    float d; /* in units; a float16 after scaling */
    float scale[GROUPS];
    float error;
} chosen;

static inline float eight_bit(float v)
{
    v = v > -128 ? v : -128;
    return (v < 127 ? v : 127) + ROUND_MAGIC - ROUND_MAGIC;
}

/* Tries eight values of d; each group takes the 8-bit number nearest to its wanted scale. */
static void try_superscales(chosen *best, const scales *s, const float d[LANES])
{
    float scale[GROUPS][LANES], error[LANES] = { 0 };
    for (int g = 0; g < GROUPS; g++) {
        scale_lanes l;
        for (int c = 0; c < LANES; c++) {
            scale[g][c] = d[c] != 0 ? eight_bit(s->wanted[g] / d[c]) : 0;
            l.scale[c] = d[c] * scale[g][c];
        }
        try_scales(&l, &s->g[g], &integers);
        for (int c = 0; c < LANES; c++)
            error[c] += l.error[c];
    }
    for (int c = 0; c < LANES; c++)
        if (error[c] < best->error) {
            *best = (chosen){ .d = d[c], .error = error[c] };
            for (int g = 0; g < GROUPS; g++)
                best->scale[g] = scale[g][c];
        }
}

/* Chooses each group's best 8-bit number near its wanted scale. */
static void choose_scales(chosen *to, const scales *s)
{
    to->error = 0;
    for (int g = 0; g < GROUPS; g++) {
        float scale[LANES];
        scale_lanes l;
        for (int c = 0; c < LANES; c++) {
            scale[c] = to->d != 0 ? eight_bit(s->wanted[g] / to->d + (float)(c - 4)) : 0;
            l.scale[c] = to->d * scale[c];
        }
        try_scales(&l, &s->g[g], &integers);
        int best = 0;
        for (int c = 1; c < LANES; c++)
            best = l.error[c] < l.error[best] ? c : best;
        to->scale[g] = scale[best];
        to->error += l.error[best];
    }
}

static void fit_chosen(chosen *to, const scales *s)
{
    double xp = 0, pp = 0;
    for (int g = 0; g < GROUPS; g++) {
        const float scale = to->d * to->scale[g], inverse = scale != 0 ? 1 / scale : 0;
        for (int i = 0; i < GROUP_LEN; i++) {
            float q = s->g[g].x[i] * inverse;
            q = fmaxf(fminf(q, 31), -32) + ROUND_MAGIC - ROUND_MAGIC;
            const double p = to->scale[g] * q;
            xp += s->g[g].w[i] * s->g[g].x[i] * p;
            pp += s->g[g].w[i] * p * p;
        }
    }
    if (pp > 0)
        to->d = half_in_units((float)(xp / pp), s->g[0].unit);
}

static void search_superblock(chosen *best, scales *s, const float *x, const float *importance)
{
    const double unit = group_unit(x, QK_K);
    const float most = group_most(importance, QK_K);
    float extreme = 0, energy = 0, d[LANES];
    for (int g = 0; g < GROUPS; g++) {
        group_load(&s->g[g], x + GROUP_LEN * g, importance + GROUP_LEN * g, GROUP_LEN, unit, most);
        s->wanted[g] = search_scale(&s->g[g], &integers, false);
        extreme = fabsf(s->wanted[g]) > fabsf(extreme) ? s->wanted[g] : extreme;
        energy += s->g[g].energy;
    }
    *best = (chosen){ .error = energy };
    for (int k = 0; k < 2; k++) { /* the largest scale becomes -128 .. -113 */
        for (int c = 0; c < LANES; c++)
            d[c] = half_in_units(extreme / (float)(-128 + LANES * k + c), unit);
        try_superscales(best, s, d);
    }
    chosen next = *best;
    for (int round = 0; round < 3; round++) {
        choose_scales(&next, s);
        if (!(next.error < best->error))
            return;
        *best = next;
        fit_chosen(&next, s);
    }
}

static void search_block(void *block, const float *x, const float *importance)
{
    block_q6_k b = { .d = 0 };
    scales s;
    chosen best;
    search_superblock(&best, &s, x, importance);
    b.d = half_clamped(best.d * s.g[0].unit);
    for (int g = 0; g < GROUPS; g++)
        b.scales[g] = (int8_t)best.scale[g];
    memcpy(block, &b, sizeof b);
    put_all(block, QUANT_Q6_K, x);
}

void q6_k_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_Q6_K, search_block, out, x, importance, n);
}

/* ---- one element, refit ---- */

float q6_k_put(void *block, unsigned i, float x)
{
    uint8_t *p = block;
    const float d = half_at(p + offsetof(block_q6_k, d));
    const float scale = d * (float)(int8_t)p[offsetof(block_q6_k, scales) + i / GROUP_LEN];
    const int code = nearest_code(x, scale, 0, -32, 31), q = code + 32;
    const unsigned h = i / 128, k = i / 32 % 4, l = i % 32, low_shift = (k & 2) * 2, high_shift = 2 * k;
    uint8_t *low = p + 64 * h + 32 * (k & 1) + l, *high = p + offsetof(block_q6_k, qh) + 32 * h + l;
    *low = (uint8_t)((*low & ~(15u << low_shift)) | (unsigned)(q & 15) << low_shift);
    *high = (uint8_t)((*high & ~(3u << high_shift)) | (unsigned)(q >> 4) << high_shift);
    return scale * (float)code;
}

/* Weighted sums over a group with fixed quants. */
typedef struct group_sums {
    double xx, xq, qq;
} group_sums;

static double refit_error(const group_sums sums[GROUPS], double d, const int8_t scale[GROUPS])
{
    double error = 0;
    for (int g = 0; g < GROUPS; g++) {
        const double s = d * scale[g];
        error += sums[g].xx - 2 * s * sums[g].xq + s * s * sums[g].qq;
    }
    return error;
}

/* Fits d to the current scales, then the scales to that d. */
static void refit_step(uint16_t *half, int8_t scale[GROUPS], const group_sums sums[GROUPS])
{
    double ax = 0, aa = 0;
    for (int g = 0; g < GROUPS; g++) {
        ax += scale[g] * sums[g].xq;
        aa += (double)scale[g] * scale[g] * sums[g].qq;
    }
    if (!(aa > 0))
        return;
    *half = half_clamped(ax / aa);
    const double d = f32_from_f16(*half);
    for (int g = 0; g < GROUPS && d != 0; g++)
        if (sums[g].qq > 0)
            scale[g] = (int8_t)eight_bit((float)(sums[g].xq / sums[g].qq / d));
}

void q6_k_refit(void *block, const float *x, const float *importance)
{
    block_q6_k b;
    group_sums sums[GROUPS] = { { 0 } };
    memcpy(&b, block, sizeof b);
    for (unsigned i = 0; i < QK_K; i++) {
        group_sums *s = &sums[i / GROUP_LEN];
        const double q = quant_at(b.ql, b.qh, i), w = importance[i];
        s->xx += w * x[i] * x[i];
        s->xq += w * x[i] * q;
        s->qq += w * q * q;
    }
    double best = refit_error(sums, f32_from_f16(b.d), b.scales);
    for (int round = 0; round < 4; round++) {
        block_q6_k next = b;
        refit_step(&next.d, next.scales, sums);
        const double error = refit_error(sums, f32_from_f16(next.d), next.scales);
        if (!(error < best))
            break;
        best = error;
        b = next;
    }
    memcpy(block, &b, sizeof b);
}
