/* Types for many matrices within a budget of bits: what each type would cost a matrix in size and in harm goes in, the
 * types with little harm in all come out. */
#ifndef QASR_QUANTIZE_BIT_BUDGET_H
#define QASR_QUANTIZE_BIT_BUDGET_H

#include <stdbool.h>

#include "base/error.h"
#include "quant/quant.h"

typedef struct budget_item {
    uint64_t n_values;                    /* whole blocks of every candidate */
    bool candidate[QUANT_TYPE_COUNT];     /* at least one */
    double sensitivity[QUANT_TYPE_COUNT]; /* of candidates: finite, not negative; adds up over items */
    quant_type type;                      /* the answer */
} budget_item;

/* Bits per value, on average over all items. */
double budget_bits(const budget_item *items, size_t n);
/* Begins with the smallest types and takes, again and again, the step that saves most harm for its bits and still fits.
 * What comes of it is at most one step from the best: no choice that is smaller than the budget by the bits of the
 * largest possible step does less harm. Ties go to the first item and type. Error: INVALID (the smallest
 * types take more than bits). */
qasr_status budget_choose(budget_item *items, size_t n, double bits, qasr_error *err);

#endif
