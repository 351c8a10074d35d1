/* A vocabulary given as lists makes the same tokenizer as the directory; damaged lists are refused. */
#include "tokenizer_fixture.h"

#include "text/tokenizer.h"

enum { MAX_ITEMS = 160000 };

typedef struct list {
    char *items[MAX_ITEMS];
    size_t n, n_bytes;
} list;

static list tokens, merges;
static int32_t types[MAX_ITEMS];

static void list_clear(list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i]);
    l->n = l->n_bytes = 0;
}

static void list_add(list *l, const char *s, size_t len)
{
    assert_true(l->n < MAX_ITEMS);
    l->items[l->n] = malloc(len + 1);
    memcpy(l->items[l->n], s, len);
    l->items[l->n++][len] = 0;
    l->n_bytes += len;
}

static void list_set(list *l, size_t i, const char *s)
{
    l->n_bytes += strlen(s);
    l->n_bytes -= strlen(l->items[i]);
    free(l->items[i]);
    l->items[i] = strdup(s);
}

static bool list_next(const void *arg, uint64_t *pos, const char **s, size_t *len)
{
    const list *l = arg;
    if (*pos >= l->n)
        return false;
    *s = l->items[(*pos)++];
    *len = strlen(*s);
    return true;
}

/* GPT-2's byte table: printable Latin-1 stands for itself, the n-th other byte is U+0100 + n. */
static size_t spell(char *out, const unsigned char *p, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned cp = 0, others = 0;
        for (unsigned b = 0; b <= p[i]; b++) {
            bool itself = ('!' <= b && b <= '~') || (0xA1 <= b && b <= 0xAC) || (0xAE <= b && b <= 0xFF);
            cp = itself ? b : 0x100 + others;
            others += !itself;
        }
        if (cp >= 0x80)
            out[used++] = (char)(0xC0 | cp >> 6);
        out[used++] = (char)(cp < 0x80 ? cp : 0x80 | (cp & 0x3F));
    }
    return used;
}

/* The lists that a converter writes for the tokenizer of a directory. */
static void fill(const tokenizer *t, const char *dir, size_t n_rows, const char *unused)
{
    char text[1024];
    list_clear(&tokens);
    list_clear(&merges);
    for (size_t id = 0; id < n_rows; id++) {
        const token *k = id < t->n_tokens ? &t->tokens[id] : NULL;
        types[id] = k && k->kind == TOKEN_SPECIAL ? 3 : 1;
        if (!k || k->kind == TOKEN_NONE) {
            snprintf(text, sizeof text, unused, (unsigned)id);
            list_add(&tokens, text, strlen(text));
        } else if (k->kind == TOKEN_BASE) {
            list_add(&tokens, text, spell(text, t->bytes + k->offset, k->length));
        } else {
            list_add(&tokens, (const char *)t->bytes + k->offset, k->length);
        }
    }
    buf file = read_text(dir, MERGES);
    for (const char *line = file.data; *line;) {
        size_t n = strcspn(line, "\n");
        if (n > 0 && strncmp(line, "#version", 8) != 0)
            list_add(&merges, line, n);
        line += n + (line[n] == '\n');
    }
    buf_free(&file);
}

static token_lists lists_of(bool with_types)
{
    return (token_lists){ .path = "x.gguf",
                          .next = list_next,
                          .tokens = &tokens,
                          .merges = &merges,
                          .n_tokens = tokens.n,
                          .n_merges = merges.n,
                          .tokens_bytes = tokens.n_bytes,
                          .merges_bytes = merges.n_bytes,
                          .types = with_types ? (const unsigned char *)types : NULL };
}

static void assert_same(const tokenizer *a, const tokenizer *b, bool kinds_too)
{
    assert_int_equal(a->n_tokens, b->n_tokens);
    for (size_t id = 0; id < a->n_tokens; id++) {
        const token *x = &a->tokens[id], *y = &b->tokens[id];
        assert_int_equal(x->length, y->length);
        assert_memory_equal(a->bytes + x->offset, b->bytes + y->offset, x->length);
        assert_int_equal(x->merge, y->merge);
        assert_int_equal(x->kind == TOKEN_BASE, y->kind == TOKEN_BASE);
        if (kinds_too)
            assert_int_equal(x->kind, y->kind);
    }
    assert_int_equal(a->n_merges, b->n_merges);
    assert_memory_equal(a->merges, b->merges, a->n_merges * sizeof *a->merges);
    assert_memory_equal(a->byte_id, b->byte_id, sizeof a->byte_id);
    assert_int_equal(a->n_added, b->n_added);
    assert_memory_equal(a->added, b->added, a->n_added * sizeof *a->added);
    assert_memory_equal(a->added_first, b->added_first, sizeof a->added_first);
}

static tokenizer *must_open(bool with_types)
{
    qasr_error err;
    tokenizer *t = NULL;
    token_lists lists = lists_of(with_types);
    if (tokenizer_open_lists(&t, &lists, &err) != QASR_OK)
        fail_msg("%s", err.message);
    return t;
}

static void lists_make_what_the_directory_makes(void **state)
{
    (void)state;
    const struct {
        const tokenizer *t;
        const char *dir;
        size_t n_rows;
    } models[] = { { demo, MODEL_DIR, 1024 }, { real, TOKENIZER_DIR, 151936 } };
    for (size_t i = 0; i < 2; i++)
        for (int with_types = 0; with_types < 2; with_types++) {
            fill(models[i].t, models[i].dir, models[i].n_rows, with_types ? "<|unused_%u|>" : "[PAD%u]");
            tokenizer *t = must_open(with_types);
            /* without types, tokens of the form <|...|> count as special: right for the demo, but not for all
             * published ones */
            assert_same(t, models[i].t, with_types || models[i].t == demo);
            tokenizer_free(t);
        }
}

static void asr_text_is_never_special(void **state)
{
    (void)state;
    fill(demo, MODEL_DIR, 1024, "[PAD%u]");
    int32_t id = tokenizer_added_id(demo, "<asr_text>");
    static const int32_t given[] = { 1, 3, 4 };
    for (size_t i = 0; i < ARRAY_LEN(given); i++) {
        types[id] = given[i];
        tokenizer *t = must_open(true);
        assert_same(t, demo, true);
        tokenizer_free(t);
    }
}

static void types_tell_what_text_does_not(void **state)
{
    (void)state;
    fill(demo, MODEL_DIR, 1026, "[PAD%u]");
    list_set(&tokens, 1023, "two words"); /* not in the byte alphabet: only a type can allow the space */
    types[1023] = 4;
    list_set(&tokens, 1024, "");
    types[1024] = 5;
    list_set(&tokens, 1025, "\xE2\x98\x95");
    types[1025] = 3;
    tokenizer *t = must_open(true);
    assert_int_equal(tokenizer_size(t), 1026);
    assert_int_equal(tokenizer_added_id(t, "two words"), 1023);
    assert_int_equal(tokenizer_added_id(t, "\xE2\x98\x95"), 1025);
    assert_int_equal(t->tokens[1023].kind, TOKEN_ADDED);
    assert_int_equal(t->tokens[1024].kind, TOKEN_NONE);
    assert_int_equal(t->tokens[1025].kind, TOKEN_SPECIAL);
    tokenizer_free(t);
}

static void assert_refused(const token_lists *lists, qasr_status status, const char *part)
{
    qasr_error err;
    tokenizer *t = NULL;
    assert_int_equal(tokenizer_open_lists(&t, lists, &err), status);
    assert_null(t);
    if (!strstr(err.message, part) || !strstr(err.message, "'x.gguf'"))
        fail_msg("'%s' does not contain '%s'", err.message, part);
}

static void damaged_lists_are_refused(void **state)
{
    (void)state;
    static const struct {
        int which;
        size_t at;
        const char *text, *message;
    } cases[] = {
        { VOCAB, 5, "", "token 5 is empty" },
        { VOCAB, 5, "a b", "token 5 is not written in the byte alphabet" },
        { VOCAB, 5, "\xC3", "token 5 is not written in the byte alphabet" },
        { VOCAB, 5, "\xE2\x98\x95", "token 5 is not written in the byte alphabet" },
        { VOCAB, 5, "a", "have the same token" },
        { VOCAB, 5, "[PAD5]", "has no token" },
        { VOCAB, 1016, "<|im_end|>", "have the same token" },
        { VOCAB, 300, "xyzzy", "makes a token that is not in the vocabulary" },
        { MERGES, 7, "", "merge 7 is not two tokens separated by one space" },
        { MERGES, 7, "abc", "merge 7 is not two tokens separated by one space" },
        { MERGES, 7, "a ", "merge 7 is not two tokens separated by one space" },
        { MERGES, 7, " a", "merge 7 is not two tokens separated by one space" },
        { MERGES, 7, "a b c", "merge 7 is not two tokens separated by one space" },
        { MERGES, 7, "\x01 b", "merge 7 is not two tokens separated by one space" },
        { MERGES, 7, "~ ~", "merge 7 makes a token that is not in the vocabulary" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fill(demo, MODEL_DIR, 1024, "[PAD%u]");
        list_set(cases[i].which == VOCAB ? &tokens : &merges, cases[i].at, cases[i].text);
        token_lists lists = lists_of(false);
        assert_refused(&lists, QASR_E_FORMAT, cases[i].message);
    }
    fill(demo, MODEL_DIR, 1024, "[PAD%u]");
    list_set(&merges, 9, merges.items[3]);
    token_lists lists = lists_of(true);
    assert_refused(&lists, QASR_E_FORMAT, "merge 9 is the same as merge 3");
    list_set(&merges, 9, "x y"); /* not reached */
    lists = lists_of(true);
    types[1017] = 4;
    types[1018] = 3;
    list_set(&tokens, 1018, tokens.items[1017]);
    merges.n_bytes = 0; /* and too few bytes for any */
    lists = lists_of(true);
    assert_refused(&lists, QASR_E_FORMAT, "list of merges ends after 0");
    lists.n_merges = 0; /* no merge makes the tokens of two or more bytes */
    assert_refused(&lists, QASR_E_FORMAT, "ids 1017 and 1018 have the same token");
}

static void counts_are_checked(void **state)
{
    (void)state;
    fill(demo, MODEL_DIR, 1024, "[PAD%u]");
    token_lists lists = lists_of(false);
    lists.n_tokens++;
    assert_refused(&lists, QASR_E_FORMAT, "list of tokens ends after 1024, expected 1025");
    lists.n_tokens = (uint64_t)1 << 40;
    assert_refused(&lists, QASR_E_FORMAT, "it lists 1099511627776 tokens");
    lists = lists_of(false);
    lists.n_merges = (uint64_t)1 << 40;
    assert_refused(&lists, QASR_E_FORMAT, "more than");
    lists = lists_of(false);
    lists.tokens_bytes = (uint64_t)1 << 40;
    assert_refused(&lists, QASR_E_FORMAT, "more than");
    fill(real, TOKENIZER_DIR, 151936, "[PAD%u]");
    lists = lists_of(false);
    lists.n_merges = 100;
    assert_refused(&lists, QASR_E_UNSUPPORTED, "added tokens, expected at most");
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    fill(demo, MODEL_DIR, 1024, "[PAD%u]");
    token_lists lists = lists_of(true);
    qasr_status status = QASR_E_NOMEM;
    size_t n = 0;
    for (; status == QASR_E_NOMEM; n++) {
        tokenizer *t = NULL;
        mem_fail_after(n);
        status = tokenizer_open_lists(&t, &lists, NULL);
        mem_fail_after(SIZE_MAX);
        tokenizer_free(t);
    }
    assert_int_equal(status, QASR_OK);
    assert_true(n > 5);
}

static int free_all(void **state)
{
    list_clear(&tokens);
    list_clear(&merges);
    return free_tokenizers(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_make_what_the_directory_makes),
        cmocka_unit_test(asr_text_is_never_special),
        cmocka_unit_test(types_tell_what_text_does_not),
        cmocka_unit_test(damaged_lists_are_refused),
        cmocka_unit_test(counts_are_checked),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("token_lists", tests, open_tokenizers, free_all);
}
