/* Search for one scale: a coarse search over geometrically spaced scales, descents from the best few, a fine search
 * around the best one, and finally the float16 values next to it. */
#include "quant/search.h"

enum {
    STEPS = 16, /* scales of each sign in the coarse search */
    ROUNDS = 4, /* rounds of rounding and fitting in a descent */
    REACH = 4,  /* float16 neighbours tried on each side at the end */
};

/* Lower bound of importance, relative to the largest. It keeps sums above zero, and scales sane where no weight has
 * importance. */
#define LEAST_IMPORTANCE 0x1p-40f

static float largest_magnitude(const float *x, size_t n)
{
    float top = 0;
    for (size_t i = 0; i < n; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    return top;
}

double group_unit(const float *x, size_t n)
{
    const float top = largest_magnitude(x, n);
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
    double sum_w = 0, sum_wx = 0, sum_wxx = 0;
    for (unsigned i = 0; i < n; i++) {
        sum_w += g->w[i];
        sum_wx += (double)g->w[i] * g->x[i];
        sum_wxx += (double)g->w[i] * g->x[i] * g->x[i];
    }
    g->sum_w = (float)sum_w;
    g->mean = (float)(sum_wx / sum_w);
    g->energy = (float)sum_wxx;
}

uint16_t half_clamped(double v)
{
    const double most = HALF_MAX;
    return f16_from_f32((float)(v < most ? v > -most ? v : -most : most));
}

float half_in_units(float scale, double unit) { return (float)(f32_from_f16(half_clamped(scale * unit)) / unit); }

float half_beside(float v, double unit, int steps)
{
    const uint16_t h = half_clamped(v * unit);
    const int magnitude = clamp_int((h & 0x7fff) + steps, 0, 0x7bff);
    return (float)(f32_from_f16((uint16_t)((h & 0x8000) | magnitude)) / unit);
}

/* ---- one scale ---- */

/* These functions serve groups of 16 and 32; n is a constant at each call. With the inner loops unrolled, compilers
 * vectorize the outer loops over lanes. */

/* Rounds the weights to points: p[element][lane]. */
static inline __attribute__((always_inline)) void round_to_points(float p[restrict GROUP_MAX][LANES],
                                                                  const scale_lanes *restrict s,
                                                                  const group *restrict g, const grid *restrict points,
                                                                  unsigned n)
{
    const float low = points->low, high = points->high;
    for (int c = 0; c < LANES; c++) {
        const float inverse = s->scale[c] != 0 ? 1 / s->scale[c] : 0;
#pragma GCC unroll 32
        for (unsigned i = 0; i < n; i++) {
            float t = inverse * g->x[i];
            t = t > low ? t : low;
            t = t < high ? t : high;
            p[i][c] = points->nearest ? t : t + ROUND_MAGIC - ROUND_MAGIC;
        }
    }
    for (unsigned i = 0; points->nearest && i < n; i++)
        for (int c = 0; c < LANES; c++)
            p[i][c] = points->nearest[(int)(2 * (p[i][c] - low))];
}

static inline __attribute__((always_inline)) void
scale_sums(scale_lanes *restrict s, float p[restrict GROUP_MAX][LANES], const group *restrict g, unsigned n)
{
    for (int c = 0; c < LANES; c++) {
        const float scale = s->scale[c];
        float error = 0, rest = 0, size = 0;
#pragma GCC unroll 32
        for (unsigned i = 0; i < n; i++) {
            const float w = g->w[i], r = g->x[i] - scale * p[i][c], wr = w * r;
            error += wr * r;
            rest += wr * p[i][c];
            size += w * p[i][c] * p[i][c];
        }
        const float step = rest / size;
        s->error[c] = error;
        s->fit[c] = size > 0 ? scale + step : scale;
        s->fit_error[c] = size > 0 ? error - step * rest : error;
    }
}

static inline __attribute__((always_inline)) void try_n(scale_lanes *s, const group *g, const grid *points, unsigned n)
{
    float p[GROUP_MAX][LANES];
    round_to_points(p, s, g, points, n);
    scale_sums(s, p, g, n);
}

void try_scales(scale_lanes *s, const group *g, const grid *points)
{
    if (points->nearest)
        try_n(s, g, points, GROUP_MAX);
    else if (g->n == GROUP_MAX)
        try_n(s, g, &(grid){ points->low, points->high, NULL }, GROUP_MAX);
    else
        try_n(s, g, &(grid){ points->low, points->high, NULL }, GROUP_MAX / 2);
}

void starts_add(starts *s, line l, float error)
{
    for (int i = 0; i < s->n; i++)
        if (fabsf(s->line[i].scale - l.scale) <= 1e-6f * fabsf(l.scale) &&
            fabsf(s->line[i].low - l.low) <= 1e-6f * fabsf(l.low)) /* same line: same quants */
            return;
    if (s->n == LANES && !(error < s->error[LANES - 1]))
        return;
    int at = s->n < LANES ? s->n++ : LANES - 1;
    for (; at > 0 && error < s->error[at - 1]; at--) {
        s->line[at] = s->line[at - 1];
        s->error[at] = s->error[at - 1];
    }
    s->line[at] = l;
    s->error[at] = error;
}

typedef struct scale_best {
    float scale, error;
} scale_best;

/* Alternates rounding and fitting, from the scales in s, until no lane finds a better one. */
static void scales_descend(scale_best *best, scale_lanes *s, const group *g, const grid *points, bool half)
{
    for (int round = 0; round < ROUNDS; round++) {
        bool better = false;
        for (int c = 0; half && c < LANES; c++)
            s->scale[c] = half_in_units(s->scale[c], g->unit);
        try_scales(s, g, points);
        for (int c = 0; c < LANES; c++)
            if (s->error[c] < best->error) {
                *best = (scale_best){ s->scale[c], s->error[c] };
                better = true;
            }
        if (!better)
            return;
        memcpy(s->scale, s->fit, sizeof s->scale);
    }
}

/* Tries the float16 values near the best scale. Where float16 is coarse, there are no other candidates. */
static void scales_neighbours(scale_best *best, const group *g, const grid *points)
{
    scale_lanes s;
    for (int c = 0; c < LANES; c++)
        s.scale[c] = half_beside(best->scale, g->unit, c < REACH ? c - REACH : c - REACH + 1);
    try_scales(&s, g, points);
    for (int c = 0; c < LANES; c++)
        if (s.error[c] < best->error)
            *best = (scale_best){ s.scale[c], s.error[c] };
}

/* The coarse search: scales that put the end of the grid between just beyond the largest magnitude and where important
 * weights would be clipped, geometrically spaced. Returns the ratio. */
static float scales_look(starts *found, const group *g, const grid *points)
{
    const float top = largest_magnitude(g->x, g->n);
    const float bottom = fminf(0.5f * top, 1.2f * sqrtf(g->energy / g->sum_w));
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
            starts_add(found, (line){ s.fit[c], 0 }, s.fit_error[c]);
    }
    return ratio;
}

float search_scale(const group *g, const grid *points, bool half)
{
    scale_best best = { 0, g->energy };
    if (!(best.error > 0))
        return 0;
    starts found = { .n = 0 };
    const float ratio = scales_look(&found, g, points);
    scale_lanes s;
    for (int c = 0; c < LANES; c++)
        s.scale[c] = found.line[c < found.n ? c : 0].scale;
    scales_descend(&best, &s, g, points, half);
    for (int c = 0; c < LANES; c++) /* fine search, between scales of the coarse one */
        s.scale[c] = best.scale * (1 + (1 - ratio) * ((float)c - 3.5f) / 4);
    scales_descend(&best, &s, g, points, half);
    if (half)
        scales_neighbours(&best, g, points);
    return best.scale;
}

void search_scale_block(void *block, quant_type type, const grid *points, const float x[QK], const float importance[QK])
{
    group g;
    group_load(&g, x, importance, QK, group_unit(x, QK), group_most(importance, QK));
    const uint16_t d = half_clamped(search_scale(&g, points, true) * g.unit);
    memcpy(block, &d, sizeof d);
    put_all(block, type, x);
}

/* ---- rows of blocks ---- */

void put_all(void *block, quant_type type, const float *x)
{
    const quant_info *q = quant_get(type);
    for (unsigned i = 0; i < q->block; i++)
        q->put(block, i, x[i]);
}

static double block_error(const quant_info *q, const void *block, const float *x, const float *importance)
{
    float y[QK_K];
    double error = 0;
    q->dequantize(y, block, q->block);
    for (unsigned i = 0; i < q->block; i++)
        error += importance[i] * ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    return error;
}

void quantize_rows_weighted(quant_type type, search_fn search, void *out, const float *x, const float *importance,
                            size_t n)
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
        if (largest_magnitude(x, q->block) > q->largest)
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
    /* The error is a parabola with its minimum at xp / pp. */
    return fabs(f32_from_f16(h) - xp / pp) < fabs(f32_from_f16(old) - xp / pp) ? h : old;
}

/* Weighted squared error of a line with float16 scale and low. */
static double half_line_error(uint16_t scale, uint16_t low, const float *codes, const float *x, const float *importance,
                              unsigned n)
{
    double error = 0;
    for (unsigned i = 0; i < n; i++) {
        const double r = (double)f32_from_f16(scale) * codes[i] + f32_from_f16(low) - x[i];
        error += importance[i] * r * r;
    }
    return error;
}

void refit_half_line(uint16_t *scale, uint16_t *low, const float *codes, const float *x, const float *importance,
                     unsigned n)
{
    double w = 0, wq = 0, wx = 0, qq = 0, xq = 0;
    for (unsigned i = 0; i < n; i++) {
        w += importance[i];
        wq += (double)importance[i] * codes[i];
        wx += (double)importance[i] * x[i];
    }
    if (!(w > 0))
        return;
    for (unsigned i = 0; i < n; i++) {
        const double q = codes[i] - wq / w;
        qq += importance[i] * q * q;
        xq += importance[i] * q * (x[i] - wx / w);
    }
    /* low fits the scale as stored, not the exact one. */
    const uint16_t new_scale = qq > 0 ? half_clamped(xq / qq) : *scale;
    const uint16_t new_low = half_clamped((wx - f32_from_f16(new_scale) * wq) / w);
    if (half_line_error(new_scale, new_low, codes, x, importance, n) <
        half_line_error(*scale, *low, codes, x, importance, n)) {
        *scale = new_scale;
        *low = new_low;
    }
}
