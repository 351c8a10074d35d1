/* Splits text into words at white space; in scripts without spaces, into characters with the punctuation around them.
 */
#include <string.h>

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
