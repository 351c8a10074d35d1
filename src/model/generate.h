/* Greedy generation for several concurrent sequences: a prompt in, token ids out. A sequence can start while others are
 * decoding; a step adds one token to each; a finished one frees its slot. */
#ifndef QASR_MODEL_GENERATE_H
#define QASR_MODEL_GENERATE_H

#include "model/decoder.h"

/* True if the tokens so far, ids [n], are in a loop, which ends the sequence. */
typedef bool (*generate_loop_fn)(const int32_t *ids, size_t n);

typedef struct generate_args {
    const int32_t *prompt; /* [n_prompt], with audio placeholders; needed for the start only, like embeds */
    size_t n_prompt, audio_begin;
    dmat embeds;        /* [n_audio, d_model] */
    const int32_t *eos; /* [n_eos] */
    size_t n_eos, max_new_tokens;
    bool ignore_eos; /* always generate max_new_tokens */
    generate_loop_fn is_loop;
    float *first_logits; /* [n_vocab] or NULL */
    bool keep_scores;
    bool wide; /* keys and values are F32 */
} generate_args;

typedef struct sequence {
    int32_t *ids; /* without the end token; the caller may take them (and set NULL) when done */
    size_t n_ids;
    qasr_token_score *scores; /* [n_ids], NULL unless kept; may be taken likewise */
    bool done;
    bool kv_overflowed;    /* done without an answer: to be started again with args.wide */
    bool not_finite;       /* why status is an error: the network gave values that are not finite */
    qasr_stop_reason stop; /* valid when done and status is OK, unless kv_overflowed */
    qasr_status status;    /* valid when done */
    qasr_error error;
    generate_args args; /* this and what follows is set by generate.c; read-only for others */
    decoder *d;         /* NULL: not started or ended */
    size_t slot;
} sequence;

/* Takes a slot of d, which must have a free one, runs prefill and handles the first token; q may already be done. After
 * an error there is nothing to end. Errors: NOMEM, INVALID (too long), DEVICE. */
qasr_status generate_start(sequence *q, decoder *d, const generate_args *a, qasr_error *err);
/* Decodes one token for each of q [n], all of one decoder, none of them done. A sequence that fails alone has the error
 * in its status; a returned error concerns all. */
qasr_status generate_step(sequence *const *q, size_t n, qasr_error *err);
/* Releases the slot and frees ids and scores, done or not. A zeroed sequence and repeated calls are allowed. */
void generate_end(sequence *q);

#endif
