/* See segment.h. The steps mirror Qwen3ASRModel.transcribe (qwen_asr/inference). */
#include "engine/segment.h"

#include <math.h>
#include <string.h>

#include "audio/activity.h"
#include "base/clock.h"
#include "base/mem.h"
#include "engine/answer_check.h"
#include "engine/confidence.h"
#include "text/context_echo.h"
#include "weights/safetensors_write.h"

/* The token limit derived from the duration. The published tokenizer takes 0.6 (Chinese) to 1.2 tokens per syllable in
 * most languages, 2.2 in Greek and 2.6 in Hindi; nobody speaks more than 9 syllables per second for long. */
enum { TOKENS_PER_SECOND = 24, TOKENS_EXTRA = 64, TOKENS_MIN = 256 };

size_t segment_token_limit(size_t n_samples)
{
    size_t n = (size_t)ceil(TOKENS_PER_SECOND * (double)n_samples / AUDIO_RATE) + TOKENS_EXTRA;
    return n < TOKENS_MIN ? TOKENS_MIN : n;
}

static size_t token_limit(const qasr_transcribe_options *opt, size_t n_samples)
{
    return opt->max_new_tokens > 0 ? (size_t)opt->max_new_tokens : segment_token_limit(n_samples);
}

size_t segment_positions(const job_options *o, size_t n_samples)
{
    return config_audio_tokens(&o->session->model->checkpoint->config, mel_frames(audio_padded_samples(n_samples))) +
           token_limit(&o->opt, n_samples);
}

size_t segment_tried_samples(const segment_job *j) { return j->n_samples - j->trim_begin - j->trim_end; }

/* Short segments are zero-padded to half a second. */
qasr_status segment_features(const job_options *o, const segment_job *j, float **out, size_t *n_frames, qasr_error *err)
{
    static const log_mel none = { 0 };
    const log_mel *known = &j->logs;
    const float *pcm = j->pcm + j->trim_begin;
    size_t n = segment_tried_samples(j);
    float *padded = NULL, *features;
    if (n < AUDIO_MIN_SAMPLES) {
        TRY(MEM_CALLOC(&padded, AUDIO_MIN_SAMPLES, err));
        memcpy(padded, pcm, n * sizeof(float));
        pcm = padded;
        n = AUDIO_MIN_SAMPLES;
        known = &none;
    }
    *n_frames = mel_frames(n);
    qasr_status status = MEM_ALLOC(&features, MEL_BINS * *n_frames, err);
    if (status == QASR_OK) {
        status = mel_compute_known(o->session->model->features, features, known, pcm, n,
                                   device_pool(o->session->device), err);
        if (status == QASR_OK)
            *out = features;
        else
            mem_free(features);
    }
    mem_free(padded);
    return status;
}

double segment_seconds(const segment_job *j, size_t sample)
{
    return j->segment.start_s + (double)timeline_original(&j->shortened, sample) / AUDIO_RATE;
}

static double level_of(const float *pcm, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)pcm[i] * (double)pcm[i];
    return n ? sqrt(sum / (double)n) : 0;
}

/* Measures a segment's audio for answer_check and finds the edges of its speech. */
static qasr_status look_at_sound(segment_job *j, const float *features, size_t n_frames, qasr_error *err)
{
    activity a;
    size_t first, end;
    TRY(activity_find(&a, features, n_frames, err));
    j->audio.active_s = (double)(activity_edges(&a, &first, &end) * MEL_HOP) / AUDIO_RATE;
    j->audio.length_s = (double)j->n_samples / AUDIO_RATE;
    j->audio.level = level_of(j->pcm, j->n_samples);
    j->speech_begin = first * MEL_HOP < j->n_samples ? first * MEL_HOP : j->n_samples;
    j->speech_end = end * MEL_HOP < j->n_samples ? end * MEL_HOP : j->n_samples;
    j->segment.speech_start_s = segment_seconds(j, j->speech_begin);
    j->segment.speech_end_s = j->speech_end > j->speech_begin ? segment_seconds(j, j->speech_end - 1) + 1.0 / AUDIO_RATE
                                                              : j->segment.speech_start_s;
    j->segment.omitted_s = (double)timeline_omitted(&j->shortened) / AUDIO_RATE;
    activity_free(&a);
    return QASR_OK;
}

static qasr_status write_dump(const job_options *o, const char *path, const float *features, size_t n_frames,
                              dmat embeds, const float *logits, qasr_error *err)
{
    float *host;
    TRY(MEM_ALLOC(&host, embeds.rows * embeds.cols, err));
    qasr_status status = device_read(o->session->device, host, embeds, err);
    const st_entry entries[] = {
        { "mel", 2, { MEL_BINS, n_frames }, features },
        { "audio_embeds", 2, { embeds.rows, embeds.cols }, host },
        { "first_logits", 1, { o->session->model->checkpoint->config.dec.n_vocab }, logits },
    };
    if (status == QASR_OK)
        status = safetensors_write_f32(path, entries, ARRAY_LEN(entries), err);
    mem_free(host);
    return status;
}

qasr_status segment_prompt(const job_options *o, const segment_job *j, size_t n_audio, prompt *out, qasr_error *err)
{
    return prompt_build(out, o->session->model->tokenizer, j->without_context ? NULL : o->opt.context,
                        o->language ? o->language->name : NULL, n_audio, err);
}

/* Prefills the prompt with the encoder's output; the sequence then has its first token. */
static qasr_status start_sequence(const job_options *o, segment_job *j, dmat embeds, size_t n_samples, float *logits,
                                  qasr_error *err)
{
    const qasr_model *m = o->session->model;
    prompt p = { 0 };
    qasr_status status;
    TRY_GOTO(segment_prompt(o, j, embeds.rows, &p, err));
    generate_args args = { .prompt = p.ids.ids,
                           .n_prompt = p.ids.n,
                           .audio_begin = p.audio_begin,
                           .embeds = embeds,
                           .eos = m->eos,
                           .n_eos = m->n_eos,
                           .max_new_tokens = token_limit(&o->opt, n_samples),
                           .ignore_eos = o->opt.ignore_eos != 0,
                           .is_loop = answer_is_loop,
                           .first_logits = logits,
                           .keep_scores = o->opt.token_scores != 0,
                           .wide = j->wide };
    double t0 = clock_now_s();
    status = generate_start(&j->seq, o->session->decoder, &args, err);
    j->timings->prefill_s += clock_now_s() - t0;
    j->segment.avg_log_probability = NAN;
    j->segment.n_prompt_tokens = p.ids.n;
    j->segment.n_audio_tokens = p.n_audio;
done:
    prompt_free(&p);
    return status;
}

qasr_status segment_start(const job_options *o, segment_job *j, qasr_error *err)
{
    float *features = NULL, *logits = NULL;
    size_t n_frames, n_samples = segment_tried_samples(j);
    qasr_status status;
    double t0 = clock_now_s();
    TRY_GOTO(segment_features(o, j, &features, &n_frames, err));
    log_mel_free(&j->logs);
    if (n_samples == j->n_samples) /* the first try */
        TRY_GOTO(look_at_sound(j, features, n_frames, err));
    double t1 = clock_now_s();
    dmat embeds;
    TRY_GOTO(encoder_run(o->session->encoder, &embeds, features, n_frames,
                         o->opt.encoder_attention == QASR_ENCODER_FULL, err));
    j->timings->mel_s += t1 - t0;
    j->timings->encode_s += clock_now_s() - t1;
    if (j->dump)
        TRY_GOTO(MEM_ALLOC(&logits, o->session->model->checkpoint->config.dec.n_vocab, err));
    TRY_GOTO(start_sequence(o, j, embeds, n_samples, j->first_logits ? j->first_logits : logits, err));
    if (j->dump && !j->seq.kv_overflowed) {
        TRY_GOTO(write_dump(o, j->dump, features, n_frames, embeds, logits, err));
        j->dump = NULL;
    }
done:
    mem_free(features);
    mem_free(logits);
    if (status != QASR_OK)
        generate_end(&j->seq);
    return status;
}

/* The text of the ids, as on_text shows it. */
static qasr_status decode(const job_options *o, buf *raw, const sequence *q, qasr_error *err)
{
    text_stream s = { 0 };
    for (size_t i = 0; i < q->n_ids; i++)
        TRY(text_stream_add(&s, o->session->model->tokenizer, q->ids[i], raw, err));
    return text_stream_end(&s, q->stop != QASR_STOP_EOS, raw, err);
}

bool segment_widen(segment_job *j)
{
    if (!j->seq.kv_overflowed)
        return false;
    generate_end(&j->seq);
    j->seq = (sequence){ 0 };
    j->wide = true;
    j->segment.kv_widened = 1;
    return true;
}

/* Ends a sequence that has failed. */
static qasr_status fail(segment_job *j, qasr_error *err)
{
    sequence *q = &j->seq;
    if (err)
        *err = q->error;
    j->segment.tokens = q->ids;
    j->segment.n_tokens = q->n_ids;
    q->ids = NULL;
    generate_end(q);
    return q->status;
}

/* Decodes the ids into the language and text of the segment. */
static qasr_status read_answer(const job_options *o, qasr_segment *segment, const sequence *q, qasr_error *err)
{
    buf raw, lang, text;
    char *taken;
    qasr_status status;
    buf_init(&raw, TEXT_MAX_BYTES);
    buf_init(&lang, TEXT_MAX_BYTES);
    buf_init(&text, TEXT_MAX_BYTES);
    TRY_GOTO(decode(o, &raw, q, err));
    TRY_GOTO(answer_parse(&lang, &text, buf_str(&raw), o->language ? o->language->name : NULL, err));
    TRY_GOTO(buf_take(&lang, &taken, err));
    segment->language = taken;
    TRY_GOTO(buf_take(&text, &taken, err));
    segment->text = taken;
done:
    buf_free(&raw);
    buf_free(&lang);
    buf_free(&text);
    return status;
}

static qasr_status find_echo(const job_options *o, segment_job *j, qasr_error *err)
{
    bool echoes = false;
    TRY(context_echo_find(&echoes, j->segment.text, o->opt.context, err));
    j->segment.context_echoed = echoes;
    return QASR_OK;
}

qasr_status segment_finish(const job_options *o, segment_job *j, qasr_error *err)
{
    sequence *q = &j->seq;
    qasr_token_score *scores = NULL;
    if (q->status != QASR_OK)
        return fail(j, err);
    qasr_status status = read_answer(o, &j->segment, q, err);
    if (status == QASR_OK && o->opt.context && !j->without_context)
        status = find_echo(o, j, err);
    if (status == QASR_OK) {
        j->segment.stop = q->stop;
        j->segment.n_tokens = q->n_ids;
        j->segment.tokens = q->ids;
        scores = q->scores;
        q->ids = NULL;
        q->scores = NULL;
        j->segment.status = o->opt.ignore_eos ? QASR_SEGMENT_OK : answer_check(&j->segment, &j->audio);
        j->segment.no_speech = !*j->segment.text && !answer_is_suspect(j->segment.status);
    }
    generate_end(q);
    return scores ? confidence_fill(o, &j->segment, scores, err) : status;
}

void segment_free_answer(qasr_segment *p)
{
    mem_free((void *)(uintptr_t)p->text);
    mem_free((void *)(uintptr_t)p->language);
    mem_free((void *)(uintptr_t)p->tokens);
    confidence_free(p);
    p->text = p->language = NULL;
    p->tokens = NULL;
    p->n_tokens = 0;
}
