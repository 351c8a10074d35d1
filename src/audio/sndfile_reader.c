/* Samples without a header, and what else libsndfile decodes, by libsndfile. */
#include "audio/sndfile_reader.h"

#include <errno.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/audio.h"

static const struct {
    const char *name;
    int format;
} formats[N_SAMPLE_FORMATS] = {
    [SAMPLE_S8] = { "s8", SF_FORMAT_PCM_S8 },
    [SAMPLE_U8] = { "u8", SF_FORMAT_PCM_U8 },
    [SAMPLE_S16LE] = { "s16le", SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE },
    [SAMPLE_S16BE] = { "s16be", SF_FORMAT_PCM_16 | SF_ENDIAN_BIG },
    [SAMPLE_S24LE] = { "s24le", SF_FORMAT_PCM_24 | SF_ENDIAN_LITTLE },
    [SAMPLE_S24BE] = { "s24be", SF_FORMAT_PCM_24 | SF_ENDIAN_BIG },
    [SAMPLE_S32LE] = { "s32le", SF_FORMAT_PCM_32 | SF_ENDIAN_LITTLE },
    [SAMPLE_S32BE] = { "s32be", SF_FORMAT_PCM_32 | SF_ENDIAN_BIG },
    [SAMPLE_F32LE] = { "f32le", SF_FORMAT_FLOAT | SF_ENDIAN_LITTLE },
    [SAMPLE_F32BE] = { "f32be", SF_FORMAT_FLOAT | SF_ENDIAN_BIG },
    [SAMPLE_F64LE] = { "f64le", SF_FORMAT_DOUBLE | SF_ENDIAN_LITTLE },
    [SAMPLE_F64BE] = { "f64be", SF_FORMAT_DOUBLE | SF_ENDIAN_BIG },
    [SAMPLE_ULAW] = { "ulaw", SF_FORMAT_ULAW },
    [SAMPLE_ALAW] = { "alaw", SF_FORMAT_ALAW },
};

/* ---- the raw option ------------------------------------------------------------------------ */

static qasr_status bad_raw(const char *raw, qasr_error *err)
{
    char names[160] = "";
    for (size_t i = SAMPLE_NONE + 1; i < N_SAMPLE_FORMATS; i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", formats[i].name);
    }
    return error_set(
        err, QASR_E_INVALID,
        "raw samples '%s': expected FORMAT:RATE:CHANNELS as in s16le:16000:1, FORMAT one of %s, RATE from %d to "
        "%d, CHANNELS from 1 to %d",
        raw, names, AUDIO_MIN_RATE, AUDIO_MAX_RATE, AUDIO_MAX_CHANNELS);
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

qasr_status sndfile_read_raw(sample_format *format, int *rate, int *channels, const char *raw, qasr_error *err)
{
    const char *p = strchr(raw, ':');
    *format = SAMPLE_NONE;
    for (size_t i = SAMPLE_NONE + 1; p && i < N_SAMPLE_FORMATS; i++)
        if (strncmp(raw, formats[i].name, (size_t)(p - raw)) == 0 && !formats[i].name[p - raw])
            *format = (sample_format)i;
    if (p)
        p++;
    return *format && read_count(&p, ':', AUDIO_MAX_RATE, rate) && *rate >= AUDIO_MIN_RATE &&
                   read_count(&p, 0, AUDIO_MAX_CHANNELS, channels)
               ? QASR_OK
               : bad_raw(raw, err);
}

size_t sndfile_frame_bytes(sample_format format, int channels)
{
    static const unsigned char bytes[] = { 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 8, 8, 1, 1 };
    return bytes[format] * (size_t)channels;
}

/* ---- libsndfile ------------------------------------------------------------------------------ */

static sf_count_t link_length(void *user) { return (sf_count_t)((reader *)user)->link->n_bytes; }

static sf_count_t link_seek(sf_count_t offset, int whence, void *user)
{
    reader *r = user;
    sf_count_t base = whence == SEEK_SET ? 0 : (sf_count_t)(whence == SEEK_CUR ? r->at : r->link->n_bytes), target;
    if (__builtin_add_overflow(base, offset, &target) || target < 0 || (uint64_t)target > r->link->n_bytes)
        return -1;
    r->at = (uint64_t)target;
    return target;
}

static sf_count_t link_read(void *to, sf_count_t n, void *user)
{
    return n > 0 ? (sf_count_t)reader_bytes(user, to, (size_t)n) : 0;
}

static sf_count_t link_tell(void *user) { return (sf_count_t)((reader *)user)->at; }

const char sndfile_unknown[] = "Format not recognised";

/* The last error of an SNDFILE, without a final stop; NULL: of the last one that could not be opened. Bytes that are
 * nothing else are taken for a file of Sound Designer II whose other half is missing: "Error : bad map offset." */
static void sndfile_text(char *to, size_t size, void *file)
{
    const char *text = sf_strerror(file);
    snprintf(to, size, "%s", strncmp(text, "Error : ", 8) == 0 ? sndfile_unknown : text);
    size_t n = strlen(to);
    while (n > 0 && strchr(". \n", to[n - 1]))
        to[--n] = 0;
}

static qasr_status open_sndfile(reader *r, qasr_error *err)
{
    SF_VIRTUAL_IO io = { .get_filelen = link_length, .seek = link_seek, .read = link_read, .tell = link_tell };
    SF_INFO info = { 0 };
    if (r->link->codec == LINK_SAMPLES) {
        info.format = SF_FORMAT_RAW | formats[r->link->format].format;
        info.samplerate = r->link->rate;
        info.channels = r->link->channels;
    }
    errno = 0; /* tells lack of memory from an unknown format */
    r->state = sf_open_virtual(&io, SFM_READ, &info, r);
    if (!r->state && errno == ENOMEM)
        return error_set_errno(err, "cannot decode '%s'", r->in->name);
    if (!r->state)
        sndfile_text(r->text, sizeof r->text, NULL);
    if (*r->text)
        return error_set(err, QASR_E_FORMAT, "cannot decode '%s': %s", r->in->name, r->text);
    r->rate = info.samplerate;
    r->channels = info.channels;
    if (r->n_frames < 0 && info.frames >= 0 && info.frames < SF_COUNT_MAX)
        r->n_frames = info.frames;
    return QASR_OK;
}

static qasr_status read_sndfile(reader *r, float *frames, size_t n, size_t *n_read, qasr_error *err)
{
    const sf_count_t got = sf_readf_float(r->state, frames, (sf_count_t)n);
    *n_read = got > 0 ? (size_t)got : 0;
    if (got < (sf_count_t)n && sf_error(r->state) != SF_ERR_NO_ERROR)
        sndfile_text(r->text, sizeof r->text, r->state);
    return QASR_OK;
}

static void close_sndfile(reader *r) { sf_close(r->state); }

const reader_ops sndfile_reader = { open_sndfile, read_sndfile, close_sndfile };

const char *audio_sndfile_version(void)
{
    const char *name = sf_version_string(), *dash = strrchr(name, '-'); /* "libsndfile-1.2.0" */
    return dash ? dash + 1 : name;
}
