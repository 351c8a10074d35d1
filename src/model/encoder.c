/* Log-mel [128, F] -> chunks of 100 frames -> three strided convolutions (13 vectors per chunk) -> positions
 * that restart in each chunk -> transformer layers with attention inside windows of 104 vectors -> two
 * linear layers -> [N, h]. Mirrors Qwen3ASRAudioEncoder (transformers, models/qwen3_asr).
 *
 * A window never looks outside itself, so groups of windows go through the whole encoder one after another:
 * memory does not grow with the length of the audio. Full attention takes everything as one group. */
#include "model/encoder.h"

#include <string.h>

#include "base/mem.h"
#include "device/layout.h"
#include "model/stages.h"

enum {
    GROUP_WINDOWS = 4, /* windows that share one sweep over the weights */
    CONV_CHUNKS = 4    /* chunks convolved at a time: the first feature map of a chunk has 6 MB */
};
static const float layer_norm_eps = 1e-5f;

struct encoder {
    net *n;
    device_mem *output;
    size_t output_rows;
    float *images; /* [CONV_CHUNKS, n_mels, chunk_frames] */
    dmat image, map[3], flat, x, norm, q, k, v, hidden;
};

qasr_status encoder_create(encoder **out, net *n, qasr_error *err)
{
    encoder *e;
    TRY(MEM_CALLOC(&e, 1, err));
    e->n = n;
    qasr_status status = MEM_ALLOC(&e->images, CONV_CHUNKS * n->config->enc.n_mels * n->config->enc.chunk_frames, err);
    if (status != QASR_OK) {
        encoder_free(e);
        return status;
    }
    *out = e;
    return QASR_OK;
}

void encoder_free(encoder *e)
{
    if (!e)
        return;
    device_mem_free(e->n->d, e->output);
    mem_free(e->images);
    mem_free(e);
}

/* Lays out the scratch matrices for a group of n_chunks; mem NULL: only their total size. Images and maps are done with
 * when the layers begin, so these share their place; flat goes from one to the other. */
static size_t layout_scratch(encoder *e, device_mem *mem, size_t n_chunks)
{
    const model_config *c = e->n->config;
    size_t rows = n_chunks * config_tokens_per_chunk(c), d = c->enc.d_model, ch = c->enc.conv_channels;
    size_t h = c->enc.n_mels, w = c->enc.chunk_frames, chunks = n_chunks < CONV_CHUNKS ? n_chunks : CONV_CHUNKS;
    size_t h1 = (h + 1) / 2, w1 = (w + 1) / 2, h2 = (h1 + 1) / 2, w2 = (w1 + 1) / 2, h3 = (h2 + 1) / 2,
           w3 = (w2 + 1) / 2;
    const dmat_part both[] = { { &e->flat, QUANT_F32, rows, ch * h3 } };
    const dmat_part stem[] = { { &e->image, QUANT_F32, chunks * h * w, 1 },
                               { &e->map[0], QUANT_F32, chunks * h1 * w1, ch },
                               { &e->map[1], QUANT_F32, chunks * h2 * w2, ch },
                               { &e->map[2], QUANT_F32, chunks * h3 * w3, ch } };
    const dmat_part layers[] = { { &e->x, QUANT_F32, rows, d }, { &e->norm, QUANT_F32, rows, d },
                                 { &e->q, QUANT_F32, rows, d }, { &e->k, QUANT_F32, rows, d },
                                 { &e->v, QUANT_F32, rows, d }, { &e->hidden, QUANT_F32, rows, c->enc.d_ffn } };
    size_t shared = dmat_layout(mem, 0, both, ARRAY_LEN(both));
    size_t stem_end = dmat_layout(mem, shared, stem, ARRAY_LEN(stem));
    size_t layers_end = dmat_layout(mem, shared, layers, ARRAY_LEN(layers));
    return stem_end > layers_end ? stem_end : layers_end;
}

static qasr_status reserve(encoder *e, size_t group_chunks, size_t n_tokens, qasr_error *err)
{
    device *d = e->n->d;
    device_mem *scratch;
    TRY(net_scratch(e->n, &scratch, layout_scratch(e, NULL, group_chunks), err));
    layout_scratch(e, scratch, group_chunks);
    if (n_tokens > e->output_rows) {
        device_mem_free(d, e->output);
        e->output = NULL;
        e->output_rows = 0;
        TRY(device_alloc(d, &e->output, n_tokens * e->n->config->enc.d_out * sizeof(float), err));
        e->output_rows = n_tokens;
    }
    return QASR_OK;
}

/* Cuts chunks out of the mel; what lies beyond the last frame is 0, the mean of the normalised range. */
static void cut_images(const encoder *e, const float *mel, size_t n_frames, size_t first, size_t n_chunks)
{
    size_t h = e->n->config->enc.n_mels, w = e->n->config->enc.chunk_frames;
    for (size_t p = 0; p < n_chunks; p++) {
        size_t t0 = (first + p) * w, n = n_frames - t0 < w ? n_frames - t0 : w;
        for (size_t f = 0; f < h; f++) {
            float *row = e->images + (p * h + f) * w;
            memcpy(row, mel + f * n_frames + t0, n * sizeof(float));
            memset(row + n, 0, (w - n) * sizeof(float));
        }
    }
}

/* Convolution stem for chunks [first, first + n) of the clip into rows of flat. */
static qasr_status convolve(encoder *e, const float *mel, size_t n_frames, size_t first, size_t n, dmat flat,
                            qasr_error *err)
{
    const net *bound = e->n;
    const model_config *c = bound->config;
    cut_images(e, mel, n_frames, first, n);
    dmat in = dmat_rows(e->image, 0, n * c->enc.n_mels * c->enc.chunk_frames);
    TRY(device_write(bound->d, in, e->images, err));
    device_begin(bound->d);
    conv_shape s = { n, c->enc.n_mels, c->enc.chunk_frames, 1, c->enc.conv_channels };
    for (size_t i = 0; i < 3; i++) {
        dmat out = dmat_rows(e->map[i], 0, n * ((s.height + 1) / 2) * ((s.width + 1) / 2));
        op_conv2d_gelu(bound->d, out, in, bound->conv_packed[i], bound->top[TOP_CONV1_B + 2 * i], s);
        s = (conv_shape){ n, (s.height + 1) / 2, (s.width + 1) / 2, s.c_out, s.c_out };
        in = out;
    }
    op_conv_to_rows(bound->d, flat, in, s);
    return device_end(bound->d, err);
}

static void project(const net *n, dmat x, linear_part part) { net_linear(n, x, NULL, (dmat){ 0 }, &part, 1, false); }

/* Of the sum, on its way into a stage; w absent: the stage's input is what the one before has returned. */
static row_norm norm_of(const encoder *e, size_t s)
{
    const net *n = e->n;
    size_t end = STAGES_PER_LAYER * n->config->enc.n_layers;
    if (s == end + 1)
        return (row_norm){ n->top[TOP_LN_POST_W], n->top[TOP_LN_POST_B], layer_norm_eps };
    const dmat *w = s >= 1 && s <= end ? n->enc[(s - 1) / STAGES_PER_LAYER] : NULL;
    if (w && (s - 1) % STAGES_PER_LAYER == STAGE_QKV)
        return (row_norm){ w[ENC_LN1_W], w[ENC_LN1_B], layer_norm_eps };
    if (w && (s - 1) % STAGES_PER_LAYER == STAGE_UP)
        return (row_norm){ w[ENC_LN2_W], w[ENC_LN2_B], layer_norm_eps };
    return (row_norm){ 0 };
}

static dmat run_layer_stage(encoder *e, size_t layer, size_t s, dmat x, dmat in, const row_norm *norm, size_t window)
{
    const model_config *c = e->n->config;
    const dmat *w = e->n->enc[layer];
    size_t n = x.rows, head_dim = c->enc.d_model / c->enc.n_heads;
    dmat y = dmat_rows(e->norm, 0, n), hidden = dmat_rows(e->hidden, 0, n), none = { 0 };
    dmat q = dmat_rows(e->q, 0, n), k = dmat_rows(e->k, 0, n), v = dmat_rows(e->v, 0, n);
    attn_heads heads = { c->enc.n_heads, c->enc.n_heads, head_dim, 1.0f / __builtin_sqrtf((float)head_dim) };
    const linear_part qkv[] = { { q, w[ENC_Q_W], w[ENC_Q_B], ACT_NONE, false },
                                { k, w[ENC_K_W], w[ENC_K_B], ACT_NONE, false },
                                { v, w[ENC_V_W], w[ENC_V_B], ACT_NONE, false } };
    const linear_part widen = { hidden, w[ENC_FC1_W], w[ENC_FC1_B], ACT_GELU, false };
    switch (s) {
    case STAGE_QKV:
        net_linear(e->n, in, norm, y, qkv, ARRAY_LEN(qkv), false);
        op_attention_windows(e->n->d, y, q, k, v, heads, window);
        return y;
    case STAGE_OUT: project(e->n, in, (linear_part){ x, w[ENC_O_W], w[ENC_O_B], ACT_NONE, true }); return none;
    case STAGE_UP: net_linear(e->n, in, norm, y, &widen, 1, false); return hidden;
    default: project(e->n, in, (linear_part){ x, w[ENC_FC2_W], w[ENC_FC2_B], ACT_NONE, true }); return none;
    }
}

/* in: what the stage before has returned, or a stored input; absent: the sum x, normed. Returns the input of the next
 * stage; absent if that is the sum, normed; after the last one out, which gets the vectors. */
static dmat run_stage(encoder *e, size_t s, dmat x, dmat in, size_t window, dmat out)
{
    const net *n = e->n;
    size_t n_layers = n->config->enc.n_layers;
    dmat y = dmat_rows(e->norm, 0, x.rows), none = { 0 };
    row_norm of_sum = norm_of(e, s);
    const row_norm *norm = in.mem ? NULL : &of_sum;
    if (norm)
        in = x;
    if (s == 0) {
        project(n, in, (linear_part){ x, n->top[TOP_CONV_OUT], none, ACT_NONE, false });
        op_add_cyclic(n->d, x, n->positions);
        return none;
    }
    if (s <= STAGES_PER_LAYER * n_layers)
        return run_layer_stage(e, (s - 1) / STAGES_PER_LAYER, (s - 1) % STAGES_PER_LAYER, x, in, norm, window);
    if (s == STAGES_PER_LAYER * n_layers + 1) {
        if (norm) { /* x is the output too, so that norm(x) must be stored */
            op_layer_norm(n->d, y, x, norm->w, norm->b, norm->eps);
            in = y;
        }
        project(n, in, (linear_part){ x, n->top[TOP_PROJ1_W], n->top[TOP_PROJ1_B], ACT_GELU, false });
        return x;
    }
    project(n, in, (linear_part){ out, n->top[TOP_PROJ2_W], n->top[TOP_PROJ2_B], ACT_NONE, false });
    return out;
}

/* All stages for one group: flat rows -> out rows. */
static qasr_status transform(encoder *e, size_t n_rows, size_t window, dmat out, qasr_error *err)
{
    dmat in = dmat_rows(e->flat, 0, n_rows), x = dmat_rows(e->x, 0, n_rows);
    e->n->rows = (net_rows){ 0, n_rows, n_rows };
    device_begin(e->n->d);
    for (size_t s = 0; s < stages_of_encoder(e->n); s++)
        in = run_stage(e, s, x, in, window, out);
    return device_end(e->n->d, err);
}

qasr_status encoder_run(encoder *e, dmat *out, const float *mel, size_t n_frames, bool full, qasr_error *err)
{
    const model_config *c = e->n->config;
    size_t per_chunk = config_tokens_per_chunk(c), n_tokens = config_audio_tokens(c, n_frames);
    size_t n_chunks = (n_frames + c->enc.chunk_frames - 1) / c->enc.chunk_frames;
    size_t window_chunks = full ? n_chunks : c->enc.window_frames / c->enc.chunk_frames;
    size_t group_chunks = full ? n_chunks : GROUP_WINDOWS * window_chunks;
    group_chunks = group_chunks < n_chunks ? group_chunks : n_chunks;
    TRY(reserve(e, group_chunks, n_tokens, err));
    *out = dmat_make(e->output, 0, QUANT_F32, n_tokens, c->enc.d_out);

    for (size_t first = 0; first < n_chunks; first += group_chunks) {
        size_t n = n_chunks - first < group_chunks ? n_chunks - first : group_chunks;
        for (size_t p = 0; p < n; p += CONV_CHUNKS) {
            size_t m = n - p < CONV_CHUNKS ? n - p : CONV_CHUNKS;
            TRY(convolve(e, mel, n_frames, first + p, m, dmat_rows(e->flat, p * per_chunk, m * per_chunk), err));
        }
        size_t row0 = first * per_chunk; /* the last chunk may give fewer vectors than it has */
        size_t n_rows = n_tokens - row0 < n * per_chunk ? n_tokens - row0 : n * per_chunk;
        TRY(transform(e, n_rows, window_chunks * per_chunk, dmat_rows(*out, row0, n_rows), err));
    }
    return QASR_OK;
}

qasr_status encoder_run_stage(encoder *e, size_t s, dmat x, dmat in, dmat next, qasr_error *err)
{
    const model_config *c = e->n->config;
    size_t per_chunk = config_tokens_per_chunk(c);
    TRY(reserve(e, (x.rows + per_chunk - 1) / per_chunk, 0, err));
    device_begin(e->n->d);
    dmat made = run_stage(e, s, x, in, c->enc.window_frames / c->enc.chunk_frames * per_chunk, next);
    if (!made.mem) {
        row_norm norm = norm_of(e, s + 1);
        op_layer_norm(e->n->d, next, x, norm.w, norm.b, norm.eps);
    } else if (s + 1 < stages_of_encoder(e->n)) {
        op_copy(e->n->d, next, made);
    }
    return device_end(e->n->d, err);
}
