/* Search for a line, weight = scale * q + low with q in 0 .. q_max: a coarse search over both ends of the range,
 * descents from the best few lines, a fine search around the ends of the best one, and finally the float16 values next
 * to it. */
#include "quant/search.h"

enum { ROUNDS = 4, CLOSER = 2, ENDS = 8 };

typedef struct line_sums {
    float middle[LANES];                                                 /* quant of the mean, not rounded */
    float error[LANES], rest[LANES], rest_q[LANES], q[LANES], qq[LANES]; /* all weighted */
} line_sums;

/* Sums of rounding residuals, in units of the lane's scale, and of quants relative to that of the mean. So there is
 * little cancellation, even if one weight has nearly all the importance. With the inner loop unrolled, compilers
 * vectorize the outer loop over lanes. */
static void sum_lines(line_sums *restrict sum, const line_lanes *restrict s, const group *restrict g, float q_max)
{
    for (int c = 0; c < LANES; c++) {
        const float low = s->low[c], inverse = s->scale[c] != 0 ? 1 / s->scale[c] : 0;
        float middle = (g->mean - low) * inverse, error = 0, rest = 0, rest_q = 0, sum_q = 0, sum_qq = 0;
        middle = middle > 0 ? middle : 0;
        middle = middle < q_max ? middle : q_max;
#pragma GCC unroll 32
        for (unsigned i = 0; i < GROUP_MAX; i++) {
            const float w = g->w[i], t = (g->x[i] - low) * inverse;
            float q = t > 0 ? t : 0;
            q = q < q_max ? q : q_max;
            q = q + ROUND_MAGIC - ROUND_MAGIC;
            const float r = t - q, wr = w * r, from_middle = q - middle, wq = w * from_middle;
            error += wr * r;
            rest += wr;
            rest_q += wr * from_middle;
            sum_q += wq;
            sum_qq += wq * from_middle;
        }
        sum->middle[c] = middle;
        sum->error[c] = error;
        sum->rest[c] = rest;
        sum->rest_q[c] = rest_q;
        sum->q[c] = sum_q;
        sum->qq[c] = sum_qq;
    }
}

/* With scale 0 all weights become low; the best constant is the mean. */
static void fit_flat(line_lanes *s, int c, const group *g)
{
    const float off = g->mean - s->low[c];
    s->fit_error[c] = g->energy - g->sum_w * g->mean * g->mean;
    s->error[c] = s->fit_error[c] + g->sum_w * off * off;
    s->fit_scale[c] = 0;
    s->fit_low[c] = g->mean;
}

/* The best line with low = 0, for a lane whose best line has a positive low. */
static void fit_through_zero(line_lanes *s, int c, const line_sums *sum, const group *g)
{
    const float middle = sum->middle[c], q = sum->q[c] + middle * g->sum_w, qq = sum->qq[c] + middle * (sum->q[c] + q);
    const float xq = s->low[c] * q + s->scale[c] * (qq + sum->rest_q[c] + middle * sum->rest[c]);
    s->fit_scale[c] = qq > 0 && xq > 0 ? xq / qq : 0;
    s->fit_low[c] = 0;
    s->fit_error[c] = g->energy - s->fit_scale[c] * xq;
}

void try_lines(line_lanes *s, const group *g, const line_rule *rule)
{
    line_sums sum;
    sum_lines(&sum, s, g, rule->q_max);
    for (int c = 0; c < LANES; c++) {
        const float scale = s->scale[c], det = g->sum_w * sum.qq[c] - sum.q[c] * sum.q[c];
        const float slope = (g->sum_w * sum.rest_q[c] - sum.rest[c] * sum.q[c]) / det;
        const float b = det > 1e-6f * g->sum_w * sum.qq[c] ? slope : 0; /* else all important quants are the same */
        const float a = (sum.rest[c] - b * sum.q[c]) / g->sum_w;
        s->error[c] = scale * scale * sum.error[c];
        s->fit_scale[c] = scale + scale * b;
        s->fit_low[c] = s->low[c] + scale * (a - b * sum.middle[c]);
        s->fit_error[c] = scale * scale * (sum.error[c] - a * sum.rest[c] - b * sum.rest_q[c]);
    }
    for (int c = 0; c < LANES; c++) {
        if (s->scale[c] == 0)
            fit_flat(s, c, g);
        if (rule->not_above_zero && s->fit_low[c] > 0)
            fit_through_zero(s, c, &sum, g);
    }
}

static bool take_best(line_best *best, const line_lanes *s)
{
    bool better = false;
    for (int c = 0; c < LANES; c++)
        if (s->error[c] < best->error) {
            *best = (line_best){ { s->scale[c], s->low[c] }, s->error[c] };
            better = true;
        }
    return better;
}

/* Alternates rounding and fitting, from the lines in s, until no lane finds a better one. False if the first round
 * finds none. */
static bool lines_descend(line_best *best, line_lanes *s, const group *g, const line_rule *rule)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (int c = 0; rule->halves && c < LANES; c++) {
            s->scale[c] = half_in_units(s->scale[c], g->unit);
            s->low[c] = half_in_units(s->low[c], g->unit);
        }
        try_lines(s, g, rule);
        if (!take_best(best, s))
            return round > 0;
        memcpy(s->scale, s->fit_scale, sizeof s->scale);
        memcpy(s->low, s->fit_low, sizeof s->low);
    }
    return true;
}

/* Distances of an end from the mean: from just beyond the outermost weight to where important weights would be clipped,
 * geometrically spaced. */
static void end_distances(float d[ENDS], float outermost, float deviation)
{
    const float bottom = fminf(0.6f * outermost, 1.2f * deviation);
    float ratio = outermost > 0 ? bottom / (1.06f * outermost) : 1;
    for (int i = 1; i < ENDS; i *= 2)
        ratio = sqrtf(ratio);
    d[0] = 1.06f * outermost;
    for (int i = 1; i < ENDS; i++)
        d[i] = d[i - 1] * ratio;
}

static void lines_look(starts *found, const group *g, const line_rule *rule)
{
    float least = g->x[0], largest = g->x[0], sum = 0;
    for (unsigned i = 0; i < GROUP_MAX; i++) {
        const float x = g->x[i];
        least = x < least ? x : least;
        largest = x > largest ? x : largest;
        sum += g->w[i] * (x - g->mean) * (x - g->mean);
    }
    const float deviation = sqrtf(sum / g->sum_w);
    float below[ENDS], above[ENDS];
    end_distances(below, g->mean - least, deviation);
    end_distances(above, largest - g->mean, deviation);
    line_lanes s;
    for (int i = 0; i < ENDS; i++) {
        const float low = rule->not_above_zero ? fminf(g->mean - below[i], 0) : g->mean - below[i];
        for (int c = 0; c < LANES; c++) {
            s.low[c] = low;
            s.scale[c] = (fmaxf(g->mean + above[c], low) - low) / rule->q_max;
        }
        try_lines(&s, g, rule);
        for (int c = 0; c < LANES; c++)
            starts_add(found, (line){ s.fit_scale[c], s.fit_low[c] }, s.fit_error[c]);
    }
}

/* Lines whose ends are a step further in or out than those of the best one. */
static void lines_around(line_lanes *s, const line_best *best, float step, const line_rule *rule)
{
    static const int8_t ends[LANES][2] = { { -1, -1 }, { -1, 0 }, { -1, 1 }, { 0, -1 },
                                           { 0, 1 },   { 1, -1 }, { 1, 0 },  { 1, 1 } };
    const float width = best->line.scale * rule->q_max;
    for (int c = 0; c < LANES; c++) {
        const float low = best->line.low + step * width * (float)ends[c][0];
        const float high = best->line.low + width + step * width * (float)ends[c][1];
        s->low[c] = rule->not_above_zero ? fminf(low, 0) : low;
        s->scale[c] = (high - s->low[c]) / rule->q_max;
    }
}

static void lines_beside(line_lanes *s, const line_best *best, const group *g)
{
    static const int8_t steps[LANES][2] = { { -1, -1 }, { -1, 0 }, { -1, 1 }, { 0, -1 },
                                            { 0, 1 },   { 1, -1 }, { 1, 0 },  { 1, 1 } };
    for (int c = 0; c < LANES; c++) {
        s->scale[c] = half_beside(best->line.scale, g->unit, steps[c][0]);
        s->low[c] = half_beside(best->line.low, g->unit, steps[c][1]);
    }
}

line search_line(const group *g, const line_rule *rule)
{
    line_best best = { { 0, 0 }, g->energy };
    if (!(best.error > 0))
        return best.line;
    starts found = { .n = 0 };
    lines_look(&found, g, rule);
    line_lanes s;
    for (int c = 0; c < LANES; c++) {
        s.scale[c] = found.line[c < found.n ? c : 0].scale;
        s.low[c] = found.line[c < found.n ? c : 0].low;
    }
    lines_descend(&best, &s, g, rule);
    float step = 0.02f;
    for (int i = 0; i < (rule->halves ? CLOSER : 1); i++) {
        lines_around(&s, &best, step, rule);
        if (!lines_descend(&best, &s, g, rule))
            step /= 2;
    }
    for (int i = 0; rule->halves && i < CLOSER; i++) {
        lines_beside(&s, &best, g);
        try_lines(&s, g, rule);
        if (!take_best(&best, &s))
            break;
    }
    return best.line;
}

void search_line_block(void *block, quant_type type, int q_max, const float x[QK], const float importance[QK])
{
    const line_rule rule = { .q_max = (float)q_max, .halves = true };
    group g;
    group_load(&g, x, importance, QK, group_unit(x, QK), group_most(importance, QK));
    const line l = search_line(&g, &rule);
    const uint16_t halves[2] = { half_clamped(l.scale * g.unit), half_clamped(l.low * g.unit) };
    memcpy(block, halves, sizeof halves);
    put_all(block, type, x);
}
