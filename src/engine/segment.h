/* One segment of audio from samples to its answer: features, encoder and prompt in one go, then a sequence that is
 * decoded together with others. */
#ifndef QASR_ENGINE_SEGMENT_H
#define QASR_ENGINE_SEGMENT_H

#include "engine/answer_check.h"
#include "engine/job_options.h"

typedef struct segment_job {
    struct segment_job *next;         /* of the clip */
    struct segment_job *next_waiting; /* to be tried again */
    const float *pcm;                 /* [n_samples], until the segment is finished */
    size_t n_samples;
    float *own_pcm;              /* pcm, if it is the job's; NULL otherwise */
    log_mel logs;                /* of audio that begins with pcm [n_samples]; the first try takes its features there */
    size_t trim_begin, trim_end; /* samples that this try leaves out */
    unsigned n_tries;            /* that were in vain */
    bool without_context;        /* which an answer has only repeated */
    unsigned depth;              /* how often it was cut in halves */
    qasr_segment segment;        /* its strings and ids are the job's until they are taken */
    qasr_timings *timings;       /* of the clip; mel, encode and prefill are added here */
    sequence seq;                /* zeroed before the start */
    answer_audio audio;
    float *first_logits; /* [n_vocab], where to put those after the prompt; NULL: nowhere. Not with a dump */
    const char *dump;    /* the first try writes its tensors to this file; NULL: to none */
} segment_job;

/* Positions of the cache that n samples take: an estimate that leaves out the context. */
size_t segment_positions(const job_options *o, size_t n_samples);
/* Begins with the samples that the job has. Errors leave nothing to end: NOMEM, INVALID, DEVICE, IO (dump). */
qasr_status segment_start(const job_options *o, segment_job *j, qasr_error *err);
/* Once the sequence is done: fills in the segment and gives the slot back, after an error too. */
qasr_status segment_finish(const job_options *o, segment_job *j, qasr_error *err);
/* Strings and arrays of the segment, which has none then. */
void segment_free_answer(qasr_segment *p);

#endif
