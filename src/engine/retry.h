/* Retries of suspect answers: the segment is first trimmed to its speech, then halved. If the answer repeats the
 * context, it is retried without context. */
#ifndef QASR_ENGINE_RETRY_H
#define QASR_ENGINE_RETRY_H

#include "engine/segment.h"

/* True if segments of this job may be retried, and so need their samples after the start. */
bool retry_is_possible(const job_options *o);

typedef enum retry_plan {
    RETRY_NONE,  /* the answer stays */
    RETRY_SAME,  /* start the job again; its answer is gone */
    RETRY_HALVES /* start it again as the first half; *half is a new job for the second */
} retry_plan;

/* Call after segment_finish. The status of a final answer may change to RETRIED. The caller owns *half and links it
 * behind j. Error: NOMEM. */
qasr_status retry_decide(retry_plan *plan, segment_job **half, const job_options *o, segment_job *j, qasr_error *err);

#endif
