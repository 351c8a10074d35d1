/* Two texts in, their edit distance out, in one row of the usual table. */
#include "edit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct span {
    const char *at;
    size_t len;
} span;

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next unit from *p on, which moves behind it; false at the end. */
static bool next_unit(span *s, const char **p, edit_unit unit)
{
    while (unit == EDIT_WORDS && is_space(**p))
        (*p)++;
    s->at = *p;
    while (**p && (unit == EDIT_WORDS ? !is_space(**p) : *p == s->at || ((unsigned char)**p & 0xC0) == 0x80))
        (*p)++;
    s->len = (size_t)(*p - s->at);
    return s->len > 0;
}

/* NULL when there is no memory. Free it. */
static span *split(size_t *n, const char *text, edit_unit unit)
{
    span s, *list = malloc((strlen(text) + 1) * sizeof *list);
    *n = 0;
    while (list && next_unit(&s, &text, unit))
        list[(*n)++] = s;
    return list;
}

static bool same(span a, span b) { return a.len == b.len && memcmp(a.at, b.at, a.len) == 0; }

/* row [n_b + 1]: distances of the first i units of a to each beginning of b. */
static size_t walk(size_t *row, const span *a, size_t n_a, const span *b, size_t n_b)
{
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t replace = diagonal + !same(a[i - 1], b[j - 1]);
            size_t change = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < change ? replace : change;
        }
    }
    return row[n_b];
}

bool edit_distance(size_t *distance, size_t *n_reference, const char *text, const char *reference, edit_unit unit)
{
    size_t n_text;
    span *a = split(&n_text, text, unit), *b = split(n_reference, reference, unit);
    size_t *row = malloc((*n_reference + 1) * sizeof *row);
    bool good = a && b && row;
    if (good)
        *distance = walk(row, a, n_text, b, *n_reference);
    free(a);
    free(b);
    free(row);
    return good;
}

double edit_rate(const char *text, const char *reference, edit_unit unit)
{
    size_t distance, n;
    if (!edit_distance(&distance, &n, text, reference, unit) || (n == 0 && distance > 0))
        return NAN;
    return n ? (double)distance / (double)n : 0;
}
