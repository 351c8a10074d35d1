/* Text as subtitles: no text lost, limits of width, lines and duration kept, breaks in the right places, in several
 * scripts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include <cmocka.h>

#include "app/formats/cues.h"

enum { MAX_CUES = 400 };

typedef struct shown {
    size_t n;
    double start_s[MAX_CUES], end_s[MAX_CUES];
    char lines[MAX_CUES][2000];
} shown;

static void keep(void *user, double start_s, double end_s, const char *lines)
{
    shown *c = user;
    assert_true(c->n < MAX_CUES && strlen(lines) < sizeof c->lines[0]);
    c->start_s[c->n] = start_s;
    c->end_s[c->n] = end_s;
    strcpy(c->lines[c->n++], lines);
}

static shown found;

static void break_text(const char *text, double seconds, int width, int lines, double max_s)
{
    const subtitle_limits limits = { width, lines, max_s };
    found.n = 0;
    assert_true(subtitle_break(text, 10, 10 + seconds, &limits, keep, &found));
}

/* The subtitles, with '/' between lines and '|' between subtitles. */
static void expect(const char *text, double seconds, int width, int lines, double max_s, const char *wanted)
{
    char got[8000] = "";
    break_text(text, seconds, width, lines, max_s);
    for (size_t i = 0; i < found.n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? "|" : "", found.lines[i]);
    for (char *p = got; *p; p++)
        *p = *p == '\n' ? '/' : *p;
    assert_string_equal(got, wanted);
}

static void test_sentences(void **state)
{
    expect("Hello there.", 2, 42, 2, 7, "Hello there.");
    expect("", 2, 42, 2, 7, "");
    expect(" \n ", 2, 42, 2, 7, "");
    expect("The cat sat on the mat. The dog barked at it, and then it ran away into the dark forest.", 6, 30, 2, 7,
           "The cat sat on the mat.|The dog barked at/it, and then it|ran away into the dark forest.");
    expect("one two three four five six seven eight", 4, 10, 1, 7, "one two|three four|five six|seven|eight");
    expect("He said: \"Stop!\" Then he left the room in silence.", 4, 20, 2, 7,
           "He said: \"Stop!\"|Then he left the/room in silence.");
    expect("Go, then. Or stay here with all of us for the rest of the day", 4, 22, 2, 7,
           "Go, then. Or stay here/with all of us for the|rest of the day");
    expect("a\tb\r\nc\x01\x7f"
           "d",
           4, 20, 2, 7, "a b c d");
    expect("10\xC2\xA0kg of it", 4, 8, 1, 7, "10\xC2\xA0kg|of it"); /* a no-break space */
}

static void test_scripts(void **state)
{
    expect("今天天气很好，我们去公园散步吧。明天可能会下雨。", 6, 20, 1, 7,
           "今天天气很好，|我们去公园散步吧。|明天可能会下雨。");
    expect("今天天气很好，我们去公园散步吧。", 6, 12, 2, 7, "今天天气/很好，|我们去公园/散步吧。");
    expect("他说\"你好吗\"，然后走了。", 6, 10, 2, 7, "他说\"你/好吗\"，|然后走了。");
    expect("温度三十℃", 6, 8, 1, 7, "温度三|十℃");
    expect("一二三四～五六七八", 6, 8, 1, 7, "一二三|四～五六|七八");
    expect("一二三「四五六」七八", 6, 8, 2, 7, "一二三/「四五|六」七八");
    expect("彼は「ちょっと待って」と言った。", 6, 10, 3, 7, "彼は/「ちょっと/待って」と|言った。");
    expect("Донаудампфшиффартсгезелльшафт и всё", 6, 10, 2, 7, "Донаудампф/шиффартсге|зелльшафт/и всё");
    expect("👨‍👩‍👧 family 👍🏽 ok e\xCC\x81"
           "clair",
           3, 9, 1, 9,
           "👨‍👩‍👧 family|👍🏽 ok|e\xCC\x81"
           "clair");
    expect("We use Qwen3模型来识别speech。", 4, 12, 2, 7, "We use Qwen3/模型来识别|speech。");
    expect("안녕하세요 여러분 오늘은 날씨가 좋습니다.", 6, 16, 2, 7, "안녕하세요/여러분 오늘은|날씨가 좋습니다.");
}

static void test_times(void **state)
{
    break_text("aaaa bbbb cccc dddd", 8, 9, 1, 7); /* two subtitles, each with half the characters */
    assert_int_equal(found.n, 2);
    assert_true(found.start_s[0] == 10 && found.end_s[0] == 14 && found.start_s[1] == 14 && found.end_s[1] == 18);
    break_text("aaaa bbbb", 20, 42, 2, 7); /* limited to the longest duration, although there is time */
    assert_int_equal(found.n, 2);
    assert_true(found.end_s[0] == 17 && found.start_s[1] == 20 && found.end_s[1] == 27);
    break_text("aaaa bbbb", 0, 42, 2, 7);
    assert_true(found.n == 1 && found.start_s[0] == 10 && found.end_s[0] == 10);
}

/* Short subtitles grow into the room around them, first behind, and nothing else changes. */
static void test_stretching(void **state)
{
    static const struct {
        double start_s, end_s, wanted_start_s, wanted_end_s;
    } rows[] = {
        { 2.0, 2.1, 2.0, 3.0 },      /* room behind */
        { 4.5, 4.6, 4.0, 5.0 },      /* the next one is near: all there is, and the rest in front */
        { 5.0, 5.1, 5.0, 5.25 },     /* no room in front */
        { 5.25, 7.5, 5.25, 7.5 },    /* long enough */
        { 9.0, 9.0, 9.0, 10.0 },     /* no duration of its own */
        { 11.4, 11.5, 10.95, 11.95 } /* the end of the audio */
    };
    const double begin_s = 1.5, end_s = 11.95;
    cues c = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cues_add(&c, rows[i].start_s, rows[i].end_s, "text");
    assert_false(c.no_memory);
    cues_stretch(&c, 0, begin_s, end_s);
    for (size_t i = 0; i < c.n; i++)
        assert_true(c.list[i].start_s == rows[i].start_s && c.list[i].end_s == rows[i].end_s);
    cues_stretch(&c, 1, begin_s, end_s);
    assert_int_equal(c.n, sizeof rows / sizeof *rows);
    for (size_t i = 0; i < c.n; i++) {
        assert_true(fabs(c.list[i].start_s - rows[i].wanted_start_s) < 1e-9);
        assert_true(fabs(c.list[i].end_s - rows[i].wanted_end_s) < 1e-9);
        assert_string_equal(c.list[i].lines, "text");
    }
    cues_free(&c);
    cues_add(&c, 1.6, 1.7, "alone");
    cues_stretch(&c, 1, 1.5, 2.0);
    assert_true(c.list[0].start_s == 1.5 && c.list[0].end_s == 2.0);
    cues_free(&c);
}

/* Columns of a line, counted independently of the code under test: by code point, except for joined emoji. */
static int columns(const char *line, size_t n)
{
    int width = 0;
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)line + i, (utf8proc_ssize_t)(n - i), &cp);
        if (got <= 0)
            cp = 0xFFFD;
        width += utf8proc_charwidth(cp);
        i += got > 0 ? (size_t)got : 1;
    }
    return width;
}

static void without_space(char *to, const char *from)
{
    for (; *from; from++)
        if (*from != ' ' && *from != '\n')
            *to++ = *from;
    *to = 0;
}

/* For any text and limits: every character appears once, in order, and the limits hold. */
static void test_limits_hold(void **state)
{
    static const char *const parts[] = { "word",      "a",      ", ", ". ",   " ",  "? ", "incomprehensibilities",
                                         "中",        "文字。", "、", "「",   "」", "ー", "é",
                                         "e\xCC\x81", "한국",   " ",  "\xFF", "\"", "(",  ") ",
                                         "Ж",         "ไทย",    "—" };
    unsigned seed = 7;
    for (int round = 0; round < 3000; round++) {
        char text[1200] = "", want[1200], got[4000] = "";
        const int n = rand_r(&seed) % 40, width = 8 + rand_r(&seed) % 40, lines = 1 + rand_r(&seed) % 4;
        const double seconds = rand_r(&seed) % 60, max_s = 0.5 + rand_r(&seed) % 10;
        for (int i = 0; i < n; i++)
            strcat(text, parts[(size_t)rand_r(&seed) % (sizeof parts / sizeof *parts)]);
        break_text(text, seconds, width, lines, max_s);
        for (size_t i = 0; i < found.n; i++) {
            int n_lines = 0;
            for (const char *line = found.lines[i]; line; n_lines++) {
                const size_t length = strcspn(line, "\n");
                assert_true(length > 0 && line[0] != ' ' && line[length - 1] != ' ' && columns(line, length) <= width);
                line = line[length] ? line + length + 1 : NULL;
            }
            assert_true(n_lines <= lines);
            assert_true(found.start_s[i] <= found.end_s[i] && found.end_s[i] - found.start_s[i] <= max_s + 1e-9);
            assert_true(found.start_s[i] >= (i ? found.end_s[i - 1] : 10) - 1e-9 &&
                        found.end_s[i] <= 10 + seconds + 1e-9);
            strcat(got, found.lines[i]);
        }
        without_space(want, text);
        without_space(got, got);
        assert_string_equal(got, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_sentences), cmocka_unit_test(test_scripts),
                                        cmocka_unit_test(test_times), cmocka_unit_test(test_stretching),
                                        cmocka_unit_test(test_limits_hold) };
    return cmocka_run_group_tests_name("subtitle", tests, NULL, NULL);
}
