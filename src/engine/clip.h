/* One clip in work: its segments, its result, and how much of its text has been shown. */
#ifndef QASR_ENGINE_CLIP_H
#define QASR_ENGINE_CLIP_H

#include "base/buf.h"
#include "engine/segment.h"
#include "engine/segment_reader.h"

typedef struct clip {
    const job_options *options;
    qasr_clip given;               /* by the caller */
    bool is_open;                  /* its sound is, or cannot be opened */
    double offset_s;               /* of the sound in its file */
    segment_reader segment_reader; /* with the segment to be begun next, which is not silent */
    qasr_result *result;           /* without its segments yet */
    segment_job *first, *last;     /* segments that were begun, and silent ones */
    segment_job *waiting;          /* segments to be tried again */
    const char *dump;              /* for the segment that is begun next; NULL: none */
    size_t n_segments, n_finished;
    qasr_status status; /* the first failure */
    qasr_error error;
    double begin_s;
    bool cancelled;     /* by a callback that is called for the clip: clip_show fails when that returns */
    segment_job *shown; /* the segment whose text is shown; NULL: none yet */
    size_t n_shown;     /* of its ids */
    text_stream stream_text;
    bool in_text;                /* the tag before the text has passed */
    bool shown_whole;            /* that segment is over */
    bool segment_has_text;       /* some of it has been shown */
    char tail[5];                /* the last character that has been shown */
    const segment_job *handed;   /* the last segment that on_segment got; NULL: none yet */
    const segment_job *reported; /* the last segment that on_progress knows of; NULL: none yet */
} clip;

/* The error of a clip that was cancelled, with its status. */
qasr_status clip_cancelled(qasr_error *err);
/* Error: INVALID (not finite). */
qasr_status clip_check_samples(const float *pcm, size_t n_samples, qasr_error *err);
/* Takes note of what the caller has given; o is to live as long as the clip. */
void clip_init(clip *c, const qasr_clip *given, const job_options *o);
/* Opens the sound and finds its first segment. A clip that cannot be transcribed gets its status here. */
void clip_open(clip *c);
/* Samples of the segment that is to be begun next; 0: there is none (for now), or the clip is not open. */
size_t clip_next_samples(const clip *c);
/* Whether the clip is to be opened, or has a segment to be begun. */
bool clip_wants_room(const clip *c);
/* The job of that segment, with its samples. NULL without memory, which is the clip's failure. */
segment_job *clip_begin_segment(clip *c);
/* Takes the answer of a job: the segment is finished, or waits to be tried again. A failure is the clip's. */
void clip_accept(clip *c, segment_job *j);
/* They are not needed any more. */
void clip_drop_samples(segment_job *j);
/* Keeps the first failure; the sequences of all segments end. */
void clip_fail(clip *c, qasr_status status, const qasr_error *error);
bool clip_is_finished(const clip *c);
/* Takes the result of a finished clip that did not fail. Error: NOMEM. */
qasr_status clip_take_result(clip *c, qasr_result **out, qasr_error *err);
void clip_close(clip *c);

/* Shows the text that is new since the last call, with text as scratch, the segments that are complete, and how far the
 * clip is. The callbacks may set c->cancelled, but not fail the clip, as what that frees is still in use. Errors:
 * CANCELLED by a callback, NOMEM. */
qasr_status clip_show(clip *c, buf *text, qasr_error *err);

#endif
