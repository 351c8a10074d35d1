/* A progress bar on a terminal. */
#ifndef QASR_APP_PROGRESS_H
#define QASR_APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    bool shown;
    bool lines; /* no bar, but a line every 10 seconds */
    double start_s, last_s;
    uint64_t last_done;
    const char *label; /* before the bar; "": none */
    const char *unit;  /* of what is counted: "MB" */
    uint64_t per_unit; /* steps in one: 10^6 bytes */
    uint64_t begin;    /* done before the start */
} progress;

/* Shows nothing when quiet or when stderr is not a terminal. */
void progress_begin(progress *p, bool quiet);
/* After progress_begin: counts something else than bytes, of which some may have been there before. */
void progress_count(progress *p, const char *unit, uint64_t per_unit, uint64_t begin);
/* After progress_begin: for work that takes long and that nobody watches; where there is no terminal, and not quiet,
 * lines are shown, unless nothing has moved. label: what is being done. */
void progress_lines(progress *p, bool quiet, const char *label);
void progress_update(progress *p, uint64_t done, uint64_t total);
void progress_end(progress *p); /* takes the bar away */
/* Takes away what bar there is until the next update, so that something else can be written to the terminal. */
void progress_clear(void);

/* For other texts behind the bar: true if it is time to draw (shown, and not there since less than a tenth of a
 * second); draws a part from 0 to 1, the text, and the time that is left, if that is not negative. */
bool progress_is_due(progress *p);
void progress_draw(const progress *p, double part, double left_s, const char *text);

/* Seconds, from some time on. */
double progress_now_s(void);

/* From now on SIGINT, SIGTERM and SIGHUP are remembered once, for long work that can be asked to stop; a second one
 * kills. */
void progress_catch_signals(void);
bool progress_interrupted(void);

#endif
