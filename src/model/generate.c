/* The decoding loop: arg max until an end token, the limit, or the caller's word. */
#include "model/generate.h"

#include "base/clock.h"
#include "base/mem.h"

static bool is_eos(const generate_args *a, int32_t id)
{
    for (size_t i = 0; i < a->n_eos; i++)
        if (a->eos[i] == id)
            return !a->ignore_eos;
    return false;
}

static qasr_status decode(decoder *d, const generate_args *a, generate_result *r, qasr_error *err)
{
    for (;;) {
        int32_t id;
        TRY(decoder_token(d, &id, err));
        if (is_eos(a, id)) {
            r->stop = QASR_STOP_EOS;
            return QASR_OK;
        }
        if (r->n_ids == a->max_new_tokens) { /* it wanted to go on */
            r->stop = QASR_STOP_LIMIT;
            return QASR_OK;
        }
        r->ids[r->n_ids++] = id;
        generate_verdict verdict = a->on_token ? a->on_token(a->user, r->ids, r->n_ids) : GENERATE_ON;
        if (verdict == GENERATE_CANCEL)
            return error_set(err, QASR_E_CANCELLED, "transcription was cancelled");
        if (verdict == GENERATE_LOOP && !a->ignore_eos) {
            r->stop = QASR_STOP_LOOP;
            return QASR_OK;
        }
        if (a->ignore_eos && r->n_ids == a->max_new_tokens) { /* no need to know what it wanted */
            r->stop = QASR_STOP_LIMIT;
            return QASR_OK;
        }
        TRY(decoder_step(d, err));
        r->n_steps++;
    }
}

qasr_status generate(decoder *d, const generate_args *a, generate_result *r, qasr_error *err)
{
    *r = (generate_result){ 0 };
    TRY(decoder_reserve(d, a->n_prompt + a->max_new_tokens, err));
    TRY(MEM_ALLOC(&r->ids, a->max_new_tokens, err));
    double t0 = clock_now_s();
    TRY(decoder_prefill(d, a->prompt, a->n_prompt, a->audio_begin, a->embeds, err));
    double t1 = clock_now_s();
    r->prefill_s = t1 - t0;
    if (a->first_logits)
        TRY(decoder_logits(d, a->first_logits, err));
    qasr_status status = decode(d, a, r, err);
    r->decode_s = clock_now_s() - t1;
    return status;
}
