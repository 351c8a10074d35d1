/* Greedy generation: a prompt in, token ids out, for several sequences side by side. One is started while others are
 * at work; a step takes all of them one token further; one that is done makes room for the next. */
#ifndef QASR_MODEL_GENERATE_H
#define QASR_MODEL_GENERATE_H

#include "model/decoder.h"

/* True if the tokens so far, ids [n], run in a loop: then the sequence ends. */
typedef bool (*generate_loop_fn)(const int32_t *ids, size_t n);

typedef struct generate_args {
    const int32_t *prompt; /* [n_prompt], placeholders included; needed for the start only, like embeds */
    size_t n_prompt, audio_begin;
    dmat embeds;        /* [n_audio, d_model] */
    const int32_t *eos; /* [n_eos] */
    size_t n_eos, max_new_tokens;
    bool ignore_eos; /* generate max_new_tokens whatever comes */
    generate_loop_fn is_loop;
    float *first_logits; /* [n_vocab] or NULL */
    bool keep_scores;
} generate_args;

typedef struct sequence {
    int32_t *ids; /* without the end token; the caller may take them (and set NULL) when done */
    size_t n_ids;
    qasr_token_score *scores; /* [n_ids], NULL unless kept; the caller may take them likewise */
    bool done;
    qasr_stop_reason stop; /* when done and status is OK */
    qasr_status status;    /* of a sequence that is done */
    qasr_error error;
    generate_args args; /* what follows is generate.c's own */
    decoder *d;         /* NULL: not started or ended */
    size_t slot;
} sequence;

/* Takes a slot of d, which must have one free, runs the prompt and looks at the first token: q may be done at once.
 * Errors, which leave nothing to end: NOMEM, INVALID (too long), DEVICE. */
qasr_status generate_start(sequence *q, decoder *d, const generate_args *a, qasr_error *err);
/* One token more for each of q [n], none of them done, all of one decoder. A failure of one sequence is its own
 * status; an error here is one of all. */
qasr_status generate_step(sequence *const *q, size_t n, qasr_error *err);
/* Gives the slot back and frees ids and scores; done or not. A zeroed sequence is fine, and so is a second time. */
void generate_end(sequence *q);

#endif
