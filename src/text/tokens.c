/* The two tables used by encoding: tokens by content, and merges by the token that they make.
 *
 * A pair merges if its concatenated contents are a token whose merges include this split. A merge is therefore stored
 * as the length of its left part and found through its result. Loading 150,000 merges fills an array in order; a table
 * by (left, right) would need three look-ups per merge at random places in memory. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "text/tokenizer.h"

/* A slot holds an id and, above it, hash bits that are never all 0. They reject most other tokens without comparing
 * contents. 0: empty slot. */
enum { ID_BITS = 22 };
#define ID_MASK (((uint32_t)1 << ID_BITS) - 1)
_Static_assert(TOKEN_IDS_MAX <= 1 << ID_BITS, "ids fit a slot");

/* ---- tokens ------------------------------------------------------------------------------- */

static uint64_t load(const unsigned char *p, size_t n_bytes)
{
    uint64_t x = 0;
    memcpy(&x, p, n_bytes);
    return x;
}

static uint64_t mix(uint64_t h) { return (h ^ h >> 32) * 0x9E3779B97F4A7C15u; }

/* n is at least 1. Reads eight bytes at a time; the last one to eight in overlapping parts. */
static uint64_t hash_bytes(const unsigned char *p, size_t n)
{
    uint64_t h = n;
    for (; n > 8; p += 8, n -= 8)
        h = mix(h ^ load(p, 8));
    uint64_t last = n >= 4 ? load(p, 4) | load(p + n - 4, 4) << 32
                           : load(p, 1) | load(p + n / 2, 1) << 8 | load(p + n - 1, 1) << 16;
    return mix(mix(h ^ last) ^ n << 56);
}

bool token_is(const tokenizer *t, size_t id, const unsigned char *p, size_t n)
{
    return id < t->n_tokens && t->tokens[id].kind != TOKEN_NONE && t->tokens[id].length == n &&
           memcmp(t->bytes + t->tokens[id].offset, p, n) == 0;
}

/* The slot with the id of these bytes, or the empty slot for it; *tag: the bits above the id. */
static uint32_t *find_slot(const tokenizer *t, const unsigned char *p, size_t n, uint32_t *tag)
{
    uint64_t hash = hash_bytes(p, n);
    size_t mask = ((size_t)1 << (64 - t->slot_shift)) - 1;
    uint32_t above = (uint32_t)(hash ^ hash >> 32) << ID_BITS;
    *tag = above ? above : 1u << ID_BITS;
    for (size_t i = hash >> t->slot_shift;; i++) {
        uint32_t *slot = &t->slots[i & mask];
        if (*slot == 0 || ((*slot & ~ID_MASK) == *tag && token_is(t, *slot & ID_MASK, p, n)))
            return slot;
    }
}

int32_t token_find(const tokenizer *t, const unsigned char *p, size_t n)
{
    uint32_t tag, slot = *find_slot(t, p, n, &tag);
    return slot ? (int32_t)(slot & ID_MASK) : NO_TOKEN;
}

qasr_status tokens_index(tokenizer *t, size_t *twice, qasr_error *err)
{
    unsigned bits = 4;
    while ((size_t)1 << bits < t->n_tokens + t->n_tokens / 2)
        bits++;
    TRY(MEM_CALLOC(&t->slots, (size_t)1 << bits, err));
    t->slot_shift = 64 - bits;
    *twice = t->n_tokens;
    for (size_t id = 0; id < t->n_tokens && *twice == t->n_tokens; id++) {
        const token *k = &t->tokens[id];
        if (k->kind != TOKEN_BASE)
            continue;
        uint32_t tag, *slot = find_slot(t, t->bytes + k->offset, k->length, &tag);
        if (*slot)
            *twice = id;
        else
            *slot = tag | (uint32_t)id;
        t->longest = k->length > t->longest ? k->length : t->longest;
    }
    return QASR_OK;
}

/* ---- merges ------------------------------------------------------------------------------- */

static uint32_t find_cut(const tokenizer *t, int32_t result, size_t n_left)
{
    uint32_t rank = t->tokens[result].merge;
    while (rank != NO_MERGE && t->merges[rank].n_left != n_left)
        rank = t->merges[rank].next;
    return rank;
}

uint32_t merge_add(tokenizer *t, int32_t result, size_t n_left)
{
    uint32_t same = find_cut(t, result, n_left), rank = t->n_merges;
    if (same != NO_MERGE)
        return same;
    t->merges[rank] = (merge){ .n_left = (uint32_t)n_left, .next = t->tokens[result].merge };
    t->tokens[result].merge = rank;
    t->n_merges++;
    return rank;
}

uint32_t merge_find(const tokenizer *t, const unsigned char *p, size_t n_left, size_t n, int32_t *result)
{
    if (n > t->longest)
        return NO_MERGE;
    *result = token_find(t, p, n);
    return *result == NO_TOKEN ? NO_MERGE : find_cut(t, *result, n_left);
}
