/* How the search goes: a first look at scales in equal ratios, descents from the best few, a closer look around the
 * best one, and at last the halves next to it. */
#include "quant/search.h"

enum {
    STEPS = 32,   /* scales of either sign that the first look takes */
    ROUNDS = 6,   /* of rounding and fitting */
    REACH = 4,    /* neighbours among the halves on either side that are tried last */
};

/* Importance below this share of the largest counts as much: it keeps sums from being zero and scales sane where
 * nothing matters. */
#define LEAST_IMPORTANCE 0x1p-40f

/* What the plain quantizers are made for (formats.h). */
#define MODERATE 0x1p17

double group_unit(const float *x, size_t n)
{
    float top = 0;
    for (size_t i = 0; i < n; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    if (!(top > 0))
        return 1;
    int exponent;
    frexp((double)top, &exponent);
    return ldexp(1, exponent - 1);
}

float group_most(const float *importance, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = importance[i] > most ? importance[i] : most;
    return most;
}

void group_load(group *g, const float *x, const float *importance, unsigned n, double unit, float most)
{
    const double inverse = 1 / unit;
    g->n = n;
    g->unit = unit;
    for (unsigned i = 0; i < n; i++) {
        const float w = importance[i] / most;
        g->x[i] = (float)(x[i] * inverse);
        g->w[i] = w > LEAST_IMPORTANCE ? w : LEAST_IMPORTANCE;
    }
}

uint16_t half_clamped(double v)
{
    const double most = 65504;
    return f16_from_f32((float)(v < most ? v > -most ? v : -most : most));
}

float half_in_units(float scale, double unit)
{
    return (float)(f32_from_f16(half_clamped(scale * unit)) / unit);
}

/* ---- one scale ---- */

/* The sums of try_scales. The group's length and the kind of the grid are constants where this is called. */
static inline __attribute__((always_inline)) void scale_sums(scale_lanes *s, const group *g, float low, float high,
                                                             const int8_t *nearest, unsigned n)
{
    float scale[LANES], inverse[LANES], error[LANES] = {0}, rest[LANES] = {0}, size[LANES] = {0};
    for (int c = 0; c < LANES; c++) {
        scale[c] = s->scale[c];
        inverse[c] = scale[c] != 0 ? 1 / scale[c] : 0;
    }
    for (unsigned i = 0; i < n; i++) {
        const float x = g->x[i], w = g->w[i];
        float p[LANES];
        for (int c = 0; c < LANES; c++) {
            float t = inverse[c] * x;
            t = t > low ? t : low;
            p[c] = t < high ? t : high;
        }
        for (int c = 0; c < LANES; c++)
            p[c] = nearest ? (float)nearest[(int)(2 * (p[c] - low))] : p[c] + ROUND_MAGIC - ROUND_MAGIC;
        for (int c = 0; c < LANES; c++) {
            const float r = x - scale[c] * p[c], wr = w * r;
            error[c] += wr * r;
            rest[c] += wr * p[c];
            size[c] += w * p[c] * p[c];
        }
    }
    for (int c = 0; c < LANES; c++) {
        const float step = size[c] > 0 ? rest[c] / size[c] : 0;
        s->error[c] = error[c];
        s->fit[c] = scale[c] + step;
        s->fit_error[c] = error[c] - step * rest[c];
    }
}

void try_scales(scale_lanes *s, const group *g, const grid *points)
{
    if (points->nearest)
        scale_sums(s, g, points->low, points->high, points->nearest, GROUP_MAX);
    else if (g->n == GROUP_MAX)
        scale_sums(s, g, points->low, points->high, NULL, GROUP_MAX);
    else
        scale_sums(s, g, points->low, points->high, NULL, GROUP_MAX / 2);
}

/* The best fits so far, the best one first. */
typedef struct starts {
    float scale[LANES], error[LANES];
    int n;
} starts;

static void starts_add(starts *s, float scale, float error)
{
    for (int i = 0; i < s->n; i++)
        if (fabsf(s->scale[i] - scale) <= 1e-6f * fabsf(scale)) /* the same points */
            return;
    if (s->n == LANES && !(error < s->error[LANES - 1]))
        return;
    int at = s->n < LANES ? s->n++ : LANES - 1;
    for (; at > 0 && error < s->error[at - 1]; at--) {
        s->scale[at] = s->scale[at - 1];
        s->error[at] = s->error[at - 1];
    }
    s->scale[at] = scale;
    s->error[at] = error;
}

typedef struct scale_best {
    float scale, error;
} scale_best;

/* Rounds and fits from the scales in s until no lane finds a better one. */
static void scales_descend(scale_best *best, scale_lanes *s, const group *g, const grid *points, bool half)
{
    for (int round = 0; round < ROUNDS; round++) {
        bool better = false;
        for (int c = 0; half && c < LANES; c++)
            s->scale[c] = half_in_units(s->scale[c], g->unit);
        try_scales(s, g, points);
        for (int c = 0; c < LANES; c++)
            if (s->error[c] < best->error) {
                *best = (scale_best){s->scale[c], s->error[c]};
                better = true;
            }
        if (!better)
            return;
        memcpy(s->scale, s->fit, sizeof s->scale);
    }
}

/* Halves near the best one: all that is left where they are far apart. */
static void scales_neighbours(scale_best *best, const group *g, const grid *points)
{
    const uint16_t h = half_clamped(best->scale * g->unit);
    scale_lanes s;
    for (int c = 0; c < LANES; c++) {
        const int magnitude = (h & 0x7fff) + (c < REACH ? c - REACH : c - REACH + 1);
        s.scale[c] = (float)(f32_from_f16((uint16_t)((h & 0x8000) | clamp_int(magnitude, 0, 0x7bff))) / g->unit);
    }
    try_scales(&s, g, points);
    for (int c = 0; c < LANES; c++)
        if (s.error[c] < best->error)
            *best = (scale_best){s.scale[c], s.error[c]};
}

/* The error of scale 0. */
static float energy(const group *g)
{
    float sum = 0;
    for (unsigned i = 0; i < g->n; i++)
        sum += g->w[i] * g->x[i] * g->x[i];
    return sum;
}

/* The first look: where the grid ends, from just beyond the largest magnitude down to where the weights that count
 * would be cut off, in equal ratios. Returns the ratio. */
static float scales_look(starts *found, const group *g, const grid *points)
{
    float top = 0, sum_w = 0;
    for (unsigned i = 0; i < g->n; i++) {
        top = fabsf(g->x[i]) > top ? fabsf(g->x[i]) : top;
        sum_w += g->w[i];
    }
    const float bottom = fminf(0.5f * top, 1.2f * sqrtf(energy(g) / sum_w));
    float ratio = bottom / (1.2f * top);
    for (int i = 1; i < STEPS; i *= 2)
        ratio = sqrtf(ratio);
    float scale = 1.2f * top / fmaxf(points->high, -points->low);
    scale_lanes s;
    for (int i = 0; i < STEPS / (LANES / 2); i++) {
        for (int c = 0; c < LANES; c += 2, scale *= ratio) {
            s.scale[c] = scale;
            s.scale[c + 1] = -scale;
        }
        try_scales(&s, g, points);
        for (int c = 0; c < LANES; c++)
            starts_add(found, s.fit[c], s.fit_error[c]);
    }
    return ratio;
}

float search_scale(const group *g, const grid *points, bool half)
{
    scale_best best = {0, energy(g)};
    if (!(best.error > 0))
        return 0;
    starts found = {.n = 0};
    const float ratio = scales_look(&found, g, points);
    scale_lanes s;
    for (int c = 0; c < LANES; c++)
        s.scale[c] = found.scale[c < found.n ? c : 0];
    scales_descend(&best, &s, g, points, half);
    for (int c = 0; c < LANES; c++) /* a closer look between the scales of the first */
        s.scale[c] = best.scale * (1 + (1 - ratio) * ((float)c - 3.5f) / 4);
    scales_descend(&best, &s, g, points, half);
    if (half)
        scales_neighbours(&best, g, points);
    return best.scale;
}

uint16_t search_half_scale(const grid *points, const float x[QK], const float importance[QK])
{
    group g;
    group_load(&g, x, importance, QK, group_unit(x, QK), group_most(importance, QK));
    return half_clamped(search_scale(&g, points, true) * g.unit);
}

/* ---- rows of blocks ---- */

static double block_error(const quant_info *q, const void *block, const float *x, const float *importance)
{
    float y[QK_K];
    double error = 0;
    q->dequantize(y, block, q->block);
    for (unsigned i = 0; i < q->block; i++)
        error += importance[i] * ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    return error;
}

void quantize_rows_weighted(quant_type type, search_fn search, void *out, const float *x, const float *importance, size_t n)
{
    const quant_info *q = quant_get(type);
    float ones[QK_K];
    for (unsigned i = 0; i < q->block; i++)
        ones[i] = 1;
    unsigned char *p = out;
    for (; n >= q->block; n -= q->block, x += q->block, importance += q->block, p += q->bytes) {
        const float *w = group_most(importance, q->block) > 0 ? importance : ones;
        unsigned char plain[sizeof(block_q6_k)], searched[sizeof(block_q6_k)];
        memset(searched, 0, q->bytes);
        search(searched, x, w);
        memcpy(p, searched, q->bytes);
        if (group_unit(x, q->block) > MODERATE)
            continue;
        q->quantize(plain, x, q->block);
        if (block_error(q, plain, x, w) < block_error(q, searched, x, w))
            memcpy(p, plain, q->bytes);
    }
}

uint16_t refit_half_scale(uint16_t old, const float *points, const float *x, const float *importance, unsigned n)
{
    double xp = 0, pp = 0;
    for (unsigned i = 0; i < n; i++) {
        xp += (double)importance[i] * x[i] * points[i];
        pp += (double)importance[i] * points[i] * points[i];
    }
    if (!(pp > 0))
        return old;
    const uint16_t h = half_clamped(xp / pp);
    /* The error is a parabola around xp / pp. */
    return fabs(f32_from_f16(h) - xp / pp) < fabs(f32_from_f16(old) - xp / pp) ? h : old;
}
