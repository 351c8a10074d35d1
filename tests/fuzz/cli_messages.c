/* In the place of the program's main.c: its messages are formatted and dropped. */
#include <stdarg.h>
#include <stdio.h>

#include "cmd.h"

static void drop(const char *fmt, va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, ap);
}

void cmd_print_error(const char *message) { (void)message; }

bool cmd_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    drop(fmt, ap);
    va_end(ap);
    return false;
}

void cmd_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    drop(fmt, ap);
    va_end(ap);
}
