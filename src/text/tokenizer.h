/* Data of a loaded tokenizer: filled by vocab.c, used by bpe.c. Internal to src/text. */
#ifndef QASR_TEXT_TOKENIZER_H
#define QASR_TEXT_TOKENIZER_H

#include "text/pretok.h"
#include "text/text.h"

enum {
    TOKEN_IDS_MAX = 1 << 22, /* a table of this size takes 48 MiB; published models have 151,706 ids */
    NO_TOKEN = -1
};
#define NO_MERGE UINT32_MAX

typedef enum token_kind {
    TOKEN_NONE = 0, /* no token has this id */
    TOKEN_BASE,     /* a byte, or the result of a merge */
    TOKEN_ADDED,    /* matches its literal text */
    TOKEN_SPECIAL   /* the same, but skipped on request when decoding */
} token_kind;

typedef struct token {
    uint32_t offset;                /* into tokenizer.bytes */
    uint32_t length : 30, kind : 2; /* kind: a token_kind */
    uint32_t merge;                 /* rank of the last merge that makes it, or NO_MERGE */
} token;

/* A merge of two tokens, stored in the list of its result. The lowest rank is applied first. */
typedef struct merge {
    uint32_t n_left; /* bytes of the left token */
    uint32_t next;   /* rank of another merge with the same result, or NO_MERGE */
} merge;

typedef struct added_token {
    uint32_t length;
    int32_t id;
} added_token;

struct tokenizer {
    unsigned char *bytes; /* contents of all tokens, concatenated */
    token *tokens;        /* [n_tokens], by id */
    size_t n_tokens;
    size_t longest; /* most bytes of an indexed token */
    int32_t byte_id[256];
    uint32_t *slots; /* index of tokens.c: open addressing, linear probing, 2^(64 - slot_shift) slots */
    unsigned slot_shift;
    merge *merges; /* [n_merges], by rank */
    uint32_t n_merges;
    added_token *added; /* [n_added], longest first */
    size_t n_added;
    bool added_first[256]; /* first bytes of added tokens */
    pretok *pretok;
};

/* ---- tokens.c ---- */

/* Indexes the base tokens by content. *twice: n_tokens, or an id with the content of a smaller id; then the index is
 * incomplete. Error: NOMEM. */
qasr_status tokens_index(tokenizer *t, size_t *twice, qasr_error *err);
/* The id with this content (n at least 1), or NO_TOKEN. */
int32_t token_find(const tokenizer *t, const unsigned char *p, size_t n);
/* True if id, which may be out of range, has this content. */
bool token_is(const tokenizer *t, size_t id, const unsigned char *p, size_t n);

/* Adds the next merge (there must be room): its result and the length of its left part. Returns its rank, or the rank
 * of an identical merge. */
uint32_t merge_add(tokenizer *t, int32_t result, size_t n_left);
/* Rank of the merge that makes the n bytes at p from tokens of n_left and n - n_left bytes, or NO_MERGE. *result: the
 * token. */
uint32_t merge_find(const tokenizer *t, const unsigned char *p, size_t n_left, size_t n, int32_t *result);

#endif
