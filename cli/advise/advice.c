/* See advice.h. Figures in, a decision out. */
#include "cli/advise/advice.h"

/* KL: docs/quality.md, "Bundle, encoder q8_0: hard clips", without calibration. What 4 bits cost a published model is
 * not known from that, so they come last. q4_0 is as large as iq4_nl, and loses more. */
const advice_type advice_types[] = {
    { "q8_0", ADVICE_FIRST, 7.58e-05 },  { "q6_k", ADVICE_FIRST, 3.30e-04 },  { "q5_k_m", ADVICE_FIRST, 7.60e-04 },
    { "q4_k_m", ADVICE_LAST, 3.43e-03 }, { "iq4_nl", ADVICE_LAST, 4.51e-03 },
};
const size_t advice_n_types = sizeof advice_types / sizeof advice_types[0];

uint64_t advice_usable_bytes(uint64_t total_bytes, uint64_t available_bytes)
{
    static const uint64_t least_left = 1000000000;
    if (available_bytes)
        return available_bytes - available_bytes / 10;
    uint64_t left = total_bytes / 4 > least_left ? total_bytes / 4 : least_left;
    return total_bytes > left ? total_bytes - left : 0;
}

bool advice_fits(const advice_candidate *c, uint64_t usable_bytes) { return c->memory_bytes <= usable_bytes; }

const advice_candidate *advice_choose(const advice_candidate *candidates, size_t n, uint64_t usable_bytes)
{
    const advice_candidate *best = NULL, *fastest = NULL;
    for (size_t i = 0; i < n; i++) {
        const advice_candidate *c = &candidates[i];
        if (!advice_fits(c, usable_bytes))
            continue;
        if (c->seconds <= ADVICE_SLOWEST_S && (!best || c->tier < best->tier))
            best = c;
        if (!fastest || c->seconds < fastest->seconds)
            fastest = c;
    }
    return best ? best : fastest;
}
