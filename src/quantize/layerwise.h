/* Runs a model on calibration audio stage by stage (model/stages.h), in two versions side by side: exact, and with all
 * matrices before the current stage rounded. The caller rounds along the way: it gets the moments of a stage's input,
 * rounds the stage's matrices, puts them back and steps to the next stage. Each version runs every stage once, so the
 * whole costs about two passes over the audio and memory for the inputs of one stage. All arithmetic is float32. */
#ifndef QASR_QUANTIZE_LAYERWISE_H
#define QASR_QUANTIZE_LAYERWISE_H

#include <stdbool.h>

#include "model/stages.h"
#include "qasr/qasr.h"

typedef struct layerwise layerwise;

typedef struct layerwise_options {
    const char *model;        /* model directory or GGUF file; safetensors take precedence */
    const char *const *audio; /* [n_audio], as in qasr_calibrate_options */
    size_t n_audio;
    int n_threads;               /* 0: default */
    bool encoder, decoder, head; /* parts that will be rounded: a warning says if one saw few rows */
    int (*on_clip)(void *user, size_t done,
                   size_t total); /* while clips are transcribed and after each; non-zero cancels; may be NULL */
    void *user;
} layerwise_options;

/* Weighted means (row_weights.h) over the rows of a stage's input: x in the rounded version, exact in the exact one. If
 * the matrices have biases, which absorb any constant error, products are taken of deviations from the means. */
typedef struct layerwise_moments {
    size_t n;
    double n_rows;             /* effective number of rows: this many rows of equal weight carry as much information */
    float *products;           /* [n, n], x_i x_j */
    float *drift;              /* [n, n], (exact_i - x_i) x_j; NULL: x is exact */
    double *mean, *exact_mean; /* [n]; NULL: there are no biases */
} layerwise_moments;
void layerwise_moments_free(layerwise_moments *m); /* zeroed is fine */

/* Transcribes the audio and stops at the first stage. Files beyond the memory limit are left out, with a warning.
 * Errors: as qasr_calibrate. */
qasr_status layerwise_create(layerwise **out, const layerwise_options *opt, qasr_error *err);
void layerwise_free(layerwise *lw); /* NULL is fine */

/* Returns the current stage; false after the last one before the head. */
bool layerwise_stage(layerwise *lw, stage *out);
/* Moments of the current stage's input; the caller frees what it does not take. Errors: NOMEM, DEVICE. */
qasr_status layerwise_get_moments(layerwise *lw, layerwise_moments *out, qasr_error *err);
/* The same for the head's input in the exact version, products only; at any stage. Errors: as above. */
qasr_status layerwise_get_head_moments(layerwise *lw, layerwise_moments *out, qasr_error *err);
/* Sets matrix k of the stage in the rounded version: rows of a type as in a file, copied. The same for its bias. Error:
 * NOMEM. */
qasr_status layerwise_put(layerwise *lw, size_t k, quant_type type, const void *blocks, qasr_error *err);
qasr_status layerwise_put_bias(layerwise *lw, size_t k, const float *bias, qasr_error *err);
/* Sets the embedding of the rounded version, before the decoder's first stage. */
qasr_status layerwise_put_embedding(layerwise *lw, quant_type type, const void *blocks, qasr_error *err);
/* Runs the current stage in both versions and moves on to the next. Errors: NOMEM, DEVICE. */
qasr_status layerwise_step(layerwise *lw, qasr_error *err);

#endif
