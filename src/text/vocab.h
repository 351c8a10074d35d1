/* Filling a tokenizer's tables, shared by vocab.c (files of a directory) and vocab_lists.c (lists in another file).
 * Internal to src/text. */
#ifndef QASR_TEXT_VOCAB_H
#define QASR_TEXT_VOCAB_H

#include "text/tokenizer.h"

enum {
    VOCAB_MAX_ADDED = 4096,     /* the search is linear; published models have 62 */
    VOCAB_MAX_BYTES = 32 << 20, /* limit for the tokens and for the merges, as stored */
    VOCAB_ALPHABET_SIZE = 0x100 + 68
};

typedef struct loader {
    tokenizer *t;
    size_t n_bytes;                       /* bytes in use of t->bytes */
    size_t cap_tokens;                    /* capacity of t->tokens */
    int16_t byte_of[VOCAB_ALPHABET_SIZE]; /* byte for each character of the byte alphabet; -1: none */
} loader;

/* Fills byte_of. */
void vocab_fill_alphabet(loader *l);
/* Assigns the n bytes at t->bytes + n_bytes, already written, to an id in [0, TOKEN_IDS_MAX). */
qasr_status vocab_add_token(loader *l, int32_t id, size_t n, token_kind kind, const char *path, qasr_error *err);
/* Call after the base tokens: indexes them and finds the tokens of single bytes. */
qasr_status vocab_index(tokenizer *t, const char *path, qasr_error *err);
/* Adds the next merge: it makes the n bytes at p, of which the first n_left are its left half. There must be room. On
 * failure returns false with a description in why [size]. */
bool vocab_add_merge(tokenizer *t, const unsigned char *p, size_t n_left, size_t n, char *why, size_t size);
/* Registers an added token, to be recognised as a whole; there must be room in t->added. Sort after the last one. */
void vocab_add_added(tokenizer *t, int32_t id);
void vocab_sort_added(tokenizer *t);

#endif
