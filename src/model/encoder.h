/* The audio encoder: log-mel frames -> vectors that replace the prompt's audio placeholders. */
#ifndef QASR_MODEL_ENCODER_H
#define QASR_MODEL_ENCODER_H

#include "model/net.h"

typedef struct encoder encoder;

qasr_status encoder_create(encoder **out, net_context *ctx, qasr_error *err);
void encoder_free(encoder *enc); /* NULL is fine */

/* mel: [n_mels, n_frames] on the host, n_frames >= 1. *out: [config_audio_tokens(n_frames), dec.d_model] F32 in device
 * memory that the encoder owns, valid until its next run. full: one attention window over everything instead of windows
 * of window_frames. Errors: NOMEM, DEVICE. */
qasr_status encoder_run(encoder *enc, dmat *out, const float *mel, size_t n_frames, bool full, qasr_error *err);

/* Runs one stage (model/stages.h) for all rows of a segment, with windows. x [n, enc.d_model], the residual stream, is
 * updated (created by the first stage); in is the stage's input; next receives the input of the next stage or, after
 * the last, the output of encoder_run. The caller owns the matrices. next may be the same rows as in, except for the
 * last stage. Errors: NOMEM, DEVICE. */
qasr_status encoder_run_stage(encoder *enc, size_t s, dmat x, dmat in, dmat next, qasr_error *err);

#endif
