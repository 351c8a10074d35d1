/* See scheduler.h. Jobs are listed in the order of submission. `active` lists the segments being decoded, one per slot
 * in use. */
#include "engine/scheduler.h"

#include "base/clock.h"
#include "base/mem.h"
#include "engine/clip.h"
#include "engine/fault.h"

typedef struct job {
    struct job *next;
    uint64_t id;
    job_options options;
    clip clip;
    int64_t priority;
    uint64_t turn; /* value of n_begun when its last segment began, or at submission */
    scheduler_done_fn on_done;
    void *user;
} job;

struct scheduler {
    qasr_session *session;
    scheduler_delivery delivery;
    job *first, **end; /* *end: where the next is linked */
    size_t n_jobs;
    uint64_t last_id, n_begun;
    struct {
        job *job;
        segment_job *segment;
    } active[DECODER_MAX_SLOTS];
    size_t n_active;
    const job *showing; /* the job whose callbacks are running; NULL: none */
    bool is_stepping, is_closing;
    buf text; /* scratch */
};

/* ---- opening --------------------------------------------------------------------------------------- */

qasr_status scheduler_open(scheduler **out, qasr_session *session, scheduler_delivery delivery, qasr_error *err)
{
    scheduler *s;
    TRY(MEM_CALLOC(&s, 1, err));
    qasr_status status = engine_session_claim(
        session, "a transcription: wait until it ends, and do not use the session in callbacks", err);
    if (status != QASR_OK) {
        mem_free(s);
        return status;
    }
    s->session = session;
    s->delivery = delivery;
    s->end = &s->first;
    buf_init(&s->text, TEXT_MAX_BYTES);
    *out = s;
    return QASR_OK;
}

/* ---- submit and cancel ------------------------------------------------------------------------------ */

qasr_status scheduler_submit(scheduler *s, uint64_t *id, const scheduler_job *given, qasr_error *err)
{
    job *j;
    if (s->is_closing)
        return clip_cancelled(err);
    TRY(MEM_CALLOC(&j, 1, err));
    qasr_status status = job_options_init(&j->options, s->session, given->opt, err);
    if (status != QASR_OK) {
        mem_free(j);
        return status;
    }
    clip_init(&j->clip, &given->clip, &j->options);
    j->id = ++s->last_id;
    j->priority = given->priority;
    j->turn = s->n_begun;
    j->on_done = given->on_done;
    j->user = given->user;
    *s->end = j;
    s->end = &j->next;
    s->n_jobs++;
    if (id)
        *id = j->id;
    return QASR_OK;
}

/* Removes segments whose sequence has ended: finished ones, and those of failed jobs. */
static void drop_ended(scheduler *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_active; i++)
        if (s->active[i].segment->seq.d)
            s->active[n++] = s->active[i];
    s->n_active = n;
}

static void fail(scheduler *s, job *j, qasr_status status, const qasr_error *error)
{
    clip_fail(&j->clip, status, error);
    drop_ended(s);
}

static void cancel(scheduler *s, job *j)
{
    qasr_error error;
    if (j == s->showing)
        j->clip.cancelled = true;
    else
        fail(s, j, clip_cancelled(&error), &error);
}

void scheduler_cancel(scheduler *s, uint64_t id)
{
    for (job *j = s->first; j; j = j->next)
        if (j->id == id)
            cancel(s, j);
}

void scheduler_cancel_all(scheduler *s)
{
    for (job *j = s->first; j; j = j->next)
        cancel(s, j);
}

size_t scheduler_n_jobs(const scheduler *s) { return s->n_jobs; }

/* ---- start segments --------------------------------------------------------------------------------- */

static bool goes_before(const job *a, const job *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->turn < b->turn;
}

/* The next job that has something to start, or NULL. Among equals, the first submitted. */
static job *find_next(const scheduler *s)
{
    job *best = NULL;
    for (job *j = s->first; j; j = j->next)
        if (clip_wants_room(&j->clip) && (!best || goes_before(j, best)))
            best = j;
    return best;
}

/* True if the KV cache limit allows the next segment. A segment alone always fits. */
static bool has_room(const scheduler *s, const job *j)
{
    const qasr_session *session = s->session;
    if (s->n_active == 0)
        return true;
    uint64_t used = decoder_kv_used(session->decoder);
    size_t n_positions = segment_positions(&j->options, clip_next_samples(&j->clip));
    uint64_t more = decoder_kv_more(session->decoder, n_positions, clip_next_is_wide(&j->clip));
    return used <= session->max_kv_bytes && more <= session->max_kv_bytes - used;
}

static void fail_segment(job *j, const segment_job *segment, qasr_status status, qasr_error *error)
{
    fault_explain(&j->options, segment, segment->segment.tokens, segment->segment.n_tokens, error);
    clip_fail(&j->clip, status, error);
}

/* Handles a decoded segment: keeps its answer, schedules another try, or fails its job. */
static void finish_segment(job *j, segment_job *segment)
{
    qasr_error error;
    if (segment_widen(segment)) {
        clip_start_again(&j->clip, segment);
        return;
    }
    qasr_status status = segment_finish(&j->options, segment, &error);
    if (status == QASR_OK)
        clip_accept(&j->clip, segment);
    else
        fail_segment(j, segment, status, &error);
}

static void start_segment(scheduler *s, job *j)
{
    qasr_error error;
    j->turn = ++s->n_begun;
    segment_job *segment = clip_begin_segment(&j->clip);
    if (!segment)
        return;
    qasr_status status = segment_start(&j->options, segment, &error);
    if (status != QASR_OK)
        fail_segment(j, segment, status, &error);
    else if (segment->seq.done)
        finish_segment(j, segment);
    else
        s->active[s->n_active++] = (__typeof__(s->active[0])){ j, segment };
}

/* Lets every job that wants to stop do so. Comes before anything that takes long: a segment's encoder, a pass. */
static void poll_jobs(scheduler *s)
{
    for (job *j = s->first; j; j = j->next) {
        const qasr_transcribe_options *opt = &j->options.opt;
        if (opt->on_poll && !clip_is_finished(&j->clip) && opt->on_poll(opt->user))
            cancel(s, j);
    }
}

bool scheduler_fill(scheduler *s)
{
    while (decoder_free_slots(s->session->decoder) > 0) {
        poll_jobs(s);
        job *j = find_next(s);
        if (!j)
            return true;
        if (!j->clip.is_open)
            clip_open(&j->clip);
        else if (has_room(s, j))
            start_segment(s, j);
        else
            return false;
        drop_ended(s); /* other segments of a failed job */
    }
    return false;
}

/* ---- decode one token of every segment -------------------------------------------------------------- */

/* Divides the time of a decoding pass among the active segments. Each clip counts the pass once. */
static void share_time(scheduler *s, double seconds)
{
    for (size_t i = 0; i < s->n_active; i++) {
        qasr_timings *t = s->active[i].segment->timings;
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first = first && s->active[k].job != s->active[i].job;
        t->decode_s += seconds / (double)s->n_active;
        t->n_decoded_tokens++;
        t->n_decode_steps += first;
    }
}

static void run_pass(scheduler *s)
{
    sequence *q[DECODER_MAX_SLOTS];
    qasr_error error;
    for (size_t i = 0; i < s->n_active; i++)
        q[i] = &s->active[i].segment->seq;
    double t0 = clock_now_s();
    qasr_status status = generate_step(q, s->n_active, &error);
    share_time(s, clock_now_s() - t0);
    for (size_t i = 0; i < s->n_active; i++) {
        if (status != QASR_OK)
            clip_fail(&s->active[i].job->clip, status, &error);
        else if (q[i]->done && q[i]->d) /* not ended by the failure of another segment of its job */
            finish_segment(s->active[i].job, s->active[i].segment);
    }
    drop_ended(s);
}

/* ---- deliver ---------------------------------------------------------------------------------------- */

/* Reports new text, segments and progress. */
static void show(scheduler *s, job *j)
{
    qasr_error error;
    s->showing = j;
    qasr_status status = clip_show(&j->clip, &s->text, &error);
    s->showing = NULL;
    if (status != QASR_OK)
        fail(s, j, status, &error);
}

/* Removes the job at *link from the list and hands over its result. */
static void complete(scheduler *s, job **link)
{
    job *j = *link;
    clip *c = &j->clip;
    qasr_result *result = NULL;
    if (c->status == QASR_OK)
        c->status = clip_take_result(c, &result, &c->error);
    *link = j->next;
    if (!*link)
        s->end = link;
    s->n_jobs--;
    j->on_done(j->user, &c->given, result, result ? NULL : &c->error);
    clip_close(c);
    mem_free(j);
}

/* Callbacks may append jobs to the list, but never remove any. */
static void deliver(scheduler *s)
{
    for (job **link = &s->first; *link;) {
        job *j = *link;
        show(s, j);
        if (clip_is_finished(&j->clip))
            complete(s, link);
        else if (s->delivery == SCHEDULER_IN_ORDER)
            return;
        else
            link = &j->next;
    }
}

bool scheduler_step(scheduler *s)
{
    assert(!s->is_stepping);
    s->is_stepping = true;
    scheduler_fill(s);
    poll_jobs(s);
    if (s->n_active)
        run_pass(s);
    deliver(s);
    s->is_stepping = false;
    return s->first != NULL;
}

void scheduler_close(scheduler *s)
{
    if (!s)
        return;
    assert(!s->is_stepping);
    s->is_closing = true;
    scheduler_cancel_all(s);
    deliver(s);
    engine_session_release(s->session);
    buf_free(&s->text);
    mem_free(s);
}
