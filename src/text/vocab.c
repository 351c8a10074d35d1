/* Loads a tokenizer from vocab.json, merges.txt and tokenizer_config.json.
 *
 * vocab.json is one flat object {"token": id} with 150,000 members. It has its own scanner, since building a tree in a
 * general JSON reader would dominate the loading time of a model. Tokens are written in GPT-2's byte alphabet, where
 * each character stands for one byte: printable Latin-1 for itself, the other 68 bytes as U+0100 and up. Anything else
 * is an error, so escapes, lone surrogates and control characters need no special cases.
 *
 * In published files ids 0..255 are the bytes and 256 + i is the result of merge i. Nothing here relies on that: ids
 * and results come from the files. The result of merge i is only searched there first. Its halves are not looked up: a
 * merge of strings that are not tokens never applies. */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/mem.h"
#include "text/tokenizer.h"
#include "text/utf8.h"
#include "text/vocab.h"

enum {
    CONFIG_BYTES_MAX = 4 << 20,
    TYPICAL_ENTRY_BYTES = 16, /* per token in vocab.json; published files have 18 */
    MIN_MERGE_BYTES = 3       /* plus the line end, which may be missing in the last line */
};

/* ---- a file being read -------------------------------------------------------------------- */

typedef struct scanner {
    const char *path;
    const unsigned char *begin, *p, *end;
} scanner;

__attribute__((format(printf, 3, 4))) static qasr_status scan_error(const scanner *s, qasr_error *err, const char *fmt,
                                                                    ...)
{
    char what[192];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return error_set(err, QASR_E_FORMAT, "cannot read '%s': %s at byte %zu", s->path, what, (size_t)(s->p - s->begin));
}

static qasr_status map_text(file_map *m, scanner *s, const char *path, qasr_error *err)
{
    TRY(file_map_open(m, path, err));
    qasr_status status = file_refuse_lfs_pointer(m->data, m->size, path, err);
    if (m->size > VOCAB_MAX_BYTES)
        status = error_set(err, QASR_E_FORMAT, "'%s' is too large: %zu bytes, expected at most %d", path, m->size,
                           VOCAB_MAX_BYTES);
    if (status != QASR_OK) {
        file_map_close(m);
        return status;
    }
    *s = (scanner){ .path = path, .begin = m->data, .p = m->data, .end = m->data + m->size };
    return QASR_OK;
}

/* ---- byte alphabet ------------------------------------------------------------------------ */

static bool is_printable_latin1(int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; }

void vocab_fill_alphabet(loader *l)
{
    for (int i = 0; i < VOCAB_ALPHABET_SIZE; i++)
        l->byte_of[i] = -1;
    int next = 0x100;
    for (int b = 0; b < 256; b++)
        l->byte_of[is_printable_latin1(b) ? b : next++] = (int16_t)b;
}

/* Writes the byte that a character stands for. */
static qasr_status put_letter(const loader *l, unsigned char *to, uint32_t cp, const scanner *s, qasr_error *err)
{
    if (cp == UTF8_MALFORMED || cp == UTF8_INCOMPLETE)
        return scan_error(s, err, "malformed UTF-8");
    if (cp >= VOCAB_ALPHABET_SIZE || l->byte_of[cp] < 0)
        return scan_error(s, err, "U+%04" PRIX32 " is not a character of the byte alphabet", cp);
    *to = (unsigned char)l->byte_of[cp];
    return QASR_OK;
}

/* Number of leading bytes (from the lowest) that stand for themselves: '!' to '~' except quote and backslash. */
static unsigned count_plain(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones,
                   low = x & ~high; /* no sum below carries over a byte */
    uint64_t from_0x21 = low + 0x5F * ones, is_0x7f = low + ones;
    uint64_t no_quote = (low ^ '"' * ones) + 0x7F * ones, no_backslash = (low ^ '\\' * ones) + 0x7F * ones;
    uint64_t other = (x | is_0x7f | ~(from_0x21 & no_quote & no_backslash)) & high;
    return other ? (unsigned)__builtin_ctzll(other) / 8 : 8;
}

/* Decodes characters up to a quote, a backslash, or a character outside the alphabet, which the caller handles. Most of
 * the loading time is spent here. `to` needs room for the rest of s. Returns the end of the output. */
static unsigned char *scan_letters(const loader *l, unsigned char *to, scanner *s)
{
    const unsigned char *p = s->p, *end = s->end;
    while (end - p >= 8) {
        uint32_t cp = *p;
        if (cp < 0x80) {
            uint64_t x;
            memcpy(&x, p, sizeof x);
            memcpy(to, &x, sizeof x); /* may copy too much: the rest is overwritten */
            unsigned n = count_plain(x);
            to += n;
            p += n;
            if (n == 8 || *p >= 0x80)
                continue;
            break;
        }
        cp = (cp & 0x1F) << 6 | (p[1] & 0x3F);
        if (*p < 0xC2 || *p > 0xDF || (p[1] & 0xC0) != 0x80 || cp >= VOCAB_ALPHABET_SIZE || l->byte_of[cp] < 0)
            break;
        *to++ = (unsigned char)l->byte_of[cp];
        p += 2;
    }
    s->p = p;
    return to;
}

/* Decodes one character of any kind. */
static qasr_status scan_letter(const loader *l, unsigned char *to, scanner *s, qasr_error *err)
{
    uint32_t cp;
    s->p += utf8_read(&cp, s->p, (size_t)(s->end - s->p));
    return put_letter(l, to, cp, s, err);
}

/* ---- tokens ------------------------------------------------------------------------------- */

static qasr_status reserve_tokens(loader *l, size_t n, qasr_error *err)
{
    if (n <= l->cap_tokens)
        return QASR_OK;
    size_t cap = l->cap_tokens;
    while (cap < n)
        cap *= 2;
    token *grown;
    TRY(MEM_CALLOC(&grown, cap, err)); /* TOKEN_NONE */
    memcpy(grown, l->t->tokens, l->t->n_tokens * sizeof *grown);
    mem_free(l->t->tokens);
    l->t->tokens = grown;
    l->cap_tokens = cap;
    return QASR_OK;
}

qasr_status vocab_add_token(loader *l, int32_t id, size_t n, token_kind kind, const char *path, qasr_error *err)
{
    TRY(reserve_tokens(l, (size_t)id + 1, err));
    token *k = &l->t->tokens[id];
    const unsigned char *bytes = l->t->bytes;
    bool same = k->kind == TOKEN_BASE && kind != TOKEN_BASE && k->length == n &&
                memcmp(bytes + k->offset, bytes + l->n_bytes, n) == 0; /* listed in both files */
    if (k->kind != TOKEN_NONE && !same)
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': id %" PRId32 " is used twice", path, id);
    *k = (token){
        .offset = (uint32_t)l->n_bytes, .length = (uint32_t)n, .kind = kind, .merge = same ? k->merge : NO_MERGE
    };
    l->n_bytes += n;
    if ((size_t)id >= l->t->n_tokens)
        l->t->n_tokens = (size_t)id + 1;
    return QASR_OK;
}

/* ---- vocab.json --------------------------------------------------------------------------- */

static void skip_space(scanner *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

static bool take(scanner *s, char c)
{
    skip_space(s);
    if (s->p == s->end || *s->p != (unsigned char)c)
        return false;
    s->p++;
    return true;
}

static int hex_digit(unsigned char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* After a backslash. */
static qasr_status scan_escape(uint32_t *cp, scanner *s, qasr_error *err)
{
    unsigned char c = s->p < s->end ? *s->p : 0;
    *cp = c;
    if (c != 'u') {
        if (c == 0 || !strchr("\"\\/bfnrt", c))
            return scan_error(s, err, "unknown escape");
        if (c >= 'b') /* a control character: not in any token */
            return scan_error(s, err, "'\\%c' is not a character of the byte alphabet", c);
        s->p++;
        return QASR_OK;
    }
    if (s->end - s->p < 5)
        return scan_error(s, err, "incomplete escape");
    *cp = 0;
    for (int i = 1; i <= 4; i++) {
        int digit = hex_digit(s->p[i]);
        if (digit < 0)
            return scan_error(s, err, "escape is not hexadecimal");
        *cp = *cp << 4 | (uint32_t)digit;
    }
    s->p += 5;
    return QASR_OK;
}

/* Reads a string into *n bytes at to, which needs room for the rest of s. */
static qasr_status scan_token(const loader *l, unsigned char *to, size_t *n, scanner *s, qasr_error *err)
{
    unsigned char *at = to;
    if (!take(s, '"'))
        return scan_error(s, err, "expected a string");
    for (;;) {
        at = scan_letters(l, at, s);
        if (s->p == s->end || *s->p == '"')
            break;
        if (*s->p == '\\') {
            uint32_t cp;
            s->p++;
            TRY(scan_escape(&cp, s, err));
            TRY(put_letter(l, at++, cp, s, err));
        } else {
            TRY(scan_letter(l, at++, s, err));
        }
    }
    if (!take(s, '"'))
        return scan_error(s, err, "unterminated string");
    *n = (size_t)(at - to);
    if (*n == 0)
        return scan_error(s, err, "empty token");
    return QASR_OK;
}

static qasr_status scan_id(int32_t *id, scanner *s, qasr_error *err)
{
    skip_space(s);
    const unsigned char *first = s->p;
    int32_t value = 0;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        value = value * 10 + (*s->p++ - '0');
        if (value >= TOKEN_IDS_MAX)
            return scan_error(s, err, "id is too large, expected less than %d", TOKEN_IDS_MAX);
    }
    if (s->p == first || (*first == '0' && s->p - first > 1))
        return scan_error(s, err, "expected an id (a whole number)");
    *id = value;
    return QASR_OK;
}

static qasr_status scan_vocab(loader *l, scanner *s, qasr_error *err)
{
    if (!take(s, '{'))
        return scan_error(s, err, "expected an object");
    bool more = !take(s, '}');
    while (more) {
        size_t n = 0;
        int32_t id = 0;
        TRY(scan_token(l, l->t->bytes + l->n_bytes, &n, s, err));
        if (!take(s, ':'))
            return scan_error(s, err, "expected ':'");
        TRY(scan_id(&id, s, err));
        TRY(vocab_add_token(l, id, n, TOKEN_BASE, s->path, err));
        more = take(s, ',');
        if (!more && !take(s, '}'))
            return scan_error(s, err, "expected ',' or '}'");
    }
    skip_space(s);
    if (s->p != s->end)
        return scan_error(s, err, "text after the object");
    return QASR_OK;
}

/* extra_bytes: space for added tokens. */
static qasr_status load_vocab(loader *l, const char *path, size_t extra_bytes, qasr_error *err)
{
    file_map m;
    scanner s;
    TRY(map_text(&m, &s, path, err));
    l->cap_tokens = m.size / TYPICAL_ENTRY_BYTES + 64;
    qasr_status status;
    TRY_GOTO(MEM_CALLOC(&l->t->tokens, l->cap_tokens, err));
    TRY_GOTO(MEM_ALLOC(&l->t->bytes, m.size + extra_bytes, err)); /* JSON is longer than its tokens */
    TRY_GOTO(scan_vocab(l, &s, err));
done:
    file_map_close(&m);
    return status;
}

static qasr_status build_index(tokenizer *t, const char *path, qasr_error *err)
{
    size_t twice;
    TRY(tokens_index(t, &twice, err));
    if (twice == t->n_tokens)
        return QASR_OK;
    const token *k = &t->tokens[twice];
    return error_set(err, QASR_E_FORMAT, "cannot read '%s': ids %" PRId32 " and %zu have the same token", path,
                     token_find(t, t->bytes + k->offset, k->length), twice);
}

qasr_status vocab_index(tokenizer *t, const char *path, qasr_error *err)
{
    TRY(build_index(t, path, err));
    for (int b = 0; b < 256; b++) {
        unsigned char byte = (unsigned char)b;
        t->byte_id[b] = token_find(t, &byte, 1);
        if (t->byte_id[b] == NO_TOKEN)
            return error_set(err, QASR_E_FORMAT, "cannot read '%s': byte 0x%02X has no token", path, (unsigned)b);
    }
    return QASR_OK;
}

/* ---- merges.txt --------------------------------------------------------------------------- */

static bool at_line_end(const scanner *s)
{
    size_t n = (size_t)(s->end - s->p);
    return n == 0 || *s->p == '\n' || (*s->p == '\r' && (n == 1 || s->p[1] == '\n'));
}

/* Decodes up to a space or the end of the line. */
static qasr_status scan_half(const loader *l, unsigned char *to, size_t *n, scanner *s, qasr_error *err)
{
    unsigned char *at = to;
    for (;;) {
        at = scan_letters(l, at, s);
        if (at_line_end(s) || *s->p == ' ')
            break;
        TRY(scan_letter(l, at++, s, err));
    }
    *n = (size_t)(at - to);
    return QASR_OK;
}

bool vocab_add_merge(tokenizer *t, const unsigned char *p, size_t n_left, size_t n, char *why, size_t size)
{
    uint32_t rank = t->n_merges;
    int32_t result = (int32_t)(256 + rank); /* usually right: saves a look-up */
    if (!token_is(t, 256 + (size_t)rank, p, n))
        result = token_find(t, p, n);
    if (result == NO_TOKEN) {
        snprintf(why, size, "merge %" PRIu32 " makes a token that is not in the vocabulary", rank);
        return false;
    }
    uint32_t same = merge_add(t, result, n_left);
    if (same != rank)
        snprintf(why, size, "merge %" PRIu32 " is the same as merge %" PRIu32, rank, same);
    return same == rank;
}

/* Reads one merge: s is at the start of a non-empty line and stops at its end. scratch has room for the rest of s. */
static qasr_status scan_merge(loader *l, scanner *s, unsigned char *scratch, qasr_error *err)
{
    size_t n_left, n_right;
    char why[100];
    TRY(scan_half(l, scratch, &n_left, s, err));
    s->p += !at_line_end(s); /* the space */
    TRY(scan_half(l, scratch + n_left, &n_right, s, err));
    if (n_left == 0 || n_right == 0 || !at_line_end(s))
        return scan_error(s, err, "expected two tokens separated by one space");
    if (!vocab_add_merge(l->t, scratch, n_left, n_left + n_right, why, sizeof why))
        return scan_error(s, err, "%s", why);
    return QASR_OK;
}

static void skip_version(scanner *s)
{
    static const char version[] = "#version";
    if ((size_t)(s->end - s->p) < sizeof version - 1 || memcmp(s->p, version, sizeof version - 1) != 0)
        return;
    while (!at_line_end(s))
        s->p++;
}

static qasr_status scan_merges(loader *l, scanner *s, unsigned char *scratch, qasr_error *err)
{
    skip_version(s);
    for (; s->p < s->end; s->p += s->p < s->end)
        if (!at_line_end(s))
            TRY(scan_merge(l, s, scratch, err));
    return QASR_OK;
}

static qasr_status load_merges(loader *l, const char *path, qasr_error *err)
{
    file_map m;
    scanner s;
    unsigned char *scratch = NULL; /* holds a line, so at most the file */
    TRY(map_text(&m, &s, path, err));
    qasr_status status;
    TRY_GOTO(MEM_ALLOC(&l->t->merges, m.size / MIN_MERGE_BYTES + 1, err)); /* unused pages are never touched */
    TRY_GOTO(MEM_ALLOC(&scratch, m.size, err));
    TRY_GOTO(scan_merges(l, &s, scratch, err));
done:
    mem_free(scratch);
    file_map_close(&m);
    return status;
}

/* ---- added tokens ------------------------------------------------------------------------- */

static qasr_status load_config(json_t **root, const char *path, qasr_error *err)
{
    buf text;
    buf_init(&text, CONFIG_BYTES_MAX);
    qasr_status status = json_file_read(root, &text, path, err);
    buf_free(&text);
    return status;
}

/* Parses the id in a member's name: decimal digits only. */
static bool parse_id(int32_t *id, const char *name)
{
    scanner s = { .begin = (const unsigned char *)name, .p = (const unsigned char *)name };
    s.end = s.begin + strlen(name);
    return *name >= '0' && *name <= '9' && scan_id(id, &s, NULL) == QASR_OK && s.p == s.end;
}

static qasr_status check_added(const json_t *spec, const char *name, const char *path, qasr_error *err)
{
    if (json_string_length(json_object_get(spec, "content")) == 0)
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': added token '%s' has no 'content'", path, name);
    const json_t *special = json_object_get(spec, "special");
    if (special && !json_is_boolean(special))
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': 'special' of added token '%s' is not true or false",
                         path, name);
    static const char *const unsupported[] = { "lstrip", "rstrip", "single_word" };
    for (size_t i = 0; i < ARRAY_LEN(unsupported); i++)
        if (json_is_true(json_object_get(spec, unsupported[i])))
            return error_set(err, QASR_E_UNSUPPORTED,
                             "cannot use '%s': added token '%s' sets '%s', which is not supported", path, name,
                             unsupported[i]);
    return QASR_OK;
}

/* Finds and checks the object added_tokens_decoder. *n_bytes: total length of the contents. */
static qasr_status check_config(json_t **added, size_t *n_bytes, json_t *root, const char *path, qasr_error *err)
{
    *added = json_object_get(root, "added_tokens_decoder");
    if (!json_is_object(*added))
        return error_set(err, QASR_E_FORMAT, "cannot read '%s': no object 'added_tokens_decoder'", path);
    if (json_object_size(*added) > VOCAB_MAX_ADDED)
        return error_set(err, QASR_E_UNSUPPORTED, "cannot use '%s': %zu added tokens, expected at most %d", path,
                         json_object_size(*added), VOCAB_MAX_ADDED);
    const char *name;
    json_t *spec;
    *n_bytes = 0;
    json_object_foreach(*added, name, spec)
    {
        TRY(check_added(spec, name, path, err));
        *n_bytes += json_string_length(json_object_get(spec, "content"));
    }
    return QASR_OK;
}

static int longest_first(const void *a, const void *b)
{
    const added_token *x = a, *y = b;
    return x->length != y->length ? (x->length < y->length ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

void vocab_add_added(tokenizer *t, int32_t id)
{
    const token *k = &t->tokens[id];
    t->added[t->n_added++] = (added_token){ .length = k->length, .id = id };
    t->added_first[t->bytes[k->offset]] = true;
}

void vocab_sort_added(tokenizer *t) { qsort(t->added, t->n_added, sizeof *t->added, longest_first); }

static qasr_status add_added(loader *l, json_t *added, const char *path, qasr_error *err)
{
    tokenizer *t = l->t;
    TRY(MEM_ALLOC(&t->added, json_object_size(added), err));
    const char *name;
    json_t *spec;
    json_object_foreach(added, name, spec)
    {
        int32_t id;
        if (!parse_id(&id, name))
            return error_set(err, QASR_E_FORMAT,
                             "cannot read '%s': added token id '%s', expected a whole number less than %d", path, name,
                             TOKEN_IDS_MAX);
        const json_t *content = json_object_get(spec, "content");
        const char *text = json_string_value(content);
        size_t n = json_string_length(content);
        if (tokenizer_added_id(t, text) >= 0)
            return error_set(err, QASR_E_FORMAT, "cannot read '%s': added token '%s' is given twice", path, text);
        memcpy(t->bytes + l->n_bytes, text, n);
        bool special = json_is_true(json_object_get(spec, "special"));
        TRY(vocab_add_token(l, id, n, special ? TOKEN_SPECIAL : TOKEN_ADDED, path, err));
        vocab_add_added(t, id);
    }
    vocab_sort_added(t);
    return QASR_OK;
}

/* ---- all together ------------------------------------------------------------------------- */

typedef struct paths {
    char *vocab, *merges, *config;
} paths;

static qasr_status load_files(loader *l, const paths *p, json_t **root, qasr_error *err)
{
    json_t *added = NULL;
    size_t n_added_bytes = 0;
    TRY(load_config(root, p->config, err));
    TRY(check_config(&added, &n_added_bytes, *root, p->config, err));
    TRY(load_vocab(l, p->vocab, n_added_bytes, err));
    TRY(vocab_index(l->t, p->vocab, err));
    TRY(load_merges(l, p->merges, err));
    TRY(add_added(l, added, p->config, err));
    return pretok_create(&l->t->pretok, err);
}

/* Explains the missing file if the directory has the other published format. */
static qasr_status check_present(const char *dir, const char *vocab, qasr_error *err)
{
    char *single;
    if (file_exists(vocab))
        return QASR_OK;
    TRY(file_path_join(&single, dir, "tokenizer.json", err));
    bool has_single = file_exists(single);
    mem_free(single);
    return error_set(
        err, QASR_E_IO, "'%s' has no vocab.json%s", dir,
        has_single ? "; tokenizer.json alone is not supported: add vocab.json and merges.txt of the same model" : "");
}

qasr_status tokenizer_open_dir(tokenizer **out, const char *dir, qasr_error *err)
{
    loader l = { 0 };
    paths p = { 0 };
    json_t *root = NULL;
    qasr_status status;
    vocab_fill_alphabet(&l);
    TRY_GOTO(MEM_CALLOC(&l.t, 1, err));
    TRY_GOTO(file_path_join(&p.vocab, dir, "vocab.json", err));
    TRY_GOTO(file_path_join(&p.merges, dir, "merges.txt", err));
    TRY_GOTO(file_path_join(&p.config, dir, "tokenizer_config.json", err));
    TRY_GOTO(check_present(dir, p.vocab, err));
    TRY_GOTO(load_files(&l, &p, &root, err));
    *out = l.t;
    l.t = NULL;
done:
    json_decref(root);
    mem_free(p.vocab);
    mem_free(p.merges);
    mem_free(p.config);
    tokenizer_free(l.t);
    return status;
}

void tokenizer_free(tokenizer *t)
{
    if (!t)
        return;
    pretok_free(t->pretok);
    mem_free(t->added);
    mem_free(t->merges);
    mem_free(t->slots);
    mem_free(t->tokens);
    mem_free(t->bytes);
    mem_free(t);
}

size_t tokenizer_size(const tokenizer *t) { return t->n_tokens; }

int32_t tokenizer_added_id(const tokenizer *t, const char *content)
{
    size_t n = strlen(content);
    for (size_t i = 0; i < t->n_added; i++) {
        const added_token *a = &t->added[i];
        if (a->length == n && memcmp(t->bytes + t->tokens[a->id].offset, content, n) == 0)
            return a->id;
    }
    return -1;
}
