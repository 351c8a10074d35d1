/* Creative Voice files: blocks with a type and a length of 24 bits, which hold sound, more of the same, silence or
 * other things. Programs that write while they record make many short blocks. */
#include <string.h>

#include "audio/links.h"

enum {
    HEADER_BYTES = 26,
    BLOCK_HEADER = 4,
    BLOCK_END = 0,
    BLOCK_SOUND = 1, /* header of 2 bytes: rate, codec */
    BLOCK_MORE = 2,
    BLOCK_SILENCE = 3,  /* 4 to 7: markers, texts, repetitions */
    BLOCK_EXTENDED = 8, /* rate and channels of the next block */
    BLOCK_NEW = 9       /* header of 12 bytes: rate, bits, channels, codec */
};

typedef struct walk {
    links *links;
    window *w;
    uint64_t at;
    bool has_link, is_unknown, has_extended; /* is_unknown: the current sound is of another codec */
    audio_link format;                       /* of the current sound: format, rate, channels */
    int extended_rate, extended_channels;
    double silent_s;  /* before the next sound */
    const char *lost; /* the same, of a sound that was left out */
} walk;

static const struct {
    unsigned codec;
    sample_format format;
    size_t n_bytes;
} codecs[] = { { 0, SAMPLE_U8, 1 }, { 4, SAMPLE_S16LE, 2 }, { 6, SAMPLE_ALAW, 1 }, { 7, SAMPLE_ULAW, 1 } };

/* Rate, channels and codec of a block of sound. Returns the bytes of its header; 0: it is too short. */
static size_t read_format(walk *k, unsigned type, uint64_t body, uint64_t size)
{
    const size_t n = type == BLOCK_NEW ? 12 : 2;
    const unsigned char *p = size >= n ? window_get(k->w, body, n) : NULL;
    if (!p)
        return 0;
    const unsigned codec = type == BLOCK_NEW ? (unsigned)read_little_endian(p + 6, 2) : p[1];
    k->format.rate = type == BLOCK_NEW ? (int)(read_little_endian(p, 4) & INT32_MAX) : 1000000 / (256 - p[0]);
    k->format.channels = type == BLOCK_NEW ? p[5] : 1;
    if (type == BLOCK_SOUND && k->has_extended) {
        k->format.rate = k->extended_rate;
        k->format.channels = k->extended_channels;
    }
    k->has_extended = false;
    k->is_unknown = true;
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
        if (codecs[i].codec == codec && k->format.channels > 0) {
            k->format.format = codecs[i].format;
            k->is_unknown = false;
        }
    return n;
}

static void read_extended(walk *k, const unsigned char *p)
{
    k->has_extended = true;
    k->extended_channels = p[3] ? 2 : 1;
    k->extended_rate = 256000000 / (k->extended_channels * (65536 - (int)read_little_endian(p, 2)));
}

static qasr_status add_sound(walk *k, uint64_t begin, uint64_t end, qasr_error *err)
{
    audio_link *l = k->has_link ? &k->links->items[k->links->n - 1] : NULL;
    const audio_link *f = &k->format;
    if (!l || k->silent_s > 0 || k->lost || l->format != f->format || l->rate != f->rate ||
        l->channels != f->channels) {
        TRY(links_add(&l, k->links, LINK_SAMPLES, err));
        l->format = f->format;
        l->rate = f->rate;
        l->channels = f->channels;
        l->lost = k->lost;
        l->lost_s = k->silent_s;
        k->silent_s = 0;
        k->lost = NULL;
        k->has_link = true;
    }
    TRY(links_add_range(k->links, begin, end, err));
    l = &k->links->items[k->links->n - 1];
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
        if (codecs[i].format == l->format)
            l->n_frames = (int64_t)(l->n_bytes / (codecs[i].n_bytes * (size_t)l->channels));
    return QASR_OK;
}

/* The block at k->at, whose header was read; moves behind it. */
static qasr_status take_block(walk *k, unsigned type, uint64_t size, qasr_error *err)
{
    const uint64_t body = k->at + BLOCK_HEADER, left = k->w->end - body, n = size < left ? size : left;
    const bool is_sound = type == BLOCK_SOUND || type == BLOCK_NEW;
    const size_t n_header = is_sound ? read_format(k, type, body, n) : 0;
    const unsigned char *p = window_get(k->w, body, 4);
    k->at = body + n;
    if (type == BLOCK_SILENCE && n >= 3 && p)
        k->silent_s += (double)(read_little_endian(p, 2) + 1) * (256 - p[2]) / 1e6;
    if (type == BLOCK_EXTENDED && n >= 4 && p)
        read_extended(k, p);
    if (!(is_sound && n_header > 0) && !(type == BLOCK_MORE && k->format.rate > 0))
        return QASR_OK;
    if (k->is_unknown) {
        k->lost = "there is sound of an unknown codec";
        return QASR_OK;
    }
    TRY(add_sound(k, body + n_header, body + n, err));
    if (size > left)
        k->links->items[k->links->n - 1].cut = "its header announces more";
    return QASR_OK;
}

qasr_status voc_find(links *l, window *w, uint64_t *at, qasr_error *err)
{
    walk k = { .links = l, .w = w };
    const unsigned char *p = window_get(w, *at, HEADER_BYTES);
    if (!p || memcmp(p, "Creative Voice File\x1A", 20) != 0)
        return QASR_OK;
    k.at = *at + read_little_endian(p + 20, 2);
    while ((p = window_get(w, k.at, 1)) && *p != BLOCK_END && *p <= BLOCK_NEW) {
        const unsigned type = *p;
        p = window_get(w, k.at, BLOCK_HEADER);
        if (!p)
            break;
        TRY(take_block(&k, type, read_little_endian(p + 1, 3), err));
        if (!k.has_link && k.lost) /* of a codec that others may know */
            return QASR_OK;
    }
    if (!k.has_link)
        return QASR_OK;
    const bool has_end = p && *p == BLOCK_END;
    audio_link *last = &l->items[l->n - 1];
    if (!last->cut)
        last->cut = k.lost ? k.lost : has_end ? NULL : "it has no last block";
    *at = k.at + has_end;
    return QASR_OK;
}
