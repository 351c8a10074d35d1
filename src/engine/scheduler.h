/* Transcribes any number of clips at once on one session. A clip with its options is a job. Jobs can be submitted and
 * cancelled at any time; whoever has the scheduler calls scheduler_step until there is nothing left to do.
 *
 * Who is next. Clips are cut into segments, and each segment is decoded in a slot of the decoder. Whenever a slot is
 * free, and memory for keys and values, the next segment comes from the job of the highest priority that has one to
 * begin. Jobs of equal priority take turns, a segment each: the one that has waited longest since its last segment
 * began, or since it was submitted, is next. So a long file does not hold up what is submitted after it, and no number
 * of short files holds up a long one. A lower priority waits as long as a higher one has segments to begin. Segments
 * in decoding are never interrupted for others. If the segment that is next does not fit into memory, those behind it
 * wait with it, even if they would fit; a segment that is alone always fits.
 *
 * Results. The result of a job does not depend on other jobs, on the batch, on threads or on the order of submission.
 *
 * Memory. A clip is opened when it is its turn, and read segment by segment as there is room. A job holds the window of
 * its file that the next cut depends on, samples of segments that may be tried again, and its result so far.
 *
 * Threads. One thread drives a scheduler; callbacks run on it, in scheduler_step and scheduler_close only. They may
 * submit and cancel, also the job that they are called for, but not step, fill or close. */
#ifndef QASR_ENGINE_SCHEDULER_H
#define QASR_ENGINE_SCHEDULER_H

#include "engine/engine.h"

typedef struct scheduler scheduler;

/* Order of everything that a job's callbacks get: text, segments, progress, result. */
typedef enum scheduler_delivery {
    SCHEDULER_AS_READY, /* each job on its own, as soon as there is something */
    SCHEDULER_IN_ORDER  /* one job after another in the order of submission; a finished one waits for those before it */
} scheduler_delivery;

/* Comes once for each job: with its result, which is the callee's to free, or with result NULL and the job's error,
 * which lives until the call returns. The clip is the one that was submitted. */
typedef void (*scheduler_done_fn)(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error);

typedef struct scheduler_job {
    qasr_clip clip;                     /* its samples or path and options are the caller's, until on_done was called */
    const qasr_transcribe_options *opt; /* complete; copied, but its strings live like the clip. A callback that returns
                                           non-zero cancels this job */
    int64_t priority;                   /* higher ones go first */
    scheduler_done_fn on_done;
    void *user; /* of on_done */
} scheduler_job;

/* The session belongs to the scheduler until that is closed. Errors: INVALID (the session is busy), NOMEM. */
qasr_status scheduler_open(scheduler **out, qasr_session *session, scheduler_delivery delivery, qasr_error *err);
/* Cancels all jobs, and calls their on_done, in the order of submission. NULL is fine. */
void scheduler_close(scheduler *s);

/* Takes a job, without looking at its clip: what is wrong with that is told by on_done. *id (NULL allowed) is never 0,
 * and never given again. Errors, after which on_done is not called: INVALID (unknown language), CANCELLED (the
 * scheduler is closing), NOMEM. */
qasr_status scheduler_submit(scheduler *s, uint64_t *id, const scheduler_job *job, qasr_error *err);
/* The job completes with CANCELLED in the next step, even if its result was ready, unless it had failed before. Its
 * slots, keys and values are free at once; in one of the job's own callbacks, when that returns, and no other comes but
 * on_done. An id of a job that is done is fine. */
void scheduler_cancel(scheduler *s, uint64_t id);
void scheduler_cancel_all(scheduler *s);

/* Begins segments until no slot or no memory is left, or nothing is to be begun. True in the last case: there is room
 * for another job. scheduler_step does this, too. Calls no callback. */
bool scheduler_fill(scheduler *s);
/* Fills the slots, takes every segment one token further in a single pass of the decoder, and calls the callbacks for
 * what that has brought. False if no job is left. */
bool scheduler_step(scheduler *s);
/* Jobs that are not done. */
size_t scheduler_n_jobs(const scheduler *s);

#endif
