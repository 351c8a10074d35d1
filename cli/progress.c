/* One line on stderr: bar, percent, amounts, rate, time left; redrawn at most ten times a second. */
#include "progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 28, MB = 1000000 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(progress *p, bool quiet)
{
    *p = (progress){ .shown = !quiet && isatty(STDERR_FILENO), .start_s = now_s() };
}

/* Whether it is time to draw; *rate: done a second. */
static bool is_due(progress *p, uint64_t done, uint64_t total, double *rate)
{
    double now = now_s();
    if (!p->shown || total == 0 || now - p->last_s < 0.1)
        return false;
    p->last_s = now;
    *rate = now > p->start_s ? (double)done / (now - p->start_s) : 0;
    return true;
}

static void draw(uint64_t done, uint64_t total, double rate, const char *amounts)
{
    double part = (double)done / (double)total;
    unsigned left_s = rate > 0 ? (unsigned)((double)(total - done) / rate + 0.5) : 0;
    char bar[BAR_WIDTH + 1];
    size_t full = (size_t)(part * BAR_WIDTH);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', full < BAR_WIDTH ? full : BAR_WIDTH);
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r[%s] %3.0f%%  %s  ETA %u:%02u \033[K", bar, 100 * part, amounts, left_s / 60, left_s % 60);
    fflush(stderr);
}

void progress_update(progress *p, uint64_t done_bytes, uint64_t total_bytes)
{
    double rate;
    char amounts[100];
    if (!is_due(p, done_bytes, total_bytes, &rate))
        return;
    snprintf(amounts, sizeof amounts, "%" PRIu64 "/%" PRIu64 " MB  %.0f MB/s", done_bytes / MB, total_bytes / MB, rate / MB);
    draw(done_bytes, total_bytes, rate, amounts);
}

void progress_update_count(progress *p, uint64_t done, uint64_t total, const char *what)
{
    double rate;
    char amounts[100];
    if (!is_due(p, done, total, &rate))
        return;
    snprintf(amounts, sizeof amounts, "%" PRIu64 "/%" PRIu64 " %s", done, total, what);
    draw(done, total, rate, amounts);
}

void progress_end(progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}

/* ---- signals --------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void progress_catch_signals(void)
{
    struct sigaction cancel = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
    sigaction(SIGINT, &cancel, NULL);
    sigaction(SIGTERM, &cancel, NULL);
    sigaction(SIGHUP, &cancel, NULL);
}

bool progress_interrupted(void) { return interrupted != 0; }
