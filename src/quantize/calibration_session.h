/* How calibration transcribes: in float32, keys and values too, with every second of audio transcribed once. */
#ifndef QASR_QUANTIZE_CALIBRATION_SESSION_H
#define QASR_QUANTIZE_CALIBRATION_SESSION_H

#include "engine/engine.h"

/* Opens a model and a session for it; the caller closes both, after an error too. Errors: those of engine_model_open
 * and engine_session_open. */
qasr_status calibration_session_open(qasr_model **m, qasr_session **s, const char *path, qasr_decoder_weights from,
                                     int n_threads, qasr_error *err);
/* Transcribes the clips that next hands out. The callbacks get user; they leave their errors in *failure, which are
 * returned before those of the transcription. */
qasr_status calibration_session_run(qasr_session *s, qasr_next_clip_fn next, qasr_clip_done_fn done, void *user,
                                    const qasr_error *failure, qasr_error *err);

#endif
