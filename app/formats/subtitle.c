/* See subtitle.h. Text is a sequence of unbreakable units: words, or single characters of scripts without spaces
 * with their punctuation. A subtitle takes as many units as fit its lines and duration, then drops those after the last
 * good break. */
#include "app/formats/subtitle.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef enum mark { MARK_NONE, MARK_CLAUSE, MARK_SENTENCE } mark; /* punctuation at the end of a unit */

typedef struct unit {
    size_t begin, end; /* bytes of the text */
    int width;         /* columns */
    size_t n_before;   /* characters of the text before it, spaces left out */
    bool space;        /* after it */
    mark mark;
} unit;

typedef struct subtitle {
    const char *text;
    const subtitle_limits *limits;
    unit *units;
    size_t n;
    size_t n_characters;
    double start_s, end_s;
    char *lines; /* scratch */
} subtitle;

/* ---- characters ------------------------------------------------------------------------------ */

/* A grapheme cluster. */
typedef struct character {
    utf8proc_int32_t cp;
    size_t end; /* byte offset of its end */
    int width;
} character;

static utf8proc_int32_t code_point(const char *text, size_t at, size_t n, size_t *length)
{
    utf8proc_int32_t cp;
    utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(n - at), &cp);
    *length = got > 0 ? (size_t)got : 1;
    return got > 0 ? cp : 0xFFFD;
}

static character read_character(const char *text, size_t at, size_t n)
{
    size_t length;
    utf8proc_int32_t state = 0, cp = code_point(text, at, n, &length);
    character c = { cp, at + length, utf8proc_charwidth(cp) };
    for (utf8proc_int32_t last = cp; c.end < n; c.end += length) {
        utf8proc_int32_t next = code_point(text, c.end, n, &length);
        if (utf8proc_grapheme_break_stateful(last, next, &state))
            break;
        last = next;
    }
    return c;
}

static bool is_space(utf8proc_int32_t cp)
{
    utf8proc_category_t kind = utf8proc_category(cp);
    return (kind == UTF8PROC_CATEGORY_ZS && cp != 0xA0 && cp != 0x202F) || kind == UTF8PROC_CATEGORY_ZL ||
           kind == UTF8PROC_CATEGORY_ZP || kind == UTF8PROC_CATEGORY_CC || cp == 0x200B;
}

/* True for scripts without spaces, which may be broken between any two characters: Han, Kana, Bopomofo, their symbols.
 */
static bool is_cjk(utf8proc_int32_t cp)
{
    return (cp >= 0x2E80 && cp <= 0x312F) || (cp >= 0x31A0 && cp <= 0x4DBF) || (cp >= 0x4E00 && cp <= 0x9FFF) ||
           (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0xFE30 && cp <= 0xFE4F) || (cp >= 0xFF01 && cp <= 0xFF9F) ||
           (cp >= 0x20000 && cp <= 0x3FFFF);
}

static bool contains(const utf8proc_int32_t *set, utf8proc_int32_t cp)
{
    while (*set && *set != cp)
        set++;
    return *set != 0;
}

/* Must not begin a line: closing punctuation, prolonged sound and iteration marks, small kana, units after a number. */
static bool sticks_to_previous(utf8proc_int32_t cp)
{
    static const utf8proc_int32_t others[] = { '~',    0xB0,   0x2103, 0xFF5E, 0xFFE0, 0x3041, 0x3043, 0x3045,
                                               0x3047, 0x3049, 0x3063, 0x3083, 0x3085, 0x3087, 0x308E, 0x3095,
                                               0x3096, 0x30A1, 0x30A3, 0x30A5, 0x30A7, 0x30A9, 0x30C3, 0x30E3,
                                               0x30E5, 0x30E7, 0x30EE, 0x30F5, 0x30F6, 0x309B, 0x309C, 0 };
    if ((cp >= 0x31F0 && cp <= 0x31FF) || (cp >= 0xFF67 && cp <= 0xFF6F)) /* small Katakana */
        return true;
    switch (utf8proc_category(cp)) {
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_LM: return true; /* straight quotes too, which sticks_to_next keeps as well */
    default: return contains(others, cp);
    }
}

/* Must not end a line: opening punctuation, straight quotes, which may be opening, signs before a number. */
static bool sticks_to_next(utf8proc_int32_t cp)
{
    static const utf8proc_int32_t others[] = { '"', '\'', '#', 0xBF, 0xA1, 0x2116, 0xFF03, 0 };
    switch (utf8proc_category(cp)) {
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_SC: return true;
    default: return contains(others, cp);
    }
}

static bool may_break(utf8proc_int32_t before, utf8proc_int32_t after)
{
    return (is_cjk(before) || is_cjk(after)) && !sticks_to_next(before) && !sticks_to_previous(after);
}

/* How a character marks the end of its unit; quotes and brackets keep the mark before them. */
static mark mark_of(utf8proc_int32_t cp, mark before)
{
    static const utf8proc_int32_t sentence[] = { '.',    '!',    '?',    0x2026, 0x3002, 0xFF01, 0xFF1F,
                                                 0xFF0E, 0xFF61, 0x061F, 0x06D4, 0x0964, 0x0965, 0 };
    static const utf8proc_int32_t clause[] = { ',',    ';',    ':',    0x2013, 0x2014, 0x3001, 0xFF0C,
                                               0xFF1B, 0xFF1A, 0xFF64, 0x060C, 0x061B, 0 };
    if (contains(sentence, cp))
        return MARK_SENTENCE;
    if (contains(clause, cp))
        return MARK_CLAUSE;
    utf8proc_category_t kind = utf8proc_category(cp);
    return kind == UTF8PROC_CATEGORY_PE || kind == UTF8PROC_CATEGORY_PF || cp == '"' || cp == '\'' ? before : MARK_NONE;
}

/* ---- units ----------------------------------------------------------------------------------- */

/* s->units has room for one per byte. A character begins a new unit after a space, where a break is allowed, and where
 * the unit would become wider than a line. */
static void find_units(subtitle *s)
{
    size_t n = strlen(s->text);
    utf8proc_int32_t before = 0; /* 0: a space, or the start of the text */
    for (size_t at = 0; at < n;) {
        character c = read_character(s->text, at, n);
        unit *u = s->n ? &s->units[s->n - 1] : NULL;
        if (is_space(c.cp)) {
            if (u)
                u->space = true;
            before = 0;
        } else {
            if (!before || may_break(before, c.cp) || u->width + c.width > s->limits->max_width) {
                u = &s->units[s->n++];
                *u = (unit){ .begin = at, .n_before = s->n_characters };
            }
            u->end = c.end;
            u->width += c.width;
            u->mark = mark_of(c.cp, u->mark);
            s->n_characters++;
            before = c.cp;
        }
        at = c.end;
    }
}

/* i == n: the end. */
static size_t characters_before(const subtitle *s, size_t i)
{
    return i < s->n ? s->units[i].n_before : s->n_characters;
}

/* Time at which the i-th unit begins; i == n: the end. */
static double begin_of(const subtitle *s, size_t i)
{
    return s->start_s + (s->end_s - s->start_s) * (double)characters_before(s, i) / (double)s->n_characters;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* The end of the line that begins with the i-th unit, at most max_width wide. */
static size_t end_of_line(const subtitle *s, size_t i, size_t end, int max_width)
{
    int width = s->units[i].width;
    for (i++; i < end; i++) {
        width += s->units[i - 1].space + s->units[i].width;
        if (width > max_width)
            break;
    }
    return i;
}

static int count_lines(const subtitle *s, size_t i, size_t end, int max_width)
{
    int n = 0;
    for (; i < end; n++)
        i = end_of_line(s, i, end, max_width);
    return n;
}

/* The furthest end of a subtitle that begins with the i-th unit. */
static size_t find_room(const subtitle *s, size_t i)
{
    size_t end = i, fits;
    for (int line = 0; line < s->limits->max_lines && end < s->n; line++)
        end = end_of_line(s, end, s->n, s->limits->max_width);
    for (fits = i + 1; fits < end && begin_of(s, fits + 1) - begin_of(s, i) <= s->limits->max_s; fits++)
        ;
    return fits;
}

/* Splits a sentence in the middle if stopping at end would leave little of it for the next subtitle.
 */
static size_t share_with_next(const subtitle *s, size_t i, size_t end)
{
    const size_t first = s->units[i].n_before, taken = characters_before(s, end) - first;
    size_t last = end, middle = i + 1;
    while (last < s->n && s->units[last - 1].mark != MARK_SENTENCE)
        last++;
    const size_t whole = characters_before(s, last) - first;
    if (last == end || 3 * (whole - taken) >= taken)
        return end;
    while (middle < end && 2 * (characters_before(s, middle) - first) < whole)
        middle++;
    return middle;
}

/* The last good break in [i, end): after a sentence in the last two thirds, after a clause in the last half. */
static size_t find_stop(const subtitle *s, size_t i, size_t end)
{
    static const struct {
        mark mark;
        double after;
    } wanted[] = { { MARK_SENTENCE, 1.0 / 3 }, { MARK_CLAUSE, 0.5 } };
    const size_t first = s->units[i].n_before;
    const double n = (double)(characters_before(s, end) - first);
    for (size_t w = 0; end < s->n && w < sizeof wanted / sizeof *wanted; w++)
        for (size_t stop = end; stop > i + 1; stop--)
            if (s->units[stop - 1].mark == wanted[w].mark &&
                (double)(s->units[stop].n_before - first) >= wanted[w].after * n)
                return stop;
    return share_with_next(s, i, end);
}

/* Units [i, end) as lines of about the same width. */
static void write_lines(subtitle *s, size_t i, size_t end)
{
    char *to = s->lines;
    int width = s->limits->max_width;
    const int n_lines = count_lines(s, i, end, width);
    while (width > 1 && count_lines(s, i, end, width - 1) == n_lines)
        width--;
    while (i < end) {
        for (size_t next = end_of_line(s, i, end, width); i < next; i++) {
            const unit *u = &s->units[i];
            memcpy(to, s->text + u->begin, u->end - u->begin);
            to += u->end - u->begin;
            if (u->space && i + 1 < next)
                *to++ = ' ';
        }
        if (i < end)
            *to++ = '\n';
    }
    *to = 0;
}

static void show_all(subtitle *s, subtitle_fn show, void *user)
{
    for (size_t i = 0; i < s->n;) {
        const size_t end = find_stop(s, i, find_room(s, i));
        const double start_s = begin_of(s, i), next_s = begin_of(s, end);
        const double longest_s = start_s + s->limits->max_s;
        write_lines(s, i, end);
        show(user, start_s, next_s < longest_s ? next_s : longest_s, s->lines);
        i = end;
    }
}

bool subtitle_break(const char *text, double start_s, double end_s, const subtitle_limits *limits, subtitle_fn show,
                    void *user)
{
    const size_t n = strlen(text);
    subtitle s = { .text = text, .limits = limits, .start_s = start_s, .end_s = end_s };
    s.units = malloc((n + 1) * sizeof *s.units);
    s.lines = malloc(2 * n + 1);
    const bool good = s.units && s.lines;
    if (good) {
        find_units(&s);
        show_all(&s, show, user);
    }
    free(s.units);
    free(s.lines);
    return good;
}
