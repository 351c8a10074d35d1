/* What the matrices of a model get to see on calibration audio, stage by stage (model/stages.h), in two versions side
 * by side: as in the exact model, and as it comes out once the matrices before are rounded. Whoever rounds goes along:
 * asks for the moments of a stage, rounds its matrices, hands them in, and steps on. Each version passes every stage
 * once, so all takes about two passes over the audio and memory for one stage. Everything is float32. */
#ifndef QASR_QUANTIZE_LAYERWISE_H
#define QASR_QUANTIZE_LAYERWISE_H

#include <stdbool.h>

#include "model/stages.h"
#include "qasr/qasr.h"

typedef struct layerwise layerwise;

typedef struct layerwise_options {
    const char *model;        /* model directory or GGUF file; safetensors come first */
    const char *const *audio; /* [n_audio], as in qasr_calibrate_options */
    size_t n_audio;
    int n_threads; /* 0: default */
    int (*on_clip)(void *user, size_t done,
                   size_t total); /* after each clip is transcribed; non-zero cancels; may be NULL */
    void *user;
} layerwise_options;

/* Means over the rows of a stage's input, weighted (row_weights.h): x as the stage gets it now, exact as it was meant
 * to be. Where the matrices have biases, which take up any constant error, products are those of the distances to the
 * means. */
typedef struct layerwise_moments {
    size_t n;
    double n_rows;             /* how many rows of equal weight would say as much */
    float *products;           /* [n, n], x_i x_j */
    float *drift;              /* [n, n], (exact_i - x_i) x_j; NULL: x is exact */
    double *mean, *exact_mean; /* [n]; NULL: there are no biases */
} layerwise_moments;
void layerwise_moments_free(layerwise_moments *m); /* zeroed is fine */

/* Transcribes the audio and stands at the first stage. What does not fit into memory that is bearable is left out, with
 * a warning. Errors: as qasr_calibrate. */
qasr_status layerwise_create(layerwise **out, const layerwise_options *opt, qasr_error *err);
void layerwise_free(layerwise *t); /* NULL is fine */

/* Where it stands; false after the last stage before the head. */
bool layerwise_stage(layerwise *t, stage *out);
/* Of the stage's input; the caller frees what it does not take. Errors: NOMEM, DEVICE. */
qasr_status layerwise_get_moments(layerwise *t, layerwise_moments *out, qasr_error *err);
/* Of the head's input in the exact version, products only. At any time. Errors: as above. */
qasr_status layerwise_get_head_moments(layerwise *t, layerwise_moments *out, qasr_error *err);
/* Matrix k of the stage, rounded: rows of a type as in a file; they are copied. The same for its bias. Error: NOMEM. */
qasr_status layerwise_put(layerwise *t, size_t k, quant_type type, const void *blocks, qasr_error *err);
qasr_status layerwise_put_bias(layerwise *t, size_t k, const float *bias, qasr_error *err);
/* The embedding, rounded, before the decoder's first stage is reached. */
qasr_status layerwise_put_embedding(layerwise *t, quant_type type, const void *blocks, qasr_error *err);
/* To the next stage. Errors: NOMEM, DEVICE. */
qasr_status layerwise_step(layerwise *t, qasr_error *err);

#endif
