/* Token ids and audio vectors [n, h] -> 28 pre-norm layers (grouped-query attention with norms on q and k, RoPE,
 * SwiGLU) -> logits of the last row -> argmax. Mirrors Qwen3ForCausalLM. The configuration's three rotary position
 * streams coincide in this model, which leaves plain RoPE.
 *
 * Prompts are processed in blocks of rows, so scratch memory does not depend on their length. Keys are cached after
 * norm and rotation, head-major: the keys of a head are contiguous.
 *
 * Encoder and decoder share scratch memory in turn, so a sequence keeps nothing there between two steps. Keys and
 * values are in the slot's block; position and chosen token are on the host. */
#include "model/decoder.h"

#include <math.h>

#include "base/mem.h"
#include "device/layout.h"
#include "model/kv_slots.h"
#include "model/stages.h"

const quant_type decoder_kv_types[DECODER_KV_TYPES] = { QUANT_F16, QUANT_F32, QUANT_Q8_0 };

enum { PREFILL_ROWS = 512 };

/* State of the sequence in a slot. */
typedef struct progress {
    size_t n_past;        /* positions in the cache */
    int32_t next;         /* the chosen token; negative if the logits were not finite */
    float peak[KV_PEAKS]; /* of all positions */
    bool scored;
    qasr_token_score score; /* its score, if scored */
} progress;

struct decoder {
    net_context *ctx;
    const net *net;
    device *device;
    kv_slots *kv;
    size_t n_slots;
    progress *slots; /* [n_slots] */
    device_mem *angles;
    dmat rope;          /* [positions, head_dim] */
    int32_t *host_rows; /* [PREFILL_ROWS] */
    float *host_peaks;  /* [PREFILL_ROWS, KV_PEAKS] */
    dmat ids, pos, slot, peak, next, scores, x, y, q, k, v, hidden, logits;
};

static size_t layout_scratch(decoder *dec, device_mem *mem)
{
    const model_config *c = dec->net->config;
    size_t h = c->dec.d_model, q = c->dec.n_heads * c->dec.head_dim, kv = c->dec.n_kv_heads * c->dec.head_dim;
    const dmat_part parts[] = {
        { &dec->ids, DTYPE_I32, PREFILL_ROWS, 1 },
        { &dec->pos, DTYPE_I32, PREFILL_ROWS, 1 },
        { &dec->slot, DTYPE_I32, dec->n_slots, 1 },
        { &dec->peak, QUANT_F32, PREFILL_ROWS, KV_PEAKS },
        { &dec->next, DTYPE_I32, dec->n_slots, 1 },
        { &dec->scores, QUANT_F32, dec->n_slots, 2 },
        { &dec->x, QUANT_F32, PREFILL_ROWS, h },
        { &dec->y, QUANT_F32, PREFILL_ROWS, h > q ? h : q },
        { &dec->q, QUANT_F32, PREFILL_ROWS, q },
        { &dec->k, QUANT_F32, PREFILL_ROWS, kv },
        { &dec->v, QUANT_F32, PREFILL_ROWS, kv },
        { &dec->hidden, QUANT_F32, PREFILL_ROWS, c->dec.d_ffn },
        { &dec->logits, QUANT_F32, dec->n_slots, c->dec.n_vocab },
    };
    return dmat_layout(mem, 0, parts, ARRAY_LEN(parts));
}

qasr_status decoder_create(decoder **out, net_context *ctx, quant_type kv_type, size_t n_slots, qasr_error *err)
{
    decoder *dec;
    TRY(MEM_CALLOC(&dec, 1, err));
    dec->ctx = ctx;
    dec->net = ctx->net;
    dec->device = ctx->device;
    dec->n_slots = n_slots;
    qasr_status status = kv_slots_create(&dec->kv, dec->device, dec->net->config, kv_type, n_slots, err);
    if (status == QASR_OK)
        status = MEM_CALLOC(&dec->slots, n_slots, err);
    if (status == QASR_OK)
        status = MEM_ALLOC(&dec->host_rows, PREFILL_ROWS, err);
    if (status == QASR_OK)
        status = MEM_ALLOC(&dec->host_peaks, PREFILL_ROWS * KV_PEAKS, err);
    if (status != QASR_OK) {
        decoder_free(dec);
        return status;
    }
    *out = dec;
    return QASR_OK;
}

void decoder_free(decoder *dec)
{
    if (!dec)
        return;
    kv_slots_free(dec->kv);
    device_mem_free(dec->device, dec->angles);
    mem_free(dec->slots);
    mem_free(dec->host_rows);
    mem_free(dec->host_peaks);
    mem_free(dec);
}

/* ---- slots ---------------------------------------------------------------------------------------- */

/* cos and sin of position * theta^(-2i / head_dim). Inverse frequency and product are rounded to float32 as in the
 * reference, which changes the angle by up to 0.002 rad at position 65535. */
static qasr_status write_rope(decoder *dec, dmat rope, qasr_error *err)
{
    enum { BLOCK = 64 };
    size_t hd = dec->net->config->dec.head_dim, half = hd / 2;
    float *rows;
    TRY(MEM_ALLOC(&rows, BLOCK * hd, err));
    qasr_status status = QASR_OK;
    for (size_t p0 = 0; p0 < rope.rows && status == QASR_OK; p0 += BLOCK) {
        size_t n = rope.rows - p0 < BLOCK ? rope.rows - p0 : BLOCK;
        for (size_t i = 0; i < half; i++) {
            float inv = (float)(1.0 / pow(dec->net->config->dec.rope_theta, 2.0 * (double)i / (double)hd));
            for (size_t p = 0; p < n; p++) {
                float angle = (float)(p0 + p) * inv;
                rows[p * hd + i] = cosf(angle);
                rows[p * hd + half + i] = sinf(angle);
            }
        }
        status = device_write(dec->device, dmat_rows(rope, p0, n), rows, err);
    }
    mem_free(rows);
    return status;
}

/* Provides angles for at least n positions. Existing ones do not change. */
static qasr_status reserve_rope(decoder *dec, size_t n, qasr_error *err)
{
    const model_config *c = dec->net->config;
    if (n <= dec->rope.rows)
        return QASR_OK;
    size_t rows = size_round_up(n, 64);
    device_mem *mem;
    TRY(device_alloc(dec->device, &mem, rows * c->dec.head_dim * sizeof(float), err));
    dmat rope = dmat_make(mem, 0, QUANT_F32, rows, c->dec.head_dim);
    qasr_status status = write_rope(dec, rope, err);
    if (status != QASR_OK) {
        device_mem_free(dec->device, mem);
        return status;
    }
    device_mem_free(dec->device,
                    dec->angles); /* only now: after a failed allocation, other slots still have their angles */
    dec->angles = mem;
    dec->rope = rope;
    return QASR_OK;
}

qasr_status decoder_open_slot(decoder *dec, size_t *out, size_t n_positions, bool wide, qasr_error *err)
{
    const model_config *c = dec->net->config;
    if (n_positions > c->dec.max_positions)
        return error_set(err, QASR_E_INVALID,
                         "prompt and answer need %zu positions, the model has %zu: use shorter audio "
                         "segments, a shorter "
                         "context or a lower token limit",
                         n_positions, c->dec.max_positions);
    TRY(reserve_rope(dec, n_positions, err));
    TRY(kv_slots_open(dec->kv, out, n_positions, wide, err));
    dec->slots[*out] = (progress){ .next = -1 };
    return QASR_OK;
}

void decoder_close_slot(decoder *dec, size_t index) { kv_slots_close(dec->kv, index); }
size_t decoder_free_slots(const decoder *dec) { return kv_slots_count_free(dec->kv); }
uint64_t decoder_kv_used(const decoder *dec) { return kv_slots_bytes(dec->kv); }
uint64_t decoder_kv_more(const decoder *dec, size_t n_positions, bool wide)
{
    return kv_slots_more_bytes(dec->kv, n_positions, wide);
}

void decoder_keep_scores(decoder *dec, size_t index) { dec->slots[index].scored = true; }

qasr_token_score decoder_score(const decoder *dec, size_t index)
{
    assert(dec->slots[index].scored);
    return dec->slots[index].score;
}

/* ---- peaks ---------------------------------------------------------------------------------------- */

/* True if the type holds a finite value of this magnitude. */
static bool type_holds(quant_type type, float magnitude)
{
    const float too_large = 65520; /* the first that float16 rounds to infinity */
    switch (type) {
    case QUANT_F16: return magnitude < too_large;
    case QUANT_Q8_0: return magnitude / 127 < too_large; /* the scale of a block */
    default: return true;
    }
}

static qasr_status clear_peaks(decoder *dec, dmat peak, qasr_error *err)
{
    for (size_t i = 0; i < peak.rows * KV_PEAKS; i++)
        dec->host_peaks[i] = 0;
    return device_write(dec->device, peak, dec->host_peaks, err);
}

static void raise_peak(progress *s, const float *row)
{
    for (int i = 0; i < KV_PEAKS; i++)
        s->peak[i] = row[i] > s->peak[i] ? row[i] : s->peak[i];
}

bool decoder_kv_overflowed(const decoder *dec, size_t index)
{
    const progress *s = &dec->slots[index];
    const quant_type type = kv_slots_type(dec->kv, index);
    bool reported = s->peak[KV_PEAK_LARGEST] > 0 || s->peak[KV_PEAK_BAD] > 0;
    return reported ? !type_holds(type, s->peak[KV_PEAK_LARGEST]) : type != QUANT_F32 && s->next < 0;
}

/* ---- layers --------------------------------------------------------------------------------------- */

/* Rows processed together: from one slot's prompt, or one row from each of several slots. */
typedef struct batch {
    dmat x;         /* [n, d_model], the residual stream */
    dmat slot, pos; /* I32 [n, 1]; no slot: rows of a prompt */
    dmat peak;      /* [n, KV_PEAKS] */
    size_t one;     /* slot of a prompt's rows */
    size_t n_kv;    /* no row attends to more keys */
    net_rows rows;  /* their roles */
} batch;

/* The part of y for n rows of cols. Norms and attention output use it in turn. */
static dmat y_rows(const decoder *dec, size_t n, size_t cols)
{
    return dmat_make(dec->y.mem, dec->y.offset, QUANT_F32, n, cols);
}

static dmat attention_rows(const decoder *dec, size_t n)
{
    return y_rows(dec, n, dec->net->config->dec.n_heads * dec->net->config->dec.head_dim);
}

/* x += o(attention(rope(qkv(norm(x))))), x += down(silu(gate(norm(x))) * up(norm(x))). Runs the stages in range. */
static void run_layer(decoder *dec, const batch *b, size_t layer, const stage_range *range)
{
    const model_config *c = dec->net->config;
    const dmat *w = dec->net->dec[layer];
    const size_t n = b->x.rows;
    const bool alone = b->slot.mem != NULL;
    const dmat x = b->x, q = dmat_rows(dec->q, 0, n), k = dmat_rows(dec->k, 0, n), v = dmat_rows(dec->v, 0, n),
               o = attention_rows(dec, n), y = y_rows(dec, n, c->dec.d_model), hidden = dmat_rows(dec->hidden, 0, n),
               none = { 0 };
    const attn_heads heads = { c->dec.n_heads, c->dec.n_kv_heads, c->dec.head_dim,
                               1.0f / sqrtf((float)c->dec.head_dim) };
    const qk_rope rope = { w[DEC_Q_NORM], w[DEC_K_NORM], dec->rope, c->dec.rms_eps, c->dec.rope_theta };
    const row_norm norm1 = { .w = w[DEC_NORM1], .eps = c->dec.rms_eps };
    const row_norm norm2 = { .w = w[DEC_NORM2], .eps = c->dec.rms_eps };
    const linear_part qkv[] = { { .out = q, .w = w[DEC_Q] }, { .out = k, .w = w[DEC_K] }, { .out = v, .w = w[DEC_V] } };
    const linear_part add_o = { .out = x, .w = w[DEC_O], .accumulate = true };
    const linear_part gate_up = { .out = hidden, .w = w[DEC_GATE], .act = ACT_SWIGLU, .up = w[DEC_UP] };
    const linear_part add_down = { .out = x, .w = w[DEC_DOWN], .accumulate = true };
    kv_view kv = kv_slots_view(dec->kv, layer, b->one);
    kv.slot = b->slot;
    kv.pos = b->pos;
    kv.peak = b->peak;

    if (stage_runs(range, STAGE_QKV)) {
        net_linear(dec->ctx, stage_input(range, x, &norm1), y, qkv, ARRAY_LEN(qkv), alone);
        op_rope_and_cache(dec->device, q, k, v, &rope, &kv);
        op_attention_cached(dec->device, o, q, &kv, heads, b->n_kv);
    }
    if (stage_runs(range, STAGE_OUT))
        net_linear(dec->ctx, stage_input(range, o, NULL), none, &add_o, 1, alone);
    if (stage_runs(range, STAGE_UP))
        net_linear(dec->ctx, stage_input(range, x, &norm2), y, &gate_up, 1, alone);
    if (stage_runs(range, STAGE_DOWN))
        net_linear(dec->ctx, stage_input(range, hidden, NULL), none, &add_down, 1, alone);
}

static void run_layers(decoder *dec, const batch *b)
{
    dec->ctx->rows = b->rows;
    net_check(dec->ctx, NET_EMBEDDING, 0, b->x);
    for (size_t layer = 0; layer < dec->net->config->dec.n_layers; layer++) {
        run_layer(dec, b, layer, &(stage_range){ 0, STAGES_PER_LAYER });
        net_check(dec->ctx, NET_DECODER_LAYER, layer, b->x);
    }
}

/* ---- choosing tokens -------------------------------------------------------------------------------- */

/* Outputs of a choice besides the token. Scores need all logits. */
enum { CHOOSE_LOGITS = 1, TOKEN_SCORES = 2 };

/* Chooses a token for each row of x, at most n_slots. dec->logits and dec->scores are defined only if wanted. */
static void choose(decoder *dec, dmat x, unsigned wanted)
{
    device *d = dec->device;
    dmat head = dec->net->top[TOP_HEAD], logits = dmat_rows(dec->logits, 0, x.rows),
         next = dmat_rows(dec->next, 0, x.rows);
    dmat y = y_rows(dec, x.rows, x.cols), none = { 0 };
    dec->ctx->rows = (net_rows){ 0 };
    op_rms_norm(d, y, x, dec->net->top[TOP_NORM], dec->net->config->dec.rms_eps);
    if (wanted) {
        net_linear(dec->ctx, (net_input){ .x = y }, none, &(linear_part){ .out = logits, .w = head }, 1, true);
        net_check(dec->ctx, NET_HEAD, 0, logits);
        op_argmax(d, next, logits);
        if (wanted & TOKEN_SCORES)
            op_token_scores(d, dmat_rows(dec->scores, 0, x.rows), logits, next);
    } else {
        net_linear_argmax(dec->ctx, next, y, head, logits);
    }
}

static qasr_status get_scratch(decoder *dec, qasr_error *err)
{
    device_mem *scratch;
    TRY(net_scratch(dec->ctx, &scratch, layout_scratch(dec, NULL), err));
    layout_scratch(dec, scratch);
    return QASR_OK;
}

/* TOKEN_SCORES if one of the slots [n] keeps scores. */
static unsigned wanted_of(const decoder *dec, const size_t *slots, size_t n)
{
    unsigned wanted = 0;
    for (size_t i = 0; i < n; i++)
        wanted |= dec->slots[slots[i]].scored ? TOKEN_SCORES : 0;
    return wanted;
}

/* Reads the choices of slots [n] to the host. */
static qasr_status read_choices(decoder *dec, const size_t *slots, size_t n, qasr_error *err)
{
    qasr_token_score scores[DECODER_MAX_SLOTS];
    _Static_assert(sizeof scores[0] == 2 * sizeof(float), "a row of the scores");
    TRY(device_read(dec->device, dec->host_rows, dmat_rows(dec->next, 0, n), err));
    if (wanted_of(dec, slots, n))
        TRY(device_read(dec->device, scores, dmat_rows(dec->scores, 0, n), err));
    for (size_t i = 0; i < n; i++) {
        progress *s = &dec->slots[slots[i]];
        s->next = dec->host_rows[i];
        if (s->scored)
            s->score = scores[i];
    }
    return QASR_OK;
}

/* Roles of rows [first, first + n) of a prompt. */
static net_rows find_rows(size_t first, size_t n, bool last, size_t audio_begin, size_t n_audio)
{
    size_t begin = first > audio_begin ? first : audio_begin;
    size_t end = first + n < audio_begin + n_audio ? first + n : audio_begin + n_audio;
    net_rows rows = { .choices_begin = last ? n - 1 : n };
    if (begin < end) {
        rows.audio_begin = begin - first;
        rows.audio_end = end - first;
    }
    return rows;
}

/* Replaces the audio placeholders of the block that begins at row first. */
static void put_audio(decoder *dec, const batch *b, size_t first, size_t audio_begin, dmat embeds)
{
    size_t begin = b->rows.audio_begin, n = b->rows.audio_end - begin;
    if (n)
        op_copy(dec->device, dmat_rows(b->x, begin, n), dmat_rows(embeds, first + begin - audio_begin, n));
}

/* Makes a batch of rows [first, first + n) of a slot's sequence and writes their positions to the device. */
static qasr_status make_block(decoder *dec, batch *b, size_t index, size_t first, dmat x, qasr_error *err)
{
    *b = (batch){ .x = x,
                  .pos = dmat_rows(dec->pos, 0, x.rows),
                  .peak = dmat_rows(dec->peak, 0, x.rows),
                  .one = index,
                  .n_kv = first + x.rows };
    TRY(clear_peaks(dec, b->peak, err));
    for (size_t i = 0; i < x.rows; i++)
        dec->host_rows[i] = (int32_t)(first + i);
    return device_write(dec->device, b->pos, dec->host_rows, err);
}

static void embed(decoder *dec, const batch *b, size_t first, size_t audio_begin, dmat embeds)
{
    op_embed(dec->device, b->x, dec->net->top[TOP_EMBED], dmat_rows(dec->ids, 0, b->x.rows));
    put_audio(dec, b, first, audio_begin, embeds);
}

/* One block of the prompt: ids [rows] at positions first, first + 1, ... */
static qasr_status prefill_block(decoder *dec, size_t index, const int32_t *ids, size_t first, size_t rows, bool last,
                                 size_t audio_begin, dmat embeds, qasr_error *err)
{
    device *d = dec->device;
    batch b;
    TRY(make_block(dec, &b, index, first, dmat_rows(dec->x, 0, rows), err));
    b.rows = find_rows(first, rows, last, audio_begin, embeds.rows);
    TRY(device_write(d, dmat_rows(dec->ids, 0, rows), ids, err));
    device_begin(d);
    embed(dec, &b, first, audio_begin, embeds);
    run_layers(dec, &b);
    if (last)
        choose(dec, dmat_rows(b.x, rows - 1, 1), CHOOSE_LOGITS | wanted_of(dec, &index, 1));
    TRY(device_end(d, err));
    TRY(device_read(d, dec->host_peaks, b.peak, err));
    for (size_t i = 0; i < rows; i++)
        raise_peak(&dec->slots[index], dec->host_peaks + i * KV_PEAKS);
    return QASR_OK;
}

qasr_status decoder_prefill(decoder *dec, size_t index, const int32_t *ids, size_t n, size_t audio_begin, dmat embeds,
                            qasr_error *err)
{
    progress *s = &dec->slots[index];
    assert(kv_slots_is_open(dec->kv, index) && n >= 1 && n <= kv_slots_capacity(dec->kv, index));
    assert(audio_begin + embeds.rows <= n);
    TRY(get_scratch(dec, err));
    s->next = -1;
    for (size_t first = 0; first < n; first += PREFILL_ROWS) {
        size_t rows = n - first < PREFILL_ROWS ? n - first : PREFILL_ROWS;
        TRY(prefill_block(dec, index, ids + first, first, rows, first + rows == n, audio_begin, embeds, err));
        if (!type_holds(kv_slots_type(dec->kv, index), s->peak[KV_PEAK_LARGEST]))
            return QASR_OK;
    }
    s->n_past = n;
    return read_choices(dec, &index, 1, err);
}

/* Writes token, position and slot of each row to the device. */
static qasr_status write_rows(decoder *dec, const size_t *slots, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < n; i++)
        dec->host_rows[i] = dec->slots[slots[i]].next;
    TRY(device_write(dec->device, dmat_rows(dec->ids, 0, n), dec->host_rows, err));
    for (size_t i = 0; i < n; i++)
        dec->host_rows[i] = (int32_t)dec->slots[slots[i]].n_past;
    TRY(device_write(dec->device, dmat_rows(dec->pos, 0, n), dec->host_rows, err));
    for (size_t i = 0; i < n; i++)
        dec->host_rows[i] = (int32_t)slots[i];
    return device_write(dec->device, dmat_rows(dec->slot, 0, n), dec->host_rows, err);
}

/* Sorts slots by their place in memory. */
static void sort_slots(size_t *to, const size_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = i;
        for (; k > 0 && to[k - 1] > from[i]; k--)
            to[k] = to[k - 1];
        to[k] = from[i];
    }
}

static qasr_status step(decoder *dec, const size_t *in, size_t n, unsigned wanted, qasr_error *err)
{
    size_t slots[DECODER_MAX_SLOTS];
    device *d = dec->device;
    assert(n >= 1 && n <= dec->n_slots);
    sort_slots(slots, in, n);
    TRY(get_scratch(dec, err));
    batch b = { .x = dmat_rows(dec->x, 0, n),
                .slot = dmat_rows(dec->slot, 0, n),
                .pos = dmat_rows(dec->pos, 0, n),
                .peak = dmat_rows(dec->peak, 0, n) };
    for (size_t i = 0; i < n; i++) {
        const progress *s = &dec->slots[slots[i]];
        assert(kv_slots_is_open(dec->kv, slots[i]) && s->n_past < kv_slots_capacity(dec->kv, slots[i]) && s->next >= 0);
        b.n_kv = s->n_past + 1 > b.n_kv ? s->n_past + 1 : b.n_kv;
    }
    TRY(write_rows(dec, slots, n, err));
    TRY(clear_peaks(dec, b.peak, err));
    device_begin(d);
    op_embed(d, b.x, dec->net->top[TOP_EMBED], dmat_rows(dec->ids, 0, n));
    run_layers(dec, &b);
    choose(dec, b.x, wanted | wanted_of(dec, slots, n));
    TRY(device_end(d, err));
    TRY(device_read(d, dec->host_peaks, b.peak, err));
    for (size_t i = 0; i < n; i++) {
        raise_peak(&dec->slots[slots[i]], dec->host_peaks + i * KV_PEAKS);
        dec->slots[slots[i]].n_past++;
    }
    return read_choices(dec, slots, n, err);
}

qasr_status decoder_step(decoder *dec, const size_t *slots, size_t n, qasr_error *err)
{
    return step(dec, slots, n, 0, err);
}

qasr_status decoder_feed(decoder *dec, size_t index, int32_t id, float *logits, qasr_error *err)
{
    assert(id >= 0 && (size_t)id < dec->net->config->dec.n_vocab);
    dec->slots[index].next = id;
    TRY(step(dec, &index, 1, CHOOSE_LOGITS, err));
    return decoder_logits(dec, logits, err);
}

qasr_status decoder_token(const decoder *dec, size_t index, int32_t *id, qasr_error *err)
{
    const progress *s = &dec->slots[index];
    if (s->next < 0 || s->peak[KV_PEAK_BAD] > 0)
        return error_set(err, QASR_E_DEVICE,
                         "the model's output is not finite after %zu positions: damaged weights in '%s'?", s->n_past,
                         model_decoder_path(dec->net->model));
    *id = s->next;
    return QASR_OK;
}

qasr_status decoder_logits(decoder *dec, float *out, qasr_error *err)
{
    return device_read(dec->device, out, dmat_rows(dec->logits, 0, 1), err);
}

/* ---- stage by stage ------------------------------------------------------------------------------ */

/* Stores the input of stage s + 1, if any, from where stage s left it. */
static void store_next(const decoder *dec, dmat next, dmat x, size_t s)
{
    const model_config *c = dec->net->config;
    size_t layer = s / STAGES_PER_LAYER;
    switch (s % STAGES_PER_LAYER) {
    case STAGE_QKV: op_copy(dec->device, next, attention_rows(dec, x.rows)); break;
    case STAGE_OUT: op_rms_norm(dec->device, next, x, dec->net->dec[layer][DEC_NORM2], c->dec.rms_eps); break;
    case STAGE_UP: op_copy(dec->device, next, dmat_rows(dec->hidden, 0, x.rows)); break;
    case STAGE_DOWN:
        if (layer + 1 < c->dec.n_layers)
            op_rms_norm(dec->device, next, x, dec->net->dec[layer + 1][DEC_NORM1], c->dec.rms_eps);
    }
}

qasr_status decoder_start_stages(decoder *dec, const int32_t *ids, size_t audio_begin, dmat embeds, dmat x, dmat next,
                                 qasr_error *err)
{
    TRY(get_scratch(dec, err));
    for (size_t first = 0; first < x.rows; first += PREFILL_ROWS) {
        size_t n = x.rows - first < PREFILL_ROWS ? x.rows - first : PREFILL_ROWS;
        batch b = { .x = dmat_rows(x, first, n), .rows = find_rows(first, n, false, audio_begin, embeds.rows) };
        TRY(device_write(dec->device, dmat_rows(dec->ids, 0, n), ids + first, err));
        device_begin(dec->device);
        embed(dec, &b, first, audio_begin, embeds);
        op_rms_norm(dec->device, dmat_rows(next, first, n), b.x, dec->net->dec[0][DEC_NORM1],
                    dec->net->config->dec.rms_eps);
        TRY(device_end(dec->device, err));
    }
    return QASR_OK;
}

qasr_status decoder_run_stage(decoder *dec, size_t index, size_t s, dmat x, dmat in, dmat next, qasr_error *err)
{
    assert(kv_slots_is_open(dec->kv, index) && x.rows <= kv_slots_capacity(dec->kv, index));
    size_t at = s % STAGES_PER_LAYER;
    TRY(get_scratch(dec, err));
    for (size_t first = 0; first < x.rows; first += PREFILL_ROWS) {
        size_t n = x.rows - first < PREFILL_ROWS ? x.rows - first : PREFILL_ROWS;
        batch b;
        TRY(make_block(dec, &b, index, first, dmat_rows(x, first, n), err));
        device_begin(dec->device);
        run_layer(dec, &b, s / STAGES_PER_LAYER, &(stage_range){ at, at + 1, dmat_rows(in, first, n) });
        store_next(dec, dmat_rows(next, first, n), b.x, s);
        TRY(device_end(dec->device, err));
    }
    return QASR_OK;
}
