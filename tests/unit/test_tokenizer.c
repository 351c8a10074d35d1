/* text: the tokenizer, with the published vocabulary and that of the demo model. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <utf8proc.h>

#include "base/file.h"
#include "base/mem.h"
#include "text/pretok.h"
#include "text/text.h"
#include "text/tokenizer.h"
#include "text/utf8.h"
#include "tokenizer_fixture.h"

static uint64_t random_state = 20260117;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % n);
}

static void check_ids(const tokenizer *t, const char *text, size_t len, bool trusted, const int32_t *want, size_t n)
{
    qasr_error err;
    token_ids got = { 0 };
    assert_int_equal(tokenizer_encode(t, text, len, trusted, &got, &err), QASR_OK);
    for (size_t i = 0; i < n && i < got.n; i++)
        if (got.ids[i] != want[i])
            fail_msg("'%s': id %zu is %d, expected %d", text, i, got.ids[i], want[i]);
    assert_int_equal(got.n, n);
    token_ids_free(&got);
}

/* ---- known ids ---------------------------------------------------------------------------- */

static const struct {
    const char *text;
    int32_t ids[32];
    size_t n;
} known[] = {
    { "hello world", { 14990, 1879 }, 2 },
    { "it's a test, isn't it?", { 275, 594, 264, 1273, 11, 4436, 944, 432, 30 }, 9 },
    { "I'LL don't", { 40, 6, 4086, 1513, 944 }, 5 },
    { "   trailing   spaces   ", { 256, 27748, 256, 12621, 262 }, 5 },
    { "line1\nline2", { 1056, 16, 198, 1056, 17 }, 5 },
    { "line1\r\n\r\nline2", { 1056, 16, 871, 1056, 17 }, 5 },
    { "  two  spaces\n\n next", { 220, 1378, 220, 12621, 271, 1790 }, 6 },
    { "x = y+1;\n\n\n", { 87, 284, 379, 10, 16, 5210 }, 6 },
    { "\tTab\tsep", { 197, 8582, 197, 28036 }, 4 },
    { "a\u00A0b", { 64, 4102, 65 }, 3 },
    { "digits: 12345 and 678", { 60770, 25, 220, 16, 17, 18, 19, 20, 323, 220, 21, 22, 23 }, 13 },
    { "emoji: 😀 🎉", { 37523, 25, 90316, 11162, 236, 231 }, 6 },
    { "\u00E9\u00E9", { 963, 963 }, 2 },
    { "e\u0301", { 963 }, 1 },
    { "你好，世界。", { 108386, 3837, 99489, 1773 }, 4 },
    { "今天天气怎么样？", { 100644, 104307, 104472, 11319 }, 4 },
    { "こんにちは", { 89015 }, 1 },
    { "안녕하세요", { 126246, 144370, 91145 }, 3 },
    { "Привет, мир!", { 53645, 26991, 8178, 11, 137144, 0 }, 6 },
    { "สวัสดี", { 143126, 23271, 125136, 28319 }, 4 },
    { "नमस्ते", { 60096, 87244, 78368, 30484, 97, 34370 }, 6 },
    { "مرحبا", { 124122, 29825, 124671 }, 3 },
    { "①②½", { 48312, 254, 48312, 94, 26062 }, 5 },
    { "👨\u200D👩\u200D👧", { 145367, 378, 235, 145233, 378, 235, 145665 }, 7 },
    { "<asr_text>hi", { 151704, 6023 }, 2 },
    { "<ASR_TEXT>", { 27, 1911, 49, 10243, 29 }, 5 },
    { "language English<asr_text>And so, my fellow Americans, ask not what your country can do for you. Ask what "
      "you can do for your country.",
      { 11528, 6364, 151704, 3036, 773, 11,    847,  12357, 8877, 11,  2548, 537, 1128, 697, 3146,
        646,   653,  369,    498,  13,  20437, 1128, 498,   646,  653, 369,  697, 3146, 13 },
      29 },
    { "", { 0 }, 0 },
    /* white space is Unicode's: U+0085 is, U+180E is not; U+017F is "s" when case is ignored */
    { "a \xC2\x85\xC2\x85"
      "b",
      { 64, 2139, 227, 126, 227, 65 },
      6 },
    { "x\u180E\u180Ey", { 87, 123970, 236, 123970, 236, 88 }, 6 },
    { "a'\u017Fx", { 64, 6, 144815, 87 }, 4 },
};

static void published_ids_come_out(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        check_ids(real, known[i].text, strlen(known[i].text), true, known[i].ids, known[i].n);
}

static void published_ids_decode_to_their_text(void **state)
{
    qasr_error err;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        utf8proc_uint8_t *nfc = utf8proc_NFC((const utf8proc_uint8_t *)known[i].text);
        buf text;
        buf_init(&text, 1000);
        assert_int_equal(tokenizer_decode(real, known[i].ids, known[i].n, true, &text, &err), QASR_OK);
        assert_string_equal(buf_str(&text), (const char *)nfc);
        buf_free(&text);
        free(nfc);
    }
}

static void tables_have_the_published_shape(void **state)
{
    assert_int_equal(tokenizer_size(real), 151705);
    assert_int_equal(tokenizer_size(demo), 1023);
    assert_int_equal(tokenizer_added_id(real, "<|endoftext|>"), 151643);
    assert_int_equal(tokenizer_added_id(real, "<|audio_pad|>"), 151676);
    assert_int_equal(tokenizer_added_id(real, "<asr_text>"), 151704);
    assert_int_equal(tokenizer_added_id(real, "<asr_text"), -1);
    assert_int_equal(tokenizer_added_id(real, "hello"), -1);
    assert_int_equal(tokenizer_added_id(demo, "<asr_text>"), 1022);
    static const unsigned char first[] = { 33, 126, 161, 172, 174, 255, 0, 32, 127, 160, 173 };
    static const int32_t id[] = { 0, 93, 94, 105, 106, 187, 188, 220, 221, 254, 255 };
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        assert_int_equal(real->byte_id[first[i]], id[i]);
}

/* The length of the left half of the next line in characters, each of which stands for one byte; 0: no more lines. */
static size_t next_cut(const char **line)
{
    const char *end = strchr(*line, '\n'), *blank = strchr(*line, ' ');
    size_t n = 0;
    if (!end)
        return 0;
    assert_true(blank && blank < end);
    for (const char *p = *line; p < blank; p++)
        n += (*p & 0xC0) != 0x80;
    *line = end + 1;
    return n;
}

static void every_published_merge_is_found_and_no_other(void **state)
{
    buf text = read_text(TOKENIZER_DIR, MERGES);
    const char *line = strchr(text.data, '\n') + 1; /* "#version" */
    uint32_t rank = 0;
    for (size_t cut; (cut = next_cut(&line)) > 0; rank++) {
        const token *k = &real->tokens[256 + rank];
        for (size_t n_left = 1; n_left < k->length; n_left++) {
            int32_t result = NO_TOKEN;
            uint32_t found = merge_find(real, real->bytes + k->offset, n_left, k->length, &result);
            assert_int_equal(found, n_left == cut ? rank : NO_MERGE);
            assert_int_equal(result, 256 + rank);
        }
    }
    assert_int_equal(rank, 151387);
    assert_int_equal(real->n_merges, rank);
    buf_free(&text);
}

static void added_tokens_need_trust(void **state)
{
    static const char text[] = "a<|im_end|><asr_text><|im_end";
    check_ids(real, text, sizeof text - 1, true, (const int32_t[]){ 64, 151645, 151704, 27, 91, 318, 6213 }, 7);
    qasr_error err;
    token_ids ids = { 0 };
    assert_int_equal(tokenizer_encode(real, text, sizeof text - 1, false, &ids, &err), QASR_OK);
    for (size_t i = 0; i < ids.n; i++)
        assert_true(ids.ids[i] < 151643);
    token_ids_free(&ids);
}

static void decoding_skips_special_and_unknown_ids(void **state)
{
    static const int32_t ids[] = { 151644, 14990, -1, 151704, INT32_MIN, 151645, 151705, 1879, INT32_MAX };
    static const char *const want[] = { "<|im_start|>hello<asr_text><|im_end|> world", "hello<asr_text> world" };
    qasr_error err;
    for (int skip = 0; skip < 2; skip++) {
        buf text;
        buf_init(&text, 100);
        assert_int_equal(tokenizer_decode(real, ids, ARRAY_LEN(ids), skip, &text, &err), QASR_OK);
        assert_string_equal(buf_str(&text), want[skip]);
        buf_free(&text);
    }
}

static void golden_answers_decode(void **state)
{
    json_t *root = json_load_file(TEST_DATA "/golden/demo.json", 0, NULL), *clip;
    assert_non_null(root);
    const char *name;
    size_t n_clips = 0;
    json_object_foreach(json_object_get(root, "clips"), name, clip)
    {
        json_t *list = json_object_get(clip, "output_ids");
        qasr_error err;
        token_ids ids = { 0 };
        buf text;
        buf_init(&text, 10000);
        for (size_t i = 0; i < json_array_size(list); i++)
            assert_int_equal(token_ids_add(&ids, (int32_t)json_integer_value(json_array_get(list, i)), &err), QASR_OK);
        assert_int_equal(tokenizer_decode(demo, ids.ids, ids.n, false, &text, &err), QASR_OK);
        assert_string_equal(buf_str(&text), json_string_value(json_object_get(clip, "output")));
        token_ids_free(&ids);
        buf_free(&text);
        n_clips++;
    }
    assert_true(n_clips >= 10);
    json_decref(root);
}

/* ---- random text -------------------------------------------------------------------------- */

/* Characters below U+0530 were assigned long ago, so libraries with different Unicode versions agree on them. Those
 * of the pool above it are as old. */
enum { OLD_CHARACTERS = 0x530, ALL_CHARACTERS = 0x110000 };

/* A letter, any character below limit, or a character of a kind that the split or NFC distinguishes. */
static uint32_t random_character(uint32_t limit)
{
    static const uint32_t pool[] = { ' ',    ' ',    '\n',   '\r',  '\t',  0x85,    0xA0,    0x3000, '\'',    's',
                                     'T',    'l',    'L',    'r',   'e',   '1',     '9',     0xBD,   0x2460,  '.',
                                     ',',    '-',    0xE9,   0x301, 0x327, 0x323,   0x315,   0x1100, 0x1161,  0x11A8,
                                     0xAC00, 0x4E2D, 0x928,  0x94D, 0xE31, 0x200D,  0x180E,  0x2028, 0x1F389, 0xFFFD,
                                     0,      0x212B, 0xFB01, 0x958, 0x17F, 0x1D15E, 0x10FFFF };
    switch (random_below(4)) {
    case 0: return 'a' + random_below(26);
    case 1: { /* anything but surrogates */
        uint32_t cp = random_below(limit);
        return cp < 0xD800 || cp > 0xDFFF ? cp : 'x';
    }
    default: return pool[random_below(ARRAY_LEN(pool))];
    }
}

static void random_text(buf *text, size_t n_characters)
{
    qasr_error err;
    buf_clear(text);
    for (size_t i = 0; i < n_characters; i++)
        assert_int_equal(utf8_add(text, random_character(ALL_CHARACTERS), &err), QASR_OK);
}

/* utf8proc's own NFC. */
static void check_is_nfc_of(const buf *got, const buf *text)
{
    utf8proc_uint8_t *nfc;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)buf_str(text), (utf8proc_ssize_t)text->len, &nfc,
                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    assert_true(n >= 0);
    assert_int_equal(got->len, n);
    assert_memory_equal(buf_str(got), nfc, (size_t)n);
    free(nfc);
}

static void decode_of_encode_is_nfc(void **state)
{
    qasr_error err;
    buf text, again;
    buf_init(&text, 10000);
    buf_init(&again, 10000);
    token_ids ids = { 0 };
    for (int i = 0; i < 4000; i++) {
        const tokenizer *t = i % 4 ? real : demo;
        random_text(&text, random_below(40));
        ids.n = 0;
        buf_clear(&again);
        assert_int_equal(tokenizer_encode(t, buf_str(&text), text.len, i % 2, &ids, &err), QASR_OK);
        assert_int_equal(tokenizer_decode(t, ids.ids, ids.n, false, &again, &err), QASR_OK);
        check_is_nfc_of(&again, &text);
    }
    token_ids_free(&ids);
    buf_free(&text);
    buf_free(&again);
}

/* ---- the split, against a scanner written from its rules ---------------------------------- */

typedef struct characters {
    uint32_t cp[64];
    size_t n;
} characters;

static uint32_t at(const characters *c, size_t i) { return i < c->n ? c->cp[i] : UTF8_MALFORMED; }

static bool is_category(uint32_t cp, utf8proc_category_t first, utf8proc_category_t last)
{
    if (cp == UTF8_MALFORMED)
        return false;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category >= first && category <= last;
}
static bool is_letter(uint32_t cp) { return is_category(cp, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO); }
static bool is_number(uint32_t cp) { return is_category(cp, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO); }
static bool is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x85 || is_category(cp, UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZP);
}
static bool is_newline(uint32_t cp) { return cp == '\r' || cp == '\n'; }
static bool is_other(uint32_t cp) { return cp != UTF8_MALFORMED && !is_letter(cp) && !is_number(cp) && !is_space(cp); }

static uint32_t fold(uint32_t cp) { return cp == 0x17F ? 's' : cp >= 'A' && cp <= 'Z' ? cp + 32 : cp; }

static size_t contraction(const characters *c, size_t p)
{
    uint32_t a = fold(at(c, p + 1)), b = fold(at(c, p + 2));
    if (c->cp[p] != '\'')
        return 0;
    if (a == 's' || a == 't')
        return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return 3;
    return a == 'm' || a == 'd' ? 2 : 0;
}

static size_t scan_white(const characters *c, size_t p)
{
    size_t n = 0, newline = 0;
    while (is_space(at(c, p + n)))
        newline = is_newline(at(c, p + n++)) ? n : newline;
    if (newline)
        return newline;
    return p + n == c->n || n == 1 ? n : n - 1;
}

/* Number of characters of the word at p. */
static size_t scan_word(const characters *c, size_t p)
{
    size_t n = contraction(c, p);
    uint32_t first = c->cp[p];
    if (n)
        return n;
    if (is_letter(first) || (!is_newline(first) && !is_number(first) && is_letter(at(c, p + 1)))) {
        for (n = 1; is_letter(at(c, p + n));)
            n++;
        return n;
    }
    if (is_number(first))
        return 1;
    if (is_other(first) || (first == ' ' && is_other(at(c, p + 1)))) {
        for (n = 1; is_other(at(c, p + n));)
            n++;
        while (is_newline(at(c, p + n)))
            n++;
        return n;
    }
    return scan_white(c, p);
}

/* Word lengths from the scanner, checked off one by one. */
typedef struct expected_words {
    size_t length[64], n, next;
} expected_words;

static qasr_status check_word(void *arg, const char *word, size_t len, qasr_error *err)
{
    expected_words *e = arg;
    assert_true(e->next < e->n);
    assert_int_equal(len, e->length[e->next]);
    e->next++;
    return QASR_OK;
}

static void split_follows_its_rules(void **state)
{
    qasr_error err;
    buf text;
    buf_init(&text, 10000);
    for (int i = 0; i < 20000; i++) {
        characters c = { .n = random_below(24) };
        expected_words e = { 0 };
        buf_clear(&text);
        for (size_t j = 0; j < c.n; j++) {
            c.cp[j] = random_character(OLD_CHARACTERS);
            assert_int_equal(utf8_add(&text, c.cp[j], &err), QASR_OK);
        }
        for (size_t p = 0, n; p < c.n; p += n) {
            unsigned char bytes[4];
            n = scan_word(&c, p);
            for (size_t j = p; j < p + n; j++)
                e.length[e.n] += utf8_write(bytes, c.cp[j]);
            e.n++;
        }
        assert_int_equal(pretok_split(real->pretok, buf_str(&text), text.len, check_word, &e, &err), QASR_OK);
        assert_int_equal(e.next, e.n);
    }
    buf_free(&text);
}

/* ---- merging, against a naive implementation ---------------------------------------------- */

/* The lines of a merges.txt, sorted. */
typedef struct pair_list {
    buf text;
    struct pair_line {
        const char *text;
        uint32_t rank;
    } * lines;
    size_t n;
} pair_list;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct pair_line *)a)->text, ((const struct pair_line *)b)->text);
}

static pair_list read_pairs(const char *dir)
{
    pair_list l = { .text = read_text(dir, MERGES) };
    l.lines = malloc(l.text.len * sizeof *l.lines);
    assert_non_null(l.lines);
    strtok(l.text.data, "\n"); /* "#version" */
    for (char *line; (line = strtok(NULL, "\n")); l.n++)
        l.lines[l.n] = (struct pair_line){ line, (uint32_t)l.n };
    qsort(l.lines, l.n, sizeof *l.lines, by_text);
    return l;
}

static void free_pairs(pair_list *l)
{
    buf_free(&l->text);
    free(l->lines);
}

typedef struct parts {
    char text[200][200];
    size_t n;
} parts;

/* Rank of the pair at i; UINT32_MAX: not in the list. */
static uint32_t pair_rank(const pair_list *l, const parts *p, size_t i)
{
    char line[401];
    snprintf(line, sizeof line, "%s %s", p->text[i], p->text[i + 1]);
    const struct pair_line *found = bsearch(&(struct pair_line){ line, 0 }, l->lines, l->n, sizeof *found, by_text);
    return found ? found->rank : UINT32_MAX;
}

/* Merges all occurrences of the best pair from left to right, until no pair is left. The word's letters represent
 * themselves in the file. */
static void merge_naively(const pair_list *l, parts *p)
{
    for (;;) {
        uint32_t best = UINT32_MAX;
        for (size_t i = 0; i + 1 < p->n; i++)
            best = pair_rank(l, p, i) < best ? pair_rank(l, p, i) : best;
        if (best == UINT32_MAX)
            return;
        for (size_t i = 0; i + 1 < p->n; i++)
            if (pair_rank(l, p, i) == best) {
                strcat(p->text[i], p->text[i + 1]);
                memmove(p->text[i + 1], p->text[i + 2], (p->n - i - 2) * sizeof p->text[0]);
                p->n--;
            }
    }
}

static void merging_follows_the_textbook(void **state)
{
    pair_list lists[] = { read_pairs(TOKENIZER_DIR), read_pairs(MODEL_DIR) };
    static parts p;
    for (int i = 0; i < 5000; i++) {
        char word[200];
        qasr_error err;
        size_t n = 1 + random_below(i % 50 ? 20 : sizeof word - 2);
        uint32_t n_letters = 1 + random_below(26); /* few letters: runs and overlaps */
        const tokenizer *t = i % 3 ? real : demo;
        for (size_t j = 0; j < n; j++) {
            word[j] = (char)('a' + random_below(n_letters));
            snprintf(p.text[j], sizeof p.text[j], "%c", word[j]);
        }
        p.n = n;
        merge_naively(&lists[i % 3 == 0], &p);
        token_ids ids = { 0 };
        assert_int_equal(tokenizer_encode(t, word, n, false, &ids, &err), QASR_OK);
        assert_int_equal(ids.n, p.n);
        for (size_t j = 0; j < ids.n; j++)
            assert_true(token_is(t, (size_t)ids.ids[j], (const unsigned char *)p.text[j], strlen(p.text[j])));
        token_ids_free(&ids);
    }
    free_pairs(&lists[0]);
    free_pairs(&lists[1]);
}

/* A million bytes of the worst cases for the split, NFC or merging. */
static void long_text_takes_no_quadratic_time(void **state)
{
    static const char *const unit[] = { "a", " ", "\u0315\u0300", ".", "\n ", "\xFF", "中", "1", "' ", "\u0301" };
    enum { N = 1000000 };
    char *text = malloc(N);
    qasr_error err;
    for (size_t i = 0; i < ARRAY_LEN(unit); i++) {
        size_t n_unit = strlen(unit[i]), n = N / n_unit * n_unit;
        for (size_t j = 0; j < n; j++)
            text[j] = unit[i][j % n_unit];
        token_ids ids = { 0 };
        buf again;
        buf_init(&again, N * 4);
        assert_int_equal(tokenizer_encode(real, text, n, false, &ids, &err), QASR_OK);
        assert_int_equal(tokenizer_decode(real, ids.ids, ids.n, false, &again, &err), QASR_OK);
        assert_int_equal(again.len, unit[i][0] == '\xFF' ? n * 3 : n);
        token_ids_free(&ids);
        buf_free(&again);
    }
    free(text);
    token_ids ids = { 0 };
    assert_int_equal(tokenizer_encode(real, "", (size_t)1 << 40, false, &ids, &err), QASR_E_INVALID);
    assert_int_equal(ids.n, 0);
}

/* ---- malformed UTF-8 ---------------------------------------------------------------------- */

/* The results of Python's bytes.decode(errors="replace"). */
static const struct {
    const char *bytes, *text;
} malformed[] = {
    { "a\x80z", "a\uFFFDz" },
    { "\xC0\x80", "\uFFFD\uFFFD" },
    { "\xC3z", "\uFFFDz" },
    { "\xC3", "\uFFFD" },
    { "\xE2\x82z", "\uFFFDz" },
    { "\xE2\x82", "\uFFFD" },
    { "\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD" },
    { "\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD" }, /* a surrogate */
    { "\xF0\x9F\x98z", "\uFFFDz" },
    { "\xF0\x9F\x98", "\uFFFD" },
    { "\xF0\x9F\xF0\x9F\x98\x80", "\uFFFD😀" },
    { "\xF0\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD" },
    { "\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD" }, /* U+110000 */
    { "\xF8\x88\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD" },
    { "\xE2\xE2\x82\xAC", "\uFFFD€" },
    { "\xFE\xFF", "\uFFFD\uFFFD" },
};

static void malformed_bytes_are_replaced(void **state)
{
    qasr_error err;
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        const char *bytes = malformed[i].bytes, *want = malformed[i].text;
        token_ids raw = { 0 }, clean = { 0 };
        buf text;
        buf_init(&text, 100);
        for (const char *p = bytes; *p; p++)
            assert_int_equal(token_ids_add(&raw, real->byte_id[(unsigned char)*p], &err), QASR_OK);
        assert_int_equal(tokenizer_decode(real, raw.ids, raw.n, true, &text, &err), QASR_OK);
        assert_string_equal(buf_str(&text), want);
        assert_int_equal(tokenizer_encode(real, want, strlen(want), false, &clean, &err), QASR_OK);
        check_ids(real, bytes, strlen(bytes), false, clean.ids, clean.n);
        token_ids_free(&raw);
        token_ids_free(&clean);
        buf_free(&text);
    }
}

static bool is_well_formed(const buf *b)
{
    uint32_t cp = 0;
    for (size_t i = 0; i < b->len;) {
        i += utf8_read(&cp, (const unsigned char *)b->data + i, b->len - i);
        if (cp == UTF8_MALFORMED || cp == UTF8_INCOMPLETE)
            return false;
    }
    return true;
}

static void streaming_gives_the_text_of_the_whole(void **state)
{
    qasr_error err;
    buf streamed, whole;
    buf_init(&streamed, 10000);
    buf_init(&whole, 10000);
    for (int i = 0; i < 3000; i++) {
        int32_t ids[30];
        size_t n = random_below(30);
        text_stream s = { 0 };
        buf_clear(&streamed);
        buf_clear(&whole);
        for (size_t j = 0; j < n; j++) {
            ids[j] = (int32_t)random_below(j % 2 ? 256 : 151710); /* many tokens of a single byte */
            assert_int_equal(text_stream_add(&s, real, ids[j], &streamed, &err), QASR_OK);
            assert_true(is_well_formed(&streamed));
            assert_true(s.n_tail <= 3);
        }
        assert_int_equal(text_stream_end(&s, false, &streamed, &err), QASR_OK);
        assert_int_equal(tokenizer_decode(real, ids, n, true, &whole, &err), QASR_OK);
        assert_int_equal(streamed.len, whole.len);
        assert_memory_equal(buf_str(&streamed), buf_str(&whole), whole.len);
    }
    buf_free(&streamed);
    buf_free(&whole);
}

static void stream_waits_for_the_whole_character(void **state)
{
    static const int32_t party[] = { 11162, 236, 231 }; /* " 🎉" */
    static const char *const so_far[] = { " ", " ", " 🎉" };
    qasr_error err;
    text_stream s = { 0 };
    buf text;
    buf_init(&text, 100);
    for (size_t i = 0; i < ARRAY_LEN(party); i++) {
        assert_int_equal(text_stream_add(&s, real, party[i], &text, &err), QASR_OK);
        assert_string_equal(buf_str(&text), so_far[i]);
    }
    assert_int_equal(text_stream_add(&s, real, party[0], &text, &err), QASR_OK);
    assert_int_equal(text_stream_end(&s, false, &text, &err), QASR_OK);
    assert_int_equal(text_stream_end(&s, false, &text, &err), QASR_OK); /* a second call adds nothing */
    assert_string_equal(buf_str(&text), " 🎉 \uFFFD");
    buf_clear(&text);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(text_stream_add(&s, real, party[i], &text, &err), QASR_OK);
    assert_int_equal(text_stream_end(&s, true, &text, &err), QASR_OK); /* stopped there */
    assert_string_equal(buf_str(&text), " ");
    buf_free(&text);
    buf_init(&text, 1);
    assert_int_equal(tokenizer_decode(real, party, 3, true, &text, &err), QASR_E_NOMEM);
    buf_free(&text);
}

/* ---- threads ------------------------------------------------------------------------------ */

static void *encode_known(void *failed)
{
    qasr_error err;
    for (int round = 0; round < 50; round++)
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            token_ids ids = { 0 };
            if (tokenizer_encode(real, known[i].text, strlen(known[i].text), true, &ids, &err) != QASR_OK ||
                ids.n != known[i].n || (ids.n && memcmp(ids.ids, known[i].ids, ids.n * sizeof *ids.ids) != 0))
                *(bool *)failed = true;
            token_ids_free(&ids);
        }
    return NULL;
}

static void four_threads_share_a_tokenizer(void **state)
{
    pthread_t thread[4];
    bool failed[4] = { 0 };
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, encode_known, &failed[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_false(failed[i]);
    }
}

/* ---- hostile files ------------------------------------------------------------------------ */

static const struct {
    int which;
    const char *from, *to, *message; /* part of the error message; NULL: the file is good */
} edits[] = {
    { VOCAB, "", " \n", NULL },
    { VOCAB, "\"B\": 33", "\"\\u0042\" :\t33\r\n", NULL },
    { VOCAB, "\"!\": 0", "\"\\u0021\": 0", NULL },
    { VOCAB, NULL, "", "expected an object at byte 0" },
    { VOCAB, NULL, "{}", "byte 0x00 has no token" },
    { VOCAB, NULL, "[]", "expected an object" },
    { VOCAB, NULL, "{", "expected a string at byte 1" },
    { VOCAB, NULL, "{\"a\"", "expected ':'" },
    { VOCAB, NULL, "{\"a\":", "expected an id" },
    { VOCAB, NULL, "{\"a\":1", "expected ',' or '}'" },
    { VOCAB, NULL, "{\"a\":1,}", "expected a string" },
    { VOCAB, NULL, "{\"a\":1}x", "text after the object" },
    { VOCAB, NULL, "{\"a", "unterminated string" },
    { VOCAB, NULL, "{\"a\\", "unknown escape" },
    { VOCAB, NULL, "{\"\\x\":1}", "unknown escape" },
    { VOCAB, NULL, "{\"\\n\":1}", "not a character of the byte alphabet" },
    { VOCAB, NULL, "{\"\\u00", "incomplete escape" },
    { VOCAB, NULL, "{\"\\u00g0\":1}", "escape is not hexadecimal" },
    { VOCAB, NULL, "{\"\\ud83d\\ude00\":1}", "U+D83D is not a character of the byte alphabet" },
    { VOCAB, NULL, "{\"\\udc00\":1}", "U+DC00" },
    { VOCAB, NULL, "{\"😀\":1}", "U+1F600" },
    { VOCAB, NULL, "{\"a b\":1}", "U+0020" },
    { VOCAB, NULL, "{\"\xFF\":1}", "malformed UTF-8" },
    { VOCAB, NULL, "{\"\xC4", "malformed UTF-8" },
    { VOCAB, NULL, "{\"\":1}", "empty token" },
    { VOCAB, "\"!\": 0", "\"!\": -1", "expected an id" },
    { VOCAB, "\"!\": 0", "\"!\": 00", "expected an id" },
    { VOCAB, "\"!\": 0", "\"!\": 0.5", "expected ',' or '}'" },
    { VOCAB, "\"!\": 0", "\"!\": 1e9", "expected ',' or '}'" },
    { VOCAB, "\"!\": 0", "\"!\": null", "expected an id" },
    { VOCAB, "\"!\": 0", "\"!\": 4194304", "id is too large" },
    { VOCAB, "\"!\": 0", "\"!\": 99999999999999999999999", "id is too large" },
    { VOCAB, "\"!\": 0", "\"!\": 1", "id 1 is used twice" },
    { VOCAB, "\"!\": 0", "\"!\": 0, \"!\": 2000", "ids 0 and 2000 have the same token" },
    { VOCAB, "\"!\": 0, ", "", "byte 0x21 has no token" },
    { VOCAB, "\"!\": 0", "\"!\": 1016", "id 1016 is used twice" },
    { VOCAB, "\"!\": 0", "\"!\": 0, \"<asr_text>\": 1022", NULL },
    { VOCAB, "\"!\": 0", "\"!\": 0, \"<asr_text\": 1022", "id 1022 is used twice" },
    { MERGES, "#version: 0.2\n", "", NULL },
    { MERGES, "#version: 0.2\n", "\n\n", NULL },
    { MERGES, NULL, "", NULL },
    { MERGES, NULL, "Ġ Ð\r\n\r\n", NULL },
    { MERGES, "#version: 0.2\n", "Ġ Ð\n", "is the same as merge 0" },
    { MERGES, "#version: 0.2\n", "zz z\n", "merge 0 makes a token that is not in the vocabulary" },
    { MERGES, "#version: 0.2\n", "z zz\n", "merge 0 makes a token that is not in the vocabulary" },
    { MERGES, "#version: 0.2\n", "~ ~\n", "merge 0 makes a token that is not in the vocabulary" },
    { MERGES, "#version: 0.2\n", "a\n", "expected two tokens separated by one space" },
    { MERGES, "#version: 0.2\n", "a \n", "expected two tokens separated by one space" },
    { MERGES, "#version: 0.2\n", " a\n", "expected two tokens separated by one space" },
    { MERGES, "#version: 0.2\n", "a b c\n", "expected two tokens separated by one space" },
    { MERGES, "#version: 0.2\n", "a  b\n", "expected two tokens separated by one space" },
    { MERGES, "#version: 0.2\n", "a \xFF\n", "malformed UTF-8" },
    { MERGES, "#version: 0.2\n", "a 😀\n", "U+1F600" },
    { MERGES, "Ñ Ĥ\n", "#version: 0.2\n", "not in the vocabulary" },
    { CONFIG, NULL, "", "tokenizer_config.json' is not valid JSON: " },
    { CONFIG, NULL, "{", "line 1" },
    { CONFIG, NULL, "[]", "tokenizer_config.json' is not a JSON object" },
    { CONFIG, NULL, "{}", "no object 'added_tokens_decoder'" },
    { CONFIG, NULL, "{\"added_tokens_decoder\":[]}", "no object 'added_tokens_decoder'" },
    { CONFIG, NULL, "{\"added_tokens_decoder\":{}}", NULL },
    { CONFIG, NULL, "{\"added_tokens_decoder\":{\"1016\":1}}", "added token '1016' has no 'content'" },
    { CONFIG, NULL, "{\"added_tokens_decoder\":{\"1016\":{\"content\":\"\"}}}", "has no 'content'" },
    { CONFIG, NULL, "{\"added_tokens_decoder\":{\"1016\":{\"content\":\"\\u0000\"}}}", "line 1" },
    { CONFIG, "\"1016\"", "\"1017\"", "duplicate" },
    { CONFIG, "\"1016\"", "\"0\"", "id 0 is used twice" },
    { CONFIG, "\"1016\"", "\"-1\"", "added token id '-1'" },
    { CONFIG, "\"1016\"", "\"01016\"", "added token id '01016'" },
    { CONFIG, "\"1016\"", "\"1016 \"", "added token id '1016 '" },
    { CONFIG, "\"1016\"", "\"\"", "added token id ''" },
    { CONFIG, "\"1016\"", "\"99999999999\"", "added token id '99999999999'" },
    { CONFIG, "<|endoftext|>", "<|im_start|>", "'<|im_start|>' is given twice" },
    { CONFIG, "\"special\": true", "\"special\": 1", "is not true or false" },
    { CONFIG, "\"lstrip\": false", "\"lstrip\": true", "sets 'lstrip'" },
    { CONFIG, "\"single_word\": false", "\"single_word\": true", "sets 'single_word'" },
};

static void hostile_files_are_refused(void **state)
{
    char dir[64];
    make_dir(dir);
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        qasr_error err = { 0 };
        tokenizer *t = NULL;
        write_edited(dir, edits[i].which, edits[i].from, edits[i].to);
        qasr_status status = tokenizer_open_dir(&t, dir, &err);
        if (edits[i].message) {
            if (status == QASR_OK || !strstr(err.message, edits[i].message))
                fail_msg("edit %zu (%s): '%s', expected '%s'", i, edits[i].to, err.message, edits[i].message);
            assert_true(status == QASR_E_FORMAT || status == QASR_E_UNSUPPORTED);
            assert_null(t);
        } else if (status != QASR_OK) {
            fail_msg("edit %zu (%s): '%s'", i, edits[i].to, err.message);
        }
        tokenizer_free(t);
        write_edited(dir, edits[i].which, "", "");
    }
    remove_dir(dir);
}

/* vocab.json and merges.txt truncated at any byte are refused or give a usable tokenizer. */
static void truncated_files_do_no_harm(void **state)
{
    qasr_error err;
    char dir[64];
    make_dir(dir);
    for (int which = 0; which < N_FILES; which++) {
        buf text = read_text(MODEL_DIR, which);
        for (size_t n = random_below(64); n + 1 < text.len; n += 1 + random_below(128)) {
            tokenizer *t = NULL;
            write_file(dir, which, text.data, n);
            if (tokenizer_open_dir(&t, dir, &err) == QASR_OK) {
                assert_int_equal(which, MERGES); /* cut at the end of a line, or within "a bc" when "ab" is a token */
                check_ids(t, "?", 1, true, (const int32_t[]){ 30 }, 1);
            }
            tokenizer_free(t);
        }
        write_file(dir, which, text.data, text.len);
        buf_free(&text);
    }
    remove_dir(dir);
}

static void missing_files_are_named(void **state)
{
    char dir[64];
    for (int i = 0; i < N_FILES; i++) {
        qasr_error err;
        tokenizer *t = NULL;
        char path[300];
        make_dir(dir);
        snprintf(path, sizeof path, "%s/%s", dir, file_name[i]);
        unlink(path);
        assert_int_equal(tokenizer_open_dir(&t, dir, &err), QASR_E_IO);
        assert_non_null(strstr(err.message, file_name[i]));
        assert_null(t);
        remove_dir(dir);
    }
}

static void ids_need_not_be_in_order(void **state)
{
    char dir[64];
    make_dir(dir);
    static const char text[] = "! language English";
    write_edited(dir, VOCAB, "\"!\": 0", "\"!\": 3000"); /* unused ids 0 and 1023..2999 */
    qasr_error err;
    tokenizer *t = NULL;
    assert_int_equal(tokenizer_open_dir(&t, dir, &err), QASR_OK);
    assert_int_equal(tokenizer_size(t), 3001);
    token_ids ids = { 0 };
    buf again;
    buf_init(&again, 100);
    assert_int_equal(tokenizer_encode(t, text, sizeof text - 1, false, &ids, &err), QASR_OK);
    assert_int_equal(ids.ids[0], 3000);
    assert_int_equal(token_ids_add(&ids, 0, &err), QASR_OK);
    assert_int_equal(token_ids_add(&ids, 2999, &err), QASR_OK);
    assert_int_equal(tokenizer_decode(t, ids.ids, ids.n, false, &again, &err), QASR_OK);
    assert_string_equal(buf_str(&again), text);
    token_ids_free(&ids);
    buf_free(&again);
    tokenizer_free(t);
    remove_dir(dir);
}

/* Several merges make the same token; one has a half that is not a token, and never applies. */
static void merges_with_one_result_are_told_apart(void **state)
{
    static const unsigned char zzzz[] = "zzzz";
    char dir[64];
    qasr_error err;
    tokenizer *t = NULL;
    int32_t result;
    make_dir(dir);
    write_edited(dir, VOCAB, "\"!\": 0", "\"!\": 0, \"zz\": 2000, \"zzzz\": 2001");
    write_edited(dir, MERGES, "#version: 0.2\n", "z zzz\nzz zz\nz z\n");
    assert_int_equal(tokenizer_open_dir(&t, dir, &err), QASR_OK);
    assert_int_equal(merge_find(t, zzzz, 1, 4, &result), 0);
    assert_int_equal(result, 2001);
    assert_int_equal(merge_find(t, zzzz, 2, 4, &result), 1);
    assert_int_equal(result, 2001);
    assert_int_equal(merge_find(t, zzzz, 1, 2, &result), 2);
    assert_int_equal(result, 2000);
    assert_int_equal(merge_find(t, zzzz, 3, 4, &result), NO_MERGE);
    assert_int_equal(merge_find(t, zzzz, 1, 3, &result), NO_MERGE);
    int32_t z = t->byte_id['z'];
    check_ids(t, "zzzzz", 5, false, (const int32_t[]){ 2001, z }, 2);
    check_ids(t, "zzz", 3, false, (const int32_t[]){ 2000, z }, 2);
    tokenizer_free(t);
    write_edited(dir, MERGES, "#version: 0.2\n", "z zzz\nzz zz\nz z\nz zzz\n");
    assert_int_equal(tokenizer_open_dir(&t, dir, &err), QASR_E_FORMAT);
    assert_non_null(strstr(err.message, "merge 3 is the same as merge 0"));
    remove_dir(dir);
}

/* ---- out of memory ------------------------------------------------------------------------ */

static void every_failed_allocation_is_reported(void **state)
{
    qasr_error err;
    qasr_status status = QASR_E_NOMEM;
    tokenizer *t = NULL;
    size_t n = 0;
    for (; status != QASR_OK; n++) {
        mem_fail_after(n);
        status = tokenizer_open_dir(&t, MODEL_DIR, &err);
        mem_fail_after(SIZE_MAX);
        assert_true(status == QASR_OK || (status == QASR_E_NOMEM && !t));
    }
    assert_true(n > 10);
    static const char text[] = "language English<asr_text> e\u0315\u0300 and then some";
    status = QASR_E_NOMEM;
    for (n = 0; status != QASR_OK; n++) {
        token_ids ids = { 0 };
        mem_fail_after(n);
        status = tokenizer_encode(t, text, sizeof text - 1, true, &ids, &err);
        mem_fail_after(SIZE_MAX);
        assert_true(status == QASR_OK || status == QASR_E_NOMEM);
        token_ids_free(&ids);
    }
    assert_true(n > 5);
    tokenizer_free(t);
    tokenizer_free(NULL);
}

/* ---- ids back to text --------------------------------------------------------------------- */

static qasr_status add_line(void *arg, const char *text, size_t len, qasr_error *err)
{
    TRY(buf_add(arg, text, len, err));
    return buf_add(arg, "\n", 1, err);
}

typedef struct id_check {
    const json_t *vocab, *added;
    const tokenizer *t;
    int32_t id;
    size_t n_base, n_special;
} id_check;

/* The token is that of vocab.json or tokenizer_config.json with this id. */
static qasr_status check_id(void *arg, const char *text, size_t len, qasr_error *err)
{
    id_check *c = arg;
    char name[16];
    (void)err;
    snprintf(name, sizeof name, "%d", (int)c->id);
    const json_t *spec = json_object_get(c->added, name);
    const json_t *base = json_object_get(c->vocab, text);
    bool special = json_is_true(json_object_get(spec, "special"));
    tokenizer_kind kind = tokenizer_kind_of(c->t, c->id);
    if (len == 0)
        assert_true(!spec && kind == TOKENIZER_NO_TOKEN);
    else if (spec)
        assert_string_equal(text, json_string_value(json_object_get(spec, "content")));
    else
        assert_true(json_is_integer(base) && json_integer_value(base) == c->id);
    if (len > 0)
        assert_int_equal(kind, special ? TOKENIZER_SPECIAL : TOKENIZER_NORMAL);
    c->n_base += len > 0 && !spec;
    c->n_special += special;
    c->id++;
    return QASR_OK;
}

static void check_as_text(const tokenizer *t, const char *dir)
{
    buf merges = read_text(dir, MERGES), vocab = read_text(dir, VOCAB), config = read_text(dir, CONFIG), written;
    buf_init(&written, 1 << 24);
    assert_int_equal(tokenizer_each_merge(t, add_line, &written, NULL), QASR_OK);
    const char *after_version = strchr(buf_str(&merges), '\n') + 1;
    size_t n = strlen(after_version);
    assert_int_equal(written.len - (after_version[n - 1] != '\n'), n);
    assert_memory_equal(buf_str(&written), after_version, n);
    json_t *base = json_loads(buf_str(&vocab), 0, NULL), *root = json_loads(buf_str(&config), 0, NULL);
    id_check c = { .vocab = base, .added = json_object_get(root, "added_tokens_decoder"), .t = t };
    assert_int_equal(tokenizer_each_token(t, check_id, &c, NULL), QASR_OK);
    assert_int_equal(c.id, tokenizer_size(t));
    assert_int_equal(c.n_base, json_object_size(base));
    assert_true(c.n_special > 0);
    assert_int_equal(tokenizer_kind_of(t, -1), TOKENIZER_NO_TOKEN);
    assert_int_equal(tokenizer_kind_of(t, INT32_MAX), TOKENIZER_NO_TOKEN);
    json_decref(base);
    json_decref(root);
    buf_free(&written);
    buf_free(&merges);
    buf_free(&vocab);
    buf_free(&config);
}

static void tokens_and_merges_come_back_as_text(void **state)
{
    (void)state;
    check_as_text(real, TOKENIZER_DIR);
    check_as_text(demo, MODEL_DIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_ids_come_out),
        cmocka_unit_test(published_ids_decode_to_their_text),
        cmocka_unit_test(tables_have_the_published_shape),
        cmocka_unit_test(every_published_merge_is_found_and_no_other),
        cmocka_unit_test(added_tokens_need_trust),
        cmocka_unit_test(decoding_skips_special_and_unknown_ids),
        cmocka_unit_test(golden_answers_decode),
        cmocka_unit_test(decode_of_encode_is_nfc),
        cmocka_unit_test(split_follows_its_rules),
        cmocka_unit_test(merging_follows_the_textbook),
        cmocka_unit_test(long_text_takes_no_quadratic_time),
        cmocka_unit_test(malformed_bytes_are_replaced),
        cmocka_unit_test(streaming_gives_the_text_of_the_whole),
        cmocka_unit_test(stream_waits_for_the_whole_character),
        cmocka_unit_test(four_threads_share_a_tokenizer),
        cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(truncated_files_do_no_harm),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(ids_need_not_be_in_order),
        cmocka_unit_test(merges_with_one_result_are_told_apart),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(tokens_and_merges_come_back_as_text),
    };
    return cmocka_run_group_tests(tests, open_tokenizers, free_tokenizers);
}
