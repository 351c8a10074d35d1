/* text: repetitions, parsing of answers, loops, joining, context echoes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "text/context_echo.h"
#include "text/text.h"
#include "text/utf8.h"

static uint64_t random_state = 7;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % n);
}

/* ---- repetitions, against a literal implementation ----------------------------------------- */

enum { NAIVE_MAX = 2000 };

static size_t naive_runs(uint32_t *out, const uint32_t *s, size_t n)
{
    size_t n_out = 0;
    for (size_t i = 0; i < n;) {
        size_t run = 1;
        while (i + run < n && s[i + run] == s[i])
            run++;
        for (size_t j = 0; j < (run > 20 ? 1 : run); j++)
            out[n_out++] = s[i];
        i += run;
    }
    return n_out;
}

static size_t count_copies(const uint32_t *s, size_t n, size_t k)
{
    size_t copies = 0;
    while ((copies + 1) * k <= n && memcmp(s, s + copies * k, k * sizeof *s) == 0)
        copies++;
    return copies;
}

static size_t naive_patterns(uint32_t *out, const uint32_t *s, size_t n)
{
    if (n >= 40)
        for (size_t i = 0; i <= n - 40; i++)
            for (size_t k = 1; k <= 20 && i + 20 * k <= n; k++) {
                size_t copies = count_copies(s + i, n - i, k);
                if (copies < 20)
                    continue;
                memcpy(out, s, (i + k) * sizeof *s);
                size_t skip = i + copies * k;
                return i + k + naive_patterns(out + i + k, s + skip, n - skip);
            }
    memcpy(out, s, n * sizeof *s);
    return n;
}

static void check_fix(const buf *text, const char *want, size_t n_want)
{
    qasr_error err;
    buf got;
    buf_init(&got, 1 << 20);
    assert_int_equal(answer_fix_repetitions(&got, buf_str(text), text->len, &err), QASR_OK);
    assert_int_equal(got.len, n_want);
    assert_memory_equal(buf_str(&got), want, n_want);
    buf_free(&got);
}

/* Runs of random patterns, copied a number of times near the threshold, between random letters. */
static size_t random_string(uint32_t s[NAIVE_MAX])
{
    static const uint32_t letter[] = { 'a', 'b', 'c', 0xE9, 0x4E2D, 0x1F600 };
    uint32_t n_letters = 1 + random_below(ARRAY_LEN(letter));
    size_t n = 0;
    for (uint32_t part = random_below(6); part > 0; part--) {
        uint32_t k = 1 + random_below(random_below(2) ? 4 : 22), copies = random_below(3) ? 17 + random_below(8) : 1;
        uint32_t pattern[22], extra = random_below(k);
        for (uint32_t j = 0; j < k; j++)
            pattern[j] = letter[random_below(n_letters)];
        for (uint32_t j = 0; j < k * copies + extra && n < NAIVE_MAX; j++)
            s[n++] = pattern[j % k];
    }
    return n;
}

static void repetitions_follow_their_wording(void **state)
{
    qasr_error err;
    buf text, want;
    buf_init(&text, 1 << 20);
    buf_init(&want, 1 << 20);
    size_t n_changed = 0;
    for (int round = 0; round < 6000; round++) {
        uint32_t s[NAIVE_MAX], runs[NAIVE_MAX], fixed[NAIVE_MAX];
        size_t n = random_string(s), n_fixed = naive_patterns(fixed, runs, naive_runs(runs, s, n));
        buf_clear(&text);
        buf_clear(&want);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(utf8_add(&text, s[i], &err), QASR_OK);
        for (size_t i = 0; i < n_fixed; i++)
            assert_int_equal(utf8_add(&want, fixed[i], &err), QASR_OK);
        check_fix(&text, buf_str(&want), want.len);
        n_changed += n != n_fixed;
    }
    assert_true(n_changed > 1000 && n_changed < 5900);
    buf_free(&text);
    buf_free(&want);
}

static void repeat(buf *text, const char *unit, size_t times)
{
    qasr_error err;
    for (size_t i = 0; i < times; i++)
        assert_int_equal(buf_add_str(text, unit, &err), QASR_OK);
}

static void repetitions_near_the_threshold(void **state)
{
    static const struct {
        const char *unit;
        size_t times;
        const char *then, *want; /* want NULL: unchanged */
    } cases[] = {
        { "x", 21, "", "x" },
        { "x", 20, "", NULL },
        { "x", 20, "abcdefghijklmnopqrs", NULL },                     /* 39 characters */
        { "x", 20, "abcdefghijklmnopqrst", "xabcdefghijklmnopqrst" }, /* 40 */
        { "ab", 25, "", "ab" },
        { "ab", 20, "", "ab" },
        { "ab", 19, "ac", NULL },
        { "ab", 20, "a", "aba" },
        { "嗯", 30, "好", "嗯好" },
        { "abcdefghijklmnopqrst", 20, "!", "abcdefghijklmnopqrst!" }, /* 20 characters */
        { "abcdefghijklmnopqrstu", 20, "", NULL },                    /* 21 */
        { "\xFF", 30, "", "\uFFFD" },
        { "", 0, "", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf text;
        buf_init(&text, 1 << 16);
        repeat(&text, cases[i].unit, cases[i].times);
        repeat(&text, cases[i].then, 1);
        const char *want = cases[i].want ? cases[i].want : buf_str(&text);
        check_fix(&text, want, strlen(want));
        buf_free(&text);
    }
}

/* Megabytes of text that exercise every pattern length but are not a repetition. */
static void long_texts_take_no_quadratic_time(void **state)
{
    buf text, got;
    qasr_error err;
    buf_init(&text, 1 << 22);
    buf_init(&got, 1 << 22);
    while (text.len < 1000000) {
        repeat(&text, "abcdefghijklmnopqrst", 19);
        repeat(&text, "aaaaaaaaaaaaaaaaaaab", 19);
        repeat(&text, "xy", 19);
    }
    assert_int_equal(answer_fix_repetitions(&got, text.data, text.len, &err), QASR_OK);
    assert_int_equal(got.len, text.len);
    buf_clear(&text);
    repeat(&text, "ab", 1000000);
    buf_clear(&got);
    assert_int_equal(answer_fix_repetitions(&got, text.data, text.len, &err), QASR_OK);
    assert_string_equal(buf_str(&got), "ab");
    buf_free(&text);
    buf_free(&got);
}

/* ---- the parts of an answer ---------------------------------------------------------------- */

static void answers_are_taken_apart(void **state)
{
    static const struct {
        const char *raw, *forced, *lang, *text;
    } cases[] = {
        { "", NULL, "", "" },
        { " \n\u3000\xC2\x85 ", NULL, "", "" },
        { "", "German", "", "" },
        { "language None<asr_text>", NULL, "", "" },
        { "Language NONE<asr_text> hum ", NULL, "", "hum" },
        { "language English<asr_text> Hi ", NULL, "English", "Hi" },
        { "LANGUAGE german\n<asr_text>x", NULL, "German", "x" },
        { "Hi", NULL, "", "Hi" },
        { "\u2003Hi\x1F", NULL, "", "Hi" },
        { "Hi", "German", "German", "Hi" },
        { "language English<asr_text>Hi", "German", "German", "language English<asr_text>Hi" },
        { "xxxxxxxxxxxxxxxxxxxxx", NULL, "", "x" },
        { "abababababababababababababababababababababababababab", "English", "English", "ab" },
        { "language English<asr_text>xxxxxxxxxxxxxxxxxxxxx!", NULL, "English", "x!" },
        { "<asr_text>Hi", NULL, "", "Hi" },
        { "English<asr_text>Hi", NULL, "", "Hi" },
        { "noise\n\n  language  fRENCH \u2028language German<asr_text>a", NULL, "French", "a" },
        { "noise\r\nlanguage\xC2\x85language greek<asr_text>a", NULL, "Greek", "a" },
        { "language éTÉ<asr_text>a", NULL, "Été", "a" },
        { "language Chinese<asr_text>a<asr_text>b", NULL, "Chinese", "a<asr_text>b" },
        { "language English", NULL, "", "language English" },
        { "language <asr_text>a", NULL, "", "a" },
        { "a\xFF"
          "b",
          NULL, "", "a\uFFFDb" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_error err;
        buf lang, text;
        buf_init(&lang, 1000);
        buf_init(&text, 1000);
        assert_int_equal(answer_parse(&lang, &text, cases[i].raw, cases[i].forced, &err), QASR_OK);
        if (strcmp(buf_str(&lang), cases[i].lang) != 0 || strcmp(buf_str(&text), cases[i].text) != 0)
            fail_msg("'%s': '%s', '%s'", cases[i].raw, buf_str(&lang), buf_str(&text));
        buf_free(&lang);
        buf_free(&text);
    }
}

static void every_failed_allocation_is_reported(void **state)
{
    qasr_status status = QASR_E_NOMEM;
    size_t n = 0;
    for (; status != QASR_OK; n++) {
        qasr_error err;
        buf lang, text;
        buf_init(&lang, 100);
        buf_init(&text, 100);
        mem_fail_after(n);
        status = answer_parse(&lang, &text, "language English<asr_text>Hello", NULL, &err);
        mem_fail_after(SIZE_MAX);
        assert_true(status == QASR_OK || status == QASR_E_NOMEM);
        buf_free(&lang);
        buf_free(&text);
    }
    assert_true(n > 3);
}

/* ---- loops --------------------------------------------------------------------------------- */

static void loops_are_noticed(void **state)
{
    enum { N = 600 };
    int32_t ids[N];
    for (int i = 0; i < N; i++)
        ids[i] = i;
    assert_false(answer_is_loop(ids, N));
    assert_false(answer_is_loop(NULL, 0));
    for (size_t p = 1; p <= 65; p++) { /* just enough copies at the end, one id too few */
        const size_t length = p <= 16 ? 96 : 6 * p;
        for (size_t i = 0; i < N; i++)
            ids[i] = (int32_t)(i >= N - length ? 1000 + i % p : i);
        assert_int_equal(answer_is_loop(ids, N), p <= 64);
        assert_int_equal(answer_is_loop(ids + N - 128, 128), length <= 128 && p <= 64);
        assert_false(answer_is_loop(ids + N - 127, 127));
        ids[N - length] = -1;
        if (p > 6) /* otherwise few ids are different */
            assert_false(answer_is_loop(ids, N));
    }
    for (int different = 5; different <= 8; different++) { /* few distinct ids without a period */
        for (int i = 0; i < 200; i++)
            ids[i] = i < 104 ? i : (int32_t)random_below((uint32_t)different) + 500;
        for (int i = 0; i < different; i++)
            ids[199 - i] = 500 + i;
        assert_int_equal(answer_is_loop(ids, 200), different <= 6);
        ids[104] = -5; /* one more distinct id, the first of the window */
        assert_int_equal(answer_is_loop(ids, 200), different <= 5);
        ids[104] = 500;
        ids[103] = -5; /* just before the window */
        assert_int_equal(answer_is_loop(ids, 200), different <= 6);
    }
}

/* ---- joining ------------------------------------------------------------------------------- */

static void texts_are_joined_with_a_space_where_one_is_due(void **state)
{
    static const struct {
        const char *before, *segment, *want;
    } cases[] = {
        { "", "Hi", "Hi" },
        { "Hi", "", "Hi" },
        { "end.", "Start", "end. Start" },
        { "end. ", "Start", "end. Start" },
        { "end.", "\u3000Start", "end.\u3000Start" },
        { "世界。", "你好", "世界。你好" },
        { "です", "カタ", "ですカタ" },
        { "世界", "Hi", "世界 Hi" },
        { "世界。", "Hi", "世界。Hi" }, /* full-width punctuation has its space inside */
        { "世界！」", "Hi", "世界！」Hi" },
        { "Hi", "「世界」", "Hi「世界」" },
        { "“世界。”", "“你好。”", "“世界。”“你好。”" }, /* marks that Chinese and Latin text share */
        { "“Hi.”", "“你好。”", "“Hi.” “你好。”" },
        { "世界……", "你好", "世界……你好" },
        { "世界……", "Hi", "世界…… Hi" },
        { "世界", "——你好", "世界——你好" },
        { "他说\"好\"", "你", "他说\"好\"你" },
        { "Hi…", "Hi", "Hi… Hi" },
        { "……", "你", "…… 你" },
        { "สวัสดี", "ครับ", "สวัสดี ครับ" }, /* Thai puts spaces between clauses */
        { "Hi", "世界", "Hi 世界" },
        { "안녕", "하세요", "안녕 하세요" },
        { "мир", "мир", "мир мир" },
        { "𠀀", "！", "𠀀！" },
        { "\x80\x80\x80\x80", "a", "\x80\x80\x80\x80 a" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_error err;
        buf joined;
        buf_init(&joined, 100);
        assert_int_equal(answer_join_text(&joined, cases[i].before, &err), QASR_OK);
        assert_int_equal(answer_join_text(&joined, cases[i].segment, &err), QASR_OK);
        assert_string_equal(buf_str(&joined), cases[i].want);
        buf_free(&joined);
    }
}

static void languages_are_joined_without_repeats(void **state)
{
    static const char *const segments[] = { "",        "Chinese", "Chinese", "",        "Chinese",
                                            "English", "",        "English", "Chinese", "Chin" };
    qasr_error err;
    buf joined;
    buf_init(&joined, 100);
    for (size_t i = 0; i < ARRAY_LEN(segments); i++)
        assert_int_equal(answer_join_language(&joined, segments[i], &err), QASR_OK);
    assert_string_equal(buf_str(&joined), "Chinese,English,Chinese,Chin");
    buf_free(&joined);
}

/* ---- echoes of the context ---- */

static void check_echo(const char *text, const char *context, bool wanted)
{
    bool echoes = !wanted;
    assert_int_equal(context_echo_find(&echoes, text, context, NULL), QASR_OK);
    if (echoes != wanted)
        fail_msg("'%s' after the context '%s': %d", text, context, echoes);
}

static void echoes_of_the_context(void **state)
{
    check_echo("Qwen, Alibaba, Tongyi. And then he said it.", "qwen alibaba tongyi", true);
    check_echo("Qwen, Alibaba, Tongyi", "Qwen\nAlibaba\nTongyi\n", true);
    check_echo("He said: Qwen, Alibaba, Tongyi", "Qwen Alibaba Tongyi", false); /* not at the beginning */
    check_echo("Qwen, Alibaba", "Qwen Alibaba Tongyi", false);                  /* not all of it */
    check_echo("Anna Lee is here.", "Anna Lee", false); /* too short: speech may begin with such a name */
    check_echo("Annabelle is here.", "Annabell", true);
    check_echo("", "Qwen Alibaba Tongyi", false);
    check_echo("anything", "", false);
    check_echo("anything", "...!?", false);
    check_echo("Der Straße entlang ging er.", "DER STRASSE ENTLANG", true);
    check_echo("通义千问是一个模型，很好。", "通义千问，是一个模型", true);
    check_echo("通义千问是另一个模型，很好。", "通义千问，是一个模型", false);
    check_echo("Приём, приём, слышно?", "ПРИЁМ ПРИЁМ", true);
    /* only the first 40 letters of a long context count */
    check_echo("abcdefghij abcdefghij abcdefghij abcdefghij and else",
               "Abcdefghij abcdefghij abcdefghij abcdefghij Klmnop", true);
    check_echo("abcdefghij abcdefghij abcdefghij abcdefghix and else",
               "Abcdefghij abcdefghij abcdefghij abcdefghij Klmnop", false);
    check_echo("\xFF\xFE"
               "abcdefghi",
               "abcdefghi", true);
    for (size_t n = 0; n < 8; n++) { /* out of memory */
        bool echoes;
        mem_fail_after(n);
        qasr_status status = context_echo_find(&echoes, "abcdefghi", "abcdefghi", NULL);
        mem_fail_after(SIZE_MAX);
        assert_true(status == QASR_OK || status == QASR_E_NOMEM);
        assert_true(n > 0 || status == QASR_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_of_the_context),
        cmocka_unit_test(repetitions_follow_their_wording),
        cmocka_unit_test(repetitions_near_the_threshold),
        cmocka_unit_test(long_texts_take_no_quadratic_time),
        cmocka_unit_test(answers_are_taken_apart),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(loops_are_noticed),
        cmocka_unit_test(texts_are_joined_with_a_space_where_one_is_due),
        cmocka_unit_test(languages_are_joined_without_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
