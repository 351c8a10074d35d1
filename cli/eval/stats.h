/* Figures of an evaluation: distances of next-token distributions, quantiles, bootstrap intervals. */
#ifndef QASR_CLI_EVAL_STATS_H
#define QASR_CLI_EVAL_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Kullback-Leibler divergence KL(p || q) in nats of the distributions that two rows of finite logits [n] give, n above
 * 0, in double. Not negative; exactly 0 for equal rows. */
double stats_kl(const float *p, const float *q, size_t n);
/* Natural logarithm of the probability that the logits give to one index. */
double stats_log_prob(const float *logits, size_t n, size_t index);
/* The lowest index of the largest. */
size_t stats_arg_max(const float *logits, size_t n);

/* Of values [n], which are put in order: q = 0 the smallest, 1 the largest, linear between neighbours. NAN if n is 0.
 */
double stats_quantile(double *values, size_t n, double q);

typedef struct stats_ratio {
    uint64_t part, whole;
} stats_ratio;
double stats_ratio_value(stats_ratio r); /* NAN if whole is 0 */
/* The 95 % percentile bootstrap interval of the sum of parts over the sum of wholes: 2000 times n of the n items are
 * drawn with replacement, by a generator with a fixed seed that depends on nothing but n, so that different figures of
 * the same items see the same draws. NAN, NAN where there is nothing to divide by, or no memory. */
void stats_interval(double interval[2], const stats_ratio *items, size_t n);

#endif
