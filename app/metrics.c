/* See metrics.h. */
#include "app/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

void metrics_shape_text(char *text, size_t size, unsigned n_dims, const uint64_t shape[4])
{
    size_t n = (size_t)snprintf(text, size, "[");
    for (unsigned d = 0; d < n_dims && d < 4; d++)
        n += (size_t)snprintf(text + n, size - n, "%s%" PRIu64, d ? "," : "", shape[d]);
    snprintf(text + n, size - n, "]");
}

double metrics_peak_rss_mb(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#if defined(__APPLE__)
    return (double)usage.ru_maxrss / (1024 * 1024); /* bytes */
#else
    return (double)usage.ru_maxrss / 1024; /* kilobytes */
#endif
}

double metrics_real_time_factor(const qasr_timings *t) { return t->audio_s > 0 ? t->total_s / t->audio_s : 0; }

double metrics_ms_per_token(const qasr_timings *t)
{
    return t->n_decoded_tokens ? 1000 * t->decode_s / (double)t->n_decoded_tokens : 0;
}
