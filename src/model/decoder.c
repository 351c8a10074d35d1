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
#include "device/layout.h"
#include "model/stages.h"

const quant_type decoder_kv_types[DECODER_KV_TYPES] = { QUANT_F16, QUANT_F32, QUANT_Q8_0 };

/* Slots 0, 1, 2-3, 4-7, .. 32-63. */
enum { PREFILL_ROWS = 512, SLOT_GROUPS = 7 };
_Static_assert(DECODER_MAX_SLOTS == 1 << (SLOT_GROUPS - 1), "the last slot is in the last group");

/* Keys and values of all layers, for one sequence or for several of capacity positions each. */
typedef struct kv_block {
    device_mem *mem; /* NULL: none */
    size_t capacity;
} kv_block;

typedef struct slot {
    kv_block own;    /* for this slot alone */
    size_t capacity; /* where d->kv has them */
    bool used;
    size_t n_past; /* positions in the cache */
    int32_t next;  /* the chosen token; negative: the logits were not finite */
    bool scored;
    qasr_token_score score; /* of it, if scored */
} slot;

struct decoder {
    net *n;
    quant_type kv_type;
    size_t n_slots;
    slot *slots;                  /* [n_slots] */
    kv_block groups[SLOT_GROUPS]; /* of slots, if the device has kv_together */
    dmat *kv;                     /* [n_layers][2][n_slots]: keys and values, [n_kv_heads * capacity, head_dim] */
    device_mem *angles;
    dmat rope;          /* [positions, head_dim] */
    int32_t *host_rows; /* [PREFILL_ROWS] */
    dmat ids, pos, slot, next, scores, x, y, q, k, v, hidden, logits;
};

static size_t layout_scratch(decoder *d, device_mem *mem)
{
    const model_config *c = d->n->config;
    size_t h = c->dec.d_model, q = c->dec.n_heads * c->dec.head_dim, kv = c->dec.n_kv_heads * c->dec.head_dim;
    const dmat_part parts[] = {
        { &d->ids, DTYPE_I32, PREFILL_ROWS, 1 },
        { &d->pos, DTYPE_I32, PREFILL_ROWS, 1 },
        { &d->slot, DTYPE_I32, d->n_slots, 1 },
        { &d->next, DTYPE_I32, d->n_slots, 1 },
        { &d->scores, QUANT_F32, d->n_slots, 2 },
        { &d->x, QUANT_F32, PREFILL_ROWS, h },
        { &d->y, QUANT_F32, PREFILL_ROWS, h > q ? h : q },
        { &d->q, QUANT_F32, PREFILL_ROWS, q },
        { &d->k, QUANT_F32, PREFILL_ROWS, kv },
        { &d->v, QUANT_F32, PREFILL_ROWS, kv },
        { &d->hidden, QUANT_F32, PREFILL_ROWS, c->dec.d_ffn },
        { &d->logits, QUANT_F32, d->n_slots, c->dec.n_vocab },
    };
    return dmat_layout(mem, 0, parts, ARRAY_LEN(parts));
}

/* Keys or values of one layer in a slot. */
static dmat *slot_kv(const decoder *d, size_t layer, int which)
{
    return d->kv + (2 * layer + (size_t)which) * d->n_slots;
}

qasr_status decoder_create(decoder **out, net *n, quant_type kv_type, size_t n_slots, qasr_error *err)
{
    assert(n_slots >= 1 && n_slots <= DECODER_MAX_SLOTS);
    const quant_info *q = quant_get(kv_type);
    if (n->config->dec.head_dim % q->block != 0)
        return error_set(err, QASR_E_UNSUPPORTED,
                         "keys and values of type '%s' come in blocks of %u, the model's heads have %zu: "
                         "use f16 or f32",
                         q->name, q->block, n->config->dec.head_dim);
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

static void release_block(decoder *d, kv_block *b)
{
    device_mem_free(d->n->d, b->mem);
    *b = (kv_block){ NULL, 0 };
}

void decoder_free(decoder *d)
{
    if (!d)
        return;
    for (size_t i = 0; d->slots && i < d->n_slots; i++)
        release_block(d, &d->slots[i].own);
    for (size_t i = 0; i < SLOT_GROUPS; i++)
        release_block(d, &d->groups[i]);
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

static size_t capacity_for(const decoder *d, size_t n_positions)
{
    return size_round_up(n_positions, d->n->d->kv_step);
}

/* Of keys or values of one layer. */
static size_t cache_bytes(const decoder *d, size_t capacity)
{
    const model_config *c = d->n->config;
    return size_round_up(c->dec.n_kv_heads * capacity * dmat_row_bytes(d->kv_type, c->dec.head_dim), MEM_ALIGN);
}

/* Of all layers in a slot. */
static size_t slot_bytes(const decoder *d, size_t capacity)
{
    return 2 * d->n->config->dec.n_layers * cache_bytes(d, capacity);
}

/* ---- slots ---------------------------------------------------------------------------------------- */

/* Where the device wants caches together, slots share memory in groups that grow as more slots are needed at a time: so
 * at most half of it is idle, and a pass over n sequences meets about log n blocks. */

typedef struct slot_group {
    size_t first, n;
} slot_group;

static size_t group_of(size_t index)
{
    size_t g = 0;
    for (; index; index >>= 1)
        g++;
    return g;
}

static slot_group slots_of(const decoder *d, size_t g)
{
    size_t first = g ? (size_t)1 << (g - 1) : 0, n = g ? first : 1;
    return (slot_group){ first, n < d->n_slots - first ? n : d->n_slots - first };
}

static bool group_is_used(const decoder *d, size_t g)
{
    slot_group s = slots_of(d, g);
    for (size_t i = s.first; i < s.first + s.n; i++)
        if (d->slots[i].used && !d->slots[i].own.mem)
            return true;
    return false;
}

/* Where a slot's next sequence may live. */
typedef struct place {
    size_t index;
    bool shared; /* with its group */
    bool there;  /* the memory is there */
} place;

/* The memory that a free slot has, if any. */
static const kv_block *memory_of(const decoder *d, size_t index, bool *shared)
{
    const kv_block *own = &d->slots[index].own;
    *shared = !own->mem && d->n->d->kv_together;
    return *shared ? &d->groups[group_of(index)] : own;
}

/* Among the free slots one whose memory fits: room for n positions, and not much more than that. If there is none, one
 * that can get memory when all that is unused has been given back. */
static place find_place(const decoder *d, size_t n)
{
    place best = { .index = d->n_slots };
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < d->n_slots; i++) {
        bool shared;
        const kv_block *b = memory_of(d, i, &shared);
        if (!d->slots[i].used && b->capacity >= n && b->capacity <= 2 * capacity_for(d, n) && b->capacity < least) {
            least = b->capacity;
            best = (place){ i, shared, true };
        }
    }
    if (best.there)
        return best;
    for (size_t i = 0; i < d->n_slots; i++) /* the first whose group can get memory, else the first */
        if (!d->slots[i].used && d->n->d->kv_together && !group_is_used(d, group_of(i)))
            return (place){ i, true, false };
        else if (!d->slots[i].used && best.index == d->n_slots)
            best.index = i;
    return best;
}

/* What was needed at some time is not to add up. */
static void release_unused(decoder *d)
{
    for (size_t i = 0; i < d->n_slots; i++)
        if (!d->slots[i].used)
            release_block(d, &d->slots[i].own);
    for (size_t g = 0; g < SLOT_GROUPS; g++)
        if (d->groups[g].mem && !group_is_used(d, g))
            release_block(d, &d->groups[g]);
}

static qasr_status reserve_block(decoder *d, kv_block *b, size_t n_slots, size_t capacity, qasr_error *err)
{
    TRY(device_alloc(d->n->d, &b->mem, n_slots * slot_bytes(d, capacity), err));
    b->capacity = capacity;
    return QASR_OK;
}

static qasr_status reserve_place(decoder *d, place *p, size_t n, qasr_error *err)
{
    size_t capacity = capacity_for(d, n), g = group_of(p->index);
    kv_block *own = &d->slots[p->index].own;
    if (p->there)
        return QASR_OK;
    release_unused(d);
    if (p->shared && reserve_block(d, &d->groups[g], slots_of(d, g).n, capacity, NULL) == QASR_OK)
        return QASR_OK;
    p->shared = false; /* for one alone there may still be room */
    return reserve_block(d, own, 1, capacity, err);
}

static void move_in(decoder *d, place p)
{
    const model_config *c = d->n->config;
    size_t g = group_of(p.index);
    slot *s = &d->slots[p.index];
    const kv_block *b = p.shared ? &d->groups[g] : &s->own;
    size_t bytes = cache_bytes(d, b->capacity),
           skip = p.shared ? (p.index - slots_of(d, g).first) * slot_bytes(d, b->capacity) : 0;
    s->capacity = b->capacity;
    for (size_t i = 0; i < 2 * c->dec.n_layers; i++)
        slot_kv(d, i / 2, (int)(i % 2))[p.index] =
            dmat_make(b->mem, skip + i * bytes, d->kv_type, c->dec.n_kv_heads * b->capacity, c->dec.head_dim);
}

uint64_t decoder_kv_used(const decoder *d)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < d->n_slots; i++)
        bytes += d->slots[i].used && d->slots[i].own.mem ? slot_bytes(d, d->slots[i].own.capacity) : 0;
    for (size_t g = 0; g < SLOT_GROUPS; g++)
        bytes += d->groups[g].mem && group_is_used(d, g) ? slots_of(d, g).n * slot_bytes(d, d->groups[g].capacity) : 0;
    return bytes;
}

uint64_t decoder_kv_more(const decoder *d, size_t n_positions)
{
    place p = find_place(d, n_positions);
    size_t g = group_of(p.index);
    if (p.shared && p.there && group_is_used(d, g))
        return 0;
    bool shared;
    size_t capacity = p.there ? memory_of(d, p.index, &shared)->capacity : capacity_for(d, n_positions);
    return (p.shared ? slots_of(d, g).n : 1) * (uint64_t)slot_bytes(d, capacity);
}

size_t decoder_free_slots(const decoder *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_slots; i++)
        n += !d->slots[i].used;
    return n;
}

qasr_status decoder_open_slot(decoder *d, size_t *out, size_t n_positions, qasr_error *err)
{
    const model_config *c = d->n->config;
    assert(decoder_free_slots(d) > 0);
    if (n_positions > c->dec.max_positions)
        return error_set(err, QASR_E_INVALID,
                         "%zu positions are needed for prompt and answer, the model has %zu: use shorter segments of "
                         "audio, a shorter "
                         "context or a lower token limit",
                         n_positions, c->dec.max_positions);
    TRY(reserve_rope(d, n_positions, err));
    place p = find_place(d, n_positions);
    TRY(reserve_place(d, &p, n_positions, err));
    move_in(d, p);
    slot *s = &d->slots[p.index];
    s->used = true;
    s->n_past = 0;
    s->next = -1;
    s->scored = false;
    *out = p.index;
    return QASR_OK;
}

void decoder_close_slot(decoder *d, size_t index) { d->slots[index].used = false; }

void decoder_keep_scores(decoder *d, size_t index) { d->slots[index].scored = true; }

qasr_token_score decoder_score(const decoder *d, size_t index)
{
    assert(d->slots[index].scored);
    return d->slots[index].score;
}

/* Rows that run together: those of one slot's prompt, or one of each of several slots. */
typedef struct batch {
    dmat x, pos;
    size_t n_kv;       /* no row sees more */
    size_t one;        /* the slot of a prompt's rows */
    const dmat *slots; /* of the rows of several; NULL: a prompt */
    net_rows rows;     /* what they stand for */
} batch;

/* Queries and keys rotated, keys and values in the cache, and attention to what it holds then. */
static void attend(decoder *d, const batch *b, size_t layer, dmat o, dmat q, dmat k, dmat v)
{
    device *dev = d->n->d;
    const model_config *c = d->n->config;
    const dmat *w = d->n->dec[layer], *keys = slot_kv(d, layer, 0), *values = slot_kv(d, layer, 1);
    attn_heads heads = { c->dec.n_heads, c->dec.n_kv_heads, c->dec.head_dim, 1.0f / sqrtf((float)c->dec.head_dim) };
    qk_rope rope = { w[DEC_Q_NORM], w[DEC_K_NORM], d->rope, c->dec.rms_eps, c->dec.rope_theta };
    kv_view kv = { keys, values, d->n_slots, .pos = b->pos };
    if (b->slots)
        kv.slot = *b->slots;
    else
        kv = (kv_view){ &keys[b->one], &values[b->one], 1, .pos = b->pos };
    op_rope_and_cache(dev, q, k, v, &rope, &kv);
    op_attention_cached(dev, o, q, &kv, heads, b->n_kv);
}

static dmat y_rows(const decoder *d, size_t n, size_t cols)
{
    return dmat_make(d->y.mem, d->y.offset, QUANT_F32, n, cols);
}

/* Of the sum, on its way into a stage; w absent: the stage's input is what the one before has returned. */
static row_norm norm_of(const decoder *d, size_t s)
{
    static const int norms[STAGES_PER_LAYER] = {
        [STAGE_QKV] = DEC_NORM1, [STAGE_OUT] = -1, [STAGE_UP] = DEC_NORM2, [STAGE_DOWN] = -1
    };
    row_norm norm = { .eps = d->n->config->dec.rms_eps };
    if (norms[s % STAGES_PER_LAYER] >= 0)
        norm.w = d->n->dec[s / STAGES_PER_LAYER][norms[s % STAGES_PER_LAYER]];
    return norm;
}

/* in: what the stage before has returned, or a stored input; absent: the sum, normed. Returns the input of the next
 * stage; absent if that is the sum, normed. */
static dmat run_stage(decoder *d, const batch *b, size_t s, dmat in)
{
    const model_config *c = d->n->config;
    size_t layer = s / STAGES_PER_LAYER, n = b->x.rows;
    const dmat *w = d->n->dec[layer];
    bool alone = b->slots != NULL;
    dmat q = dmat_rows(d->q, 0, n), k = dmat_rows(d->k, 0, n), v = dmat_rows(d->v, 0, n),
         hidden = dmat_rows(d->hidden, 0, n);
    dmat y = y_rows(d, n, c->dec.d_model), o = y_rows(d, n, c->dec.n_heads * c->dec.head_dim), none = { 0 };
    const linear_part qkv[] = { { .out = q, .w = w[DEC_Q] }, { .out = k, .w = w[DEC_K] }, { .out = v, .w = w[DEC_V] } };
    const linear_part widen = { .out = hidden, .w = w[DEC_GATE], .act = ACT_SWIGLU, .up = w[DEC_UP] };
    row_norm of_sum = norm_of(d, s);
    const row_norm *norm = in.mem ? NULL : &of_sum;
    if (norm)
        in = b->x;
    switch (s % STAGES_PER_LAYER) {
    case STAGE_QKV:
        net_linear(d->n, in, norm, y, qkv, ARRAY_LEN(qkv), alone);
        attend(d, b, layer, o, q, k, v);
        return o;
    case STAGE_OUT:
        net_linear(d->n, in, NULL, none, &(linear_part){ .out = b->x, .w = w[DEC_O], .accumulate = true }, 1, alone);
        return none;
    case STAGE_UP: net_linear(d->n, in, norm, y, &widen, 1, alone); return hidden;
    default:
        net_linear(d->n, in, NULL, none, &(linear_part){ .out = b->x, .w = w[DEC_DOWN], .accumulate = true }, 1, alone);
        return none;
    }
}

static void run_layers(decoder *d, const batch *b)
{
    dmat in = { 0 };
    d->n->rows = b->rows;
    for (size_t s = 0; s < stages_of_decoder(d->n); s++)
        in = run_stage(d, b, s, in);
}

/* What there is to know of a choice. Scores need all logits. */
enum { CHOOSE_LOGITS = 1, TOKEN_SCORES = 2 };

/* Choice for each row of x, at most n_slots; d->logits and d->scores become known only if they are asked for. */
static void choose(decoder *d, dmat x, unsigned wanted)
{
    device *dev = d->n->d;
    dmat head = d->n->top[TOP_HEAD], logits = dmat_rows(d->logits, 0, x.rows), next = dmat_rows(d->next, 0, x.rows);
    dmat y = y_rows(d, x.rows, x.cols);
    d->n->rows = (net_rows){ 0 };
    op_rms_norm(dev, y, x, d->n->top[TOP_NORM], d->n->config->dec.rms_eps);
    if (wanted) {
        net_linear(d->n, y, NULL, y, &(linear_part){ .out = logits, .w = head }, 1, true);
        op_argmax(dev, next, logits);
        if (wanted & TOKEN_SCORES)
            op_token_scores(dev, dmat_rows(d->scores, 0, x.rows), logits, next);
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

/* TOKEN_SCORES if one of the slots [n] keeps scores. */
static unsigned wanted_of(const decoder *d, const size_t *slots, size_t n)
{
    unsigned wanted = 0;
    for (size_t i = 0; i < n; i++)
        wanted |= d->slots[slots[i]].scored ? TOKEN_SCORES : 0;
    return wanted;
}

/* The choices of the slots [n] to the host. */
static qasr_status read_choices(decoder *d, const size_t *slots, size_t n, qasr_error *err)
{
    qasr_token_score scores[DECODER_MAX_SLOTS];
    _Static_assert(sizeof scores[0] == 2 * sizeof(float), "a row of the scores");
    TRY(device_read(d->n->d, d->host_rows, dmat_rows(d->next, 0, n), err));
    if (wanted_of(d, slots, n))
        TRY(device_read(d->n->d, scores, dmat_rows(d->scores, 0, n), err));
    for (size_t i = 0; i < n; i++) {
        slot *s = &d->slots[slots[i]];
        s->next = d->host_rows[i];
        if (s->scored)
            s->score = scores[i];
    }
    return QASR_OK;
}

/* Rows [first, first + n) of a prompt. */
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

/* Overwrites the rows of the block that begins at first which are audio placeholders. */
static void put_audio(decoder *d, const batch *b, size_t first, size_t audio_begin, dmat embeds)
{
    size_t begin = b->rows.audio_begin, n = b->rows.audio_end - begin;
    if (n)
        op_copy(d->n->d, dmat_rows(b->x, begin, n), dmat_rows(embeds, first + begin - audio_begin, n));
}

/* Rows [first, first + n) of a slot's sequence, with their positions on the device. */
static qasr_status make_block(decoder *d, batch *b, size_t index, size_t first, dmat x, qasr_error *err)
{
    *b = (batch){ .x = x, .pos = dmat_rows(d->pos, 0, x.rows), .n_kv = first + x.rows, .one = index };
    for (size_t i = 0; i < x.rows; i++)
        d->host_rows[i] = (int32_t)(first + i);
    return device_write(d->n->d, b->pos, d->host_rows, err);
}

static void embed(decoder *d, const batch *b, size_t first, size_t audio_begin, dmat embeds)
{
    op_embed(d->n->d, b->x, d->n->top[TOP_EMBED], dmat_rows(d->ids, 0, b->x.rows));
    put_audio(d, b, first, audio_begin, embeds);
}

/* One block of the prompt: ids [rows] at positions first, first + 1, ... */
static qasr_status prefill_block(decoder *d, size_t index, const int32_t *ids, size_t first, size_t rows, bool last,
                                 size_t audio_begin, dmat embeds, qasr_error *err)
{
    device *dev = d->n->d;
    batch b;
    TRY(make_block(d, &b, index, first, dmat_rows(d->x, 0, rows), err));
    b.rows = find_rows(first, rows, last, audio_begin, embeds.rows);
    TRY(device_write(dev, dmat_rows(d->ids, 0, rows), ids, err));
    device_begin(dev);
    embed(d, &b, first, audio_begin, embeds);
    run_layers(d, &b);
    if (last)
        choose(d, dmat_rows(b.x, rows - 1, 1), CHOOSE_LOGITS | wanted_of(d, &index, 1));
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
    return read_choices(d, &index, 1, err);
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

/* In the order in which they lie in memory. */
static void sort_slots(size_t *to, const size_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = i;
        for (; k > 0 && to[k - 1] > from[i]; k--)
            to[k] = to[k - 1];
        to[k] = from[i];
    }
}

static qasr_status step(decoder *d, const size_t *in, size_t n, unsigned wanted, qasr_error *err)
{
    size_t slots[DECODER_MAX_SLOTS];
    device *dev = d->n->d;
    assert(n >= 1 && n <= d->n_slots);
    sort_slots(slots, in, n);
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
    choose(d, b.x, wanted | wanted_of(d, slots, n));
    TRY(device_end(dev, err));
    for (size_t i = 0; i < n; i++)
        d->slots[slots[i]].n_past++;
    return read_choices(d, slots, n, err);
}

qasr_status decoder_step(decoder *d, const size_t *slots, size_t n, qasr_error *err)
{
    return step(d, slots, n, 0, err);
}

qasr_status decoder_feed(decoder *d, size_t index, int32_t id, float *logits, qasr_error *err)
{
    assert(id >= 0 && (size_t)id < d->n->config->dec.n_vocab);
    d->slots[index].next = id;
    TRY(step(d, &index, 1, CHOOSE_LOGITS, err));
    return decoder_logits(d, logits, err);
}

qasr_status decoder_token(const decoder *d, size_t index, int32_t *id, qasr_error *err)
{
    const slot *s = &d->slots[index];
    if (s->next < 0)
        return error_set(err, QASR_E_DEVICE,
                         "the model's output is not finite after %zu positions: damaged weights in '%s'?", s->n_past,
                         model_decoder_path(d->n->model));
    *id = s->next;
    return QASR_OK;
}

qasr_status decoder_logits(decoder *d, float *out, qasr_error *err)
{
    return device_read(d->n->d, out, dmat_rows(d->logits, 0, 1), err);
}

/* ---- stages -------------------------------------------------------------------------------------- */

/* The input of stage s that the sum gives. */
static void norm_into(const decoder *d, dmat next, dmat x, size_t s)
{
    row_norm norm = norm_of(d, s);
    op_rms_norm(d->n->d, next, x, norm.w, norm.eps);
}

qasr_status decoder_start_stages(decoder *d, const int32_t *ids, size_t audio_begin, dmat embeds, dmat x, dmat next,
                                 qasr_error *err)
{
    TRY(get_scratch(d, err));
    for (size_t first = 0; first < x.rows; first += PREFILL_ROWS) {
        size_t n = x.rows - first < PREFILL_ROWS ? x.rows - first : PREFILL_ROWS;
        batch b = { .x = dmat_rows(x, first, n), .rows = find_rows(first, n, false, audio_begin, embeds.rows) };
        TRY(device_write(d->n->d, dmat_rows(d->ids, 0, n), ids + first, err));
        device_begin(d->n->d);
        embed(d, &b, first, audio_begin, embeds);
        norm_into(d, dmat_rows(next, first, n), b.x, 0);
        TRY(device_end(d->n->d, err));
    }
    return QASR_OK;
}

qasr_status decoder_run_stage(decoder *d, size_t index, size_t s, dmat x, dmat in, dmat next, qasr_error *err)
{
    assert(d->slots[index].used && x.rows <= d->slots[index].capacity);
    TRY(get_scratch(d, err));
    for (size_t first = 0; first < x.rows; first += PREFILL_ROWS) {
        size_t n = x.rows - first < PREFILL_ROWS ? x.rows - first : PREFILL_ROWS;
        batch b;
        TRY(make_block(d, &b, index, first, dmat_rows(x, first, n), err));
        device_begin(d->n->d);
        dmat made = run_stage(d, &b, s, dmat_rows(in, first, n));
        if (made.mem)
            op_copy(d->n->d, dmat_rows(next, first, n), made);
        else if (s + 1 < stages_of_decoder(d->n))
            norm_into(d, dmat_rows(next, first, n), b.x, s + 1);
        TRY(device_end(d->n->d, err));
    }
    return QASR_OK;
}
