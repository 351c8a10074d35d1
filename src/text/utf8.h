/* UTF-8, one character at a time, and a few character classes. Internal to src/text. */
#ifndef QASR_TEXT_UTF8_H
#define QASR_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Values of *cp that are not code points. */
#define UTF8_MALFORMED UINT32_MAX
#define UTF8_INCOMPLETE (UINT32_MAX - 1)

/* Reads the character at p (n > 0 bytes available) into *cp and returns its length, 1..4. Malformed: *cp =
 * UTF8_MALFORMED and the length of the maximal subpart (replaced by one U+FFFD). Truncated by n but well-formed so far:
 * *cp = UTF8_INCOMPLETE and n. */
size_t utf8_read(uint32_t *cp, const unsigned char *p, size_t n);
/* The same with U+FFFD for malformed and incomplete characters. */
size_t utf8_read_lossy(uint32_t *cp, const unsigned char *p, size_t n);
/* Encodes a code point (a scalar value) as 1..4 bytes. */
size_t utf8_write(unsigned char out[4], uint32_t cp);
qasr_status utf8_add(buf *out, uint32_t cp, qasr_error *err);

/* White space as defined by Python's str.strip: Unicode White_Space and U+001C..U+001F. */
bool utf8_is_space(uint32_t cp);
/* Unicode categories L* and N*: what a word consists of, besides marks and punctuation. */
bool utf8_is_letter_or_number(uint32_t cp);
/* Opening brackets and quotes: Unicode categories Ps and Pi. */
bool utf8_is_opening(uint32_t cp);
/* Scripts written without spaces, with their punctuation: Han, Kana, Bopomofo, CJK symbols, full-width forms. Not
 * Hangul, since Korean uses spaces. */
bool utf8_is_cjk(uint32_t cp);
/* Trims white space at both ends of text[0..*n); *n becomes the new length. */
const char *utf8_trim(const char *text, size_t *n);

#endif
