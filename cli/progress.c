/* One line on stderr: bar, percent, amounts, rate, time left; redrawn at most ten times a second. */
#include "progress.h"

#include <inttypes.h>
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

void progress_update(progress *p, uint64_t done_bytes, uint64_t total_bytes)
{
    double now = now_s();
    if (!p->shown || total_bytes == 0 || now - p->last_s < 0.1)
        return;
    p->last_s = now;
    double part = (double)done_bytes / (double)total_bytes, elapsed = now - p->start_s;
    double rate = elapsed > 0 ? (double)done_bytes / elapsed : 0; /* bytes per second */
    unsigned left_s = rate > 0 ? (unsigned)((double)(total_bytes - done_bytes) / rate + 0.5) : 0;
    char bar[BAR_WIDTH + 1];
    size_t full = (size_t)(part * BAR_WIDTH);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', full < BAR_WIDTH ? full : BAR_WIDTH);
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r[%s] %3.0f%%  %" PRIu64 "/%" PRIu64 " MB  %.0f MB/s  ETA %u:%02u \033[K", bar, 100 * part,
            done_bytes / MB, total_bytes / MB, rate / MB, left_s / 60, left_s % 60);
    fflush(stderr);
}

void progress_end(progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
