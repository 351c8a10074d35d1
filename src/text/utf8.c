/* UTF-8 decoding and encoding. Input may be malformed: a maximal subpart of an ill-formed sequence (Unicode's term) is
 * reported as one unit, so replacing each by U+FFFD matches Python's errors="replace". */
#include "text/utf8.h"

#include <utf8proc.h>

enum { REPLACEMENT = 0xFFFD };

/* Properties of a lead byte: length, payload bits, and the range of the second byte, which is narrower than 80..BF
 * where that excludes overlong forms, surrogates and values above U+10FFFF. */
typedef struct lead {
    unsigned char length, bits, second_min, second_max;
} lead;

static lead lead_of(unsigned char c)
{
    if (c < 0x80)
        return (lead){ 1, c, 0, 0 };
    if (c < 0xC2 || c > 0xF4)
        return (lead){ 0 };
    if (c < 0xE0)
        return (lead){ 2, c & 0x1F, 0x80, 0xBF };
    if (c < 0xF0)
        return (lead){ 3, c & 0x0F, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF };
    return (lead){ 4, c & 0x07, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF };
}

size_t utf8_read(uint32_t *cp, const unsigned char *p, size_t n)
{
    lead l = lead_of(p[0]);
    *cp = UTF8_MALFORMED;
    if (l.length == 0)
        return 1;
    uint32_t value = l.bits;
    for (size_t i = 1; i < l.length; i++) {
        if (i == n) {
            *cp = UTF8_INCOMPLETE;
            return n;
        }
        unsigned char min = i == 1 ? l.second_min : 0x80, max = i == 1 ? l.second_max : 0xBF;
        if (p[i] < min || p[i] > max)
            return i;
        value = value << 6 | (p[i] & 0x3F);
    }
    *cp = value;
    return l.length;
}

size_t utf8_read_lossy(uint32_t *cp, const unsigned char *p, size_t n)
{
    size_t length = utf8_read(cp, p, n);
    if (*cp == UTF8_MALFORMED || *cp == UTF8_INCOMPLETE)
        *cp = REPLACEMENT;
    return length;
}

size_t utf8_write(unsigned char out[4], uint32_t cp)
{
    size_t length = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const unsigned char first[] = { 0, 0x00, 0xC0, 0xE0, 0xF0 };
    for (size_t i = length - 1; i > 0; i--, cp >>= 6)
        out[i] = 0x80 | (cp & 0x3F);
    out[0] = (unsigned char)(first[length] | cp);
    return length;
}

qasr_status utf8_add(buf *out, uint32_t cp, qasr_error *err)
{
    unsigned char bytes[4];
    return buf_add(out, bytes, utf8_write(bytes, cp), err);
}

bool utf8_is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20) || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F ||
           cp == 0x3000;
}

bool utf8_is_letter_or_number(uint32_t cp)
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

bool utf8_is_opening(uint32_t cp)
{
    utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)cp);
    return kind == UTF8PROC_CATEGORY_PS || kind == UTF8PROC_CATEGORY_PI;
}

bool utf8_is_cjk(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } range[] = {
        { 0x2E80, 0x2FDF }, { 0x2FF0, 0x312F },   { 0x3190, 0x31FF },   { 0x3400, 0x4DBF },
        { 0x4E00, 0x9FFF }, { 0xF900, 0xFAFF },   { 0xFE30, 0xFE4F },   { 0xFF00, 0xFF9F },
        { 0xFFE0, 0xFFEF }, { 0x1AFF0, 0x1B16F }, { 0x20000, 0x3FFFF },
    };
    for (size_t i = 0; i < ARRAY_LEN(range); i++)
        if (cp >= range[i].first && cp <= range[i].last)
            return true;
    return false;
}

const char *utf8_trim(const char *text, size_t *n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t begin = *n, end = *n; /* of the part between the first and the last non-space character */
    for (size_t i = 0, length; i < *n; i += length) {
        uint32_t cp;
        length = utf8_read(&cp, p + i, *n - i);
        if (utf8_is_space(cp))
            continue;
        if (begin == *n)
            begin = i;
        end = i + length;
    }
    *n = end - begin;
    return text + begin;
}
