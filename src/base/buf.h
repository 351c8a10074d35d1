/* Growable byte buffer with a maximum size. The content is always followed by a NUL that is not counted, so text in a
 * buf is a C string. */
#ifndef QASR_BASE_BUF_H
#define QASR_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "base/error.h"

typedef struct buf {
    char *data; /* NULL until something is added */
    size_t len, cap, max;
} buf;

void buf_init(buf *b, size_t max_bytes);
void buf_free(buf *b);
void buf_clear(buf *b); /* keeps the memory */
/* Errors: NOMEM, also when the content would exceed the maximum. */
qasr_status buf_add(buf *b, const void *data, size_t n, qasr_error *err);
qasr_status buf_add_str(buf *b, const char *s, qasr_error *err);
qasr_status buf_printf(buf *b, qasr_error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The content as a string; "" when empty. Owned by b. */
static inline const char *buf_str(const buf *b) { return b->data ? b->data : ""; }
/* Transfers the content to the caller (free with mem_free) and empties b; never NULL on success. */
qasr_status buf_take(buf *b, char **out, qasr_error *err);

#endif
