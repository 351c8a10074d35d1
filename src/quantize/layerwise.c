/* See layerwise.h. A transcription comes first: a watch on the network keeps what the convolutions gave for each
 * segment and the sums of the head's inputs, and the answers make the sequences whole. From then on every segment has
 * the sum that goes through the layers and the input of the stage, once for each version; as long as nothing is rounded
 * there is one version. For the rounded one the network's matrices are exchanged for those that were handed in, and
 * back. */
#include "quantize/layerwise.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "quantize/audio_files.h"
#include "quantize/calibration_session.h"
#include "quantize/input_moments.h"

enum { EXACT, ROUNDED, VERSIONS };
#define MAX_ROW_BYTES ((uint64_t)1 << 30) /* of all segments, both versions */

/* A part of the audio with its answer. */
typedef struct sample {
    device_mem *flat_mem;
    dmat flat; /* [n_audio, .], input of the first stage; until that is over */
    size_t n_audio;
    int32_t *ids; /* [n_ids], prompt and answer */
    size_t n_ids, n_prompt, audio_begin;
    struct {
        device_mem *mem;
        dmat x, in, embeds; /* embeds [n_audio, .] is there while the encoder is at work */
    } version[VERSIONS];
} sample;

/* A matrix or vector that takes the place of the network's own. */
typedef struct override {
    device_mem *mem; /* NULL: none */
    dmat w;
} override;

struct layerwise {
    const layerwise_options *opt;
    audio_files files;
    qasr_model *model;
    qasr_session *session;
    device *d;
    sample *samples;
    size_t n_samples_listed, capacity;
    size_t n_answered; /* whose ids are known */
    size_t n_given, n_done;
    uint64_t row_bytes; /* what the samples will take, about */
    input_moments head;
    device_mem *head_mem;
    size_t seen;        /* stage of the product before the next */
    qasr_error failure; /* inside a callback */
    size_t at;          /* stage where the layerwise pass stands */
    bool diverged;      /* the versions differ */
    override rounded[STAGE_MAX_MATRICES], biases[STAGE_MAX_MATRICES], embedding;
    size_t slot; /* of the decoder, once that is reached */
};

static net *net_of(const layerwise *t) { return t->session->net; }
static const model_config *config_of(const layerwise *t) { return net_of(t)->config; }

/* ---- the transcription ---------------------------------------------------------------------------- */

/* Per row of sound: what encoder or decoder will need, whichever is more, for both versions; a row of the prompt or of
 * the answer for each of sound. */
static uint64_t bytes_per_row(const layerwise *t)
{
    const model_config *c = config_of(t);
    size_t in_enc = c->enc.d_model + c->enc.d_ffn + c->enc.d_out, in_dec = 2 * (c->dec.d_model + c->dec.d_ffn);
    return VERSIONS * sizeof(float) * (uint64_t)(in_enc > in_dec ? in_enc : in_dec);
}

static qasr_status add_sample(layerwise *t, dmat flat, qasr_error *err)
{
    if (t->n_samples_listed == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 64;
        sample *more;
        TRY(MEM_CALLOC(&more, capacity, err));
        if (t->n_samples_listed)
            memcpy(more, t->samples, t->n_samples_listed * sizeof *more);
        mem_free(t->samples);
        t->samples = more;
        t->capacity = capacity;
    }
    sample *p = &t->samples[t->n_samples_listed];
    TRY(device_alloc(t->d, &p->flat_mem, flat.rows * flat.cols * sizeof(float), err));
    p->flat = dmat_make(p->flat_mem, 0, QUANT_F32, flat.rows, flat.cols);
    p->n_audio = flat.rows;
    op_copy(t->d, p->flat, flat);
    t->n_samples_listed++;
    t->row_bytes += flat.rows * bytes_per_row(t);
    return QASR_OK;
}

/* The pages of a stage's matrices are given back when the next has come: they are not needed before all others were. */
static void watch(void *user, dmat x, dmat w, net_rows rows)
{
    layerwise *t = user;
    net *n = net_of(t);
    stage before = stages_get(n, t->seen);
    stage_release(&before);
    t->seen = stages_find(n, w);
    if (t->seen + 1 == stages_count(n))
        input_moments_add(&t->head, t->d, x, x, rows);
    else if (t->seen == 0 && t->failure.status == QASR_OK)
        add_sample(t, x, &t->failure);
}

static int give_clip(void *user, qasr_clip *clip)
{
    layerwise *t = user;
    if (t->n_given == t->files.n || t->row_bytes > MAX_ROW_BYTES)
        return 0;
    clip->path = t->files.paths[t->n_given++];
    return 1;
}

/* Segments are begun in the order in which their answers come. */
static qasr_status take_answer(layerwise *t, const qasr_segment *segment, qasr_error *err)
{
    assert(t->n_answered < t->n_samples_listed);
    sample *p = &t->samples[t->n_answered];
    prompt made = { 0 };
    qasr_status status;
    TRY_GOTO(prompt_build(&made, t->model->tokenizer, NULL, NULL, p->n_audio, err));
    assert(made.ids.n == segment->n_prompt_tokens);
    TRY_GOTO(MEM_ALLOC(&p->ids, made.ids.n + segment->n_tokens, err));
    memcpy(p->ids, made.ids.ids, made.ids.n * sizeof *p->ids);
    if (segment->n_tokens)
        memcpy(p->ids + made.ids.n, segment->tokens, segment->n_tokens * sizeof *p->ids);
    p->n_prompt = made.ids.n;
    p->n_ids = made.ids.n + segment->n_tokens;
    p->audio_begin = made.audio_begin;
    t->n_answered++;
done:
    prompt_free(&made);
    return status;
}

static int take_result(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    layerwise *t = user;
    if (error && t->failure.status == QASR_OK)
        t->failure = *error;
    for (size_t i = 0; t->failure.status == QASR_OK && i < result->n_segments; i++)
        if (result->segments[i].n_prompt_tokens) /* else it was silent, and the model was not run */
            take_answer(t, &result->segments[i], &t->failure);
    engine_result_free(result);
    t->n_done++;
    if (t->failure.status == QASR_OK && t->opt->on_clip && t->opt->on_clip(t->opt->user, t->n_done, t->files.n))
        error_write(&t->failure, QASR_E_CANCELLED, "calibration was cancelled");
    return t->failure.status != QASR_OK;
}

static qasr_status transcribe(layerwise *t, qasr_error *err)
{
    TRY(calibration_session_run(t->session, give_clip, take_result, t, &t->failure, err));
    if (t->n_samples_listed == 0)
        return error_set(err, QASR_E_INVALID, "the audio holds no samples, there is nothing to calibrate on");
    if (t->n_given < t->files.n)
        log_warning("calibration takes the first %zu of %zu audio files: the others do not fit into memory", t->n_given,
                    t->files.n);
    return QASR_OK;
}

/* ---- opening -------------------------------------------------------------------------------------- */

static qasr_status open_session(layerwise *t, qasr_error *err)
{
    qasr_decoder_weights from = file_is_dir(t->opt->model) ? QASR_DECODER_SAFETENSORS : QASR_DECODER_AUTO;
    TRY(calibration_session_open(&t->model, &t->session, t->opt->model, from, t->opt->n_threads, err));
    t->d = t->session->device;
    return QASR_OK;
}

static qasr_status open_head(layerwise *t, qasr_error *err)
{
    size_t used = 0, cols = config_of(t)->dec.d_model;
    TRY(device_alloc(t->d, &t->head_mem, (size_t)input_moments_bytes(cols, MOMENTS_PRODUCTS), err));
    input_moments_place(&t->head, t->head_mem, &used, cols, MOMENTS_PRODUCTS);
    device_begin(t->d);
    input_moments_clear(&t->head, t->d);
    return device_end(t->d, err);
}

static size_t widest(size_t a, size_t b) { return a > b ? a : b; }

static dmat take(device_mem *mem, size_t *used, size_t rows, size_t cols)
{
    dmat m = dmat_make(mem, *used, QUANT_F32, rows, cols);
    *used += size_round_up(rows * m.stride, MEM_ALIGN);
    return m;
}

/* Memory for a version of a sample in the encoder; x, in and embeds are laid out. */
static qasr_status alloc_encoder(const layerwise *t, sample *p, int version, qasr_error *err)
{
    const model_config *c = config_of(t);
    for (device_mem *mem = NULL;;) {
        size_t used = 0;
        p->version[version].x = take(mem, &used, p->n_audio, c->enc.d_model);
        p->version[version].in = take(mem, &used, p->n_audio, widest(c->enc.d_model, c->enc.d_ffn));
        p->version[version].embeds = take(mem, &used, p->n_audio, c->enc.d_out);
        if (mem)
            return QASR_OK;
        TRY(device_alloc(t->d, &mem, used, err));
        p->version[version].mem = mem;
    }
}

/* The same in the decoder, without embeds, and without giving what was there back. */
static qasr_status alloc_decoder(const layerwise *t, device_mem **out, const sample *p, dmat *x, dmat *in,
                                 qasr_error *err)
{
    const model_config *c = config_of(t);
    for (*out = NULL;;) {
        size_t used = 0;
        *x = take(*out, &used, p->n_ids, c->dec.d_model);
        *in =
            take(*out, &used, p->n_ids, widest(widest(c->dec.d_model, c->dec.d_ffn), c->dec.n_heads * c->dec.head_dim));
        if (*out)
            return QASR_OK;
        TRY(device_alloc(t->d, out, used, err));
    }
}

static qasr_status create(layerwise *t, qasr_error *err)
{
    TRY(audio_files_find(&t->files, t->opt->audio, t->opt->n_audio, 0, err));
    TRY(open_session(t, err));
    TRY(open_head(t, err));
    net_of(t)->watch = watch;
    net_of(t)->watch_user = t;
    TRY(transcribe(t, err));
    net_of(t)->watch = NULL;
    device_begin(t->d);
    input_moments_flush(&t->head, t->d);
    TRY(device_end(t->d, err));
    for (size_t i = 0; i < t->n_samples_listed; i++)
        TRY(alloc_encoder(t, &t->samples[i], EXACT, err));
    return QASR_OK;
}

qasr_status layerwise_create(layerwise **out, const layerwise_options *opt, qasr_error *err)
{
    layerwise *t;
    TRY(MEM_CALLOC(&t, 1, err));
    t->opt = opt;
    qasr_status status = create(t, err);
    t->opt = NULL;
    if (status != QASR_OK) {
        layerwise_free(t);
        return status;
    }
    *out = t;
    return QASR_OK;
}

static void drop(layerwise *t, override *s)
{
    device_mem_free(t->d, s->mem);
    *s = (override){ 0 };
}

static void drop_stage(layerwise *t)
{
    for (size_t k = 0; k < STAGE_MAX_MATRICES; k++) {
        drop(t, &t->rounded[k]);
        drop(t, &t->biases[k]);
    }
}

void layerwise_free(layerwise *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_samples_listed; i++) {
        device_mem_free(t->d, t->samples[i].flat_mem);
        for (int v = 0; v < VERSIONS; v++)
            device_mem_free(t->d, t->samples[i].version[v].mem);
        mem_free(t->samples[i].ids);
    }
    mem_free(t->samples);
    if (t->d) {
        drop_stage(t);
        drop(t, &t->embedding);
        device_mem_free(t->d, t->head_mem);
    }
    engine_session_close(t->session);
    engine_model_close(t->model);
    audio_files_free(&t->files);
    mem_free(t);
}

/* ---- moments -------------------------------------------------------------------------------------- */

void layerwise_moments_free(layerwise_moments *m)
{
    mem_free(m->products);
    mem_free(m->drift);
    mem_free(m->mean);
    mem_free(m->exact_mean);
    *m = (layerwise_moments){ 0 };
}

static bool in_encoder(const layerwise *t) { return t->at < stages_of_encoder(net_of(t)); }

bool layerwise_stage(layerwise *t, stage *out)
{
    if (t->at + 1 >= stages_count(net_of(t)))
        return false;
    *out = stages_get(net_of(t), t->at);
    return true;
}

/* The stage's input of a sample. */
static dmat input(const layerwise *t, const sample *p, int version)
{
    dmat in = t->at == 0 ? p->flat : p->version[t->diverged ? version : EXACT].in;
    in.cols = stages_get(net_of(t), t->at).refs[0]->cols;
    return in;
}

static net_rows rows_of(const layerwise *t, const sample *p)
{
    if (in_encoder(t))
        return (net_rows){ 0, p->n_audio, p->n_audio };
    return (net_rows){ p->audio_begin, p->audio_begin + p->n_audio, p->n_prompt - 1 };
}

/* A column of ones makes sums of the elements part of the products. */
static qasr_status add_ones(const layerwise *t, input_moments *g, qasr_error *err)
{
    dmat column = g->block;
    float *ones;
    TRY(MEM_ALLOC(&ones, column.rows, err));
    for (size_t i = 0; i < column.rows; i++)
        ones[i] = 1;
    column.offset += (column.cols - 1) * sizeof(float);
    column.cols = 1;
    qasr_status status = device_write(t->d, column, ones, err);
    mem_free(ones);
    return status;
}

static qasr_status moments_of_stage(const layerwise *t, input_moments *g, qasr_error *err)
{
    device_begin(t->d);
    input_moments_clear(g, t->d);
    TRY(device_end(t->d, err));
    if (stages_get(net_of(t), t->at).biases[0])
        TRY(add_ones(t, g, err));
    device_begin(t->d);
    for (size_t i = 0; i < t->n_samples_listed; i++) {
        const sample *p = &t->samples[i];
        input_moments_add(g, t->d, input(t, p, ROUNDED), input(t, p, EXACT), rows_of(t, p));
    }
    input_moments_flush(g, t->d);
    return device_end(t->d, err);
}

/* Means of the triangle's first n rows and columns. */
static void unfold(float *out, size_t n, const float *triangle, double weight)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            out[i * n + j] = out[j * n + i] = (float)((double)triangle[i * (i + 1) / 2 + j] / weight);
}

static qasr_status read_products(const layerwise *t, const input_moments *g, layerwise_moments *m, qasr_error *err)
{
    float *host;
    TRY(MEM_ALLOC(&m->products, m->n * m->n, err));
    TRY(MEM_ALLOC(&host, g->triangle.cols, err));
    qasr_status status = device_read(t->d, host, g->triangle, err);
    if (status == QASR_OK)
        unfold(m->products, m->n, host, g->weight);
    for (size_t i = 0; i < m->n && m->mean; i++)
        m->mean[i] = (double)host[input_moments_triangle(m->n) + i] / g->weight;
    mem_free(host);
    return status;
}

static qasr_status read_drift(const layerwise *t, const input_moments *g, layerwise_moments *m, qasr_error *err)
{
    float *host;
    TRY(MEM_ALLOC(&m->drift, m->n * m->n, err));
    TRY(MEM_ALLOC(&host, g->cols * g->cols, err));
    qasr_status status = device_read(t->d, host, g->drift, err);
    for (size_t i = 0; i < m->n; i++) {
        for (size_t j = 0; j < m->n; j++)
            m->drift[i * m->n + j] = (float)((double)host[i * g->cols + j] / g->weight);
        if (m->mean)
            m->exact_mean[i] = m->mean[i] + (double)host[i * g->cols + m->n] / g->weight;
    }
    mem_free(host);
    return status;
}

/* Products become those of the distances to the means. */
static void centre(layerwise_moments *m)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t j = 0; j < m->n; j++) {
            m->products[i * m->n + j] -= (float)(m->mean[i] * m->mean[j]);
            if (m->drift)
                m->drift[i * m->n + j] -= (float)((m->exact_mean[i] - m->mean[i]) * m->mean[j]);
        }
}

static qasr_status read_moments(const layerwise *t, const input_moments *g, layerwise_moments *m, qasr_error *err)
{
    m->n_rows = g->weight * g->weight / g->weight_squares;
    if (g->cols > m->n) {
        TRY(MEM_CALLOC(&m->mean, m->n, err));
        TRY(MEM_CALLOC(&m->exact_mean, m->n, err));
    }
    TRY(read_products(t, g, m, err));
    if (m->mean)
        memcpy(m->exact_mean, m->mean, m->n * sizeof *m->mean);
    if (g->what & MOMENTS_DRIFT)
        TRY(read_drift(t, g, m, err));
    if (m->mean)
        centre(m);
    return QASR_OK;
}

qasr_status layerwise_get_moments(layerwise *t, layerwise_moments *out, qasr_error *err)
{
    stage s = stages_get(net_of(t), t->at);
    layerwise_moments made = { .n = s.refs[0]->cols };
    unsigned what = MOMENTS_PRODUCTS | (t->diverged ? MOMENTS_DRIFT : 0);
    size_t used = 0, cols = made.n + (s.biases[0] ? 1 : 0);
    input_moments g;
    device_mem *mem = NULL;
    qasr_status status;
    TRY_GOTO(device_alloc(t->d, &mem, (size_t)input_moments_bytes(cols, what), err));
    input_moments_place(&g, mem, &used, cols, what);
    TRY_GOTO(moments_of_stage(t, &g, err));
    TRY_GOTO(read_moments(t, &g, &made, err));
    *out = made;
done:
    device_mem_free(t->d, mem);
    if (status != QASR_OK)
        layerwise_moments_free(&made);
    return status;
}

qasr_status layerwise_get_head_moments(layerwise *t, layerwise_moments *out, qasr_error *err)
{
    layerwise_moments made = { .n = t->head.cols };
    qasr_status status = read_moments(t, &t->head, &made, err);
    if (status == QASR_OK)
        *out = made;
    else
        layerwise_moments_free(&made);
    return status;
}

/* ---- handing in ----------------------------------------------------------------------------------- */

static qasr_status put(layerwise *t, override *s, int type, size_t rows, size_t cols, const void *data, qasr_error *err)
{
    drop(t, s);
    TRY(device_alloc(t->d, &s->mem, rows * dmat_row_bytes(type, cols), err));
    s->w = dmat_make(s->mem, 0, type, rows, cols);
    return device_write(t->d, s->w, data, err);
}

qasr_status layerwise_put(layerwise *t, size_t k, quant_type type, const void *blocks, qasr_error *err)
{
    const weight_ref *ref = stages_get(net_of(t), t->at).refs[k];
    return put(t, &t->rounded[k], (int)type, ref->rows, ref->cols, blocks, err);
}

qasr_status layerwise_put_bias(layerwise *t, size_t k, const float *bias, qasr_error *err)
{
    const weight_ref *ref = stages_get(net_of(t), t->at).bias_refs[k];
    return put(t, &t->biases[k], QUANT_F32, 1, ref->cols, bias, err);
}

qasr_status layerwise_put_embedding(layerwise *t, quant_type type, const void *blocks, qasr_error *err)
{
    const weight_ref *ref = &t->model->checkpoint->top[TOP_EMBED];
    return put(t, &t->embedding, (int)type, ref->rows, ref->cols, blocks, err);
}

/* ---- stepping on ---------------------------------------------------------------------------------- */

static void exchange(dmat *w, override *s)
{
    dmat old = *w;
    if (!s->mem)
        return;
    *w = s->w;
    s->w = old;
}

/* The network gets the rounded weights of the stage, or its own back. */
static void exchange_stage(layerwise *t)
{
    stage s = stages_get(net_of(t), t->at);
    for (size_t k = 0; k < s.n; k++) {
        exchange(s.w[k], &t->rounded[k]);
        if (s.biases[k])
            exchange(s.biases[k], &t->biases[k]);
    }
}

static qasr_status copy_rows(const layerwise *t, dmat out, dmat x, qasr_error *err)
{
    device_begin(t->d);
    op_copy(t->d, out, x);
    return device_end(t->d, err);
}

/* From here on the versions differ: the second begins as a copy of the first. */
static qasr_status part_versions(layerwise *t, qasr_error *err)
{
    for (size_t i = 0; i < t->n_samples_listed; i++) {
        sample *p = &t->samples[i];
        if (in_encoder(t))
            TRY(alloc_encoder(t, p, ROUNDED, err));
        else
            TRY(alloc_decoder(t, &p->version[ROUNDED].mem, p, &p->version[ROUNDED].x, &p->version[ROUNDED].in, err));
        if (t->at == 0)
            continue;
        TRY(copy_rows(t, p->version[ROUNDED].x, p->version[EXACT].x, err));
        TRY(copy_rows(t, p->version[ROUNDED].in, p->version[EXACT].in, err));
    }
    t->diverged = true;
    return QASR_OK;
}

static qasr_status run_encoder(layerwise *t, int version, qasr_error *err)
{
    net *n = net_of(t);
    bool last = t->at + 1 == stages_of_encoder(n);
    for (size_t i = 0; i < t->n_samples_listed; i++) {
        sample *p = &t->samples[i];
        dmat next = last ? p->version[version].embeds : p->version[version].in;
        if (!last)
            next.cols = stages_get(n, t->at + 1).refs[0]->cols;
        TRY(encoder_run_stage(t->session->encoder, t->at, p->version[version].x, input(t, p, version), next, err));
    }
    return QASR_OK;
}

static qasr_status run_decoder(layerwise *t, int version, qasr_error *err)
{
    net *n = net_of(t);
    size_t s = t->at - stages_of_encoder(n);
    for (size_t i = 0; i < t->n_samples_listed; i++) {
        sample *p = &t->samples[i];
        dmat next = p->version[version].in;
        next.cols = stages_get(n, t->at + 1).refs[0]->cols;
        TRY(decoder_run_stage(t->session->decoder, t->slot, s, p->version[version].x, input(t, p, version), next, err));
    }
    return QASR_OK;
}

static qasr_status run_stage(layerwise *t, int version, qasr_error *err)
{
    return in_encoder(t) ? run_encoder(t, version, err) : run_decoder(t, version, err);
}

/* Sequences of embedding and sound; the version's memory for the encoder goes. */
static qasr_status start_decoder(layerwise *t, sample *p, int version, dmat embeds, qasr_error *err)
{
    device_mem *mem = NULL;
    dmat x, in, next;
    qasr_status status;
    TRY_GOTO(alloc_decoder(t, &mem, p, &x, &in, err));
    next = in;
    next.cols = x.cols;
    TRY_GOTO(decoder_start_stages(t->session->decoder, p->ids, p->audio_begin, embeds, x, next, err));
    device_mem_free(t->d, p->version[version].mem);
    p->version[version].mem = mem;
    p->version[version].x = x;
    p->version[version].in = in;
    mem = NULL;
done:
    device_mem_free(t->d, mem);
    return status;
}

static qasr_status start_version(layerwise *t, int version, qasr_error *err)
{
    for (size_t i = 0; i < t->n_samples_listed; i++)
        TRY(start_decoder(t, &t->samples[i], version, t->samples[i].version[t->diverged ? version : EXACT].embeds,
                          err));
    return QASR_OK;
}

/* The rounded version first: what it takes from the exact one, if they do not differ yet, must be there still. */
static qasr_status enter_decoder(layerwise *t, qasr_error *err)
{
    dmat *table = &net_of(t)->top[TOP_EMBED];
    size_t longest = 0;
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < t->n_samples_listed; i++)
        longest = widest(longest, t->samples[i].n_ids);
    TRY(decoder_open_slot(t->session->decoder, &t->slot, longest, err));
    bool diverged = t->diverged || t->embedding.mem;
    if (diverged) {
        exchange(table, &t->embedding);
        status = start_version(t, ROUNDED, err);
        exchange(table, &t->embedding);
    }
    TRY(status);
    TRY(start_version(t, EXACT, err));
    t->diverged = diverged;
    return QASR_OK;
}

static bool is_rounded(const layerwise *t)
{
    for (size_t k = 0; k < STAGE_MAX_MATRICES; k++)
        if (t->rounded[k].mem || t->biases[k].mem)
            return true;
    return false;
}

static qasr_status run_versions(layerwise *t, qasr_error *err)
{
    if (!t->diverged && is_rounded(t))
        TRY(part_versions(t, err));
    TRY(run_stage(t, EXACT, err));
    if (!t->diverged)
        return QASR_OK;
    exchange_stage(t);
    qasr_status status = run_stage(t, ROUNDED, err);
    exchange_stage(t);
    return status;
}

static void drop_flat(layerwise *t)
{
    for (size_t i = 0; i < t->n_samples_listed; i++) {
        device_mem_free(t->d, t->samples[i].flat_mem);
        t->samples[i].flat_mem = NULL;
    }
}

qasr_status layerwise_step(layerwise *t, qasr_error *err)
{
    stage s = stages_get(net_of(t), t->at);
    if (t->at + 2 < stages_count(net_of(t))) /* what follows the last is the head */
        TRY(run_versions(t, err));
    stage_release(&s);
    drop_stage(t);
    if (t->at == 0)
        drop_flat(t);
    t->at++;
    return t->at == stages_of_encoder(net_of(t)) ? enter_decoder(t, err) : QASR_OK;
}
