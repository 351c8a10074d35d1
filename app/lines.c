/* See lines.h. */
#include "app/lines.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "app/message.h"

bool lines_open(lines *l, const char *path)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    *l = (lines){ .f = is_stdin ? stdin : fopen(path, "r"), .path = is_stdin ? "standard input" : path };
    l->failed = !l->f && !message_fail("cannot open '%s': %s", path, strerror(errno));
    return !l->failed;
}

void lines_close(lines *l)
{
    if (l->f && l->f != stdin)
        fclose(l->f);
    free(l->text);
    *l = (lines){ 0 };
}

bool lines_fail(lines *l, const char *fmt, ...)
{
    char message[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    l->failed = true;
    return message_fail("'%s' line %zu: %s", l->path, l->number, message);
}

/* Jansson validates UTF-8. */
static bool is_utf8(const char *text)
{
    json_t *s = json_string(text);
    json_decref(s);
    return s != NULL;
}

bool lines_next(lines *l)
{
    errno = 0;
    const char end = l->by_zero ? 0 : '\n';
    ssize_t n = l->failed ? -1 : getdelim(&l->text, &l->capacity, end, l->f);
    if (n < 0) {
        if (!l->failed && (ferror(l->f) || errno))
            l->failed = !message_fail("cannot read '%s': %s", l->path, strerror(errno));
        return false;
    }
    if (l->drop_torn && l->text[n - 1] != end)
        return false;
    l->number++;
    l->end_bytes += (size_t)n;
    if (l->by_zero)
        return l->any_bytes || is_utf8(l->text) || lines_fail(l, "not UTF-8");
    if (strlen(l->text) != (size_t)n)
        return lines_fail(l, "a zero byte, expected text");
    while (n > 0 && (l->text[n - 1] == '\n' || l->text[n - 1] == '\r'))
        l->text[--n] = 0;
    if (l->number == 1 && strncmp(l->text, "\xEF\xBB\xBF", 3) == 0)
        memmove(l->text, l->text + 3, (size_t)n - 2);
    return l->any_bytes || is_utf8(l->text) || lines_fail(l, "not UTF-8");
}

json_t *lines_parse_object(lines *l)
{
    json_error_t error;
    json_t *o = json_loads(l->text, JSON_REJECT_DUPLICATES, &error);
    if (!o)
        lines_fail(l, "not JSON: %s", error.text);
    else if (!json_is_object(o))
        lines_fail(l, "not a JSON object");
    if (json_is_object(o))
        return o;
    json_decref(o);
    return NULL;
}
