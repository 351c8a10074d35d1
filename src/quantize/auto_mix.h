/* A mix of types made for one model: which matrices get more bits than others is measured, with a calibration.
 *
 * For each matrix and each type a sample of rows is rounded as the conversion would round them. What that adds to the
 * squares of the outputs, for inputs as in the calibration, relative to the squares of the outputs themselves, is the
 * harm: a figure without a unit that can be added up over matrices and layers, as every output is an input of a
 * normalized stream. docs/evaluation.md says how well it foretells the divergence of the model. */
#ifndef QASR_QUANTIZE_AUTO_MIX_H
#define QASR_QUANTIZE_AUTO_MIX_H

#include "base/pool.h"
#include "quantize/calibration_file.h"
#include "quantize/plan.h"

typedef struct auto_mix {
    plan *plan;
    const calibration *calibration;
    pool *pool;
    const qasr_quantize_options *opt; /* auto_mix: the bits; progress counts the bytes of the matrices */
    double bits;                      /* out: on average over the matrices of the mix */
    quant_type main_type;             /* out: the one of most of their weights */
} auto_mix;

/* Chooses the types of the calibrated matrices of the decoder whose type nobody asked for by name; the encoder keeps
 * its own. The result does not depend on the number of threads. Errors: INVALID (no such matrix, fewer bits than
 * possible), NOMEM, FORMAT (of the calibration), CANCELLED. */
qasr_status auto_mix_choose(auto_mix *m, qasr_error *err);

#endif
