/* Edit distance against plain recursion, alignments against their rules, and the counts of qasr_score_text against
 * counts done by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "qasr/qasr_tools.h"
#include "text/edit.h"

/* ---- edit distance ---- */

static uint32_t seed = 7;

static size_t random_below(size_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* The definition, without a table. */
static size_t plain_distance(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    if (n_a == 0 || n_b == 0)
        return n_a + n_b;
    size_t both = plain_distance(a + 1, n_a - 1, b + 1, n_b - 1) + (a[0] != b[0]);
    size_t one = plain_distance(a + 1, n_a - 1, b, n_b) + 1, other = plain_distance(a, n_a, b + 1, n_b - 1) + 1;
    size_t best = one < other ? one : other;
    return both < best ? both : best;
}

/* Every index occurs once, in order; the number of unequal pairs is the distance. */
static void check_alignment(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b, size_t distance)
{
    edit_pair pairs[32];
    size_t n = 99, i = 0, j = 0, edits = 0;
    assert_int_equal(edit_align(pairs, &n, a, n_a, b, n_b, NULL), QASR_OK);
    for (size_t k = 0; k < n; k++) {
        assert_false(pairs[k].a == EDIT_NONE && pairs[k].b == EDIT_NONE);
        edits += pairs[k].a == EDIT_NONE || pairs[k].b == EDIT_NONE || a[pairs[k].a] != b[pairs[k].b];
        if (pairs[k].a != EDIT_NONE)
            assert_int_equal(pairs[k].a, i++);
        if (pairs[k].b != EDIT_NONE)
            assert_int_equal(pairs[k].b, j++);
    }
    assert_int_equal(i, n_a);
    assert_int_equal(j, n_b);
    assert_int_equal(edits, distance);
}

static void random_sequences(void **state)
{
    for (int round = 0; round < 3000; round++) {
        int32_t a[8], b[8];
        size_t n_a = random_below(8), n_b = random_below(8), n_symbols = 1 + random_below(4), distance;
        for (size_t i = 0; i < 8; i++) {
            a[i] = (int32_t)random_below(n_symbols);
            b[i] = (int32_t)random_below(n_symbols);
        }
        assert_int_equal(edit_distance(&distance, a, n_a, b, n_b, NULL), QASR_OK);
        assert_int_equal(distance, plain_distance(a, n_a, b, n_b));
        check_alignment(a, n_a, b, n_b, distance);
    }
}

static void too_long_to_align(void **state)
{
    enum { N = 33000 };
    int32_t *a, *b;
    size_t n;
    qasr_error err;
    edit_pair *pairs;
    assert_int_equal(MEM_ALLOC(&a, N, NULL), QASR_OK);
    assert_int_equal(MEM_ALLOC(&b, N, NULL), QASR_OK);
    assert_int_equal(MEM_ALLOC(&pairs, 2 * N, NULL), QASR_OK);
    for (int32_t i = 0; i < N; i++) {
        a[i] = i;
        b[i] = i + N;
    }
    assert_int_equal(edit_align(pairs, &n, a, N, b, N, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "33000"));
    for (int32_t i = 0; i < N; i++) /* a common prefix and suffix do not count towards the limit */
        b[i] = i == N / 2 ? -1 : i;
    assert_int_equal(edit_align(pairs, &n, a, N, b, N, &err), QASR_OK);
    assert_int_equal(n, N);
    mem_free(a);
    mem_free(b);
    mem_free(pairs);
}

/* ---- scores ---- */

static qasr_score score(const char *reference, const char *text)
{
    qasr_score s = QASR_SCORE_INIT;
    qasr_error err;
    if (qasr_score_text(&s, reference, text, &err) != QASR_OK)
        fail_msg("%s", err.message);
    return s;
}

/* Checks the numbers of word errors and words, and that the errors are the same in the other direction. */
static void expect_words(const char *reference, const char *text, size_t errors, size_t words)
{
    qasr_score s = score(reference, text), back = score(text, reference);
    if (s.substitutions + s.insertions + s.deletions != errors || s.words != words)
        fail_msg("'%s' for '%s': %d+%d+%d errors of %d words", text, reference, (int)s.substitutions, (int)s.insertions,
                 (int)s.deletions, (int)s.words);
    assert_int_equal(back.substitutions + back.insertions + back.deletions, errors);
    assert_int_equal(s.words + s.insertions, back.words + s.deletions);
}

static void words(void **state)
{
    expect_words("", "", 0, 0);
    expect_words("", "a b", 2, 0);
    expect_words("one two three", "one two three", 0, 3);
    expect_words("one two three", "one three", 1, 3);
    expect_words("one two three", "one 2 three four", 2, 3);
    expect_words("One,  two\tthree!\n", "one two three", 0, 3);
    expect_words("It's a well-known fact.", "its a wellknown fact", 0, 4); /* punctuation inside a word is dropped */
    expect_words("a - b", "a b", 0, 2);
    expect_words("$5 + 3% (x)", "5 3 x", 0, 3);
    expect_words("Ёлка", "ёлка", 0, 1);
    expect_words("ёлка", "елка", 1, 1); /* a different letter */
    expect_words("Straße", "STRASSE", 0, 1);
    expect_words("ﬁve ①", "five 1", 0, 2);             /* compatibility characters differ */
    expect_words("cafe\xCC\x81", "caf\xC3\xA9", 0, 1); /* composed and decomposed are equal */
    expect_words("Ｆｕｌｌ　ｗｉｄｔｈ", "full width", 0, 2);
    expect_words("\xC2\xA0no\xE2\x80\xAF"
                 "break\xC2\xA0",
                 "no break", 0, 2);
    expect_words("soft\xC2\xADhyphen zero\xE2\x80\x8Bwidth", "softhyphen zerowidth", 0, 2);
}

static void scripts_without_spaces(void **state)
{
    expect_words("我爱你。", "我爱你", 0, 3);
    expect_words("我 爱 你", "我爱你", 0, 3);
    expect_words("我爱你", "我碍你", 1, 3);
    expect_words("我用GPU 3天", "我用gpu3天", 2, 5); /* "gpu" and "3", or "gpu3" */
    expect_words("ラーメン、ひらがな", "ﾗｰﾒﾝ ひらがな", 0, 8);
    expect_words("ㄅㄆ", "ㄅㄇ", 1, 2);
    expect_words("ที่นี่", "ที่นี้", 1, 2);                                      /* a Thai letter includes its marks */
    expect_words("한국어 음성", "한국어음성", 2, 2);                     /* Korean has spaces */
    assert_int_equal(score("我 爱 AI 吗", "").normalized_characters, 5); /* no space next to single-character words */
    assert_int_equal(score("two words", "").normalized_characters, 9);
}

static void characters(void **state)
{
    qasr_score s = score("kitten", "Sitting");
    assert_int_equal(s.characters, 6);
    assert_int_equal(s.character_errors, 3);
    s = score("Да, нет.", "да нет");
    assert_int_equal(s.characters, 8); /* code points of the unmodified text */
    assert_int_equal(s.character_errors, 3);
    assert_int_equal(s.normalized_characters, 6);
    assert_int_equal(s.normalized_errors, 0);
    assert_int_equal(s.exact, 0);
    assert_int_equal(score("same", "same").exact, 1);
    s = score("a\xFF\xC3", "a\xFE\xE2\x82"); /* malformed: each sequence becomes one U+FFFD */
    assert_int_equal(s.characters, 3);
    assert_int_equal(s.character_errors, 0);
    assert_int_equal(s.exact, 0);
}

static void expect_marks(const char *reference, const char *text, size_t right, size_t missing, size_t extra)
{
    qasr_score s = score(reference, text);
    if (s.marks_right != right || s.marks_missing != missing || s.marks_extra != extra)
        fail_msg("'%s' for '%s': %d right, %d missing, %d extra", text, reference, (int)s.marks_right,
                 (int)s.marks_missing, (int)s.marks_extra);
}

static void punctuation(void **state)
{
    expect_marks("", "", 0, 0, 0);
    expect_marks("Yes, it is.", "Yes, it is.", 2, 0, 0);
    expect_marks("Yes, it is.", "Yes it, is?", 0, 2, 2);
    expect_marks("Yes, it is.", "Yes, was.", 2, 0, 0); /* after substituted words */
    expect_marks("Is it? No.", "Is it, no.", 1, 1, 1);
    expect_marks("One, two, three.", "One, three.", 2, 1, 0); /* the mark of a missing word is missing too */
    expect_marks("One, three.", "One, two, three.", 2, 0, 1);
    expect_marks("\"Yes.\"", "\"Yes\".", 3, 0, 0); /* before the first word; several in any order */
    expect_marks("Wait...", "Wait…", 3, 0, 0);
    expect_marks("Wait..", "Wait...", 2, 0, 1);
    expect_marks("it's", "its", 0, 0, 0); /* not a mark inside a word */
    expect_marks("你好，世界。", "你好世界。", 1, 1, 0);
    expect_marks("...", "", 0, 3, 0);
    expect_marks("1 + 1 = 2", "1 1 2", 0, 0, 0); /* symbols are not punctuation */
}

static void expect_case(const char *reference, const char *text, size_t right, size_t total)
{
    qasr_score s = score(reference, text);
    assert_int_equal(s.cased_right, right);
    assert_int_equal(s.cased_words, total);
}

static void casing(void **state)
{
    expect_case("Anna has 3 cats", "anna has 3 cats", 2, 3);
    expect_case("Anna has 3 cats", "Anna had 3 Cats", 1, 2); /* only matching words count */
    expect_case("Да ЕСТЬ", "Да есть", 1, 2);
    expect_case("我 123", "我 123", 0, 0);
}

static void long_and_odd(void **state)
{
    enum { N = 100000 };
    char *a = malloc(2 * N + 2), *b = malloc(2 * N + 2);
    a[0] = b[0] = 'x';
    for (size_t i = 0; i < N; i++) { /* a run of combining marks in two orders */
        memcpy(a + 1 + 2 * i, i % 2 ? "\xCC\xA3" : "\xCC\x81", 2);
        memcpy(b + 1 + 2 * i, i < N / 2 ? "\xCC\xA3" : "\xCC\x81", 2);
    }
    a[2 * N + 1] = b[2 * N + 1] = 0;
    qasr_score s = QASR_SCORE_INIT;
    b[1000] = 0; /* the character distance takes time proportional to the product of the lengths */
    assert_int_equal(qasr_score_text(&s, a, b, NULL), QASR_OK);
    assert_int_equal(s.words, 1);
    assert_int_equal(s.substitutions, 1);
    free(a);
    free(b);
}

static void arguments(void **state)
{
    struct {
        qasr_score s;
        unsigned char after[8];
    } room;
    memset(&room, 0x5A, sizeof room);
    room.s.struct_size = offsetof(qasr_score, substitutions); /* a program built with an older header */
    assert_int_equal(qasr_score_text(&room.s, "a b", "a c", NULL), QASR_OK);
    assert_int_equal(room.s.words, 2);
    assert_int_equal(room.s.substitutions, 0x5A5A5A5A5A5A5A5A);
    qasr_error err;
    room.s.struct_size = 0;
    assert_int_equal(qasr_score_text(&room.s, "a", "b", &err), QASR_E_INVALID);
    assert_int_equal(qasr_score_text(NULL, "a", "b", &err), QASR_E_INVALID);
}

static void without_memory(void **state)
{
    qasr_score s = QASR_SCORE_INIT;
    qasr_status status = QASR_E_NOMEM;
    size_t n = 0;
    for (; status != QASR_OK; n++) {
        mem_fail_after(n);
        status = qasr_score_text(&s, "One, \xC3\xA9\xCC\xA3\xCC\x81 three.", "One two, \xC3\xA9 four?", NULL);
        mem_fail_after(SIZE_MAX);
        if (status != QASR_OK) {
            assert_int_equal(status, QASR_E_NOMEM);
            assert_int_equal(s.words, 0);
        }
    }
    assert_int_equal(s.words, 3);
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sequences),
        cmocka_unit_test(too_long_to_align),
        cmocka_unit_test(words),
        cmocka_unit_test(scripts_without_spaces),
        cmocka_unit_test(characters),
        cmocka_unit_test(punctuation),
        cmocka_unit_test(casing),
        cmocka_unit_test(long_and_odd),
        cmocka_unit_test(arguments),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
