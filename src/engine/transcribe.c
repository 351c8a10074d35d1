/* Samples -> text, for one clip or many: segments are begun (features, encoder, prompt) as long as there is room, all
 * that are begun are decoded together, and a segment that is done makes room for the next, of its clip or of the next
 * clip. Clips are handed over in their order. */
#include "base/clock.h"
#include "base/mem.h"
#include "engine/clip.h"
#include "engine/retry.h"

enum { LOOK_AHEAD = 2 }; /* clips at a time, times the batch */

typedef struct work {
    call call;
    qasr_next_clip_fn next;
    qasr_clip_done_fn done;
    void *user;
    clip *first, *last; /* those that were given and not handed over */
    size_t n_clips;
    bool no_more;
    struct {
        clip *clip;
        segment_job *job;
    } active[DECODER_MAX_SLOTS];
    size_t n_active;
    buf text;
} work;

static qasr_status cancelled(qasr_error *err)
{
    return error_set(err, QASR_E_CANCELLED, "transcription was cancelled");
}

/* ---- clips in and out -------------------------------------------------------------------------------- */

static qasr_status take_clip(work *w, qasr_error *err)
{
    clip *c;
    TRY(MEM_CALLOC(&c, 1, err));
    int answer = w->next(w->user, &c->given);
    if (answer <= 0) {
        w->no_more = true;
        clip_free(c);
        return answer < 0 ? cancelled(err) : QASR_OK;
    }
    *(w->last ? &w->last->next : &w->first) = c;
    w->last = c;
    w->n_clips++;
    clip_open(c, &w->call);
    return QASR_OK;
}

/* The first clip is handed over and forgotten; true if the caller wants to stop. */
static bool hand_over(work *w)
{
    clip *c = w->first;
    qasr_result *result = NULL;
    if (c->status == QASR_OK)
        c->status = clip_take_result(c, &result, &c->error);
    int answer = w->done(w->user, &c->given, result, result ? NULL : &c->error);
    w->first = c->next;
    if (!w->first)
        w->last = NULL;
    w->n_clips--;
    clip_free(c);
    return answer != 0;
}

/* Text and results that are ready, in order. */
static qasr_status deliver(work *w, qasr_error *err)
{
    while (w->first) {
        TRY(clip_show(w->first, &w->text, err));
        if (!clip_is_finished(w->first))
            return QASR_OK;
        if (hand_over(w))
            return cancelled(err);
    }
    return QASR_OK;
}

/* ---- segments ------------------------------------------------------------------------------------------ */

/* After a segment was decoded: its answer, another try, or the end of its clip. */
static void finish_segment(work *w, clip *c, segment_job *j)
{
    qasr_error error;
    qasr_status status = segment_finish(&w->call, j, &error);
    if (status == QASR_OK)
        clip_accept(c, j);
    else
        clip_fail(c, status, &error);
}

static void start_segment(work *w, clip *c)
{
    qasr_error error;
    segment_job *j = clip_begin_segment(c);
    if (!j)
        return;
    qasr_status status = segment_start(&w->call, j, &error);
    if (!retry_is_possible(&w->call))
        clip_drop_samples(j);
    if (status != QASR_OK)
        clip_fail(c, status, &error);
    else if (j->seq.done)
        finish_segment(w, c, j);
    else
        w->active[w->n_active++] = (__typeof__(w->active[0])){ c, j };
}

/* Keys and values may take only so much memory, but for a segment that is alone. */
static bool has_room(const work *w, const clip *c)
{
    const qasr_session *s = w->call.s;
    if (w->n_active == 0)
        return true;
    if (w->n_active == s->batch)
        return false;
    uint64_t used = decoder_kv_used(s->decoder);
    uint64_t more = decoder_kv_more(s->decoder, segment_positions(&w->call, clip_next_samples(c)));
    return used <= s->max_kv_bytes && more <= s->max_kv_bytes - used;
}

/* The first clip with a segment to begin. */
static clip *find_waiting(const work *w)
{
    clip *c = w->first;
    while (c && clip_next_samples(c) == 0)
        c = c->next;
    return c;
}

/* The sequences of segments that are finished or whose clips have failed are over. */
static void drop_ended(work *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_active; i++)
        if (w->active[i].job->seq.d)
            w->active[n++] = w->active[i];
    w->n_active = n;
}

/* Begins segments until there is no room, or nothing to begin. */
static qasr_status fill(work *w, qasr_error *err)
{
    while (w->n_active < w->call.s->batch) {
        clip *c = find_waiting(w);
        if (c) {
            if (!has_room(w, c))
                return QASR_OK;
            start_segment(w, c);
            drop_ended(w);
        } else if (w->no_more || w->n_clips >= LOOK_AHEAD * w->call.s->batch) {
            return QASR_OK;
        } else {
            TRY(take_clip(w, err));
        }
    }
    return QASR_OK;
}

/* A decoding pass over all active segments took so long. */
static void share_time(work *w, double seconds)
{
    for (size_t i = 0; i < w->n_active; i++) {
        qasr_timings *t = w->active[i].job->timings;
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first = first && w->active[k].clip != w->active[i].clip;
        t->decode_s += seconds / (double)w->n_active;
        t->n_decoded_tokens++;
        t->n_decode_steps += first;
    }
}

static void step(work *w)
{
    sequence *q[DECODER_MAX_SLOTS];
    qasr_error error;
    for (size_t i = 0; i < w->n_active; i++)
        q[i] = &w->active[i].job->seq;
    double t0 = clock_now_s();
    qasr_status status = generate_step(q, w->n_active, &error);
    share_time(w, clock_now_s() - t0);
    for (size_t i = 0; i < w->n_active; i++) {
        if (status != QASR_OK)
            clip_fail(w->active[i].clip, status, &error);
        else if (q[i]->done && q[i]->d) /* not ended with another segment of its clip */
            finish_segment(w, w->active[i].clip, w->active[i].job);
    }
    drop_ended(w);
}

static qasr_status run(work *w, qasr_error *err)
{
    do {
        TRY(fill(w, err));
        if (w->n_active)
            step(w);
        TRY(deliver(w, err));
    } while (w->first || !w->no_more);
    return QASR_OK;
}

/* ---- a call ------------------------------------------------------------------------------------------ */

/* Every clip that was given comes back. */
static void abandon(work *w, qasr_status status, const qasr_error *error)
{
    for (clip *c = w->first; c; c = c->next)
        clip_fail(c, status, error);
    while (w->first)
        hand_over(w);
}

qasr_status engine_transcribe_many(qasr_session *s, const qasr_transcribe_options *opt, qasr_next_clip_fn next,
                                   qasr_clip_done_fn done, void *user, qasr_error *err)
{
    work w = { .next = next, .done = done, .user = user };
    qasr_error error;
    TRY(call_init(&w.call, s, opt, err));
    buf_init(&w.text, TEXT_MAX_BYTES);
    qasr_status status = run(&w, &error);
    if (status != QASR_OK) {
        abandon(&w, status, &error);
        if (err)
            *err = error;
    }
    buf_free(&w.text);
    return status;
}

/* One clip: asked for once, its result or its error kept. */
typedef struct single {
    const float *pcm;
    size_t n_samples;
    bool given;
    qasr_result *result;
    qasr_error error;
} single;

static int give_single(void *user, qasr_clip *to)
{
    single *one = user;
    if (one->given)
        return 0;
    one->given = true;
    to->pcm = one->pcm;
    to->n_samples = one->n_samples;
    return 1;
}

static int keep_single(void *user, const qasr_clip *given, qasr_result *result, const qasr_error *error)
{
    single *one = user;
    one->result = result;
    if (error)
        one->error = *error;
    return 0;
}

qasr_status engine_transcribe(qasr_result **out, qasr_session *s, const float *pcm, size_t n_samples,
                              const qasr_transcribe_options *opt, qasr_error *err)
{
    single one = { .pcm = pcm, .n_samples = n_samples };
    qasr_status status = engine_transcribe_many(s, opt, give_single, keep_single, &one, err);
    if (status != QASR_OK) {
        engine_result_free(one.result);
        return status;
    }
    if (!one.result) {
        if (err)
            *err = one.error;
        return one.error.status;
    }
    *out = one.result;
    return QASR_OK;
}
