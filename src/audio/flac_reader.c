/* FLAC streams, native or in Ogg, by libFLAC, up to their last byte, whatever number of frames their header states.
 * What is lost in the middle becomes silence of the same length, as FLAC numbers its frames. */
#include <FLAC/stream_decoder.h>
#include <stdio.h>
#include <string.h>

#include "audio/reader.h"
#include "base/mem.h"

enum {
    MAX_GAP_S = 3600,          /* numbers that jump farther are not believed */
    MAX_READY_FLOATS = 1 << 27 /* of blocks that libFLAC gives at once */
};

static const char lost_frames[] = "FLAC frames are damaged or missing";

typedef struct flac {
    FLAC__StreamDecoder *decoder;
    float *frames; /* [n_ready, channels] of the last blocks, from at on */
    size_t max_floats, n_ready, at;
    uint64_t n_silent; /* frames of silence to be given before them */
    uint64_t first;    /* number of the stream's first frame */
    uint64_t n_given;  /* frames so far, with silence and what is ready */
    uint64_t lost_at;  /* n_given when something was found to be lost */
    bool has_first, lost, no_memory;
    FLAC__uint64 end; /* bytes up to the last good block */
} flac;

static FLAC__StreamDecoderReadStatus read_bytes(const FLAC__StreamDecoder *d, FLAC__byte to[], size_t *n, void *user)
{
    *n = reader_bytes(user, to, *n);
    return *n > 0 ? FLAC__STREAM_DECODER_READ_STATUS_CONTINUE : FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM;
}

static FLAC__StreamDecoderTellStatus tell(const FLAC__StreamDecoder *d, FLAC__uint64 *at, void *user)
{
    *at = ((reader *)user)->at;
    return FLAC__STREAM_DECODER_TELL_STATUS_OK;
}

static void note_lost(flac *f)
{
    if (!f->lost)
        f->lost_at = f->n_given;
    f->lost = true;
}

/* Where a block belongs; what should have been before it is silence. libFLAC 1.4 gives silent blocks itself for those
 * that it misses. */
static void place_block(reader *r, flac *f, const FLAC__FrameHeader *h, bool is_silent)
{
    const uint64_t number = h->number.sample_number, expected = f->first + f->n_given;
    if ((!f->has_first && !f->lost) || number < expected || number - expected > (uint64_t)MAX_GAP_S * h->sample_rate)
        f->first = number - f->n_given;
    else if (number > expected && f->n_ready == f->at) {
        note_lost(f);
        f->n_silent = number - expected;
        f->n_given += f->n_silent;
    }
    if (is_silent && r->link->has_holes)
        note_lost(f);
    if (f->lost && !is_silent)
        reader_add_gap(r, f->lost_at, f->n_given, lost_frames);
    f->lost = f->lost && is_silent;
    f->has_first = true;
    f->n_given += h->blocksize;
}

/* Room for n more floats behind those that are ready. */
static bool make_room(flac *f, size_t channels, size_t n)
{
    const size_t used = (f->n_ready - f->at) * channels;
    float *more = f->frames;
    if (used + n > f->max_floats) {
        const size_t size = used + n > 2 * f->max_floats ? used + n : 2 * f->max_floats;
        if (used + n > MAX_READY_FLOATS || MEM_ALLOC(&more, size, NULL) != QASR_OK)
            return false;
        f->max_floats = size;
    }
    if (used > 0)
        memmove(more, f->frames + f->at * channels, used * sizeof *more);
    if (more != f->frames)
        mem_free(f->frames);
    f->frames = more;
    f->n_ready -= f->at;
    f->at = 0;
    return true;
}

static FLAC__StreamDecoderWriteStatus take_block(const FLAC__StreamDecoder *d, const FLAC__Frame *frame,
                                                 const FLAC__int32 *const x[], void *user)
{
    reader *r = user;
    flac *f = r->state;
    const FLAC__FrameHeader *h = &frame->header;
    const size_t n = h->blocksize, channels = h->channels;
    const float scale = 1.0F / (float)((uint32_t)1 << (h->bits_per_sample - 1));
    bool is_silent = true;
    if (r->rate == 0) {
        r->rate = (int)h->sample_rate;
        r->channels = (int)channels;
    }
    if ((int)channels != r->channels) {
        note_lost(f);
        return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
    }
    f->no_memory = !make_room(f, channels, n * channels);
    if (f->no_memory)
        return FLAC__STREAM_DECODER_WRITE_STATUS_ABORT;
    float *to = f->frames + f->n_ready * channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < n; i++) {
            to[i * channels + c] = (float)x[c][i] * scale;
            is_silent = is_silent && x[c][i] == 0;
        }
    place_block(r, f, h, is_silent);
    f->n_ready += n;
    if (!FLAC__stream_decoder_get_decode_position(d, &f->end))
        f->end = r->link->n_bytes;
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
}

static void note_error(const FLAC__StreamDecoder *d, FLAC__StreamDecoderErrorStatus error, void *user)
{
    note_lost(((reader *)user)->state);
}

static bool is_over(const flac *f)
{
    const FLAC__StreamDecoderState state = FLAC__stream_decoder_get_state(f->decoder);
    return f->no_memory || state >= FLAC__STREAM_DECODER_END_OF_STREAM;
}

static qasr_status next_block(flac *f, qasr_error *err)
{
    while (f->n_ready == f->at && !is_over(f))
        FLAC__stream_decoder_process_single(f->decoder);
    if (f->no_memory || FLAC__stream_decoder_get_state(f->decoder) == FLAC__STREAM_DECODER_MEMORY_ALLOCATION_ERROR)
        return error_set(err, QASR_E_NOMEM, "out of memory while decoding FLAC");
    return QASR_OK;
}

static void close_flac(reader *r)
{
    flac *f = r->state;
    if (f->decoder)
        FLAC__stream_decoder_delete(f->decoder);
    mem_free(f->frames);
    mem_free(f);
}

static qasr_status no_flac(reader *r, const char *why, qasr_error *err)
{
    snprintf(r->text, sizeof r->text, "%s", why);
    return error_set(err, QASR_E_FORMAT, "cannot decode '%s': %s", r->in->name, why);
}

static qasr_status open_flac(reader *r, qasr_error *err)
{
    flac *f;
    const bool ogg = r->link->codec == LINK_OGG_FLAC;
    TRY(MEM_CALLOC(&f, 1, err));
    r->state = f;
    f->decoder = FLAC__stream_decoder_new();
    if (!f->decoder)
        return error_set(err, QASR_E_NOMEM, "out of memory while decoding FLAC");
    const FLAC__StreamDecoderInitStatus status =
        ogg ? FLAC__stream_decoder_init_ogg_stream(f->decoder, read_bytes, NULL, tell, NULL, NULL, take_block, NULL,
                                                   note_error, r)
            : FLAC__stream_decoder_init_stream(f->decoder, read_bytes, NULL, tell, NULL, NULL, take_block, NULL,
                                               note_error, r);
    if (status == FLAC__STREAM_DECODER_INIT_STATUS_MEMORY_ALLOCATION_ERROR)
        return error_set(err, QASR_E_NOMEM, "out of memory while decoding FLAC");
    if (status != FLAC__STREAM_DECODER_INIT_STATUS_OK)
        return no_flac(r, FLAC__StreamDecoderInitStatusString[status], err);
    TRY(next_block(f, err));
    if (f->n_ready == 0) {
        const bool empty = r->link->n_frames <= 0 && !f->lost;
        r->rate = (int)FLAC__stream_decoder_get_sample_rate(f->decoder);
        r->channels = (int)FLAC__stream_decoder_get_channels(f->decoder);
        if (!empty || r->rate == 0)
            return no_flac(r, "not one sample could be read, the file is damaged", err);
    }
    return QASR_OK;
}

/* Behind the last good block of a native stream is something else than tags: a block that is cut off. */
static bool has_leftovers(reader *r, const flac *f)
{
    window *w;
    if (r->link->codec != LINK_FLAC || f->end >= r->link->n_bytes || MEM_ALLOC(&w, 1, NULL) != QASR_OK)
        return false;
    const byte_range *range = &r->links->ranges[r->link->first_range];
    uint64_t at = range->begin + f->end - r->link->n_head;
    *w = (window){ .in = r->in, .end = range->end };
    for (uint64_t n; at < w->end && (n = window_count_zeros(w, at, w->end) + tag_bytes(w, at)) > 0;)
        at += n;
    const bool more = at < w->end;
    mem_free(w);
    return more;
}

static void end_stream(reader *r, flac *f)
{
    if (f->lost && f->n_given > f->lost_at)
        reader_add_gap(r, f->lost_at, f->n_given, lost_frames);
    const bool is_short = r->n_frames >= 0 && f->n_given < (uint64_t)r->n_frames; /* which is found out anyway */
    if (f->has_first && !is_short && has_leftovers(r, f))
        reader_add_gap(r, f->n_given, f->n_given, "the last FLAC frame is damaged or cut off");
    f->end = r->link->n_bytes; /* said once */
}

static qasr_status read_flac(reader *r, float *frames, size_t n, size_t *n_read, qasr_error *err)
{
    flac *f = r->state;
    const size_t channels = (size_t)r->channels;
    *n_read = 0;
    TRY(next_block(f, err));
    if (f->n_silent > 0) {
        *n_read = n < f->n_silent ? n : (size_t)f->n_silent;
        memset(frames, 0, *n_read * channels * sizeof *frames);
        f->n_silent -= *n_read;
        return QASR_OK;
    }
    const size_t left = f->n_ready - f->at;
    *n_read = n < left ? n : left;
    if (*n_read > 0)
        memcpy(frames, f->frames + f->at * channels, *n_read * channels * sizeof *frames);
    f->at += *n_read;
    if (left == 0)
        end_stream(r, f);
    return QASR_OK;
}

const reader_ops flac_reader = { open_flac, read_flac, close_flac };
