/* A progress bar on a terminal. */
#ifndef QASR_CLI_PROGRESS_H
#define QASR_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    bool shown;
    double start_s, last_s;
} progress;

/* Shows nothing when quiet or when stderr is not a terminal. */
void progress_begin(progress *p, bool quiet);
void progress_update(progress *p, uint64_t done_bytes, uint64_t total_bytes);
void progress_end(progress *p); /* takes the bar away */

#endif
