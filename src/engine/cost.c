/* Counts operations and bytes from the configuration, the tensor types in the files, and the length of the input. Only
 * matrix-sized work counts: products and attention, but not norms, activations and softmax. */
#include "engine/cost.h"

#include "engine/engine.h"
#include "model/net.h"

static double gop(size_t rows, size_t cols, size_t n) { return 2e-9 * (double)rows * (double)cols * (double)n; }

static int kind_of(product_type product)
{
    return product == PRODUCT_INT8 ? COST_INT8 : product == PRODUCT_BF16 ? COST_BF16 : COST_F32;
}

/* Adds the matrices among refs, each multiplied with n rows. */
static void add_products(double ops[COST_KINDS], const weight_ref *refs, size_t n_refs, device *d, size_t n)
{
    for (size_t i = 0; i < n_refs; i++)
        if (!refs[i].is_vector) {
            int kind = kind_of(device_product_type(d, refs[i].tensor->type, refs[i].cols));
            ops[kind] += gop(refs[i].rows, refs[i].cols, n);
        }
}

static void count_convolutions(cost_ops *ops, const model *m, device *d, size_t n_segments)
{
    const model_config *c = &m->config;
    size_t height = c->enc.n_mels, width = c->enc.chunk_frames;
    for (size_t i = 0; i < 3; i++) {
        const weight_ref *w = &m->top[TOP_CONV1_W + 2 * i];
        height = (height + 1) / 2;
        width = (width + 1) / 2;
        dtype packed = device_conv_packed(d, net_conv_type(w), w->rows, w->cols / 9).type;
        ops->conv[packed == QUANT_BF16 ? COST_BF16 : COST_F32] += gop(w->rows, w->cols, n_segments * height * width);
    }
}

/* Each vector attends to its window; scores and weighted sums are one product each. */
static double count_window_attention(const model_config *c, size_t n_tokens)
{
    size_t window = c->enc.window_frames / c->enc.chunk_frames * config_tokens_per_chunk(c), rest = n_tokens % window;
    double pairs = (double)(n_tokens / window) * (double)window * (double)window + (double)rest * (double)rest;
    return 4e-9 * pairs * (double)c->enc.d_model * (double)c->enc.n_layers;
}

static double count_causal_attention(const model_config *c, size_t n)
{
    double pairs = 0.5 * (double)n * ((double)n + 1);
    return 4e-9 * pairs * (double)(c->dec.n_heads * c->dec.head_dim) * (double)c->dec.n_layers;
}

void cost_count_ops(cost_ops *ops, const model *m, device *d, size_t n_frames, size_t n_prompt)
{
    const model_config *c = &m->config;
    size_t n_tokens = config_audio_tokens(c, n_frames);
    *ops = (cost_ops){ 0 };
    count_convolutions(ops, m, d, (n_frames + c->enc.chunk_frames - 1) / c->enc.chunk_frames);
    add_products(ops->conv_out, &m->top[TOP_CONV_OUT], 1, d, n_tokens);
    add_products(ops->enc_layers, &m->enc[0][0], c->enc.n_layers * ENC_WEIGHTS, d, n_tokens);
    add_products(ops->enc_layers, &m->top[TOP_PROJ1_W], 1, d, n_tokens);
    add_products(ops->enc_layers, &m->top[TOP_PROJ2_W], 1, d, n_tokens);
    ops->enc_attention = count_window_attention(c, n_tokens);
    add_products(ops->prefill, &m->dec[0][0], c->dec.n_layers * DEC_WEIGHTS, d, n_prompt);
    ops->prefill[COST_F32] += gop(m->top[TOP_HEAD].rows, m->top[TOP_HEAD].cols, 1); /* one row, as in a decoding step */
    ops->prefill_attention = count_causal_attention(c, n_prompt);
}

static uint64_t sum_bytes(const weight_ref *refs, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += refs[i].tensor->n_bytes;
    return bytes;
}

uint64_t cost_step_bytes(const model *m)
{
    const weight_ref *embed = &m->top[TOP_EMBED];
    return sum_bytes(&m->dec[0][0], m->config.dec.n_layers * DEC_WEIGHTS) + sum_bytes(&m->top[TOP_NORM], 1) +
           sum_bytes(&m->top[TOP_HEAD], 1) + quant_row_bytes(quant_get(embed->tensor->type), embed->cols);
}

double cost_step_gop(const model *m)
{
    const weight_ref *head = &m->top[TOP_HEAD], *refs = &m->dec[0][0];
    double sum = gop(head->rows, head->cols, 1);
    for (size_t i = 0; i < m->config.dec.n_layers * DEC_WEIGHTS; i++)
        if (!refs[i].is_vector)
            sum += gop(refs[i].rows, refs[i].cols, 1);
    return sum;
}

uint64_t cost_kv_bytes(const model_config *c, quant_type kv_type)
{
    return 2 * (uint64_t)c->dec.n_layers * c->dec.n_kv_heads * quant_row_bytes(quant_get(kv_type), c->dec.head_dim);
}

uint64_t cost_weights_bytes(const model *m)
{
    bool shared_head = m->top[TOP_HEAD].tensor == m->top[TOP_EMBED].tensor;
    return sum_bytes(m->top, TOP_WEIGHTS) - (shared_head ? m->top[TOP_HEAD].tensor->n_bytes : 0) +
           sum_bytes(&m->enc[0][0], m->config.enc.n_layers * ENC_WEIGHTS) +
           sum_bytes(&m->dec[0][0], m->config.dec.n_layers * DEC_WEIGHTS);
}

static double sum(const double ops[COST_KINDS]) { return ops[COST_F32] + ops[COST_BF16] + ops[COST_INT8]; }

static const char *most(const double ops[COST_KINDS])
{
    static const char *const names[COST_KINDS] = { [COST_F32] = "f32", [COST_BF16] = "bf16", [COST_INT8] = "int8" };
    int kind = 0;
    for (int i = 1; i < COST_KINDS; i++)
        kind = ops[i] > ops[kind] ? i : kind;
    return names[kind];
}

qasr_status engine_session_cost(const qasr_session *s, size_t n_samples, size_t n_tokens, qasr_cost *out,
                                qasr_error *err)
{
    const model *m = s->model->checkpoint;
    size_t n_frames = mel_frames(audio_padded_samples(n_samples));
    cost_ops ops;
    prompt p = { 0 };
    qasr_status status =
        prompt_build(&p, s->model->tokenizer, NULL, NULL, config_audio_tokens(&m->config, n_frames), err);
    if (status == QASR_OK) {
        cost_count_ops(&ops, m, s->device, n_frames, p.ids.n);
        double encode[COST_KINDS];
        for (int i = 0; i < COST_KINDS; i++)
            encode[i] = ops.conv[i] + ops.conv_out[i] + ops.enc_layers[i];
        out->encode_gop = sum(encode) + ops.enc_attention;
        out->prefill_gop = sum(ops.prefill) + ops.prefill_attention;
        out->encode_precision = most(encode);
        out->prefill_precision = most(ops.prefill);
        out->kv_bytes_per_position = cost_kv_bytes(&m->config, s->kv_type);
        out->decode_bytes_per_token = cost_step_bytes(m) + out->kv_bytes_per_position * (p.ids.n + n_tokens / 2);
        out->weights_bytes = cost_weights_bytes(m);
        out->embedding_type = quant_get(m->top[TOP_EMBED].tensor->type)->name;
        out->n_prompt_tokens = p.ids.n;
    }
    prompt_free(&p);
    return status;
}
