/* Sets of byte positions as sorted lists of intervals. The lists are short (at most one interval per range of a
 * download), so every change is one pass over the list. */
#include "cli/pull/byte_ranges.h"

#include <stdlib.h>

static bool put(byte_ranges *s, byte_range x)
{
    if (x.begin >= x.end)
        return true;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        byte_range *list = realloc(s->list, cap * sizeof *list);
        if (!list)
            return false;
        s->list = list;
        s->cap = cap;
    }
    s->list[s->n++] = x;
    return true;
}

static bool replace(byte_ranges *s, byte_ranges *by, bool good)
{
    byte_ranges_free(good ? s : by);
    if (good)
        *s = *by;
    return good;
}

bool byte_ranges_add(byte_ranges *s, uint64_t begin, uint64_t end)
{
    byte_ranges merged = { 0 };
    byte_range x = { begin, end };
    bool good = true, placed = begin >= end;
    for (size_t i = 0; i < s->n && good; i++) {
        byte_range y = s->list[i];
        if (!placed && y.begin <= x.end && x.begin <= y.end) { /* they overlap or touch */
            x.begin = y.begin < x.begin ? y.begin : x.begin;
            x.end = y.end > x.end ? y.end : x.end;
            continue;
        }
        if (!placed && x.end < y.begin) {
            good = put(&merged, x);
            placed = true;
        }
        good = good && put(&merged, y);
    }
    if (!placed)
        good = good && put(&merged, x);
    return replace(s, &merged, good);
}

bool byte_ranges_remove(byte_ranges *s, uint64_t begin, uint64_t end)
{
    byte_ranges left = { 0 };
    bool good = true;
    for (size_t i = 0; i < s->n && good; i++) {
        byte_range y = s->list[i];
        byte_range before = { y.begin, y.end < begin ? y.end : begin },
                   after = { y.begin > end ? y.begin : end, y.end };
        good = begin < end ? put(&left, before) && put(&left, after) : put(&left, y);
    }
    return replace(s, &left, good);
}

void byte_ranges_free(byte_ranges *s)
{
    free(s->list);
    *s = (byte_ranges){ 0 };
}

bool byte_ranges_gap(const byte_ranges *s, uint64_t begin, uint64_t end, byte_range *gap)
{
    uint64_t at = begin;
    for (size_t i = 0; i < s->n && s->list[i].begin <= at; i++)
        at = s->list[i].end > at ? s->list[i].end : at;
    *gap = (byte_range){ at, end };
    for (size_t i = s->n; i-- > 0 && s->list[i].begin > at;)
        gap->end = s->list[i].begin < gap->end ? s->list[i].begin : gap->end;
    return gap->begin < gap->end;
}

uint64_t byte_ranges_size(const byte_ranges *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->list[i].end - s->list[i].begin;
    return n;
}
