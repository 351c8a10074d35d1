/* See teacher_forcing.h. The segment starts like any other, which leaves a sequence with its first token chosen. Then
 * the caller's tokens are fed one at a time through the normal decoding pass, so the logits have the same bits. If keys
 * or values exceed the type of the cache, the tokens so far are fed again into a float32 cache. */
#include "engine/teacher_forcing.h"

#include <string.h>

#include "base/mem.h"
#include "engine/clip.h"
#include "engine/fault.h"
#include "engine/segment.h"

struct qasr_teacher_forcing {
    qasr_session *s;
    job_options options;
    segment_job job;
    qasr_timings timings;
    float *own_pcm; /* samples and context, for a second start */
    char *own_context;
    float *logits;   /* [n_vocab] */
    int32_t *tokens; /* [n_tokens] fed so far; room for the limit of the answer */
    size_t n_tokens;
};

/* Starts the segment, in a float32 cache if it needs one. */
static qasr_status start_segment(qasr_teacher_forcing *f, qasr_error *err)
{
    qasr_status status;
    do
        status = segment_start(&f->options, &f->job, err);
    while (status == QASR_OK && segment_widen(&f->job));
    if (status != QASR_OK)
        fault_explain(&f->options, &f->job, NULL, 0, err);
    return status;
}

static qasr_status feed(qasr_teacher_forcing *f, int32_t token, qasr_error *err)
{
    sequence *q = &f->job.seq;
    TRY(decoder_feed(q->d, q->slot, token, f->logits, err));
    q->kv_overflowed = decoder_kv_overflowed(q->d, q->slot);
    return QASR_OK;
}

/* Feeds the tokens so far to a new sequence if the last one was too much for the cache. */
static qasr_status widen(qasr_teacher_forcing *f, qasr_error *err)
{
    if (!segment_widen(&f->job))
        return QASR_OK;
    TRY(start_segment(f, err));
    for (size_t i = 0; i < f->n_tokens; i++)
        TRY(feed(f, f->tokens[i], err));
    return QASR_OK;
}

static qasr_status start(qasr_teacher_forcing *f, const float *pcm, size_t n_samples,
                         const qasr_transcribe_options *opt, qasr_error *err)
{
    TRY(job_options_init(&f->options, f->s, opt, err));
    TRY(clip_check_samples(pcm, n_samples, err));
    const double max_s = opt->max_segment_s > 0 ? opt->max_segment_s : QASR_LONGEST_SEGMENT_S;
    if ((double)n_samples / AUDIO_RATE > max_s)
        return error_set(err, QASR_E_INVALID,
                         "%.1f s of audio exceed the longest segment, %.1f s: teacher forcing works on a single "
                         "segment",
                         (double)n_samples / AUDIO_RATE, max_s);
    TRY(MEM_ALLOC(&f->logits, teacher_forcing_vocabulary(f), err));
    TRY(MEM_ALLOC(&f->own_pcm, n_samples, err));
    memcpy(f->own_pcm, pcm, n_samples * sizeof *pcm);
    if (opt->context)
        TRY(mem_strdup(&f->own_context, opt->context, err));
    f->options.opt.context = f->own_context;
    f->job.timings = &f->timings;
    f->job.first_logits = f->logits;
    f->job.pcm = f->own_pcm;
    f->job.n_samples = n_samples;
    TRY(engine_session_claim(f->s, "a qasr_teacher_forcing: close that first", err));
    qasr_status status = start_segment(f, err);
    if (status == QASR_OK)
        status = MEM_ALLOC(&f->tokens, f->job.seq.args.max_new_tokens, err);
    if (status != QASR_OK) {
        generate_end(&f->job.seq);
        engine_session_release(f->s);
    }
    return status;
}

static void free_memory(qasr_teacher_forcing *f)
{
    mem_free(f->own_pcm);
    mem_free(f->own_context);
    mem_free(f->logits);
    mem_free(f->tokens);
    mem_free(f);
}

qasr_status teacher_forcing_open(qasr_teacher_forcing **out, qasr_session *s, const float *pcm, size_t n_samples,
                                 const qasr_transcribe_options *opt, qasr_error *err)
{
    qasr_teacher_forcing *f;
    TRY(MEM_CALLOC(&f, 1, err));
    f->s = s;
    qasr_status status = start(f, pcm, n_samples, opt, err);
    if (status != QASR_OK) {
        free_memory(f);
        return status;
    }
    *out = f;
    return QASR_OK;
}

const float *teacher_forcing_logits(const qasr_teacher_forcing *f) { return f->logits; }
size_t teacher_forcing_vocabulary(const qasr_teacher_forcing *f) { return f->s->model->checkpoint->config.dec.n_vocab; }

qasr_status teacher_forcing_token(qasr_teacher_forcing *f, int32_t token, qasr_error *err)
{
    const sequence *q = &f->job.seq;
    int32_t next;
    if (!q->d)
        return error_set(err, QASR_E_INVALID, "an earlier token failed: close this qasr_teacher_forcing");
    if (token < 0 || (size_t)token >= teacher_forcing_vocabulary(f))
        return error_set(err, QASR_E_INVALID, "token %d is not in the vocabulary, expected 0 to %zu", (int)token,
                         teacher_forcing_vocabulary(f) - 1);
    if (f->n_tokens == q->args.max_new_tokens)
        return error_set(err, QASR_E_INVALID, "the answer already has %zu tokens, its limit: raise max_new_tokens",
                         f->n_tokens);
    f->tokens[f->n_tokens++] = token;
    TRY(feed(f, token, err));
    TRY(widen(f, err));
    qasr_status status = decoder_token(q->d, q->slot, &next, err); /* fails if the logits are not finite */
    if (status != QASR_OK) {
        f->job.seq.not_finite = true;
        generate_end(&f->job.seq);
        fault_explain(&f->options, &f->job, f->tokens, f->n_tokens, err);
    }
    return status;
}

void teacher_forcing_close(qasr_teacher_forcing *f)
{
    if (!f)
        return;
    engine_session_release(f->s);
    generate_end(&f->job.seq);
    free_memory(f);
}
