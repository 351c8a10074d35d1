/* Metrics that several programs report, and their formatting. */
#ifndef QASR_APP_METRICS_H
#define QASR_APP_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "qasr/qasr.h"

/* "[480,1,3,3]" */
void metrics_shape_text(char *text, size_t size, unsigned n_dims, const uint64_t shape[4]);

/* Peak resident memory of this process, in MiB. */
double metrics_peak_rss_mb(void);
/* Seconds of work per second of audio; 0 without audio. */
double metrics_real_time_factor(const qasr_timings *t);
/* Milliseconds of decoding per generated token; 0 without tokens. */
double metrics_ms_per_token(const qasr_timings *t);

#endif
