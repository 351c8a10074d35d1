/* How a tokenizer's tables are filled, whatever they are read from: vocab.c reads the files of a directory,
 * vocab_lists.c lists that another file holds. Internal to src/text. */
#ifndef QASR_TEXT_VOCAB_H
#define QASR_TEXT_VOCAB_H

#include "text/tokenizer.h"

enum {
    VOCAB_MAX_ADDED = 4096,     /* they are searched one by one; published ones have 62 */
    VOCAB_MAX_BYTES = 32 << 20, /* each of the tokens and the merges, as they are stored */
    VOCAB_ALPHABET_SIZE = 0x100 + 68
};

typedef struct loader {
    tokenizer *t;
    size_t n_bytes;                       /* of t->bytes in use */
    size_t cap_tokens;                    /* of t->tokens */
    int16_t byte_of[VOCAB_ALPHABET_SIZE]; /* character of the byte alphabet to byte, -1: none */
} loader;

/* Which byte each character of the byte alphabet stands for. */
void vocab_fill_alphabet(loader *l);
/* Gives an id in [0, TOKEN_IDS_MAX) the n bytes at l->n_bytes, which are in place already. */
qasr_status vocab_add_token(loader *l, int32_t id, size_t n, token_kind kind, const char *path, qasr_error *err);
/* After the base tokens: makes them findable and finds those of the single bytes. */
qasr_status vocab_index(tokenizer *t, const char *path, qasr_error *err);
/* Adds the next merge, which makes the n bytes at p of which the first n_left are its left half; there must be room for
 * it. False: why (size bytes) says what is wrong with it. */
bool vocab_add_merge(tokenizer *t, const unsigned char *p, size_t n_left, size_t n, char *why, size_t size);
/* From now on the token is recognised as a whole; there must be room in t->added. Then, after the last, the order. */
void vocab_add_added(tokenizer *t, int32_t id);
void vocab_sort_added(tokenizer *t);

#endif
