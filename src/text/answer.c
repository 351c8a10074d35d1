/* Raw model output in; language and text out. Mirrors parse_asr_output and fix_repetitions of the reference. Loop
 * detection during generation and joining of segments are our additions. Text is UTF-8; malformed bytes are read as
 * U+FFFD. Lengths are counted in code points. */
#include <limits.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/text.h"
#include "text/utf8.h"

/* ---- repetitions -------------------------------------------------------------------------- */

enum {
    COPIES_MIN = 20,  /* copies that count as a repetition */
    PATTERN_MAX = 20, /* code points */
    PATTERN_TAIL = 40 /* patterns must begin at least this far from the end */
};

/* Reduces runs of more than 20 equal code points to one. Returns the new length. */
static size_t collapse_runs(uint32_t *s, size_t n)
{
    size_t n_out = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && s[end] == s[i];)
            end++;
        size_t keep = end - i > COPIES_MIN ? 1 : end - i;
        memmove(s + n_out, s + i, keep * sizeof *s);
        n_out += keep;
    }
    return n_out;
}

/* Length of the text from i that repeats with period k: whole copies, at least COPIES_MIN, else 0. same_to[k] records
 * how far s[j] == s[j + k] is known to hold. Since i only grows, all calls together visit each j once per k, so the
 * total is linear. */
static size_t repeated_length(const uint32_t *s, size_t n, size_t i, size_t k, size_t *same_to)
{
    size_t j = same_to[k] > i ? same_to[k] : i;
    while (j + k < n && s[j] == s[j + k])
        j++;
    same_to[k] = j;
    size_t copies = (j - i) / k + 1;
    return copies >= COPIES_MIN ? copies * k : 0;
}

/* Finds the shortest pattern with copies from i on; *length is the length of all copies. 0: none. */
static size_t find_pattern(const uint32_t *s, size_t n, size_t i, size_t *same_to, size_t *length)
{
    for (size_t k = 1; k <= PATTERN_MAX; k++) {
        *length = repeated_length(s, n, i, k, same_to);
        if (*length)
            return k;
    }
    return 0;
}

/* Reduces repeated patterns to one copy and continues after them. Returns the new length. */
static size_t collapse_patterns(uint32_t *s, size_t n)
{
    size_t same_to[PATTERN_MAX + 1] = { 0 };
    size_t n_out = 0, i = 0, length;
    while (i + PATTERN_TAIL <= n) {
        size_t keep = find_pattern(s, n, i, same_to, &length);
        if (!keep)
            keep = length = 1;
        memmove(s + n_out, s + i, keep * sizeof *s); /* n_out <= i: unread text is not overwritten */
        n_out += keep;
        i += length;
    }
    memmove(s + n_out, s + i, (n - i) * sizeof *s);
    return n_out + n - i;
}

qasr_status answer_fix_repetitions(buf *out, const char *text, size_t len, qasr_error *err)
{
    uint32_t *s;
    TRY(MEM_ALLOC(&s, len, err));
    size_t n = 0;
    for (size_t i = 0; i < len;)
        i += utf8_read_lossy(&s[n++], (const unsigned char *)text + i, len - i);
    n = collapse_runs(s, n);
    n = collapse_patterns(s, n);
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < n && status == QASR_OK; i++)
        status = utf8_add(out, s[i], err);
    mem_free(s);
    return status;
}

/* ---- language and text -------------------------------------------------------------------- */

static const char tag[] = "<asr_text>";
static const char prefix[] = "language ";

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* word is lower case. ASCII suffices: Python's lower() maps no other character to a letter of the words used here. */
static bool begins_with(const char *text, size_t n, const char *word)
{
    size_t i = 0;
    while (word[i] && i < n && lower(text[i]) == word[i])
        i++;
    return !word[i];
}

static bool contains(const char *text, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (begins_with(text + i, n - i, word))
            return true;
    return false;
}

/* Line breaks of Python's splitlines. */
static bool is_line_break(uint32_t cp)
{
    return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

/* Length of the first line; *with_break includes its line break. */
static size_t line_length(const char *text, size_t n, size_t *with_break)
{
    size_t i = 0, length;
    for (; i < n; i += length) {
        uint32_t cp;
        length = utf8_read(&cp, (const unsigned char *)text + i, n - i);
        if (is_line_break(cp)) {
            *with_break = i + length;
            return i;
        }
    }
    *with_break = n;
    return n;
}

/* Writes the first character in upper case, the others in lower case. */
static qasr_status add_capitalised(buf *out, const char *text, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < n;) {
        bool first = i == 0;
        uint32_t cp;
        i += utf8_read_lossy(&cp, (const unsigned char *)text + i, n - i);
        utf8proc_int32_t c = (utf8proc_int32_t)cp;
        TRY(utf8_add(out, (uint32_t)(first ? utf8proc_toupper(c) : utf8proc_tolower(c)), err));
    }
    return QASR_OK;
}

/* Finds the language before the tag: the first line of the form "language NAME". */
static qasr_status add_meta_language(buf *lang, const char *meta, size_t n, qasr_error *err)
{
    for (size_t used; n > 0; meta += used, n -= used) {
        size_t n_line = line_length(meta, n, &used);
        const char *line = utf8_trim(meta, &n_line);
        if (!begins_with(line, n_line, prefix))
            continue;
        size_t n_name = n_line - strlen(prefix);
        const char *name = utf8_trim(line + strlen(prefix), &n_name);
        return add_capitalised(lang, name, n_name, err);
    }
    return QASR_OK;
}

/* fixed: text trimmed and without repetitions. */
static qasr_status parse_fixed(buf *lang, buf *text, const char *fixed, size_t n, const char *forced, qasr_error *err)
{
    if (forced)
        TRY(buf_add_str(lang, forced, err));
    const char *found = forced ? NULL : memmem(fixed, n, tag, strlen(tag));
    if (!found)
        return buf_add(text, fixed, n, err);
    size_t n_meta = (size_t)(found - fixed);
    if (!contains(fixed, n_meta, "language none"))
        TRY(add_meta_language(lang, fixed, n_meta, err));
    size_t n_text = n - n_meta - strlen(tag);
    const char *trimmed = utf8_trim(found + strlen(tag), &n_text);
    return buf_add(text, trimmed, n_text, err);
}

qasr_status answer_parse(buf *lang, buf *text, const char *raw, const char *forced, qasr_error *err)
{
    size_t n = strlen(raw);
    const char *trimmed = utf8_trim(raw, &n);
    if (n == 0)
        return QASR_OK;
    buf fixed;
    buf_init(&fixed, SIZE_MAX / 2);
    qasr_status status = answer_fix_repetitions(&fixed, trimmed, n, err);
    if (status == QASR_OK)
        status = parse_fixed(lang, text, buf_str(&fixed), fixed.len, forced, err);
    buf_free(&fixed);
    return status;
}

/* ---- loops while generating --------------------------------------------------------------- */

/* People repeat words ("no, no, no"), speakers count and choirs sing refrains, so a pattern must fill what is at least
 * ten seconds of normal speech, 96 ids, or be there six times. */
enum { LOOP_MIN = 128, LOOP_WINDOW = 96, LOOP_DISTINCT = 6, LOOP_COPIES = 6, LOOP_PERIOD_MAX = 64 };

static bool few_different(const int32_t *ids, size_t n, size_t max)
{
    int32_t seen[LOOP_DISTINCT];
    size_t n_seen = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < n_seen && seen[j] != ids[i])
            j++;
        if (j < n_seen)
            continue;
        if (n_seen == max)
            return false;
        seen[n_seen++] = ids[i];
    }
    return true;
}

bool answer_is_loop(const int32_t *ids, size_t n)
{
    if (n < LOOP_MIN)
        return false;
    const int32_t *end = ids + n;
    if (few_different(end - LOOP_WINDOW, LOOP_WINDOW, LOOP_DISTINCT))
        return true;
    for (size_t p = 1; p <= LOOP_PERIOD_MAX; p++) {
        size_t length = LOOP_COPIES * p > LOOP_WINDOW ? LOOP_COPIES * p : LOOP_WINDOW;
        if (length <= n && memcmp(end - length, end - length + p, (length - p) * sizeof *ids) == 0)
            return true;
    }
    return false;
}

/* ---- joining segments ----------------------------------------------------------------------- */

/* Marks of both Latin and Chinese text: curly quotes, dashes, ellipsis, straight double quote. */
static bool is_shared_mark(uint32_t cp)
{
    return (cp >= 0x2013 && cp <= 0x2015) || (cp >= 0x2018 && cp <= 0x201F) || cp == 0x2026 || cp == '"';
}

/* The last character before *n bytes; *n becomes its position. */
static uint32_t character_before(const char *text, size_t *n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t i = *n - 1, end = *n;
    while (i > 0 && end - i < 4 && (p[i] & 0xC0) == 0x80)
        i--;
    uint32_t cp;
    utf8_read(&cp, p + i, end - i);
    *n = i;
    return cp;
}

/* The last character that tells the script: shared marks at the end are passed over. */
static uint32_t last_character(const buf *b)
{
    size_t n = b->len;
    uint32_t cp = character_before(b->data, &n);
    for (int marks = 0; marks < ANSWER_TAIL_MARKS && n > 0 && is_shared_mark(cp); marks++)
        cp = character_before(b->data, &n);
    return cp;
}

/* Full-width punctuation has its space inside. */
static bool is_wide_mark(uint32_t cp) { return utf8_is_cjk(cp) && !utf8_is_letter_or_number(cp); }

static bool needs_space(uint32_t before, uint32_t after)
{
    if (utf8_is_space(before) || utf8_is_space(after) || is_wide_mark(before) || is_wide_mark(after))
        return false;
    return !(utf8_is_cjk(before) && (utf8_is_cjk(after) || is_shared_mark(after)));
}

qasr_status answer_join_text(buf *joined, const char *segment, qasr_error *err)
{
    size_t n = strlen(segment);
    if (joined->len > 0 && n > 0) {
        uint32_t after;
        utf8_read(&after, (const unsigned char *)segment, n);
        if (needs_space(last_character(joined), after))
            TRY(buf_add_str(joined, " ", err));
    }
    return buf_add(joined, segment, n, err);
}

qasr_status answer_join_language(buf *joined, const char *segment, qasr_error *err)
{
    const char *all = buf_str(joined), *comma = strrchr(all, ',');
    if (!*segment || strcmp(comma ? comma + 1 : all, segment) == 0)
        return QASR_OK;
    if (joined->len > 0)
        TRY(buf_add_str(joined, ",", err));
    return buf_add_str(joined, segment, err);
}
