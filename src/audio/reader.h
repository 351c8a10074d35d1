/* A decoder at work on a link: interleaved float frames from its first to its last. By flac_reader.c, mpeg_reader.c or
 * sndfile_reader.c. */
#ifndef QASR_AUDIO_READER_H
#define QASR_AUDIO_READER_H

#include "audio/links.h"

enum { READER_TEXT = 160, READER_MAX_GAPS = 64 };

/* Frames [from, to) of a link that are not what was recorded: silence in their place, or nothing if from == to. */
typedef struct gap {
    uint64_t from, to;
    const char *what;
} gap;

typedef struct reader reader;
typedef struct reader_ops {
    qasr_status (*open)(reader *r, qasr_error *err); /* sets state, rate, channels, n_frames */
    qasr_status (*read)(reader *r, float *frames, size_t n, size_t *n_read, qasr_error *err);
    void (*close)(reader *r);
} reader_ops;

struct reader {
    const links *links;
    const audio_link *link;
    input *in;
    const reader_ops *ops;
    void *state;
    uint64_t at; /* bytes of the link that were read */
    int rate, channels;
    int64_t n_frames;       /* as far as is known; below 0: not */
    uint64_t n_read;        /* frames that were given */
    char text[READER_TEXT]; /* what the decoder says of a failure, without a final stop; "" if nothing */
    gap gaps[READER_MAX_GAPS];
    size_t n_gaps;
};

extern const reader_ops flac_reader, mpeg_reader, sndfile_reader;

/* of, links and in must live as long as the reader. Errors: FORMAT (r->text says why, IO if it is the system), NOMEM;
 * then *r is closed. */
qasr_status reader_open(reader *r, const links *l, const audio_link *of, input *in, qasr_error *err);
/* Up to n frames [n, channels]; *n_read is 0 at the end only. Error: NOMEM. */
qasr_status reader_read(reader *r, float *frames, size_t n, size_t *n_read, qasr_error *err);
void reader_close(reader *r); /* harmless on a zeroed struct */

/* For decoders: the next bytes of the link, and what was found on the way. */
size_t reader_bytes(reader *r, void *to, size_t n);
void reader_add_gap(reader *r, uint64_t from, uint64_t to, const char *what);

#endif
