/* See links.h. */
#include "audio/links.h"

#include <string.h>

#include "base/mem.h"

enum {
    MAX_LINKS = 1 << 16,
    MAX_HEAD_BYTES = 64 << 20,
    MAX_RANGES = 1 << 24,
    LEFTOVER_BYTES = 512, /* less than that behind a file is not taken for sound */
    ID3V1_BYTES = 128,
    APE_HEADER_BYTES = 32
};

void links_init(links *l)
{
    *l = (links){ 0 };
    buf_init(&l->heads, MAX_HEAD_BYTES);
}

void links_free(links *l)
{
    mem_free(l->items);
    mem_free(l->ranges);
    buf_free(&l->heads);
    links_init(l);
}

/* Room for one more element of an array. */
static qasr_status grow(void **items, size_t n, size_t *capacity, size_t size, qasr_error *err)
{
    void *more;
    if (n < *capacity)
        return QASR_OK;
    const size_t wanted = *capacity ? 2 * *capacity : 8;
    TRY(mem_alloc(&more, wanted, size, err));
    if (n > 0)
        memcpy(more, *items, n * size);
    mem_free(*items);
    *items = more;
    *capacity = wanted;
    return QASR_OK;
}

static qasr_status too_many(qasr_error *err)
{
    return error_set(err, QASR_E_FORMAT, "the sound is in too many pieces; convert it first");
}

qasr_status links_add(audio_link **out, links *l, link_codec codec, qasr_error *err)
{
    if (l->n == MAX_LINKS)
        return too_many(err);
    TRY(grow((void **)&l->items, l->n, &l->capacity, sizeof *l->items, err));
    *out = &l->items[l->n++];
    **out = (audio_link){ .codec = codec,
                          .n_keep = UINT64_MAX,
                          .n_frames = -1,
                          .clock_end = -1,
                          .head = l->heads.len,
                          .first_range = l->n_ranges };
    return QASR_OK;
}

qasr_status links_add_head(links *l, const void *head, size_t n, qasr_error *err)
{
    audio_link *last = &l->items[l->n - 1];
    TRY(buf_add(&l->heads, head, n, err));
    last->n_head += n;
    last->n_bytes += n;
    return QASR_OK;
}

qasr_status links_add_range(links *l, uint64_t begin, uint64_t end, qasr_error *err)
{
    audio_link *last = &l->items[l->n - 1];
    const uint64_t at = last->n_bytes;
    last->n_bytes += end - begin;
    if (last->n_ranges > 0 && !l->last_range_is_closed && l->ranges[l->n_ranges - 1].end == begin) {
        l->ranges[l->n_ranges - 1].end = end;
        return QASR_OK;
    }
    if (l->n_ranges == MAX_RANGES)
        return too_many(err);
    TRY(grow((void **)&l->ranges, l->n_ranges, &l->ranges_capacity, sizeof *l->ranges, err));
    l->ranges[l->n_ranges++] = (byte_range){ begin, end, at };
    l->last_range_is_closed = false;
    last->n_ranges++;
    return QASR_OK;
}

void links_close_range(links *l) { l->last_range_is_closed = true; }

/* The range of a link that its byte `at` lies in, or the one behind the last. */
static size_t find_range(const byte_range *ranges, size_t n, uint64_t at)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (ranges[middle].at + (ranges[middle].end - ranges[middle].begin) <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t links_read(const links *l, const audio_link *of, input *in, uint64_t at, void *to, size_t n)
{
    const byte_range *ranges = l->ranges + of->first_range;
    size_t done = 0;
    if (at < of->n_head) {
        done = n < of->n_head - at ? n : (size_t)(of->n_head - at);
        memcpy(to, l->heads.data + of->head + at, done);
    }
    for (size_t i = find_range(ranges, of->n_ranges, at + done); i < of->n_ranges && done < n; i++) {
        const uint64_t skip = at + done - ranges[i].at, left = ranges[i].end - ranges[i].begin - skip;
        const size_t want = n - done < left ? n - done : (size_t)left;
        const size_t got = input_read(in, ranges[i].begin + skip, (char *)to + done, want);
        done += got;
        if (got < want)
            break;
    }
    return done;
}

/* ---- what is between files ----------------------------------------------------------------- */

uint64_t tag_bytes(window *w, uint64_t at)
{
    const unsigned char *p = window_get(w, at, 10);
    const uint64_t left = w->end - at;
    if (p && memcmp(p, "ID3", 3) == 0 && p[3] < 0xFF && !((p[6] | p[7] | p[8] | p[9]) & 0x80)) {
        const uint64_t n =
            10 + ((uint64_t)p[6] << 21 | (uint64_t)p[7] << 14 | (uint64_t)p[8] << 7 | p[9]) + (p[5] & 0x10 ? 10 : 0);
        return n < left ? n : left;
    }
    if (p && memcmp(p, "TAG", 3) == 0 && left >= ID3V1_BYTES)
        return ID3V1_BYTES;
    if (p && memcmp(p, "LYRICSBEGI", 10) == 0) {
        const uint64_t end = window_find(w, at, w->end, "LYRICS200", 9);
        return end < w->end ? end + 9 - at : left;
    }
    p = window_get(w, at, APE_HEADER_BYTES);
    if (p && memcmp(p, "APETAGEX", 8) == 0) { /* the size is that of the items and the footer */
        const bool is_header = p[23] & 0x20;
        const uint64_t n = (is_header ? APE_HEADER_BYTES : 0) + read_little_endian(p + 12, 4);
        return is_header ? n < left ? n : left : APE_HEADER_BYTES;
    }
    return 0;
}

bool links_begin_at(window *w, uint64_t at)
{
    const unsigned char *p = window_get(w, at, 12);
    return p &&
           ((memcmp(p + 8, "WAVE", 4) == 0 && (memcmp(p, "RIFF", 4) == 0 || memcmp(p, "RIFX", 4) == 0 ||
                                               memcmp(p, "RF64", 4) == 0 || memcmp(p, "BW64", 4) == 0)) ||
            memcmp(p, "riff\x2E\x91\xCF\x11", 8) == 0 ||
            (memcmp(p, "FORM", 4) == 0 && (memcmp(p + 8, "AIFF", 4) == 0 || memcmp(p + 8, "AIFC", 4) == 0)) ||
            memcmp(p, "caff\0\1\0\0", 8) == 0 || memcmp(p, ".snd\0\0", 6) == 0 || memcmp(p, "fLaC\0\0\0\x22", 8) == 0 ||
            memcmp(p, "fLaC\x80\0\0\x22", 8) == 0 || memcmp(p, "OggS\0\2", 6) == 0);
}

bool links_are_leftovers(window *w, uint64_t at, uint64_t end)
{
    while (at < end) {
        at += window_count_zeros(w, at, end);
        const uint64_t n = at < end ? tag_bytes(w, at) : 0;
        if (n == 0)
            break;
        at += n;
    }
    return at >= end || end - at < LEFTOVER_BYTES;
}

/* ---- an input -------------------------------------------------------------------------------- */

static const link_finder finders[] = { chunks_find, au_find, voc_find, flac_find, ogg_find, mpeg_find };

/* One file, with the tags in front of it. *at stays if there is none. */
static qasr_status find_file(links *l, window *w, uint64_t *at, qasr_error *err)
{
    uint64_t begin = *at;
    for (uint64_t n; (n = tag_bytes(w, begin)) > 0;)
        begin += n;
    for (size_t i = 0; i < ARRAY_LEN(finders); i++) {
        uint64_t next = begin;
        const size_t n_links = l->n;
        TRY(finders[i](l, w, &next, err));
        if (l->n > n_links || next > begin) {
            *at = next;
            return QASR_OK;
        }
    }
    return QASR_OK;
}

qasr_status links_find(links *l, input *in, bool *has_sound, qasr_error *err)
{
    window *w;
    uint64_t at = 0;
    qasr_status status = QASR_OK;
    TRY(MEM_ALLOC(&w, 1, err));
    *w = (window){ .in = in, .end = in->size };
    while (at < in->size) {
        const uint64_t before = at;
        TRY_GOTO(find_file(l, w, &at, err));
        if (at == before)
            break;
    }
    uint64_t rest = at;
    for (uint64_t n; rest < in->size && (n = tag_bytes(w, rest)) > 0;)
        rest += n;
    *has_sound = l->n > 0 || window_count_zeros(w, rest, in->size) < in->size - rest;
    if (l->n > 0 && !l->items[l->n - 1].cut && !links_are_leftovers(w, at, in->size))
        l->items[l->n - 1].cut = "what follows in the file is of an unknown kind";
done:
    mem_free(w);
    return status;
}
