/* Growable byte buffer: the capacity doubles up to a fixed maximum; the content is always NUL-terminated. */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void buf_init(buf *b, size_t max_bytes) { *b = (buf){ .max = max_bytes }; }

void buf_free(buf *b)
{
    mem_free(b->data);
    *b = (buf){ .max = b->max };
}

void buf_clear(buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = 0;
}

/* Makes room for n more bytes and the final NUL. */
static qasr_status reserve(buf *b, size_t n, qasr_error *err)
{
    if (n > b->max || b->len > b->max - n)
        return error_set(err, QASR_E_NOMEM, "%zu more bytes exceed the limit of %zu", n, b->max);
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return QASR_OK;
    size_t cap = b->cap < 32 ? 64 : b->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    char *data;
    TRY(mem_alloc((void **)&data, cap, 1, err));
    if (b->data)
        memcpy(data, b->data, b->len);
    mem_free(b->data);
    b->data = data;
    b->cap = cap;
    data[b->len] = 0;
    return QASR_OK;
}

qasr_status buf_add(buf *b, const void *data, size_t n, qasr_error *err)
{
    TRY(reserve(b, n, err));
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = 0;
    return QASR_OK;
}

qasr_status buf_add_str(buf *b, const char *s, qasr_error *err) { return buf_add(b, s, strlen(s), err); }

qasr_status buf_printf(buf *b, qasr_error *err, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    qasr_status status = n < 0 ? error_set(err, QASR_E_INVALID, "cannot format text") : reserve(b, (size_t)n, err);
    if (status == QASR_OK) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return status;
}

qasr_status buf_take(buf *b, char **out, qasr_error *err)
{
    TRY(reserve(b, 0, err));
    *out = b->data;
    *b = (buf){ .max = b->max };
    return QASR_OK;
}
