/* Splits text into words at white space; in scripts without spaces, into characters with the punctuation around them.
 * Estimates how long it takes to say it. */
#include <string.h>
#include <utf8proc.h>

#include "text/text.h"
#include "text/utf8.h"

/* Length of the character at text[at]. */
static size_t read_at(uint32_t *cp, const char *text, size_t len, size_t at)
{
    return utf8_read_lossy(cp, (const unsigned char *)text + at, len - at);
}

bool text_next_word(const char *text, size_t len, size_t *begin, size_t *end)
{
    uint32_t cp, before = 0;
    size_t at = *end;
    while (at < len) {
        size_t n = read_at(&cp, text, len, at);
        if (!utf8_is_space(cp))
            break;
        at += n;
    }
    *begin = at;
    for (bool has_letter = false; at < len;) {
        size_t n = read_at(&cp, text, len, at);
        bool letter = utf8_is_letter_or_number(cp);
        bool begins = has_letter && (letter || utf8_is_opening(cp)) && (utf8_is_cjk(cp) || utf8_is_cjk(before));
        if (utf8_is_space(cp) || begins)
            break;
        has_letter = has_letter || letter;
        before = cp;
        at += n;
    }
    *end = at;
    return at > *begin;
}

size_t text_count_words(const char *text)
{
    size_t n = 0, begin, end = 0, len = strlen(text);
    while (text_next_word(text, len, &begin, &end))
        n++;
    return n;
}

/* Characters that are a syllable each, or more. */
static bool is_syllable(uint32_t cp)
{
    const bool hangul = cp >= 0xAC00 && cp <= 0xD7A3;
    return hangul || utf8_is_cjk(cp) || utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_ND;
}

double text_estimate_syllables(const char *text)
{
    /* Letters per syllable: 2.2 to 3.2 in Latin, Cyrillic, Greek and Thai, 1.9 in Arabic, 1.4 in Devanagari. */
    static const double per_letter = 0.4;
    double n = 0;
    for (size_t i = 0, len = strlen(text); i < len;) {
        uint32_t cp;
        i += read_at(&cp, text, len, i);
        if (utf8_is_letter_or_number(cp))
            n += is_syllable(cp) ? 1 : per_letter;
    }
    return n;
}
