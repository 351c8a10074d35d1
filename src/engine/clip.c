/* See clip.h. */
#include "engine/clip.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    DEFAULT_PIECE_S = 1200,      /* the reference's longest piece */
    TEXT_MAX_BYTES = 64 << 20
};

/* ---- pieces ------------------------------------------------------------------------------------------ */

static qasr_status check_samples(const float *pcm, size_t n_samples, qasr_error *err)
{
    for (size_t i = 0; i < n_samples; i++)
        if (!isfinite(pcm[i]))
            return error_set(err, QASR_E_INVALID, "sample %zu of the audio is not a finite number", i);
    return QASR_OK;
}

static size_t max_piece_samples(const qasr_transcribe_options *opt)
{
    double n = (opt->max_piece_s > 0 ? opt->max_piece_s : DEFAULT_PIECE_S) * AUDIO_RATE;
    if (n < AUDIO_MIN_SAMPLES) /* one piece holds at least what the features need */
        return AUDIO_MIN_SAMPLES;
    return n < 1e15 ? (size_t)n : SIZE_MAX / 4;
}

static qasr_status cut_clip(clip *c, const qasr_transcribe_options *opt, qasr_error *err)
{
    const float *pcm = c->given.pcm;
    size_t n = c->given.n_samples, n_cuts = 0;
    if (!pcm && n > 0)
        return error_set(err, QASR_E_INVALID, "a clip of %zu samples has none: pcm is NULL", n);
    TRY(check_samples(pcm, n, err));
    TRY(MEM_CALLOC(&c->result, 1, err));
    c->result->timings.audio_s = (double)n / AUDIO_RATE;
    if (n == 0)
        return QASR_OK;
    TRY(audio_split(&c->cuts, &n_cuts, pcm, n, max_piece_samples(opt), err));
    TRY(MEM_CALLOC(&c->result->pieces, n_cuts + 1, err));
    TRY(MEM_CALLOC(&c->jobs, n_cuts + 1, err));
    c->n_pieces = c->result->n_pieces = n_cuts + 1;
    for (size_t i = 0; i < c->n_pieces; i++) {
        qasr_piece *piece = &c->result->pieces[i];
        piece->start_s = (double)(i == 0 ? 0 : c->cuts[i - 1]) / AUDIO_RATE;
        piece->end_s = (double)(i == n_cuts ? n : c->cuts[i]) / AUDIO_RATE;
        c->jobs[i] = (piece_job){ .piece = piece, .timings = &c->result->timings };
    }
    return QASR_OK;
}

void clip_open(clip *c, const qasr_transcribe_options *opt)
{
    c->begin_s = clock_now_s();
    c->error = c->given.error;
    c->status = c->given.error.status;
    if (c->status == QASR_OK)
        c->status = cut_clip(c, opt, &c->error);
}

const float *clip_piece(const clip *c, size_t index, size_t *n)
{
    size_t begin = index == 0 ? 0 : c->cuts[index - 1];
    *n = (index + 1 == c->n_pieces ? c->given.n_samples : c->cuts[index]) - begin;
    return c->given.pcm + begin;
}

void clip_fail(clip *c, qasr_status status, const qasr_error *error)
{
    for (size_t i = 0; i < c->n_started; i++)
        generate_end(&c->jobs[i].seq);
    if (c->status != QASR_OK)
        return;
    c->status = status;
    c->error = *error;
}

bool clip_is_finished(const clip *c) { return c->status != QASR_OK || c->n_finished == c->n_pieces; }

/* ---- the result -------------------------------------------------------------------------------------- */

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

qasr_status clip_take_result(clip *c, qasr_result **out, qasr_error *err)
{
    TRY(join_pieces(c->result, err));
    c->result->timings.total_s = clock_now_s() - c->begin_s;
    *out = c->result;
    c->result = NULL;
    return QASR_OK;
}

void clip_free(clip *c)
{
    engine_result_free(c->result);
    mem_free(c->cuts);
    mem_free(c->jobs);
    mem_free(c);
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

/* ---- text as it comes -------------------------------------------------------------------------------- */

static qasr_status show(const call *k, const buf *text, qasr_error *err)
{
    if (text->len && k->opt->on_text(k->opt->user, buf_str(text)))
        return error_set(err, QASR_E_CANCELLED, "transcription was cancelled");
    return QASR_OK;
}

/* New ids of the piece whose turn it is. */
static qasr_status show_ids(clip *c, const call *k, const int32_t *ids, size_t n, buf *text, qasr_error *err)
{
    if (c->shown_ids == 0) {
        c->stream = (text_stream){ 0 };
        c->in_text = k->forced != NULL;
    }
    while (c->shown_ids < n) {
        int32_t id = ids[c->shown_ids++];
        if (!c->in_text) {
            c->in_text = id == k->asr_text_id;
            continue;
        }
        buf_clear(text);
        TRY(text_stream_add(&c->stream, k->s->model->tokenizer, id, text, err));
        TRY(show(k, text, err));
    }
    return QASR_OK;
}

qasr_status clip_show_text(clip *c, const call *k, buf *text, qasr_error *err)
{
    while (k->opt->on_text && c->status == QASR_OK && c->shown_pieces < c->n_started) {
        const piece_job *j = &c->jobs[c->shown_pieces];
        bool finished = j->piece->text != NULL;
        TRY(show_ids(c, k, finished ? j->piece->tokens : j->seq.ids, finished ? j->piece->n_tokens : j->seq.n_ids, text, err));
        if (!finished)
            return QASR_OK;
        buf_clear(text);
        TRY(text_stream_end(&c->stream, text, err)); /* a character that the token limit has cut */
        TRY(show(k, text, err));
        c->shown_pieces++;
        c->shown_ids = 0;
    }
    return QASR_OK;
}
