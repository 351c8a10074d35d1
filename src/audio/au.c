/* AU files: a header of at least 24 bytes, which says how many bytes of samples follow, then the samples. */
#include <string.h>

#include "audio/links.h"

enum { HEADER_BYTES = 24 };

static const struct {
    unsigned encoding;
    sample_format big, little;
    size_t n_bytes;
} encodings[] = {
    { 1, SAMPLE_ULAW, SAMPLE_ULAW, 1 },   { 2, SAMPLE_S8, SAMPLE_S8, 1 },       { 3, SAMPLE_S16BE, SAMPLE_S16LE, 2 },
    { 4, SAMPLE_S24BE, SAMPLE_S24LE, 3 }, { 5, SAMPLE_S32BE, SAMPLE_S32LE, 4 }, { 6, SAMPLE_F32BE, SAMPLE_F32LE, 4 },
    { 7, SAMPLE_F64BE, SAMPLE_F64LE, 8 }, { 27, SAMPLE_ALAW, SAMPLE_ALAW, 1 },
};

/* Where the samples end. The length may be unknown, too small, or that of the first of joined files. */
static uint64_t find_end(window *w, uint64_t begin, uint64_t size)
{
    const uint64_t left = w->end - begin;
    if (size <= left && (links_begin_at(w, begin + size) || links_are_leftovers(w, begin + size, w->end)))
        return begin + size;
    for (uint64_t at = size < left ? begin + size : begin; at < w->end; at++) {
        at = window_find(w, at, w->end, ".snd\0\0", 6);
        const unsigned char *p = window_get(w, at, HEADER_BYTES);
        if (p && read_big_endian(p + 4, 4) < 4096 && read_big_endian(p + 12, 4) <= 27)
            return at;
    }
    return w->end;
}

qasr_status au_find(links *l, window *w, uint64_t *at, qasr_error *err)
{
    unsigned char head[HEADER_BYTES];
    const unsigned char *p = window_get(w, *at, HEADER_BYTES);
    const bool big = p && memcmp(p, ".snd", 4) == 0, little = p && memcmp(p, "dns.", 4) == 0;
    if (!big && !little)
        return QASR_OK;
    memcpy(head, p, sizeof head);
    uint64_t (*number)(const unsigned char *, size_t) = big ? read_big_endian : read_little_endian;
    const uint64_t offset = number(head + 4, 4), size = number(head + 8, 4), channels = number(head + 20, 4);
    if (offset < HEADER_BYTES || offset > w->end - *at || channels < 1 || channels > INT16_MAX)
        return QASR_OK;
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        if (number(head + 12, 4) != encodings[i].encoding)
            continue;
        audio_link *new;
        const size_t block = encodings[i].n_bytes * (size_t)channels;
        const uint64_t begin = *at + offset, end = find_end(w, begin, size), n = (end - begin) / block;
        TRY(links_add(&new, l, LINK_SAMPLES, err));
        new->format = big ? encodings[i].big : encodings[i].little;
        new->rate = (int)(number(head + 16, 4) & INT32_MAX);
        new->channels = (int)channels;
        new->n_frames = (int64_t)n;
        if (size > end - begin && size < 0x7F000000) {
            new->cut = "its header announces more";
            new->cut_s = (double)((size - (end - begin)) / block) / (new->rate ? new->rate : 1);
        }
        *at = end;
        return links_add_range(l, begin, begin + n * block, err);
    }
    return QASR_OK;
}
