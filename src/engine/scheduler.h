/* Transcribes any number of clips concurrently on one session. A clip with its options is a job. Jobs can be submitted
 * and cancelled at any time; the owner calls scheduler_step until nothing is left to do.
 *
 * Order. Clips are cut into segments, and each segment is decoded in a slot of the decoder. When a slot and memory for
 * keys and values are free, the next segment comes from the job of the highest priority that has one to start. Jobs of
 * equal priority take turns, one segment each: the job whose last segment began (or that was submitted) longest ago is
 * next. A long file therefore does not delay later jobs, and many short files do not starve a long one. Lower
 * priorities wait while higher ones have segments to start. Segments being decoded are never preempted. If the next
 * segment does not fit into memory, those behind it wait too, even if they would fit; a segment alone always fits.
 *
 * Results. The result of a job does not depend on other jobs, the batch, threads, or the order of submission.
 *
 * Memory. A clip is opened when its turn comes and is read segment by segment as slots become free. A job holds the
 * window of its file that the next cut depends on, the samples of segments that may be retried, and its result so far.
 *
 * Threads. One thread drives a scheduler. Callbacks run on it, in scheduler_step and scheduler_close; on_poll
 * also in scheduler_fill. They may
 * submit and cancel jobs, including their own, but not step, fill or close. */
#ifndef QASR_ENGINE_SCHEDULER_H
#define QASR_ENGINE_SCHEDULER_H

#include "engine/engine.h"

typedef struct scheduler scheduler;

/* Order of a job's callbacks: text, segments, progress, result. */
typedef enum scheduler_delivery {
    SCHEDULER_AS_READY, /* each job as soon as it has something to report */
    SCHEDULER_IN_ORDER /* one job after another, in the order of submission; a finished job waits for those before it */
} scheduler_delivery;

/* Called once per job, with its result, which the callee frees, or with result NULL and the job's error, valid during
 * the call. The clip is the one submitted. */
typedef void (*scheduler_done_fn)(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error);

typedef struct scheduler_job {
    qasr_clip clip;                     /* samples, path and options stay the caller's and must live until on_done */
    const qasr_transcribe_options *opt; /* complete; copied, but its strings must live as long as the clip. A callback
                                           that returns non-zero cancels this job */
    int64_t priority;                   /* higher ones go first */
    scheduler_done_fn on_done;
    void *user; /* passed to on_done */
} scheduler_job;

/* The session belongs to the scheduler until scheduler_close. Errors: INVALID (session busy), NOMEM. */
qasr_status scheduler_open(scheduler **out, qasr_session *session, scheduler_delivery delivery, qasr_error *err);
/* Cancels all jobs and calls their on_done in the order of submission. NULL is allowed. */
void scheduler_close(scheduler *s);

/* Submits a job without examining its clip: on_done reports errors of the clip. *id (NULL allowed) is never 0 and never
 * reused. Errors, after which on_done is not called: INVALID (unknown language), CANCELLED (the scheduler is closing),
 * NOMEM. */
qasr_status scheduler_submit(scheduler *s, uint64_t *id, const scheduler_job *job, qasr_error *err);
/* The job completes with CANCELLED in the next step, even if its result was ready, unless it had already failed. Its
 * slots, keys and values are released at once; from one of the job's own callbacks, when that returns. Only on_done
 * follows. Ids of completed jobs are ignored. */
void scheduler_cancel(scheduler *s, uint64_t id);
void scheduler_cancel_all(scheduler *s);

/* Starts segments until slots or memory run out (returns false) or nothing is left to start (true: there is room for
 * another job). Also part of scheduler_step. Of the callbacks, only on_poll comes. */
bool scheduler_fill(scheduler *s);
/* Fills the slots, decodes one token of every segment in a single pass, and calls the callbacks for the outcome. False
 * if no job is left. */
bool scheduler_step(scheduler *s);
/* Number of jobs not completed. */
size_t scheduler_n_jobs(const scheduler *s);

#endif
