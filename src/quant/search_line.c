/* The search for a line, weight = scale * q + low with q in 0 .. q_max: a first look at where the range might begin and
 * end, descents from the best few lines, a closer look at ends around the best, and at last the halves next to it. */
#include "quant/search.h"

enum { ROUNDS = 4, CLOSER = 2, ENDS = 8 };

/* With the inner loops unrolled, the outer ones over lanes are what compilers vectorise. */

/* The quants that the weights become, and that of the mean, not rounded. Element first, lane last. */
static void round_to_quants(float q[restrict GROUP_MAX][LANES], float middle[restrict LANES], const line_lanes *restrict s,
                            const group *restrict g, float q_max)
{
    for (int c = 0; c < LANES; c++) {
        const float low = s->low[c], inverse = s->scale[c] != 0 ? 1 / s->scale[c] : 0;
        float m = (g->mean - low) * inverse;
        m = m > 0 ? m : 0;
        middle[c] = m < q_max ? m : q_max;
#pragma GCC unroll 32
        for (unsigned i = 0; i < GROUP_MAX; i++) {
            float t = (g->x[i] - low) * inverse;
            t = t > 0 ? t : 0;
            t = t < q_max ? t : q_max;
            q[i][c] = t + ROUND_MAGIC - ROUND_MAGIC;
        }
    }
}

typedef struct line_sums {
    float rest[LANES], rest_q[LANES], q[LANES], qq[LANES]; /* all weighted */
} line_sums;

/* Sums of what the lane's own line leaves over, and of quants less the one of the mean: so little cancels, even where one
 * weight counts for all. */
static void sum_lines(line_sums *restrict sum, line_lanes *restrict s, float quants[restrict GROUP_MAX][LANES],
                      const float middle[restrict LANES], const group *restrict g)
{
    for (int c = 0; c < LANES; c++) {
        const float scale = s->scale[c], low = s->low[c], mid = middle[c];
        float error = 0, rest = 0, rest_q = 0, sum_q = 0, sum_qq = 0;
#pragma GCC unroll 32
        for (unsigned i = 0; i < GROUP_MAX; i++) {
            const float w = g->w[i], r = g->x[i] - low - scale * quants[i][c], wr = w * r;
            const float q = quants[i][c] - mid, wq = w * q;
            error += wr * r;
            rest += wr;
            rest_q += wr * q;
            sum_q += wq;
            sum_qq += wq * q;
        }
        s->error[c] = error;
        sum->rest[c] = rest;
        sum->rest_q[c] = rest_q;
        sum->q[c] = sum_q;
        sum->qq[c] = sum_qq;
    }
}

/* The best line through 0, for lanes whose best line begins above it. */
static void fit_through_zero(line_lanes *s, const line_sums *sum, const float middle[LANES], const group *g)
{
    for (int c = 0; c < LANES; c++) {
        if (!(s->fit_low[c] > 0))
            continue;
        const float q = sum->q[c] + middle[c] * g->sum_w, qq = sum->qq[c] + middle[c] * (sum->q[c] + q);
        const float xq = s->low[c] * q + s->scale[c] * qq + sum->rest_q[c] + middle[c] * sum->rest[c];
        s->fit_scale[c] = qq > 0 && xq > 0 ? xq / qq : 0;
        s->fit_low[c] = 0;
        s->fit_error[c] = g->energy - s->fit_scale[c] * xq;
    }
}

void try_lines(line_lanes *s, const group *g, const line_rule *rule)
{
    float quants[GROUP_MAX][LANES], middle[LANES];
    line_sums sum;
    round_to_quants(quants, middle, s, g, rule->q_max);
    sum_lines(&sum, s, quants, middle, g);
    for (int c = 0; c < LANES; c++) {
        const float det = g->sum_w * sum.qq[c] - sum.q[c] * sum.q[c];
        const float slope = (g->sum_w * sum.rest_q[c] - sum.rest[c] * sum.q[c]) / det;
        const float b = det > 1e-6f * g->sum_w * sum.qq[c] ? slope : 0; /* else all quants that count are the same */
        const float a = (sum.rest[c] - b * sum.q[c]) / g->sum_w;
        s->fit_scale[c] = s->scale[c] + b;
        s->fit_low[c] = s->low[c] + a - b * middle[c];
        s->fit_error[c] = s->error[c] - a * sum.rest[c] - b * sum.rest_q[c];
    }
    if (rule->not_above_zero)
        fit_through_zero(s, &sum, middle, g);
}

typedef struct starts {
    line line[LANES];
    float error[LANES];
    int n;
} starts;

static void starts_add(starts *s, line l, float error)
{
    for (int i = 0; i < s->n; i++)
        if (fabsf(s->line[i].scale - l.scale) <= 1e-6f * fabsf(l.scale) &&
            fabsf(s->line[i].low - l.low) <= 1e-6f * fabsf(l.low)) /* the same quants */
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

static bool take_best(line_best *best, const line_lanes *s)
{
    bool better = false;
    for (int c = 0; c < LANES; c++)
        if (s->error[c] < best->error) {
            *best = (line_best){{s->scale[c], s->low[c]}, s->error[c]};
            better = true;
        }
    return better;
}

/* Rounds and fits from the lines in s until no lane finds a better one. */
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

/* From just beyond the outermost weight to where those that count would be cut off, in equal ratios. */
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
            starts_add(found, (line){s.fit_scale[c], s.fit_low[c]}, s.fit_error[c]);
    }
}

/* Lines whose ends lie a step further in or out than the best one's. */
static void lines_around(line_lanes *s, const line_best *best, float step, const line_rule *rule)
{
    static const int8_t ends[LANES][2] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 1}, {1, -1}, {1, 0}, {1, 1}};
    const float width = best->line.scale * rule->q_max;
    for (int c = 0; c < LANES; c++) {
        const float low = best->line.low + step * width * (float)ends[c][0];
        const float high = best->line.low + width + step * width * (float)ends[c][1];
        s->low[c] = rule->not_above_zero ? fminf(low, 0) : low;
        s->scale[c] = (high - s->low[c]) / rule->q_max;
    }
}

static float half_beside(float v, double unit, int steps)
{
    const uint16_t h = half_clamped(v * unit);
    const int magnitude = clamp_int((h & 0x7fff) + steps, 0, 0x7bff);
    return (float)(f32_from_f16((uint16_t)((h & 0x8000) | magnitude)) / unit);
}

static void lines_beside(line_lanes *s, const line_best *best, const group *g)
{
    static const int8_t steps[LANES][2] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 1}, {1, -1}, {1, 0}, {1, 1}};
    for (int c = 0; c < LANES; c++) {
        s->scale[c] = half_beside(best->line.scale, g->unit, steps[c][0]);
        s->low[c] = half_beside(best->line.low, g->unit, steps[c][1]);
    }
}

line search_line(const group *g, const line_rule *rule)
{
    line_best best = {{0, 0}, g->energy};
    if (!(best.error > 0))
        return best.line;
    starts found = {.n = 0};
    lines_look(&found, g, rule);
    line_lanes s;
    for (int c = 0; c < LANES; c++) {
        s.scale[c] = found.line[c < found.n ? c : 0].scale;
        s.low[c] = found.line[c < found.n ? c : 0].low;
    }
    lines_descend(&best, &s, g, rule);
    float step = 0.02f;
    for (int i = 0; i < CLOSER; i++) {
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

void search_half_line(uint16_t *scale, uint16_t *low, float q_max, const float x[QK], const float importance[QK])
{
    const line_rule rule = {.q_max = q_max, .halves = true};
    group g;
    group_load(&g, x, importance, QK, group_unit(x, QK), group_most(importance, QK));
    const line l = search_line(&g, &rule);
    *scale = half_clamped(l.scale * g.unit);
    *low = half_clamped(l.low * g.unit);
}
