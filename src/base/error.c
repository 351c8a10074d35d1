/* Writes error messages into the caller's struct: printf in, one clean line out. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Messages may contain text from files: replaces control characters and drops a truncated UTF-8 sequence at the end. */
void error_clean_line(char *s, size_t capacity)
{
    size_t n = strlen(s);
    if (n == capacity - 1) { /* possibly truncated: drop the last character, which may be incomplete */
        size_t start = n;
        while (start > 0 && n - start < 4 && ((unsigned char)s[start - 1] & 0xC0) == 0x80)
            start--;
        if (start > 0 && (unsigned char)s[start - 1] >= 0xC0)
            s[start - 1] = 0;
    }
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7F)
            *s = '?';
}

static void set_v(qasr_error *err, qasr_status status, const char *suffix, const char *fmt, va_list ap)
{
    err->status = status;
    int n = vsnprintf(err->message, sizeof err->message, fmt, ap);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof err->message ? (size_t)n : sizeof err->message - 1;
    if (suffix)
        snprintf(err->message + used, sizeof err->message - used, ": %s", suffix);
    error_clean_line(err->message, sizeof err->message);
}

void error_write(qasr_error *err, qasr_status status, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        set_v(err, status, NULL, fmt, ap);
        va_end(ap);
    }
}

qasr_status error_set_errno(qasr_error *err, const char *fmt, ...)
{
    int code = errno;
    qasr_status status = code == ENOMEM ? QASR_E_NOMEM : QASR_E_IO;
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        set_v(err, status, strerror(code), fmt, ap);
        va_end(ap);
    }
    return status;
}
