/* Sound files to samples: what a source gives in, 16 kHz mono floats with |x| <= 1 out. In the order of the reference
 * (qwen_asr inference/utils.py): float samples, mean over the channels, soxr "HQ" to 16 kHz, division by the peak if
 * that is above 1.
 *
 * The file streams through in chunks of some thousand frames, so memory holds only what was not yet read of a stream.
 *
 * The peak is known at the end of the file only. So a long stream is decoded twice, once for its peak and its damage,
 * then to be read: that takes a hundredth of the time of what is done with the samples. Where channels cancel, or a few
 * samples would make the rest inaudible (levels.h), it is decoded once more with that corrected. */
#include "audio/audio.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "audio/levels.h"
#include "audio/resampler.h"
#include "audio/sndfile_reader.h"
#include "audio/source.h"
#include "audio/tracks.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"

enum {
    CHUNK_FLOATS = 65536,            /* at least AUDIO_MAX_CHANNELS */
    KEEP_SAMPLES = 120 * AUDIO_RATE, /* a stream that is not longer is decoded once and kept */
    MAX_WARNINGS = 8                 /* of damage in one file */
};

struct audio_stream {
    source *source;
    resampler resampler;    /* holds what was decoded and not dropped */
    float *chunk, *mono;    /* [CHUNK_FLOATS] each */
    size_t channel;         /* 0: all */
    uint64_t first, limit;  /* of the file's frames: the first that is wanted, how many */
    uint64_t n_file_frames; /* decoded so far */
    uint64_t n_frames;      /* of them, wanted */
    bool ended;
    bool again;               /* not for the first time */
    uint64_t n_frames_before; /* of the first time */
    levels levels;            /* of the first time, which are corrected then: */
    bool is_corrected;
    float max_level;     /* samples beyond it are clipped */
    float offset;        /* subtracted from all */
    float peak;          /* samples are divided by it if it is above 1 */
    size_t n_read;       /* samples of the resampler's that were handed out */
    double from_s, to_s; /* the part of the file */
};

/* ---- frames -------------------------------------------------------------------------------- */

/* frames: [n, channels] -> mono: [n]. channel 0: the mean of all; from 1: that one. */
static void make_mono(float *mono, const float *frames, size_t n, size_t channels, size_t channel)
{
    for (size_t i = 0; channel && i < n; i++)
        mono[i] = frames[i * channels + channel - 1];
    if (channel)
        return;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += frames[i * channels + c];
        mono[i] = (float)(sum / (double)channels);
    }
}

/* The channel that is wanted or the mean of all; where that cancels, the loudest one. */
static void mix(const audio_stream *a, float *mono, const float *frames, size_t n, size_t channels)
{
    for (size_t i = 0, m; i < n; i += m) {
        const uint64_t at = a->n_frames + i;
        const cancelled *r = a->is_corrected ? levels_cancelled(&a->levels, at) : NULL;
        const bool inside = r && r->from <= at;
        const uint64_t left = r ? (inside ? r->to : r->from) - at : n;
        m = left < n - i ? (size_t)left : n - i;
        make_mono(mono + i, frames + i * channels, m, channels, inside ? r->channel : a->channel);
    }
}

static size_t count_finite(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}

static qasr_status end_frames(audio_stream *a, qasr_error *err)
{
    if (a->again && a->n_frames != a->n_frames_before)
        return error_set(err, QASR_E_IO, "'%s' has changed while it was read", source_name(a->source));
    a->ended = true;
    TRY(a->again ? QASR_OK : levels_finish(&a->levels, err));
    return resampler_finish(&a->resampler, a->n_frames, err);
}

/* The wanted ones of n frames that were decoded: their number, moved to the beginning. */
static size_t cut_frames(audio_stream *a, float *frames, size_t n, size_t channels)
{
    const uint64_t begin = a->n_file_frames, left = a->limit - a->n_frames;
    const size_t skip = begin >= a->first ? 0 : a->first - begin < n ? (size_t)(a->first - begin) : n;
    if (skip > 0)
        memmove(frames, frames + skip * channels, (n - skip) * channels * sizeof *frames);
    a->n_file_frames += n;
    return n - skip < left ? n - skip : (size_t)left;
}

/* Takes a chunk of the file through the resampler. */
static qasr_status decode_chunk(audio_stream *a, qasr_error *err)
{
    source *s = a->source;
    const size_t channels = (size_t)source_channels(s);
    const uint64_t max_frames = (uint64_t)AUDIO_MAX_HOURS * 3600 * (uint64_t)source_rate(s);
    size_t got = 0;
    if (a->n_frames < a->limit)
        TRY(source_read(s, a->chunk, CHUNK_FLOATS / channels, &got, err));
    if (got == 0)
        return end_frames(a, err);
    const size_t n = cut_frames(a, a->chunk, got, channels);
    mix(a, a->mono, a->chunk, n, channels);
    const size_t n_finite = count_finite(a->mono, n);
    if (n_finite < n)
        return error_set(err, QASR_E_FORMAT, "'%s' has a sample that is not a finite number in frame %" PRIu64,
                         source_name(s), a->first + a->n_frames + n_finite);
    if (!a->again)
        TRY(levels_add(&a->levels, a->channel ? NULL : a->chunk, a->mono, n, err));
    for (size_t i = 0; a->is_corrected && i < n; i++)
        a->mono[i] = fmaxf(-a->max_level, fminf(a->max_level, a->mono[i])) - a->offset;
    a->n_frames += n;
    if (a->n_frames > max_frames)
        return error_set(
            err, QASR_E_FORMAT,
            "'%s' is longer than %d hours; cut it into parts first, or take parts of it with a start and a "
            "duration",
            source_name(s), AUDIO_MAX_HOURS);
    return resampler_put(&a->resampler, a->mono, n, err);
}

/* How many of the resampler's samples the end of the signal cannot cut off. */
static size_t count_settled(const audio_stream *a)
{
    const resampler *r = &a->resampler;
    const uint64_t there = r->n_dropped + resampler_count(r);
    const uint64_t sure = resampler_length(a->n_frames, r->from, r->to);
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

/* ---- options ------------------------------------------------------------------------------- */

qasr_status audio_read_options(qasr_audio_options *own, const qasr_audio_options *given, qasr_error *err)
{
    sample_format format;
    int rate, channels;
    *own = (qasr_audio_options)QASR_AUDIO_OPTIONS_INIT;
    TRY(options_read(own, sizeof *own, given, "QASR_AUDIO_OPTIONS_INIT", err));
    if (!(own->start_s >= 0) || !isfinite(own->start_s) || !(own->duration_s >= 0) || !isfinite(own->duration_s))
        return error_set(err, QASR_E_INVALID,
                         "the start (%g s) and the duration (%g s) of audio must be 0 or positive numbers",
                         own->start_s, own->duration_s);
    if (own->channel < 0 || own->channel > AUDIO_MAX_CHANNELS)
        return error_set(err, QASR_E_INVALID, "channel %d: expected 0 for all, or from 1 to %d", own->channel,
                         AUDIO_MAX_CHANNELS);
    TRY(tracks_check(own->track, err));
    return own->raw ? sndfile_read_raw(&format, &rate, &channels, own->raw, err) : QASR_OK;
}

/* Seconds as frames; a file has never as many as the largest number. */
static uint64_t frames_of(double seconds, int rate)
{
    const double n = round(seconds * rate);
    return n < 9e18 ? (uint64_t)n : INT64_MAX;
}

static qasr_status choose_frames(audio_stream *a, const qasr_audio_options *opt, qasr_error *err)
{
    const int rate = source_rate(a->source), channels = source_channels(a->source);
    if (opt->channel > channels)
        return error_set(err, QASR_E_FORMAT, "'%s' has %d channel%s, there is no channel %d", source_name(a->source),
                         channels, channels == 1 ? "" : "s", opt->channel);
    a->channel = (size_t)opt->channel;
    a->first = frames_of(opt->start_s, rate);
    a->limit = opt->duration_s > 0 ? frames_of(opt->duration_s, rate) : INT64_MAX;
    a->from_s = opt->start_s;
    a->to_s = opt->duration_s > 0 ? opt->start_s + opt->duration_s : INFINITY;
    return QASR_OK;
}

qasr_status audio_probe(qasr_audio_info *info, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    audio_stream a = { 0 };
    qasr_status status = source_open(&a.source, path, opt, err);
    if (status == QASR_OK)
        status = choose_frames(&a, opt, err);
    if (status == QASR_OK) {
        const int64_t frames = source_frames(a.source);
        const uint64_t left = frames < 0 || (uint64_t)frames < a.first ? 0 : (uint64_t)frames - a.first;
        info->rate = source_rate(a.source);
        info->channels = source_channels(a.source);
        info->duration_s = frames < 0 ? -1 : (double)(left < a.limit ? left : a.limit) / info->rate;
    }
    source_close(a.source);
    return status;
}

/* ---- the stream ---------------------------------------------------------------------------- */

static qasr_status begin_again(audio_stream *a, qasr_error *err)
{
    resampler_close(&a->resampler);
    if (!a->again) /* a file that grows is not read any farther */
        a->n_frames_before = a->limit = a->n_frames;
    a->n_frames = a->n_file_frames = 0;
    a->ended = false;
    a->again = true;
    TRY(source_rewind(a->source, err));
    return resampler_open(&a->resampler, source_rate(a->source), AUDIO_RATE, 1, err);
}

/* Decodes everything for the peak. What is not long stays. */
static qasr_status survey(audio_stream *a, bool *is_long, qasr_error *err)
{
    size_t n_seen = 0;
    *is_long = false;
    a->peak = 0;
    while (!a->ended) {
        TRY(decode_chunk(a, err));
        const size_t n = count_settled(a);
        if (n > n_seen)
            TRY(find_peak(&a->peak, resampler_frames(&a->resampler) + n_seen, n - n_seen, source_name(a->source), err));
        n_seen = n;
        *is_long = *is_long || n > KEEP_SAMPLES;
        if (*is_long) {
            resampler_drop(&a->resampler, n);
            n_seen = 0;
        }
    }
    return QASR_OK;
}

static void warn_of_damage(const audio_stream *a)
{
    const audio_damage *d;
    const char *name = source_name(a->source);
    size_t i = 0;
    for (; (d = audio_stream_damage(a, i)); i++) {
        if (i >= MAX_WARNINGS)
            continue;
        if (d->is_end && d->to_s > d->from_s)
            log_warning("'%s' ends early, at %.2f s instead of %.2f s: %s", name, d->from_s, d->to_s, d->what);
        else if (d->is_end)
            log_warning("'%s' ends early, at %.2f s: %s", name, d->from_s, d->what);
        else if (d->to_s > d->from_s)
            log_warning("'%s' is damaged from %.2f to %.2f s: %s", name, d->from_s, d->to_s, d->what);
        else
            log_warning("'%s' is damaged at %.2f s: %s", name, d->from_s, d->what);
    }
    if (i > MAX_WARNINGS)
        log_warning("'%s' is damaged in %zu more places", name, i - MAX_WARNINGS);
}

/* A sound so quiet that what is taken for silence in it may be speech. */
static bool is_faint(float peak)
{
    static const float noise = 1e-4F, quiet = 2e-3F; /* -80 dBFS, three steps of 16 bits; -54 dBFS */
    return peak > noise && peak < quiet;
}

/* Decides what is to be corrected, and says so. What replaces sound counts as damage. */
static qasr_status judge_levels(audio_stream *a, qasr_error *err)
{
    const char *name = source_name(a->source);
    const double rate = source_rate(a->source);
    uint64_t at, n = 0;
    float peak;
    a->max_level = levels_limit(&a->levels, &at, &peak);
    if (a->max_level < INFINITY) {
        const double at_s = (double)(a->first + at) / rate;
        log_warning("'%s' has samples of up to %g at %.2f s, far beyond all others; they are clipped to %g", name,
                    (double)peak, at_s, (double)a->max_level);
        TRY(source_add_damage(a->source, at_s, at_s, "samples far beyond all others are clipped", err));
    }
    for (size_t i = 0; i < a->levels.n_ranges; i++)
        n += a->levels.ranges[i].to - a->levels.ranges[i].from;
    if (n > 0) {
        const double from_s = (double)(a->first + a->levels.ranges[0].from) / rate;
        const double to_s = (double)(a->first + a->levels.ranges[a->levels.n_ranges - 1].to) / rate;
        log_warning(
            "'%s' has channels in opposite phase in %.1f s from %.2f s on, whose mean is silence; the louder one "
            "is taken there, --channel takes one throughout",
            name, (double)n / rate, from_s);
        TRY(source_add_damage(a->source, from_s, to_s, "channels in opposite phase, of which the louder one is taken",
                              err));
    }
    a->offset = n > 0 ? 0 : levels_offset(&a->levels);
    if (a->offset != 0)
        log_warning("'%s' has a DC offset of %.3g, far above the level of its sound; it is removed", name,
                    (double)a->offset);
    if (is_faint(a->peak))
        log_warning("'%s' is faint, %.0f dBFS at the most: speech in it may be taken for silence; amplify it first",
                    name, 20 * log10((double)a->peak));
    a->is_corrected = a->max_level < INFINITY || n > 0 || a->offset != 0;
    return QASR_OK;
}

static qasr_status open_stream(audio_stream *a, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    bool is_long;
    TRY(source_open(&a->source, path, opt, err));
    TRY(choose_frames(a, opt, err));
    TRY(resampler_open(&a->resampler, source_rate(a->source), AUDIO_RATE, 1, err));
    TRY(MEM_ALLOC(&a->chunk, CHUNK_FLOATS, err));
    TRY(MEM_ALLOC(&a->mono, CHUNK_FLOATS, err));
    levels_init(&a->levels, source_rate(a->source), (size_t)source_channels(a->source));
    TRY(survey(a, &is_long, err));
    warn_of_damage(a);
    TRY(judge_levels(a, err));
    if (a->is_corrected) {
        TRY(begin_again(a, err));
        TRY(survey(a, &is_long, err));
    }
    return is_long ? begin_again(a, err) : QASR_OK;
}

qasr_status audio_stream_open(audio_stream **out, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    audio_stream *a;
    TRY(MEM_CALLOC(&a, 1, err));
    const qasr_status status = open_stream(a, path, opt, err);
    if (status != QASR_OK) {
        audio_stream_close(a);
        return status;
    }
    *out = a;
    return QASR_OK;
}

uint64_t audio_stream_length(const audio_stream *a)
{
    return resampler_length(a->again ? a->n_frames_before : a->n_frames, source_rate(a->source), AUDIO_RATE);
}

const audio_damage *audio_stream_damage(const audio_stream *a, size_t i)
{
    const audio_damage *d;
    for (size_t k = 0; (d = source_damage(a->source, k)); k++)
        if (d->to_s >= a->from_s && d->from_s <= a->to_s && i-- == 0)
            return d;
    return NULL;
}

qasr_status audio_stream_read(audio_stream *a, float *pcm, size_t n, size_t *n_read, qasr_error *err)
{
    for (*n_read = 0; *n_read < n;) {
        const size_t there = count_settled(a) - a->n_read, want = n - *n_read;
        if (there > 0) {
            const size_t m = there < want ? there : want;
            memcpy(pcm + *n_read, resampler_frames(&a->resampler) + a->n_read, m * sizeof *pcm);
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
    mem_free(a->chunk);
    mem_free(a->mono);
    levels_free(&a->levels);
    resampler_close(&a->resampler);
    source_close(a->source);
    mem_free(a);
}

/* ---- all at once --------------------------------------------------------------------------- */

qasr_status audio_load(float **pcm, size_t *n_samples, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    audio_stream *a;
    float *all = NULL;
    size_t n_read;
    TRY(audio_stream_open(&a, path, opt, err));
    const size_t n = (size_t)audio_stream_length(a);
    qasr_status status = MEM_ALLOC(&all, n, err);
    if (status == QASR_OK)
        status = audio_stream_read(a, all, n, &n_read, err);
    audio_stream_close(a);
    if (status != QASR_OK) {
        mem_free(all);
        return status;
    }
    *pcm = all;
    *n_samples = n;
    return QASR_OK;
}
