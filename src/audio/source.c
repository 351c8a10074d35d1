/* See source.h. Sound files are read by libsndfile, of any format, rate and channel count that it knows; what it does
 * not know may be given to ffmpeg, whose output it reads from a pipe. Nothing is allocated by what a header claims. */
#include "audio/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sndfile.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/audio.h"
#include "audio/ending.h"
#include "audio/ffmpeg.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    MIN_RATE = 1000,
    MAX_RATE = 768000,
    MAX_PIPE_BYTES = INT32_MAX, /* of encoded input that cannot seek and is held in memory */
    LIBRARY_TEXT = 160          /* room for a message of libsndfile */
};

struct source {
    const char *path, *name; /* name: for messages */
    const char *program;     /* to decode what libsndfile does not know; NULL: none */
    SNDFILE *file;
    SF_INFO info, asked; /* asked: of raw samples, else zero */
    buf bytes;           /* the whole input if it cannot seek */
    size_t at;           /* read position in bytes */
    ffmpeg decoder;      /* file reads what it writes */
    bool decoded_elsewhere;
};

/* ---- raw samples ------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int format;
} raw_formats[] = {
    { "s8", SF_FORMAT_PCM_S8 },
    { "u8", SF_FORMAT_PCM_U8 },
    { "s16le", SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE },
    { "s16be", SF_FORMAT_PCM_16 | SF_ENDIAN_BIG },
    { "s24le", SF_FORMAT_PCM_24 | SF_ENDIAN_LITTLE },
    { "s24be", SF_FORMAT_PCM_24 | SF_ENDIAN_BIG },
    { "s32le", SF_FORMAT_PCM_32 | SF_ENDIAN_LITTLE },
    { "s32be", SF_FORMAT_PCM_32 | SF_ENDIAN_BIG },
    { "f32le", SF_FORMAT_FLOAT | SF_ENDIAN_LITTLE },
    { "f32be", SF_FORMAT_FLOAT | SF_ENDIAN_BIG },
    { "f64le", SF_FORMAT_DOUBLE | SF_ENDIAN_LITTLE },
    { "f64be", SF_FORMAT_DOUBLE | SF_ENDIAN_BIG },
    { "ulaw", SF_FORMAT_ULAW },
    { "alaw", SF_FORMAT_ALAW },
};

static qasr_status bad_raw(const char *raw, qasr_error *err)
{
    char names[160] = "";
    for (size_t i = 0; i < ARRAY_LEN(raw_formats); i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", raw_formats[i].name);
    }
    return error_set(
        err, QASR_E_INVALID,
        "raw samples '%s': expected FORMAT:RATE:CHANNELS as in s16le:16000:1, FORMAT one of %s, RATE from %d to "
        "%d, CHANNELS from 1 to %d",
        raw, names, MIN_RATE, MAX_RATE, SOURCE_MAX_CHANNELS);
}

/* A number of digits only, from 1 to max, that ends with the character end; *p goes behind that. */
static bool read_count(const char **p, char end, int max, int *out)
{
    char *after;
    if (**p < '0' || **p > '9')
        return false;
    errno = 0;
    long value = strtol(*p, &after, 10);
    if (errno || *after != end || value < 1 || value > max)
        return false;
    *out = (int)value;
    *p = after + (end != 0);
    return true;
}

static qasr_status read_raw(SF_INFO *info, const char *raw, qasr_error *err)
{
    const char *p = strchr(raw, ':');
    *info = (SF_INFO){ 0 };
    for (size_t i = 0; p && i < ARRAY_LEN(raw_formats); i++)
        if (strncmp(raw, raw_formats[i].name, (size_t)(p - raw)) == 0 && !raw_formats[i].name[p - raw])
            info->format = SF_FORMAT_RAW | raw_formats[i].format;
    if (p)
        p++;
    return info->format && read_count(&p, ':', MAX_RATE, &info->samplerate) && info->samplerate >= MIN_RATE &&
                   read_count(&p, 0, SOURCE_MAX_CHANNELS, &info->channels)
               ? QASR_OK
               : bad_raw(raw, err);
}

qasr_status source_check_raw(const char *raw, qasr_error *err)
{
    SF_INFO info;
    return read_raw(&info, raw, err);
}

/* ---- libsndfile on memory ---------------------------------------------------------------- */

static sf_count_t bytes_length(void *user) { return (sf_count_t)((source *)user)->bytes.len; }

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

static sf_count_t bytes_tell(void *user) { return (sf_count_t)((source *)user)->at; }

/* What libsndfile says, without its final stop. */
static const char *library_text(char *to, SNDFILE *file)
{
    snprintf(to, LIBRARY_TEXT, "%s", sf_strerror(file));
    size_t n = strlen(to);
    while (n > 0 && strchr(". \n", to[n - 1]))
        to[--n] = 0;
    return to;
}

/* ---- a program that decodes -------------------------------------------------------------- */

static const char no_sound[] = "it gives no sound";

/* The encoded bytes as a file without a name, read from its beginning; below 0: there is no room. */
static int bytes_as_file(const buf *bytes)
{
    FILE *f = tmpfile();
    int fd = -1;
    if (f && fwrite(bytes->data, 1, bytes->len, f) == bytes->len && fflush(f) == 0 && fseek(f, 0, SEEK_SET) == 0)
        fd = fcntl(fileno(f), F_DUPFD_CLOEXEC, 0);
    if (f)
        fclose(f);
    return fd;
}

static qasr_status start_decoder(source *s, const char *reason, qasr_error *err)
{
    const bool in_memory = s->bytes.len > 0;
    int fd = in_memory ? bytes_as_file(&s->bytes) : open(s->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(
            err, in_memory ? "cannot hand '%s' to a decoder in a temporary file" : "cannot open '%s'", s->name);
    const bool started = ffmpeg_start(&s->decoder, s->program, fd);
    const int code = errno;
    close(fd);
    if (started)
        return QASR_OK;
    if (code != ENOENT)
        return error_set(err, QASR_E_IO, "cannot decode '%s': cannot run '%s': %s", s->name, s->program,
                         strerror(code));
    if (strcmp(s->program, "ffmpeg") != 0)
        return error_set(err, QASR_E_FORMAT,
                         "cannot decode '%s': %s; the program '%s', which is to be run for such files, was not found",
                         s->name, reason, s->program);
    return error_set(err, QASR_E_FORMAT,
                     "cannot decode '%s': %s; install ffmpeg, which is run for such files, or convert it first to WAV, "
                     "FLAC, Ogg or MP3",
                     s->name, reason);
}

/* What libsndfile does not know goes to the program, if there is one. */
static qasr_status decode_elsewhere(source *s, qasr_error *err)
{
    char reason[LIBRARY_TEXT], text[LIBRARY_TEXT];
    if (errno == ENOMEM)
        return error_set_errno(err, "cannot decode '%s'", s->name);
    const qasr_status status = sf_error(NULL) == SF_ERR_SYSTEM ? QASR_E_IO : QASR_E_FORMAT;
    library_text(reason, NULL);
    if (!s->program || s->asked.format || status == QASR_E_IO)
        return error_set(err, status,
                         "cannot decode '%s': %s; convert it first, for example with: "
                         "ffmpeg -i FILE -ar 16000 -ac 1 out.wav",
                         s->name, reason);
    TRY(start_decoder(s, reason, err));
    s->info = (SF_INFO){ 0 };
    s->file = sf_open_fd(s->decoder.fd, SFM_READ, &s->info, SF_FALSE);
    if (s->file) {
        s->info.frames = -1;
        s->decoded_elsewhere = true;
        return QASR_OK;
    }
    ffmpeg_finish(&s->decoder, text, sizeof text);
    return error_set(err, QASR_E_FORMAT, "cannot decode '%s': %s; %s: %s", s->name, reason, s->program,
                     *text ? text : no_sound);
}

/* ---- opening ----------------------------------------------------------------------------- */

static qasr_status decode_bytes(source *s, qasr_error *err)
{
    SF_VIRTUAL_IO io = { .get_filelen = bytes_length, .seek = bytes_seek, .read = bytes_read, .tell = bytes_tell };
    s->at = 0;
    s->info = s->asked;
    errno = 0; /* no room is no matter of formats */
    s->file = sf_open_virtual(&io, SFM_READ, &s->info, s);
    return s->file ? QASR_OK : decode_elsewhere(s, err);
}

/* Pipes and terminals cannot seek, but decoders must: take everything into memory first. */
static qasr_status open_bytes(source *s, int fd, qasr_error *err)
{
    TRY(file_read_to_end(&s->bytes, fd, s->name, "; save it as a file first", err));
    if (s->bytes.len == 0)
        return error_set(err, QASR_E_FORMAT, "'%s' is empty, expected an audio file", s->name);
    return decode_bytes(s, err);
}

static qasr_status decode_file(source *s, qasr_error *err)
{
    s->info = s->asked;
    errno = 0;
    s->file = sf_open(s->path, SFM_READ, &s->info);
    return s->file ? QASR_OK : decode_elsewhere(s, err);
}

/* fd is open on path. Regular files are opened once more by name: libsndfile knows some headerless formats by
 * the extension alone. */
static qasr_status open_descriptor(source *s, int fd, qasr_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set_errno(err, "cannot examine '%s'", s->name);
    if (S_ISDIR(st.st_mode))
        return error_set(err, QASR_E_IO, "cannot read '%s': it is a directory, expected an audio file", s->name);
    if (!S_ISREG(st.st_mode))
        return open_bytes(s, fd, err);
    if (st.st_size == 0)
        return error_set(err, QASR_E_FORMAT, "'%s' is empty, expected an audio file", s->name);
    return decode_file(s, err);
}

static qasr_status check_info(const source *s, qasr_error *err)
{
    if (s->info.samplerate < MIN_RATE || s->info.samplerate > MAX_RATE)
        return error_set(err, QASR_E_FORMAT, "'%s' has a sample rate of %d Hz, expected %d to %d", s->name,
                         s->info.samplerate, MIN_RATE, MAX_RATE);
    if (s->info.channels < 1 || s->info.channels > SOURCE_MAX_CHANNELS)
        return error_set(err, QASR_E_FORMAT, "'%s' has %d channels, expected 1 to %d", s->name, s->info.channels,
                         SOURCE_MAX_CHANNELS);
    return QASR_OK;
}

static qasr_status open_any(source *s, qasr_error *err)
{
    if (strcmp(s->path, "-") == 0)
        return open_bytes(s, STDIN_FILENO, err);
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", s->path);
    qasr_status status = open_descriptor(s, fd, err);
    close(fd);
    return status;
}

qasr_status source_open(source **out, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    source *s;
    TRY(MEM_CALLOC(&s, 1, err));
    s->path = path;
    s->name = strcmp(path, "-") == 0 ? "standard input" : path;
    s->program = opt->ffmpeg;
    buf_init(&s->bytes, MAX_PIPE_BYTES);
    qasr_status status = opt->raw ? read_raw(&s->asked, opt->raw, err) : QASR_OK;
    if (status == QASR_OK)
        status = open_any(s, err);
    if (status == QASR_OK)
        status = check_info(s, err);
    if (status != QASR_OK) {
        source_close(s);
        return status;
    }
    *out = s;
    return QASR_OK;
}

const char *source_name(const source *s) { return s->name; }
int source_rate(const source *s) { return s->info.samplerate; }
int source_channels(const source *s) { return s->info.channels; }

int64_t source_frames(const source *s)
{
    return s->info.frames >= 0 && s->info.frames < SF_COUNT_MAX ? (int64_t)s->info.frames : -1;
}

size_t source_read(source *s, float *frames, size_t n)
{
    const sf_count_t got = sf_readf_float(s->file, frames, (sf_count_t)n);
    return got > 0 ? (size_t)got : 0;
}

qasr_status source_changed(const source *s, qasr_error *err)
{
    return error_set(err, QASR_E_IO, "'%s' has changed while it was read", s->name);
}

static void close_file(source *s)
{
    if (s->file)
        sf_close(s->file);
    s->file = NULL;
    ffmpeg_end(&s->decoder);
}

/* Not by seeking, which some formats do only nearly. */
qasr_status source_rewind(source *s, qasr_error *err)
{
    const SF_INFO before = s->info;
    close_file(s);
    TRY(s->bytes.len > 0 ? decode_bytes(s, err) : decode_file(s, err));
    return s->info.samplerate == before.samplerate && s->info.channels == before.channels ? QASR_OK
                                                                                          : source_changed(s, err);
}

void source_close(source *s)
{
    if (!s)
        return;
    close_file(s);
    buf_free(&s->bytes);
    mem_free(s);
}

/* ---- files shorter than they claim -------------------------------------------------------- */

/* libsndfile corrects the length of cut WAV, AIFF and AU files silently and leaves only a line such as
 * "data : 64000 (should be 31979)" in its log. Programs that write into a pipe put the largest number there
 * is; that is no damage. */
static bool log_says_truncated(SNDFILE *file)
{
    static const char *const labels[] = { "data : ", "SSND : ", "Data Size   : " };
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

/* Up to n bytes from `at` on. */
static size_t read_at(const source *s, uint64_t at, unsigned char *to, size_t n)
{
    size_t got = 0;
    if (s->bytes.len > 0) {
        got = at < s->bytes.len ? s->bytes.len - (size_t)at : 0;
        got = got < n ? got : n;
        if (got)
            memcpy(to, (const unsigned char *)s->bytes.data + at, got);
        return got;
    }
    FILE *f = fopen(s->path, "rb");
    if (f && fseeko(f, (off_t)at, SEEK_SET) == 0)
        got = fread(to, 1, n, f);
    if (f)
        fclose(f);
    return got;
}

static uint64_t size_of(const source *s)
{
    struct stat st;
    return s->bytes.len > 0 ? s->bytes.len : stat(s->path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Without memory nothing is known to be missing. */
static bool is_cut(const source *s)
{
    const uint64_t size = size_of(s), tail = size > ENDING_TAIL_BYTES ? size - ENDING_TAIL_BYTES : 0;
    unsigned char *part;
    if (s->asked.format || MEM_ALLOC(&part, ENDING_HEAD_BYTES + ENDING_TAIL_BYTES, NULL) != QASR_OK)
        return false;
    size_t n_head = read_at(s, 0, part, ENDING_HEAD_BYTES),
           n_tail = read_at(s, tail, part + ENDING_HEAD_BYTES, ENDING_TAIL_BYTES);
    bool missing = ending_is_missing(part, n_head, part + ENDING_HEAD_BYTES, n_tail, size);
    mem_free(part);
    return missing;
}

static bool warn_if_cut(const source *s, uint64_t n_frames)
{
    bool cut = is_cut(s);
    if (cut)
        log_warning("'%s' ends early: it was cut off, or not finished by who wrote it; using the %" PRIu64
                    " frames found",
                    s->name, n_frames);
    return cut;
}

/* The same for what a program has decoded. */
static qasr_status check_decoder(source *s, uint64_t n_frames, bool *damaged, qasr_error *err)
{
    char text[LIBRARY_TEXT];
    const bool good = ffmpeg_finish(&s->decoder, text, sizeof text);
    if (good && !*text) {
        *damaged = warn_if_cut(s, n_frames);
        return QASR_OK;
    }
    if (!good && n_frames == 0)
        return error_set(err, QASR_E_FORMAT, "cannot decode '%s': %s: %s", s->name, s->program,
                         *text ? text : no_sound);
    log_warning("'%s' is damaged: %s: %s; using the %" PRIu64 " frames that it gave", s->name, s->program,
                *text ? text : "it ended before its time", n_frames);
    *damaged = true;
    return QASR_OK;
}

qasr_status source_check_end(source *s, uint64_t n_frames, bool *damaged, qasr_error *err)
{
    char text[LIBRARY_TEXT];
    const int64_t expected = source_frames(s);
    if (s->decoded_elsewhere)
        return check_decoder(s, n_frames, damaged, err);
    if (n_frames == 0 && s->info.frames != 0)
        return error_set(err, QASR_E_FORMAT, "cannot decode '%s': not one sample could be read, the file is damaged",
                         s->name);
    *damaged = true;
    if (sf_error(s->file) != SF_ERR_NO_ERROR)
        log_warning("'%s' is damaged: %s; using the %" PRIu64 " frames before that", s->name,
                    library_text(text, s->file), n_frames);
    else if (expected >= 0 && n_frames < (uint64_t)expected)
        log_warning("'%s' ends early: found %" PRIu64 " of %" PRIu64 " frames", s->name, n_frames, (uint64_t)expected);
    else if (log_says_truncated(s->file))
        log_warning("'%s' ends early: its header announces more than the %" PRIu64 " frames found", s->name, n_frames);
    else
        *damaged = warn_if_cut(s, n_frames);
    return QASR_OK;
}

const char *audio_sndfile_version(void)
{
    const char *name = sf_version_string(), *dash = strrchr(name, '-'); /* "libsndfile-1.2.0" */
    return dash ? dash + 1 : name;
}
