/* The process-wide log callback. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

static qasr_log_fn log_fn;
static void *log_user;

void qasr_log_set(qasr_log_fn fn, void *user)
{
    log_fn = fn;
    log_user = user;
}

void log_message(qasr_log_level level, const char *fmt, ...)
{
    if (!log_fn)
        return;
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    error_clean_line(line, sizeof line);
    log_fn(log_user, level, line);
}
