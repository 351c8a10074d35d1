/* Chooses types for many matrices within a budget of bits: the size and the sensitivity of each matrix in each type go
 * in, the types with a small total sensitivity come out. */
#ifndef QASR_QUANTIZE_BIT_BUDGET_H
#define QASR_QUANTIZE_BIT_BUDGET_H

#include <stdbool.h>

#include "base/error.h"
#include "quant/quant.h"

typedef struct budget_item {
    uint64_t n_values;                    /* whole blocks of every candidate */
    bool candidate[QUANT_TYPE_COUNT];     /* at least one */
    double sensitivity[QUANT_TYPE_COUNT]; /* of candidates: finite, not negative; additive over items */
    quant_type type;                      /* the choice */
} budget_item;

/* Bits per value, on average over all items. */
double budget_bits(const budget_item *items, size_t n);
/* Starts with the smallest types and repeatedly takes the step that reduces the sensitivity most per bit and still
 * fits. The result is at most one step from the best: no choice that stays below the budget by the bits of the largest
 * possible step has a smaller total. Ties go to the first item and type. bits: per value. Error: INVALID (the smallest
 * types take more than that). */
qasr_status budget_choose(budget_item *items, size_t n, double bits, qasr_error *err);

#endif
