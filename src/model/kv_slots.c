/* See kv_slots.h. A slot has its own memory or, if the device prefers slots in one block, a part of its group's block.
 * Group sizes double, so at most half of the allocated slots are idle and a pass over n sequences touches about log n
 * blocks. */
#include "model/kv_slots.h"

#include "base/mem.h"

/* Slots 0, 1, 2-3, 4-7, .. 32-63. */
enum { SLOT_GROUPS = 7 };
_Static_assert(DEVICE_MAX_SLOTS == 1 << (SLOT_GROUPS - 1), "the last slot is in the last group");

/* Keys and values of all layers, for one sequence or several, with `capacity` positions each. */
typedef struct kv_block {
    device_mem *mem; /* NULL: none */
    size_t capacity;
    quant_type type;
} kv_block;

typedef struct slot {
    kv_block own; /* memory of this slot alone */
    /* of the memory that caches refers to: */
    size_t capacity;
    quant_type type;
    bool used;
} slot;

struct kv_slots {
    device *device;
    const model_config *config;
    quant_type type; /* of slots that are not wide, and so of all groups */
    size_t n_slots;
    slot *slots;                  /* [n_slots] */
    kv_block groups[SLOT_GROUPS]; /* shared by slots, if the device has kv_together */
    dmat *caches;                 /* [n_layers][2][n_slots]: keys and values, [n_kv_heads * capacity, head_dim] */
};

qasr_status kv_slots_create(kv_slots **out, device *d, const model_config *c, quant_type type, size_t n_slots,
                            qasr_error *err)
{
    assert(n_slots >= 1 && n_slots <= DEVICE_MAX_SLOTS);
    const quant_info *q = quant_get(type);
    if (c->dec.head_dim % q->block != 0)
        return error_set(err, QASR_E_UNSUPPORTED,
                         "KV cache type '%s' has blocks of %u values, the model's heads have %zu: "
                         "use f16 or f32",
                         q->name, q->block, c->dec.head_dim);
    kv_slots *kv;
    TRY(MEM_CALLOC(&kv, 1, err));
    *kv = (kv_slots){ .device = d, .config = c, .type = type, .n_slots = n_slots };
    qasr_status status = MEM_CALLOC(&kv->slots, n_slots, err);
    if (status == QASR_OK)
        status = MEM_CALLOC(&kv->caches, 2 * c->dec.n_layers * n_slots, err);
    if (status != QASR_OK) {
        kv_slots_free(kv);
        return status;
    }
    *out = kv;
    return QASR_OK;
}

static void release_block(kv_slots *kv, kv_block *b)
{
    device_mem_free(kv->device, b->mem);
    *b = (kv_block){ 0 };
}

void kv_slots_free(kv_slots *kv)
{
    if (!kv)
        return;
    for (size_t i = 0; kv->slots && i < kv->n_slots; i++)
        release_block(kv, &kv->slots[i].own);
    for (size_t g = 0; g < SLOT_GROUPS; g++)
        release_block(kv, &kv->groups[g]);
    mem_free(kv->slots);
    mem_free(kv->caches);
    mem_free(kv);
}

/* ---- sizes --------------------------------------------------------------------------------------- */

static size_t capacity_for(const kv_slots *kv, size_t n_positions)
{
    return size_round_up(n_positions, kv->device->kv_step);
}

/* Bytes of the keys or values of one layer. */
static size_t cache_bytes(const kv_slots *kv, quant_type type, size_t capacity)
{
    const model_config *c = kv->config;
    return size_round_up(c->dec.n_kv_heads * capacity * dmat_row_bytes(type, c->dec.head_dim), MEM_ALIGN);
}

/* Bytes of a slot, all layers. */
static size_t slot_bytes(const kv_slots *kv, quant_type type, size_t capacity)
{
    return 2 * kv->config->dec.n_layers * cache_bytes(kv, type, capacity);
}

/* ---- groups -------------------------------------------------------------------------------------- */

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

static slot_group slots_of(const kv_slots *kv, size_t g)
{
    size_t first = g ? (size_t)1 << (g - 1) : 0, n = g ? first : 1;
    return (slot_group){ first, n < kv->n_slots - first ? n : kv->n_slots - first };
}

static bool group_is_used(const kv_slots *kv, size_t g)
{
    slot_group s = slots_of(kv, g);
    for (size_t i = s.first; i < s.first + s.n; i++)
        if (kv->slots[i].used && !kv->slots[i].own.mem)
            return true;
    return false;
}

/* ---- opening ------------------------------------------------------------------------------------- */

/* Memory for a new sequence. */
typedef struct place {
    size_t index;
    quant_type type;
    bool shared; /* in the block of its group */
    bool ready;  /* the memory is allocated */
} place;

/* The memory of a free slot, if any. */
static const kv_block *memory_of(const kv_slots *kv, size_t index, bool *shared)
{
    const kv_block *own = &kv->slots[index].own;
    *shared = !own->mem && kv->device->kv_together;
    return *shared ? &kv->groups[group_of(index)] : own;
}

/* Finds a free slot whose memory fits: the type, and room for n positions, but not much more. Otherwise one that can
 * get memory after all unused memory is released. Groups have no wide slots. */
static place find_place(const kv_slots *kv, size_t n, bool wide)
{
    place best = { .index = kv->n_slots, .type = wide ? QUANT_F32 : kv->type };
    const bool together = kv->device->kv_together && best.type == kv->type;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < kv->n_slots; i++) {
        bool shared;
        const kv_block *b = memory_of(kv, i, &shared);
        if (!kv->slots[i].used && b->type == best.type && b->capacity >= n && b->capacity <= 2 * capacity_for(kv, n) &&
            b->capacity < least) {
            least = b->capacity;
            best = (place){ i, best.type, shared, true };
        }
    }
    if (best.ready)
        return best;
    for (size_t i = 0; i < kv->n_slots; i++) /* the first whose group can be reallocated, else the first */
        if (!kv->slots[i].used && together && !group_is_used(kv, group_of(i)))
            return (place){ i, best.type, true, false };
        else if (!kv->slots[i].used && best.index == kv->n_slots)
            best.index = i;
    return best;
}

/* Prevents memory in sizes that no longer fit from accumulating. */
static void release_unused(kv_slots *kv)
{
    for (size_t i = 0; i < kv->n_slots; i++)
        if (!kv->slots[i].used)
            release_block(kv, &kv->slots[i].own);
    for (size_t g = 0; g < SLOT_GROUPS; g++)
        if (kv->groups[g].mem && !group_is_used(kv, g))
            release_block(kv, &kv->groups[g]);
}

static qasr_status reserve_block(kv_slots *kv, kv_block *b, size_t n_slots, quant_type type, size_t capacity,
                                 qasr_error *err)
{
    TRY(device_alloc(kv->device, &b->mem, n_slots * slot_bytes(kv, type, capacity), err));
    b->capacity = capacity;
    b->type = type;
    return QASR_OK;
}

static qasr_status reserve_place(kv_slots *kv, place *p, size_t n, qasr_error *err)
{
    size_t capacity = capacity_for(kv, n), g = group_of(p->index);
    kv_block *own = &kv->slots[p->index].own;
    if (p->ready)
        return QASR_OK;
    release_unused(kv);
    if (p->shared && reserve_block(kv, &kv->groups[g], slots_of(kv, g).n, p->type, capacity, NULL) == QASR_OK)
        return QASR_OK;
    p->shared = false; /* a single slot may still fit */
    return reserve_block(kv, own, 1, p->type, capacity, err);
}

/* Points the caches of a slot at its memory. */
static void bind_caches(kv_slots *kv, place p)
{
    const model_config *c = kv->config;
    size_t g = group_of(p.index);
    slot *s = &kv->slots[p.index];
    const kv_block *b = p.shared ? &kv->groups[g] : &s->own;
    size_t bytes = cache_bytes(kv, b->type, b->capacity),
           skip = p.shared ? (p.index - slots_of(kv, g).first) * slot_bytes(kv, b->type, b->capacity) : 0;
    s->capacity = b->capacity;
    s->type = b->type;
    for (size_t i = 0; i < 2 * c->dec.n_layers; i++)
        kv->caches[i * kv->n_slots + p.index] =
            dmat_make(b->mem, skip + i * bytes, b->type, c->dec.n_kv_heads * b->capacity, c->dec.head_dim);
}

qasr_status kv_slots_open(kv_slots *kv, size_t *out, size_t n_positions, bool wide, qasr_error *err)
{
    assert(kv_slots_count_free(kv) > 0);
    place p = find_place(kv, n_positions, wide);
    TRY(reserve_place(kv, &p, n_positions, err));
    bind_caches(kv, p);
    kv->slots[p.index].used = true;
    *out = p.index;
    return QASR_OK;
}

/* Wide slots are rare, and their memory would keep the slot out of its group. */
void kv_slots_close(kv_slots *kv, size_t index)
{
    kv->slots[index].used = false;
    if (kv->slots[index].type != kv->type)
        release_block(kv, &kv->slots[index].own);
}

bool kv_slots_is_open(const kv_slots *kv, size_t index) { return kv->slots[index].used; }
size_t kv_slots_capacity(const kv_slots *kv, size_t index) { return kv->slots[index].capacity; }
quant_type kv_slots_type(const kv_slots *kv, size_t index) { return kv->slots[index].type; }

kv_view kv_slots_view(const kv_slots *kv, size_t layer, size_t first)
{
    const dmat *keys = kv->caches + 2 * layer * kv->n_slots + first;
    return (kv_view){ .k = keys, .v = keys + kv->n_slots, .n_slots = kv->n_slots - first };
}

/* ---- memory use ------------------------------------------------------------------------------------- */

size_t kv_slots_count_free(const kv_slots *kv)
{
    size_t n = 0;
    for (size_t i = 0; i < kv->n_slots; i++)
        n += !kv->slots[i].used;
    return n;
}

uint64_t kv_slots_bytes(const kv_slots *kv)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < kv->n_slots; i++) {
        const kv_block *own = &kv->slots[i].own;
        bytes += kv->slots[i].used && own->mem ? slot_bytes(kv, own->type, own->capacity) : 0;
    }
    for (size_t g = 0; g < SLOT_GROUPS; g++) {
        const kv_block *b = &kv->groups[g];
        bytes += b->mem && group_is_used(kv, g) ? slots_of(kv, g).n * slot_bytes(kv, b->type, b->capacity) : 0;
    }
    return bytes;
}

uint64_t kv_slots_more_bytes(const kv_slots *kv, size_t n_positions, bool wide)
{
    place p = find_place(kv, n_positions, wide);
    size_t g = group_of(p.index);
    if (p.shared && p.ready && group_is_used(kv, g))
        return 0;
    bool shared;
    size_t capacity = p.ready ? memory_of(kv, p.index, &shared)->capacity : capacity_for(kv, n_positions);
    return (p.shared ? slots_of(kv, g).n : 1) * (uint64_t)slot_bytes(kv, p.type, capacity);
}
