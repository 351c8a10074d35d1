/* Ogg (RFC 3533): pages, of which the last one of a stream has a flag. Wave64 and RF64 (EBU Tech 3306) say at the
 * beginning how long the file is, CAF how long each of its chunks is. */
#include "audio/ending.h"

#include <string.h>

enum { PAGE_HEAD = 27, PAGE_FLAGS = 5, PAGE_SEGMENTS = 26, LAST_PAGE = 4 };

/* Bytes of the page at p, 0 if there is none that ends within n bytes. */
static size_t page_bytes(const unsigned char *p, size_t n)
{
    if (n < PAGE_HEAD || memcmp(p, "OggS", 4) != 0 || n < PAGE_HEAD + (size_t)p[PAGE_SEGMENTS])
        return 0;
    size_t bytes = PAGE_HEAD + (size_t)p[PAGE_SEGMENTS];
    for (size_t i = 0; i < p[PAGE_SEGMENTS]; i++)
        bytes += p[PAGE_HEAD + i];
    return bytes <= n ? bytes : 0;
}

static bool ogg_is_cut(const unsigned char *tail, size_t n_tail)
{
    for (size_t i = 0; i + PAGE_HEAD <= n_tail; i++)
        if (page_bytes(tail + i, n_tail - i) == n_tail - i)
            return !(tail[i + PAGE_FLAGS] & LAST_PAGE);
    return true;
}

/* Numbers of 64 bits; 0 beyond the head. */
static uint64_t little_endian(const unsigned char *head, size_t n_head, size_t at)
{
    uint64_t value = 0;
    for (size_t i = 8; i-- > 0 && at + 8 <= n_head;)
        value = value << 8 | head[at + i];
    return value;
}

static uint64_t big_endian(const unsigned char *head, size_t n_head, size_t at)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8 && at + 8 <= n_head; i++)
        value = value << 8 | head[at + i];
    return value;
}

/* Programs that do not know yet write the largest number there is, or something near it. */
static bool is_too_short(uint64_t size, uint64_t claimed) { return claimed > size && claimed < (uint64_t)1 << 62; }

/* Chunks end at multiples of 8, files need not. */
static bool w64_is_cut(const unsigned char *head, size_t n_head, uint64_t size)
{
    return is_too_short(size + 7, little_endian(head, n_head, 16));
}

/* The chunk ds64 comes first; its first number is the length of all that is behind it and the name of the file's kind.
 */
static bool rf64_is_cut(const unsigned char *head, size_t n_head, uint64_t size)
{
    return n_head >= 28 && memcmp(head + 12, "ds64", 4) == 0 &&
           is_too_short(size + 1, little_endian(head, n_head, 20) + 8);
}

static bool caf_is_cut(const unsigned char *head, size_t n_head, uint64_t size)
{
    for (uint64_t at = 8; at + 12 <= n_head;) {
        uint64_t n = big_endian(head, n_head, (size_t)at + 4);
        if (n >= (uint64_t)1 << 62)
            return false;
        if (is_too_short(size, at + 12 + n))
            return true;
        at += 12 + n;
    }
    return false;
}

bool ending_is_missing(const unsigned char *head, size_t n_head, const unsigned char *tail, size_t n_tail,
                       uint64_t size)
{
    if (n_head < 4)
        return false;
    if (memcmp(head, "OggS", 4) == 0)
        return ogg_is_cut(tail, n_tail);
    if (memcmp(head, "riff", 4) == 0)
        return w64_is_cut(head, n_head, size);
    if (memcmp(head, "RF64", 4) == 0)
        return rf64_is_cut(head, n_head, size);
    return memcmp(head, "caff", 4) == 0 && caf_is_cut(head, n_head, size);
}
