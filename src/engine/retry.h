/* What becomes of a suspect answer: the segment is tried again, closer to its speech, then in halves. One that repeats
 * the context is tried again without it. */
#ifndef QASR_ENGINE_RETRY_H
#define QASR_ENGINE_RETRY_H

#include "engine/segment.h"

/* Whether segments of this job may be tried again, so that they need their samples after the start. */
bool retry_is_possible(const job_options *o);

typedef enum retry_plan {
    RETRY_NONE,  /* the answer stays */
    RETRY_SAME,  /* the job is to be started again; it has no answer any more */
    RETRY_HALVES /* the same, and so is a new job for its second half */
} retry_plan;

/* After segment_finish. The status of an answer that stays may change to RETRIED. *half belongs to the caller, who
 * links it behind j. Error: NOMEM. */
qasr_status retry_decide(retry_plan *plan, segment_job **half, const job_options *o, segment_job *j, qasr_error *err);

#endif
