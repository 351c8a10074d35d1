/* Samples -> text: cut into pieces, then for each piece features, encoder, prompt, generation, and the
 * reading of the answer; pieces are joined. Mirrors Qwen3ASRModel.transcribe (qwen_asr/inference). */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"

enum {
    DEFAULT_PIECE_S = 1200,      /* the reference's longest piece */
    TEXT_MAX_BYTES = 64 << 20,
    TOKENS_PER_SECOND = 16, TOKENS_EXTRA = 64, TOKENS_MIN = 256 /* limit of the answer from the duration */
};

/* One call: what stays the same for all pieces, and the piece in work. */
typedef struct call {
    qasr_session *s;
    const qasr_transcribe_options *opt;
    const language *forced;
    qasr_timings *timings;
    const char *dump;       /* still to be written, NULL when done */
    text_stream stream;
    buf stream_text;
    bool in_text;           /* the tag before the text has passed: what follows is shown */
    qasr_status callback_status;
    int32_t asr_text_id;
} call;

/* ---- one piece -------------------------------------------------------------------------------------- */

static size_t token_limit(const qasr_transcribe_options *opt, size_t n_samples)
{
    if (opt->max_new_tokens > 0)
        return (size_t)opt->max_new_tokens;
    size_t n = (size_t)ceil(TOKENS_PER_SECOND * (double)n_samples / AUDIO_RATE) + TOKENS_EXTRA;
    return n < TOKENS_MIN ? TOKENS_MIN : n;
}

/* Shows new text to the caller's callback: 0 to go on. */
static generate_verdict show_text(call *c, int32_t id)
{
    if (!c->opt->on_text)
        return GENERATE_ON;
    if (!c->in_text) {
        c->in_text = id == c->asr_text_id;
        return GENERATE_ON;
    }
    buf_clear(&c->stream_text);
    c->callback_status = text_stream_add(&c->stream, c->s->model->tokenizer, id, &c->stream_text, NULL);
    if (c->callback_status != QASR_OK)
        return GENERATE_CANCEL;
    if (c->stream_text.len && c->opt->on_text(c->opt->user, buf_str(&c->stream_text)))
        return GENERATE_CANCEL;
    return GENERATE_ON;
}

static generate_verdict on_token(void *user, const int32_t *ids, size_t n)
{
    if (show_text(user, ids[n - 1]) != GENERATE_ON)
        return GENERATE_CANCEL;
    return answer_is_loop(ids, n) ? GENERATE_LOOP : GENERATE_ON;
}

/* Log-mel of a piece; short pieces are zero-padded to half a second. */
static qasr_status compute_features(call *c, const float *pcm, size_t n, float **out, size_t *n_frames, qasr_error *err)
{
    float *padded = NULL, *features;
    if (n < AUDIO_MIN_SAMPLES) {
        TRY(MEM_CALLOC(&padded, AUDIO_MIN_SAMPLES, err));
        memcpy(padded, pcm, n * sizeof(float));
        pcm = padded;
        n = AUDIO_MIN_SAMPLES;
    }
    *n_frames = mel_frames(n);
    qasr_status status = MEM_ALLOC(&features, MEL_BINS * *n_frames, err);
    if (status == QASR_OK) {
        status = mel_compute(c->s->model->features, features, pcm, n, device_pool(c->s->device), err);
        if (status == QASR_OK)
            *out = features;
        else
            mem_free(features);
    }
    mem_free(padded);
    return status;
}

static qasr_status write_dump(call *c, const float *features, size_t n_frames, dmat embeds, const float *logits,
                              qasr_error *err)
{
    float *host;
    TRY(MEM_ALLOC(&host, embeds.rows * embeds.cols, err));
    qasr_status status = device_read(c->s->device, host, embeds, err);
    const st_entry entries[] = {
        { "mel", 2, { MEL_BINS, n_frames }, features },
        { "audio_embeds", 2, { embeds.rows, embeds.cols }, host },
        { "first_logits", 1, { c->s->model->checkpoint->config.dec.n_vocab }, logits },
    };
    if (status == QASR_OK)
        status = safetensors_write_f32(c->dump, entries, ARRAY_LEN(entries), err);
    mem_free(host);
    c->dump = NULL;
    return status;
}

/* Raw ids -> language and text of the piece. */
static qasr_status read_answer(call *c, qasr_piece *piece, const generate_result *r, qasr_error *err)
{
    buf raw, lang, text;
    char *taken;
    qasr_status status;
    buf_init(&raw, TEXT_MAX_BYTES);
    buf_init(&lang, TEXT_MAX_BYTES);
    buf_init(&text, TEXT_MAX_BYTES);
    TRY_GOTO(tokenizer_decode(c->s->model->tokenizer, r->ids, r->n_ids, true, &raw, err));
    TRY_GOTO(answer_parse(&lang, &text, buf_str(&raw), c->forced ? c->forced->name : NULL, err));
    TRY_GOTO(buf_take(&lang, &taken, err));
    piece->language = taken;
    TRY_GOTO(buf_take(&text, &taken, err));
    piece->text = taken;
done:
    buf_free(&raw);
    buf_free(&lang);
    buf_free(&text);
    return status;
}

/* The decoder's output was not finite: if what went into it was not either, its weights are not to blame. */
static void blame_encoder(call *c, dmat embeds, qasr_error *err)
{
    const weights *w = c->s->model->checkpoint->safetensors;
    size_t n = embeds.rows * embeds.cols;
    float *host;
    if (MEM_ALLOC(&host, n, NULL) != QASR_OK)
        return;
    if (device_read(c->s->device, host, embeds, NULL) == QASR_OK)
        for (size_t i = 0; i < n; i++)
            if (!isfinite(host[i])) {
                error_write(err, QASR_E_DEVICE, "the audio encoder's output is not finite: damaged weights in '%s'?",
                            weights_file_path(w, 0));
                break;
            }
    mem_free(host);
}

/* Encoder output and prompt -> tokens. */
static qasr_status run_decoder(call *c, qasr_piece *piece, dmat embeds, size_t n_samples, float *logits, qasr_error *err)
{
    const qasr_model *m = c->s->model;
    prompt p = { 0 };
    generate_result r = { 0 };
    size_t limit = token_limit(c->opt, n_samples);
    qasr_status status;
    TRY_GOTO(prompt_build(&p, m->tokenizer, c->opt->context, c->forced ? c->forced->name : NULL, embeds.rows, err));
    generate_args args = { .prompt = p.ids.ids, .n_prompt = p.ids.n, .audio_begin = p.audio_begin, .embeds = embeds,
                           .eos = m->eos, .n_eos = m->n_eos, .max_new_tokens = limit,
                           .ignore_eos = c->opt->ignore_eos != 0, .on_token = on_token, .user = c,
                           .first_logits = logits };
    c->stream = (text_stream){ 0 };
    c->in_text = c->forced != NULL;
    status = generate(c->s->decoder, &args, &r, err);
    if (status == QASR_E_DEVICE)
        blame_encoder(c, embeds, err);
    if (status == QASR_E_CANCELLED && c->callback_status != QASR_OK)
        status = error_set(err, c->callback_status, "cannot show text: out of memory");
    if (status != QASR_OK)
        goto done;
    c->timings->prefill_s += r.prefill_s;
    c->timings->decode_s += r.decode_s;
    c->timings->n_decode_steps += r.n_steps;
    piece->n_prompt_tokens = p.ids.n;
    piece->n_audio_tokens = p.n_audio;
    piece->n_tokens = r.n_ids;
    piece->stop = r.stop;
    TRY_GOTO(read_answer(c, piece, &r, err));
    piece->tokens = r.ids;
    r.ids = NULL;
done:
    prompt_free(&p);
    mem_free(r.ids);
    return status;
}

static qasr_status transcribe_piece(call *c, qasr_piece *piece, const float *pcm, size_t n_samples, qasr_error *err)
{
    float *features = NULL, *logits = NULL;
    size_t n_frames;
    qasr_status status;
    double t0 = clock_now_s();
    TRY_GOTO(compute_features(c, pcm, n_samples, &features, &n_frames, err));
    double t1 = clock_now_s();
    dmat embeds;
    TRY_GOTO(encoder_run(c->s->encoder, &embeds, features, n_frames, c->opt->encoder_attention == QASR_ENCODER_FULL, err));
    double t2 = clock_now_s();
    c->timings->mel_s += t1 - t0;
    c->timings->encode_s += t2 - t1;
    if (c->dump)
        TRY_GOTO(MEM_ALLOC(&logits, c->s->model->checkpoint->config.dec.n_vocab, err));
    TRY_GOTO(run_decoder(c, piece, embeds, n_samples, logits, err));
    if (c->dump)
        TRY_GOTO(write_dump(c, features, n_frames, embeds, logits, err));
done:
    mem_free(features);
    mem_free(logits);
    return status;
}

/* ---- the whole clip ---------------------------------------------------------------------------------- */

static qasr_status join_pieces(qasr_result *r, qasr_error *err)
{
    buf text, lang;
    qasr_status status = QASR_OK;
    buf_init(&text, TEXT_MAX_BYTES);
    buf_init(&lang, TEXT_MAX_BYTES);
    for (size_t i = 0; i < r->n_pieces; i++) {
        TRY_GOTO(answer_join_text(&text, r->pieces[i].text, err));
        TRY_GOTO(answer_join_language(&lang, r->pieces[i].language, err));
    }
    TRY_GOTO(buf_take(&text, &r->text, err));
    TRY_GOTO(buf_take(&lang, &r->language, err));
done:
    buf_free(&text);
    buf_free(&lang);
    return status;
}

static qasr_status check_samples(const float *pcm, size_t n_samples, qasr_error *err)
{
    for (size_t i = 0; i < n_samples; i++)
        if (!isfinite(pcm[i]))
            return error_set(err, QASR_E_INVALID, "sample %zu of the audio is not a finite number", i);
    return QASR_OK;
}

static qasr_status find_language(const language **out, const char *name, qasr_error *err)
{
    *out = name ? lang_find(name) : NULL;
    if (!name || *out)
        return QASR_OK;
    const language *near = lang_nearest(name);
    if (near)
        return error_set(err, QASR_E_INVALID, "unknown language '%s'; did you mean %s (%s)?", name, near->name, near->code);
    return error_set(err, QASR_E_INVALID, "unknown language '%s'; expected an English name or code such as English, en, Chinese, zh",
                     name);
}

static qasr_status transcribe_pieces(call *c, qasr_result *r, const float *pcm, size_t n_samples, const size_t *cuts,
                                     size_t n_cuts, qasr_error *err)
{
    TRY(MEM_CALLOC(&r->pieces, n_cuts + 1, err));
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t begin = i == 0 ? 0 : cuts[i - 1], end = i == n_cuts ? n_samples : cuts[i];
        r->n_pieces = i + 1;
        r->pieces[i].start_s = (double)begin / AUDIO_RATE;
        r->pieces[i].end_s = (double)end / AUDIO_RATE;
        TRY(transcribe_piece(c, &r->pieces[i], pcm + begin, end - begin, err));
    }
    return QASR_OK;
}

static qasr_status transcribe(qasr_result *r, qasr_session *s, const float *pcm, size_t n_samples,
                              const qasr_transcribe_options *opt, qasr_error *err)
{
    double t0 = clock_now_s(), piece_s = opt->max_piece_s > 0 ? opt->max_piece_s : DEFAULT_PIECE_S;
    call c = { .s = s, .opt = opt, .timings = &r->timings, .dump = opt->dump_tensors,
               .asr_text_id = tokenizer_added_id(s->model->tokenizer, "<asr_text>") };
    r->timings.audio_s = (double)n_samples / AUDIO_RATE;
    TRY(find_language(&c.forced, opt->language, err));
    TRY(check_samples(pcm, n_samples, err));
    if (n_samples == 0)
        return join_pieces(r, err);
    double max_samples = piece_s * AUDIO_RATE; /* one piece holds at least what the features need */
    size_t *cuts = NULL, n_cuts = 0;
    TRY(audio_split(&cuts, &n_cuts, pcm, n_samples,
                    max_samples < AUDIO_MIN_SAMPLES ? AUDIO_MIN_SAMPLES : max_samples < 1e15 ? (size_t)max_samples : SIZE_MAX / 4,
                    err));
    buf_init(&c.stream_text, TEXT_MAX_BYTES);
    qasr_status status = transcribe_pieces(&c, r, pcm, n_samples, cuts, n_cuts, err);
    if (status == QASR_OK)
        status = join_pieces(r, err);
    buf_free(&c.stream_text);
    mem_free(cuts);
    r->timings.total_s = clock_now_s() - t0;
    return status;
}

qasr_status engine_transcribe(qasr_result **out, qasr_session *s, const float *pcm, size_t n_samples,
                              const qasr_transcribe_options *opt, qasr_error *err)
{
    qasr_result *r;
    TRY(MEM_CALLOC(&r, 1, err));
    qasr_status status = transcribe(r, s, pcm, n_samples, opt, err);
    if (status != QASR_OK) {
        engine_result_free(r);
        return status;
    }
    *out = r;
    return QASR_OK;
}

void engine_result_free(qasr_result *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_pieces; i++) {
        mem_free((void *)(uintptr_t)r->pieces[i].text);
        mem_free((void *)(uintptr_t)r->pieces[i].language);
        mem_free((void *)(uintptr_t)r->pieces[i].tokens);
    }
    mem_free(r->pieces);
    mem_free(r->text);
    mem_free(r->language);
    mem_free(r);
}
