/* Transcribes one clip, or many in order: loops over a scheduler. */
#include "engine/clip.h"
#include "engine/scheduler.h"

enum { LOOK_AHEAD = 2 }; /* clips held at a time, per slot */

/* ---- many clips ------------------------------------------------------------------------------------ */

typedef struct many {
    scheduler *scheduler;
    const qasr_transcribe_options *opt;
    qasr_next_clip_fn next;
    qasr_clip_done_fn done;
    void *user;
    size_t n_given;
    bool no_more;
    qasr_error failure; /* the error of the whole call */
    qasr_clip refused;  /* given, but not submitted for lack of memory */
    bool has_refused;
} many;

/* Asks for no more clips and cancels those in progress. The first failure is kept. */
static void stop(many *m, const qasr_error *error)
{
    if (m->failure.status == QASR_OK)
        m->failure = *error;
    m->no_more = true;
    scheduler_cancel_all(m->scheduler);
}

static void stop_cancelled(many *m)
{
    qasr_error error;
    clip_cancelled(&error);
    stop(m, &error);
}

static void hand_over(void *user, const qasr_clip *given, qasr_result *result, const qasr_error *error)
{
    many *m = user;
    bool cancelled = error && error->status == QASR_E_CANCELLED && given->error.status == QASR_OK;
    if (cancelled) /* by a callback of this clip, or together with all the others */
        stop(m, error);
    if (m->done(m->user, given, result, cancelled ? &m->failure : error))
        stop_cancelled(m);
}

/* Earlier clips get a higher priority, since results are handed over in that order. */
static void submit_next(many *m)
{
    qasr_error error;
    qasr_transcribe_options opt = *m->opt;
    scheduler_job job = { .opt = &opt, .priority = -(int64_t)m->n_given, .on_done = hand_over, .user = m };
    int answer = m->next(m->user, &job.clip);
    if (answer <= 0) {
        m->no_more = true;
        if (answer < 0)
            stop_cancelled(m);
        return;
    }
    if (m->n_given++ > 0)
        opt.dump_tensors = NULL; /* for the first clip only */
    if (scheduler_submit(m->scheduler, NULL, &job, &error) != QASR_OK) {
        m->refused = job.clip;
        m->has_refused = true;
        stop(m, &error);
    }
}

qasr_status engine_transcribe_many(qasr_session *s, const qasr_transcribe_options *opt, qasr_next_clip_fn next,
                                   qasr_clip_done_fn done, void *user, qasr_error *err)
{
    many m = { .opt = opt, .next = next, .done = done, .user = user };
    job_options checked;
    TRY(job_options_init(&checked, s, opt, err)); /* before asking for clips */
    TRY(scheduler_open(&m.scheduler, s, SCHEDULER_IN_ORDER, err));
    do {
        while (!m.no_more && scheduler_n_jobs(m.scheduler) < LOOK_AHEAD * s->batch && scheduler_fill(m.scheduler))
            submit_next(&m);
    } while (scheduler_step(m.scheduler) || !m.no_more);
    scheduler_close(m.scheduler);
    if (m.has_refused)
        done(user, &m.refused, NULL, &m.failure);
    if (m.failure.status != QASR_OK && err)
        *err = m.failure;
    return m.failure.status;
}

/* ---- one clip -------------------------------------------------------------------------------------- */

typedef struct answer {
    qasr_result *result;
    qasr_error error;
} answer;

static void keep_answer(void *user, const qasr_clip *given, qasr_result *result, const qasr_error *error)
{
    answer *a = user;
    a->result = result;
    if (error)
        a->error = *error;
}

qasr_status engine_transcribe(qasr_result **out, qasr_session *s, const float *pcm, size_t n_samples,
                              const qasr_transcribe_options *opt, qasr_error *err)
{
    scheduler *sched;
    answer a = { 0 };
    const scheduler_job job = {
        .clip = { .pcm = pcm, .n_samples = n_samples }, .opt = opt, .on_done = keep_answer, .user = &a
    };
    TRY(scheduler_open(&sched, s, SCHEDULER_AS_READY, err));
    qasr_status status = scheduler_submit(sched, NULL, &job, err);
    while (scheduler_step(sched))
        ;
    scheduler_close(sched);
    TRY(status);
    if (!a.result && err)
        *err = a.error;
    *out = a.result;
    return a.error.status;
}
