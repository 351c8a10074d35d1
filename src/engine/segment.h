/* One piece of audio from samples to its answer: features, encoder and prompt in one go, then a sequence that is decoded
 * together with others. */
#ifndef QASR_ENGINE_SEGMENT_H
#define QASR_ENGINE_SEGMENT_H

#include "engine/call.h"
#include "engine/answer_check.h"

typedef struct piece_job {
    struct piece_job *next; /* of the clip */
    struct piece_job *next_waiting; /* to be tried again */
    const float *pcm;       /* [n_samples], until the piece is finished */
    size_t n_samples;
    float *own_pcm;         /* pcm, if it is the job's; NULL otherwise */
    size_t trim_begin, trim_end; /* samples that this try leaves out */
    unsigned n_tries;       /* that were in vain */
    bool without_context;   /* which an answer has only repeated */
    unsigned depth;         /* how often it was cut in halves */
    qasr_piece piece;       /* its strings and ids are the job's until they are taken */
    qasr_timings *timings;  /* of the clip; mel, encode and prefill are added here */
    sequence seq;           /* zeroed before the start */
    guard_sound sound;
    float *first_logits;    /* [n_vocab], where to put those after the prompt; NULL: nowhere. Not with a dump */
} piece_job;

/* Positions of the cache that n samples take: an estimate that leaves out the context. */
size_t piece_positions(const call *c, size_t n_samples);
/* Begins with the samples that the job has. Errors leave nothing to end: NOMEM, INVALID, DEVICE, IO (dump). */
qasr_status piece_start(call *c, piece_job *j, qasr_error *err);
/* Once the sequence is done: fills in the piece and gives the slot back, after an error too. */
qasr_status piece_finish(call *c, piece_job *j, qasr_error *err);
/* Strings and arrays of the piece, which has none then. */
void piece_free_answer(qasr_piece *p);

#endif
