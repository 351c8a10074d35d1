/* A call of the public API that transcribes. */
#ifndef QASR_ENGINE_CALL_H
#define QASR_ENGINE_CALL_H

#include "engine/engine.h"

/* What stays the same for all segments of a call. */
typedef struct call {
    qasr_session *s;
    const qasr_transcribe_options *opt;
    const language *language; /* NULL: detect */
    int32_t asr_text_id;      /* the tag before the text */
    const char *dump;         /* still to be written, NULL when done */
} call;

/* Errors: INVALID (unknown language; the session is busy). */
qasr_status call_init(call *c, qasr_session *s, const qasr_transcribe_options *opt, qasr_error *err);

#endif
