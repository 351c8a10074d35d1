/* Q4_K and Q5_K: superblocks of 256 weights in 8 groups of 32; weight = d * scale[group] * q - dmin * min[group], with
 * q in 0..15 or 0..31, and 6-bit scales and minima.
 *
 * In: rows of float32. Out: 144 or 176 bytes per 256 weights. For each group a search finds a line (scale, minimum)
 * with a small squared error, weighted with rms + |x|: it starts from the range of the values, tries a few inverse
 * scales around that, and fits a line to the quants that each of them gives. Scales and minima are then rounded to 6
 * bits, and the weights are rounded again with those.
 *
 * The search runs with one lane per group, as in Q6_K. Sums run from element 0 upwards, so the results are those of a
 * plain loop. */
#include "quant/search.h"

enum { GROUPS = 8, GROUP_LEN = 32 };

typedef struct format {
    int32_t q_max;      /* largest quant */
    float first_offset; /* the trials divide q_max + first_offset + 0.1 * s by the range */
    int last_step;      /* s = 0..last_step */
} format;

static const format q4_format = { .q_max = 15, .first_offset = -1, .last_step = 20 };
static const format q5_format = { .q_max = 31, .first_offset = -0.5f, .last_step = 15 };

/* Search state of one superblock; arrays are [element][group]. */
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
    u = (u & 0x7fffff) | 0x4b000000; /* in [2^23, 2^24) even if v is too large for the magic number */
    memcpy(&t, &u, sizeof t);
    t -= ROUND_MAGIC;
    t = t > 0 ? t : 0;
    return t < q_max ? t : q_max;
}

/* If all values of a group are the same, its range is 0: the inverse scale is infinite, the scale is 0, and (x - low) *
 * inverse is NaN, which rounds to 0. This is the rule of the reference for such groups, and no trial is taken since all
 * its sums are 0. */
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

/* One trial: quants and the line that fits them. */
typedef struct trial {
    float l[GROUP_LEN][GROUPS]; /* the quants */
    float inverse[GROUPS];
    float sum_l[GROUPS], sum_ll[GROUPS], sum_xl[GROUPS]; /* all weighted */
    float det[GROUPS];                                   /* of the fit; no line unless positive */
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

/* Takes the trial for the groups where it has the smaller error. The next trials measure the range from the new low. */
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

/* Rounds each of values to 6 bits; returns their common factor as float16. */
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

/* The content of a Q4_K or Q5_K block, with unpacked quants. */
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
            /* A scale stored as zero does not determine the quants: take those of the search. */
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
        block_q4_k b = { .d = s.d, .dmin = s.dmin };
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
        block_q5_k b = { .d = s.d, .dmin = s.dmin };
        memcpy(b.scales, s.scales, sizeof b.scales);
        pack_low_bits(b.qs, s.q);
        pack_fifth_bits(b.qh, s.q);
        memcpy(p, &b, sizeof b);
    }
}

static inline int low_bits_at(const uint8_t *qs, unsigned i)
{
    return qs[32 * (i / 64) + i % 32] >> i / 32 % 2 * 4 & 15;
}

/* Scale and minimum of a group as floats. */
static void group_line(const uint8_t scales[12], uint16_t d, uint16_t dmin, unsigned g, float *scale, float *min)
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

/* ---- quantization with importance ----
 *
 * First, each group gets its own best line. Then several float16 pairs of d and dmin that cover all these lines are
 * tried; each group takes the nearest 6-bit pair. With the best d and dmin, each group chooses among the 6-bit pairs
 * near its line, d and dmin are fitted to the choices, and so on until nothing improves. */

typedef struct lines {
    group g[GROUPS];
    line wanted[GROUPS]; /* best line of each group alone */
    line_rule rule;
} lines;

/* A candidate block. The 6-bit integers are floats, as the search computes in float. */
typedef struct chosen {
    float d, dmin; /* in units; float16 after scaling */
    float scale[GROUPS], min[GROUPS];
    float error;
} chosen;

static inline float six_bit(float v)
{
    v = v > 0 ? v : 0;
    return (v < 63 ? v : 63) + ROUND_MAGIC - ROUND_MAGIC;
}

/* The best low for another scale: the line still passes through the mean at the same quant. */
static inline float low_for(const lines *s, int g, float scale)
{
    const line w = s->wanted[g];
    const float middle = w.scale > 0 ? (s->g[g].mean - w.low) / w.scale : 0;
    return w.low + (w.scale - scale) * middle;
}

/* Sets lane c to the line of a 6-bit pair. */
static inline void set_lane(line_lanes *l, int c, float d, float dmin, float scale, float min)
{
    l->scale[c] = d * scale;
    l->low[c] = -(dmin * min);
}

/* Tries eight pairs of d and dmin; each group takes the 6-bit numbers nearest to its wanted line. */
static void try_superscales(chosen *best, const lines *s, const float d[LANES], const float dmin[LANES])
{
    float scale[GROUPS][LANES], min[GROUPS][LANES], error[LANES] = { 0 };
    for (int g = 0; g < GROUPS; g++) {
        line_lanes l;
        for (int c = 0; c < LANES; c++) {
            scale[g][c] = d[c] > 0 ? six_bit(s->wanted[g].scale / d[c]) : 0;
            min[g][c] = dmin[c] > 0 ? six_bit(-low_for(s, g, d[c] * scale[g][c]) / dmin[c]) : 0;
            set_lane(&l, c, d[c], dmin[c], scale[g][c], min[g][c]);
        }
        try_lines(&l, &s->g[g], &s->rule);
        for (int c = 0; c < LANES; c++)
            error[c] += l.error[c];
    }
    for (int c = 0; c < LANES; c++)
        if (error[c] < best->error) {
            *best = (chosen){ .d = d[c], .dmin = dmin[c], .error = error[c] };
            for (int g = 0; g < GROUPS; g++) {
                best->scale[g] = scale[g][c];
                best->min[g] = min[g][c];
            }
        }
}

/* Chooses each group's best 6-bit pair near its wanted line. */
static void choose_pairs(chosen *to, const lines *s)
{
    static const int8_t beside[LANES][2] = { { -1, 0 }, { -1, 1 }, { 0, 0 },  { 0, 1 },
                                             { 1, 0 },  { 1, 1 },  { 0, -1 }, { 0, 2 } };
    to->error = 0;
    for (int g = 0; g < GROUPS; g++) {
        float scale[LANES], min[LANES];
        line_lanes l;
        for (int c = 0; c < LANES; c++) {
            scale[c] = to->d > 0 ? six_bit(s->wanted[g].scale / to->d + (float)beside[c][0]) : 0;
            const float wanted = to->dmin > 0 ? -low_for(s, g, to->d * scale[c]) / to->dmin : 0;
            min[c] = six_bit(wanted - 0.5f + (float)beside[c][1]);
            set_lane(&l, c, to->d, to->dmin, scale[c], min[c]);
        }
        try_lines(&l, &s->g[g], &s->rule);
        int best = 0;
        for (int c = 1; c < LANES; c++)
            best = l.error[c] < l.error[best] ? c : best;
        to->scale[g] = scale[best];
        to->min[g] = min[best];
        to->error += l.error[best];
    }
}

/* Weighted sums over a group with fixed quants. */
typedef struct group_sums {
    double w, q, qq, x, xq, xx;
} group_sums;

static inline void sums_add(group_sums *s, double w, double x, double q)
{
    s->w += w;
    s->q += w * q;
    s->qq += w * q * q;
    s->x += w * x;
    s->xq += w * x * q;
    s->xx += w * x * x;
}

/* Fits d and dmin to fixed quants and 6-bit numbers: least squares in a = scale * q and b = -min. A factor that these
 * do not determine is kept. */
static void fit_superscales(double *d, double *dmin, const group_sums sums[GROUPS], const float scale[GROUPS],
                            const float min[GROUPS])
{
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (int g = 0; g < GROUPS; g++) {
        const double a = scale[g], b = -min[g];
        aa += a * a * sums[g].qq;
        ab += a * b * sums[g].q;
        bb += b * b * sums[g].w;
        ax += a * sums[g].xq;
        bx += b * sums[g].x;
    }
    const double det = aa * bb - ab * ab;
    if (det > 1e-9 * aa * bb) {
        *d = (ax * bb - bx * ab) / det;
        *dmin = (bx * aa - ax * ab) / det;
    } else if (aa > 0) {
        *d = (ax - *dmin * ab) / aa;
    }
}

static void fit_chosen(chosen *to, const lines *s)
{
    group_sums sums[GROUPS] = { { 0 } };
    for (int g = 0; g < GROUPS; g++) {
        const group *p = &s->g[g];
        const float scale = to->d * to->scale[g], low = -(to->dmin * to->min[g]), inverse = scale > 0 ? 1 / scale : 0;
        for (int i = 0; i < GROUP_LEN; i++)
            sums_add(&sums[g], p->w[i], p->x[i], round_clamped((p->x[i] - low) * inverse, s->rule.q_max));
    }
    double d = to->d, dmin = to->dmin;
    fit_superscales(&d, &dmin, sums, to->scale, to->min);
    to->d = half_in_units((float)(d > 0 ? d : 0), s->g[0].unit);
    to->dmin = half_in_units((float)(dmin > 0 ? dmin : 0), s->g[0].unit);
}

/* The first candidates: float16 values of d and dmin with which the largest wanted numbers become 63, or a little less.
 */
static void first_superscales(chosen *best, const lines *s)
{
    float scale = 0, min = 0, d[LANES], dmin[LANES];
    for (int g = 0; g < GROUPS; g++) {
        scale = fmaxf(scale, s->wanted[g].scale);
        min = fmaxf(min, -s->wanted[g].low);
    }
    for (int k = 0; k < LANES; k += 3) {
        for (int c = 0; c < LANES; c++) {
            d[c] = half_in_units(scale / 63 * (1 + (float)c / 128), s->g[0].unit);
            dmin[c] = half_in_units(min / 63 * (1 + (float)k / 128), s->g[0].unit);
        }
        try_superscales(best, s, d, dmin);
    }
}

static void search_superblock(chosen *best, lines *s, const float *x, const float *importance, int q_max)
{
    const double unit = group_unit(x, QK_K);
    const float most = group_most(importance, QK_K);
    float energy = 0;
    s->rule = (line_rule){ .q_max = (float)q_max, .not_above_zero = true };
    for (int g = 0; g < GROUPS; g++) {
        group_load(&s->g[g], x + GROUP_LEN * g, importance + GROUP_LEN * g, GROUP_LEN, unit, most);
        s->wanted[g] = search_line(&s->g[g], &s->rule);
        energy += s->g[g].energy;
    }
    *best = (chosen){ .error = energy };
    first_superscales(best, s);
    chosen next = *best;
    for (int round = 0; round < 4; round++) {
        choose_pairs(&next, s);
        if (!(next.error < best->error))
            return;
        *best = next;
        fit_chosen(&next, s);
    }
}

/* True if a group has only positive weights: a minimum cannot help it, unless the weights are negated. */
static bool signs_matter(const float *x)
{
    for (int g = 0; g < GROUPS; g++) {
        float least = x[GROUP_LEN * g];
        for (int i = 1; i < GROUP_LEN; i++)
            least = fminf(least, x[GROUP_LEN * g + i]);
        if (least > 0)
            return true;
    }
    return false;
}

/* Searches for the head of a block (scales and minima), which Q4_K and Q5_K share. */
static void search_head(block_q4_k *head, const float *x, const float *importance, int q_max)
{
    lines s;
    chosen best, other;
    search_superblock(&best, &s, x, importance, q_max);
    double sign = 1;
    if (signs_matter(x)) {
        float negated[QK_K];
        for (int i = 0; i < QK_K; i++)
            negated[i] = -x[i];
        search_superblock(&other, &s, negated, importance, q_max);
        sign = other.error < best.error ? -1 : 1;
        best = sign < 0 ? other : best;
    }
    uint8_t scale[GROUPS], min[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        scale[g] = (uint8_t)best.scale[g];
        min[g] = (uint8_t)best.min[g];
    }
    head->d = half_clamped(sign * best.d * s.g[0].unit);
    head->dmin = half_clamped(sign * best.dmin * s.g[0].unit);
    pack_scales(head->scales, scale, min);
}

static void search_q4_k(void *block, const float *x, const float *importance)
{
    block_q4_k b = { .d = 0 };
    search_head(&b, x, importance, q4_format.q_max);
    memcpy(block, &b, sizeof b);
    put_all(block, QUANT_Q4_K, x);
}

static void search_q5_k(void *block, const float *x, const float *importance)
{
    block_q4_k head;
    block_q5_k b = { .d = 0 };
    search_head(&head, x, importance, q5_format.q_max);
    memcpy(&b, &head, offsetof(block_q4_k, qs));
    memcpy(block, &b, sizeof b);
    put_all(block, QUANT_Q5_K, x);
}

void q4_k_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_Q4_K, search_q4_k, out, x, importance, n);
}

void q5_k_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_Q5_K, search_q5_k, out, x, importance, n);
}

/* ---- one element ---- */

/* Sets the low four bits of element i and returns its value. *rest: the higher bits of the code, for the caller. */
static float put_low_bits(uint8_t *p, size_t qs, int q_max, unsigned i, float x, int *rest)
{
    const unsigned g = i / GROUP_LEN, shift = g % 2 * 4;
    float scale, min;
    group_line(p + offsetof(block_q4_k, scales), half_bits(p), half_bits(p + 2), g, &scale, &min);
    const int code = nearest_code(x, scale, -min, 0, q_max);
    uint8_t *byte = p + qs + 32 * (g / 2) + i % GROUP_LEN;
    *byte = (uint8_t)((*byte & ~(15u << shift)) | (unsigned)(code & 15) << shift);
    *rest = code >> 4;
    return scale * (float)code - min;
}

float q4_k_put(void *block, unsigned i, float x)
{
    int rest;
    return put_low_bits(block, offsetof(block_q4_k, qs), q4_format.q_max, i, x, &rest);
}

float q5_k_put(void *block, unsigned i, float x)
{
    int fifth;
    const float stored = put_low_bits(block, offsetof(block_q5_k, qs), q5_format.q_max, i, x, &fifth);
    uint8_t *byte = (uint8_t *)block + offsetof(block_q5_k, qh) + i % GROUP_LEN;
    const unsigned g = i / GROUP_LEN;
    *byte = (uint8_t)((*byte & ~(1u << g)) | (unsigned)fifth << g);
    return stored;
}

/* ---- refit ---- */

static double sums_error(const group_sums *s, double scale, double low)
{
    return s->xx - 2 * scale * s->xq - 2 * low * s->x + scale * scale * s->qq + 2 * scale * low * s->q +
           low * low * s->w;
}

/* Refits the 6-bit numbers of a group to its quants, for fixed d and dmin: tries those next to the best line. */
static void refit_pair(float *scale, float *min, const group_sums *s, double d, double dmin)
{
    const double det = s->w * s->qq - s->q * s->q;
    if (d == 0 || !(s->w > 0))
        return;
    const double slope = det > 1e-9 * s->w * s->qq ? (s->w * s->xq - s->x * s->q) / det : d * *scale;
    double best = sums_error(s, d * *scale, -dmin * *min);
    const float at = six_bit((float)(slope / d));
    for (int step = -1; step <= 1; step++) {
        const float sc = six_bit(at + (float)step);
        const float m = dmin != 0 ? six_bit((float)(-(s->x - d * sc * s->q) / s->w / dmin)) : *min;
        const double error = sums_error(s, d * sc, -dmin * m);
        if (error < best) {
            best = error;
            *scale = sc;
            *min = m;
        }
    }
}

static double head_error(const group_sums sums[GROUPS], double d, double dmin, const float scale[GROUPS],
                         const float min[GROUPS])
{
    double error = 0;
    for (int g = 0; g < GROUPS; g++)
        error += sums_error(&sums[g], d * scale[g], -dmin * min[g]);
    return error;
}

static void refit_head(uint8_t *p, const group_sums sums[GROUPS])
{
    uint16_t half[2];
    float scale[GROUPS], min[GROUPS];
    uint8_t sc[GROUPS], m[GROUPS];
    memcpy(half, p, sizeof half);
    for (unsigned g = 0; g < GROUPS; g++) {
        quant_k_scale_min(p + offsetof(block_q4_k, scales), g, &sc[g], &m[g]);
        scale[g] = sc[g];
        min[g] = m[g];
    }
    double best = head_error(sums, f32_from_f16(half[0]), f32_from_f16(half[1]), scale, min);
    for (int round = 0; round < 4; round++) {
        double d = f32_from_f16(half[0]), dmin = f32_from_f16(half[1]);
        fit_superscales(&d, &dmin, sums, scale, min);
        const uint16_t next[2] = { half_clamped(d), half_clamped(dmin) };
        d = f32_from_f16(next[0]);
        dmin = f32_from_f16(next[1]);
        for (int g = 0; g < GROUPS; g++)
            refit_pair(&scale[g], &min[g], &sums[g], d, dmin);
        const double error = head_error(sums, d, dmin, scale, min);
        if (!(error < best))
            return;
        best = error;
        for (int g = 0; g < GROUPS; g++) {
            sc[g] = (uint8_t)scale[g];
            m[g] = (uint8_t)min[g];
        }
        memcpy(half, next, sizeof half);
        memcpy(p, half, sizeof half);
        pack_scales(p + offsetof(block_q4_k, scales), sc, m);
    }
}

void q4_k_refit(void *block, const float *x, const float *importance)
{
    const uint8_t *qs = (const uint8_t *)block + offsetof(block_q4_k, qs);
    group_sums sums[GROUPS] = { { 0 } };
    for (unsigned i = 0; i < QK_K; i++)
        sums_add(&sums[i / GROUP_LEN], importance[i], x[i], low_bits_at(qs, i));
    refit_head(block, sums);
}

void q5_k_refit(void *block, const float *x, const float *importance)
{
    const uint8_t *qs = (const uint8_t *)block + offsetof(block_q5_k, qs);
    const uint8_t *qh = (const uint8_t *)block + offsetof(block_q5_k, qh);
    group_sums sums[GROUPS] = { { 0 } };
    for (unsigned i = 0; i < QK_K; i++) {
        const int fifth = qh[i % GROUP_LEN] >> i / GROUP_LEN & 1;
        sums_add(&sums[i / GROUP_LEN], importance[i], x[i], low_bits_at(qs, i) | fifth << 4);
    }
    refit_head(block, sums);
}
