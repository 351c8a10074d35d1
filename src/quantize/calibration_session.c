/* See calibration_session.h. */
#include "quantize/calibration_session.h"

/* Longer audio is cut: keys and values in float32 are large. At this length a segment is also one group of the
 * encoder's windows, so that a watch on the network sees each segment's audio at once. */
enum { SEGMENT_SECONDS = 30 };
#define MAX_KV_BYTES ((uint64_t)512 << 20)

qasr_status calibration_session_open(qasr_model **m, qasr_session **s, const char *path, qasr_decoder_weights from,
                                     int n_threads, qasr_error *err)
{
    qasr_model_options opt = QASR_MODEL_OPTIONS_INIT;
    qasr_session_options session = QASR_SESSION_OPTIONS_INIT;
    opt.decoder_weights = from;
    session.n_threads = n_threads;
    session.precision = QASR_PRECISION_F32;
    session.kv_type = "f32";
    TRY(engine_model_open(m, path, &opt, err));
    TRY(engine_session_open(s, *m, &session, err));
    (*s)->max_kv_bytes = MAX_KV_BYTES;
    return QASR_OK;
}

qasr_status calibration_session_run(qasr_session *s, qasr_next_clip_fn next, qasr_clip_done_fn done, void *user,
                                    const qasr_error *failure, qasr_error *err)
{
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_segment_s = SEGMENT_SECONDS;
    opt.no_retry = 1; /* a second try would count the same audio twice */
    qasr_status status = engine_transcribe_many(s, &opt, next, done, user, err);
    if (failure->status != QASR_OK)
        return error_set(err, failure->status, "%s", failure->message);
    return status;
}
