/* See distribution.h. */
#include "base/distribution.h"

#include <math.h>

size_t distribution_arg_max(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* Log-sum-exp. */
static double log_sum(const float *logits, size_t n)
{
    double max = logits[distribution_arg_max(logits, n)], sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp(logits[i] - max);
    return max + log(sum);
}

double distribution_log_prob(const float *logits, size_t n, size_t index) { return logits[index] - log_sum(logits, n); }

double distribution_kl(const float *p, const float *q, size_t n)
{
    double log_p = log_sum(p, n), log_q = log_sum(q, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp(p[i] - log_p) * ((p[i] - log_p) - (q[i] - log_q));
    return sum > 0 ? sum : 0; /* negative only by rounding */
}
