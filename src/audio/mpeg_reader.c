/* MPEG audio by libmpg123, which is given the frames that mpeg.c has found to be whole, and nothing else. */
#include <mpg123.h>
#include <stdio.h>

#include "audio/reader.h"

static ssize_t link_read(void *user, void *to, size_t n) { return (ssize_t)reader_bytes(user, to, n); }

static off_t link_seek(void *user, off_t offset, int whence)
{
    reader *r = user;
    const off_t base = whence == SEEK_SET ? 0 : (off_t)(whence == SEEK_CUR ? r->at : r->link->n_bytes);
    const off_t target = base + offset;
    if (target < 0 || (uint64_t)target > r->link->n_bytes)
        return -1;
    r->at = (uint64_t)target;
    return target;
}

static qasr_status failure(int code, qasr_error *err)
{
    if (code == MPG123_OUT_OF_MEM)
        return error_set(err, QASR_E_NOMEM, "out of memory while decoding MPEG audio");
    return error_set(err, QASR_E_FORMAT, "%s", mpg123_plain_strerror(code));
}

static qasr_status open_mpeg(reader *r, qasr_error *err)
{
    int code, encoding;
    long rate;
    mpg123_handle *m = mpg123_new(NULL, &code);
    if (!m)
        return failure(code, err);
    r->state = m;
    /* Delays are reader_read's, info frames and tags are not in the link. */
    mpg123_param(m, MPG123_REMOVE_FLAGS, MPG123_GAPLESS | MPG123_AUTO_RESAMPLE, 0);
    mpg123_param(m, MPG123_ADD_FLAGS, MPG123_FORCE_FLOAT | MPG123_QUIET | MPG123_NO_PEEK_END, 0);
    mpg123_param(m, MPG123_INDEX_SIZE, 0, 0);
    mpg123_param(m, MPG123_RESYNC_LIMIT, -1, 0);
    if (mpg123_replace_reader_handle(m, link_read, link_seek, NULL) != MPG123_OK ||
        mpg123_open_handle(m, r) != MPG123_OK || mpg123_getformat(m, &rate, &r->channels, &encoding) != MPG123_OK ||
        encoding != MPG123_ENC_FLOAT_32) {
        code = mpg123_errcode(m);
        snprintf(r->text, sizeof r->text, "%s", mpg123_plain_strerror(code));
        return failure(code, err);
    }
    r->rate = (int)rate;
    return QASR_OK;
}

static qasr_status read_mpeg(reader *r, float *frames, size_t n, size_t *n_read, qasr_error *err)
{
    const size_t frame_bytes = (size_t)r->channels * sizeof *frames;
    size_t done = 0;
    int code = MPG123_NEW_FORMAT;
    while (done == 0 && code == MPG123_NEW_FORMAT)
        code = mpg123_read(r->state, (unsigned char *)frames, n * frame_bytes, &done);
    *n_read = done / frame_bytes;
    if (code == MPG123_ERR && mpg123_errcode(r->state) == MPG123_OUT_OF_MEM)
        return failure(MPG123_OUT_OF_MEM, err);
    if (code == MPG123_ERR)
        snprintf(r->text, sizeof r->text, "%s", mpg123_strerror(r->state));
    return QASR_OK;
}

static void close_mpeg(reader *r) { mpg123_delete(r->state); }

const reader_ops mpeg_reader = { open_mpeg, read_mpeg, close_mpeg };
