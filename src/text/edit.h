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

/* Which of a stands for which of b; EDIT_NONE: nothing does. */
#define EDIT_NONE SIZE_MAX
typedef struct edit_pair {
    size_t a, b;
} edit_pair;

/* pairs [n_a + n_b], in order: each index of a and of b once. Pairs that are not equal or have an EDIT_NONE are as many
 * as the distance. Of several such alignments one with few EDIT_NONE. Takes a byte for each pair of symbols between the
 * common beginning and the common end. Errors: NOMEM, INVALID (more than 2^30 of those). */
qasr_status edit_align(edit_pair *pairs, size_t *n_pairs, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b,
                       qasr_error *err);

#endif
