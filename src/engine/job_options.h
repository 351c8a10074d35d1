/* The options of a job, checked, and values derived from them. */
#ifndef QASR_ENGINE_JOB_OPTIONS_H
#define QASR_ENGINE_JOB_OPTIONS_H

#include "engine/engine.h"

typedef struct job_options {
    qasr_session *session;
    qasr_transcribe_options opt; /* complete; the strings are the caller's and live as long as the job */
    const language *language;    /* NULL: detect */
    int32_t asr_text_id;         /* the tag before the text */
} job_options;

/* Error: INVALID (unknown language). */
qasr_status job_options_init(job_options *o, qasr_session *session, const qasr_transcribe_options *opt,
                             qasr_error *err);

#endif
