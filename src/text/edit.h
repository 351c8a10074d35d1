/* Edit distance and alignment of two sequences of symbols: the fewest insertions, deletions and replacements
 * (Levenshtein 1965; Wagner and Fischer 1974). Internal to src/text. */
#ifndef QASR_TEXT_EDIT_H
#define QASR_TEXT_EDIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Error: NOMEM. */
qasr_status edit_distance(size_t *distance, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b,
                          qasr_error *err);

/* A pair of aligned indices. EDIT_NONE: no counterpart. */
#define EDIT_NONE SIZE_MAX
typedef struct edit_pair {
    size_t a, b;
} edit_pair;

/* Writes pairs [n_a + n_b] in order, with each index of a and b once. The number of pairs that differ or contain
 * EDIT_NONE equals the distance. Among such alignments, one with few EDIT_NONE is chosen. Takes one byte per pair of
 * symbols between the common prefix and suffix. Errors: NOMEM, INVALID (more than 2^30 bytes). */
qasr_status edit_align(edit_pair *pairs, size_t *n_pairs, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b,
                       qasr_error *err);

#endif
