/* Token ids and audio vectors [n, h] -> 28 pre-norm layers (grouped-query attention with norms on q and k,
 * rotary positions, SwiGLU) -> logits of the last row -> arg max. Mirrors Qwen3ForCausalLM; the three
 * rotary position streams of the configuration coincide in this model, which leaves plain RoPE.
 *
 * The prompt passes in blocks of rows, so scratch memory does not depend on its length. Keys are cached
 * after norm and rotation, head-major, so one head's keys are one contiguous stream. */
#include "model/decoder.h"

#include <math.h>

#include "base/mem.h"

enum { PREFILL_ROWS = 512 };

struct decoder {
    net *n;
    quant_type kv_type;
    device_mem *cache;
    dmat (*kv)[2];      /* per layer: keys, values [n_kv_heads * capacity, head_dim] */
    dmat rope;          /* [capacity, head_dim] */
    size_t capacity;
    size_t n_past;      /* positions in the cache */
    int32_t *host_pos;  /* [PREFILL_ROWS] */
    dmat ids, pos, next, x, y, q, k, v, gate, up, logits;
};

static size_t layout_scratch(decoder *d, device_mem *mem)
{
    const model_config *c = d->n->config;
    size_t h = c->dec.d_model, q = c->dec.n_heads * c->dec.head_dim, kv = c->dec.n_kv_heads * c->dec.head_dim;
    const struct { dmat *m; int type; size_t rows, cols; } part[] = {
        { &d->ids, DMAT_I32, PREFILL_ROWS, 1 },   { &d->pos, DMAT_I32, PREFILL_ROWS, 1 },
        { &d->next, DMAT_I32, 1, 1 },             { &d->x, QUANT_F32, PREFILL_ROWS, h },
        { &d->y, QUANT_F32, PREFILL_ROWS, h > q ? h : q }, { &d->q, QUANT_F32, PREFILL_ROWS, q },
        { &d->k, QUANT_F32, PREFILL_ROWS, kv },   { &d->v, QUANT_F32, PREFILL_ROWS, kv },
        { &d->gate, QUANT_F32, PREFILL_ROWS, c->dec.d_ffn }, { &d->up, QUANT_F32, PREFILL_ROWS, c->dec.d_ffn },
        { &d->logits, QUANT_F32, 1, c->dec.n_vocab },
    };
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        *part[i].m = dmat_make(mem, used, part[i].type, part[i].rows, part[i].cols);
        used += size_round_up(part[i].rows * part[i].m->stride, MEM_ALIGN);
    }
    return used;
}

qasr_status decoder_create(decoder **out, net *n, quant_type kv_type, qasr_error *err)
{
    decoder *d;
    TRY(MEM_CALLOC(&d, 1, err));
    d->n = n;
    d->kv_type = kv_type;
    qasr_status status = MEM_CALLOC(&d->kv, n->config->dec.n_layers, err);
    if (status == QASR_OK)
        status = MEM_ALLOC(&d->host_pos, PREFILL_ROWS, err);
    if (status != QASR_OK) {
        decoder_free(d);
        return status;
    }
    *out = d;
    return QASR_OK;
}

void decoder_free(decoder *d)
{
    if (!d)
        return;
    device_mem_free(d->n->d, d->cache);
    mem_free(d->kv);
    mem_free(d->host_pos);
    mem_free(d);
}

/* cos and sin of position * theta^(-2i / head_dim): inverse frequency and product are rounded to float32 as in
 * the reference, where that is worth up to 0.002 rad at position 65535. */
static qasr_status write_rope(decoder *d, qasr_error *err)
{
    enum { BLOCK = 64 };
    size_t hd = d->n->config->dec.head_dim, half = hd / 2;
    float *rows;
    TRY(MEM_ALLOC(&rows, BLOCK * hd, err));
    qasr_status status = QASR_OK;
    for (size_t p0 = 0; p0 < d->rope.rows && status == QASR_OK; p0 += BLOCK) {
        size_t n = d->rope.rows - p0 < BLOCK ? d->rope.rows - p0 : BLOCK;
        for (size_t i = 0; i < half; i++) {
            float inv = (float)(1.0 / pow(d->n->config->dec.rope_theta, 2.0 * (double)i / (double)hd));
            for (size_t p = 0; p < n; p++) {
                float angle = (float)(p0 + p) * inv;
                rows[p * hd + i] = cosf(angle);
                rows[p * hd + half + i] = sinf(angle);
            }
        }
        status = device_write(d->n->d, dmat_rows(d->rope, p0, n), rows, err);
    }
    mem_free(rows);
    return status;
}

qasr_status decoder_reserve(decoder *d, size_t n_positions, qasr_error *err)
{
    const model_config *c = d->n->config;
    if (n_positions > c->dec.max_positions)
        return error_set(err, QASR_E_INVALID, "%zu positions are needed for prompt and answer, the model has %zu: use shorter pieces of audio, a shorter "
                         "context or a lower token limit", n_positions, c->dec.max_positions);
    if (n_positions <= d->capacity)
        return QASR_OK;
    size_t capacity = size_round_up(n_positions, 64), hd = c->dec.head_dim;
    size_t kv_rows = c->dec.n_kv_heads * capacity;
    size_t kv_bytes = size_round_up(kv_rows * dmat_row_bytes((int)d->kv_type, hd), MEM_ALIGN);
    device_mem_free(d->n->d, d->cache);
    d->cache = NULL;
    d->capacity = 0;
    size_t rope_bytes = size_round_up(capacity * hd * sizeof(float), MEM_ALIGN);
    TRY(device_alloc(d->n->d, &d->cache, rope_bytes + 2 * c->dec.n_layers * kv_bytes, err));
    d->rope = dmat_make(d->cache, 0, QUANT_F32, capacity, hd);
    for (size_t i = 0; i < 2 * c->dec.n_layers; i++)
        d->kv[i / 2][i % 2] = dmat_make(d->cache, rope_bytes + i * kv_bytes, (int)d->kv_type, kv_rows, hd);
    TRY(write_rope(d, err));
    d->capacity = capacity;
    return QASR_OK;
}

static void run_layer(decoder *d, const dmat w[DEC_WEIGHTS], const dmat kv[2], dmat x, dmat pos)
{
    device *dev = d->n->d;
    const model_config *c = d->n->config;
    size_t n = x.rows, hd = c->dec.head_dim;
    attn_heads heads = { c->dec.n_heads, c->dec.n_kv_heads, hd, 1.0f / sqrtf((float)hd) };
    dmat q = dmat_rows(d->q, 0, n), k = dmat_rows(d->k, 0, n), v = dmat_rows(d->v, 0, n);
    dmat gate = dmat_rows(d->gate, 0, n), up = dmat_rows(d->up, 0, n);
    dmat y = dmat_make(d->y.mem, d->y.offset, QUANT_F32, n, c->dec.d_model);
    dmat o = dmat_make(d->y.mem, d->y.offset, QUANT_F32, n, c->dec.n_heads * hd);
    dmat none = { 0 };

    op_rms_norm(dev, y, x, w[DEC_NORM1], c->dec.rms_eps);
    const linear_part qkv[] = { { q, w[DEC_Q], none, ACT_NONE, false },
                                { k, w[DEC_K], none, ACT_NONE, false },
                                { v, w[DEC_V], none, ACT_NONE, false } };
    op_linear(dev, y, qkv, 3);
    op_qk_norm_rope(dev, q, w[DEC_Q_NORM], d->rope, pos, hd, c->dec.rms_eps);
    op_qk_norm_rope(dev, k, w[DEC_K_NORM], d->rope, pos, hd, c->dec.rms_eps);
    op_kv_write(dev, kv[0], k, pos, hd);
    op_kv_write(dev, kv[1], v, pos, hd);
    op_attention_cached(dev, o, q, kv[0], kv[1], pos, heads, d->n_past + n);
    op_linear(dev, o, &(linear_part){ x, w[DEC_O], none, ACT_NONE, true }, 1);

    op_rms_norm(dev, y, x, w[DEC_NORM2], c->dec.rms_eps);
    const linear_part ffn[] = { { gate, w[DEC_GATE], none, ACT_NONE, false }, { up, w[DEC_UP], none, ACT_NONE, false } };
    op_linear(dev, y, ffn, 2);
    op_silu_mul(dev, gate, up);
    op_linear(dev, gate, &(linear_part){ x, w[DEC_DOWN], none, ACT_NONE, true }, 1);
}

/* Positions n_past .. n_past + n - 1 into d->pos. */
static qasr_status write_positions(decoder *d, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < n; i++)
        d->host_pos[i] = (int32_t)(d->n_past + i);
    return device_write(d->n->d, dmat_rows(d->pos, 0, n), d->host_pos, err);
}

static void run_layers(decoder *d, dmat x)
{
    for (size_t i = 0; i < d->n->config->dec.n_layers; i++)
        run_layer(d, d->n->dec[i], d->kv[i], x, dmat_rows(d->pos, 0, x.rows));
}

/* Choice from the last row of x; d->logits become known only if all are asked for. */
static void choose(decoder *d, dmat x, bool all_logits)
{
    device *dev = d->n->d;
    dmat last = dmat_rows(x, x.rows - 1, 1), y = dmat_make(d->y.mem, d->y.offset, QUANT_F32, 1, x.cols);
    op_rms_norm(dev, y, last, d->n->top[TOP_NORM], d->n->config->dec.rms_eps);
    if (all_logits) {
        op_linear(dev, y, &(linear_part){ .out = d->logits, .w = d->n->top[TOP_HEAD] }, 1);
        op_argmax(dev, d->next, d->logits);
    } else {
        op_linear_argmax(dev, d->next, y, d->n->top[TOP_HEAD], d->logits);
    }
}

/* Overwrites the rows of the block [first, first + x.rows) that are audio placeholders. */
static void put_audio(decoder *d, dmat x, size_t first, size_t audio_begin, dmat embeds)
{
    size_t begin = first > audio_begin ? first : audio_begin;
    size_t end = first + x.rows < audio_begin + embeds.rows ? first + x.rows : audio_begin + embeds.rows;
    if (begin < end)
        op_copy(d->n->d, dmat_rows(x, begin - first, end - begin), dmat_rows(embeds, begin - audio_begin, end - begin));
}

qasr_status decoder_prefill(decoder *d, const int32_t *ids, size_t n, size_t audio_begin, dmat embeds, qasr_error *err)
{
    assert(n >= 1 && n <= d->capacity && audio_begin + embeds.rows <= n);
    device *dev = d->n->d;
    device_mem *scratch;
    TRY(net_scratch(d->n, &scratch, layout_scratch(d, NULL), err));
    layout_scratch(d, scratch);
    d->n_past = 0;
    for (size_t first = 0; first < n; first += PREFILL_ROWS) {
        size_t rows = n - first < PREFILL_ROWS ? n - first : PREFILL_ROWS;
        dmat x = dmat_rows(d->x, 0, rows), block_ids = dmat_rows(d->ids, 0, rows);
        TRY(device_write(dev, block_ids, ids + first, err));
        TRY(write_positions(d, rows, err));
        device_begin(dev);
        op_embed(dev, x, d->n->top[TOP_EMBED], block_ids);
        put_audio(d, x, first, audio_begin, embeds);
        run_layers(d, x);
        if (first + rows == n)
            choose(d, x, true);
        TRY(device_end(dev, err));
        d->n_past += rows;
    }
    return QASR_OK;
}

qasr_status decoder_step(decoder *d, qasr_error *err)
{
    assert(d->n_past < d->capacity);
    dmat x = dmat_rows(d->x, 0, 1);
    TRY(write_positions(d, 1, err));
    device_begin(d->n->d);
    op_embed(d->n->d, x, d->n->top[TOP_EMBED], d->next);
    run_layers(d, x);
    choose(d, x, false);
    TRY(device_end(d->n->d, err));
    d->n_past++;
    return QASR_OK;
}

qasr_status decoder_token(decoder *d, int32_t *id, qasr_error *err)
{
    TRY(device_read(d->n->d, id, d->next, err));
    if (*id < 0)
        return error_set(err, QASR_E_DEVICE, "the model's output is not finite after %zu positions: damaged weights in '%s'?",
                         d->n_past, model_decoder_path(d->n->model));
    return QASR_OK;
}

qasr_status decoder_logits(decoder *d, float *out, qasr_error *err) { return device_read(d->n->d, out, d->logits, err); }
