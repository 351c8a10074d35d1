/* What a loaded tokenizer holds: filled by vocab.c, used by bpe.c. Internal to src/text. */
#ifndef QASR_TEXT_TOKENIZER_H
#define QASR_TEXT_TOKENIZER_H

#include "text/pretok.h"
#include "text/text.h"

enum {
    TOKEN_IDS_MAX = 1 << 22, /* a table of that many ids is 48 MiB; published ones have 151,706 */
    NO_TOKEN = -1
};
#define NO_MERGE UINT32_MAX

typedef enum token_kind {
    TOKEN_NONE = 0, /* a hole: no token has this id */
    TOKEN_BASE,     /* a byte, or made by merging */
    TOKEN_ADDED,    /* stands for its literal text */
    TOKEN_SPECIAL   /* the same, left out of decoded text on request */
} token_kind;

typedef struct token {
    uint32_t offset;                /* into tokenizer.bytes */
    uint32_t length : 30, kind : 2; /* kind: a token_kind */
    uint32_t merge;                 /* rank of the last of the merges that make it, or NO_MERGE */
} token;

/* Two tokens become one; which one is known from where the merge is found. The smallest rank goes first. */
typedef struct merge {
    uint32_t n_left; /* bytes of the left one */
    uint32_t next;   /* rank of another merge with the same result, or NO_MERGE */
} merge;

typedef struct added_token {
    uint32_t length;
    int32_t id;
} added_token;

struct tokenizer {
    unsigned char *bytes; /* contents of all tokens, one after the other */
    token *tokens;        /* [n_tokens], by id */
    size_t n_tokens;
    size_t longest; /* bytes of a token of the index */
    int32_t byte_id[256];
    uint32_t *slots; /* index of tokens.c: open addressing, linear probing, 2^(64 - slot_shift) slots */
    unsigned slot_shift;
    merge *merges; /* [n_merges], by rank */
    uint32_t n_merges;
    added_token *added; /* [n_added], longest first */
    size_t n_added;
    bool added_first[256]; /* bytes that an added token begins with */
    pretok *pretok;
};

/* ---- tokens.c ---- */

/* Makes the base tokens that are there findable by content. *twice: n_tokens, or an id whose content a smaller one has;
 * then the index is not complete. Error: NOMEM. */
qasr_status tokens_index(tokenizer *t, size_t *twice, qasr_error *err);
/* The id with this content (n is at least 1), or NO_TOKEN. */
int32_t token_find(const tokenizer *t, const unsigned char *p, size_t n);
/* True if it is the content of this id, which may be any number. */
bool token_is(const tokenizer *t, size_t id, const unsigned char *p, size_t n);

/* Adds the next merge, for which there must be room: its result and the length of its left part. Returns its rank, or
 * that of the same merge if it is there already. */
uint32_t merge_add(tokenizer *t, int32_t result, size_t n_left);
/* Rank of the merge that makes one token of n bytes at p, of which the first n_left are a token and the rest is one;
 * NO_MERGE if there is none. *result: the token. */
uint32_t merge_find(const tokenizer *t, const unsigned char *p, size_t n_left, size_t n, int32_t *result);

#endif
