/* Compares a quantized model with the one it was made from. Both transcribe the same audio in float32, so differences
 * come from the weights alone: outputs of the encoder, next-token distributions along the original's answers (teacher
 * forcing), texts. */
#ifndef QASR_QUANTIZE_VERIFY_H
#define QASR_QUANTIZE_VERIFY_H

#include <stdbool.h>

#include "engine/engine.h"

typedef struct verifier verifier;

typedef struct verify_options {
    const qasr_model *original; /* must live as long as the verifier */
    const char *const *audio;   /* [n_audio], as in qasr_calibrate_options */
    size_t n_audio;
    int n_threads;                           /* 0: default */
    int (*on_part)(void *user, double part); /* the share of the audio that is done, also called while nothing new is
                                              done; non-zero cancels */
    void *user;
} verify_options;

/* Finds the audio files and opens each, so that a missing one is noticed before the long work. Errors: those of
 * audio_files_find and audio_stream_open. */
qasr_status verifier_create(verifier **out, const verify_options *opt, qasr_error *err);
/* Fills in out, except for passed. with_encoder: the models' encoders differ. An error of made names the file. Errors:
 * INVALID (no speech), IO, FORMAT, NOMEM, DEVICE, CANCELLED. */
qasr_status verifier_run(verifier *v, const qasr_model *made, bool with_encoder, qasr_verification *out,
                         qasr_error *err);
void verifier_free(verifier *v); /* NULL is fine */

#endif
