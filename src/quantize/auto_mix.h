/* A mix of types made for one model: measurements on a calibration decide which matrices get more bits.
 *
 * For each matrix and each type, a sample of rows is rounded as the conversion would round them. The sensitivity is the
 * squared error of the outputs, for inputs as in the calibration, relative to the squared outputs. It has no unit and
 * adds up over matrices and layers, since every output feeds a normalized stream. docs/evaluation.md shows how well it
 * predicts the divergence of the model. */
#ifndef QASR_QUANTIZE_AUTO_MIX_H
#define QASR_QUANTIZE_AUTO_MIX_H

#include "base/pool.h"
#include "quantize/calibration_file.h"
#include "quantize/plan.h"

typedef struct auto_mix {
    plan *plan;
    const calibration *calibration;
    pool *pool;
    const qasr_quantize_options *opt; /* auto_mix: bits per weight; progress counts bytes of the matrices */
    double bits;                      /* out: mean bits per weight over the matrices of the mix */
    quant_type main_type;             /* out: the type of most of their weights */
} auto_mix;

/* Chooses types for the calibrated matrices of the decoder, except for those whose type the user gave; the encoder
 * keeps its own. The result does not depend on the number of threads. Errors: INVALID (no such matrix, fewer bits than
 * possible), NOMEM, FORMAT (of the calibration), CANCELLED. */
qasr_status auto_mix_choose(auto_mix *m, qasr_error *err);

#endif
