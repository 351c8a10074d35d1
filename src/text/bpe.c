/* Text to token ids, and back.
 *
 * Encoding: trusted text is split at added tokens. Each part is normalized to NFC and split into words (pretok.c). A
 * word starts as one token per byte; the adjacent pair with the lowest rank is merged until no pair is in the table.
 * Pairs are kept in a heap ordered by rank, then position, so a word of n bytes takes O(n log n), even a million times
 * "a".
 *
 * Taking the lowest (rank, position) after every merge equals the textbook order (all occurrences of the best pair from
 * left to right, then the next pair) if each merge ranks after those that make its parts, as in every trained table.
 *
 * Decoding: the bytes of the ids pass through a text_stream, one id at a time or all at once. Streamed text therefore
 * equals the decoded whole. */
#include <string.h>

#include "base/mem.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

enum { TEXT_BYTES_MAX = 16 << 20, NO_RANK = -1, NO_SYMBOL = -1 };

/* ---- ids ---------------------------------------------------------------------------------- */

void token_ids_free(token_ids *t)
{
    mem_free(t->ids);
    *t = (token_ids){ 0 };
}

qasr_status token_ids_add(token_ids *t, int32_t id, qasr_error *err)
{
    if (t->n == t->cap) {
        size_t cap;
        if (!size_mul(t->cap ? t->cap : 32, 2, &cap))
            return error_set(err, QASR_E_NOMEM, "cannot hold more than %zu token ids", t->cap);
        int32_t *grown;
        TRY(MEM_ALLOC(&grown, cap, err));
        if (t->n)
            memcpy(grown, t->ids, t->n * sizeof *grown);
        mem_free(t->ids);
        t->ids = grown;
        t->cap = cap;
    }
    t->ids[t->n++] = id;
    return QASR_OK;
}

/* ---- merging one word --------------------------------------------------------------------- */

/* A token of the word, indexed by the position of its first byte. */
typedef struct symbol {
    int32_t id;
    int32_t end;        /* end of its bytes */
    int32_t prev, next; /* NO_SYMBOL at the ends */
    int64_t rank;       /* rank of the pair with next; NO_RANK: none, or this symbol was merged away */
    int32_t result;     /* token that the pair becomes */
} symbol;

/* Scratch of one call. The heap holds rank << 32 | position, smallest first. Entries that differ from the rank of the
 * symbol at that position are stale and skipped. */
typedef struct encoder {
    const tokenizer *t;
    token_ids *out;
    const unsigned char *word;
    symbol *symbols;
    uint64_t *heap;
    size_t n_heap, cap;
} encoder;

static void heap_push(encoder *e, uint64_t x)
{
    size_t i = e->n_heap++;
    for (; i > 0 && e->heap[(i - 1) / 2] > x; i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = x;
}

static uint64_t heap_pop(encoder *e)
{
    uint64_t top = e->heap[0], x = e->heap[--e->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < e->n_heap; i = child) {
        if (child + 1 < e->n_heap && e->heap[child + 1] < e->heap[child])
            child++;
        if (e->heap[child] >= x)
            break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = x;
    return top;
}

/* Looks up the pair that begins at a symbol and queues it. */
static void queue_pair(encoder *e, int32_t at)
{
    symbol *s = &e->symbols[at];
    s->rank = NO_RANK;
    if (s->next == NO_SYMBOL)
        return;
    uint32_t rank =
        merge_find(e->t, e->word + at, (size_t)(s->end - at), (size_t)(e->symbols[s->next].end - at), &s->result);
    if (rank == NO_MERGE)
        return;
    s->rank = rank;
    heap_push(e, (uint64_t)rank << 32 | (uint32_t)at);
}

static void merge_pair(encoder *e, int32_t at)
{
    symbol *s = &e->symbols[at], *gone = &e->symbols[s->next];
    s->id = s->result;
    s->end = gone->end;
    s->next = gone->next;
    gone->rank = NO_RANK;
    if (s->next != NO_SYMBOL)
        e->symbols[s->next].prev = at;
    queue_pair(e, at);
    if (s->prev != NO_SYMBOL)
        queue_pair(e, s->prev);
}

static qasr_status reserve_word(encoder *e, size_t n, qasr_error *err)
{
    if (n <= e->cap)
        return QASR_OK;
    size_t cap = n < 64 ? 64 : n;
    mem_free(e->symbols);
    mem_free(e->heap);
    e->symbols = NULL;
    e->heap = NULL;
    e->cap = 0;
    TRY(MEM_ALLOC(&e->symbols, cap, err));
    /* n - 1 pairs at first; each of n - 1 merges removes one and adds two */
    TRY(MEM_ALLOC(&e->heap, cap * 2, err));
    e->cap = cap;
    return QASR_OK;
}

static qasr_status encode_word(void *arg, const char *word, size_t n, qasr_error *err)
{
    encoder *e = arg;
    TRY(reserve_word(e, n, err));
    e->word = (const unsigned char *)word;
    for (size_t i = 0; i < n; i++)
        e->symbols[i] = (symbol){ .id = e->t->byte_id[e->word[i]],
                                  .end = (int32_t)i + 1,
                                  .prev = (int32_t)i - 1,
                                  .next = i + 1 < n ? (int32_t)i + 1 : NO_SYMBOL };
    e->n_heap = 0;
    for (size_t i = 0; i < n; i++)
        queue_pair(e, (int32_t)i);
    while (e->n_heap > 0) {
        uint64_t best = heap_pop(e);
        int32_t at = (int32_t)(best & UINT32_MAX);
        if (e->symbols[at].rank == (int64_t)(best >> 32))
            merge_pair(e, at);
    }
    for (int32_t at = 0; at != NO_SYMBOL; at = e->symbols[at].next)
        TRY(token_ids_add(e->out, e->symbols[at].id, err));
    return QASR_OK;
}

/* ---- encoding ----------------------------------------------------------------------------- */

/* Text without added tokens. */
static qasr_status encode_plain(encoder *e, const char *text, size_t len, qasr_error *err)
{
    buf nfc;
    buf_init(&nfc, len * 4); /* NFC, and U+FFFD for single bytes, make UTF-8 at most three times as long */
    qasr_status status = pretok_normalize(&nfc, text, len, err);
    if (status == QASR_OK)
        status = pretok_split(e->t->pretok, buf_str(&nfc), nfc.len, encode_word, e, err);
    buf_free(&nfc);
    return status;
}

/* The longest added token that is a prefix of text; NULL if none. */
static const added_token *added_at(const tokenizer *t, const char *text, size_t len)
{
    if (!t->added_first[(unsigned char)text[0]])
        return NULL;
    for (size_t i = 0; i < t->n_added; i++) {
        const added_token *a = &t->added[i];
        if (a->length <= len && memcmp(t->bytes + t->tokens[a->id].offset, text, a->length) == 0)
            return a;
    }
    return NULL;
}

static qasr_status encode_trusted(encoder *e, const char *text, size_t len, qasr_error *err)
{
    size_t begin = 0;
    for (size_t i = 0; i < len;) {
        const added_token *a = added_at(e->t, text + i, len - i);
        if (!a) {
            i++;
            continue;
        }
        TRY(encode_plain(e, text + begin, i - begin, err));
        TRY(token_ids_add(e->out, a->id, err));
        begin = i += a->length;
    }
    return encode_plain(e, text + begin, len - begin, err);
}

qasr_status tokenizer_encode(const tokenizer *t, const char *text, size_t len, bool trusted, token_ids *out,
                             qasr_error *err)
{
    if (len > TEXT_BYTES_MAX)
        return error_set(err, QASR_E_INVALID, "text is too long: %zu bytes, expected at most %d", len, TEXT_BYTES_MAX);
    encoder e = { .t = t, .out = out };
    qasr_status status = trusted ? encode_trusted(&e, text, len, err) : encode_plain(&e, text, len, err);
    mem_free(e.symbols);
    mem_free(e.heap);
    return status;
}

/* ---- decoding ----------------------------------------------------------------------------- */

/* Adds a byte and writes what is final: complete characters, and U+FFFD for bytes that cannot become one. */
static qasr_status stream_byte(text_stream *s, unsigned char byte, buf *out, qasr_error *err)
{
    s->tail[s->n_tail++] = byte;
    while (s->n_tail > 0) {
        uint32_t cp;
        size_t n = utf8_read(&cp, s->tail, s->n_tail);
        if (cp == UTF8_INCOMPLETE)
            return QASR_OK;
        TRY(utf8_add(out, cp == UTF8_MALFORMED ? 0xFFFD : cp, err));
        s->n_tail -= n;
        memmove(s->tail, s->tail + n, s->n_tail);
    }
    return QASR_OK;
}

static qasr_status stream_id(text_stream *s, const tokenizer *t, int32_t id, bool skip_special, buf *out,
                             qasr_error *err)
{
    if (id < 0 || (size_t)id >= t->n_tokens)
        return QASR_OK;
    const token *k = &t->tokens[id];
    if (k->kind == TOKEN_NONE || (k->kind == TOKEN_SPECIAL && skip_special))
        return QASR_OK;
    for (size_t i = 0; i < k->length; i++)
        TRY(stream_byte(s, t->bytes[k->offset + i], out, err));
    return QASR_OK;
}

/* Special tokens are omitted: this text is for display. */
qasr_status text_stream_add(text_stream *s, const tokenizer *t, int32_t id, buf *out, qasr_error *err)
{
    return stream_id(s, t, id, true, out, err);
}

qasr_status text_stream_end(text_stream *s, bool cut, buf *out, qasr_error *err)
{
    const bool malformed = s->n_tail > 0 && !cut;
    s->n_tail = 0;
    return malformed ? utf8_add(out, 0xFFFD, err) : QASR_OK;
}

qasr_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, bool skip_special, buf *out,
                             qasr_error *err)
{
    text_stream s = { 0 };
    for (size_t i = 0; i < n; i++)
        TRY(stream_id(&s, t, ids[i], skip_special, out, err));
    return text_stream_end(&s, false, out, err);
}
