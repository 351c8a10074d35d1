/* One line on stderr: bar, percent, amounts, rate, time left; redrawn at most ten times a second. */
#include "app/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/signals.h"

enum { BAR_WIDTH = 28 };
static const double bar_every_s = 0.1, line_every_s = 10;

static bool on_screen; /* a bar is visible; there is one at a time */

double progress_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(progress *p, bool quiet)
{
    *p = (progress){ .shown = !quiet && isatty(STDERR_FILENO),
                     .start_s = progress_now_s(),
                     .label = "",
                     .unit = "MB",
                     .per_unit = 1000000 };
}

void progress_count(progress *p, const char *unit, uint64_t per_unit, uint64_t begin)
{
    p->unit = unit;
    p->per_unit = per_unit;
    p->begin = begin;
}

void progress_lines(progress *p, bool quiet, const char *label)
{
    p->label = label;
    p->lines = !quiet && !p->shown;
    if (p->lines) {
        p->shown = true;
        p->last_s = p->start_s;
    }
}

bool progress_is_due(progress *p)
{
    double now = progress_now_s();
    if (!p->shown || (now - p->last_s < (p->lines ? line_every_s : bar_every_s) && (p->lines || on_screen)))
        return false;
    p->last_s = now;
    return true;
}

void progress_draw(const progress *p, double part, double left_s, const char *text)
{
    char bar[BAR_WIDTH + 1];
    size_t full = (size_t)(part * BAR_WIDTH);
    if (!p->shown)
        return;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', full < BAR_WIDTH ? full : BAR_WIDTH);
    bar[BAR_WIDTH] = 0;
    char left[24] = "";
    if (left_s >= 0)
        snprintf(left, sizeof left, "  ETA %u:%02u ", (unsigned)(left_s + 0.5) / 60, (unsigned)(left_s + 0.5) % 60);
    if (p->lines)
        fprintf(stderr, "%s%3.0f%%  %s%s\n", p->label, 100 * part, text, left);
    else
        fprintf(stderr, "\r%s[%s] %3.0f%%  %s%s\033[K", p->label, bar, 100 * part, text, left);
    fflush(stderr);
    on_screen = !p->lines;
}

void progress_update(progress *p, uint64_t done, uint64_t total)
{
    char text[96];
    if (total == 0 || !progress_is_due(p))
        return;
    if (p->lines && done == p->last_done)
        return;
    p->last_done = done;
    double elapsed = progress_now_s() - p->start_s;
    double rate = elapsed > 0 ? (double)(done - p->begin) / elapsed : 0; /* per second */
    double units_s = rate / (double)p->per_unit;
    snprintf(text, sizeof text, "%" PRIu64 "/%" PRIu64 " %s  %.*f %s/s", done / p->per_unit, total / p->per_unit,
             p->unit, units_s < 10, units_s, p->unit);
    progress_draw(p, (double)done / (double)total, rate > 0 ? (double)(total - done) / rate : 0, text);
}

void progress_clear(void)
{
    if (on_screen)
        fputs("\r\033[K", stderr);
    on_screen = false;
}

void progress_end(progress *p)
{
    progress_clear();
    p->shown = false;
}

/* ---- signals --------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void progress_catch_signals(void) { signals_catch(on_signal, SA_RESETHAND); }

bool progress_interrupted(void) { return interrupted != 0; }
