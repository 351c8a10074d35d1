/* One segment of audio, from samples to its answer. segment_start runs features, encoder and prefill; the sequence is
 * then decoded together with others. */
#ifndef QASR_ENGINE_SEGMENT_H
#define QASR_ENGINE_SEGMENT_H

#include "audio/timeline.h"
#include "engine/answer_check.h"
#include "engine/job_options.h"

typedef struct segment_job {
    struct segment_job *next;         /* in the clip */
    struct segment_job *next_waiting; /* in the list of retries */
    const float *pcm;                 /* [n_samples], valid until the segment is finished */
    size_t n_samples;
    timeline shortened;              /* what pcm leaves out of the clip's samples, which begin at segment.start_s */
    size_t speech_begin, speech_end; /* samples of pcm, [begin, end): equal if there is no speech */
    float *own_pcm;                  /* pcm if the job owns it, else NULL */
    log_mel logs;                    /* log-mel of audio that starts with pcm [n_samples]; the first try reuses it */
    size_t trim_begin, trim_end;     /* samples that this try skips at the edges */
    unsigned n_tries;                /* failed tries so far */
    bool without_context;            /* an answer repeated the context: run without it */
    bool wide;                       /* keys or values exceeded the type of the cache: it is float32 */
    unsigned depth;                  /* times it was halved */
    qasr_segment segment;            /* the job owns its strings and ids until they are taken */
    qasr_timings *timings;           /* the clip's; mel, encode and prefill times are added */
    sequence seq;                    /* zeroed before the start */
    answer_audio audio;
    float *first_logits; /* [n_vocab], receives the logits after the prompt; NULL: not wanted. Excludes dump */
    const char *dump;    /* file for the tensors of the first try; NULL: none */
} segment_job;

/* Time of a sample of the job's pcm, in seconds of the clip. */
double segment_seconds(const segment_job *j, size_t sample);
/* Estimated cache positions for n samples: audio and answer, without the text of the prompt. */
size_t segment_positions(const job_options *o, size_t n_samples);
/* The token limit of n samples, if the options set none. */
size_t segment_token_limit(size_t n_samples);
/* Samples that this try takes. */
size_t segment_tried_samples(const segment_job *j);
/* Log-mel features of those samples: *out [MEL_BINS, *n_frames], to be freed with mem_free. Error: NOMEM. */
qasr_status segment_features(const job_options *o, const segment_job *j, float **out, size_t *n_frames,
                             qasr_error *err);
/* The prompt for n_audio vectors, to be freed with prompt_free. Errors as prompt_build. */
qasr_status segment_prompt(const job_options *o, const segment_job *j, size_t n_audio, prompt *out, qasr_error *err);
/* Starts the job on its samples. After an error there is nothing to end. Errors: NOMEM, INVALID, DEVICE, IO (dump). */
qasr_status segment_start(const job_options *o, segment_job *j, qasr_error *err);
/* Call when the sequence is done. True if it ended because keys or values exceeded the type of the cache: then the slot
 * is free again, and the job must be started again, now with float32. */
bool segment_widen(segment_job *j);
/* Call when the sequence is done, unless it is to be widened: fills in the segment and releases the slot, after an
 * error too. */
qasr_status segment_finish(const job_options *o, segment_job *j, qasr_error *err);
/* Frees the strings and arrays of a segment and clears them. */
void segment_free_answer(qasr_segment *p);

#endif
