/* Ogg (RFC 3533): pages with a checksum, each of one of the streams that lie side by side; streams that follow each
 * other are chained. Of each group of streams the first with sound is taken. Its pages that are whole make a link;
 * where some are missing, or time stamps jump, the next link begins, with the stream's headers in front once more. */
#include <string.h>

#include "audio/links.h"

enum {
    PAGE_HEAD = 27,
    LAST_SEGMENT = 255,
    MAX_WRONG = 4, /* times the bytes of the file */
    FLAG_FIRST = 2,
    FLAG_LAST = 4,
    MAX_FIRST_PAGE = 512, /* of a stream, which may be changed */
    FLAC_OFFSET = 9,      /* of "fLaC" in its first packet */
    FLAG_CONTINUED = 1,
    OPUS_PRE_SKIP = 10,
    OPUS_RATE = 48000,
    OPUS_MAX_DRIFT = OPUS_RATE / 100, /* less is no jump */
    OPUS_MAX_PACKET = OPUS_RATE * 120 / 1000,
    VORBIS_BLOCKS = 28 /* sizes of blocks, in its first packet */
};

typedef struct page {
    uint64_t at;
    size_t n_bytes, n_head; /* all of it; what is before the packets */
    unsigned flags;
    uint64_t serial, number;
    int64_t granule;  /* below 0: no packet ends in it */
    size_t n_packets; /* that end in it */
} page;

typedef enum stream_kind { STREAM_NONE, STREAM_VORBIS, STREAM_OPUS, STREAM_FLAC } stream_kind;

typedef struct walk {
    links *links;
    window *w;
    uint32_t crc_table[256];
    uint64_t at;
    uint64_t n_wrong; /* bytes of pages whose checksum was wrong */
    bool in_first_pages;
    bool has_group, has_skipped; /* skipped: one without sound of a kind that is known */
    stream_kind kind;            /* of the group's stream; NONE: none was found */
    page first;                  /* of the stream */
    uint64_t serial, next_number;
    size_t n_header_packets;        /* still to come */
    size_t first_header, n_headers; /* ranges of the headers, in links.ranges */
    int64_t pre_skip;
    int rate;
    int64_t vorbis_block; /* the most samples of a packet */
    int64_t begun;        /* samples of the Opus packet that the next page continues */
    bool has_clock;
    int64_t clock, last_granule; /* the most that the time stamp can be by now; what it was */
} walk;

/* ---- pages --------------------------------------------------------------------------------- */

static void fill_crc_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i << 24;
        for (int bit = 0; bit < 8; bit++)
            value = value & 0x80000000 ? value << 1 ^ 0x04C11DB7 : value << 1;
        table[i] = value;
    }
}

/* The checksum of a page, whose own field counts as zero. */
static uint32_t checksum(const uint32_t table[256], const unsigned char *p, size_t n)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < n; i++)
        crc = crc << 8 ^ table[crc >> 24 ^ (i >= 22 && i < 26 ? 0 : p[i])];
    return crc;
}

/* The page at `at`, if there is one. *n_wrong: the bytes of one whose checksum is wrong, else 0. */
static bool read_page(walk *k, uint64_t at, page *out, size_t *n_wrong)
{
    const unsigned char *p = window_get(k->w, at, PAGE_HEAD);
    *n_wrong = 0;
    if (!p || memcmp(p, "OggS\0", 5) != 0)
        return false;
    const size_t n_segments = p[26], n_head = PAGE_HEAD + n_segments;
    size_t n_bytes = n_head;
    page g = { .at = at, .n_head = n_head, .flags = p[5] };
    p = window_get(k->w, at, n_head);
    for (size_t i = PAGE_HEAD; p && i < n_head; i++) {
        n_bytes += p[i];
        g.n_packets += p[i] < LAST_SEGMENT;
    }
    p = p ? window_get(k->w, at, n_bytes) : NULL;
    if (!p)
        return false;
    if (checksum(k->crc_table, p, n_bytes) != read_little_endian(p + 22, 4)) {
        *n_wrong = n_bytes;
        return false;
    }
    g.n_bytes = n_bytes;
    g.granule = (int64_t)read_little_endian(p + 6, 8);
    g.serial = read_little_endian(p + 14, 4);
    g.number = read_little_endian(p + 18, 4);
    *out = g;
    return true;
}

/* The next whole page from `at` on. Pages are also looked for inside of those that are wrong, unless so much is wrong
 * that the file is made of heads: then every byte is checked once. */
static bool find_page(walk *k, uint64_t at, page *out)
{
    for (;;) {
        size_t n_wrong;
        at = window_find(k->w, at, k->w->end, "OggS", 4);
        if (at == k->w->end)
            return false;
        if (read_page(k, at, out, &n_wrong))
            return true;
        k->n_wrong += n_wrong;
        at += k->n_wrong / MAX_WRONG > k->w->end && n_wrong > 0 ? n_wrong : 1;
    }
}

/* ---- time ---------------------------------------------------------------------------------- */

/* Samples of an Opus packet, by its first bytes (RFC 6716, 3.1); p [n], n > 0. */
static int64_t opus_samples(const unsigned char *p, size_t n)
{
    static const short sizes[] = { 480, 960, 1920, 2880 };
    const unsigned config = p[0] >> 3, code = p[0] & 3;
    const int64_t of_frame = config < 12 ? sizes[config & 3] : config < 16 ? sizes[config & 1] : 120 << (config & 3);
    const int64_t n_frames = code == 0 ? 1 : code < 3 ? 2 : n > 1 ? p[1] & 63 : 0;
    return of_frame * n_frames <= OPUS_MAX_PACKET ? of_frame * n_frames : 0;
}

/* Samples of the packets that end in a page: of Opus exactly, of Vorbis at the most. */
static int64_t page_samples(walk *k, const page *g)
{
    if (k->kind == STREAM_VORBIS)
        return (int64_t)g->n_packets * k->vorbis_block;
    const unsigned char *p = window_get(k->w, g->at, g->n_bytes);
    int64_t sum = 0;
    bool is_inside = g->flags & FLAG_CONTINUED;
    for (size_t i = PAGE_HEAD, at = g->n_head; p && i < g->n_head; at += p[i++]) {
        if (!is_inside)
            k->begun = p[i] > 0 ? opus_samples(p + at, p[i]) : 0;
        is_inside = p[i] == LAST_SEGMENT;
        sum += is_inside ? 0 : k->begun;
    }
    return sum;
}

typedef enum jump { JUMP_NONE, JUMP_FORWARD, JUMP_BACK } jump;

/* Whether the sound of a page belongs right behind what came before it. */
static jump find_jump(walk *k, const page *g)
{
    const bool is_exact = k->kind == STREAM_OPUS;
    k->clock += page_samples(k, g);
    if (g->granule < 0)
        return JUMP_NONE;
    const int64_t drift = g->granule - k->clock;
    const bool is_early = !(g->flags & FLAG_LAST) /* whose end may be cut off */ &&
                          (g->granule < k->last_granule || (is_exact && drift < -OPUS_MAX_DRIFT));
    const jump found = !k->has_clock                             ? JUMP_NONE
                       : drift > (is_exact ? OPUS_MAX_DRIFT : 0) ? JUMP_FORWARD
                       : is_early                                ? JUMP_BACK
                                                                 : JUMP_NONE;
    k->last_granule = g->granule;
    if (!k->has_clock || found || !is_exact)
        k->clock = g->granule;
    k->has_clock = true;
    return found;
}

/* ---- streams ------------------------------------------------------------------------------- */

static audio_link *last_link(const walk *k) { return &k->links->items[k->links->n - 1]; }

static stream_kind kind_of(const unsigned char *packet, size_t n)
{
    return n >= 30 && memcmp(packet, "\1vorbis", 7) == 0     ? STREAM_VORBIS
           : n >= 19 && memcmp(packet, "OpusHead", 8) == 0   ? STREAM_OPUS
           : n >= 51 && memcmp(packet, "\177FLAC\1", 6) == 0 ? STREAM_FLAC
                                                             : STREAM_NONE;
}

/* A page whose packets were changed, as the head of the last link. */
static qasr_status add_changed_page(const walk *k, unsigned char *p, size_t n, qasr_error *err)
{
    const uint32_t crc = checksum(k->crc_table, p, n);
    for (size_t i = 0; i < 4; i++)
        p[22 + i] = (unsigned char)(crc >> 8 * i);
    return links_add_head(k->links, p, n, err);
}

static qasr_status add_flac_head(const walk *k, const page *g, qasr_error *err)
{
    unsigned char copy[MAX_FIRST_PAGE];
    memcpy(copy, window_get(k->w, g->at, g->n_bytes), g->n_bytes);
    const size_t at = g->n_head + FLAC_OFFSET;
    const int64_t total = flac_forget_length(copy + at, g->n_bytes - at);
    last_link(k)->n_frames = total > 0 ? total : -1;
    return add_changed_page(k, copy, g->n_bytes, err);
}

/* The first page of an Opus stream that is resumed in the middle, where there is nothing to skip. */
static qasr_status add_opus_head(const walk *k, qasr_error *err)
{
    unsigned char copy[MAX_FIRST_PAGE];
    const page *g = &k->first;
    memcpy(copy, window_get(k->w, g->at, g->n_bytes), g->n_bytes);
    copy[g->n_head + OPUS_PRE_SKIP] = copy[g->n_head + OPUS_PRE_SKIP + 1] = 0;
    return add_changed_page(k, copy, g->n_bytes, err);
}

/* The first page of a stream that is taken. */
static qasr_status begin_stream(walk *k, const page *g, stream_kind kind, qasr_error *err)
{
    audio_link *new;
    const unsigned char *packet = window_get(k->w, g->at, g->n_bytes) + g->n_head;
    k->kind = kind;
    k->first = *g;
    k->serial = g->serial;
    k->next_number = g->number + 1;
    k->n_header_packets = kind == STREAM_VORBIS ? 2 : kind == STREAM_OPUS ? 1 : 0;
    k->pre_skip = kind == STREAM_OPUS ? (int64_t)read_little_endian(packet + OPUS_PRE_SKIP, 2) : 0;
    k->vorbis_block = kind == STREAM_VORBIS ? ((int64_t)1 << (packet[VORBIS_BLOCKS] >> 4)) / 2 : 0;
    k->has_clock = false;
    k->rate = kind == STREAM_OPUS ? OPUS_RATE : kind == STREAM_VORBIS ? (int)read_little_endian(packet + 12, 4) : 0;
    TRY(links_add(&new, k->links, kind == STREAM_FLAC ? LINK_OGG_FLAC : LINK_SNDFILE, err));
    if (k->has_skipped)
        new->lost = "there is a stream of an unknown kind";
    k->has_skipped = false;
    new->cut = "it has no last page"; /* until that is seen */
    k->first_header = k->links->n_ranges;
    if (kind == STREAM_FLAC)
        return add_flac_head(k, g, err);
    return links_add_range(k->links, g->at, g->at + g->n_bytes, err);
}

static qasr_status take_first_page(walk *k, const page *g, qasr_error *err)
{
    const unsigned char *p = window_get(k->w, g->at, g->n_bytes);
    const stream_kind kind = p ? kind_of(p + g->n_head, g->n_bytes - g->n_head) : STREAM_NONE;
    if (!k->in_first_pages) {
        k->has_skipped = k->has_skipped || (k->has_group && k->kind == STREAM_NONE);
        k->has_group = k->in_first_pages = true;
        k->kind = STREAM_NONE;
    }
    if (kind == STREAM_NONE || g->n_bytes > MAX_FIRST_PAGE)
        return QASR_OK;
    if (k->kind == STREAM_NONE)
        return begin_stream(k, g, kind, err);
    k->links->are_several = true;
    return QASR_OK;
}

/* Behind missing pages, which `lost` names, or a jump in time: another link, with the headers of the stream in front.
 * continues: with the same clock. */
static qasr_status resume_stream(walk *k, const char *lost, bool continues, qasr_error *err)
{
    audio_link *new;
    last_link(k)->cut = NULL;
    TRY(links_add(&new, k->links, LINK_SNDFILE, err));
    new->cut = "it has no last page";
    new->lost = lost;
    new->lost_s = -1;
    new->continues = continues;
    const uint64_t n_changed = k->kind == STREAM_OPUS ? k->first.n_bytes : 0;
    if (n_changed)
        TRY(add_opus_head(k, err));
    for (size_t i = 0; i < k->n_headers; i++) {
        const byte_range r = k->links->ranges[k->first_header + i];
        const uint64_t begin = r.begin + (i == 0 ? n_changed : 0);
        if (begin < r.end)
            TRY(links_add_range(k->links, begin, r.end, err));
    }
    links_close_range(k->links);
    return QASR_OK;
}

static qasr_status take_page(walk *k, const page *g, qasr_error *err)
{
    if (g->flags & FLAG_FIRST)
        return take_first_page(k, g, err);
    k->in_first_pages = false;
    if (k->kind == STREAM_NONE || g->serial != k->serial)
        return QASR_OK;
    const bool in_headers = k->n_header_packets > 0;
    const bool is_hole = g->number != k->next_number && !in_headers;
    if (is_hole && k->kind == STREAM_FLAC) /* which numbers its frames itself */
        last_link(k)->has_holes = true;
    else if (is_hole)
        TRY(resume_stream(k, "Ogg pages are damaged or missing", true, err));
    if (!in_headers && k->kind != STREAM_FLAC) {
        k->has_clock = k->has_clock && !is_hole;
        const jump j = find_jump(k, g);
        if (j)
            TRY(resume_stream(k, j == JUMP_BACK ? "time stamps of Ogg pages go back" : NULL, j == JUMP_FORWARD, err));
    }
    k->next_number = (g->number + 1) & UINT32_MAX;
    TRY(links_add_range(k->links, g->at, g->at + g->n_bytes, err));
    audio_link *l = last_link(k);
    if (in_headers) {
        k->n_header_packets -= g->n_packets < k->n_header_packets ? g->n_packets : k->n_header_packets;
        k->n_headers = l->n_ranges;
        if (k->n_header_packets == 0) /* so that they can be given again, without what follows */
            links_close_range(k->links);
    }
    if (g->granule >= 0 && k->kind != STREAM_FLAC) {
        l->clock_end = g->granule - k->pre_skip;
        l->clock_rate = k->rate;
    }
    if (g->flags & FLAG_LAST)
        l->cut = NULL;
    return QASR_OK;
}

qasr_status ogg_find(links *l, window *w, uint64_t *at, qasr_error *err)
{
    walk k = { .links = l, .w = w, .at = *at };
    page g;
    const size_t n_links = l->n;
    const unsigned char *p = window_get(w, *at, 4);
    if (!p || memcmp(p, "OggS", 4) != 0)
        return QASR_OK;
    fill_crc_table(k.crc_table);
    while (find_page(&k, k.at, &g)) {
        TRY(take_page(&k, &g, err));
        k.at = g.at + g.n_bytes;
    }
    if (l->n == n_links)
        return QASR_OK;
    if (k.kind == STREAM_NONE && !last_link(&k)->cut)
        last_link(&k)->cut = "it has a stream of an unknown kind";
    *at = w->end;
    return QASR_OK;
}
