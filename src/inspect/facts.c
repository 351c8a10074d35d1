/* See facts.h. */
#include "inspect/facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static qasr_status grow(facts *f, qasr_error *err)
{
    if (f->n < f->cap)
        return QASR_OK;
    size_t cap = f->cap ? f->cap * 2 : 64;
    fact *bigger;
    TRY(MEM_CALLOC(&bigger, cap, err));
    if (f->n)
        memcpy(bigger, f->list, f->n * sizeof *bigger);
    mem_free(f->list);
    f->list = bigger;
    f->cap = cap;
    return QASR_OK;
}

qasr_status facts_add(facts *f, qasr_error *err, const char *key, const char *fmt, ...)
{
    char value[FACTS_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    TRY(grow(f, err));
    fact *to = &f->list[f->n];
    TRY(mem_strdup(&to->key, key, err));
    qasr_status status = mem_strdup(&to->value, value, err);
    if (status == QASR_OK)
        f->n++;
    else
        mem_free(to->key);
    return status;
}

qasr_status facts_add_unreadable(facts *f, const char *key, const qasr_error *why, qasr_error *err)
{
    if (why->status == QASR_E_NOMEM)
        return error_set(err, why->status, "%s", why->message);
    return facts_add(f, err, key, "not readable: %s", why->message);
}

qasr_status facts_clean(buf *out, const char *s, size_t len, qasr_error *err)
{
    size_t n = len < FACTS_MAX_TEXT ? len : FACTS_MAX_TEXT;
    while (n > 0 && n < len && ((unsigned char)s[n] & 0xC0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++) {
        char c = (unsigned char)s[i] < 0x20 || s[i] == 0x7F ? '?' : s[i];
        TRY(buf_add(out, &c, 1, err));
    }
    return n < len ? buf_printf(out, err, "... (%zu bytes)", len) : QASR_OK;
}

void facts_free(facts *f)
{
    for (size_t i = 0; i < f->n; i++) {
        mem_free(f->list[i].key);
        mem_free(f->list[i].value);
    }
    mem_free(f->list);
    *f = (facts){ 0 };
}
