/* A clip being transcribed: its segments, its result, and how much of its text has been shown. */
#ifndef QASR_ENGINE_CLIP_H
#define QASR_ENGINE_CLIP_H

#include "base/buf.h"
#include "engine/segment.h"
#include "engine/segment_reader.h"

typedef struct clip {
    const job_options *options;
    qasr_clip given;               /* by the caller */
    bool is_open;                  /* its audio is open, or failed to open */
    double offset_s;               /* start of the audio in its file */
    segment_reader segment_reader; /* holds the next segment to start, which is not silent */
    qasr_result *result;           /* its segments are added at the end */
    segment_job *first, *last;     /* segments started so far, and silent ones */
    segment_job *waiting;          /* segments to retry */
    const char *dump;              /* for the next segment to start; NULL: none */
    size_t n_segments, n_finished;
    qasr_status status; /* the first failure */
    qasr_error error;
    double begin_s;
    bool cancelled;     /* by one of the clip's own callbacks: clip_show fails when that returns */
    segment_job *shown; /* the segment whose text is shown; NULL: none yet */
    size_t n_shown;     /* ids of that segment already shown */
    text_stream stream_text;
    bool in_text;                     /* the tag before the text has passed */
    bool shown_whole;                 /* that segment is complete */
    bool segment_has_text;            /* some of it has been shown */
    char tail[ANSWER_TAIL_BYTES + 1]; /* the end of the text that has been shown */
    const segment_job *handed;        /* the last segment that on_segment got; NULL: none yet */
    const segment_job *reported;      /* the last segment that on_progress knows of; NULL: none yet */
} clip;

/* Writes the error of a cancelled clip and returns its status. */
qasr_status clip_cancelled(qasr_error *err);
/* Error: INVALID (not finite). */
qasr_status clip_check_samples(const float *pcm, size_t n_samples, qasr_error *err);
/* Stores the caller's clip; o must live as long as c. */
void clip_init(clip *c, const qasr_clip *given, const job_options *o);
/* Opens the audio and finds the first segment. A failure is stored in the clip's status. */
void clip_open(clip *c);
/* Samples of the next segment to start; 0: none (for now), or the clip is not open. */
size_t clip_next_samples(const clip *c);
/* True if the clip still has to be opened, or has a segment to start. */
bool clip_wants_room(const clip *c);
/* Returns the job of that segment, with its samples, or NULL if there is no memory; then the clip has failed. */
segment_job *clip_begin_segment(clip *c);
/* True if that segment needs wide keys and values (segment_widen). */
bool clip_next_is_wide(const clip *c);
/* Lists a job to be started again before other segments. */
void clip_start_again(clip *c, segment_job *j);
/* Takes the answer of a job: the segment is finished or waits for a retry. An error fails the clip. */
void clip_accept(clip *c, segment_job *j);
/* Fails the clip and ends the sequences of all its segments. The first failure is kept. */
void clip_fail(clip *c, qasr_status status, const qasr_error *error);
bool clip_is_finished(const clip *c);
/* Takes the result of a finished clip that did not fail. Error: NOMEM. */
qasr_status clip_take_result(clip *c, qasr_result **out, qasr_error *err);
void clip_close(clip *c);

/* Shows new text (the buffer is scratch), completed segments, and progress, through the callbacks. They may set
 * c->cancelled, but must not fail the clip, since that would free what is still in use. Errors: CANCELLED by a
 * callback, NOMEM. */
qasr_status clip_show(clip *c, buf *text, qasr_error *err);

#endif
