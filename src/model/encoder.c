/* Log-mel [128, F] -> chunks of 100 frames -> three strided convolutions (13 vectors per chunk) -> positions that
 * restart in each chunk -> transformer layers with attention within windows of 104 vectors -> two linear layers -> [N,
 * h]. Mirrors Qwen3ASRAudioEncoder (transformers, models/qwen3_asr).
 *
 * Windows are independent, so groups of them pass through the whole encoder in turn, and memory does not grow with the
 * length of the audio. Full attention uses a single group. */
#include "model/encoder.h"

#include <string.h>

#include "base/mem.h"
#include "device/layout.h"
#include "model/stages.h"

enum {
    GROUP_WINDOWS = 4, /* windows per pass over the weights */
    CONV_CHUNKS = 4    /* chunks convolved together: the first feature map of a chunk takes 6 MB */
};
static const float layer_norm_eps = 1e-5f;

struct encoder {
    net_context *ctx;
    const net *net;
    device *device;
    device_mem *output;
    size_t output_rows;
    float *images; /* [CONV_CHUNKS, n_mels, chunk_frames] */
    dmat image, map[3], flat, x, norm, q, k, v, hidden;
};

qasr_status encoder_create(encoder **out, net_context *ctx, qasr_error *err)
{
    encoder *enc;
    TRY(MEM_CALLOC(&enc, 1, err));
    enc->ctx = ctx;
    enc->net = ctx->net;
    enc->device = ctx->device;
    qasr_status status =
        MEM_ALLOC(&enc->images, CONV_CHUNKS * enc->net->config->enc.n_mels * enc->net->config->enc.chunk_frames, err);
    if (status != QASR_OK) {
        encoder_free(enc);
        return status;
    }
    *out = enc;
    return QASR_OK;
}

void encoder_free(encoder *enc)
{
    if (!enc)
        return;
    device_mem_free(enc->device, enc->output);
    mem_free(enc->images);
    mem_free(enc);
}

/* Lays out the scratch matrices for a group of n_chunks; with mem NULL, only returns their total size. Images and maps
 * are not needed once the layers begin, so the two share memory; flat passes from one to the other. */
static size_t layout_scratch(encoder *enc, device_mem *mem, size_t n_chunks)
{
    const model_config *c = enc->net->config;
    size_t rows = n_chunks * config_tokens_per_chunk(c), d = c->enc.d_model, ch = c->enc.conv_channels;
    size_t h = c->enc.n_mels, w = c->enc.chunk_frames, chunks = n_chunks < CONV_CHUNKS ? n_chunks : CONV_CHUNKS;
    size_t h1 = (h + 1) / 2, w1 = (w + 1) / 2, h2 = (h1 + 1) / 2, w2 = (w1 + 1) / 2, h3 = (h2 + 1) / 2,
           w3 = (w2 + 1) / 2;
    const dmat_part both[] = { { &enc->flat, QUANT_F32, rows, ch * h3 } };
    const dmat_part stem[] = { { &enc->image, QUANT_F32, chunks * h * w, 1 },
                               { &enc->map[0], QUANT_F32, chunks * h1 * w1, ch },
                               { &enc->map[1], QUANT_F32, chunks * h2 * w2, ch },
                               { &enc->map[2], QUANT_F32, chunks * h3 * w3, ch } };
    const dmat_part layers[] = { { &enc->x, QUANT_F32, rows, d }, { &enc->norm, QUANT_F32, rows, d },
                                 { &enc->q, QUANT_F32, rows, d }, { &enc->k, QUANT_F32, rows, d },
                                 { &enc->v, QUANT_F32, rows, d }, { &enc->hidden, QUANT_F32, rows, c->enc.d_ffn } };
    size_t shared = dmat_layout(mem, 0, both, ARRAY_LEN(both));
    size_t stem_end = dmat_layout(mem, shared, stem, ARRAY_LEN(stem));
    size_t layers_end = dmat_layout(mem, shared, layers, ARRAY_LEN(layers));
    return stem_end > layers_end ? stem_end : layers_end;
}

static qasr_status reserve(encoder *enc, size_t group_chunks, size_t n_tokens, qasr_error *err)
{
    device *d = enc->device;
    device_mem *scratch;
    TRY(net_scratch(enc->ctx, &scratch, layout_scratch(enc, NULL, group_chunks), err));
    layout_scratch(enc, scratch, group_chunks);
    if (n_tokens > enc->output_rows) {
        device_mem_free(d, enc->output);
        enc->output = NULL;
        enc->output_rows = 0;
        TRY(device_alloc(d, &enc->output, n_tokens * enc->net->config->enc.d_out * sizeof(float), err));
        enc->output_rows = n_tokens;
    }
    return QASR_OK;
}

/* Cuts the mel into chunks. Beyond the last frame they are 0, the mean of the normalized range. */
static void cut_images(const encoder *enc, const float *mel, size_t n_frames, size_t first, size_t n_chunks)
{
    size_t h = enc->net->config->enc.n_mels, w = enc->net->config->enc.chunk_frames;
    for (size_t p = 0; p < n_chunks; p++) {
        size_t t0 = (first + p) * w, n = n_frames - t0 < w ? n_frames - t0 : w;
        for (size_t f = 0; f < h; f++) {
            float *row = enc->images + (p * h + f) * w;
            memcpy(row, mel + f * n_frames + t0, n * sizeof(float));
            memset(row + n, 0, (w - n) * sizeof(float));
        }
    }
}

/* Runs the convolutions for chunks [first, first + n) of the clip into rows of flat. */
static qasr_status convolve(encoder *enc, const float *mel, size_t n_frames, size_t first, size_t n, dmat flat,
                            qasr_error *err)
{
    const model_config *c = enc->net->config;
    device *d = enc->device;
    cut_images(enc, mel, n_frames, first, n);
    dmat in = dmat_rows(enc->image, 0, n * c->enc.n_mels * c->enc.chunk_frames);
    TRY(device_write(d, in, enc->images, err));
    device_begin(d);
    conv_shape s = { n, c->enc.n_mels, c->enc.chunk_frames, 1, c->enc.conv_channels };
    for (size_t i = 0; i < 3; i++) {
        dmat out = dmat_rows(enc->map[i], 0, n * ((s.height + 1) / 2) * ((s.width + 1) / 2));
        op_conv2d_gelu(d, out, in, enc->net->conv_packed[i], enc->net->top[TOP_CONV1_B + 2 * i], s);
        s = (conv_shape){ n, (s.height + 1) / 2, (s.width + 1) / 2, s.c_out, s.c_out };
        in = out;
    }
    op_conv_to_rows(d, flat, in, s);
    return device_end(d, err);
}

/* One product of in, without norm. */
static void project(encoder *enc, dmat in, linear_part part)
{
    net_linear(enc->ctx, (net_input){ .x = in }, (dmat){ 0 }, &part, 1, false);
}

/* Projects the flattened feature maps and adds positions: the residual stream x. */
static void enter(encoder *enc, dmat x, dmat flat)
{
    project(enc, flat, (linear_part){ .out = x, .w = enc->net->top[TOP_CONV_OUT] });
    op_add_cyclic(enc->device, x, enc->net->positions);
}

static row_norm norm1(const encoder *enc, size_t layer)
{
    const dmat *w = enc->net->enc[layer];
    return (row_norm){ w[ENC_LN1_W], w[ENC_LN1_B], layer_norm_eps };
}

static row_norm norm2(const encoder *enc, size_t layer)
{
    const dmat *w = enc->net->enc[layer];
    return (row_norm){ w[ENC_LN2_W], w[ENC_LN2_B], layer_norm_eps };
}

static row_norm norm_post(const encoder *enc)
{
    return (row_norm){ enc->net->top[TOP_LN_POST_W], enc->net->top[TOP_LN_POST_B], layer_norm_eps };
}

static void store_norm(const encoder *enc, dmat out, dmat x, row_norm norm)
{
    op_layer_norm(enc->device, out, x, norm.w, norm.b, norm.eps);
}

/* x += out(attention(qkv(norm(x)))), x += fc2(gelu(fc1(norm(x)))). Runs the stages in range. */
static void run_layer(encoder *enc, size_t layer, dmat x, size_t window, const stage_range *range)
{
    const model_config *c = enc->net->config;
    const dmat *w = enc->net->enc[layer];
    const size_t n = x.rows, head_dim = c->enc.d_model / c->enc.n_heads;
    const dmat q = dmat_rows(enc->q, 0, n), k = dmat_rows(enc->k, 0, n), v = dmat_rows(enc->v, 0, n),
               y = dmat_rows(enc->norm, 0, n), hidden = dmat_rows(enc->hidden, 0, n);
    const attn_heads heads = { c->enc.n_heads, c->enc.n_heads, head_dim, 1.0f / __builtin_sqrtf((float)head_dim) };
    const row_norm ln1 = norm1(enc, layer), ln2 = norm2(enc, layer);
    const linear_part qkv[] = { { .out = q, .w = w[ENC_Q_W], .bias = w[ENC_Q_B] },
                                { .out = k, .w = w[ENC_K_W], .bias = w[ENC_K_B] },
                                { .out = v, .w = w[ENC_V_W], .bias = w[ENC_V_B] } };
    const linear_part add_o = { .out = x, .w = w[ENC_O_W], .bias = w[ENC_O_B], .accumulate = true };
    const linear_part widen = { .out = hidden, .w = w[ENC_FC1_W], .bias = w[ENC_FC1_B], .act = ACT_GELU };
    const linear_part add_down = { .out = x, .w = w[ENC_FC2_W], .bias = w[ENC_FC2_B], .accumulate = true };

    if (stage_runs(range, STAGE_QKV)) {
        net_linear(enc->ctx, stage_input(range, x, &ln1), y, qkv, ARRAY_LEN(qkv), false);
        op_attention_windows(enc->device, y, q, k, v, heads, window);
    }
    if (stage_runs(range, STAGE_OUT))
        net_linear(enc->ctx, stage_input(range, y, NULL), y, &add_o, 1, false);
    if (stage_runs(range, STAGE_UP))
        net_linear(enc->ctx, stage_input(range, x, &ln2), y, &widen, 1, false);
    if (stage_runs(range, STAGE_DOWN))
        net_linear(enc->ctx, stage_input(range, hidden, NULL), y, &add_down, 1, false);
}

/* The first of the two output projections, of the normed residual stream. Its result replaces x. */
static void project_inner(encoder *enc, dmat x, dmat in)
{
    const dmat *w = enc->net->top;
    project(enc, in, (linear_part){ .out = x, .w = w[TOP_PROJ1_W], .bias = w[TOP_PROJ1_B], .act = ACT_GELU });
}

static void project_out(encoder *enc, dmat out, dmat in)
{
    project(enc, in, (linear_part){ .out = out, .w = enc->net->top[TOP_PROJ2_W], .bias = enc->net->top[TOP_PROJ2_B] });
}

/* Runs the layers for one group: rows of flat -> rows of out. */
static qasr_status transform(encoder *enc, size_t n_rows, size_t window, dmat out, qasr_error *err)
{
    dmat x = dmat_rows(enc->x, 0, n_rows), y = dmat_rows(enc->norm, 0, n_rows);
    enc->ctx->rows = (net_rows){ 0, n_rows, n_rows };
    device_begin(enc->device);
    enter(enc, x, dmat_rows(enc->flat, 0, n_rows));
    net_check(enc->ctx, NET_STEM, 0, x);
    for (size_t layer = 0; layer < enc->net->config->enc.n_layers; layer++) {
        run_layer(enc, layer, x, window, &(stage_range){ 0, STAGES_PER_LAYER });
        net_check(enc->ctx, NET_ENCODER_LAYER, layer, x);
    }
    store_norm(enc, y, x, norm_post(enc));
    project_inner(enc, x, y);
    project_out(enc, out, x);
    net_check(enc->ctx, NET_PROJECTOR, 0, out);
    return device_end(enc->device, err);
}

qasr_status encoder_run(encoder *enc, dmat *out, const float *mel, size_t n_frames, bool full, qasr_error *err)
{
    const model_config *c = enc->net->config;
    size_t per_chunk = config_tokens_per_chunk(c), n_tokens = config_audio_tokens(c, n_frames);
    size_t n_chunks = (n_frames + c->enc.chunk_frames - 1) / c->enc.chunk_frames;
    size_t window_chunks = full ? n_chunks : c->enc.window_frames / c->enc.chunk_frames;
    size_t group_chunks = full ? n_chunks : GROUP_WINDOWS * window_chunks;
    group_chunks = group_chunks < n_chunks ? group_chunks : n_chunks;
    TRY(reserve(enc, group_chunks, n_tokens, err));
    *out = dmat_make(enc->output, 0, QUANT_F32, n_tokens, c->enc.d_out);

    for (size_t first = 0; first < n_chunks; first += group_chunks) {
        size_t n = n_chunks - first < group_chunks ? n_chunks - first : group_chunks;
        for (size_t p = 0; p < n; p += CONV_CHUNKS) {
            size_t m = n - p < CONV_CHUNKS ? n - p : CONV_CHUNKS;
            TRY(convolve(enc, mel, n_frames, first + p, m, dmat_rows(enc->flat, p * per_chunk, m * per_chunk), err));
        }
        size_t row0 = first * per_chunk; /* the last chunk may be incomplete */
        size_t n_rows = n_tokens - row0 < n * per_chunk ? n_tokens - row0 : n * per_chunk;
        TRY(transform(enc, n_rows, window_chunks * per_chunk, dmat_rows(*out, row0, n_rows), err));
    }
    return QASR_OK;
}

/* Stores the input of the stage after stage s of a layer, from where that left it. */
static void store_next(const encoder *enc, dmat next, dmat x, size_t layer, size_t s)
{
    switch (s) {
    case STAGE_QKV: op_copy(enc->device, next, dmat_rows(enc->norm, 0, x.rows)); break;
    case STAGE_OUT: store_norm(enc, next, x, norm2(enc, layer)); break;
    case STAGE_UP: op_copy(enc->device, next, dmat_rows(enc->hidden, 0, x.rows)); break;
    case STAGE_DOWN:
        store_norm(enc, next, x, layer + 1 < enc->net->config->enc.n_layers ? norm1(enc, layer + 1) : norm_post(enc));
    }
}

qasr_status encoder_run_stage(encoder *enc, size_t s, dmat x, dmat in, dmat next, qasr_error *err)
{
    const model_config *c = enc->net->config;
    size_t per_chunk = config_tokens_per_chunk(c), window = c->enc.window_frames / c->enc.chunk_frames * per_chunk;
    size_t inner = 1 + STAGES_PER_LAYER * c->enc.n_layers;
    TRY(reserve(enc, (x.rows + per_chunk - 1) / per_chunk, 0, err));
    device_begin(enc->device);
    if (s == 0) {
        enter(enc, x, in);
        store_norm(enc, next, x, norm1(enc, 0));
    } else if (s < inner) {
        size_t layer = (s - 1) / STAGES_PER_LAYER, at = (s - 1) % STAGES_PER_LAYER;
        run_layer(enc, layer, x, window, &(stage_range){ at, at + 1, in });
        store_next(enc, next, x, layer, at);
    } else if (s == inner) {
        project_inner(enc, x, in);
        op_copy(enc->device, next, x);
    } else {
        project_out(enc, next, in);
    }
    return device_end(enc->device, err);
}
