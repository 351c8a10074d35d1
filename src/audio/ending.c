/* See ending.h. Most containers say at the beginning how long the file is or how long each part of it, Ogg (RFC 3533)
 * marks the last page of a stream. Programs that do not know yet write the largest number there is, or something near
 * it. */
#include "audio/ending.h"

#include <string.h>

#include "base/error.h"

enum {
    MAX_PARTS = 1 << 20,
    MAX_PAGE = 27 + 255 + 255 * 255,
    FTYP = 0x66747970, /* names of boxes and elements */
    SEGMENT = 0x18538067,
    EBML = 0x1A45DFA3,
    FORM = 0x464F524D
};

static const uint64_t endless = (uint64_t)1 << 62;

static bool is_too_short(const window *w, uint64_t claimed) { return claimed > w->end && claimed < endless; }

/* Little- or big-endian numbers; 0 beyond the end. */
static uint64_t little(window *w, uint64_t at, size_t n)
{
    const unsigned char *p = window_get(w, at, n);
    return p ? read_little_endian(p, n) : 0;
}

static uint64_t big(window *w, uint64_t at, size_t n)
{
    const unsigned char *p = window_get(w, at, n);
    return p ? read_big_endian(p, n) : 0;
}

/* The last byte of an odd number may be missing. */
static bool riff_is_cut(window *w)
{
    const uint64_t n = little(w, 4, 4);
    return n < 0x7F000000 && is_too_short(w, n + 8 - (n & 1));
}

static bool form_is_cut(window *w)
{
    const uint64_t n = big(w, 4, 4);
    return n < 0x7F000000 && is_too_short(w, n + 8 - (n & 1));
}

/* Chunks end at multiples of 8, files need not. */
static bool w64_is_cut(window *w)
{
    const uint64_t n = little(w, 16, 8);
    return n > 7 && is_too_short(w, n - 7);
}

/* The chunk ds64 comes first; its first number is the length of all that is behind it and the name of the file's kind.
 */
static bool rf64_is_cut(window *w)
{
    const uint64_t n = big(w, 12, 4) == 0x64733634 ? little(w, 20, 8) : 0; /* "ds64" */
    return n < endless && is_too_short(w, n + 7);
}

static bool caf_is_cut(window *w)
{
    uint64_t at = 8;
    for (int i = 0; i < MAX_PARTS && window_get(w, at, 12); i++) {
        const uint64_t n = big(w, at + 4, 8);
        if (n >= endless)
            return false;
        at += 12 + n;
    }
    return is_too_short(w, at);
}

/* Boxes: a length of 32 bits, or of 64 if that is 1; 0: to the end. Where the last one ends, or a second file begins.
 */
static uint64_t walk_boxes(window *w)
{
    uint64_t at = 0;
    for (int i = 0; i < MAX_PARTS && window_get(w, at, 8) && (at == 0 || big(w, at + 4, 4) != FTYP); i++) {
        uint64_t n = big(w, at, 4);
        n = n == 1 ? big(w, at + 8, 8) : n;
        if (n < 8 || n >= endless)
            return w->end;
        at += n;
    }
    return at;
}

static bool mp4_is_cut(window *w) { return is_too_short(w, walk_boxes(w)); }

static bool mp4_is_followed(window *w) { return big(w, walk_boxes(w) + 4, 4) == FTYP; }

/* An EBML number without its mark of length; endless: unknown. *n: its bytes. */
static uint64_t ebml_size(window *w, uint64_t at, size_t *n)
{
    const unsigned first = (unsigned)big(w, at, 1);
    if (first == 0)
        return endless;
    *n = (size_t)__builtin_clz(first) - 23;
    const uint64_t ones = ((uint64_t)1 << 7 * *n) - 1, size = big(w, at, *n) & ones;
    return size == ones ? endless : size;
}

/* An EBML header, then a segment that holds the rest: where that ends, 0 if it does not say. */
static uint64_t segment_end(window *w)
{
    size_t n = 0;
    uint64_t at = 4, size = ebml_size(w, at, &n);
    if (size >= endless)
        return 0;
    at += n + size;
    if (big(w, at, 4) != SEGMENT)
        return 0;
    size = ebml_size(w, at + 4, &n);
    return size < endless ? at + 4 + n + size : 0;
}

static bool matroska_is_cut(window *w) { return is_too_short(w, segment_end(w)); }

static bool matroska_is_followed(window *w) { return segment_end(w) > 0 && big(w, segment_end(w), 4) == EBML; }

/* The object with the file's properties stands in the header. */
static bool asf_is_cut(window *w)
{
    static const unsigned char properties[] = { 0xA1, 0xDC, 0xAB, 0x8C, 0x47, 0xA9, 0xCF, 0x11,
                                                0x8E, 0xE4, 0x00, 0xC0, 0x0C, 0x20, 0x53, 0x65 };
    const uint64_t header_end = little(w, 16, 8) < w->end ? little(w, 16, 8) : w->end;
    const uint64_t at = window_find(w, 30, header_end, properties, sizeof properties);
    return at < header_end && is_too_short(w, little(w, at + 40, 8));
}

static bool ogg_is_cut(window *w)
{
    for (uint64_t at = w->end > MAX_PAGE ? w->end - MAX_PAGE : 0;; at++) {
        at = window_find(w, at, w->end, "OggS", 4);
        const unsigned char *p = at < w->end ? window_get(w, at, 27) : NULL;
        if (!p)
            return true;
        const bool is_last = p[5] & 4;
        const size_t n_segments = p[26];
        size_t n = 27 + n_segments;
        p = window_get(w, at, n);
        for (size_t i = 0; p && i < n_segments; i++)
            n += p[27 + i];
        if (p && at + n == w->end)
            return !is_last;
    }
}

/* Transport streams are packets of 188 bytes, or of 192 with a time stamp in front. */
static bool is_transport_stream(window *w, size_t n, size_t sync)
{
    const unsigned char *p = window_get(w, sync, 2 * n + 1);
    return p && p[0] == 0x47 && p[n] == 0x47 && p[2 * n] == 0x47;
}

/* The bytes with which a file of this kind begins stand once more behind its beginning. */
static bool is_repeated(window *w, const void *first, size_t n) { return window_find(w, n, w->end, first, n) < w->end; }

static bool form_is_followed(window *w)
{
    const uint64_t at = 8 + big(w, 4, 4);
    return big(w, at + at % 2, 4) == FORM;
}

static bool flv_is_followed(window *w)
{
    for (uint64_t at = 1; (at = window_find(w, at, w->end, "FLV\1", 4)) < w->end; at++)
        if (big(w, at + 5, 4) == 9 && big(w, at + 9, 4) == 0) /* the head's length, no tag before it */
            return true;
    return false;
}

static bool tta_is_followed(window *w)
{
    unsigned char head[12]; /* format, channels, bits and rate are likely to be the same */
    const unsigned char *p = window_get(w, 0, sizeof head);
    return p && is_repeated(w, memcpy(head, p, sizeof head), sizeof head);
}

static bool asf_is_followed(window *w)
{
    return is_repeated(w, "\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\x00\xAA\x00\x62\xCE\x6C", 16);
}

static bool wtv_is_followed(window *w)
{
    return is_repeated(w, "\xB7\xD8\x00\x20\x37\x49\xDA\x11\xA6\x4E\x00\x07\xE9\x5E\xAD\x8D", 16);
}

static const struct {
    size_t at;
    const char *magic;
    bool (*is_cut)(window *w);
    bool (*is_followed)(window *w);
} kinds[] = {
    { 0, "RIFF", riff_is_cut, NULL },
    { 0, "FORM", form_is_cut, form_is_followed },
    { 0, "riff", w64_is_cut, NULL },
    { 0, "RF64", rf64_is_cut, NULL },
    { 0, "caff", caf_is_cut, NULL },
    { 4, "ftyp", mp4_is_cut, mp4_is_followed },
    { 4, "styp", mp4_is_cut, mp4_is_followed },
    { 4, "moov", mp4_is_cut, mp4_is_followed },
    { 0, "\x1A\x45\xDF\xA3", matroska_is_cut, matroska_is_followed },
    { 0, "\x30\x26\xB2\x75", asf_is_cut, asf_is_followed },
    { 0, "FLV\1", NULL, flv_is_followed },
    { 0, "TTA1", NULL, tta_is_followed },
    { 0, "\xB7\xD8\x00\x20", NULL, wtv_is_followed },
    { 0, "OggS", ogg_is_cut, NULL },
};

/* The row of kinds; ARRAY_LEN(kinds): none. */
static size_t find_kind(window *w)
{
    const unsigned char *p = window_get(w, 0, 8);
    size_t i = 0;
    while (i < ARRAY_LEN(kinds) && !(p && memcmp(p + kinds[i].at, kinds[i].magic, 4) == 0))
        i++;
    return i;
}

bool ending_is_missing(window *w)
{
    const size_t kind = find_kind(w);
    if (kind < ARRAY_LEN(kinds))
        return kinds[kind].is_cut && kinds[kind].is_cut(w);
    return (is_transport_stream(w, 188, 0) && w->end % 188 != 0) ||
           (is_transport_stream(w, 192, 4) && w->end % 192 != 0);
}

bool ending_is_followed(window *w)
{
    const size_t kind = find_kind(w);
    return kind < ARRAY_LEN(kinds) && kinds[kind].is_followed && kinds[kind].is_followed(w);
}
