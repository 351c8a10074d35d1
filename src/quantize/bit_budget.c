/* See bit_budget.h. A step may skip types, so the steps of an item follow the lower hull of its sensitivity over its
 * size; by the exchange argument of Lagrange multipliers the choice is optimal for its size until the first step that
 * does not fit. */
#include "quantize/bit_budget.h"

static double item_bits(const budget_item *item, quant_type type)
{
    const quant_info *q = quant_get(type);
    return 8.0 * (double)(item->n_values / q->block * q->bytes);
}

static double sum_bits(const budget_item *items, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += item_bits(&items[i], items[i].type);
    return sum;
}

static double sum_values(const budget_item *items, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)items[i].n_values;
    return sum;
}

double budget_bits(const budget_item *items, size_t n) { return n ? sum_bits(items, n) / sum_values(items, n) : 0; }

/* Takes the smallest candidate; of several, the one with the smallest sensitivity. */
static void take_smallest(budget_item *item)
{
    bool found = false;
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        if (!item->candidate[t])
            continue;
        double more = found ? item_bits(item, (quant_type)t) - item_bits(item, item->type) : -1;
        if (more < 0 || (more <= 0 && item->sensitivity[t] < item->sensitivity[item->type]))
            item->type = (quant_type)t;
        found = true;
    }
}

typedef struct step {
    budget_item *item; /* NULL: none */
    quant_type type;
    double gain; /* reduction of sensitivity per bit */
} step;

static void consider(step *best, budget_item *item, quant_type type, double room)
{
    double more = item_bits(item, type) - item_bits(item, item->type),
           saved = item->sensitivity[item->type] - item->sensitivity[type];
    if (more > 0 && more <= room && saved > 0 && (!best->item || saved / more > best->gain))
        *best = (step){ item, type, saved / more };
}

static step find_step(budget_item *items, size_t n, double room)
{
    step best = { NULL, QUANT_F32, 0 };
    for (size_t i = 0; i < n; i++)
        for (int t = 0; t < QUANT_TYPE_COUNT; t++)
            if (items[i].candidate[t])
                consider(&best, &items[i], (quant_type)t, room);
    return best;
}

qasr_status budget_choose(budget_item *items, size_t n, double bits, qasr_error *err)
{
    double budget = bits * sum_values(items, n);
    for (size_t i = 0; i < n; i++)
        take_smallest(&items[i]);
    double used = sum_bits(items, n); /* whole numbers below 2^53: exact */
    if (used > budget)
        return error_set(err, QASR_E_INVALID, "%g bits per weight are too few: the smallest types take %g", bits,
                         budget_bits(items, n));
    for (step s; (s = find_step(items, n, budget - used)).item;) {
        used += item_bits(s.item, s.type) - item_bits(s.item, s.item->type);
        s.item->type = s.type;
    }
    return QASR_OK;
}
