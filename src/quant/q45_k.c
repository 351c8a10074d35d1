/* Q4_K and Q5_K: superblocks of 256 weights in 8 groups of 32; weight = d * scale[group] * q -
 * dmin * min[group], with q in 0..15 or 0..31 and scales and minima of 6 bits.
 *
 * In: rows of float32. Out: 144 or 176 bytes per 256 weights. Each group looks for the line (scale, minimum)
 * with the least squared error, weighted with rms + |x|: it starts from the range of its values, tries a few
 * inverse scales around that and fits the line to the quants each of them gives. Scales and minima then get
 * 6 bits, and the weights are rounded again with those.
 *
 * The search runs with one lane per group, as in Q6_K: sums go from element 0 upwards, so the results are
 * those of the plain loop. */
#include "quant/formats.h"

enum { GROUPS = 8, GROUP_LEN = 32 };

typedef struct format {
    int32_t q_max;      /* largest quant */
    float first_offset; /* the trials divide q_max + first_offset + 0.1 * s by the range */
    int last_step;      /* s = 0..last_step */
} format;

static const format q4_format = {.q_max = 15, .first_offset = -1, .last_step = 20};
static const format q5_format = {.q_max = 31, .first_offset = -0.5f, .last_step = 15};

/* The state of the search of one superblock, element first, group last. */
typedef struct search {
    float x[GROUP_LEN][GROUPS]; /* the weights */
    float w[GROUP_LEN][GROUPS]; /* importance: rms of the group + |x| */
    float sum_w[GROUPS], sum_wx[GROUPS];
    float high[GROUPS];    /* largest value */
    float low[GROUPS];     /* best offset so far, at most 0 */
    float scale[GROUPS];   /* best scale so far */
    float error[GROUPS];   /* its weighted squared error */
    float inverse[GROUPS]; /* its quants are round((x - origin) * inverse) */
    float origin[GROUPS];
    float q_max;
} search;

static void search_load(search *s, const float *x, const format *f)
{
    s->q_max = (float)f->q_max;
    for (int g = 0; g < GROUPS; g++) {
        const float *xg = x + GROUP_LEN * g;
        float sum_xx = 0;
        for (int i = 0; i < GROUP_LEN; i++)
            sum_xx += xg[i] * xg[i];
        const float rms = sqrtf(sum_xx / GROUP_LEN);
        for (int i = 0; i < GROUP_LEN; i++) {
            s->x[i][g] = xg[i];
            s->w[i][g] = rms + fabsf(xg[i]);
        }
    }
    for (int g = 0; g < GROUPS; g++) {
        s->low[g] = s->high[g] = s->x[0][g];
        s->sum_w[g] = s->sum_wx[g] = 0;
    }
    for (int i = 0; i < GROUP_LEN; i++)
        for (int g = 0; g < GROUPS; g++) {
            const float v = s->x[i][g];
            s->low[g] = v < s->low[g] ? v : s->low[g];
            s->high[g] = v > s->high[g] ? v : s->high[g];
            s->sum_w[g] += s->w[i][g];
            s->sum_wx[g] += s->w[i][g] * v;
        }
    for (int g = 0; g < GROUPS; g++)
        s->low[g] = s->low[g] > 0 ? 0 : s->low[g];
}

/* round_even as a float, clamped to 0..q_max. */
static inline float round_clamped(float v, float q_max)
{
    float t = v + ROUND_MAGIC;
    uint32_t u;
    memcpy(&u, &t, sizeof u);
    u = (u & 0x7fffff) | 0x4b000000; /* in [2^23, 2^24) also for a v that is too large for the magic number */
    memcpy(&t, &u, sizeof t);
    t -= ROUND_MAGIC;
    t = t > 0 ? t : 0;
    return t < q_max ? t : q_max;
}

/* A group whose values are all the same has the range 0, so the inverse scale is infinite, the scale 0 and
 * (x - low) * inverse not a number, which rounds to 0: the rule for such groups comes out by itself, and no
 * trial is taken since all its sums are 0. */
static void search_start(search *s)
{
    const float q_max = s->q_max;
    for (int g = 0; g < GROUPS; g++) {
        const float low = s->low[g], is = q_max / (s->high[g] - low), scale = 1 / is;
        float error = 0;
#pragma GCC unroll 32
        for (int i = 0; i < GROUP_LEN; i++) {
            const float x = s->x[i][g], l = round_clamped(is * (x - low), q_max);
            const float diff = scale * l + low - x;
            error += s->w[i][g] * (diff * diff);
        }
        s->inverse[g] = is;
        s->origin[g] = low;
        s->scale[g] = scale;
        s->error[g] = error;
    }
}

/* One trial: quants and what follows from them. */
typedef struct trial {
    float l[GROUP_LEN][GROUPS]; /* the quants */
    float inverse[GROUPS];
    float sum_l[GROUPS], sum_ll[GROUPS], sum_xl[GROUPS]; /* all weighted */
    float det[GROUPS];                                   /* of the fit; not positive: no line */
    float scale[GROUPS], low[GROUPS];                    /* the line that fits the quants best */
    float error[GROUPS];
} trial;

static void trial_round(trial *restrict t, const search *restrict s, float steps)
{
    const float q_max = s->q_max;
    for (int g = 0; g < GROUPS; g++) {
        const float low = s->low[g], is = steps / (s->high[g] - low);
        float sum_l = 0, sum_ll = 0, sum_xl = 0;
#pragma GCC unroll 32
        for (int i = 0; i < GROUP_LEN; i++) {
            const float x = s->x[i][g], w = s->w[i][g];
            const float l = round_clamped(is * (x - low), q_max);
            sum_l += w * l;
            sum_ll += w * l * l;
            sum_xl += w * l * x;
            t->l[i][g] = l;
        }
        t->inverse[g] = is;
        t->sum_l[g] = sum_l;
        t->sum_ll[g] = sum_ll;
        t->sum_xl[g] = sum_xl;
    }
}

static void trial_fit(trial *restrict t, const search *restrict s)
{
    for (int g = 0; g < GROUPS; g++) {
        const float sum_w = s->sum_w[g], sum_wx = s->sum_wx[g];
        const float sum_l = t->sum_l[g], sum_ll = t->sum_ll[g], sum_xl = t->sum_xl[g];
        const float det = sum_w * sum_ll - sum_l * sum_l;
        const float scale = (sum_w * sum_xl - sum_wx * sum_l) / det;
        const float low = (sum_ll * sum_wx - sum_l * sum_xl) / det;
        const float scale_through_0 = sum_xl / sum_ll; /* minima are not negative, so low is not positive */
        t->det[g] = det;
        t->scale[g] = low > 0 ? scale_through_0 : scale;
        t->low[g] = low > 0 ? 0 : low;
    }
}

static void trial_measure(trial *restrict t, const search *restrict s)
{
    for (int g = 0; g < GROUPS; g++) {
        const float scale = t->scale[g], low = t->low[g];
        float error = 0;
#pragma GCC unroll 32
        for (int i = 0; i < GROUP_LEN; i++) {
            const float diff = scale * t->l[i][g] + low - s->x[i][g];
            error += s->w[i][g] * (diff * diff);
        }
        t->error[g] = error;
    }
}

/* Takes the trial for the groups where it has the smaller error. The new low is also the one from which the
 * next trials measure the range. */
static void search_take(search *restrict s, const trial *restrict t)
{
    for (int g = 0; g < GROUPS; g++) {
        const int better = (t->det[g] > 0) & (t->error[g] < s->error[g]);
        s->inverse[g] = better ? t->inverse[g] : s->inverse[g];
        s->origin[g] = better ? s->low[g] : s->origin[g];
        s->scale[g] = better ? t->scale[g] : s->scale[g];
        s->low[g] = better ? t->low[g] : s->low[g];
        s->error[g] = better ? t->error[g] : s->error[g];
    }
}

static void search_run(search *s, const format *f)
{
    search_start(s);
    trial t;
    for (int i = 0; i <= f->last_step; i++) {
        trial_round(&t, s, f->first_offset + 0.1f * (float)i + s->q_max);
        trial_fit(&t, s);
        trial_measure(&t, s);
        search_take(s, &t);
    }
}

/* 6 bits for each of values[g], and the half that multiplies them. */
static uint16_t six_bits(uint8_t q[GROUPS], const float values[GROUPS])
{
    float largest = 0;
    for (int g = 0; g < GROUPS; g++)
        largest = values[g] > largest ? values[g] : largest;
    const float inverse = largest > 0 ? 63 / largest : 0;
    for (int g = 0; g < GROUPS; g++) {
        const uint8_t v = (uint8_t)round_even(inverse * values[g]);
        q[g] = v < 63 ? v : 63;
    }
    return f16_from_f32(largest / 63);
}

static void pack_scales(uint8_t s[12], const uint8_t scale[GROUPS], const uint8_t min[GROUPS])
{
    for (int j = 0; j < 4; j++) {
        s[j] = (uint8_t)(scale[j] | (scale[j + 4] >> 4) << 6);
        s[j + 4] = (uint8_t)(min[j] | (min[j + 4] >> 4) << 6);
        s[j + 8] = (uint8_t)((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
    }
}

/* What Q4_K and Q5_K have in common: everything but the layout of the quants. */
typedef struct superblock {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t q[QK_K];
} superblock;

static void quantize_superblock(superblock *b, const float *x, const format *f)
{
    search s;
    search_load(&s, x, f);
    search_run(&s, f);

    uint8_t scale[GROUPS], min[GROUPS];
    float minima[GROUPS];
    for (int g = 0; g < GROUPS; g++)
        minima[g] = -s.low[g];
    b->d = six_bits(scale, s.scale);
    b->dmin = six_bits(min, minima);
    pack_scales(b->scales, scale, min);

    const float d = f32_from_f16(b->d), dmin = f32_from_f16(b->dmin);
    for (int g = 0; g < GROUPS; g++) {
        const float dg = d * (float)scale[g], mg = dmin * (float)min[g];
        for (int i = 0; i < GROUP_LEN; i++) {
            const float v = x[GROUP_LEN * g + i];
            /* A scale stored as zero says nothing about the quants: those of the search stay. */
            const float steps = dg != 0 ? (v + mg) / dg : s.inverse[g] * (v - s.origin[g]);
            b->q[GROUP_LEN * g + i] = (uint8_t)clamp_int(round_even(steps), 0, f->q_max);
        }
    }
}

/* The low four bits: 32 bytes for every 64 elements. */
static void pack_low_bits(uint8_t qs[QK_K / 2], const uint8_t q[QK_K])
{
    for (int g = 0; g < 4; g++)
        for (int l = 0; l < 32; l++)
            qs[32 * g + l] = (uint8_t)((q[64 * g + l] & 15) | (q[64 * g + 32 + l] & 15) << 4);
}

static void pack_fifth_bits(uint8_t qh[QK_K / 8], const uint8_t q[QK_K])
{
    memset(qh, 0, QK_K / 8);
    for (int g = 0; g < GROUPS; g++)
        for (int l = 0; l < 32; l++)
            qh[l] = (uint8_t)(qh[l] | (q[32 * g + l] >> 4) << g);
}

void q4_k_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK_K; n -= QK_K, x += QK_K, p += sizeof(block_q4_k)) {
        superblock s;
        quantize_superblock(&s, x, &q4_format);
        block_q4_k b = {.d = s.d, .dmin = s.dmin};
        memcpy(b.scales, s.scales, sizeof b.scales);
        pack_low_bits(b.qs, s.q);
        memcpy(p, &b, sizeof b);
    }
}

void q5_k_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK_K; n -= QK_K, x += QK_K, p += sizeof(block_q5_k)) {
        superblock s;
        quantize_superblock(&s, x, &q5_format);
        block_q5_k b = {.d = s.d, .dmin = s.dmin};
        memcpy(b.scales, s.scales, sizeof b.scales);
        pack_low_bits(b.qs, s.q);
        pack_fifth_bits(b.qh, s.q);
        memcpy(p, &b, sizeof b);
    }
}

/* Scale and minimum of a group as floats. */
static void group_line(const uint8_t scales[12], uint16_t d, uint16_t dmin, unsigned g, float *scale,
                       float *min)
{
    uint8_t sc, m;
    quant_k_scale_min(scales, g, &sc, &m);
    *scale = f32_from_f16(d) * (float)sc;
    *min = f32_from_f16(dmin) * (float)m;
}

void q4_k_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK_K; n -= QK_K, p += sizeof(block_q4_k)) {
        block_q4_k b;
        memcpy(&b, p, sizeof b);
        for (unsigned g = 0; g < GROUPS; g++, out += GROUP_LEN) {
            float scale, min;
            group_line(b.scales, b.d, b.dmin, g, &scale, &min);
            for (int l = 0; l < GROUP_LEN; l++)
                out[l] = scale * (float)(b.qs[32 * (g / 2) + l] >> g % 2 * 4 & 15) - min;
        }
    }
}

void q5_k_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK_K; n -= QK_K, p += sizeof(block_q5_k)) {
        block_q5_k b;
        memcpy(&b, p, sizeof b);
        for (unsigned g = 0; g < GROUPS; g++, out += GROUP_LEN) {
            float scale, min;
            group_line(b.scales, b.d, b.dmin, g, &scale, &min);
            for (int l = 0; l < GROUP_LEN; l++) {
                const int low = b.qs[32 * (g / 2) + l] >> g % 2 * 4 & 15, high = b.qh[l] >> g & 1;
                out[l] = scale * (float)(low | high << 4) - min;
            }
        }
    }
}
