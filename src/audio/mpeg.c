/* MPEG audio (MP3, MP2): a stream of frames with headers of four bytes and nothing around them. All frames are walked
 * through: a header is believed if others of its kind follow where it says. So the number of frames is known whatever a
 * Xing header states, damage is found with its place, and joined files are links of their own. What an encoder had put
 * in front and behind (the LAME tag has these numbers) is cut off. */
#include <string.h>

#include "audio/links.h"

enum {
    HEADER_BYTES = 4,
    DECODER_DELAY = 529,
    CONFIRM = 2,         /* frames that must follow where a stream begins */
    MAX_START = 1 << 20, /* bytes before the first frame of a file */
    MAX_LOST_S = 600     /* of silence for what is lost in one place */
};

typedef struct frame {
    int rate, channels, n_samples, layer;
    bool low; /* MPEG 2 and 2.5: short side information */
    bool is_protected;
    size_t n_bytes;
} frame;

static bool read_frame(const unsigned char *p, frame *f)
{
    static const unsigned short bit_rates[5][16] = {
        /* kbit/s: MPEG 1 layers I, II, III; MPEG 2 and 2.5 layer I, layers II and III */
        { 0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0 },
        { 0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0 },
        { 0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0 },
        { 0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0 },
        { 0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0 },
    };
    static const int rates[] = { 44100, 48000, 32000 };
    const int version = p[1] >> 3 & 3, layer = 4 - (p[1] >> 1 & 3), bit_rate = p[2] >> 4, rate = p[2] >> 2 & 3;
    if (p[0] != 0xFF || (p[1] & 0xE0) != 0xE0 || version == 1 || layer == 4 || bit_rate == 0 || bit_rate == 15 ||
        rate == 3 || (p[3] & 3) == 2)
        return false;
    f->low = version != 3;
    f->layer = layer;
    f->rate = rates[rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
    f->channels = p[3] >> 6 == 3 ? 1 : 2;
    f->is_protected = !(p[1] & 1);
    f->n_samples = layer == 1 ? 384 : layer == 3 && f->low ? 576 : 1152;
    const int kbit = bit_rates[f->low ? (layer == 1 ? 3 : 4) : layer - 1][bit_rate], padding = p[2] >> 1 & 1;
    f->n_bytes = layer == 1 ? (size_t)(12000 * kbit / f->rate + padding) * 4
                            : (size_t)(f->n_samples / 8 * 1000 * kbit / f->rate + padding);
    return f->n_bytes > HEADER_BYTES;
}

static bool are_alike(const frame *a, const frame *b)
{
    return a->rate == b->rate && a->layer == b->layer && a->low == b->low;
}

/* A frame may end at `at`, though no other one follows. */
static bool is_boundary(window *w, uint64_t at, uint64_t end)
{
    return at == end || (at < end && (tag_bytes(w, at) > 0 || links_begin_at(w, at)));
}

/* A frame of the same stream as f; NULL: of any. */
static bool frame_at(window *w, uint64_t at, uint64_t end, const frame *like, frame *f)
{
    const unsigned char *p = at <= end && end - at >= HEADER_BYTES ? window_get(w, at, HEADER_BYTES) : NULL;
    return p && read_frame(p, f) && (!like || are_alike(f, like));
}

/* A frame with n_more like it behind, or with the end of the stream. */
static bool stream_at(window *w, uint64_t at, uint64_t end, int n_more, frame *first)
{
    frame f;
    if (!frame_at(w, at, end, NULL, first))
        return false;
    f = *first;
    for (int i = 0; i < n_more; i++) {
        at += f.n_bytes;
        if (i > 0 && is_boundary(w, at, end))
            return true;
        if (!frame_at(w, at, end, first, &f))
            return false;
    }
    return at + f.n_bytes <= end;
}

/* Xing, Info or VBRI: a frame that holds no sound. */
typedef struct info_frame {
    int64_t n_frames; /* below 0: not stated */
    bool has_delay;
    uint64_t delay, padding; /* samples in front and behind that the encoder added */
} info_frame;

static bool read_info(window *w, uint64_t at, const frame *f, info_frame *info)
{
    const unsigned char *p = f->layer == 3 ? window_get(w, at, f->n_bytes) : NULL;
    if (!p)
        return false;
    const size_t side = f->low ? (f->channels == 1 ? 9 : 17) : (f->channels == 1 ? 17 : 32);
    size_t i = HEADER_BYTES + side;
    *info = (info_frame){ .n_frames = -1 };
    if (f->n_bytes >= HEADER_BYTES + 32 + 18 && memcmp(p + HEADER_BYTES + 32, "VBRI", 4) == 0) {
        info->n_frames = (int64_t)read_big_endian(p + HEADER_BYTES + 32 + 14, 4);
        return true;
    }
    if (f->is_protected && f->n_bytes >= i + 6 &&
        (memcmp(p + i + 2, "Xing", 4) == 0 || memcmp(p + i + 2, "Info", 4) == 0))
        i += 2;
    if (f->n_bytes < i + 8 || (memcmp(p + i, "Xing", 4) != 0 && memcmp(p + i, "Info", 4) != 0))
        return false;
    const unsigned flags = p[i + 7];
    i += 8;
    if (flags & 1 && f->n_bytes >= i + 4)
        info->n_frames = (int64_t)read_big_endian(p + i, 4);
    i += (flags & 1 ? 4u : 0) + (flags & 2 ? 4u : 0) + (flags & 4 ? 100u : 0) + (flags & 8 ? 4u : 0);
    if (f->n_bytes >= i + 24 && p[i]) { /* the LAME tag: a name, and at 21 two numbers of 12 bits */
        const uint64_t numbers = read_big_endian(p + i + 21, 3);
        info->has_delay = true;
        info->delay = numbers >> 12;
        info->padding = numbers & 0xFFF;
    }
    return true;
}

/* ---- the walk -------------------------------------------------------------------------------- */

typedef struct walk {
    links *links;
    window *w;
    uint64_t at, end;
    frame like;    /* the frames of the link */
    bool has_link; /* of this walk */
    bool has_info; /* the link began with one */
    info_frame info;
    uint64_t n_frames, n_bytes; /* of the link */
    uint64_t n_all;             /* frames since the info frame, in the links from first_link on */
    size_t first_link;
    const char *lost; /* before the next link */
    double lost_s;
} walk;

static audio_link *last_link(const walk *k) { return &k->links->items[k->links->n - 1]; }

/* An info frame shows how many frames are lost: no more than those become silence. */
static void limit_lost(walk *k, uint64_t n_stated)
{
    double sum_s = 0;
    const double lost_s = n_stated > k->n_all ? (double)(n_stated - k->n_all) * k->like.n_samples / k->like.rate : 0;
    for (size_t i = k->first_link; i < k->links->n; i++)
        sum_s += k->links->items[i].lost_s;
    for (size_t i = k->first_link; i < k->links->n && sum_s > lost_s; i++)
        k->links->items[i].lost_s *= lost_s / sum_s;
}

/* The link is over: what it should have had. is_last: it is the last one that an info frame speaks of. */
static void close_link(walk *k, bool is_last)
{
    if (!k->has_link)
        return;
    audio_link *l = last_link(k);
    const int64_t n_all = (int64_t)k->n_all, stated = k->has_info && k->info.n_frames > 0 ? k->info.n_frames : n_all;
    const bool fits = stated == n_all || stated == n_all + 1 || stated + 1 == n_all; /* some count the info frame */
    uint64_t n = k->n_frames * (uint64_t)k->like.n_samples;
    n -= l->n_skip < n ? l->n_skip : n;
    if (is_last && k->has_info && k->info.has_delay && fits && k->info.padding > DECODER_DELAY) {
        const uint64_t padding = k->info.padding - DECODER_DELAY;
        n -= padding < n ? padding : n;
    }
    l->n_keep = n;
    l->n_frames = (int64_t)n;
    if (is_last && !fits && stated > n_all && !l->cut && !l->lost) {
        l->cut = "its header announces more frames";
        l->cut_s = (double)(stated - n_all) * k->like.n_samples / k->like.rate;
    }
    if (is_last && k->has_info && k->info.n_frames > 0)
        limit_lost(k, (uint64_t)k->info.n_frames);
    k->has_link = false;
}

static qasr_status open_link(walk *k, const frame *f, qasr_error *err)
{
    audio_link *new;
    TRY(links_add(&new, k->links, LINK_MPEG, err));
    new->rate = f->rate;
    new->channels = f->channels;
    new->lost = k->lost;
    new->lost_s = k->lost_s;
    if (k->n_all == 0 && k->has_info && k->info.has_delay)
        new->n_skip = k->info.delay + DECODER_DELAY;
    k->lost = NULL;
    k->like = *f;
    k->n_frames = k->n_bytes = 0;
    k->has_link = true;
    return QASR_OK;
}

static qasr_status take_frame(walk *k, const frame *f, qasr_error *err)
{
    info_frame info;
    if (read_info(k->w, k->at, f, &info)) {
        close_link(k, true);
        k->has_info = true;
        k->info = info;
        k->n_all = 0;
        k->first_link = k->links->n;
        k->at += f->n_bytes;
        return QASR_OK;
    }
    if (k->has_link && (!are_alike(&k->like, f) || k->like.channels != f->channels))
        close_link(k, true);
    if (!k->has_link)
        TRY(open_link(k, f, err));
    k->n_frames++;
    k->n_all++;
    k->n_bytes += f->n_bytes;
    TRY(links_add_range(k->links, k->at, k->at + f->n_bytes, err));
    k->at += f->n_bytes;
    return QASR_OK;
}

/* The next place where a stream begins, or another file; `end` if none does. */
static uint64_t find_stream(walk *k, uint64_t at)
{
    static const unsigned char sync = 0xFF;
    frame f;
    for (;; at++) {
        const uint64_t next = window_find(k->w, at, k->end, &sync, 1);
        if (next == k->end || stream_at(k->w, next, k->end, CONFIRM, &f))
            return next;
        at = next;
    }
}

/* n bytes of damage: estimates how long they lasted. */
static void note_lost(walk *k, uint64_t n)
{
    const double frame_bytes = k->n_frames > 0 ? (double)k->n_bytes / (double)k->n_frames : (double)k->like.n_bytes;
    const double lost_s = (double)n / frame_bytes * k->like.n_samples / k->like.rate;
    k->lost = "MPEG frames are damaged or missing";
    k->lost_s = lost_s < MAX_LOST_S ? lost_s : MAX_LOST_S;
}

/* Passes over damage at k->at. */
static void pass_damage(walk *k)
{
    const uint64_t begin = k->at;
    frame f;
    k->at = find_stream(k, begin + 1);
    if (k->at < k->end) {
        note_lost(k, k->at - begin);
        close_link(k, false);
    } else if (k->has_link && k->end - begin >= HEADER_BYTES &&
               window_count_zeros(k->w, begin, k->end) < k->end - begin) {
        const bool partial = frame_at(k->w, begin, k->end, &k->like, &f);
        last_link(k)->cut = partial ? "its last frame is cut off" : "the rest of it is not MPEG audio";
        last_link(k)->cut_s = partial ? (double)f.n_samples / f.rate : 0;
    }
}

/* The frame at k->at is whole, and something that may follow it does. */
static bool is_good_frame(const walk *k, frame *f)
{
    frame next;
    if (!frame_at(k->w, k->at, k->end, NULL, f) || f->n_bytes > k->end - k->at)
        return false;
    const uint64_t behind = k->at + f->n_bytes;
    if (k->has_link && are_alike(&k->like, f) && k->end - behind < HEADER_BYTES)
        return true;
    return frame_at(k->w, behind, k->end, f, &next) || is_boundary(k->w, behind, k->end) ||
           stream_at(k->w, behind, k->end, CONFIRM, &next);
}

/* From the first frame, which is at k->at, to the end or another file. n_before: bytes in front of it. */
static qasr_status walk_frames(walk *k, uint64_t n_before, qasr_error *err)
{
    frame f;
    frame_at(k->w, k->at, k->end, NULL, &k->like);
    if (n_before > k->like.n_bytes) /* who records a stream begins in the middle of a frame */
        note_lost(k, n_before);
    while (k->at < k->end && !links_begin_at(k->w, k->at)) {
        const uint64_t tag = tag_bytes(k->w, k->at);
        if (tag > 0)
            k->at += tag < k->end - k->at ? tag : k->end - k->at;
        else if (is_good_frame(k, &f))
            TRY(take_frame(k, &f, err));
        else
            pass_damage(k);
    }
    close_link(k, true);
    return QASR_OK;
}

qasr_status mpeg_find_in(links *l, window *w, uint64_t begin, uint64_t end, bool *found, qasr_error *err)
{
    walk k = { .links = l, .w = w, .end = end };
    const size_t n_links = l->n;
    k.at = find_stream(&k, begin);
    if (k.at < end)
        TRY(walk_frames(&k, k.at - begin, err));
    *found = l->n > n_links;
    return QASR_OK;
}

/* Files of other kinds, in which frames may stand, too. */
static bool is_container(window *w, uint64_t at)
{
    static const char *const boxes[] = { "ftyp", "moov", "mdat", "free", "skip", "wide", "styp" };
    static const struct {
        const char *bytes;
        size_t n;
    } magics[] = {
        { "\x1A\x45\xDF\xA3", 4 }, /* Matroska, WebM */
        { "\x30\x26\xB2\x75", 4 }, /* ASF: WMA, WMV */
        { "\0\0\1\xBA", 4 },       /* MPEG program streams */
        { "RIFF", 4 },
        { "FLV", 3 },
        { ".RMF", 4 },
        { "OggS", 4 },
        { "FORM", 4 },
    };
    const unsigned char *p = window_get(w, at, 8);
    for (size_t i = 0; p && i < ARRAY_LEN(boxes); i++)
        if (memcmp(p + 4, boxes[i], 4) == 0)
            return true;
    for (size_t i = 0; p && i < ARRAY_LEN(magics); i++)
        if (memcmp(p, magics[i].bytes, magics[i].n) == 0)
            return true;
    p = window_get(w, at, 2 * 192 + 5); /* transport streams: packets of 188 bytes, or of 192 with a time stamp */
    return p &&
           ((p[0] == 0x47 && p[188] == 0x47 && p[376] == 0x47) || (p[4] == 0x47 && p[196] == 0x47 && p[388] == 0x47));
}

qasr_status mpeg_find(links *l, window *w, uint64_t *at, qasr_error *err)
{
    const uint64_t begin = *at + window_count_zeros(w, *at, w->end);
    walk k = { .links = l, .w = w, .end = w->end - begin > MAX_START ? begin + MAX_START : w->end };
    if (is_container(w, *at) || is_container(w, begin))
        return QASR_OK;
    k.at = find_stream(&k, begin);
    if (k.at == k.end)
        return QASR_OK;
    k.end = w->end;
    TRY(walk_frames(&k, k.at - begin, err));
    *at = k.at;
    return QASR_OK;
}
