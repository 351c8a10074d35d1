/* Text processing before byte-pair encoding: Unicode NFC, then the split into words. Internal to src/text. */
#ifndef QASR_TEXT_PRETOK_H
#define QASR_TEXT_PRETOK_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* The compiled split; read-only, shared by any number of threads. */
typedef struct pretok pretok;

/* Error: NOMEM. */
qasr_status pretok_create(pretok **out, qasr_error *err);
void pretok_free(pretok *p); /* NULL is fine */

/* Appends text in NFC. Malformed UTF-8 is read as U+FFFD. Linear in len for any text. */
qasr_status pretok_normalize(buf *out, const char *text, size_t len, qasr_error *err);

/* Calls fn for each word of valid UTF-8 text, in order. The words concatenated are the text. */
typedef qasr_status (*pretok_fn)(void *arg, const char *word, size_t len, qasr_error *err);
qasr_status pretok_split(const pretok *p, const char *text, size_t len, pretok_fn fn, void *arg, qasr_error *err);

#endif
