/* See clip.h. */
#include "engine/clip.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    DEFAULT_PIECE_S = 1200,      /* the reference's longest piece */
    TEXT_MAX_BYTES = 64 << 20
};

/* ---- pieces ------------------------------------------------------------------------------------------ */

qasr_status clip_check_samples(const float *pcm, size_t n_samples, qasr_error *err)
{
    for (size_t i = 0; i < n_samples; i++)
        if (!isfinite(pcm[i]))
            return error_set(err, QASR_E_INVALID, "sample %zu of the audio is not a finite number", i);
    return QASR_OK;
}

size_t clip_max_piece(const qasr_transcribe_options *opt)
{
    double n = (opt->max_piece_s > 0 ? opt->max_piece_s : DEFAULT_PIECE_S) * AUDIO_RATE;
    if (n < AUDIO_MIN_SAMPLES) /* one piece holds at least what the features need */
        return AUDIO_MIN_SAMPLES;
    return n < 1e15 ? (size_t)n : SIZE_MAX / 4;
}

/* Of a stream: fills the window as far as a cut may depend on it. It grows: most files are short. */
static qasr_status fill_window(clip *c, qasr_error *err)
{
    enum { BLOCK = 10 * AUDIO_RATE };
    const size_t want = c->max_piece + AUDIO_CUT_AHEAD;
    while (c->stream && c->n_window < want) {
        if (c->n_window == c->max_window) {
            float *more;
            size_t n = 2 * c->max_window > BLOCK ? 2 * c->max_window : BLOCK;
            n = n < want ? n : want;
            TRY(MEM_ALLOC(&more, n, err));
            if (c->n_window)
                memcpy(more, c->window, c->n_window * sizeof *more);
            mem_free(c->window);
            c->window = more;
            c->max_window = n;
        }
        size_t n = c->max_window - c->n_window, n_read;
        TRY(audio_stream_read(c->stream, c->window + c->n_window, n, &n_read, err));
        c->n_window += n_read;
        if (n_read < n) {
            audio_stream_close(c->stream);
            c->stream = NULL;
        }
    }
    return QASR_OK;
}

static void close_sound(clip *c)
{
    audio_stream_close(c->stream);
    c->stream = NULL;
    mem_free(c->window);
    c->window = NULL;
    c->n_window = c->max_window = 0;
    c->ready = NULL;
    c->n_ready = 0;
}

/* The samples from the next piece on, as many as are there. */
static qasr_status find_piece(clip *c, qasr_error *err)
{
    size_t n = c->given.n_samples - c->n_begun;
    if (c->given.path) {
        TRY(fill_window(c, err));
        c->ready = c->window;
        n = c->n_window;
    } else {
        c->ready = n ? c->given.pcm + c->n_begun : NULL;
    }
    c->n_ready = audio_piece_length(c->ready, n, c->max_piece);
    c->result->timings.audio_s = (double)(c->n_begun + c->n_ready) / AUDIO_RATE;
    if (c->n_ready == 0)
        close_sound(c);
    return QASR_OK;
}

static qasr_status open_sound(clip *c, qasr_error *err)
{
    const qasr_clip *g = &c->given;
    if (g->path && (g->pcm || g->n_samples))
        return error_set(err, QASR_E_INVALID, "a clip has both a path, '%s', and samples", g->path);
    if (!g->pcm && g->n_samples > 0)
        return error_set(err, QASR_E_INVALID, "a clip of %zu samples has none: pcm is NULL", g->n_samples);
    TRY(MEM_CALLOC(&c->result, 1, err));
    if (g->path)
        TRY(audio_stream_open(&c->stream, g->path, err));
    else
        TRY(clip_check_samples(g->pcm, g->n_samples, err));
    return find_piece(c, err);
}

void clip_open(clip *c, const qasr_transcribe_options *opt)
{
    c->begin_s = clock_now_s();
    c->max_piece = clip_max_piece(opt);
    c->error = c->given.error;
    c->status = c->given.error.status;
    if (c->status == QASR_OK)
        c->status = open_sound(c, &c->error);
    if (c->status != QASR_OK)
        close_sound(c);
}

piece_job *clip_begin_piece(clip *c)
{
    piece_job *j;
    qasr_error error;
    qasr_status status = MEM_CALLOC(&j, 1, &error);
    if (status != QASR_OK) {
        clip_fail(c, status, &error);
        return NULL;
    }
    j->timings = &c->result->timings;
    j->piece.start_s = (double)c->n_begun / AUDIO_RATE;
    j->piece.end_s = (double)(c->n_begun + c->n_ready) / AUDIO_RATE;
    *(c->last ? &c->last->next : &c->first) = j;
    c->last = j;
    c->n_pieces++;
    return j;
}

void clip_advance(clip *c)
{
    if (c->status != QASR_OK)
        return;
    c->n_begun += c->n_ready;
    if (c->window) {
        memmove(c->window, c->window + c->n_ready, (c->n_window - c->n_ready) * sizeof *c->window);
        c->n_window -= c->n_ready;
    }
    qasr_error error;
    qasr_status status = find_piece(c, &error);
    if (status != QASR_OK)
        clip_fail(c, status, &error);
}

void clip_fail(clip *c, qasr_status status, const qasr_error *error)
{
    for (piece_job *j = c->first; j; j = j->next)
        generate_end(&j->seq);
    close_sound(c);
    if (c->status != QASR_OK)
        return;
    c->status = status;
    c->error = *error;
}

bool clip_is_finished(const clip *c)
{
    return c->status != QASR_OK || (c->n_ready == 0 && c->n_finished == c->n_pieces);
}

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

/* From the jobs to the result, which owns their strings and ids then. */
static qasr_status collect_pieces(clip *c, qasr_error *err)
{
    qasr_result *r = c->result;
    TRY(MEM_ALLOC(&r->pieces, c->n_pieces, err));
    for (piece_job *j = c->first; j; j = j->next) {
        r->pieces[r->n_pieces++] = j->piece;
        j->piece = (qasr_piece){ 0 };
    }
    return QASR_OK;
}

qasr_status clip_take_result(clip *c, qasr_result **out, qasr_error *err)
{
    TRY(collect_pieces(c, err));
    TRY(join_pieces(c->result, err));
    c->result->timings.total_s = clock_now_s() - c->begin_s;
    *out = c->result;
    c->result = NULL;
    return QASR_OK;
}

static void free_piece(qasr_piece *p)
{
    mem_free((void *)(uintptr_t)p->text);
    mem_free((void *)(uintptr_t)p->language);
    mem_free((void *)(uintptr_t)p->tokens);
}

void engine_result_free(qasr_result *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_pieces; i++)
        free_piece(&r->pieces[i]);
    mem_free(r->pieces);
    mem_free(r->text);
    mem_free(r->language);
    mem_free(r);
}

void clip_free(clip *c)
{
    while (c->first) {
        piece_job *j = c->first;
        c->first = j->next;
        generate_end(&j->seq);
        free_piece(&j->piece);
        mem_free(j);
    }
    close_sound(c);
    engine_result_free(c->result);
    mem_free(c);
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
    while (c->n_shown < n) {
        int32_t id = ids[c->n_shown++];
        if (!c->in_text) {
            c->in_text = id == k->asr_text_id;
            continue;
        }
        buf_clear(text);
        TRY(text_stream_add(&c->stream_text, k->s->model->tokenizer, id, text, err));
        TRY(show(k, text, err));
    }
    return QASR_OK;
}

/* The piece to show: the first, then each after the one before is over; NULL: it is not begun. */
static piece_job *shown_piece(clip *c, const call *k)
{
    if (c->shown && !c->shown_whole)
        return c->shown;
    piece_job *next = c->shown ? c->shown->next : c->first;
    if (next) {
        c->shown = next;
        c->shown_whole = false;
        c->n_shown = 0;
        c->stream_text = (text_stream){ 0 };
        c->in_text = k->forced != NULL;
    }
    return next;
}

qasr_status clip_show_text(clip *c, const call *k, buf *text, qasr_error *err)
{
    piece_job *j;
    while (k->opt->on_text && c->status == QASR_OK && (j = shown_piece(c, k))) {
        bool finished = j->piece.text != NULL;
        TRY(show_ids(c, k, finished ? j->piece.tokens : j->seq.ids, finished ? j->piece.n_tokens : j->seq.n_ids, text, err));
        if (!finished)
            return QASR_OK;
        buf_clear(text);
        TRY(text_stream_end(&c->stream_text, text, err)); /* a character that the token limit has cut */
        TRY(show(k, text, err));
        c->shown_whole = true;
    }
    return QASR_OK;
}
