/* Replaces app/message.c: formats messages and drops them. */
#include <stdarg.h>
#include <stdio.h>

#include "app/message.h"

static void drop(const char *fmt, va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, ap);
}

void message_print(const char *message) { (void)message; }

bool message_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    drop(fmt, ap);
    va_end(ap);
    return false;
}

void message_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    drop(fmt, ap);
    va_end(ap);
}
