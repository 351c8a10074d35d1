/* See layerwise.h. The audio is transcribed first: a watch on the network keeps the output of the convolutions for each
 * segment and the sums of the head's inputs; the answers complete the token sequences. From then on each segment keeps
 * the residual stream and the input of the current stage, once per version; until something is rounded there is only
 * one version. To run the rounded version, the network's matrices are swapped for the rounded ones, and back. */
#include "quantize/layerwise.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "device/layout.h"
#include "quantize/audio_files.h"
#include "quantize/calibration_session.h"
#include "quantize/input_moments.h"

enum { EXACT, ROUNDED, VERSIONS };
#define MAX_ROW_BYTES ((uint64_t)1 << 30) /* of all samples, both versions */

/* A segment of the calibration audio with its answer. */
typedef struct sample {
    device_mem *flat_mem;
    dmat flat; /* [n_audio, .], input of the first stage; freed after it */
    size_t n_audio;
    int32_t *ids; /* [n_ids], prompt and answer */
    size_t n_ids, n_prompt, audio_begin;
    struct {
        device_mem *mem;
        dmat x, in;  /* residual stream and input of the current stage: [n_audio, .] in the encoder, [n_ids, .] in the
                        decoder */
        dmat embeds; /* [n_audio, .], output of the encoder; in the encoder only */
    } version[VERSIONS];
} sample;

/* A rounded matrix or vector that replaces the network's own; after a swap, the network's own. */
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
    size_t n_samples, capacity;
    size_t n_answered;      /* samples whose ids are known */
    size_t n_given, n_done; /* clips */
    uint64_t row_bytes;     /* estimated memory of the samples */
    input_moments head;     /* of the head's inputs in the exact version */
    device_mem *head_mem;
    size_t seen;        /* while transcribing: stage of the last product */
    qasr_error failure; /* inside a callback */
    size_t at;          /* the current stage */
    bool diverged;      /* the versions differ */
    override rounded[STAGE_MAX_MATRICES], biases[STAGE_MAX_MATRICES], embedding;
    size_t slot; /* of the decoder, in its stages */
};

static net *net_of(const layerwise *lw) { return lw->session->net; }
static const model_config *config_of(const layerwise *lw) { return net_of(lw)->config; }

/* ---- transcription -------------------------------------------------------------------------------- */

/* Estimated memory per audio row: what the encoder or the decoder needs, whichever is more, for both versions. The
 * decoder is assumed to have one row of prompt or answer for each row of audio. */
static uint64_t bytes_per_row(const layerwise *lw)
{
    const model_config *c = config_of(lw);
    size_t enc = c->enc.d_model + c->enc.d_ffn + c->enc.d_out, dec = 2 * (c->dec.d_model + c->dec.d_ffn);
    return VERSIONS * sizeof(float) * (uint64_t)(enc > dec ? enc : dec);
}

static qasr_status add_sample(layerwise *lw, dmat flat, qasr_error *err)
{
    if (lw->n_samples == lw->capacity) {
        size_t capacity = lw->capacity ? 2 * lw->capacity : 64;
        sample *more;
        TRY(MEM_CALLOC(&more, capacity, err));
        if (lw->n_samples)
            memcpy(more, lw->samples, lw->n_samples * sizeof *more);
        mem_free(lw->samples);
        lw->samples = more;
        lw->capacity = capacity;
    }
    sample *s = &lw->samples[lw->n_samples];
    TRY(device_alloc(lw->d, &s->flat_mem, flat.rows * flat.cols * sizeof(float), err));
    s->flat = dmat_make(s->flat_mem, 0, QUANT_F32, flat.rows, flat.cols);
    s->n_audio = flat.rows;
    op_copy(lw->d, s->flat, flat);
    lw->n_samples++;
    lw->row_bytes += flat.rows * bytes_per_row(lw);
    return QASR_OK;
}

/* Releases the pages of a stage's matrices when the next stage begins: all other stages run before it does again. */
static void watch(void *user, dmat x, dmat w, net_rows rows)
{
    layerwise *lw = user;
    net *n = net_of(lw);
    stage before = stages_get(n, lw->seen);
    stage_release(&before);
    lw->seen = stages_find(n, w);
    if (lw->seen + 1 == stages_count(n))
        input_moments_add(&lw->head, lw->d, x, x, rows);
    else if (lw->seen == 0 && lw->failure.status == QASR_OK)
        add_sample(lw, x, &lw->failure);
}

static int give_clip(void *user, qasr_clip *clip)
{
    layerwise *lw = user;
    if (lw->n_given == lw->files.n || lw->row_bytes > MAX_ROW_BYTES)
        return 0;
    clip->path = lw->files.paths[lw->n_given++];
    return 1;
}

/* Segments start in the order in which their answers arrive. */
static qasr_status take_answer(layerwise *lw, const qasr_segment *segment, qasr_error *err)
{
    assert(lw->n_answered < lw->n_samples);
    sample *s = &lw->samples[lw->n_answered];
    prompt made = { 0 };
    qasr_status status;
    TRY_GOTO(prompt_build(&made, lw->model->tokenizer, NULL, NULL, s->n_audio, err));
    assert(made.ids.n == segment->n_prompt_tokens);
    TRY_GOTO(MEM_ALLOC(&s->ids, made.ids.n + segment->n_tokens, err));
    memcpy(s->ids, made.ids.ids, made.ids.n * sizeof *s->ids);
    if (segment->n_tokens)
        memcpy(s->ids + made.ids.n, segment->tokens, segment->n_tokens * sizeof *s->ids);
    s->n_prompt = made.ids.n;
    s->n_ids = made.ids.n + segment->n_tokens;
    s->audio_begin = made.audio_begin;
    lw->n_answered++;
done:
    prompt_free(&made);
    return status;
}

/* Non-zero: stop. */
static int check_cancelled(void *user)
{
    layerwise *lw = user;
    if (lw->failure.status == QASR_OK && lw->opt->on_clip && lw->opt->on_clip(lw->opt->user, lw->n_done, lw->files.n))
        error_write(&lw->failure, QASR_E_CANCELLED, "calibration was cancelled");
    return lw->failure.status != QASR_OK;
}

static int take_result(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    layerwise *lw = user;
    if (error && lw->failure.status == QASR_OK)
        lw->failure = *error;
    for (size_t i = 0; lw->failure.status == QASR_OK && i < result->n_segments; i++)
        if (result->segments[i].n_prompt_tokens) /* else it is silent, and the model did not run */
            take_answer(lw, &result->segments[i], &lw->failure);
    engine_result_free(result);
    lw->n_done++;
    return check_cancelled(lw);
}

static void warn_few_rows(const layerwise *lw)
{
    net *n = net_of(lw);
    const size_t enc_end = stages_of_encoder(n), dec_end = enc_end + stages_of_decoder(n);
    uint64_t audio = 0, ids = 0;
    for (size_t i = 0; i < lw->n_samples; i++) {
        audio += lw->samples[i].n_audio;
        ids += lw->samples[i].n_ids;
    }
    const calibration_rows parts[] = {
        { "encoder", audio, lw->opt->encoder ? calibration_widest(n, 0, enc_end) : 0 },
        { "decoder", ids, lw->opt->decoder ? calibration_widest(n, enc_end, dec_end) : 0 },
        { "head", lw->head.n_rows, lw->opt->head ? calibration_widest(n, dec_end, dec_end + 1) : 0 },
    };
    calibration_warn_few_rows(parts, ARRAY_LEN(parts));
}

static qasr_status transcribe(layerwise *lw, qasr_error *err)
{
    TRY(calibration_session_run(lw->session, give_clip, take_result, check_cancelled, lw, &lw->failure, err));
    if (lw->n_samples == 0)
        return error_set(err, QASR_E_INVALID, "the audio holds no samples, or only silence: nothing to calibrate on");
    warn_few_rows(lw);
    if (lw->n_given < lw->files.n)
        log_warning("calibration uses the first %zu of %zu audio files: the others do not fit into memory", lw->n_given,
                    lw->files.n);
    return QASR_OK;
}

/* ---- opening -------------------------------------------------------------------------------------- */

static qasr_status open_session(layerwise *lw, qasr_error *err)
{
    qasr_decoder_weights from = file_is_dir(lw->opt->model) ? QASR_DECODER_SAFETENSORS : QASR_DECODER_AUTO;
    TRY(calibration_session_open(&lw->model, &lw->session, lw->opt->model, from, lw->opt->n_threads, err));
    lw->d = lw->session->device;
    return QASR_OK;
}

static qasr_status open_head(layerwise *lw, qasr_error *err)
{
    size_t used = 0, cols = config_of(lw)->dec.d_model;
    TRY(device_alloc(lw->d, &lw->head_mem, (size_t)input_moments_bytes(cols, MOMENTS_PRODUCTS), err));
    input_moments_place(&lw->head, lw->head_mem, &used, cols, MOMENTS_PRODUCTS);
    device_begin(lw->d);
    input_moments_clear(&lw->head, lw->d);
    return device_end(lw->d, err);
}

static size_t widest(size_t a, size_t b) { return a > b ? a : b; }

/* Memory for a version of a sample in the encoder; x, in and embeds are laid out. */
static qasr_status alloc_encoder(const layerwise *lw, sample *p, int version, qasr_error *err)
{
    const model_config *c = config_of(lw);
    const dmat_part parts[] = {
        { &p->version[version].x, QUANT_F32, p->n_audio, c->enc.d_model },
        { &p->version[version].in, QUANT_F32, p->n_audio, widest(c->enc.d_model, c->enc.d_ffn) },
        { &p->version[version].embeds, QUANT_F32, p->n_audio, c->enc.d_out },
    };
    return dmat_alloc(lw->d, &p->version[version].mem, parts, ARRAY_LEN(parts), err);
}

/* The same in the decoder, without embeds and without freeing the old memory. */
static qasr_status alloc_decoder(const layerwise *lw, device_mem **out, const sample *p, dmat *x, dmat *in,
                                 qasr_error *err)
{
    const model_config *c = config_of(lw);
    size_t widest_input = widest(widest(c->dec.d_model, c->dec.d_ffn), c->dec.n_heads * c->dec.head_dim);
    const dmat_part parts[] = { { x, QUANT_F32, p->n_ids, c->dec.d_model }, { in, QUANT_F32, p->n_ids, widest_input } };
    return dmat_alloc(lw->d, out, parts, ARRAY_LEN(parts), err);
}

static qasr_status create(layerwise *lw, qasr_error *err)
{
    TRY(audio_files_find(&lw->files, lw->opt->audio, lw->opt->n_audio, 0, err));
    TRY(open_session(lw, err));
    TRY(open_head(lw, err));
    lw->session->context.watch = watch;
    lw->session->context.watch_user = lw;
    TRY(transcribe(lw, err));
    lw->session->context.watch = NULL;
    device_begin(lw->d);
    input_moments_flush(&lw->head, lw->d);
    TRY(device_end(lw->d, err));
    for (size_t i = 0; i < lw->n_samples; i++)
        TRY(alloc_encoder(lw, &lw->samples[i], EXACT, err));
    return QASR_OK;
}

qasr_status layerwise_create(layerwise **out, const layerwise_options *opt, qasr_error *err)
{
    layerwise *lw;
    TRY(MEM_CALLOC(&lw, 1, err));
    lw->opt = opt;
    qasr_status status = create(lw, err);
    lw->opt = NULL;
    if (status != QASR_OK) {
        layerwise_free(lw);
        return status;
    }
    *out = lw;
    return QASR_OK;
}

static void drop(layerwise *lw, override *o)
{
    device_mem_free(lw->d, o->mem);
    *o = (override){ 0 };
}

static void drop_stage(layerwise *lw)
{
    for (size_t k = 0; k < STAGE_MAX_MATRICES; k++) {
        drop(lw, &lw->rounded[k]);
        drop(lw, &lw->biases[k]);
    }
}

void layerwise_free(layerwise *lw)
{
    if (!lw)
        return;
    for (size_t i = 0; i < lw->n_samples; i++) {
        device_mem_free(lw->d, lw->samples[i].flat_mem);
        for (int v = 0; v < VERSIONS; v++)
            device_mem_free(lw->d, lw->samples[i].version[v].mem);
        mem_free(lw->samples[i].ids);
    }
    mem_free(lw->samples);
    if (lw->d) {
        drop_stage(lw);
        drop(lw, &lw->embedding);
        device_mem_free(lw->d, lw->head_mem);
    }
    engine_session_close(lw->session);
    engine_model_close(lw->model);
    audio_files_free(&lw->files);
    mem_free(lw);
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

static bool in_encoder(const layerwise *lw) { return lw->at < stages_of_encoder(net_of(lw)); }

bool layerwise_stage(layerwise *lw, stage *out)
{
    if (lw->at + 1 >= stages_count(net_of(lw)))
        return false;
    *out = stages_get(net_of(lw), lw->at);
    return true;
}

/* A sample's input of the current stage. */
static dmat input(const layerwise *lw, const sample *s, int version)
{
    dmat in = lw->at == 0 ? s->flat : s->version[lw->diverged ? version : EXACT].in;
    in.cols = stages_get(net_of(lw), lw->at).refs[0]->cols;
    return in;
}

static net_rows rows_of(const layerwise *lw, const sample *s)
{
    if (in_encoder(lw))
        return (net_rows){ 0, s->n_audio, s->n_audio };
    return (net_rows){ s->audio_begin, s->audio_begin + s->n_audio, s->n_prompt - 1 };
}

/* A column of ones, so that the products contain the sums of the elements as well. */
static qasr_status add_ones(const layerwise *lw, input_moments *sums, qasr_error *err)
{
    dmat column = sums->block;
    float *ones;
    TRY(MEM_ALLOC(&ones, column.rows, err));
    for (size_t i = 0; i < column.rows; i++)
        ones[i] = 1;
    column.offset += (column.cols - 1) * sizeof(float);
    column.cols = 1;
    qasr_status status = device_write(lw->d, column, ones, err);
    mem_free(ones);
    return status;
}

static qasr_status moments_of_stage(const layerwise *lw, input_moments *sums, qasr_error *err)
{
    device_begin(lw->d);
    input_moments_clear(sums, lw->d);
    TRY(device_end(lw->d, err));
    if (stages_get(net_of(lw), lw->at).biases[0])
        TRY(add_ones(lw, sums, err));
    device_begin(lw->d);
    for (size_t i = 0; i < lw->n_samples; i++) {
        const sample *s = &lw->samples[i];
        input_moments_add(sums, lw->d, input(lw, s, ROUNDED), input(lw, s, EXACT), rows_of(lw, s));
    }
    input_moments_flush(sums, lw->d);
    return device_end(lw->d, err);
}

/* out [n, n]: means from the first n rows of a triangle of sums. */
static void unfold(float *out, size_t n, const float *triangle, double weight)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            out[i * n + j] = out[j * n + i] = (float)((double)triangle[i * (i + 1) / 2 + j] / weight);
}

static qasr_status read_products(const layerwise *lw, const input_moments *sums, layerwise_moments *m, qasr_error *err)
{
    float *host;
    TRY(MEM_ALLOC(&m->products, m->n * m->n, err));
    TRY(MEM_ALLOC(&host, sums->triangle.cols, err));
    qasr_status status = device_read(lw->d, host, sums->triangle, err);
    if (status == QASR_OK)
        unfold(m->products, m->n, host, sums->weight);
    for (size_t i = 0; i < m->n && m->mean; i++)
        m->mean[i] = (double)host[input_moments_triangle(m->n) + i] / sums->weight;
    mem_free(host);
    return status;
}

static qasr_status read_drift(const layerwise *lw, const input_moments *sums, layerwise_moments *m, qasr_error *err)
{
    float *host;
    TRY(MEM_ALLOC(&m->drift, m->n * m->n, err));
    TRY(MEM_ALLOC(&host, sums->cols * sums->cols, err));
    qasr_status status = device_read(lw->d, host, sums->drift, err);
    for (size_t i = 0; i < m->n; i++) {
        for (size_t j = 0; j < m->n; j++)
            m->drift[i * m->n + j] = (float)((double)host[i * sums->cols + j] / sums->weight);
        if (m->mean)
            m->exact_mean[i] = m->mean[i] + (double)host[i * sums->cols + m->n] / sums->weight;
    }
    mem_free(host);
    return status;
}

/* Turns products into those of the deviations from the means. */
static void centre(layerwise_moments *m)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t j = 0; j < m->n; j++) {
            m->products[i * m->n + j] -= (float)(m->mean[i] * m->mean[j]);
            if (m->drift)
                m->drift[i * m->n + j] -= (float)((m->exact_mean[i] - m->mean[i]) * m->mean[j]);
        }
}

static qasr_status read_moments(const layerwise *lw, const input_moments *sums, layerwise_moments *m, qasr_error *err)
{
    m->n_rows = sums->weight * sums->weight / sums->weight_squares;
    if (sums->cols > m->n) {
        TRY(MEM_CALLOC(&m->mean, m->n, err));
        TRY(MEM_CALLOC(&m->exact_mean, m->n, err));
    }
    TRY(read_products(lw, sums, m, err));
    if (m->mean)
        memcpy(m->exact_mean, m->mean, m->n * sizeof *m->mean);
    if (sums->what & MOMENTS_DRIFT)
        TRY(read_drift(lw, sums, m, err));
    if (m->mean)
        centre(m);
    return QASR_OK;
}

qasr_status layerwise_get_moments(layerwise *lw, layerwise_moments *out, qasr_error *err)
{
    stage s = stages_get(net_of(lw), lw->at);
    layerwise_moments made = { .n = s.refs[0]->cols };
    unsigned what = MOMENTS_PRODUCTS | (lw->diverged ? MOMENTS_DRIFT : 0);
    size_t used = 0, cols = made.n + (s.biases[0] ? 1 : 0);
    input_moments sums;
    device_mem *mem = NULL;
    qasr_status status;
    TRY_GOTO(device_alloc(lw->d, &mem, (size_t)input_moments_bytes(cols, what), err));
    input_moments_place(&sums, mem, &used, cols, what);
    TRY_GOTO(moments_of_stage(lw, &sums, err));
    TRY_GOTO(read_moments(lw, &sums, &made, err));
    *out = made;
done:
    device_mem_free(lw->d, mem);
    if (status != QASR_OK)
        layerwise_moments_free(&made);
    return status;
}

qasr_status layerwise_get_head_moments(layerwise *lw, layerwise_moments *out, qasr_error *err)
{
    layerwise_moments made = { .n = lw->head.cols };
    qasr_status status = read_moments(lw, &lw->head, &made, err);
    if (status == QASR_OK)
        *out = made;
    else
        layerwise_moments_free(&made);
    return status;
}

/* ---- rounded weights ------------------------------------------------------------------------------ */

static qasr_status put(layerwise *lw, override *o, quant_type type, size_t rows, size_t cols, const void *data,
                       qasr_error *err)
{
    drop(lw, o);
    TRY(device_alloc(lw->d, &o->mem, rows * dmat_row_bytes(type, cols), err));
    o->w = dmat_make(o->mem, 0, type, rows, cols);
    return device_write(lw->d, o->w, data, err);
}

qasr_status layerwise_put(layerwise *lw, size_t k, quant_type type, const void *blocks, qasr_error *err)
{
    const weight_ref *ref = stages_get(net_of(lw), lw->at).refs[k];
    return put(lw, &lw->rounded[k], type, ref->rows, ref->cols, blocks, err);
}

qasr_status layerwise_put_bias(layerwise *lw, size_t k, const float *bias, qasr_error *err)
{
    const weight_ref *ref = stages_get(net_of(lw), lw->at).bias_refs[k];
    return put(lw, &lw->biases[k], QUANT_F32, 1, ref->cols, bias, err);
}

qasr_status layerwise_put_embedding(layerwise *lw, quant_type type, const void *blocks, qasr_error *err)
{
    const weight_ref *ref = &lw->model->checkpoint->top[TOP_EMBED];
    return put(lw, &lw->embedding, type, ref->rows, ref->cols, blocks, err);
}

/* ---- the next stage ------------------------------------------------------------------------------- */

static void swap(dmat *w, override *o)
{
    dmat old = *w;
    if (!o->mem)
        return;
    *w = o->w;
    o->w = old;
}

/* Swaps the rounded weights of the stage into the network, or its own back. */
static void swap_stage(layerwise *lw)
{
    stage s = stages_get(net_of(lw), lw->at);
    for (size_t k = 0; k < s.n; k++) {
        swap(s.w[k], &lw->rounded[k]);
        if (s.biases[k])
            swap(s.biases[k], &lw->biases[k]);
    }
}

static qasr_status copy_rows(const layerwise *lw, dmat out, dmat x, qasr_error *err)
{
    device_begin(lw->d);
    op_copy(lw->d, out, x);
    return device_end(lw->d, err);
}

/* Starts the divergence of the versions: the rounded one begins as a copy of the exact one. */
static qasr_status split_versions(layerwise *lw, qasr_error *err)
{
    for (size_t i = 0; i < lw->n_samples; i++) {
        sample *s = &lw->samples[i];
        if (in_encoder(lw))
            TRY(alloc_encoder(lw, s, ROUNDED, err));
        else
            TRY(alloc_decoder(lw, &s->version[ROUNDED].mem, s, &s->version[ROUNDED].x, &s->version[ROUNDED].in, err));
        if (lw->at == 0)
            continue;
        TRY(copy_rows(lw, s->version[ROUNDED].x, s->version[EXACT].x, err));
        TRY(copy_rows(lw, s->version[ROUNDED].in, s->version[EXACT].in, err));
    }
    lw->diverged = true;
    return QASR_OK;
}

static qasr_status run_encoder(layerwise *lw, int version, qasr_error *err)
{
    net *n = net_of(lw);
    bool last = lw->at + 1 == stages_of_encoder(n);
    for (size_t i = 0; i < lw->n_samples; i++) {
        sample *s = &lw->samples[i];
        dmat next = last ? s->version[version].embeds : s->version[version].in;
        if (!last)
            next.cols = stages_get(n, lw->at + 1).refs[0]->cols;
        TRY(encoder_run_stage(lw->session->encoder, lw->at, s->version[version].x, input(lw, s, version), next, err));
    }
    return QASR_OK;
}

static qasr_status run_decoder(layerwise *lw, int version, qasr_error *err)
{
    net *n = net_of(lw);
    size_t index = lw->at - stages_of_encoder(n);
    for (size_t i = 0; i < lw->n_samples; i++) {
        sample *s = &lw->samples[i];
        dmat next = s->version[version].in;
        next.cols = stages_get(n, lw->at + 1).refs[0]->cols;
        TRY(decoder_run_stage(lw->session->decoder, lw->slot, index, s->version[version].x, input(lw, s, version), next,
                              err));
    }
    return QASR_OK;
}

static qasr_status run_stage(layerwise *lw, int version, qasr_error *err)
{
    return in_encoder(lw) ? run_encoder(lw, version, err) : run_decoder(lw, version, err);
}

/* Builds the decoder's input from token and audio embeddings, and frees the version's memory of the encoder. */
static qasr_status start_decoder(layerwise *lw, sample *s, int version, dmat embeds, qasr_error *err)
{
    device_mem *mem = NULL;
    dmat x, in, next;
    qasr_status status;
    TRY_GOTO(alloc_decoder(lw, &mem, s, &x, &in, err));
    next = in;
    next.cols = x.cols;
    TRY_GOTO(decoder_start_stages(lw->session->decoder, s->ids, s->audio_begin, embeds, x, next, err));
    device_mem_free(lw->d, s->version[version].mem);
    s->version[version].mem = mem;
    s->version[version].x = x;
    s->version[version].in = in;
    mem = NULL;
done:
    device_mem_free(lw->d, mem);
    return status;
}

static qasr_status start_version(layerwise *lw, int version, qasr_error *err)
{
    for (size_t i = 0; i < lw->n_samples; i++)
        TRY(start_decoder(lw, &lw->samples[i], version, lw->samples[i].version[lw->diverged ? version : EXACT].embeds,
                          err));
    return QASR_OK;
}

/* The rounded version comes first: until the versions differ it reads the exact one's embeddings, which are freed next.
 */
static qasr_status enter_decoder(layerwise *lw, qasr_error *err)
{
    dmat *table = &net_of(lw)->top[TOP_EMBED];
    size_t longest = 0;
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < lw->n_samples; i++)
        longest = widest(longest, lw->samples[i].n_ids);
    TRY(decoder_open_slot(lw->session->decoder, &lw->slot, longest, false, err));
    bool diverged = lw->diverged || lw->embedding.mem;
    if (diverged) {
        swap(table, &lw->embedding);
        status = start_version(lw, ROUNDED, err);
        swap(table, &lw->embedding);
    }
    TRY(status);
    TRY(start_version(lw, EXACT, err));
    lw->diverged = diverged;
    return QASR_OK;
}

static bool is_rounded(const layerwise *lw)
{
    for (size_t k = 0; k < STAGE_MAX_MATRICES; k++)
        if (lw->rounded[k].mem || lw->biases[k].mem)
            return true;
    return false;
}

static qasr_status run_versions(layerwise *lw, qasr_error *err)
{
    if (!lw->diverged && is_rounded(lw))
        TRY(split_versions(lw, err));
    TRY(run_stage(lw, EXACT, err));
    if (!lw->diverged)
        return QASR_OK;
    swap_stage(lw);
    qasr_status status = run_stage(lw, ROUNDED, err);
    swap_stage(lw);
    return status;
}

static void drop_flat(layerwise *lw)
{
    for (size_t i = 0; i < lw->n_samples; i++) {
        device_mem_free(lw->d, lw->samples[i].flat_mem);
        lw->samples[i].flat_mem = NULL;
    }
}

qasr_status layerwise_step(layerwise *lw, qasr_error *err)
{
    stage s = stages_get(net_of(lw), lw->at);
    if (lw->at + 2 < stages_count(net_of(lw))) /* the last stage before the head need not run */
        TRY(run_versions(lw, err));
    stage_release(&s);
    drop_stage(lw);
    if (lw->at == 0)
        drop_flat(lw);
    lw->at++;
    return lw->at == stages_of_encoder(net_of(lw)) ? enter_decoder(lw, err) : QASR_OK;
}
