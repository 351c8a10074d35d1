/* See source.h. What is in an input is found out from its bytes (links.h), never from its name; what none of our
 * decoders knows may be given to a program, whose output is read from a pipe. Nothing is allocated by what a header
 * claims. */
#include "audio/source.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audio/ending.h"
#include "audio/reader.h"
#include "audio/resampler.h"
#include "audio/sndfile_reader.h"
#include "audio/tracks.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum { MAX_DAMAGES = 256, CHUNK_FLOATS = 16384 /* at least AUDIO_MAX_CHANNELS */ };

struct source {
    const char *path, *program, *track;
    input in;
    links links;
    int rate, channels;

    size_t next_link;
    bool has_reader;
    reader reader;
    resampler resampler; /* of a link with another rate */
    float *chunk;        /* [CHUNK_FLOATS] of a link with another rate or other channels; NULL: there was none */
    uint64_t n_silent;   /* frames of silence to come */
    uint64_t at;         /* frames that were given */
    uint64_t link_at;    /* of the link that is read */
    double clock_at;     /* s: where the time stamps of a stream have their 0 */

    bool by_program;
    ffmpeg decoder;
    size_t track_index;
    bool has_track; /* it was chosen */

    bool was_read; /* to its end: what is damaged is known */
    bool is_over;
    audio_damage *damages; /* [MAX_DAMAGES]; NULL: none */
    size_t n_damages;
    char reason[READER_TEXT]; /* why the first link could not be decoded */
};

static const char no_sound[] = "it gives no audio";

/* ---- damage -------------------------------------------------------------------------------- */

/* In order of time. The last place that is counted takes in what comes after it. */
static qasr_status insert_damage(source *s, double from_s, double to_s, bool is_end, const char *what, qasr_error *err)
{
    if (!s->damages)
        TRY(MEM_ALLOC(&s->damages, MAX_DAMAGES, err));
    if (s->n_damages == MAX_DAMAGES) {
        s->damages[MAX_DAMAGES - 1].to_s = to_s;
        return QASR_OK;
    }
    size_t i = s->n_damages++;
    for (; i > 0 && s->damages[i - 1].from_s > from_s; i--)
        s->damages[i] = s->damages[i - 1];
    audio_damage *d = &s->damages[i];
    *d = (audio_damage){ .from_s = from_s, .to_s = to_s, .is_end = is_end };
    snprintf(d->what, sizeof d->what, "%.*s", AUDIO_DAMAGE_TEXT - 1, what);
    error_clean_line(d->what, sizeof d->what);
    return QASR_OK;
}

/* Only the first time that the source is read. */
static qasr_status add_damage(source *s, double from_s, double to_s, bool is_end, const char *what, qasr_error *err)
{
    return s->was_read ? QASR_OK : insert_damage(s, from_s, to_s, is_end, what, err);
}

qasr_status source_add_damage(source *s, double from_s, double to_s, const char *what, qasr_error *err)
{
    return insert_damage(s, from_s, to_s, false, what, err);
}

static double seconds_at(const source *s, uint64_t frame) { return s->rate ? (double)frame / s->rate : 0; }

const audio_damage *source_damage(const source *s, size_t i) { return i < s->n_damages ? &s->damages[i] : NULL; }

/* ---- links --------------------------------------------------------------------------------- */

static qasr_status check_format(const source *s, int rate, int channels, qasr_error *err)
{
    if (rate < AUDIO_MIN_RATE || rate > AUDIO_MAX_RATE)
        return error_set(err, QASR_E_FORMAT, "'%s' has a sample rate of %d Hz, expected %d to %d", s->in.name, rate,
                         AUDIO_MIN_RATE, AUDIO_MAX_RATE);
    if (channels < 1 || channels > AUDIO_MAX_CHANNELS)
        return error_set(err, QASR_E_FORMAT, "'%s' has %d channels, expected 1 to %d", s->in.name, channels,
                         AUDIO_MAX_CHANNELS);
    return QASR_OK;
}

static void close_reader(source *s)
{
    if (s->has_reader)
        reader_close(&s->reader);
    resampler_close(&s->resampler);
    s->has_reader = false;
}

/* Frames of silence for what is lost before the link that was opened, so that it is in time. */
static uint64_t frames_lost(source *s, const audio_link *l)
{
    double lost_s = l->lost_s;
    const double length_s = s->reader.n_frames >= 0 ? (double)s->reader.n_frames / s->reader.rate : -1;
    if (l->clock_end >= 0 && l->clock_rate > 0 && length_s >= 0) {
        const double begin_s = (double)l->clock_end / l->clock_rate - length_s; /* by the time stamps */
        if (l->continues)
            lost_s = s->clock_at + begin_s - seconds_at(s, s->at);
        else
            s->clock_at = seconds_at(s, s->at) - begin_s;
    }
    return lost_s > 0 && lost_s < AUDIO_MAX_HOURS * 3600.0 ? (uint64_t)llround(lost_s * s->rate) : 0;
}

/* The first link that can be decoded makes the source's format, others are brought to it. */
static qasr_status begin_link(source *s, const audio_link *l, qasr_error *err)
{
    const reader *r = &s->reader;
    if (s->rate == 0) {
        s->rate = r->rate;
        s->channels = r->channels;
    }
    if (!s->chunk && (r->rate != s->rate || r->channels != s->channels))
        TRY(MEM_ALLOC(&s->chunk, CHUNK_FLOATS, err));
    if (r->rate != s->rate)
        TRY(resampler_open(&s->resampler, r->rate, s->rate, (size_t)s->channels, err));
    s->n_silent = frames_lost(s, l);
    if (l->lost)
        TRY(add_damage(s, seconds_at(s, s->at), seconds_at(s, s->at + s->n_silent), false, l->lost, err));
    s->link_at = s->at + s->n_silent;
    return QASR_OK;
}

/* Opens the next link that can be decoded; without has_reader there is none. */
static qasr_status open_link(source *s, qasr_error *err)
{
    while (!s->has_reader && s->next_link < s->links.n) {
        qasr_error why = { 0 };
        const audio_link *l = &s->links.items[s->next_link++];
        qasr_status status = reader_open(&s->reader, &s->links, l, &s->in, &why);
        s->has_reader = status == QASR_OK;
        if (status == QASR_OK)
            status = check_format(s, s->reader.rate, s->reader.channels, &why);
        if (status == QASR_OK) {
            TRY(begin_link(s, l, err));
            continue;
        }
        close_reader(s);
        if (status == QASR_E_NOMEM || (s->links.n == 1 && !*s->reader.text)) {
            if (err)
                *err = why;
            return status;
        }
        const char *text = *s->reader.text ? s->reader.text : why.message;
        if (!*s->reason)
            snprintf(s->reason, sizeof s->reason, "%.*s", READER_TEXT - 1, text);
        TRY(add_damage(s, seconds_at(s, s->at), seconds_at(s, s->at), false, text, err));
    }
    return QASR_OK;
}

/* A fault of the file's end that its own container shows; NULL: none. */
static const char *find_wrong_end(source *s)
{
    window *w;
    if (MEM_ALLOC(&w, 1, NULL) != QASR_OK)
        return NULL;
    *w = (window){ .in = &s->in, .end = s->in.size };
    const char *what = ending_is_missing(w)    ? "it was cut off, or not finished by who wrote it"
                       : ending_is_followed(w) ? "another file is joined to it; split them first"
                                               : NULL;
    mem_free(w);
    return what;
}

/* Notes the damage of the link that is over. */
static qasr_status end_link(source *s, qasr_error *err)
{
    const reader *r = &s->reader;
    const audio_link *l = r->link;
    const double begin_s = seconds_at(s, s->link_at), end_s = seconds_at(s, s->at);
    for (size_t i = 0; i < r->n_gaps; i++)
        TRY(add_damage(s, begin_s + (double)r->gaps[i].from / r->rate, begin_s + (double)r->gaps[i].to / r->rate, false,
                       r->gaps[i].what, err));
    const uint64_t expected = r->n_frames >= 0 ? (uint64_t)r->n_frames : 0;
    const bool is_all = l->codec == LINK_SNDFILE && l->n_bytes == s->in.size; /* which no one has looked through */
    const char *cut = l->cut ? l->cut : is_all && !s->was_read ? find_wrong_end(s) : NULL;
    char text[AUDIO_DAMAGE_TEXT];
    if (r->n_read < expected) {
        snprintf(text, sizeof text, "%.100s%sfound %llu of %llu frames", r->text, *r->text ? "; " : "",
                 (unsigned long long)r->n_read, (unsigned long long)expected);
        TRY(add_damage(s, end_s, end_s + (double)(expected - r->n_read) / r->rate, true, text, err));
    } else if (cut)
        TRY(add_damage(s, end_s, end_s + l->cut_s, true, cut, err));
    else if (*r->text)
        TRY(add_damage(s, end_s, end_s, true, r->text, err));
    if (s->in.error) {
        snprintf(text, sizeof text, "it cannot be read: %s", strerror(s->in.error));
        TRY(add_damage(s, end_s, end_s, true, text, err));
    }
    close_reader(s);
    return QASR_OK;
}

/* frames [n, from] -> [n, to]: one channel goes to all, of others the mean does. */
static void change_channels(float *out, const float *in, size_t n, size_t from, size_t to)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t c = 0; c < from; c++)
            sum += in[i * from + c];
        for (size_t c = 0; c < to; c++)
            out[i * to + c] = from == to ? in[i * from + c] : (float)(sum / (double)from);
    }
}

/* From a link with other channels, but the same rate. */
static qasr_status read_changed(source *s, float *frames, size_t n, size_t *n_read, qasr_error *err)
{
    const size_t from = (size_t)s->reader.channels, to = (size_t)s->channels, most = CHUNK_FLOATS / from;
    TRY(reader_read(&s->reader, s->chunk, n < most ? n : most, n_read, err));
    change_channels(frames, s->chunk, *n_read, from, to);
    return QASR_OK;
}

/* From a link with another rate. frames are scratch, too. */
static qasr_status read_resampled(source *s, float *frames, size_t n, size_t *n_read, qasr_error *err)
{
    resampler *r = &s->resampler;
    const size_t channels = (size_t)s->channels;
    while (resampler_count(r) == 0) {
        size_t got;
        if (s->is_over) {
            *n_read = 0;
            return QASR_OK;
        }
        TRY(read_changed(s, frames, n, &got, err));
        s->is_over = got == 0;
        TRY(got > 0 ? resampler_put(r, frames, got, err) : resampler_finish(r, s->reader.n_read, err));
    }
    *n_read = n < resampler_count(r) ? n : resampler_count(r);
    memcpy(frames, resampler_frames(r), *n_read * channels * sizeof *frames);
    resampler_drop(r, *n_read);
    return QASR_OK;
}

/* *n_read 0: the end of all links. */
static qasr_status read_links(source *s, float *frames, size_t n, size_t *n_read, qasr_error *err)
{
    for (;;) {
        *n_read = 0;
        TRY(open_link(s, err));
        if (!s->has_reader)
            return QASR_OK;
        if (s->n_silent > 0) {
            *n_read = n < s->n_silent ? n : (size_t)s->n_silent;
            memset(frames, 0, *n_read * (size_t)s->channels * sizeof *frames);
            s->n_silent -= *n_read;
            return QASR_OK;
        }
        if (s->reader.rate != s->rate)
            TRY(read_resampled(s, frames, n, n_read, err));
        else if (s->reader.channels != s->channels)
            TRY(read_changed(s, frames, n, n_read, err));
        else
            TRY(reader_read(&s->reader, frames, n, n_read, err));
        if (*n_read > 0)
            return QASR_OK;
        TRY(end_link(s, err));
        s->is_over = false;
    }
}

/* ---- a program that decodes ---------------------------------------------------------------- */

static qasr_status start_program(source *s, qasr_error *err)
{
    const int fd = input_descriptor(&s->in);
    if (fd < 0)
        return error_set_errno(err, "cannot hand '%s' to a decoder", s->in.name);
    const bool started = ffmpeg_start(&s->decoder, s->program, fd, s->track_index);
    const int code = errno;
    close(fd);
    if (started)
        return QASR_OK;
    if (code != ENOENT)
        return error_set(err, QASR_E_IO, "cannot decode '%s': cannot run '%s': %s", s->in.name, s->program,
                         strerror(code));
    if (strcmp(s->program, "ffmpeg") != 0)
        return error_set(err, QASR_E_FORMAT,
                         "cannot decode '%s': %s; the program '%s', which is to be run for such files, was not found",
                         s->in.name, s->reason, s->program);
    return error_set(err, QASR_E_FORMAT,
                     "cannot decode '%s': %s; install ffmpeg, which is run for such files, or convert it first to WAV, "
                     "FLAC, Ogg or MP3",
                     s->in.name, s->reason);
}

/* The program runs, and is at the track that is wanted. */
static qasr_status open_program(source *s, qasr_error *err)
{
    char text[READER_TEXT];
    ffmpeg_tracks tracks;
    size_t chosen = s->track_index;
    TRY(start_program(s, err));
    const bool has_output = ffmpeg_read_header(&s->decoder);
    ffmpeg_list_tracks(&s->decoder, &tracks);
    if (!s->has_track)
        TRY(tracks_choose(&chosen, &tracks, s->track, s->in.name, err));
    s->has_track = true;
    if (has_output && chosen != s->track_index) {
        ffmpeg_end(&s->decoder);
        s->track_index = chosen;
        return open_program(s, err);
    }
    if (has_output)
        return check_format(s, s->decoder.rate, s->decoder.channels, err);
    ffmpeg_finish(&s->decoder, text, sizeof text);
    return error_set(err, QASR_E_FORMAT, "cannot decode '%s': %s; %s: %s", s->in.name, s->reason, s->program,
                     *text ? text : no_sound);
}

/* Hands the input to the program, if there is one. */
static qasr_status decode_elsewhere(source *s, qasr_error *err)
{
    if (!s->program)
        return error_set(err, QASR_E_FORMAT,
                         "cannot decode '%s': %s; convert it first, for example with: "
                         "ffmpeg -i FILE -ar 16000 -ac 1 out.wav",
                         s->in.name, s->reason);
    s->n_damages = 0;
    s->by_program = true;
    s->track_index = tracks_number(s->track);
    TRY(open_program(s, err));
    s->rate = s->decoder.rate;
    s->channels = s->decoder.channels;
    return QASR_OK;
}

static qasr_status end_program(source *s, qasr_error *err)
{
    char text[READER_TEXT], what[AUDIO_DAMAGE_TEXT];
    const double end_s = seconds_at(s, s->at);
    const bool good = ffmpeg_finish(&s->decoder, text, sizeof text);
    if (!good && s->at == 0)
        return error_set(err, QASR_E_FORMAT, "cannot decode '%s': %s: %s", s->in.name, s->program,
                         *text ? text : no_sound);
    snprintf(what, sizeof what, "%.60s: %.120s", s->program, *text ? text : "it ended before its time");
    const char *wrong_end = find_wrong_end(s);
    if (wrong_end)
        return add_damage(s, end_s, end_s, true, wrong_end, err);
    return !good || *text ? add_damage(s, 0, end_s, false, what, err) : QASR_OK;
}

/* ---- the source ---------------------------------------------------------------------------- */

static qasr_status add_raw(source *s, const char *raw, qasr_error *err)
{
    audio_link *l;
    sample_format format;
    int rate, channels;
    TRY(sndfile_read_raw(&format, &rate, &channels, raw, err));
    TRY(links_add(&l, &s->links, LINK_SAMPLES, err));
    const uint64_t block = sndfile_frame_bytes(format, channels), n = s->in.size / block;
    l->format = format;
    l->rate = rate;
    l->channels = channels;
    l->n_frames = (int64_t)n;
    return links_add_range(&s->links, 0, n * block, err);
}

/* libsndfile would take the bytes for MPEG audio and have libmpg123 print messages, though mpeg.c has found none. */
static bool looks_like_mpeg(source *s)
{
    unsigned char p[3] = { 0 };
    input_read(&s->in, 0, p, sizeof p);
    return memcmp(p, "ID3", 3) == 0 || (p[0] == 0xFF && (p[1] & 0xE0) == 0xE0);
}

/* Links of what is recognised, else one of all bytes for libsndfile to look at. */
static qasr_status find_links(source *s, qasr_error *err)
{
    audio_link *l;
    bool has_sound;
    TRY(links_find(&s->links, &s->in, &has_sound, err));
    if (!has_sound)
        return error_set(err, QASR_E_FORMAT, "cannot decode '%s': it has no audio", s->in.name);
    if (s->links.n > 0)
        return QASR_OK;
    if (looks_like_mpeg(s)) {
        s->links.foreign = sndfile_unknown;
        return QASR_OK;
    }
    TRY(links_add(&l, &s->links, LINK_SNDFILE, err));
    return links_add_range(&s->links, 0, s->in.size, err);
}

static qasr_status refuse_lfs_pointer(source *s, qasr_error *err)
{
    char start[64];
    return file_refuse_lfs_pointer(start, input_read(&s->in, 0, start, sizeof start), s->in.name, err);
}

static qasr_status open_any(source *s, const qasr_audio_options *opt, qasr_error *err)
{
    TRY(input_open(&s->in, s->path, err));
    TRY(refuse_lfs_pointer(s, err));
    TRY(opt->raw ? add_raw(s, opt->raw, err) : find_links(s, err));
    const char *why = s->links.foreign                     ? s->links.foreign
                      : s->links.are_several && s->program ? "it has several tracks"
                                                           : NULL;
    if (why) {
        snprintf(s->reason, sizeof s->reason, "%s", why);
        return decode_elsewhere(s, err);
    }
    TRY(open_link(s, err));
    if (!s->has_reader)
        return decode_elsewhere(s, err);
    if (tracks_number(s->track) > 0)
        return error_set(err, QASR_E_FORMAT, "'%s' has one track, there is no track %s", s->in.name, s->track);
    return QASR_OK;
}

qasr_status source_open(source **out, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    source *s;
    TRY(MEM_CALLOC(&s, 1, err));
    s->path = path;
    s->program = opt->raw ? NULL : opt->ffmpeg;
    s->track = opt->track;
    links_init(&s->links);
    const qasr_status status = open_any(s, opt, err);
    if (status != QASR_OK) {
        source_close(s);
        return status;
    }
    *out = s;
    return QASR_OK;
}

const char *source_name(const source *s) { return s->in.name; }
int source_rate(const source *s) { return s->rate; }
int source_channels(const source *s) { return s->channels; }

int64_t source_frames(const source *s)
{
    double sum_s = 0, clock_s = 0;
    if (s->by_program)
        return -1;
    for (size_t i = 0; i < s->links.n; i++) {
        const audio_link *l = &s->links.items[i];
        const bool is_first = i == 0 && s->has_reader && s->reader.link == l;
        const int64_t n = is_first ? s->reader.n_frames : l->n_frames;
        const int rate = is_first ? s->reader.rate : l->rate ? l->rate : s->rate;
        if (is_first && s->links.n == 1)
            return n;
        if (n < 0 && l->clock_end < 0)
            return -1;
        const double length_s = n >= 0 ? (double)n / rate : (double)l->clock_end / l->clock_rate;
        if (l->continues) /* its time stamps are those of what came before */
            sum_s += length_s - clock_s;
        else
            sum_s += length_s + (l->lost_s > 0 ? l->lost_s : 0);
        clock_s = length_s;
    }
    return (int64_t)llround(sum_s * s->rate);
}

qasr_status source_read(source *s, float *frames, size_t n, size_t *n_read, qasr_error *err)
{
    *n_read = 0;
    if (s->by_program)
        *n_read = s->decoder.fd > 0 ? ffmpeg_read(&s->decoder, frames, n) : 0;
    else
        TRY(read_links(s, frames, n, n_read, err));
    s->at += *n_read;
    if (*n_read > 0 || s->was_read)
        return QASR_OK;
    if (s->by_program)
        TRY(end_program(s, err));
    s->was_read = true;
    if (s->at > 0 || s->by_program)
        return QASR_OK;
    for (size_t i = 0; i < s->links.n; i++)
        if (s->links.items[i].n_frames > 0 || s->n_damages > 0)
            return error_set(err, QASR_E_FORMAT,
                             "cannot decode '%s': not one sample could be read, the file is damaged", s->in.name);
    return QASR_OK;
}

qasr_status source_rewind(source *s, qasr_error *err)
{
    close_reader(s);
    ffmpeg_end(&s->decoder);
    s->next_link = 0;
    s->at = s->n_silent = 0;
    s->clock_at = 0;
    s->is_over = false;
    s->was_read = true;
    return s->by_program ? open_program(s, err) : open_link(s, err);
}

void source_close(source *s)
{
    if (!s)
        return;
    close_reader(s);
    ffmpeg_end(&s->decoder);
    links_free(&s->links);
    input_close(&s->in);
    mem_free(s->chunk);
    mem_free(s->damages);
    mem_free(s);
}
