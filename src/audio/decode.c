/* Sound files to samples: any file, rate and channel count that libsndfile reads in, 16 kHz mono floats with
 * |x| <= 1 out. In the order of the reference (qwen_asr inference/utils.py): float samples, mean over the
 * channels, soxr "HQ" to 16 kHz, division by the peak if that is above 1.
 *
 * The file streams through in chunks of some thousand frames, so memory holds one growing buffer of results
 * (and, for input that cannot seek, the encoded bytes). Nothing is allocated by what a header claims. */
#include "audio/audio.h"

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
    return error_set(err, sf_error(s->file) == SF_ERR_SYSTEM ? QASR_E_IO : QASR_E_FORMAT,
                     "cannot decode '%s': %s; convert it first, for example with: "
                     "ffmpeg -i FILE -ar 16000 -ac 1 out.wav",
                     s->name, library_text(text, s->file));
}

/* Pipes and terminals cannot seek, but decoders must: take everything into memory first. */
static qasr_status open_bytes(source *s, int fd, qasr_error *err)
{
    TRY(file_read_to_end(&s->bytes, fd, s->name, "; save it as a file first", err));
    if (s->bytes.len == 0)
        return error_set(err, QASR_E_FORMAT, "'%s' is empty, expected an audio file", s->name);
    SF_VIRTUAL_IO io = {
        .get_filelen = bytes_length, .seek = bytes_seek, .read = bytes_read, .tell = bytes_tell};
    s->file = sf_open_virtual(&io, SFM_READ, &s->info, s);
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
    s->file = sf_open(path, SFM_READ, &s->info);
    return s->file ? QASR_OK : undecodable(s, err);
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

/* Ends the signal and makes its length ceil(n_frames * AUDIO_RATE / rate). */
static qasr_status resampler_finish(resampler *r, uint64_t n_frames, int rate, qasr_error *err)
{
    if (n_frames > 0)
        TRY(resampler_put(r, NULL, 0, err));
    const size_t want =
        (size_t)((n_frames * AUDIO_RATE + (uint64_t)rate - 1) / (uint64_t)rate) * sizeof(float);
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

/* Reads s to its end into r. chunk: [CHUNK_FLOATS]. */
static qasr_status decode_frames(source *s, resampler *r, float *chunk, uint64_t *n_frames, qasr_error *err)
{
    const size_t channels = (size_t)s->info.channels;
    const uint64_t max_frames = (uint64_t)MAX_HOURS * 3600 * (uint64_t)s->info.samplerate;
    *n_frames = 0;
    for (;;) {
        const sf_count_t got = sf_readf_float(s->file, chunk, (sf_count_t)(CHUNK_FLOATS / channels));
        if (got <= 0)
            return QASR_OK;
        const size_t n = (size_t)got;
        mix_to_mono(chunk, chunk, n, channels);
        const size_t n_finite = count_finite(chunk, n);
        if (n_finite < n)
            return error_set(err, QASR_E_FORMAT,
                             "'%s' has a sample that is not a finite number in frame %" PRIu64, s->name,
                             *n_frames + n_finite);
        *n_frames += n;
        if (*n_frames > max_frames)
            return error_set(err, QASR_E_FORMAT, "'%s' is longer than %d hours; cut it into parts first",
                             s->name, MAX_HOURS);
        TRY(resampler_put(r, chunk, n, err));
    }
}

/* Brings x [n] to |x| <= 1. The reference also clips afterwards: a quotient by the peak needs no clipping. */
static qasr_status limit_peak(float *x, size_t n, const char *name, qasr_error *err)
{
    float peak = 0;
    for (size_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (!isfinite(size)) /* the input was finite: the filter's overshoot was not */
            return error_set(err, QASR_E_FORMAT, "'%s' has samples too large to resample", name);
        if (size > peak)
            peak = size;
    }
    if (peak > 1)
        for (size_t i = 0; i < n; i++)
            x[i] /= peak;
    return QASR_OK;
}

qasr_status audio_load(float **pcm, size_t *n_samples, const char *path, qasr_error *err)
{
    source s;
    resampler r = {0};
    float *chunk = NULL;
    char *bytes = NULL;
    uint64_t n_frames = 0;
    qasr_status status = QASR_OK;
    TRY_GOTO(source_open(&s, path, err));
    TRY_GOTO(resampler_open(&r, s.info.samplerate, err));
    TRY_GOTO(MEM_ALLOC(&chunk, CHUNK_FLOATS, err));
    TRY_GOTO(decode_frames(&s, &r, chunk, &n_frames, err));
    TRY_GOTO(check_end(&s, n_frames, err));
    TRY_GOTO(resampler_finish(&r, n_frames, s.info.samplerate, err));
    const size_t n_out = r.pcm.len / sizeof(float);
    TRY_GOTO(buf_take(&r.pcm, &bytes, err));
    TRY_GOTO(limit_peak((float *)(void *)bytes, n_out, s.name, err));
    *pcm = (float *)(void *)bytes;
    *n_samples = n_out;
    bytes = NULL;
done:
    mem_free(bytes);
    mem_free(chunk);
    resampler_close(&r);
    source_close(&s);
    return status;
}
