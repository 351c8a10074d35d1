/* Sound files to samples: any file, rate and channel count that libsndfile reads in, 16 kHz mono floats with
 * |x| <= 1 out. In the order of the reference (qwen_asr inference/utils.py): float samples, mean over the
 * channels, soxr "HQ" to 16 kHz, division by the peak if that is above 1.
 *
 * The file streams through in chunks of some thousand frames, so memory holds one growing buffer of results
 * (and, for input that cannot seek, the encoded bytes), or only what was not yet read of an audio_stream. Nothing is
 * allocated by what a header claims.
 *
 * The peak is known at the end of the file only. So a long stream is decoded twice, once for its peak and its damage,
 * then to be read: that takes a hundredth of the time of what is done with the samples. */
#include "audio/audio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sndfile.h>
#include <soxr.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    MIN_RATE = 1000,
    MAX_RATE = 768000,
    MAX_CHANNELS = 256,
    MAX_HOURS = 24,
    MAX_PIPE_BYTES = INT32_MAX, /* of encoded input that cannot seek and is held in memory */
    CHUNK_FLOATS = 65536,       /* at least MAX_CHANNELS */
    KEEP_SAMPLES = 120 * AUDIO_RATE, /* a stream that is not longer is decoded once and kept */
    LIBRARY_TEXT = 160          /* room for a message of libsndfile */
};

/* ---- opening ----------------------------------------------------------------------------- */

typedef struct source {
    const char *name; /* for messages */
    SNDFILE *file;
    SF_INFO info;
    buf bytes; /* the whole input if it cannot seek */
    size_t at; /* read position in bytes */
} source;

static sf_count_t bytes_length(void *user)
{
    return (sf_count_t)((source *)user)->bytes.len;
}

static sf_count_t bytes_seek(sf_count_t offset, int whence, void *user)
{
    source *s = user;
    sf_count_t base = whence == SEEK_SET ? 0 : (sf_count_t)(whence == SEEK_CUR ? s->at : s->bytes.len);
    sf_count_t target;
    if (__builtin_add_overflow(base, offset, &target) || target < 0 || (size_t)target > s->bytes.len)
        return -1;
    s->at = (size_t)target;
    return target;
}

static sf_count_t bytes_read(void *to, sf_count_t n, void *user)
{
    source *s = user;
    size_t left = s->bytes.len - s->at, want = n < 0 ? 0 : (size_t)n;
    if (want > left)
        want = left;
    if (want > 0)
        memcpy(to, s->bytes.data + s->at, want);
    s->at += want;
    return (sf_count_t)want;
}

static sf_count_t bytes_tell(void *user)
{
    return (sf_count_t)((source *)user)->at;
}

/* What libsndfile says, without its final stop. */
static const char *library_text(char *to, SNDFILE *file)
{
    snprintf(to, LIBRARY_TEXT, "%s", sf_strerror(file));
    size_t n = strlen(to);
    while (n > 0 && strchr(". \n", to[n - 1]))
        to[--n] = 0;
    return to;
}

static qasr_status undecodable(const source *s, qasr_error *err)
{
    char text[LIBRARY_TEXT];
    if (errno == ENOMEM)
        return error_set_errno(err, "cannot decode '%s'", s->name);
    return error_set(err, sf_error(s->file) == SF_ERR_SYSTEM ? QASR_E_IO : QASR_E_FORMAT,
                     "cannot decode '%s': %s; convert it first, for example with: "
                     "ffmpeg -i FILE -ar 16000 -ac 1 out.wav",
                     s->name, library_text(text, s->file));
}

static qasr_status decode_bytes(source *s, qasr_error *err)
{
    SF_VIRTUAL_IO io = {
        .get_filelen = bytes_length, .seek = bytes_seek, .read = bytes_read, .tell = bytes_tell};
    s->at = 0;
    errno = 0;
    s->file = sf_open_virtual(&io, SFM_READ, &s->info, s);
    return s->file ? QASR_OK : undecodable(s, err);
}

/* Pipes and terminals cannot seek, but decoders must: take everything into memory first. */
static qasr_status open_bytes(source *s, int fd, qasr_error *err)
{
    TRY(file_read_to_end(&s->bytes, fd, s->name, "; save it as a file first", err));
    if (s->bytes.len == 0)
        return error_set(err, QASR_E_FORMAT, "'%s' is empty, expected an audio file", s->name);
    return decode_bytes(s, err);
}

static qasr_status decode_file(source *s, const char *path, qasr_error *err)
{
    errno = 0;
    s->file = sf_open(path, SFM_READ, &s->info);
    return s->file ? QASR_OK : undecodable(s, err);
}

/* fd is open on path. Regular files are opened once more by name: libsndfile knows some headerless formats by
 * the extension alone. */
static qasr_status open_descriptor(source *s, int fd, const char *path, qasr_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set_errno(err, "cannot examine '%s'", s->name);
    if (S_ISDIR(st.st_mode))
        return error_set(err, QASR_E_IO, "cannot read '%s': it is a directory, expected an audio file",
                         s->name);
    if (!S_ISREG(st.st_mode))
        return open_bytes(s, fd, err);
    if (st.st_size == 0)
        return error_set(err, QASR_E_FORMAT, "'%s' is empty, expected an audio file", s->name);
    return decode_file(s, path, err);
}

static qasr_status check_info(const source *s, qasr_error *err)
{
    if (s->info.samplerate < MIN_RATE || s->info.samplerate > MAX_RATE)
        return error_set(err, QASR_E_FORMAT, "'%s' has a sample rate of %d Hz, expected %d to %d", s->name,
                         s->info.samplerate, MIN_RATE, MAX_RATE);
    if (s->info.channels < 1 || s->info.channels > MAX_CHANNELS)
        return error_set(err, QASR_E_FORMAT, "'%s' has %d channels, expected 1 to %d", s->name,
                         s->info.channels, MAX_CHANNELS);
    return QASR_OK;
}

/* *s is to be closed also after an error. */
static qasr_status source_open(source *s, const char *path, qasr_error *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    *s = (source){.name = is_stdin ? "standard input" : path};
    buf_init(&s->bytes, MAX_PIPE_BYTES);
    if (is_stdin) {
        TRY(open_bytes(s, STDIN_FILENO, err));
    } else {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return error_set_errno(err, "cannot open '%s'", path);
        qasr_status status = open_descriptor(s, fd, path, err);
        close(fd);
        TRY(status);
    }
    return check_info(s, err);
}

static qasr_status changed_while_read(const source *s, qasr_error *err)
{
    return error_set(err, QASR_E_IO, "'%s' has changed while it was read", s->name);
}

/* Back to the first frame. Not by seeking, which some formats do only nearly. */
static qasr_status source_rewind(source *s, qasr_error *err)
{
    const SF_INFO before = s->info;
    sf_close(s->file);
    s->file = NULL;
    s->info = (SF_INFO){0};
    TRY(s->bytes.len > 0 ? decode_bytes(s, err) : decode_file(s, s->name, err));
    return s->info.samplerate == before.samplerate && s->info.channels == before.channels ? QASR_OK
                                                                                         : changed_while_read(s, err);
}

static void source_close(source *s)
{
    if (s->file)
        sf_close(s->file);
    buf_free(&s->bytes);
}

/* ---- files shorter than they claim -------------------------------------------------------- */

/* libsndfile corrects the length of cut WAV, AIFF and AU files silently and leaves only a line such as
 * "data : 64000 (should be 31979)" in its log. Programs that write into a pipe put the largest number there
 * is; that is no damage. */
static bool log_says_truncated(SNDFILE *file)
{
    static const char *const labels[] = {"data : ", "SSND : ", "Data Size   : "};
    char text[4096];
    sf_command(file, SFC_GET_LOG_INFO, text, sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        const char *line = strstr(text, labels[i]);
        if (!line)
            continue;
        char *end;
        unsigned long long claimed = strtoull(line + strlen(labels[i]), &end, 0), actual;
        if (sscanf(end, " (should be %llu)", &actual) == 1 && actual < claimed && claimed < 0x7FFFF000)
            return true;
    }
    return false;
}

/* After the last frame was read: warns about damage; an error if nothing was there though there should be. */
static qasr_status check_end(const source *s, uint64_t n_frames, qasr_error *err)
{
    char text[LIBRARY_TEXT];
    const bool is_known = s->info.frames >= 0 && s->info.frames < SF_COUNT_MAX;
    if (n_frames == 0 && s->info.frames != 0)
        return error_set(err, QASR_E_FORMAT,
                         "cannot decode '%s': not one sample could be read, the file is damaged", s->name);
    if (sf_error(s->file) != SF_ERR_NO_ERROR)
        log_warning("'%s' is damaged: %s; using the %" PRIu64 " frames before that", s->name,
                    library_text(text, s->file), n_frames);
    else if (is_known && n_frames < (uint64_t)s->info.frames)
        log_warning("'%s' ends early: found %" PRIu64 " of %" PRIu64 " frames", s->name, n_frames,
                    (uint64_t)s->info.frames);
    else if (log_says_truncated(s->file))
        log_warning("'%s' ends early: its header announces more than the %" PRIu64 " frames found", s->name,
                    n_frames);
    return QASR_OK;
}

/* ---- resampling -------------------------------------------------------------------------- */

typedef struct resampler {
    soxr_t soxr;  /* NULL when the input has the right rate */
    buf pcm;      /* floats at AUDIO_RATE */
    float *chunk; /* [CHUNK_FLOATS] */
    uint64_t n_dropped; /* samples that were before those of pcm */
} resampler;

/* *r is to be closed also after an error. */
static qasr_status resampler_open(resampler *r, int rate, qasr_error *err)
{
    const size_t max_samples = (size_t)MAX_HOURS * 3600 * AUDIO_RATE + CHUNK_FLOATS; /* + what soxr may add */
    *r = (resampler){0};
    buf_init(&r->pcm, max_samples * sizeof(float));
    if (rate == AUDIO_RATE)
        return QASR_OK;
    TRY(MEM_ALLOC(&r->chunk, CHUNK_FLOATS, err));
    const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    const soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
    soxr_error_t failure = NULL;
    r->soxr = soxr_create(rate, AUDIO_RATE, 1, &failure, &io, &quality, &runtime);
    if (!r->soxr)
        return error_set(err, QASR_E_NOMEM, "cannot set up resampling from %d Hz: %s", rate,
                         failure ? failure : "no reason given");
    return QASR_OK;
}

static void resampler_close(resampler *r)
{
    soxr_delete(r->soxr);
    mem_free(r->chunk);
    buf_free(&r->pcm);
}

/* Puts n samples in; x NULL: ends the signal and takes out what is still inside. */
static qasr_status resampler_put(resampler *r, const float *x, size_t n, qasr_error *err)
{
    if (!r->soxr)
        return x ? buf_add(&r->pcm, x, n * sizeof *x, err) : QASR_OK;
    size_t n_used = 0, n_out = 0;
    do {
        size_t used = 0;
        soxr_error_t failure =
            soxr_process(r->soxr, x ? x + n_used : NULL, n - n_used, &used, r->chunk, CHUNK_FLOATS, &n_out);
        if (failure)
            return error_set(err, QASR_E_NOMEM, "resampling failed: %s", failure);
        n_used += used;
        TRY(buf_add(&r->pcm, r->chunk, n_out * sizeof(float), err));
    } while (n_used < n || (!x && n_out > 0));
    return QASR_OK;
}

/* Samples that n frames at a rate become. */
static uint64_t resampled_length(uint64_t n_frames, int rate)
{
    return (n_frames * AUDIO_RATE + (uint64_t)rate - 1) / (uint64_t)rate;
}

/* Forgets the first n samples. */
static void resampler_drop(resampler *r, size_t n)
{
    if (n == 0)
        return;
    memmove(r->pcm.data, r->pcm.data + n * sizeof(float), r->pcm.len - n * sizeof(float));
    r->pcm.len -= n * sizeof(float);
    r->n_dropped += n;
}

/* Ends the signal and makes its length ceil(n_frames * AUDIO_RATE / rate). */
static qasr_status resampler_finish(resampler *r, uint64_t n_frames, int rate, qasr_error *err)
{
    if (n_frames > 0)
        TRY(resampler_put(r, NULL, 0, err));
    const size_t want = (size_t)(resampled_length(n_frames, rate) - r->n_dropped) * sizeof(float);
    static const float silence[64];
    while (r->pcm.len < want) {
        size_t missing = want - r->pcm.len;
        TRY(buf_add(&r->pcm, silence, missing < sizeof silence ? missing : sizeof silence, err));
    }
    r->pcm.len = want;
    return QASR_OK;
}

/* ---- the whole path ---------------------------------------------------------------------- */

/* frames: [n, channels] -> mono: [n]; the two may be the same memory. */
static void mix_to_mono(float *mono, const float *frames, size_t n, size_t channels)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += frames[i * channels + c];
        mono[i] = (float)(sum / (double)channels);
    }
}

static size_t count_finite(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}

struct audio_stream {
    source source;
    resampler resampler; /* holds what was decoded and not dropped */
    float *chunk;        /* [CHUNK_FLOATS] */
    uint64_t n_frames;   /* decoded so far */
    bool ended;
    bool again;          /* the second time */
    uint64_t n_frames_before; /* of the first time */
    float peak;          /* samples are divided by it if it is above 1 */
    size_t n_read;       /* samples of the resampler's that were handed out */
};

static qasr_status end_frames(audio_stream *a, qasr_error *err)
{
    const source *s = &a->source;
    if (!a->again)
        TRY(check_end(s, a->n_frames, err));
    else if (a->n_frames != a->n_frames_before)
        return changed_while_read(s, err);
    a->ended = true;
    return resampler_finish(&a->resampler, a->n_frames, s->info.samplerate, err);
}

/* Takes a chunk of the file through the resampler. */
static qasr_status decode_chunk(audio_stream *a, qasr_error *err)
{
    source *s = &a->source;
    const size_t channels = (size_t)s->info.channels;
    const uint64_t max_frames = (uint64_t)MAX_HOURS * 3600 * (uint64_t)s->info.samplerate;
    const sf_count_t got = sf_readf_float(s->file, a->chunk, (sf_count_t)(CHUNK_FLOATS / channels));
    if (got <= 0)
        return end_frames(a, err);
    const size_t n = (size_t)got;
    mix_to_mono(a->chunk, a->chunk, n, channels);
    const size_t n_finite = count_finite(a->chunk, n);
    if (n_finite < n)
        return error_set(err, QASR_E_FORMAT,
                         "'%s' has a sample that is not a finite number in frame %" PRIu64, s->name,
                         a->n_frames + n_finite);
    a->n_frames += n;
    if (a->n_frames > max_frames)
        return error_set(err, QASR_E_FORMAT, "'%s' is longer than %d hours; cut it into parts first",
                         s->name, MAX_HOURS);
    return resampler_put(&a->resampler, a->chunk, n, err);
}

static float *decoded(const audio_stream *a) { return (float *)(void *)a->resampler.pcm.data; }

/* How many of the resampler's samples the end of the signal cannot cut off. */
static size_t count_settled(const audio_stream *a)
{
    const resampler *r = &a->resampler;
    const uint64_t there = r->n_dropped + r->pcm.len / sizeof(float);
    const uint64_t sure = resampled_length(a->n_frames, a->source.info.samplerate);
    return (size_t)((there < sure ? there : sure) - r->n_dropped);
}

/* Raises *peak to the largest |x|. */
static qasr_status find_peak(float *peak, const float *x, size_t n, const char *name, qasr_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (!isfinite(size)) /* the input was finite: the filter's overshoot was not */
            return error_set(err, QASR_E_FORMAT, "'%s' has samples too large to resample", name);
        if (size > *peak)
            *peak = size;
    }
    return QASR_OK;
}

/* Brings x [n] to |x| <= 1. The reference also clips afterwards: a quotient by the peak needs no clipping. */
static void limit_peak(float *x, size_t n, float peak)
{
    if (peak > 1)
        for (size_t i = 0; i < n; i++)
            x[i] /= peak;
}

/* *a is to be closed also after an error. */
static qasr_status open_stream(audio_stream *a, const char *path, qasr_error *err)
{
    *a = (audio_stream){0};
    TRY(source_open(&a->source, path, err));
    TRY(resampler_open(&a->resampler, a->source.info.samplerate, err));
    return MEM_ALLOC(&a->chunk, CHUNK_FLOATS, err);
}

static void close_stream(audio_stream *a)
{
    mem_free(a->chunk);
    resampler_close(&a->resampler);
    source_close(&a->source);
}

/* ---- in one piece ------------------------------------------------------------------------ */

qasr_status audio_load(float **pcm, size_t *n_samples, const char *path, qasr_error *err)
{
    audio_stream a;
    char *bytes = NULL;
    qasr_status status = QASR_OK;
    TRY_GOTO(open_stream(&a, path, err));
    while (!a.ended)
        TRY_GOTO(decode_chunk(&a, err));
    const size_t n_out = a.resampler.pcm.len / sizeof(float);
    TRY_GOTO(find_peak(&a.peak, decoded(&a), n_out, a.source.name, err));
    TRY_GOTO(buf_take(&a.resampler.pcm, &bytes, err));
    limit_peak((float *)(void *)bytes, n_out, a.peak);
    *pcm = (float *)(void *)bytes;
    *n_samples = n_out;
done:
    close_stream(&a);
    return status;
}

/* ---- bit by bit -------------------------------------------------------------------------- */

static qasr_status begin_again(audio_stream *a, qasr_error *err)
{
    resampler_close(&a->resampler);
    a->resampler = (resampler){0};
    a->n_frames_before = a->n_frames;
    a->n_frames = 0;
    a->ended = false;
    a->again = true;
    TRY(source_rewind(&a->source, err));
    return resampler_open(&a->resampler, a->source.info.samplerate, err);
}

/* Decodes everything for the peak. What is not long stays. */
static qasr_status survey(audio_stream *a, qasr_error *err)
{
    size_t n_seen = 0;
    bool is_long = false;
    while (!a->ended) {
        TRY(decode_chunk(a, err));
        const size_t n = count_settled(a);
        if (n > n_seen)
            TRY(find_peak(&a->peak, decoded(a) + n_seen, n - n_seen, a->source.name, err));
        n_seen = n;
        is_long = is_long || n > KEEP_SAMPLES;
        if (is_long) {
            resampler_drop(&a->resampler, n);
            n_seen = 0;
        }
    }
    return is_long ? begin_again(a, err) : QASR_OK;
}

qasr_status audio_stream_open(audio_stream **out, const char *path, qasr_error *err)
{
    audio_stream *a;
    TRY(MEM_ALLOC(&a, 1, err));
    qasr_status status = open_stream(a, path, err);
    if (status == QASR_OK)
        status = survey(a, err);
    if (status != QASR_OK) {
        audio_stream_close(a);
        return status;
    }
    *out = a;
    return QASR_OK;
}

qasr_status audio_stream_read(audio_stream *a, float *pcm, size_t n, size_t *n_read, qasr_error *err)
{
    for (*n_read = 0; *n_read < n;) {
        const size_t there = count_settled(a) - a->n_read, want = n - *n_read;
        if (there > 0) {
            const size_t m = there < want ? there : want;
            memcpy(pcm + *n_read, decoded(a) + a->n_read, m * sizeof *pcm);
            limit_peak(pcm + *n_read, m, a->peak);
            a->n_read += m;
            *n_read += m;
            continue;
        }
        if (a->ended)
            break;
        resampler_drop(&a->resampler, a->n_read);
        a->n_read = 0;
        TRY(decode_chunk(a, err));
    }
    return QASR_OK;
}

void audio_stream_close(audio_stream *a)
{
    if (!a)
        return;
    close_stream(a);
    mem_free(a);
}
