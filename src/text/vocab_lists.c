/* Loads the tables of vocab.c from lists of tokens and merges.
 *
 * The lists do not mark added tokens reliably: some files have no types, others mark <asr_text> as normal. But a base
 * token is either a byte or the result of a merge, so any other token must be an added one. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "text/vocab.h"

enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_UNUSED = 5 };

/* Decodes the byte alphabet: one character, of one or two bytes, per byte. False if a character is not in it. */
static bool decode(const loader *l, unsigned char *to, size_t *n, const char *s, size_t len)
{
    unsigned char *at = to;
    for (size_t i = 0; i < len; i++) {
        uint32_t c = (unsigned char)s[i];
        if (c >= 0xC2 && c <= 0xDF && i + 1 < len && ((unsigned char)s[i + 1] & 0xC0) == 0x80)
            c = (c & 0x1F) << 6 | ((unsigned char)s[++i] & 0x3F);
        else if (c >= 0x80)
            return false;
        if (c >= VOCAB_ALPHABET_SIZE || l->byte_of[c] < 0)
            return false;
        *at++ = (unsigned char)l->byte_of[c];
    }
    *n = (size_t)(at - to);
    return true;
}

/* Matches before, digits, after. */
static bool is_numbered(const char *s, size_t len, const char *before, const char *after)
{
    size_t n_before = strlen(before), n_after = strlen(after);
    if (len <= n_before + n_after || memcmp(s, before, n_before) != 0 || memcmp(s + len - n_after, after, n_after) != 0)
        return false;
    for (size_t i = n_before; i < len - n_after; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return true;
}

static bool is_placeholder(const char *s, size_t len)
{
    return is_numbered(s, len, "<|unused_", "|>") || is_numbered(s, len, "[PAD", "]");
}

static bool is_asr_text(const char *s, size_t len)
{
    static const char asr_text[] =
        "<asr_text>"; /* some writers mark every added token as special, but this one is content */
    return len == sizeof asr_text - 1 && memcmp(s, asr_text, len) == 0;
}

static int32_t type_of(const token_lists *lists, size_t id)
{
    int32_t type = TYPE_NORMAL;
    if (lists->types)
        memcpy(&type, lists->types + id * sizeof type, sizeof type);
    return type;
}

static qasr_status load_token(loader *l, const token_lists *lists, size_t id, const char *s, size_t len,
                              qasr_error *err)
{
    int32_t type = type_of(lists, id);
    size_t n = len;
    token_kind kind = type == TYPE_CONTROL && !is_asr_text(s, len)        ? TOKEN_SPECIAL
                      : type == TYPE_CONTROL || type == TYPE_USER_DEFINED ? TOKEN_ADDED
                                                                          : TOKEN_BASE;
    if (type == TYPE_UNUSED || is_placeholder(s, len))
        return QASR_OK;
    if (len == 0)
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': token %zu is empty", lists->path, id);
    if (kind != TOKEN_BASE)
        memcpy(l->t->bytes + l->n_bytes, s, len);
    else if (!decode(l, l->t->bytes + l->n_bytes, &n, s, len))
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': token %zu is not written in the byte alphabet",
                         lists->path, id);
    return vocab_add_token(l, (int32_t)id, n, kind, lists->path, err);
}

/* True if there is another string and it fits into the remaining bytes of the list. */
static bool next_string(const token_lists *lists, const void *list, uint64_t *pos, uint64_t *room, const char **s,
                        size_t *len)
{
    if (!lists->next(list, pos, s, len) || *len > *room)
        return false;
    *room -= *len;
    return true;
}

static qasr_status wrong_count(const token_lists *lists, const char *what, uint64_t n, uint64_t wanted, qasr_error *err)
{
    return error_set(err, QASR_E_FORMAT, "cannot read '%s': its list of %s ends after %" PRIu64 ", expected %" PRIu64,
                     lists->path, what, n, wanted);
}

static qasr_status load_tokens(loader *l, const token_lists *lists, qasr_error *err)
{
    uint64_t pos = 0, room = lists->tokens_bytes;
    const char *s;
    size_t len;
    l->cap_tokens = (size_t)lists->n_tokens + 1;
    TRY(MEM_CALLOC(&l->t->tokens, l->cap_tokens, err));
    TRY(MEM_ALLOC(&l->t->bytes, (size_t)lists->tokens_bytes + 1, err));
    for (size_t id = 0; id < lists->n_tokens; id++) {
        if (!next_string(lists, lists->tokens, &pos, &room, &s, &len))
            return wrong_count(lists, "tokens", id, lists->n_tokens, err);
        TRY(load_token(l, lists, id, s, len, err));
    }
    return QASR_OK;
}

static qasr_status load_merge(loader *l, const token_lists *lists, const char *s, size_t len, unsigned char *scratch,
                              qasr_error *err)
{
    const char *blank = len ? memchr(s, ' ', len) : NULL;
    size_t n_left = 0, n_right = 0, n_s = blank ? (size_t)(blank - s) : 0;
    char why[100];
    if (!blank || !decode(l, scratch, &n_left, s, n_s) ||
        !decode(l, scratch + n_left, &n_right, blank + 1, len - n_s - 1) || n_left == 0 || n_right == 0)
        return error_set(err, QASR_E_FORMAT,
                         "cannot read '%s': merge %" PRIu32 " is not two tokens separated by one space", lists->path,
                         l->t->n_merges);
    if (!vocab_add_merge(l->t, scratch, n_left, n_left + n_right, why, sizeof why))
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': %s", lists->path, why);
    return QASR_OK;
}

static qasr_status load_merges(loader *l, const token_lists *lists, qasr_error *err)
{
    uint64_t pos = 0, room = lists->merges_bytes;
    const char *s;
    size_t len;
    unsigned char *scratch;
    TRY(MEM_ALLOC(&l->t->merges, (size_t)lists->n_merges + 1, err));
    TRY(MEM_ALLOC(&scratch, (size_t)lists->merges_bytes + 1, err));
    qasr_status status = QASR_OK;
    for (uint64_t i = 0; i < lists->n_merges && status == QASR_OK; i++)
        status = next_string(lists, lists->merges, &pos, &room, &s, &len)
                     ? load_merge(l, lists, s, len, scratch, err)
                     : wrong_count(lists, "merges", i, lists->n_merges, err);
    mem_free(scratch);
    return status;
}

static bool is_added(const token *k)
{
    return k->kind == TOKEN_ADDED || k->kind == TOKEN_SPECIAL ||
           (k->kind == TOKEN_BASE && k->length > 1 && k->merge == NO_MERGE);
}

/* Guesses the kind of an added token without a type. */
static token_kind guess_kind(const token_lists *lists, const unsigned char *p, size_t n)
{
    bool looks_special = n > 4 && memcmp(p, "<|", 2) == 0 && memcmp(p + n - 2, "|>", 2) == 0;
    return !lists->types && looks_special ? TOKEN_SPECIAL : TOKEN_ADDED;
}

static qasr_status add_added(tokenizer *t, const token_lists *lists, qasr_error *err)
{
    size_t n = 0;
    for (size_t id = 0; id < t->n_tokens; id++)
        n += is_added(&t->tokens[id]);
    if (n > VOCAB_MAX_ADDED)
        return error_set(err, QASR_E_UNSUPPORTED, "cannot use '%s': %zu added tokens, expected at most %d", lists->path,
                         n, VOCAB_MAX_ADDED);
    TRY(MEM_ALLOC(&t->added, n, err));
    for (size_t id = 0; id < t->n_tokens; id++) {
        token *k = &t->tokens[id];
        const unsigned char *p = t->bytes + k->offset;
        if (!is_added(k))
            continue;
        for (size_t i = 0; i < t->n_added; i++)
            if (token_is(t, (size_t)t->added[i].id, p, k->length))
                return error_set(err, QASR_E_FORMAT, "cannot read '%s': ids %" PRId32 " and %zu have the same token",
                                 lists->path, t->added[i].id, id);
        if (k->kind == TOKEN_BASE)
            k->kind = guess_kind(lists, p, k->length);
        vocab_add_added(t, (int32_t)id);
    }
    vocab_sort_added(t);
    return QASR_OK;
}

static qasr_status load(loader *l, const token_lists *lists, qasr_error *err)
{
    if (lists->n_tokens > TOKEN_IDS_MAX)
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': it lists %" PRIu64 " tokens, expected at most %d",
                         lists->path, lists->n_tokens, TOKEN_IDS_MAX);
    if (lists->tokens_bytes > VOCAB_MAX_BYTES || lists->merges_bytes > VOCAB_MAX_BYTES ||
        lists->n_merges > VOCAB_MAX_BYTES)
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': its tokens or merges take more than %d bytes",
                         lists->path, VOCAB_MAX_BYTES);
    TRY(MEM_CALLOC(&l->t, 1, err));
    TRY(load_tokens(l, lists, err));
    TRY(vocab_index(l->t, lists->path, err));
    TRY(load_merges(l, lists, err));
    TRY(add_added(l->t, lists, err));
    return pretok_create(&l->t->pretok, err);
}

qasr_status tokenizer_open_lists(tokenizer **out, const token_lists *lists, qasr_error *err)
{
    loader l = { 0 };
    vocab_fill_alphabet(&l);
    qasr_status status = load(&l, lists, err);
    if (status == QASR_OK)
        *out = l.t;
    else
        tokenizer_free(l.t);
    return status;
}
