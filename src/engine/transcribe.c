/* One clip, or many in order: loops over a scheduler. */
#include "base/mem.h"
#include "engine/clip.h"
#include "engine/scheduler.h"

enum { LOOK_AHEAD = 2 }; /* clips at a time, times the batch */

/* ---- many clips ------------------------------------------------------------------------------------ */

typedef struct many {
    scheduler *scheduler;
    const qasr_transcribe_options *opt;
    qasr_next_clip_fn next;
    qasr_clip_done_fn done;
    void *user;
    size_t n_given;
    bool no_more;
    qasr_error failure; /* of the call */
    qasr_clip refused;  /* given, but there was no memory for it */
    bool has_refused;
} many;

/* No clip is asked for any more, and those that were given come back. The first failure counts. */
static void stop(many *w, const qasr_error *error)
{
    if (w->failure.status == QASR_OK)
        w->failure = *error;
    w->no_more = true;
    scheduler_cancel_all(w->scheduler);
}

static void stop_cancelled(many *w)
{
    qasr_error error;
    clip_cancelled(&error);
    stop(w, &error);
}

static void hand_over(void *user, const qasr_clip *given, qasr_result *result, const qasr_error *error)
{
    many *w = user;
    bool cancelled = error && error->status == QASR_E_CANCELLED && given->error.status == QASR_OK;
    if (cancelled) /* by a callback of this clip, or together with all others */
        stop(w, error);
    if (w->done(w->user, given, result, cancelled ? &w->failure : error))
        stop_cancelled(w);
}

/* The earlier a clip, the higher its priority, as that is the order in which they are handed over. */
static void submit_next(many *w)
{
    qasr_error error;
    qasr_transcribe_options opt = *w->opt;
    scheduler_job job = { .opt = &opt, .priority = -(int64_t)w->n_given, .on_done = hand_over, .user = w };
    int answer = w->next(w->user, &job.clip);
    if (answer <= 0) {
        w->no_more = true;
        if (answer < 0)
            stop_cancelled(w);
        return;
    }
    if (w->n_given++ > 0)
        opt.dump_tensors = NULL; /* that of the first clip */
    if (scheduler_submit(w->scheduler, NULL, &job, &error) != QASR_OK) {
        w->refused = job.clip;
        w->has_refused = true;
        stop(w, &error);
    }
}

qasr_status engine_transcribe_many(qasr_session *s, const qasr_transcribe_options *opt, qasr_next_clip_fn next,
                                   qasr_clip_done_fn done, void *user, qasr_error *err)
{
    many w = { .opt = opt, .next = next, .done = done, .user = user };
    job_options checked;
    TRY(job_options_init(&checked, s, opt, err)); /* before a clip is asked for */
    TRY(scheduler_open(&w.scheduler, s, SCHEDULER_IN_ORDER, err));
    do {
        while (!w.no_more && scheduler_n_jobs(w.scheduler) < LOOK_AHEAD * s->batch && scheduler_fill(w.scheduler))
            submit_next(&w);
    } while (scheduler_step(w.scheduler) || !w.no_more);
    scheduler_close(w.scheduler);
    if (w.has_refused)
        done(user, &w.refused, NULL, &w.failure);
    if (w.failure.status != QASR_OK && err)
        *err = w.failure;
    return w.failure.status;
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
