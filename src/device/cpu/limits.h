/* Peak memory and compute rates of this machine, for comparison with real runs. */
#ifndef QASR_DEVICE_CPU_LIMITS_H
#define QASR_DEVICE_CPU_LIMITS_H

#include "base/error.h"

typedef struct device_limits {
    double read_gb_s; /* sequential memory reads, all threads, in 10^9 bytes per second */
    double
        f32_gop_s; /* register tiles on panels in the L1 and L2 caches, all threads; a multiply-add is 2 operations */
    double bf16_gop_s; /* 0: no bfloat16 tile at this CPU level */
    double int8_gop_s; /* 0: no int8 tile */
    unsigned n_threads;
} device_limits;

/* n_threads 0: default. Takes about a second and up to 1 GiB of memory, more if the last-level cache is large. Errors:
 * NOMEM, IO (threads). */
qasr_status limits_measure(device_limits *out, unsigned n_threads, qasr_error *err);

#endif
