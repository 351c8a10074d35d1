/* See teacher_forcing.h. The segment starts like any other, which leaves a sequence with its first token chosen. Then
 * the caller's tokens are fed one at a time through the normal decoding pass, so the logits have the same bits. */
#include "engine/teacher_forcing.h"

#include "base/mem.h"
#include "engine/clip.h"
#include "engine/segment.h"

struct qasr_teacher_forcing {
    qasr_session *s;
    segment_job job;
    qasr_timings timings;
    float *logits;   /* [n_vocab] */
    size_t n_tokens; /* fed so far */
};

static qasr_status start(qasr_teacher_forcing *f, const float *pcm, size_t n_samples,
                         const qasr_transcribe_options *opt, qasr_error *err)
{
    job_options o;
    TRY(job_options_init(&o, f->s, opt, err));
    TRY(clip_check_samples(pcm, n_samples, err));
    const double max_s = opt->max_segment_s > 0 ? opt->max_segment_s : QASR_LONGEST_SEGMENT_S;
    if ((double)n_samples / AUDIO_RATE > max_s)
        return error_set(err, QASR_E_INVALID,
                         "%.1f s of audio exceed the longest segment, %.1f s: teacher forcing works on a single "
                         "segment",
                         (double)n_samples / AUDIO_RATE, max_s);
    TRY(MEM_ALLOC(&f->logits, teacher_forcing_vocabulary(f), err));
    f->job.timings = &f->timings;
    f->job.first_logits = f->logits;
    f->job.pcm = pcm;
    f->job.n_samples = n_samples;
    TRY(engine_session_claim(f->s, "a qasr_teacher_forcing: close that first", err));
    qasr_status status = segment_start(&o, &f->job, err);
    if (status != QASR_OK)
        engine_session_release(f->s);
    return status;
}

qasr_status teacher_forcing_open(qasr_teacher_forcing **out, qasr_session *s, const float *pcm, size_t n_samples,
                                 const qasr_transcribe_options *opt, qasr_error *err)
{
    qasr_teacher_forcing *f;
    TRY(MEM_CALLOC(&f, 1, err));
    f->s = s;
    qasr_status status = start(f, pcm, n_samples, opt, err);
    if (status != QASR_OK) {
        mem_free(f->logits);
        mem_free(f);
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
    if (token < 0 || (size_t)token >= teacher_forcing_vocabulary(f))
        return error_set(err, QASR_E_INVALID, "token %d is not in the vocabulary, expected 0 to %zu", (int)token,
                         teacher_forcing_vocabulary(f) - 1);
    if (f->n_tokens == q->args.max_new_tokens)
        return error_set(err, QASR_E_INVALID, "the answer already has %zu tokens, its limit: raise max_new_tokens",
                         f->n_tokens);
    TRY(decoder_feed(q->d, q->slot, token, f->logits, err));
    f->n_tokens++;
    return decoder_token(q->d, q->slot, &next, err); /* fails if the logits are not finite */
}

void teacher_forcing_close(qasr_teacher_forcing *f)
{
    if (!f)
        return;
    engine_session_release(f->s);
    generate_end(&f->job.seq);
    mem_free(f->logits);
    mem_free(f);
}
