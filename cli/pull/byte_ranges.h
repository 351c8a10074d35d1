/* Sets of byte positions as intervals: which parts of a file are there, which are on their way. */
#ifndef QASR_CLI_PULL_BYTE_RANGES_H
#define QASR_CLI_PULL_BYTE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct span { uint64_t begin, end; } span; /* end is not in it */

/* In order, none empty, none touching the next. Starts as { 0 }. */
typedef struct spans {
    span *list;
    size_t n, cap;
} spans;

/* False without memory (the set is as it was). Empty intervals change nothing. */
bool spans_add(spans *s, uint64_t begin, uint64_t end);
bool spans_remove(spans *s, uint64_t begin, uint64_t end);
void spans_free(spans *s);
/* The first interval within [begin, end) that is not in the set; false if there is none. */
bool spans_gap(const spans *s, uint64_t begin, uint64_t end, span *gap);
uint64_t spans_size(const spans *s); /* positions in the set */

#endif
