/* Splits text into words at white space; in scripts without spaces, into characters with their trailing marks. */
#include <string.h>
#include <utf8proc.h>

#include "text/text.h"
#include "text/utf8.h"

/* Letters and numbers. Marks and punctuation belong to the preceding character. */
static bool begins_word(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return false;
    }
}

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
    while (at < len) {
        size_t n = read_at(&cp, text, len, at);
        bool breaks = utf8_is_space(cp) || (at > *begin && begins_word(cp) && (utf8_is_cjk(cp) || utf8_is_cjk(before)));
        if (breaks)
            break;
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
