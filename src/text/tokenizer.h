/* What a loaded tokenizer holds: filled by vocab.c, used by bpe.c. Internal to src/text. */
#ifndef QASR_TEXT_TOKENIZER_H
#define QASR_TEXT_TOKENIZER_H

#include "text/pretok.h"
#include "text/text.h"

typedef enum token_kind {
    TOKEN_NONE = 0, /* a hole: no token has this id */
    TOKEN_BASE,     /* from vocab.json: made by merging */
    TOKEN_ADDED,    /* stands for its literal text */
    TOKEN_SPECIAL   /* the same, left out of decoded text on request */
} token_kind;

typedef struct token {
    uint32_t offset, length; /* into tokenizer.bytes */
    token_kind kind;
} token;

/* left next to right becomes result; the smallest rank goes first. */
typedef struct merge {
    int32_t left, right, result; /* left -1: empty slot */
    uint32_t rank;
} merge;

typedef struct added_token {
    uint32_t length;
    int32_t id;
} added_token;

struct tokenizer {
    unsigned char *bytes; /* contents of all tokens, one after the other */
    token *tokens;        /* [n_tokens], by id */
    size_t n_tokens;
    int32_t byte_id[256];
    merge *merges;        /* open addressing, linear probing */
    unsigned merge_shift; /* slot = high bits of the hash; 2^(64 - merge_shift) slots */
    added_token *added;   /* [n_added], longest first */
    size_t n_added;
    bool added_first[256]; /* bytes that an added token begins with */
    pretok *pretok;
};

/* Home slot of a pair. */
static inline size_t merge_slot(int32_t left, int32_t right, unsigned shift)
{
    return (size_t)((((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u) >> shift);
}

/* The slot that holds the pair, or the empty slot where it would go. */
static inline merge *merge_find(const tokenizer *t, int32_t left, int32_t right)
{
    size_t mask = ((size_t)1 << (64 - t->merge_shift)) - 1;
    size_t i = merge_slot(left, right, t->merge_shift);
    while (t->merges[i].left >= 0 && (t->merges[i].left != left || t->merges[i].right != right))
        i = (i + 1) & mask;
    return &t->merges[i];
}

#endif
