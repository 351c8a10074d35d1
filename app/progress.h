/* A progress bar on a terminal, or progress lines elsewhere; and interruption by signals. */
#ifndef QASR_APP_PROGRESS_H
#define QASR_APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    bool shown;
    bool lines; /* a line every 10 seconds instead of a bar */
    double start_s, last_s;
    uint64_t last_done;
    const char *label; /* before the bar; "": none */
    const char *unit;  /* unit of the counts: "MB" */
    uint64_t per_unit; /* steps in one: 10^6 bytes */
    uint64_t begin;    /* done before the start */
} progress;

/* Shows nothing if quiet, or if stderr is not a terminal. */
void progress_begin(progress *p, bool quiet);
/* After progress_begin: counts units other than bytes; begin of them were done before. */
void progress_count(progress *p, const char *unit, uint64_t per_unit, uint64_t begin);
/* After progress_begin, for long unattended work: without a terminal, and unless quiet, prints lines whenever there is
 * progress. label: name of the work. */
void progress_lines(progress *p, bool quiet, const char *label);
void progress_update(progress *p, uint64_t done, uint64_t total);
void progress_end(progress *p); /* removes the bar */
/* Removes the bar until the next update, so that something else can be written to the terminal. */
void progress_clear(void);

/* For custom texts after the bar. progress_is_due: true if it is time to redraw. progress_draw: part from 0 to 1, the
 * text, and the remaining time unless negative. */
bool progress_is_due(progress *p);
void progress_draw(const progress *p, double part, double left_s, const char *text);

/* Monotonic time in seconds. */
double progress_now_s(void);

/* From now on the first SIGINT, SIGTERM or SIGHUP that is not ignored only sets progress_interrupted, so that long work
 * can stop cleanly; a second one kills. */
void progress_catch_signals(void);
bool progress_interrupted(void);

#endif
