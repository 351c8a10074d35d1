/* See calibration_session.h. */
#include "quantize/calibration_session.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/log.h"
#include "model/stages.h"

/* Longer audio is cut: keys and values in float32 are large. At this length a segment is also one group of the
 * encoder's windows, so that a watch on the network sees each segment's audio at once. */
enum { SEGMENT_SECONDS = 30 };
#define MAX_KV_BYTES ((uint64_t)512 << 20)

qasr_status calibration_session_of(qasr_session **s, const qasr_model *m, int n_threads, qasr_error *err)
{
    qasr_session_options opt = QASR_SESSION_OPTIONS_INIT;
    opt.n_threads = n_threads;
    opt.precision = QASR_PRECISION_F32;
    opt.kv_type = "f32";
    TRY(engine_session_open(s, m, &opt, err));
    (*s)->max_kv_bytes = MAX_KV_BYTES;
    return QASR_OK;
}

qasr_status calibration_session_open(qasr_model **m, qasr_session **s, const char *path, qasr_decoder_weights from,
                                     int n_threads, qasr_error *err)
{
    qasr_model_options opt = QASR_MODEL_OPTIONS_INIT;
    opt.decoder_weights = from;
    TRY(engine_model_open(m, path, &opt, err));
    return calibration_session_of(s, *m, n_threads, err);
}

qasr_status calibration_session_run(qasr_session *s, qasr_next_clip_fn next, qasr_clip_done_fn done, qasr_poll_fn poll,
                                    void *user, const qasr_error *failure, qasr_error *err)
{
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_segment_s = SEGMENT_SECONDS;
    opt.on_poll = poll;
    opt.user = user;
    opt.no_retry = 1; /* a second try would count the same audio twice */
    qasr_status status = engine_transcribe_many(s, &opt, next, done, user, err);
    if (failure->status != QASR_OK)
        return error_set(err, failure->status, "%s", failure->message);
    return status;
}

size_t calibration_widest(net *n, size_t first, size_t end)
{
    size_t widest = 0;
    for (size_t i = first; i < end; i++) {
        size_t cols = stages_get(n, i).refs[0]->cols;
        widest = cols > widest ? cols : widest;
    }
    return widest;
}

/* With fewer rows than columns, some directions of the input were never seen, and what was seen is partly chance. */
void calibration_warn_few_rows(const calibration_rows *parts, size_t n)
{
    enum { MAX_TEXT = 256 };
    bool few = false;
    buf text;
    buf_init(&text, MAX_TEXT);
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n_cols == 0)
            continue;
        few = few || parts[i].n_rows < parts[i].n_cols;
        buf_printf(&text, NULL, "%s%s %" PRIu64 " rows (matrices of up to %zu columns)", text.len ? ", " : "",
                   parts[i].part, parts[i].n_rows, parts[i].n_cols);
    }
    if (few)
        log_warning("there is little speech to calibrate on: %s; with fewer rows than columns the statistics are "
                    "partly chance: use several minutes of varied speech",
                    buf_str(&text));
    buf_free(&text);
}
