/* Files of chunks with samples in them: WAV (also RIFX, RF64, BW64), Wave64, AIFF, AIFF-C, CAF. The lengths that their
 * headers state are hints: recorders that crash leave 0, files above 4 GiB wrap, programs that write into a
 * pipe put in the largest number, and files are cut off and joined. Samples end where their chunk says only if
 * something follows there that looks like the rest of a file. */
#include <inttypes.h>
#include <string.h>

#include "audio/links.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    MAX_RANGES = 64,    /* chunks of samples in a file */
    MAX_HEAD = 1 << 16, /* bytes before the samples that a decoder is given */
    PLACEHOLDER = 4096, /* how near a length is to one of the numbers that programs put in for "unknown" */
    TAG_PCM = 1,
    TAG_FLOAT = 3,
    TAG_ALAW = 6,
    TAG_ULAW = 7,
    TAG_MPEG = 0x50,
    TAG_MP3 = 0x55,
    TAG_EXTENSIBLE = 0xFFFE
};

typedef struct family {
    const char *magic, *kind;         /* at 0 and, unless NULL, at 8 */
    size_t n_magic, n_file_header;    /* bytes */
    size_t n_id, n_size, header_size; /* of a chunk's header */
    bool big_endian, size_has_header;
    size_t align;
    const char *format_id, *sound_id;
    size_t sound_offset; /* bytes of the sound's chunk before the samples */
} family;

static const family families[] = {
    { "RIFF", "WAVE", 4, 12, 4, 4, 8, false, false, 2, "fmt ", "data", 0 },
    { "RF64", "WAVE", 4, 12, 4, 4, 8, false, false, 2, "fmt ", "data", 0 },
    { "BW64", "WAVE", 4, 12, 4, 4, 8, false, false, 2, "fmt ", "data", 0 },
    { "RIFX", "WAVE", 4, 12, 4, 4, 8, true, false, 2, "fmt ", "data", 0 },
    { "riff\x2E\x91\xCF\x11", NULL, 8, 40, 16, 8, 24, false, true, 8, "fmt ", "data", 0 },
    { "FORM", "AIFF", 4, 12, 4, 4, 8, true, false, 2, "COMM", "SSND", 8 },
    { "FORM", "AIFC", 4, 12, 4, 4, 8, true, false, 2, "COMM", "SSND", 8 },
    { "caff\0\1", NULL, 6, 8, 4, 8, 12, true, false, 1, "desc", "data", 4 },
};

typedef struct range {
    uint64_t begin, end; /* of the samples */
    uint64_t n_missing;  /* bytes that the header announces beyond the end */
} range;

typedef struct walk {
    window *w;
    const family *family;
    uint64_t begin, at;
    uint64_t sound_size; /* of RF64, from the chunk ds64; 0: none */
    bool has_format;
    unsigned tag; /* of formats with samples: TAG_PCM */
    bool is_extensible;
    uint64_t format_at, format_size; /* body of the chunk that says so */
    sample_format format;
    int rate, channels;
    size_t block; /* bytes of a frame, or of a block of a codec */
    range ranges[MAX_RANGES];
    size_t n_ranges;
} walk;

static uint64_t number(const walk *k, const unsigned char *p, size_t n)
{
    return k->family->big_endian ? read_big_endian(p, n) : read_little_endian(p, n);
}

/* ---- formats ------------------------------------------------------------------------------- */

/* Integers or floats of n_bytes; integers are signed, but for bytes if byte_is_unsigned. */
static sample_format choose_format(bool is_float, bool big_endian, size_t n_bytes, bool byte_is_unsigned)
{
    static const sample_format integers[4][2] = { { SAMPLE_S8, SAMPLE_S8 },
                                                  { SAMPLE_S16LE, SAMPLE_S16BE },
                                                  { SAMPLE_S24LE, SAMPLE_S24BE },
                                                  { SAMPLE_S32LE, SAMPLE_S32BE } };
    if (is_float)
        return n_bytes == 4   ? big_endian ? SAMPLE_F32BE : SAMPLE_F32LE
               : n_bytes == 8 ? big_endian ? SAMPLE_F64BE : SAMPLE_F64LE
                              : SAMPLE_NONE;
    if (n_bytes < 1 || n_bytes > 4)
        return SAMPLE_NONE;
    return n_bytes == 1 && byte_is_unsigned ? SAMPLE_U8 : integers[n_bytes - 1][big_endian];
}

/* WAVEFORMATEX: a sample takes whole bytes, with its bits at the top. */
static void read_fmt(walk *k, const unsigned char *p, size_t n)
{
    k->tag = (unsigned)number(k, p, 2);
    k->channels = (int)number(k, p + 2, 2);
    k->rate = (int)number(k, p + 4, 4);
    k->block = (size_t)number(k, p + 12, 2);
    const size_t bits = (size_t)number(k, p + 14, 2), n_channels = (size_t)k->channels;
    k->is_extensible = k->tag == TAG_EXTENSIBLE;
    if (k->is_extensible && n >= 26)
        k->tag = (unsigned)number(k, p + 24, 2);
    size_t n_bytes = (bits + 7) / 8;
    if (k->block && n_channels && k->block % n_channels == 0 && k->block / n_channels >= n_bytes)
        n_bytes = k->block / n_channels;
    switch (k->tag) {
    case TAG_PCM: k->format = choose_format(false, k->family->big_endian, n_bytes, true); break;
    case TAG_FLOAT: k->format = choose_format(true, k->family->big_endian, n_bytes, false); break;
    case TAG_ALAW: k->format = n_bytes == 1 ? SAMPLE_ALAW : SAMPLE_NONE; break;
    case TAG_ULAW: k->format = n_bytes == 1 ? SAMPLE_ULAW : SAMPLE_NONE; break;
    default: k->format = SAMPLE_NONE; return; /* of a codec: the block is its own */
    }
    k->block = n_bytes * n_channels;
}

/* An 80-bit float with a whole number in it; 0 if it is none that is wanted. */
static int read_extended(const unsigned char *p)
{
    const int exponent = ((p[0] & 0x7F) << 8 | p[1]) - 16383;
    const uint64_t mantissa = read_big_endian(p + 2, 8);
    return exponent >= 0 && exponent < 31 && !(p[0] & 0x80) ? (int)(mantissa >> (63 - exponent)) : 0;
}

static void read_comm(walk *k, const unsigned char *p, size_t n)
{
    static const struct {
        char id[5];
        bool is_float, big_endian;
        size_t n_bytes;       /* 0: as the number of bits says */
        sample_format format; /* unless SAMPLE_NONE */
    } types[] = {
        { "NONE", false, true, 0, SAMPLE_NONE },  { "twos", false, true, 0, SAMPLE_NONE },
        { "sowt", false, false, 0, SAMPLE_NONE }, { "in24", false, true, 3, SAMPLE_NONE },
        { "in32", false, true, 4, SAMPLE_NONE },  { "fl32", true, true, 4, SAMPLE_NONE },
        { "FL32", true, true, 4, SAMPLE_NONE },   { "fl64", true, true, 8, SAMPLE_NONE },
        { "FL64", true, true, 8, SAMPLE_NONE },   { "raw ", false, true, 1, SAMPLE_U8 },
        { "ulaw", false, true, 1, SAMPLE_ULAW },  { "ULAW", false, true, 1, SAMPLE_ULAW },
        { "alaw", false, true, 1, SAMPLE_ALAW },  { "ALAW", false, true, 1, SAMPLE_ALAW },
    };
    const char *id = n >= 22 ? (const char *)p + 18 : types[0].id;
    k->channels = (int)read_big_endian(p, 2);
    k->rate = read_extended(p + 8);
    k->format = SAMPLE_NONE;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (memcmp(id, types[i].id, 4) == 0) {
            const size_t n_bytes = types[i].n_bytes ? types[i].n_bytes : ((size_t)read_big_endian(p + 6, 2) + 7) / 8;
            k->format = types[i].format ? types[i].format
                                        : choose_format(types[i].is_float, types[i].big_endian, n_bytes, false);
            k->block = n_bytes * (size_t)k->channels;
            k->tag = TAG_PCM;
        }
}

static void read_desc(walk *k, const unsigned char *p)
{
    union {
        uint64_t bits;
        double value;
    } rate = { read_big_endian(p, 8) };
    const uint64_t flags = read_big_endian(p + 12, 4), channels = read_big_endian(p + 24, 4);
    k->rate = rate.value >= 1 && rate.value < 1 << 30 ? (int)rate.value : 0;
    k->channels = channels < 65536 ? (int)channels : 0;
    k->block = (size_t)read_big_endian(p + 16, 4);
    k->tag = TAG_PCM;
    const size_t n_bytes = k->channels ? k->block / (size_t)k->channels : 0;
    if (memcmp(p + 8, "lpcm", 4) == 0)
        k->format = choose_format(flags & 1, !(flags & 2), n_bytes, false);
    else
        k->format = n_bytes != 1                    ? SAMPLE_NONE
                    : memcmp(p + 8, "ulaw", 4) == 0 ? SAMPLE_ULAW
                    : memcmp(p + 8, "alaw", 4) == 0 ? SAMPLE_ALAW
                                                    : SAMPLE_NONE;
}

static void read_format(walk *k, uint64_t body, uint64_t n)
{
    const char *id = k->family->format_id;
    const size_t needed = *id == 'f' ? 16 : *id == 'C' ? 18 : 32, more = n >= 40 ? 40 : (size_t)n;
    const unsigned char *p = n >= needed ? window_get(k->w, body, more) : NULL;
    if (!p)
        return;
    if (*id == 'f')
        read_fmt(k, p, more);
    else if (*id == 'C')
        read_comm(k, p, more);
    else
        read_desc(k, p);
    k->has_format = true;
    k->format_at = body;
    k->format_size = n;
}

/* ---- chunks -------------------------------------------------------------------------------- */

typedef struct chunk {
    char id[5];
    uint64_t body, size;
} chunk;

static bool read_chunk(const walk *k, uint64_t at, chunk *c)
{
    const family *f = k->family;
    const unsigned char *p = window_get(k->w, at, f->header_size);
    if (!p)
        return false;
    for (size_t i = 0; i < 4; i++)
        if (p[i] < 0x20 || p[i] > 0x7E)
            return false;
    memcpy(c->id, p, 4);
    c->id[4] = 0;
    c->body = at + f->header_size;
    c->size = number(k, p + f->n_id, f->n_size);
    if (f->size_has_header)
        c->size = c->size >= f->header_size ? c->size - f->header_size : 0;
    return true;
}

static uint64_t end_of_chunk(const walk *k, const chunk *c)
{
    const uint64_t left = k->w->end - c->body, align = k->family->align;
    if (c->size >= left)
        return k->w->end;
    const uint64_t end = c->body + c->size, odd = (end - k->begin) % align, padded = odd ? end + align - odd : end;
    chunk next;
    return odd && !read_chunk(k, padded, &next) && read_chunk(k, end, &next) ? end : padded; /* some do not pad */
}

/* Programs that do not know yet how long it will be put in the largest number there is, or one near it. */
static bool is_placeholder(const family *f, uint64_t size)
{
    static const uint64_t numbers[] = { 0x7F000000, 0x7FFFF000, 0x80000000, 0xFFFFFFFF };
    if (f->n_size == 8)
        return size >= (uint64_t)1 << 62;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (size + PLACEHOLDER >= numbers[i] && size <= numbers[i] + PLACEHOLDER)
            return true;
    return false;
}

/* Chunks that are known to stand behind samples, and may have been cut off themselves. */
static bool is_trailer(const chunk *c)
{
    static const char *const ids[] = { "LIST", "id3 ", "ID3 ", "bext", "iXML", "fact", "PEAK", "JUNK", "info" };
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (strcmp(c->id, ids[i]) == 0)
            return true;
    return false;
}

/* The rest of the file begins at `at`, or another file. */
static bool rest_begins_at(const walk *k, uint64_t at)
{
    chunk c;
    while (at < k->w->end && read_chunk(k, at, &c) && !links_begin_at(k->w, at)) {
        if (c.size > k->w->end - c.body)
            return is_trailer(&c);
        at = end_of_chunk(k, &c);
    }
    return links_begin_at(k->w, at) || links_are_leftovers(k->w, at, k->w->end);
}

/* Where a file of the same family begins that was joined to samples without an end. */
static uint64_t find_next_file(const walk *k, uint64_t at)
{
    const family *f = k->family;
    for (; at < k->w->end; at++) {
        at = window_find(k->w, at, k->w->end, f->magic, f->n_magic);
        if (links_begin_at(k->w, at))
            return at;
    }
    return k->w->end;
}

static bool is_shorter_than_stated(const walk *k, const chunk *c, uint64_t size, uint64_t left)
{
    return size > left && size < (uint64_t)1 << 62 && (k->sound_size || !is_placeholder(k->family, c->size));
}

/* Where the samples of a chunk are. */
static range find_samples(const walk *k, const chunk *c)
{
    const uint64_t end = k->w->end;
    uint64_t offset = k->family->sound_offset, size = k->sound_size ? k->sound_size : c->size;
    const unsigned char *p = window_get(k->w, c->body, 4);
    if (offset == 8 && p) /* of SSND: bytes of alignment */
        offset += read_big_endian(p, 4) < size ? read_big_endian(p, 4) : 0;
    size = size > offset ? size - offset : 0;
    range found = { .begin = offset < end - c->body ? c->body + offset : end, .end = end };
    const uint64_t left = end - found.begin;
    if (is_shorter_than_stated(k, c, size, left)) {
        found.n_missing = size - left;
        return found;
    }
    if (size <= left) {
        const chunk stated = { .body = found.begin, .size = size };
        found.end = found.begin + size;
        if (rest_begins_at(k, end_of_chunk(k, &stated)) || rest_begins_at(k, found.end))
            return found;
        log_info("the header of '%s' states %" PRIu64 " bytes of samples, but more follow; reading all of them",
                 k->w->in->name, size);
    }
    found.end = find_next_file(k, size <= left ? found.end : found.begin);
    return found;
}

static void add_piece(walk *k, const chunk *c)
{
    const range found = find_samples(k, c);
    if (k->n_ranges < MAX_RANGES)
        k->ranges[k->n_ranges++] = found;
    k->at = found.end;
    if ((k->at - k->begin) % k->family->align && !links_begin_at(k->w, k->at))
        k->at += k->family->align - (k->at - k->begin) % k->family->align;
}

static void walk_chunks(walk *k)
{
    chunk c;
    while (k->at < k->w->end && read_chunk(k, k->at, &c) && !links_begin_at(k->w, k->at)) {
        if (strcmp(c.id, k->family->sound_id) == 0) {
            add_piece(k, &c);
            continue;
        }
        if (strcmp(c.id, k->family->format_id) == 0)
            read_format(k, c.body, c.size);
        if (strcmp(c.id, "ds64") == 0 && c.size >= 16) { /* RF64: the real lengths, in 64 bits */
            const unsigned char *p = window_get(k->w, c.body, 16);
            k->sound_size = p ? read_little_endian(p + 8, 8) : 0;
        }
        k->at = end_of_chunk(k, &c);
    }
    if (k->at > k->w->end)
        k->at = k->w->end;
}

/* ---- links --------------------------------------------------------------------------------- */

static qasr_status add_samples(links *l, const walk *k, const range *p, qasr_error *err)
{
    audio_link *new;
    const uint64_t n = (p->end - p->begin) / k->block;
    TRY(links_add(&new, l, LINK_SAMPLES, err));
    new->format = k->format;
    new->rate = k->rate;
    new->channels = k->channels;
    new->n_frames = (int64_t)n;
    if (p->n_missing) {
        new->cut = "its header announces more";
        new->cut_s = (double)(p->n_missing / k->block) / (k->rate > 0 ? k->rate : 1);
    }
    return links_add_range(l, p->begin, p->begin + n * k->block, err);
}

static void put_little_endian(char *to, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(value >> 8 * i);
}

/* The format of a codec without the extension that libsndfile does not expect there: p [n], of the same length. */
static void remove_extension(char *p, size_t n, unsigned tag)
{
    enum { EXTENSION_AT = 18, EXTENSION_BYTES = 22, EXTENSION_END = EXTENSION_AT + EXTENSION_BYTES };
    if (n < EXTENSION_END)
        return;
    put_little_endian(p, tag, 2);
    put_little_endian(p + EXTENSION_AT - 2, n - EXTENSION_END, 2);
    memmove(p + EXTENSION_AT, p + EXTENSION_END, n - EXTENSION_END);
    memset(p + n - EXTENSION_BYTES, 0, EXTENSION_BYTES);
}

/* For a codec of libsndfile's: what is before the samples, with the lengths that were found. */
static qasr_status add_corrected_head(links *l, const walk *k, const range *p, qasr_error *err)
{
    const size_t n = (size_t)(p->begin - k->begin), n_size = k->family->n_size;
    const uint64_t size = p->end - p->begin, own = k->family->size_has_header ? k->family->header_size : 0;
    char *head;
    TRY(MEM_ALLOC(&head, n, err));
    qasr_status status = QASR_OK;
    if (input_read(k->w->in, k->begin, head, n) == n) {
        put_little_endian(head + k->family->n_file_header - (n_size == 8 ? 24 : 8), n + size - (own ? 0 : 8), n_size);
        put_little_endian(head + n - n_size, size + own, n_size);
        if (k->is_extensible && k->format_at + k->format_size <= p->begin)
            remove_extension(head + (k->format_at - k->begin), (size_t)k->format_size, k->tag);
        status = links_add_head(l, head, n, err);
    }
    mem_free(head);
    return status;
}

static qasr_status add_encoded(links *l, const walk *k, const range *p, qasr_error *err)
{
    audio_link *new;
    const bool can_correct = !k->family->big_endian && !k->sound_size && p->begin - k->begin <= MAX_HEAD;
    if (k->is_extensible && !can_correct)
        l->foreign = "it has a codec in an extensible header";
    TRY(links_add(&new, l, LINK_SNDFILE, err));
    if (p->n_missing)
        new->cut = "its header announces more";
    if (can_correct)
        TRY(add_corrected_head(l, k, p, err));
    return links_add_range(l, can_correct ? p->begin : k->begin, p->end, err);
}

static qasr_status add_links(links *l, const walk *k, qasr_error *err)
{
    bool found;
    for (size_t i = 0; i < k->n_ranges; i++) {
        const range *p = &k->ranges[i];
        if (k->tag == TAG_MP3 || k->tag == TAG_MPEG) {
            TRY(mpeg_find_in(l, k->w, p->begin, p->end, &found, err));
            if (found && p->n_missing)
                l->items[l->n - 1].cut = "its header announces more";
        } else if (k->format && k->block)
            TRY(add_samples(l, k, p, err));
        else
            TRY(add_encoded(l, k, p, err));
    }
    return QASR_OK;
}

qasr_status chunks_find(links *l, window *w, uint64_t *at, qasr_error *err)
{
    const unsigned char *p = window_get(w, *at, 40);
    walk k = { .w = w, .begin = *at };
    for (size_t i = 0; p && i < ARRAY_LEN(families); i++) {
        const family *f = &families[i];
        if (memcmp(p, f->magic, f->n_magic) == 0 && (!f->kind || memcmp(p + 8, f->kind, 4) == 0)) {
            k.family = f;
            k.at = *at + f->n_file_header;
        }
    }
    if (!k.family)
        return QASR_OK;
    walk_chunks(&k);
    if (!k.has_format || k.n_ranges == 0)
        return QASR_OK;
    TRY(add_links(l, &k, err));
    *at = k.at;
    return QASR_OK;
}
