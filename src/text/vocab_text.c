/* Converts a loaded tokenizer back to the lines of vocab.json and merges.txt. */
#include "base/mem.h"
#include "text/utf8.h"
#include "text/vocab.h"

typedef struct letters {
    uint32_t of_byte[256]; /* character for each byte */
    buf text;
} letters;

enum { MAX_TEXT_BYTES = 64 << 20 }; /* vocab.json has at most half as many */

static void letters_init(letters *l)
{
    loader alphabet = { 0 };
    vocab_fill_alphabet(&alphabet);
    for (uint32_t c = 0; c < VOCAB_ALPHABET_SIZE; c++)
        if (alphabet.byte_of[c] >= 0)
            l->of_byte[alphabet.byte_of[c]] = c;
    buf_init(&l->text, MAX_TEXT_BYTES);
}

static qasr_status add_letters(letters *l, const unsigned char *bytes, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < n; i++)
        TRY(utf8_add(&l->text, l->of_byte[bytes[i]], err));
    return QASR_OK;
}

tokenizer_kind tokenizer_kind_of(const tokenizer *t, int32_t id)
{
    if (id < 0 || (size_t)id >= t->n_tokens || t->tokens[id].kind == TOKEN_NONE)
        return TOKENIZER_NO_TOKEN;
    return t->tokens[id].kind == TOKEN_SPECIAL ? TOKENIZER_SPECIAL : TOKENIZER_NORMAL;
}

static qasr_status give_token(letters *l, const tokenizer *t, const token *k, tokenizer_text_fn fn, void *arg,
                              qasr_error *err)
{
    const unsigned char *bytes = t->bytes + k->offset;
    buf_clear(&l->text);
    if (k->kind == TOKEN_BASE)
        TRY(add_letters(l, bytes, k->length, err));
    else if (k->kind != TOKEN_NONE)
        TRY(buf_add(&l->text, bytes, k->length, err));
    return fn(arg, buf_str(&l->text), l->text.len, err);
}

qasr_status tokenizer_each_token(const tokenizer *t, tokenizer_text_fn fn, void *arg, qasr_error *err)
{
    letters l;
    letters_init(&l);
    qasr_status status = QASR_OK;
    for (size_t id = 0; id < t->n_tokens && status == QASR_OK; id++)
        status = give_token(&l, t, &t->tokens[id], fn, arg, err);
    buf_free(&l.text);
    return status;
}

size_t tokenizer_merge_count(const tokenizer *t) { return t->n_merges; }

static qasr_status give_merge(letters *l, const tokenizer *t, const merge *m, const token *result, tokenizer_text_fn fn,
                              void *arg, qasr_error *err)
{
    const unsigned char *bytes = t->bytes + result->offset;
    buf_clear(&l->text);
    TRY(add_letters(l, bytes, m->n_left, err));
    TRY(buf_add(&l->text, " ", 1, err));
    TRY(add_letters(l, bytes + m->n_left, result->length - m->n_left, err));
    return fn(arg, buf_str(&l->text), l->text.len, err);
}

/* Finds the result of each merge, since merges are listed by result. */
static qasr_status find_results(int32_t **results, const tokenizer *t, qasr_error *err)
{
    TRY(MEM_ALLOC(results, t->n_merges, err));
    for (size_t id = 0; id < t->n_tokens; id++)
        if (t->tokens[id].kind != TOKEN_NONE)
            for (uint32_t rank = t->tokens[id].merge; rank != NO_MERGE; rank = t->merges[rank].next)
                (*results)[rank] = (int32_t)id;
    return QASR_OK;
}

qasr_status tokenizer_each_merge(const tokenizer *t, tokenizer_text_fn fn, void *arg, qasr_error *err)
{
    int32_t *results = NULL; /* [n_merges] */
    letters l;
    letters_init(&l);
    qasr_status status = find_results(&results, t, err);
    for (uint32_t rank = 0; rank < t->n_merges && status == QASR_OK; rank++)
        status = give_merge(&l, t, &t->merges[rank], &t->tokens[results[rank]], fn, arg, err);
    mem_free(results);
    buf_free(&l.text);
    return status;
}
