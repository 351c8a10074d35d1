/* Statistics of an evaluation: quantiles, bootstrap intervals. */
#ifndef QASR_CLI_EVAL_STATS_H
#define QASR_CLI_EVAL_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Quantile of values [n], which get sorted: q = 0 is the smallest, 1 the largest, linear in between. NAN if n is 0.
 */
double stats_quantile(double *values, size_t n, double q);

/* A share, or a mean of whole values with the sum part. Sums of counts below 2^53 are exact. */
typedef struct stats_ratio {
    double part;
    uint64_t whole;
} stats_ratio;
double stats_ratio_value(stats_ratio r); /* NAN if whole is 0 */
/* The 95 % percentile bootstrap interval of the sum of parts over the sum of wholes: 2000 resamples with replacement.
 * The seed is fixed and the draws depend only on n, so that different metrics of the same items see the same draws.
 * NAN, NAN if all wholes are 0, or without memory. */
void stats_interval(double interval[2], const stats_ratio *items, size_t n);

#endif
