/* See context_echo.h. */
#include "text/context_echo.h"

#include <string.h>
#include <utf8proc.h>

#include "text/normal.h"

/* Enough of a text for that many letters, unless it is mostly marks and spaces. */
enum { LOOK_AT_BYTES = 4096 };

static bool counts(int32_t cp)
{
    const utf8proc_category_t kind = utf8proc_category(cp);
    return (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO) ||
           (kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME) ||
           (kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO);
}

/* The first letters, marks and numbers, at most CONTEXT_ECHO_LETTERS, normalized and case-folded. */
static qasr_status first_letters(int32_t out[CONTEXT_ECHO_LETTERS], size_t *n, const char *text, qasr_error *err)
{
    code_points folded = { 0 };
    qasr_status status = normal_text(&folded, text, strnlen(text, LOOK_AT_BYTES), NORMAL_KC_FOLDED, err);
    *n = 0;
    for (size_t i = 0; status == QASR_OK && i < folded.n && *n < CONTEXT_ECHO_LETTERS; i++)
        if (counts(folded.cp[i]))
            out[(*n)++] = folded.cp[i];
    code_points_free(&folded);
    return status;
}

qasr_status context_echo_find(bool *echoes, const char *text, const char *context, qasr_error *err)
{
    int32_t said[CONTEXT_ECHO_LETTERS], wanted[CONTEXT_ECHO_LETTERS];
    size_t n_said, n_wanted;
    TRY(first_letters(wanted, &n_wanted, context, err));
    TRY(first_letters(said, &n_said, text, err));
    *echoes = n_wanted >= CONTEXT_ECHO_MIN && n_said >= n_wanted && memcmp(said, wanted, n_wanted * sizeof *said) == 0;
    return QASR_OK;
}
