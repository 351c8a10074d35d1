/* UTF-8, one character at a time, and the few character classes that the text module needs. Internal to
 * src/text. */
#ifndef QASR_TEXT_UTF8_H
#define QASR_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Not code points: what utf8_read gives instead of one. */
#define UTF8_MALFORMED UINT32_MAX
#define UTF8_INCOMPLETE (UINT32_MAX - 1)

/* Reads the character at p (n > 0 bytes follow) into *cp and returns its length, 1..4. Malformed bytes:
 * *cp = UTF8_MALFORMED and the length of the maximal subpart (what stands for one U+FFFD). Well-formed so
 * far but ended by n: *cp = UTF8_INCOMPLETE and n. */
size_t utf8_read(uint32_t *cp, const unsigned char *p, size_t n);
/* The same with U+FFFD for malformed and incomplete characters alike. */
size_t utf8_read_lossy(uint32_t *cp, const unsigned char *p, size_t n);
/* Code point (a scalar value) to 1..4 bytes. */
size_t utf8_write(unsigned char out[4], uint32_t cp);
qasr_status utf8_add(buf *out, uint32_t cp, qasr_error *err);

/* White space as Python's str.strip sees it: Unicode White_Space and U+001C..U+001F. */
bool utf8_is_space(uint32_t cp);
/* Scripts written without spaces between sentences, with their punctuation: Han, Kana, Bopomofo, CJK symbols,
 * full-width forms. Not Hangul: Korean puts spaces. */
bool utf8_is_cjk(uint32_t cp);
/* Part of text[0..*n) without white space at both ends; *n becomes its length. */
const char *utf8_trim(const char *text, size_t *n);

#endif
