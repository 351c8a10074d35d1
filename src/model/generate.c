/* The decoding loop of each sequence, one call per step: argmax until an end token, the limit, or a loop. */
#include "model/generate.h"

#include "base/mem.h"

static bool is_eos(const generate_args *a, int32_t id)
{
    for (size_t i = 0; i < a->n_eos; i++)
        if (a->eos[i] == id)
            return !a->ignore_eos;
    return false;
}

static void finish(sequence *q, qasr_stop_reason stop)
{
    q->stop = stop;
    q->done = true;
}

/* Handles the chosen token. */
static void accept(sequence *q)
{
    const generate_args *a = &q->args;
    int32_t id;
    q->kv_overflowed = decoder_kv_overflowed(q->d, q->slot);
    if (q->kv_overflowed) {
        q->done = true;
        return;
    }
    q->status = decoder_token(q->d, q->slot, &id, &q->error);
    if (q->status != QASR_OK) {
        q->not_finite = q->done = true;
        return;
    }
    if (is_eos(a, id)) {
        finish(q, QASR_STOP_EOS);
        return;
    }
    if (q->n_ids == a->max_new_tokens) { /* the model wanted to continue */
        finish(q, QASR_STOP_LIMIT);
        return;
    }
    if (q->scores)
        q->scores[q->n_ids] = decoder_score(q->d, q->slot);
    q->ids[q->n_ids++] = id;
    if (!a->ignore_eos && a->is_loop(q->ids, q->n_ids))
        finish(q, QASR_STOP_LOOP);
    else if (a->ignore_eos && q->n_ids == a->max_new_tokens) /* the next token is not needed */
        finish(q, QASR_STOP_LIMIT);
}

static qasr_status prefill(sequence *q, qasr_error *err)
{
    const generate_args *a = &q->args;
    TRY(MEM_ALLOC(&q->ids, a->max_new_tokens, err));
    if (a->keep_scores) {
        TRY(MEM_ALLOC(&q->scores, a->max_new_tokens, err));
        decoder_keep_scores(q->d, q->slot);
    }
    TRY(decoder_prefill(q->d, q->slot, a->prompt, a->n_prompt, a->audio_begin, a->embeds, err));
    if (a->first_logits && !decoder_kv_overflowed(q->d, q->slot))
        TRY(decoder_logits(q->d, a->first_logits, err));
    accept(q);
    if (q->status != QASR_OK && err)
        *err = q->error;
    return q->status;
}

qasr_status generate_start(sequence *q, decoder *d, const generate_args *a, qasr_error *err)
{
    *q = (sequence){ .args = *a };
    TRY(decoder_open_slot(d, &q->slot, a->n_prompt + a->max_new_tokens, a->wide, err));
    q->d = d;
    qasr_status status = prefill(q, err);
    if (status != QASR_OK)
        generate_end(q);
    return status;
}

qasr_status generate_step(sequence *const *q, size_t n, qasr_error *err)
{
    size_t slots[DECODER_MAX_SLOTS];
    assert(n >= 1 && n <= DECODER_MAX_SLOTS);
    for (size_t i = 0; i < n; i++) {
        assert(!q[i]->done && q[i]->d == q[0]->d);
        slots[i] = q[i]->slot;
    }
    TRY(decoder_step(q[0]->d, slots, n, err));
    for (size_t i = 0; i < n; i++)
        accept(q[i]);
    return QASR_OK;
}

void generate_end(sequence *q)
{
    if (q->d)
        decoder_close_slot(q->d, q->slot);
    q->d = NULL;
    mem_free(q->ids);
    mem_free(q->scores);
    q->ids = NULL;
    q->scores = NULL;
}
