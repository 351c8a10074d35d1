/* See retry.h. Decisions depend only on the segment's samples and its answer, not on threads or the batch. */
#include "engine/retry.h"

#include <string.h>

#include "audio/split.h"
#include "base/mem.h"
#include "engine/answer_check.h"

enum {
    MAX_DEPTH = 2,                /* quarters are not cut again */
    MIN_SAMPLES = 4 * AUDIO_RATE, /* segments shorter than twice this are not halved */
    PAD = AUDIO_RATE / 10,        /* silence kept at the edges of a trimmed segment */
    MIN_TRIM = AUDIO_RATE / 20    /* trimming less would not change the answer */
};

bool retry_is_possible(const job_options *o) { return !o->opt.no_retry && !o->opt.ignore_eos; }

static bool is_worth_it(const job_options *o, const segment_job *j)
{
    if (!retry_is_possible(o) || !answer_is_suspect(j->segment.status))
        return false;
    return j->segment.status != QASR_SEGMENT_SUSPECT_LIMIT ||
           o->opt.max_new_tokens == 0; /* a limit set by the caller is not a failure */
}

/* Trims silence, so that the segment aligns differently with the encoder's windows. False if there is none to trim. */
static bool trim(segment_job *j)
{
    const size_t first = j->speech_begin, end = j->speech_end;
    if (j->n_tries > 0 || j->depth > 0 || end <= first || first < PAD + MIN_TRIM)
        return false;
    j->trim_begin = first - PAD;
    j->trim_end = j->n_samples - end > PAD ? j->n_samples - end - PAD : 0;
    return true;
}

/* Makes a job of the samples of j from `at` on. */
static qasr_status make_half(segment_job **out, segment_job *j, size_t at, qasr_error *err)
{
    segment_job *half;
    float *own_pcm = NULL;
    qasr_status status;
    TRY(MEM_CALLOC(&half, 1, err));
    half->n_samples = j->n_samples - at;
    half->pcm = j->pcm + at;
    if (j->own_pcm) {
        TRY_GOTO(MEM_ALLOC(&own_pcm, half->n_samples, err));
        memcpy(own_pcm, half->pcm, half->n_samples * sizeof *own_pcm);
        half->pcm = half->own_pcm = own_pcm;
    }
    half->segment.start_s = segment_seconds(j, at);
    TRY_GOTO(timeline_cut(&j->shortened, &half->shortened, at, err));
    half->timings = j->timings;
    half->n_tries = j->n_tries + 1;
    half->depth = j->depth + 1;
    half->audio.depth = j->audio.depth;
    half->without_context = j->without_context;
    half->wide = j->wide;
    half->segment.kv_widened = j->segment.kv_widened;
    half->segment.context_echoed = j->segment.context_echoed;
    half->segment.end_s = j->segment.end_s;
    *out = half;
done:
    if (status != QASR_OK) {
        mem_free(own_pcm);
        mem_free(half);
    }
    return status;
}

/* If an answer was too short, at least one of the halves must contain its share of the missing text. A half must not
 * pass because it is short. */
static bool has_little_text(const segment_job *j)
{
    return j->segment.status == QASR_SEGMENT_SUSPECT_EMPTY || j->segment.status == QASR_SEGMENT_SUSPECT_RATE ||
           j->audio.depth > 0;
}

static qasr_status halve(segment_job **half, const job_options *o, segment_job *j, qasr_error *err)
{
    size_t at;
    j->audio.depth += has_little_text(j);
    TRY(split_halves(&at, j->pcm, j->n_samples, o->session->model->features, device_pool(o->session->device), err));
    TRY(make_half(half, j, at, err));
    j->n_samples = at;
    j->trim_begin = j->trim_end = 0;
    j->depth++;
    j->segment.end_s = (*half)->segment.start_s;
    return QASR_OK;
}

qasr_status retry_decide(retry_plan *plan, segment_job **half, const job_options *o, segment_job *j, qasr_error *err)
{
    *plan = RETRY_NONE;
    if (j->segment.context_echoed && !j->without_context && retry_is_possible(o)) {
        j->without_context = true;
        *plan = RETRY_SAME;
    } else if (!is_worth_it(o, j)) {
        if (j->n_tries > 0 && !answer_is_suspect(j->segment.status))
            j->segment.status = QASR_SEGMENT_RETRIED;
    } else if (trim(j)) {
        *plan = RETRY_SAME;
    } else if (j->depth < MAX_DEPTH && j->n_samples >= 2 * MIN_SAMPLES) {
        TRY(halve(half, o, j, err));
        *plan = RETRY_HALVES;
    }
    if (*plan != RETRY_NONE) {
        j->n_tries++;
        j->seq = (sequence){ 0 };
        segment_free_answer(&j->segment);
    }
    return QASR_OK;
}
