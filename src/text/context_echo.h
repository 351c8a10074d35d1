/* Whether an answer repeats the context instead of what was said. */
#ifndef QASR_TEXT_CONTEXT_ECHO_H
#define QASR_TEXT_CONTEXT_ECHO_H

#include <stdbool.h>

#include "base/error.h"

/* *echoes: text begins as context does. Letters, their marks and numbers are compared, without regard to case and
 * compatibility forms: all of the context, or its first CONTEXT_ECHO_LETTERS of them if it has more; a context of fewer
 * than CONTEXT_ECHO_MIN of them is never repeated, as one may well say a name first. Errors: NOMEM. */
enum { CONTEXT_ECHO_LETTERS = 40, CONTEXT_ECHO_MIN = 8 };
qasr_status context_echo_find(bool *echoes, const char *text, const char *context, qasr_error *err);

#endif
