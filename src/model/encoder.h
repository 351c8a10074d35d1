/* The audio encoder: log-mel frames -> vectors that replace the prompt's audio placeholders. */
#ifndef QASR_MODEL_ENCODER_H
#define QASR_MODEL_ENCODER_H

#include "model/net.h"

typedef struct encoder encoder;

qasr_status encoder_create(encoder **out, net *n, qasr_error *err);
void encoder_free(encoder *e); /* NULL is fine */

/* mel: [n_mels, n_frames] on the host, n_frames >= 1. *out: [config_audio_tokens(n_frames), dec.d_model] F32 in
 * device memory that belongs to the encoder and holds until its next run. full: one attention window over
 * everything instead of windows of window_frames. Errors: NOMEM, DEVICE. */
qasr_status encoder_run(encoder *e, dmat *out, const float *mel, size_t n_frames, bool full, qasr_error *err);

#endif
