/* Equalizes channels before rounding. Large models have channels whose activations are 10 to 1000 times those of the
 * others, and matrix columns or rows that are as much smaller or larger. A block of weights shares a scale, so the
 * small ones are lost. Where the network is linear, such a factor can be moved from one matrix to the next without
 * changing what it computes:
 *
 *   norm weight (and bias)   ->  columns of the matrices that read the norm's output
 *   rows (and bias) of v     ->  columns of o; the query heads of a group share a value head
 *   rows of up               ->  columns of down
 *
 * Not behind an activation (fc1, proj1, gate), nor q and k, whose heads are normalized. All factors are powers of two:
 * in float32 the network's outputs keep every bit. The result is an ordinary file. The idea is that of SmoothQuant
 * (Xiao et al., 2022) and AWQ (Lin et al., 2023); the factors come from a search per group for the least error of the
 * outputs. */
#ifndef QASR_QUANTIZE_EQUALIZE_H
#define QASR_QUANTIZE_EQUALIZE_H

#include "base/pool.h"
#include "quantize/calibration_file.h"
#include "quantize/plan.h"

/* The factors of a plan, which its entries point to. */
typedef struct equalizer equalizer;

typedef struct equalize_options {
    const calibration *calibration; /* mean squares of the inputs; NULL: estimated from the weights */
    bool tied;                      /* the head is the embedding: its columns have no norm of their own */
} equalize_options;

/* Finds factors for all groups of p that are written completely, and sets row_scale and column_scale of their entries;
 * entries that would be copied are converted. The result does not depend on the number of threads. Errors: NOMEM,
 * FORMAT (values that are not finite; of the calibration). */
qasr_status equalizer_create(equalizer **out, plan *p, const equalize_options *opt, pool *threads, qasr_error *err);
void equalizer_free(equalizer *q); /* NULL is fine */
/* Groups with factors other than 1, and all that were looked at. */
size_t equalizer_changed(const equalizer *q);
size_t equalizer_groups(const equalizer *q);

#endif
