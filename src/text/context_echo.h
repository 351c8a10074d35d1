/* Detects answers that repeat the context instead of transcribing the audio. */
#ifndef QASR_TEXT_CONTEXT_ECHO_H
#define QASR_TEXT_CONTEXT_ECHO_H

#include <stdbool.h>

#include "base/error.h"

/* *echoes: text begins like context. Letters, marks and numbers are compared, ignoring case and compatibility forms:
 * all of the context, or the first CONTEXT_ECHO_LETTERS. A context with fewer than CONTEXT_ECHO_MIN never counts, since
 * speech may well begin with a name. Error: NOMEM. */
enum { CONTEXT_ECHO_LETTERS = 40, CONTEXT_ECHO_MIN = 8 };
qasr_status context_echo_find(bool *echoes, const char *text, const char *context, qasr_error *err);

#endif
