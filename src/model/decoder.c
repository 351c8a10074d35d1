/* Token ids and audio vectors [n, h] -> 28 pre-norm layers (grouped-query attention with norms on q and k,
 * rotary positions, SwiGLU) -> logits of the last row -> arg max. Mirrors Qwen3ForCausalLM; the three
 * rotary position streams of the configuration coincide in this model, which leaves plain RoPE.
 *
 * The prompt passes in blocks of rows, so scratch memory does not depend on its length. Keys are cached
 * after norm and rotation, head-major, so one head's keys are one contiguous stream.
 *
 * Encoder and decoder take turns in the scratch memory, so nothing that a sequence needs between two steps is there:
 * keys and values are in the slot's own block, position and chosen token on the host. */
#include "model/decoder.h"

#include <math.h>

#include "base/mem.h"

enum { PREFILL_ROWS = 512 };

typedef struct slot {
    device_mem *mem;     /* keys and values of all layers, capacity positions; NULL: none */
    size_t capacity;
    bool used;
    size_t n_past;       /* positions in the cache */
    int32_t next;        /* the chosen token; negative: the logits were not finite */
} slot;

struct decoder {
    net *n;
    quant_type kv_type;
    size_t n_slots;
    slot *slots;         /* [n_slots] */
    dmat *kv;            /* [n_layers][2][n_slots]: keys and values, [n_kv_heads * capacity, head_dim] */
    device_mem *angles;
    dmat rope;           /* [positions, head_dim] */
    int32_t *host_rows;  /* [PREFILL_ROWS] */
    dmat ids, pos, slot, next, x, y, q, k, v, hidden, logits;
};

static size_t layout_scratch(decoder *d, device_mem *mem)
{
    const model_config *c = d->n->config;
    size_t h = c->dec.d_model, q = c->dec.n_heads * c->dec.head_dim, kv = c->dec.n_kv_heads * c->dec.head_dim;
    const struct { dmat *m; int type; size_t rows, cols; } part[] = {
        { &d->ids, DMAT_I32, PREFILL_ROWS, 1 },   { &d->pos, DMAT_I32, PREFILL_ROWS, 1 },
        { &d->slot, DMAT_I32, d->n_slots, 1 },    { &d->next, DMAT_I32, d->n_slots, 1 },
        { &d->x, QUANT_F32, PREFILL_ROWS, h },
        { &d->y, QUANT_F32, PREFILL_ROWS, h > q ? h : q }, { &d->q, QUANT_F32, PREFILL_ROWS, q },
        { &d->k, QUANT_F32, PREFILL_ROWS, kv },   { &d->v, QUANT_F32, PREFILL_ROWS, kv },
        { &d->hidden, QUANT_F32, PREFILL_ROWS, c->dec.d_ffn },
        { &d->logits, QUANT_F32, d->n_slots, c->dec.n_vocab },
    };
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        *part[i].m = dmat_make(mem, used, part[i].type, part[i].rows, part[i].cols);
        used += size_round_up(part[i].rows * part[i].m->stride, MEM_ALIGN);
    }
    return used;
}

/* Keys or values of one layer in a slot. */
static dmat *slot_kv(const decoder *d, size_t layer, int which) { return d->kv + (2 * layer + (size_t)which) * d->n_slots; }

qasr_status decoder_create(decoder **out, net *n, quant_type kv_type, size_t n_slots, qasr_error *err)
{
    assert(n_slots >= 1 && n_slots <= DECODER_MAX_SLOTS);
    const quant_info *q = quant_get(kv_type);
    if (n->config->dec.head_dim % q->block != 0)
        return error_set(err, QASR_E_UNSUPPORTED, "keys and values of type '%s' come in blocks of %u, the model's heads have %zu: "
                         "use f16 or f32", q->name, q->block, n->config->dec.head_dim);
    decoder *d;
    TRY(MEM_CALLOC(&d, 1, err));
    d->n = n;
    d->kv_type = kv_type;
    d->n_slots = n_slots;
    qasr_status status = MEM_CALLOC(&d->slots, n_slots, err);
    if (status == QASR_OK)
        status = MEM_CALLOC(&d->kv, 2 * n->config->dec.n_layers * n_slots, err);
    if (status == QASR_OK)
        status = MEM_ALLOC(&d->host_rows, PREFILL_ROWS, err);
    if (status != QASR_OK) {
        decoder_free(d);
        return status;
    }
    *out = d;
    return QASR_OK;
}

static void release_memory(decoder *d, slot *s)
{
    device_mem_free(d->n->d, s->mem);
    s->mem = NULL;
    s->capacity = 0;
}

void decoder_free(decoder *d)
{
    if (!d)
        return;
    for (size_t i = 0; d->slots && i < d->n_slots; i++)
        release_memory(d, &d->slots[i]);
    device_mem_free(d->n->d, d->angles);
    mem_free(d->slots);
    mem_free(d->kv);
    mem_free(d->host_rows);
    mem_free(d);
}

/* cos and sin of position * theta^(-2i / head_dim): inverse frequency and product are rounded to float32 as in
 * the reference, where that is worth up to 0.002 rad at position 65535. */
static qasr_status write_rope(decoder *d, dmat rope, qasr_error *err)
{
    enum { BLOCK = 64 };
    size_t hd = d->n->config->dec.head_dim, half = hd / 2;
    float *rows;
    TRY(MEM_ALLOC(&rows, BLOCK * hd, err));
    qasr_status status = QASR_OK;
    for (size_t p0 = 0; p0 < rope.rows && status == QASR_OK; p0 += BLOCK) {
        size_t n = rope.rows - p0 < BLOCK ? rope.rows - p0 : BLOCK;
        for (size_t i = 0; i < half; i++) {
            float inv = (float)(1.0 / pow(d->n->config->dec.rope_theta, 2.0 * (double)i / (double)hd));
            for (size_t p = 0; p < n; p++) {
                float angle = (float)(p0 + p) * inv;
                rows[p * hd + i] = cosf(angle);
                rows[p * hd + half + i] = sinf(angle);
            }
        }
        status = device_write(d->n->d, dmat_rows(rope, p0, n), rows, err);
    }
    mem_free(rows);
    return status;
}

/* Angles for at least n positions; those that are there do not change. */
static qasr_status reserve_rope(decoder *d, size_t n, qasr_error *err)
{
    const model_config *c = d->n->config;
    if (n <= d->rope.rows)
        return QASR_OK;
    size_t rows = size_round_up(n, 64);
    device_mem *mem;
    TRY(device_alloc(d->n->d, &mem, rows * c->dec.head_dim * sizeof(float), err));
    dmat rope = dmat_make(mem, 0, QUANT_F32, rows, c->dec.head_dim);
    qasr_status status = write_rope(d, rope, err);
    if (status != QASR_OK) {
        device_mem_free(d->n->d, mem);
        return status;
    }
    device_mem_free(d->n->d, d->angles); /* only now: sequences in other slots go on if there is no memory */
    d->angles = mem;
    d->rope = rope;
    return QASR_OK;
}

static size_t capacity_for(const decoder *d, size_t n_positions) { return size_round_up(n_positions, d->n->d->kv_step); }

/* Of keys or values of one layer. */
static size_t cache_bytes(const decoder *d, size_t capacity)
{
    const model_config *c = d->n->config;
    return size_round_up(c->dec.n_kv_heads * capacity * dmat_row_bytes((int)d->kv_type, c->dec.head_dim), MEM_ALIGN);
}

uint64_t decoder_kv_bytes(const decoder *d, size_t n_positions)
{
    return (uint64_t)2 * d->n->config->dec.n_layers * cache_bytes(d, capacity_for(d, n_positions));
}

uint64_t decoder_kv_used(const decoder *d)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < d->n_slots; i++)
        bytes += d->slots[i].used ? decoder_kv_bytes(d, d->slots[i].capacity) : 0;
    return bytes;
}

size_t decoder_free_slots(const decoder *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_slots; i++)
        n += !d->slots[i].used;
    return n;
}

/* Among the free slots one whose memory fits: room for n, and not much more than that. If there is none, all of them give
 * their memory back first, so that what was needed at some time does not add up. */
static size_t choose_slot(decoder *d, size_t n)
{
    size_t best = d->n_slots;
    for (size_t i = 0; i < d->n_slots; i++) {
        const slot *s = &d->slots[i];
        if (!s->used && s->capacity >= n && s->capacity <= 2 * capacity_for(d, n) &&
            (best == d->n_slots || s->capacity < d->slots[best].capacity))
            best = i;
    }
    if (best < d->n_slots)
        return best;
    for (size_t i = d->n_slots; i-- > 0;)
        if (!d->slots[i].used) {
            release_memory(d, &d->slots[i]);
            best = i;
        }
    return best;
}

static qasr_status reserve_slot(decoder *d, size_t index, size_t n, qasr_error *err)
{
    const model_config *c = d->n->config;
    slot *s = &d->slots[index];
    if (s->capacity >= n)
        return QASR_OK;
    size_t capacity = capacity_for(d, n), bytes = cache_bytes(d, capacity);
    TRY(device_alloc(d->n->d, &s->mem, 2 * c->dec.n_layers * bytes, err));
    s->capacity = capacity;
    for (size_t i = 0; i < 2 * c->dec.n_layers; i++)
        slot_kv(d, i / 2, (int)(i % 2))[index] =
            dmat_make(s->mem, i * bytes, (int)d->kv_type, c->dec.n_kv_heads * capacity, c->dec.head_dim);
    return QASR_OK;
}

qasr_status decoder_open_slot(decoder *d, size_t *out, size_t n_positions, qasr_error *err)
{
    const model_config *c = d->n->config;
    assert(decoder_free_slots(d) > 0);
    if (n_positions > c->dec.max_positions)
        return error_set(err, QASR_E_INVALID, "%zu positions are needed for prompt and answer, the model has %zu: use shorter pieces of audio, a shorter "
                         "context or a lower token limit", n_positions, c->dec.max_positions);
    TRY(reserve_rope(d, n_positions, err));
    size_t index = choose_slot(d, n_positions);
    TRY(reserve_slot(d, index, n_positions, err));
    slot *s = &d->slots[index];
    s->used = true;
    s->n_past = 0;
    s->next = -1;
    *out = index;
    return QASR_OK;
}

void decoder_close_slot(decoder *d, size_t index) { d->slots[index].used = false; }

/* Rows that run together: those of one slot's prompt, or one of each of several slots. */
typedef struct batch {
    dmat x, pos;
    size_t n_kv;         /* no row sees more */
    size_t one;          /* the slot of a prompt's rows */
    const dmat *slots;   /* of the rows of several; NULL: a prompt */
} batch;

/* Queries and keys turned, keys and values in the cache, and attention to what it holds then. */
static void attend(decoder *d, const batch *b, size_t layer, dmat o, dmat q, dmat k, dmat v)
{
    device *dev = d->n->d;
    const model_config *c = d->n->config;
    const dmat *w = d->n->dec[layer], *keys = slot_kv(d, layer, 0), *values = slot_kv(d, layer, 1);
    attn_heads heads = { c->dec.n_heads, c->dec.n_kv_heads, c->dec.head_dim, 1.0f / sqrtf((float)c->dec.head_dim) };
    qk_turn turn = { w[DEC_Q_NORM], w[DEC_K_NORM], d->rope, c->dec.rms_eps, c->dec.rope_theta };
    if (b->slots) {
        op_turn_and_cache_slots(dev, q, k, v, &turn, keys, values, d->n_slots, *b->slots, b->pos);
        op_attention_slots(dev, o, q, keys, values, d->n_slots, *b->slots, b->pos, heads, b->n_kv);
    } else {
        op_turn_and_cache(dev, q, k, v, &turn, keys[b->one], values[b->one], b->pos);
        op_attention_cached(dev, o, q, keys[b->one], values[b->one], b->pos, heads, b->n_kv);
    }
}

static void run_layer(decoder *d, const batch *b, size_t layer)
{
    const model_config *c = d->n->config;
    const dmat *w = d->n->dec[layer];
    size_t n = b->x.rows;
    bool alone = b->slots != NULL;
    dmat q = dmat_rows(d->q, 0, n), k = dmat_rows(d->k, 0, n), v = dmat_rows(d->v, 0, n), hidden = dmat_rows(d->hidden, 0, n);
    dmat y = dmat_make(d->y.mem, d->y.offset, QUANT_F32, n, c->dec.d_model);
    dmat o = dmat_make(d->y.mem, d->y.offset, QUANT_F32, n, c->dec.n_heads * c->dec.head_dim);
    dmat none = { 0 };
    const row_norm before_attention = { w[DEC_NORM1], none, c->dec.rms_eps }, before_hidden = { w[DEC_NORM2], none, c->dec.rms_eps };
    const linear_part qkv[] = { { .out = q, .w = w[DEC_Q] }, { .out = k, .w = w[DEC_K] }, { .out = v, .w = w[DEC_V] } };
    const linear_part widen = { .out = hidden, .w = w[DEC_GATE], .act = ACT_SWIGLU, .up = w[DEC_UP] };

    net_linear(d->n, b->x, &before_attention, y, qkv, ARRAY_LEN(qkv), alone);
    attend(d, b, layer, o, q, k, v);
    net_linear(d->n, o, NULL, none, &(linear_part){ .out = b->x, .w = w[DEC_O], .accumulate = true }, 1, alone);

    net_linear(d->n, b->x, &before_hidden, y, &widen, 1, alone);
    net_linear(d->n, hidden, NULL, none, &(linear_part){ .out = b->x, .w = w[DEC_DOWN], .accumulate = true }, 1, alone);
}

static void run_layers(decoder *d, const batch *b)
{
    for (size_t i = 0; i < d->n->config->dec.n_layers; i++)
        run_layer(d, b, i);
}

/* Choice for each row of x, at most n_slots; d->logits become known only if all are asked for. */
static void choose(decoder *d, dmat x, bool all_logits)
{
    device *dev = d->n->d;
    dmat head = d->n->top[TOP_HEAD], logits = dmat_rows(d->logits, 0, x.rows), next = dmat_rows(d->next, 0, x.rows);
    dmat y = dmat_make(d->y.mem, d->y.offset, QUANT_F32, x.rows, x.cols);
    op_rms_norm(dev, y, x, d->n->top[TOP_NORM], d->n->config->dec.rms_eps);
    if (all_logits) {
        net_linear(d->n, y, NULL, y, &(linear_part){ .out = logits, .w = head }, 1, true);
        op_argmax(dev, next, logits);
    } else {
        net_tell(d->n, y, head);
        op_linear_argmax(dev, next, y, head, logits);
    }
}

static qasr_status get_scratch(decoder *d, qasr_error *err)
{
    device_mem *scratch;
    TRY(net_scratch(d->n, &scratch, layout_scratch(d, NULL), err));
    layout_scratch(d, scratch);
    return QASR_OK;
}

/* Overwrites the rows of the block [first, first + x.rows) that are audio placeholders. */
static void put_audio(decoder *d, dmat x, size_t first, size_t audio_begin, dmat embeds)
{
    size_t begin = first > audio_begin ? first : audio_begin;
    size_t end = first + x.rows < audio_begin + embeds.rows ? first + x.rows : audio_begin + embeds.rows;
    if (begin < end)
        op_copy(d->n->d, dmat_rows(x, begin - first, end - begin), dmat_rows(embeds, begin - audio_begin, end - begin));
}

/* One block of the prompt: ids [rows] at positions first, first + 1, ... */
static qasr_status prefill_block(decoder *d, size_t index, const int32_t *ids, size_t first, size_t rows, bool last,
                                 size_t audio_begin, dmat embeds, qasr_error *err)
{
    device *dev = d->n->d;
    dmat block_ids = dmat_rows(d->ids, 0, rows);
    batch b = { .x = dmat_rows(d->x, 0, rows), .pos = dmat_rows(d->pos, 0, rows), .n_kv = first + rows, .one = index };
    for (size_t i = 0; i < rows; i++)
        d->host_rows[i] = (int32_t)(first + i);
    TRY(device_write(dev, block_ids, ids, err));
    TRY(device_write(dev, b.pos, d->host_rows, err));
    device_begin(dev);
    op_embed(dev, b.x, d->n->top[TOP_EMBED], block_ids);
    put_audio(d, b.x, first, audio_begin, embeds);
    run_layers(d, &b);
    if (last)
        choose(d, dmat_rows(b.x, rows - 1, 1), true);
    return device_end(dev, err);
}

qasr_status decoder_prefill(decoder *d, size_t index, const int32_t *ids, size_t n, size_t audio_begin, dmat embeds,
                            qasr_error *err)
{
    slot *s = &d->slots[index];
    assert(s->used && n >= 1 && n <= s->capacity && audio_begin + embeds.rows <= n);
    TRY(get_scratch(d, err));
    for (size_t first = 0; first < n; first += PREFILL_ROWS) {
        size_t rows = n - first < PREFILL_ROWS ? n - first : PREFILL_ROWS;
        TRY(prefill_block(d, index, ids + first, first, rows, first + rows == n, audio_begin, embeds, err));
    }
    s->n_past = n;
    return device_read(d->n->d, &s->next, dmat_rows(d->next, 0, 1), err);
}

/* Token, position and slot of each row to the device. */
static qasr_status write_rows(decoder *d, const size_t *slots, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < n; i++)
        d->host_rows[i] = d->slots[slots[i]].next;
    TRY(device_write(d->n->d, dmat_rows(d->ids, 0, n), d->host_rows, err));
    for (size_t i = 0; i < n; i++)
        d->host_rows[i] = (int32_t)d->slots[slots[i]].n_past;
    TRY(device_write(d->n->d, dmat_rows(d->pos, 0, n), d->host_rows, err));
    for (size_t i = 0; i < n; i++)
        d->host_rows[i] = (int32_t)slots[i];
    return device_write(d->n->d, dmat_rows(d->slot, 0, n), d->host_rows, err);
}

static qasr_status step(decoder *d, const size_t *slots, size_t n, bool all_logits, qasr_error *err)
{
    device *dev = d->n->d;
    assert(n >= 1 && n <= d->n_slots);
    TRY(get_scratch(d, err));
    dmat slot_rows = dmat_rows(d->slot, 0, n);
    batch b = { .x = dmat_rows(d->x, 0, n), .pos = dmat_rows(d->pos, 0, n), .slots = &slot_rows };
    for (size_t i = 0; i < n; i++) {
        const slot *s = &d->slots[slots[i]];
        assert(s->used && s->n_past < s->capacity && s->next >= 0);
        b.n_kv = s->n_past + 1 > b.n_kv ? s->n_past + 1 : b.n_kv;
    }
    TRY(write_rows(d, slots, n, err));
    device_begin(dev);
    op_embed(dev, b.x, d->n->top[TOP_EMBED], dmat_rows(d->ids, 0, n));
    run_layers(d, &b);
    choose(d, b.x, all_logits);
    TRY(device_end(dev, err));
    TRY(device_read(dev, d->host_rows, dmat_rows(d->next, 0, n), err));
    for (size_t i = 0; i < n; i++) {
        d->slots[slots[i]].next = d->host_rows[i];
        d->slots[slots[i]].n_past++;
    }
    return QASR_OK;
}

qasr_status decoder_step(decoder *d, const size_t *slots, size_t n, qasr_error *err) { return step(d, slots, n, false, err); }

qasr_status decoder_force(decoder *d, size_t index, int32_t id, float *logits, qasr_error *err)
{
    assert(id >= 0 && (size_t)id < d->n->config->dec.n_vocab);
    d->slots[index].next = id;
    TRY(step(d, &index, 1, true, err));
    return decoder_logits(d, logits, err);
}

qasr_status decoder_token(const decoder *d, size_t index, int32_t *id, qasr_error *err)
{
    const slot *s = &d->slots[index];
    if (s->next < 0)
        return error_set(err, QASR_E_DEVICE, "the model's output is not finite after %zu positions: damaged weights in '%s'?",
                         s->n_past, model_decoder_path(d->n->model));
    *id = s->next;
    return QASR_OK;
}

qasr_status decoder_logits(decoder *d, float *out, qasr_error *err)
{
    return device_read(d->n->d, out, dmat_rows(d->logits, 0, 1), err);
}
