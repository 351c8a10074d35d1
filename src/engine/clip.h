/* One clip in work: its pieces, its result, and how much of its text has been shown. */
#ifndef QASR_ENGINE_CLIP_H
#define QASR_ENGINE_CLIP_H

#include "base/buf.h"
#include "engine/piece.h"

typedef struct clip {
    struct clip *next;
    qasr_clip given;       /* by the caller */
    audio_stream *stream;  /* of a file; NULL: the samples are the caller's, or none are left */
    float *window;         /* samples of the stream; NULL: none */
    size_t n_window, max_window;
    const float *ready;    /* the piece to begin next */
    size_t n_ready;        /* its samples; 0: there is none */
    size_t max_piece;      /* samples */
    size_t n_begun;        /* samples before ready */
    qasr_result *result;   /* without its pieces yet */
    piece_job *first, *last; /* pieces that were begun */
    size_t n_pieces, n_finished;
    qasr_status status;    /* the first failure */
    qasr_error error;
    double begin_s;
    piece_job *shown;      /* the piece whose text is shown; NULL: none yet */
    size_t n_shown;        /* of its ids */
    text_stream stream_text;
    bool in_text;          /* the tag before the text has passed */
    bool shown_whole;      /* that piece is over */
} clip;

/* Error: INVALID (not finite). */
qasr_status clip_check_samples(const float *pcm, size_t n_samples, qasr_error *err);
/* Samples of the longest piece. */
size_t clip_max_piece(const qasr_transcribe_options *opt);
/* Looks at what the caller has given. A clip that cannot be transcribed gets its status here. */
void clip_open(clip *c, const qasr_transcribe_options *opt);
/* A job for the piece that is ready; NULL without memory, which is the clip's failure. */
piece_job *clip_begin_piece(clip *c);
/* Makes the next piece ready, once the samples of that one are no longer needed; a failure is the clip's. */
void clip_advance(clip *c);
/* Keeps the first failure; the sequences of all pieces end. */
void clip_fail(clip *c, qasr_status status, const qasr_error *error);
bool clip_is_finished(const clip *c);
/* Takes the result of a finished clip that did not fail. Error: NOMEM. */
qasr_status clip_take_result(clip *c, qasr_result **out, qasr_error *err);
void clip_free(clip *c);

/* Shows the text that is new since the last call, with text as scratch. Errors: CANCELLED by the callback, NOMEM. */
qasr_status clip_show_text(clip *c, const call *k, buf *text, qasr_error *err);

#endif
