/* Distributions given as logits: most probable index, probabilities, distances. For programs too. */
#ifndef QASR_BASE_DISTRIBUTION_H
#define QASR_BASE_DISTRIBUTION_H

#include <stddef.h>

/* The lowest index of the maximum. */
size_t distribution_arg_max(const float *logits, size_t n);
/* Natural logarithm of the probability of one index. */
double distribution_log_prob(const float *logits, size_t n, size_t index);
/* Kullback-Leibler divergence KL(p || q) in nats between the distributions of two rows of finite logits [n], n > 0,
 * computed in double. Never negative; exactly 0 for equal rows. */
double distribution_kl(const float *p, const float *q, size_t n);

#endif
