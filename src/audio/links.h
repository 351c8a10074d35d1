/* The sound in an input as links, which follow each other in time. A link is a stream of one codec, rate
 * and number of channels; its bytes are ranges of the input, behind a head that may have been corrected. Joined files,
 * chained streams and what is behind damage are links of their own. */
#ifndef QASR_AUDIO_LINKS_H
#define QASR_AUDIO_LINKS_H

#include "audio/input.h"

typedef enum sample_format { /* of samples without a header */
                             SAMPLE_NONE,
                             SAMPLE_S8,
                             SAMPLE_U8,
                             SAMPLE_S16LE,
                             SAMPLE_S16BE,
                             SAMPLE_S24LE,
                             SAMPLE_S24BE,
                             SAMPLE_S32LE,
                             SAMPLE_S32BE,
                             SAMPLE_F32LE,
                             SAMPLE_F32BE,
                             SAMPLE_F64LE,
                             SAMPLE_F64BE,
                             SAMPLE_ULAW,
                             SAMPLE_ALAW,
                             N_SAMPLE_FORMATS
} sample_format;

typedef enum link_codec { LINK_SAMPLES, LINK_SNDFILE, LINK_FLAC, LINK_OGG_FLAC, LINK_MPEG } link_codec;

typedef struct audio_link {
    link_codec codec;
    sample_format format;         /* of LINK_SAMPLES, with: */
    int rate, channels;           /* 0: the decoder knows */
    size_t head, n_head;          /* in links.heads */
    size_t first_range, n_ranges; /* in links.ranges */
    uint64_t n_bytes;             /* head and ranges */
    uint64_t n_skip, n_keep;      /* frames to leave out at the beginning, then to keep at the most */
    int64_t n_frames;             /* to come, as far as was counted or a header says; below 0: unknown */
    const char *lost;             /* why something is missing before the link; NULL: nothing is */
    double lost_s;                /* how long that was; below 0: see clock_end */
    int64_t clock_end;            /* time stamp at its end, in 1 / clock_rate s; below 0: none */
    int clock_rate;
    bool continues;  /* its time stamps are those of the link before it */
    bool has_holes;  /* LINK_OGG_FLAC: some of its bytes are missing in between */
    const char *cut; /* why something is missing at its end; NULL: nothing is */
    double cut_s;    /* how long that is; 0: unknown */
} audio_link;

typedef struct byte_range {
    uint64_t begin, end; /* in the input */
    uint64_t at;         /* of begin in the link */
} byte_range;

typedef struct links {
    audio_link *items;
    size_t n, capacity;
    byte_range *ranges;
    size_t n_ranges, ranges_capacity;
    bool last_range_is_closed;
    bool are_several;    /* streams lie side by side, of which the links have one */
    const char *foreign; /* why none of our decoders should look at the input; NULL: they may */
    buf heads;
} links;

void links_init(links *l);
void links_free(links *l);
/* A new last link without bytes, everything unknown; *out is good until the next one. Errors: NOMEM; FORMAT if there
 * are too many. */
qasr_status links_add(audio_link **out, links *l, link_codec codec, qasr_error *err);
/* Bytes of the last link: those of its head come first. Errors: NOMEM. */
qasr_status links_add_head(links *l, const void *head, size_t n, qasr_error *err);
qasr_status links_add_range(links *l, uint64_t begin, uint64_t end, qasr_error *err);
/* Bytes that follow those of the last range do not become a part of it. */
void links_close_range(links *l);
/* Up to n bytes of a link from `at` on; fewer at its end only, or where the input fails. */
size_t links_read(const links *l, const audio_link *of, input *in, uint64_t at, void *to, size_t n);

/* ---- the kinds of files ------------------------------------------------------------------- */

/* Each finder looks at w from `at` on. If a file of its kind begins there, it adds links and moves *at behind what it
 * has understood; else it leaves both. *w covers the whole input. Errors: NOMEM, FORMAT. */
typedef qasr_status (*link_finder)(links *l, window *w, uint64_t *at, qasr_error *err);
qasr_status chunks_find(links *l, window *w, uint64_t *at, qasr_error *err); /* WAV RF64 W64 AIFF CAF */
qasr_status au_find(links *l, window *w, uint64_t *at, qasr_error *err);
qasr_status voc_find(links *l, window *w, uint64_t *at, qasr_error *err);
qasr_status flac_find(links *l, window *w, uint64_t *at, qasr_error *err);
qasr_status ogg_find(links *l, window *w, uint64_t *at, qasr_error *err);
qasr_status mpeg_find(links *l, window *w, uint64_t *at, qasr_error *err); /* MPEG audio: MP3, MP2 */

/* Marks the length of a FLAC stream as unknown in its first bytes, p [n] from "fLaC" on. Returns the frames that were
 * stated there, 0 for none; below 0: it does not begin with STREAMINFO. */
int64_t flac_forget_length(unsigned char *p, size_t n);
/* MPEG audio in [begin, end), wherever that lies. *found: there was some. */
qasr_status mpeg_find_in(links *l, window *w, uint64_t begin, uint64_t end, bool *found, qasr_error *err);
/* Bytes of the tag (ID3v2, ID3v1, APE, Lyrics3) that begins at `at`; 0: none does. */
uint64_t tag_bytes(window *w, uint64_t at);
/* A file of any kind above begins at `at`, by its first bytes. */
bool links_begin_at(window *w, uint64_t at);
/* [at, end) is nothing that anyone would miss: tags, zeros, a few bytes. */
bool links_are_leftovers(window *w, uint64_t at, uint64_t end);

/* All of an input, one file after the other. No link: nothing was recognised. *has_sound false: it holds nothing but
 * tags and zeros. */
qasr_status links_find(links *l, input *in, bool *has_sound, qasr_error *err);

#endif
