/* How calibration transcribes: in float32, keys and values too, with every second of audio transcribed once. */
#ifndef QASR_QUANTIZE_CALIBRATION_SESSION_H
#define QASR_QUANTIZE_CALIBRATION_SESSION_H

#include "engine/engine.h"
#include "model/net.h"

/* Opens such a session. Errors: those of engine_session_open. */
qasr_status calibration_session_of(qasr_session **s, const qasr_model *m, int n_threads, qasr_error *err);
/* Opens a model and a session for it; the caller closes both, after an error too. Errors: those of engine_model_open
 * and engine_session_open. */
qasr_status calibration_session_open(qasr_model **m, qasr_session **s, const char *path, qasr_decoder_weights from,
                                     int n_threads, qasr_error *err);
/* Transcribes the clips that next hands out. The callbacks get user; they leave their errors in *failure, which are
 * returned before those of the transcription. poll: as on_poll of qasr_transcribe_options. */
qasr_status calibration_session_run(qasr_session *s, qasr_next_clip_fn next, qasr_clip_done_fn done, qasr_poll_fn poll,
                                    void *user, const qasr_error *failure, qasr_error *err);

/* Rows that the matrices of a part saw; 0 columns: the part does not count. */
typedef struct calibration_rows {
    const char *part;
    uint64_t n_rows;
    size_t n_cols; /* of its widest matrix */
} calibration_rows;

/* Columns of the widest matrix of stages [first, end). */
size_t calibration_widest(net *n, size_t first, size_t end);
/* A warning with the numbers of all parts if one saw fewer rows than its widest matrix has columns. */
void calibration_warn_few_rows(const calibration_rows *parts, size_t n);

#endif
