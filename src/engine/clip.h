/* One clip in work: its pieces, its result, and how much of its text has been shown. */
#ifndef QASR_ENGINE_CLIP_H
#define QASR_ENGINE_CLIP_H

#include "base/buf.h"
#include "engine/piece.h"

typedef struct clip {
    struct clip *next;
    qasr_clip given;       /* by the caller */
    qasr_result *result;
    size_t *cuts;          /* [n_pieces - 1] */
    piece_job *jobs;       /* [n_pieces] */
    size_t n_pieces, n_started, n_finished;
    qasr_status status;    /* the first failure */
    qasr_error error;
    double begin_s;
    size_t shown_pieces, shown_ids; /* of the pieces, whole ones; of the next one, ids */
    text_stream stream;
    bool in_text;          /* the tag before the text of that piece has passed */
} clip;

/* Cuts what the caller has given into pieces. A clip that cannot be transcribed gets its status here. */
void clip_open(clip *c, const qasr_transcribe_options *opt);
/* Samples of a piece: *n from the pointer on. */
const float *clip_piece(const clip *c, size_t index, size_t *n);
/* Keeps the first failure; the sequences of all pieces end. */
void clip_fail(clip *c, qasr_status status, const qasr_error *error);
bool clip_is_finished(const clip *c);
/* Takes the result of a finished clip that did not fail. Error: NOMEM. */
qasr_status clip_take_result(clip *c, qasr_result **out, qasr_error *err);
void clip_free(clip *c);

/* Shows the text that is new since the last call, with text as scratch. Errors: CANCELLED by the callback, NOMEM. */
qasr_status clip_show_text(clip *c, const call *k, buf *text, qasr_error *err);

#endif
