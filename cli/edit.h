/* How far a text is from a reference. */
#ifndef QASR_CLI_EDIT_H
#define QASR_CLI_EDIT_H

#include <stdbool.h>
#include <stddef.h>

typedef enum edit_unit {
    EDIT_CHARACTERS, /* UTF-8 sequences */
    EDIT_WORDS       /* what ASCII white space separates */
} edit_unit;

/* The fewest insertions, deletions and replacements of units that turn text into reference, and the reference's
 * number of units. False when there is no memory. */
bool edit_distance(size_t *distance, size_t *n_reference, const char *text, const char *reference, edit_unit unit);
/* Distance per unit of the reference: 0 if both are empty; NAN if only the reference is, or without memory. */
double edit_rate(const char *text, const char *reference, edit_unit unit);

#endif
