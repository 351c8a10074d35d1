/* See stats.h. */
#include "cli/eval/stats.h"

#include <math.h>
#include <stdlib.h>

enum { RESAMPLES = 2000 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double stats_quantile(double *values, size_t n, double q)
{
    if (n == 0)
        return NAN;
    qsort(values, n, sizeof *values, by_size);
    double at = q * (double)(n - 1);
    size_t low = (size_t)at, high = low + 1 < n ? low + 1 : low;
    return values[low] + (at - (double)low) * (values[high] - values[low]);
}

double stats_ratio_value(stats_ratio r) { return r.whole ? r.part / (double)r.whole : NAN; }

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

/* Below n, which is far below 2^32, so that the bias of the product does not matter. */
static size_t random_below(uint64_t *state, size_t n) { return (size_t)((next_random(state) >> 32) * n >> 32); }

void stats_interval(double interval[2], const stats_ratio *items, size_t n)
{
    uint64_t state = 1;
    size_t n_values = 0;
    double *values = malloc(RESAMPLES * sizeof *values);
    for (int r = 0; values && r < RESAMPLES; r++) {
        stats_ratio sum = { 0, 0 };
        for (size_t i = 0; i < n; i++) {
            const stats_ratio *x = &items[random_below(&state, n)];
            sum.part += x->part;
            sum.whole += x->whole;
        }
        if (sum.whole)
            values[n_values++] = stats_ratio_value(sum);
    }
    interval[0] = stats_quantile(values, n_values, 0.025);
    interval[1] = stats_quantile(values, n_values, 0.975);
    free(values);
}
