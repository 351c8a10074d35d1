/* Sets of byte positions as intervals: parts of a file that exist or are being downloaded. */
#ifndef QASR_CLI_PULL_BYTE_RANGES_H
#define QASR_CLI_PULL_BYTE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct byte_range {
    uint64_t begin, end;
} byte_range; /* end is exclusive */

/* In order, none empty, none touching the next. Starts as { 0 }. */
typedef struct byte_ranges {
    byte_range *list;
    size_t n, cap;
} byte_ranges;

/* False without memory; the set is then unchanged. Empty intervals change nothing. */
bool byte_ranges_add(byte_ranges *s, uint64_t begin, uint64_t end);
bool byte_ranges_remove(byte_ranges *s, uint64_t begin, uint64_t end);
void byte_ranges_free(byte_ranges *s);
/* The first interval within [begin, end) that is not in the set; false if there is none. */
bool byte_ranges_gap(const byte_ranges *s, uint64_t begin, uint64_t end, byte_range *gap);
uint64_t byte_ranges_size(const byte_ranges *s); /* positions in the set */

#endif
