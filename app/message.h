/* Messages on standard error. */
#ifndef QASR_APP_MESSAGE_H
#define QASR_APP_MESSAGE_H

#include <stdbool.h>

/* Prints "qasr: MESSAGE". */
void message_print(const char *message);
/* The same for a formatted message, which may quote bytes from files: control characters become '?'. Always returns
 * false. */
bool message_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "qasr: warning: MESSAGE", the same way. */
void message_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
