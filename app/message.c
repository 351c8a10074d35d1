/* See message.h. */
#include "app/message.h"

#include <stdarg.h>
#include <stdio.h>

#include "app/clip_name.h"
#include "app/progress.h"

void message_print(const char *message)
{
    progress_clear();
    fprintf(stderr, "qasr: %s\n", message);
}

static void print_clean(const char *prefix, const char *fmt, va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, ap);
    for (char *c = text; *c; c++)
        *c = clip_name_byte(*c);
    progress_clear();
    fprintf(stderr, "qasr: %s%s\n", prefix, text);
}

bool message_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_clean("", fmt, ap);
    va_end(ap);
    return false;
}

void message_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_clean("warning: ", fmt, ap);
    va_end(ap);
}
