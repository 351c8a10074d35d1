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
/* The same for work that is counted in other things than bytes: "12/120 WHAT". */
void progress_update_count(progress *p, uint64_t done, uint64_t total, const char *what);
void progress_end(progress *p); /* takes the bar away */

/* From now on SIGINT, SIGTERM and SIGHUP are remembered once, for long work that can be asked to stop; a second one kills. */
void progress_catch_signals(void);
bool progress_interrupted(void);

#endif
