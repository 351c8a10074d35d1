/* Unicode normal forms on code points. Internal to src/text. */
#ifndef QASR_TEXT_NORMAL_H
#define QASR_TEXT_NORMAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct code_points { /* growable list */
    int32_t *cp;
    size_t n, cap;
} code_points;
void code_points_free(code_points *c);
qasr_status code_points_add(code_points *c, int32_t cp, qasr_error *err);

typedef enum normal_form {
    NORMAL_C,        /* NFC */
    NORMAL_KC,       /* NFKC */
    NORMAL_KC_FOLDED /* NFKC after compatibility decomposition and full case folding */
} normal_form;

/* Appends text in a normal form. Malformed UTF-8 is read as U+FFFD. Linear in len for any text. */
qasr_status normal_text(code_points *out, const char *text, size_t len, normal_form form, qasr_error *err);
/* The same for code points (scalar values); cp must not point into out. */
qasr_status normal_points(code_points *out, const int32_t *cp, size_t n, normal_form form, qasr_error *err);

#endif
