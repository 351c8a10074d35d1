/* See reader.h. */
#include "audio/reader.h"

static const reader_ops *const readers[] = {
    [LINK_SAMPLES] = &sndfile_reader, [LINK_SNDFILE] = &sndfile_reader, [LINK_FLAC] = &flac_reader,
    [LINK_OGG_FLAC] = &flac_reader,   [LINK_MPEG] = &mpeg_reader,
};

qasr_status reader_open(reader *r, const links *l, const audio_link *of, input *in, qasr_error *err)
{
    *r = (reader){ .links = l, .link = of, .in = in, .ops = readers[of->codec], .n_frames = of->n_frames };
    qasr_status status = r->ops->open(r, err);
    if (status != QASR_OK)
        reader_close(r);
    return status;
}

/* Passes over what the encoder had put in front. */
static qasr_status skip_frames(reader *r, float *frames, size_t n, qasr_error *err)
{
    uint64_t n_skipped = 0;
    while (n_skipped < r->link->n_skip) {
        const uint64_t left = r->link->n_skip - n_skipped;
        size_t n_read;
        TRY(r->ops->read(r, frames, n < left ? n : (size_t)left, &n_read, err));
        if (n_read == 0)
            break;
        n_skipped += n_read;
    }
    return QASR_OK;
}

qasr_status reader_read(reader *r, float *frames, size_t n, size_t *n_read, qasr_error *err)
{
    const uint64_t left = r->link->n_keep - r->n_read;
    if (r->n_read == 0)
        TRY(skip_frames(r, frames, n, err));
    *n_read = 0;
    if (left > 0)
        TRY(r->ops->read(r, frames, n < left ? n : (size_t)left, n_read, err));
    r->n_read += *n_read;
    return QASR_OK;
}

void reader_close(reader *r)
{
    if (r->state)
        r->ops->close(r);
    r->state = NULL;
}

size_t reader_bytes(reader *r, void *to, size_t n)
{
    const size_t got = links_read(r->links, r->link, r->in, r->at, to, n);
    r->at += got;
    return got;
}

void reader_add_gap(reader *r, uint64_t from, uint64_t to, const char *what)
{
    if (r->n_gaps < READER_MAX_GAPS)
        r->gaps[r->n_gaps++] = (gap){ from, to, what };
    else
        r->gaps[READER_MAX_GAPS - 1].to = to;
}
