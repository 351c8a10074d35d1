/* Moves a model's weights to a device. Matrices are passed as stored in the file. Vectors (norms, biases: under 0.1 %
 * of the weights), the sinusoid table and the reordered convolution weights share one block of device memory. */
#include "model/net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "device/layout.h"

/* Allocates parts of the block; with mem NULL, only adds up their sizes. */
typedef struct binder {
    net *n;
    device *device;
    device_mem *mem;
    size_t used;
    quant_type conv_type[3];
    qasr_error *err;
} binder;

static void take(binder *b, dmat *out, dtype type, size_t rows, size_t cols)
{
    b->used = dmat_layout(b->mem, b->used, &(dmat_part){ out, type, rows, cols }, 1);
}

static qasr_status bind_vector(binder *b, dmat *out, const weight_ref *ref)
{
    take(b, out, QUANT_F32, 1, ref->cols);
    if (!b->mem)
        return QASR_OK;
    float *x;
    TRY(MEM_ALLOC(&x, ref->cols, b->err));
    quant_get(ref->tensor->type)->dequantize(x, ref->tensor->data, ref->cols);
    qasr_status status = device_write(b->device, *out, x, b->err);
    mem_free(x);
    return status;
}

static qasr_status bind_refs(binder *b, dmat *out, const weight_ref *refs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const wtensor *t = refs[i].tensor;
        if (refs[i].is_vector)
            TRY(bind_vector(b, &out[i], &refs[i]));
        else if (b->mem)
            TRY(device_weights_map(b->n->weights, &out[i], weights_file_map(refs[i].source, t->file), t->data, t->type,
                                   refs[i].rows, refs[i].cols, b->err));
    }
    return QASR_OK;
}

void net_sinusoids(float *out, size_t d_model, size_t p)
{
    size_t half = d_model / 2;
    for (size_t k = 0; k < half; k++) {
        double angle = (double)p * exp(-(double)k * log(10000.0) / ((double)half - 1));
        out[k] = (float)sin(angle);
        out[half + k] = (float)cos(angle);
    }
}

static qasr_status bind_positions(binder *b)
{
    size_t rows = config_tokens_per_chunk(b->n->config), d = b->n->config->enc.d_model;
    take(b, &b->n->positions, QUANT_F32, rows, d);
    if (!b->mem)
        return QASR_OK;
    float *table;
    TRY(MEM_ALLOC(&table, rows * d, b->err));
    for (size_t p = 0; p < rows; p++)
        net_sinusoids(table + p * d, d, p);
    qasr_status status = device_write(b->device, b->n->positions, table, b->err);
    mem_free(table);
    return status;
}

static bool all_fit_bf16(const wtensor *t)
{
    enum { STEP = 256 };
    const quant_info *q = quant_get(t->type);
    for (size_t at = 0; at < t->n_values; at += STEP) {
        size_t n = t->n_values - at < STEP ? (size_t)t->n_values - at : STEP;
        uint32_t bits[STEP], lost = 0;
        float x[STEP];
        q->dequantize(x, (const unsigned char *)t->data + quant_row_bytes(q, at), n);
        memcpy(bits, x, n * sizeof *x);
        for (size_t i = 0; i < n; i++)
            lost |= bits[i] & 0xFFFF;
        if (lost)
            return false;
    }
    return true;
}

quant_type net_conv_type(const weight_ref *ref)
{
    const wtensor *t = ref->tensor;
    bool is_wider = t->type == QUANT_F32 || t->type == QUANT_F16;
    return is_wider && (!t->data || all_fit_bf16(t)) ? QUANT_BF16 : t->type; /* outlines are of bfloat16 checkpoints */
}

static qasr_status bind_all(binder *b)
{
    net *n = b->n;
    TRY(bind_refs(b, n->top, n->model->top, TOP_WEIGHTS));
    TRY(bind_refs(b, &n->enc[0][0], &n->model->enc[0][0], n->config->enc.n_layers * ENC_WEIGHTS));
    TRY(bind_refs(b, &n->dec[0][0], &n->model->dec[0][0], n->config->dec.n_layers * DEC_WEIGHTS));
    TRY(bind_positions(b));
    for (size_t i = 0; i < ARRAY_LEN(n->conv_packed); i++) {
        size_t c = n->config->enc.conv_channels;
        dmat shape = device_conv_packed(b->device, b->conv_type[i], c, i == 0 ? 1 : c);
        take(b, &n->conv_packed[i], shape.type, 1, shape.cols);
    }
    return QASR_OK;
}

static qasr_status pack_convolutions(net *n, device *d, qasr_error *err)
{
    device_begin(d);
    for (size_t i = 0; i < ARRAY_LEN(n->conv_packed); i++)
        op_conv_pack(d, n->conv_packed[i], n->top[TOP_CONV1_W + 2 * i], i == 0 ? 1 : n->config->enc.conv_channels);
    return device_end(d, err);
}

static qasr_status create(net *n, device *d, qasr_error *err)
{
    TRY(MEM_CALLOC(&n->enc, n->config->enc.n_layers, err));
    TRY(MEM_CALLOC(&n->dec, n->config->dec.n_layers, err));
    TRY(device_weights_create(&n->weights, d, err));
    binder measure = { .n = n, .device = d, .err = err }, real;
    for (size_t i = 0; i < ARRAY_LEN(measure.conv_type); i++)
        measure.conv_type[i] = net_conv_type(&n->model->top[TOP_CONV1_W + 2 * i]);
    real = measure;
    TRY(bind_all(&measure));
    TRY(device_weights_alloc(n->weights, &real.mem, measure.used, err));
    TRY(bind_all(&real));
    return pack_convolutions(n, d, err);
}

qasr_status net_create(net **out, const model *m, device *d, qasr_error *err)
{
    net *n;
    TRY(MEM_CALLOC(&n, 1, err));
    n->model = m;
    n->config = &m->config;
    qasr_status status = create(n, d, err);
    if (status != QASR_OK) {
        net_free(n);
        return status;
    }
    *out = n;
    return QASR_OK;
}

void net_free(net *n)
{
    if (!n)
        return;
    device_weights_free(n->weights);
    mem_free(n->enc);
    mem_free(n->dec);
    mem_free(n);
}

/* ---- running ------------------------------------------------------------------------------------- */

void net_context_clear(net_context *ctx)
{
    device_mem_free(ctx->device, ctx->scratch);
    *ctx = (net_context){ 0 };
}

qasr_status net_scratch(net_context *ctx, device_mem **out, size_t bytes, qasr_error *err)
{
    if (bytes > ctx->scratch_bytes) {
        device_mem_free(ctx->device, ctx->scratch);
        ctx->scratch = NULL;
        ctx->scratch_bytes = 0;
        TRY(device_alloc(ctx->device, &ctx->scratch, bytes, err));
        ctx->scratch_bytes = bytes;
    }
    *out = ctx->scratch;
    return QASR_OK;
}

static void tell(const net_context *ctx, dmat x, dmat w)
{
    if (ctx->watch)
        ctx->watch(ctx->watch_user, x, w, ctx->rows);
}

void net_linear(const net_context *ctx, net_input in, dmat scratch, const linear_part *parts, size_t n_parts,
                bool alone)
{
    const row_norm *norm = in.norm;
    if (norm && ctx->watch) {
        if (norm->b.mem)
            op_layer_norm(ctx->device, scratch, in.x, norm->w, norm->b, norm->eps);
        else
            op_rms_norm(ctx->device, scratch, in.x, norm->w, norm->eps);
        in = (net_input){ .x = scratch };
    }
    tell(ctx, in.x, parts[0].w);
    op_norm_linear(ctx->device, in.x, in.norm, parts, n_parts, alone);
}

/* ---- faults -------------------------------------------------------------------------------------- */

static qasr_status all_finite(bool *finite, device *d, dmat x)
{
    float *row;
    TRY(MEM_ALLOC(&row, x.cols, NULL));
    qasr_status status = QASR_OK;
    *finite = true;
    for (size_t i = 0; i < x.rows && *finite && status == QASR_OK; i++) {
        status = device_read(d, row, dmat_rows(x, i, 1), NULL);
        for (size_t c = 0; c < x.cols && status == QASR_OK; c++)
            *finite = *finite && isfinite(row[c]);
    }
    mem_free(row);
    return status;
}

void net_check(const net_context *ctx, net_place place, size_t layer, dmat x)
{
    net_fault *f = ctx->fault;
    bool finite = true;
    if (!f || f->place != NET_NOWHERE || f->status != QASR_OK)
        return;
    f->status = device_end(ctx->device, NULL);
    if (f->status == QASR_OK)
        f->status = all_finite(&finite, ctx->device, x);
    if (!finite) {
        f->place = place;
        f->layer = layer;
    }
    device_begin(ctx->device);
}

const char *net_fault_place(char *out, size_t size, const net_fault *f)
{
    static const char *const names[] = {
        [NET_NOWHERE] = "the network",           [NET_FEATURES] = "the log-mel features",
        [NET_STEM] = "the convolution stem",     [NET_ENCODER_LAYER] = "encoder layer",
        [NET_PROJECTOR] = "the audio projector", [NET_EMBEDDING] = "the embedding",
        [NET_DECODER_LAYER] = "decoder layer",   [NET_HEAD] = "the output head",
    };
    bool is_layer = f->place == NET_ENCODER_LAYER || f->place == NET_DECODER_LAYER;
    snprintf(out, size, is_layer ? "%s %zu" : "%s", names[f->place], f->layer);
    return out;
}

const char *net_fault_file(const net *n, const net_fault *f)
{
    const model *m = n->model;
    const weight_ref *ref = f->place == NET_ENCODER_LAYER   ? &m->enc[f->layer][ENC_Q_W]
                            : f->place == NET_DECODER_LAYER ? &m->dec[f->layer][DEC_Q]
                            : f->place == NET_PROJECTOR     ? &m->top[TOP_PROJ1_W]
                            : f->place == NET_STEM          ? &m->top[TOP_CONV1_W]
                            : f->place == NET_EMBEDDING     ? &m->top[TOP_EMBED]
                                                            : &m->top[TOP_HEAD];
    return weights_file_path(ref->source, ref->tensor->file);
}

void net_linear_argmax(const net_context *ctx, dmat ids, dmat x, dmat w, dmat scratch)
{
    tell(ctx, x, w);
    op_linear_argmax(ctx->device, ids, x, w, scratch);
}
