/* Greedy generation: prompt in, token ids out. */
#ifndef QASR_MODEL_GENERATE_H
#define QASR_MODEL_GENERATE_H

#include "model/decoder.h"

typedef enum generate_verdict { GENERATE_ON, GENERATE_LOOP, GENERATE_CANCEL } generate_verdict;
/* Asked after each token; ids [n] are all tokens so far. */
typedef generate_verdict (*generate_fn)(void *user, const int32_t *ids, size_t n);

typedef struct generate_args {
    const int32_t *prompt; /* [n_prompt], placeholders included */
    size_t n_prompt, audio_begin;
    dmat embeds;           /* [n_audio, d_model] */
    const int32_t *eos;    /* [n_eos] */
    size_t n_eos, max_new_tokens;
    bool ignore_eos;       /* generate max_new_tokens whatever comes */
    generate_fn on_token;
    void *user;
    float *first_logits;   /* [n_vocab] or NULL */
} generate_args;

typedef struct generate_result {
    int32_t *ids;          /* without the end token; free with mem_free, on failure too */
    size_t n_ids, n_steps; /* steps: decoder passes after the prefill */
    qasr_stop_reason stop;
    double prefill_s, decode_s;
} generate_result;

/* Errors: NOMEM, INVALID (too long), DEVICE, CANCELLED. */
qasr_status generate(decoder *d, const generate_args *a, generate_result *r, qasr_error *err);

#endif
