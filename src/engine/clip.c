/* See clip.h. */
#include "engine/clip.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/retry.h"

qasr_status clip_cancelled(qasr_error *err) { return error_set(err, QASR_E_CANCELLED, "transcription was cancelled"); }

/* ---- segments ------------------------------------------------------------------------------------------ */

qasr_status clip_check_samples(const float *pcm, size_t n_samples, qasr_error *err)
{
    for (size_t i = 0; i < n_samples; i++)
        if (!isfinite(pcm[i]))
            return error_set(err, QASR_E_INVALID, "sample %zu of the audio is not a finite number", i);
    return QASR_OK;
}

/* End of the segment that the reader has found, in seconds of the file. */
static double end_of_segment(const clip *c)
{
    return c->offset_s + (double)(c->segment_reader.n_passed + c->segment_reader.segment.n_samples) / AUDIO_RATE;
}

/* A job, not linked yet, for the segment that the reader has found. */
static qasr_status make_job(segment_job **out, clip *c, qasr_error *err)
{
    segment_job *j;
    TRY(MEM_CALLOC(&j, 1, err));
    j->timings = &c->result->timings;
    j->segment.start_s = c->offset_s + (double)c->segment_reader.n_passed / AUDIO_RATE;
    j->segment.end_s = end_of_segment(c);
    *out = j;
    return QASR_OK;
}

static void free_job(segment_job *j)
{
    generate_end(&j->seq);
    segment_free_answer(&j->segment);
    log_mel_free(&j->logs);
    timeline_free(&j->shortened);
    mem_free(j->own_pcm);
    mem_free(j);
}

/* Links a job after another one, or at the end. */
static void add_job(clip *c, segment_job *after, segment_job *j)
{
    segment_job **link = after ? &after->next : &c->first;
    j->next = *link;
    *link = j;
    if (c->last == after)
        c->last = j;
    c->n_segments++;
}

/* A silent segment already has its answer. Consecutive ones are merged. */
static qasr_status add_silence(clip *c, qasr_error *err)
{
    segment_job *j;
    if (c->last && c->last->segment.status == QASR_SEGMENT_SILENT) {
        c->last->segment.end_s = end_of_segment(c);
        return QASR_OK;
    }
    char *text, *name;
    TRY(make_job(&j, c, err));
    add_job(c, c->last, j);
    TRY(mem_strdup(&text, "", err));
    j->segment.text = text;
    TRY(mem_strdup(&name, "", err));
    j->segment.language = name;
    j->segment.speech_start_s = j->segment.speech_end_s = j->segment.start_s;
    j->segment.stop = QASR_STOP_EMPTY;
    j->segment.status = QASR_SEGMENT_SILENT;
    j->segment.no_speech = 1;
    j->segment.avg_log_probability = NAN;
    c->n_finished++;
    return QASR_OK;
}

/* Finds the next segment for the model; records silent ones on the way. */
static qasr_status find_segment(clip *c, qasr_error *err)
{
    const qasr_session *s = c->options->session;
    for (;;) {
        TRY(segment_reader_next(&c->segment_reader, s->model->features, device_pool(s->device), err));
        if (!c->segment_reader.segment.silent)
            break;
        TRY(add_silence(c, err));
        segment_reader_pass(&c->segment_reader);
    }
    c->result->timings.audio_s =
        (double)(c->segment_reader.n_passed + c->segment_reader.segment.n_samples) / AUDIO_RATE;
    return QASR_OK;
}

static qasr_status open_sound(clip *c, qasr_error *err)
{
    const qasr_clip *g = &c->given;
    if (g->path && (g->pcm || g->n_samples))
        return error_set(err, QASR_E_INVALID, "a clip has both a path ('%s') and samples", g->path);
    if (!g->pcm && g->n_samples > 0)
        return error_set(err, QASR_E_INVALID, "a clip has n_samples %zu, but pcm is NULL", g->n_samples);
    if (g->audio && !g->path)
        return error_set(err, QASR_E_INVALID, "a clip has audio options, but no path");
    qasr_audio_options audio;
    TRY(audio_read_options(&audio, g->audio, err));
    c->offset_s = audio.start_s;
    TRY(MEM_CALLOC(&c->result, 1, err));
    const split_rule rule =
        split_rule_make(c->options->opt.max_segment_s, model_segment_seconds(c->options->session->model->checkpoint));
    TRY(segment_reader_open(&c->segment_reader, g->path, &audio, g->pcm, g->n_samples, rule, err));
    TRY(clip_check_samples(g->pcm, g->n_samples, err));
    return find_segment(c, err);
}

void clip_init(clip *c, const qasr_clip *given, const job_options *o)
{
    *c = (clip){ .options = o,
                 .given = *given,
                 .dump = o->opt.dump_tensors,
                 .begin_s = clock_now_s(),
                 .status = given->error.status,
                 .error = given->error };
}

void clip_open(clip *c)
{
    c->is_open = true;
    c->status = open_sound(c, &c->error);
    if (c->status != QASR_OK)
        segment_reader_close(&c->segment_reader);
}

/* Samples of the segment found by the reader, less what its pauses are shortened by. */
static size_t kept_samples(const segment_reader *r)
{
    return r->segment.n_samples - timeline_omitted(&r->segment.shortened);
}

size_t clip_next_samples(const clip *c)
{
    return c->waiting ? c->waiting->n_samples : kept_samples(&c->segment_reader);
}

bool clip_next_is_wide(const clip *c) { return c->waiting && c->waiting->wide; }

bool clip_wants_room(const clip *c) { return c->status == QASR_OK && (!c->is_open || clip_next_samples(c) > 0); }

/* Samples of a file are copied, since the window moves on, and so are those of shortened pauses' surroundings. */
static qasr_status take_samples(clip *c, segment_job *j, qasr_error *err)
{
    segment_reader *from = &c->segment_reader;
    j->n_samples = kept_samples(from);
    j->pcm = from->ready;
    j->logs = from->logs;
    j->shortened = from->segment.shortened;
    from->logs = (log_mel){ 0 };
    from->segment.shortened = (timeline){ 0 };
    if (!from->window && j->shortened.n == 0)
        return QASR_OK;
    TRY(MEM_ALLOC(&j->own_pcm, j->n_samples, err));
    timeline_copy_kept(&j->shortened, j->own_pcm, j->n_samples, j->pcm);
    j->pcm = j->own_pcm;
    return QASR_OK;
}

static qasr_status begin_next(segment_job **out, clip *c, qasr_error *err)
{
    segment_job *j;
    TRY(make_job(&j, c, err));
    add_job(c, c->last, j);
    j->dump = c->dump;
    c->dump = NULL;
    TRY(take_samples(c, j, err));
    segment_reader_pass(&c->segment_reader);
    *out = j;
    return find_segment(c, err);
}

segment_job *clip_begin_segment(clip *c)
{
    segment_job *j = c->waiting;
    qasr_error error;
    if (j) {
        c->waiting = j->next_waiting;
        j->next_waiting = NULL;
        return j;
    }
    qasr_status status = begin_next(&j, c, &error);
    if (status == QASR_OK)
        return j;
    clip_fail(c, status, &error);
    return NULL;
}

void clip_start_again(clip *c, segment_job *j)
{
    segment_job **link = &c->waiting;
    while (*link)
        link = &(*link)->next_waiting;
    *link = j;
}

static void drop_samples(segment_job *j)
{
    mem_free(j->own_pcm);
    j->own_pcm = NULL;
    j->pcm = NULL;
}

void clip_accept(clip *c, segment_job *j)
{
    retry_plan plan;
    segment_job *half;
    qasr_error error;
    qasr_status status = retry_decide(&plan, &half, c->options, j, &error);
    if (status != QASR_OK) {
        clip_fail(c, status, &error);
        return;
    }
    if (plan == RETRY_NONE) {
        drop_samples(j);
        c->n_finished++;
        return;
    }
    clip_start_again(c, j);
    if (plan == RETRY_HALVES) {
        add_job(c, j, half);
        clip_start_again(c, half);
    }
}

void clip_fail(clip *c, qasr_status status, const qasr_error *error)
{
    for (segment_job *j = c->first; j; j = j->next)
        generate_end(&j->seq);
    segment_reader_close(&c->segment_reader);
    c->waiting = NULL;
    if (c->status != QASR_OK)
        return;
    c->status = status;
    c->error = *error;
}

bool clip_is_finished(const clip *c)
{
    return c->status != QASR_OK || (!clip_wants_room(c) && c->n_finished == c->n_segments);
}

/* ---- the result -------------------------------------------------------------------------------------- */

static qasr_status join_segments(qasr_result *r, qasr_error *err)
{
    buf text, lang;
    qasr_status status = QASR_OK;
    buf_init(&text, TEXT_MAX_BYTES);
    buf_init(&lang, TEXT_MAX_BYTES);
    for (size_t i = 0; i < r->n_segments; i++) {
        TRY_GOTO(answer_join_text(&text, r->segments[i].text, err));
        TRY_GOTO(answer_join_language(&lang, r->segments[i].language, err));
    }
    TRY_GOTO(buf_take(&text, &r->text, err));
    TRY_GOTO(buf_take(&lang, &r->language, err));
done:
    buf_free(&text);
    buf_free(&lang);
    return status;
}

/* Moves the segments from the jobs to the result, which then owns their strings and ids. */
static qasr_status collect_segments(clip *c, qasr_error *err)
{
    qasr_result *r = c->result;
    TRY(MEM_ALLOC(&r->segments, c->n_segments, err));
    for (segment_job *j = c->first; j; j = j->next) {
        r->segments[r->n_segments++] = j->segment;
        j->segment = (qasr_segment){ 0 };
    }
    return QASR_OK;
}

qasr_status clip_take_result(clip *c, qasr_result **out, qasr_error *err)
{
    TRY(collect_segments(c, err));
    TRY(join_segments(c->result, err));
    c->result->timings.total_s = clock_now_s() - c->begin_s;
    c->result->damages = c->segment_reader.damages;
    c->result->n_damages = c->segment_reader.n_damages;
    c->segment_reader.damages = NULL;
    *out = c->result;
    c->result = NULL;
    return QASR_OK;
}

void engine_result_free(qasr_result *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_segments; i++)
        segment_free_answer(&r->segments[i]);
    mem_free(r->segments);
    mem_free(r->damages);
    mem_free(r->text);
    mem_free(r->language);
    mem_free(r);
}

void clip_close(clip *c)
{
    while (c->first) {
        segment_job *j = c->first;
        c->first = j->next;
        free_job(j);
    }
    segment_reader_close(&c->segment_reader);
    mem_free(c->segment_reader.damages);
    engine_result_free(c->result);
}

/* ---- text and progress as they come ------------------------------------------------------------------ */

/* Keeps the last bytes shown, which decide whether a space follows. */
static void keep_tail(clip *c, const char *text, size_t n)
{
    const size_t n_new = n < ANSWER_TAIL_BYTES ? n : ANSWER_TAIL_BYTES, n_have = strlen(c->tail),
                 n_old = n_have < ANSWER_TAIL_BYTES - n_new ? n_have : ANSWER_TAIL_BYTES - n_new;
    memmove(c->tail, c->tail + n_have - n_old, n_old);
    memcpy(c->tail + n_old, text + n - n_new, n_new);
    c->tail[n_old + n_new] = 0;
}

/* Shows text; the first text of a segment is preceded by the separator from the segment before. */
static qasr_status show(clip *c, const buf *text, qasr_error *err)
{
    const qasr_transcribe_options *opt = &c->options->opt;
    if (text->len == 0)
        return QASR_OK;
    buf joined;
    buf_init(&joined, TEXT_MAX_BYTES);
    size_t n_tail = c->segment_has_text ? 0 : strlen(c->tail);
    qasr_status status = buf_add(&joined, c->tail, n_tail, err);
    if (status == QASR_OK)
        status = answer_join_text(&joined, buf_str(text), err);
    if (status == QASR_OK && (opt->on_text(opt->user, buf_str(&joined) + n_tail) || c->cancelled))
        status = clip_cancelled(err);
    buf_free(&joined);
    c->segment_has_text = true;
    keep_tail(c, buf_str(text), text->len);
    return status;
}

/* Shows new ids of the current segment. */
static qasr_status show_ids(clip *c, const int32_t *ids, size_t n, buf *text, qasr_error *err)
{
    while (c->n_shown < n) {
        int32_t id = ids[c->n_shown++];
        if (!c->in_text) {
            c->in_text = id == c->options->asr_text_id;
            continue;
        }
        buf_clear(text);
        TRY(text_stream_add(&c->stream_text, c->options->session->model->tokenizer, id, text, err));
        TRY(show(c, text, err));
    }
    return QASR_OK;
}

/* The segment to show: the first one, then the next whenever one is complete. NULL: it has not begun yet. */
static segment_job *shown_segment(clip *c)
{
    if (c->shown && !c->shown_whole)
        return c->shown;
    segment_job *next = c->shown ? c->shown->next : c->first;
    if (next) {
        c->shown = next;
        c->shown_whole = c->segment_has_text = false;
        c->n_shown = 0;
        c->stream_text = (text_stream){ 0 };
        c->in_text = c->options->language != NULL;
    }
    return next;
}

static qasr_status show_text(clip *c, buf *text, qasr_error *err)
{
    segment_job *j;
    while ((j = shown_segment(c))) {
        bool finished = j->segment.text != NULL;
        if (!finished && retry_is_possible(c->options)) /* a retry may replace the answer */
            return QASR_OK;
        TRY(show_ids(c, finished ? j->segment.tokens : j->seq.ids, finished ? j->segment.n_tokens : j->seq.n_ids, text,
                     err));
        if (!finished)
            return QASR_OK;
        buf_clear(text);
        TRY(text_stream_end(&c->stream_text, j->segment.stop != QASR_STOP_EOS, text, err));
        TRY(show(c, text, err));
        c->shown_whole = true;
    }
    return QASR_OK;
}

static qasr_status report_progress(clip *c, qasr_error *err)
{
    const qasr_transcribe_options *opt = &c->options->opt;
    const segment_job *before = c->reported, *next = before ? before->next : c->first;
    for (; next && next->segment.text; next = next->next)
        c->reported = next;
    if (c->reported != before && (opt->on_progress(opt->user, c->reported->segment.end_s - c->offset_s,
                                                   (double)c->segment_reader.n_total / AUDIO_RATE) ||
                                  c->cancelled))
        return clip_cancelled(err);
    return QASR_OK;
}

static qasr_status show_segments(clip *c, qasr_error *err)
{
    const qasr_transcribe_options *opt = &c->options->opt;
    for (;;) {
        const segment_job *next = c->handed ? c->handed->next : c->first;
        if (!next || !next->segment.text)
            return QASR_OK;
        c->handed = next;
        if (opt->on_segment(opt->user, &next->segment) || c->cancelled)
            return clip_cancelled(err);
    }
}

qasr_status clip_show(clip *c, buf *text, qasr_error *err)
{
    if (c->status == QASR_OK && c->options->opt.on_text)
        TRY(show_text(c, text, err));
    if (c->status == QASR_OK && c->options->opt.on_segment)
        TRY(show_segments(c, err));
    if (c->status == QASR_OK && c->options->opt.on_progress)
        TRY(report_progress(c, err));
    return QASR_OK;
}
