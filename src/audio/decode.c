/* Sound files to samples: what a source gives in, 16 kHz mono floats with |x| <= 1 out. In the order of the reference
 * (qwen_asr inference/utils.py): float samples, mean over the channels, soxr "HQ" to 16 kHz, division by the peak if
 * that is above 1.
 *
 * The file streams through in chunks of some thousand frames, so memory holds one growing buffer of results, or only
 * what was not yet read of an audio_stream.
 *
 * The peak is known at the end of the file only. So a long stream is decoded twice, once for its peak and its damage,
 * then to be read: that takes a hundredth of the time of what is done with the samples. */
#include "audio/audio.h"

#include <inttypes.h>
#include <math.h>
#include <soxr.h>
#include <stdbool.h>
#include <string.h>

#include "audio/source.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/options.h"

enum {
    MAX_HOURS = 24,
    CHUNK_FLOATS = 65536,           /* at least SOURCE_MAX_CHANNELS */
    KEEP_SAMPLES = 120 * AUDIO_RATE /* a stream that is not longer is decoded once and kept */
};

/* ---- resampling -------------------------------------------------------------------------- */

typedef struct resampler {
    soxr_t soxr;        /* NULL when the input has the right rate */
    buf pcm;            /* floats at AUDIO_RATE */
    float *chunk;       /* [CHUNK_FLOATS] */
    uint64_t n_dropped; /* samples that were before those of pcm */
} resampler;

/* *r is to be closed also after an error. */
static qasr_status resampler_open(resampler *r, int rate, qasr_error *err)
{
    const size_t max_samples = (size_t)MAX_HOURS * 3600 * AUDIO_RATE + CHUNK_FLOATS; /* + what soxr may add */
    *r = (resampler){ 0 };
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

/* frames: [n, channels] -> mono: [n]; the two may be the same memory. channel 0: the mean of all; from 1: that one. */
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

static size_t count_finite(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}

struct audio_stream {
    source *source;
    resampler resampler;    /* holds what was decoded and not dropped */
    float *chunk;           /* [CHUNK_FLOATS] */
    size_t channel;         /* 0: all */
    uint64_t first, limit;  /* of the file's frames: the first that is wanted, how many */
    uint64_t n_file_frames; /* decoded so far */
    uint64_t n_frames;      /* of them, wanted */
    bool ended, damaged;
    bool again;               /* the second time */
    uint64_t n_frames_before; /* of the first time */
    float peak;               /* samples are divided by it if it is above 1 */
    size_t n_read;            /* samples of the resampler's that were handed out */
};

static qasr_status end_frames(audio_stream *a, qasr_error *err)
{
    source *s = a->source;
    if (a->again && a->n_frames != a->n_frames_before)
        return source_changed(s, err);
    if (!a->again && a->n_frames < a->limit) /* else the file's end was not seen */
        TRY(source_check_end(s, a->n_file_frames, &a->damaged, err));
    a->ended = true;
    return resampler_finish(&a->resampler, a->n_frames, source_rate(s), err);
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
    const uint64_t max_frames = (uint64_t)MAX_HOURS * 3600 * (uint64_t)source_rate(s);
    const size_t got = a->n_frames < a->limit ? source_read(s, a->chunk, CHUNK_FLOATS / channels) : 0;
    if (got == 0)
        return end_frames(a, err);
    const size_t n = cut_frames(a, a->chunk, got, channels);
    make_mono(a->chunk, a->chunk, n, channels, a->channel);
    const size_t n_finite = count_finite(a->chunk, n);
    if (n_finite < n)
        return error_set(err, QASR_E_FORMAT, "'%s' has a sample that is not a finite number in frame %" PRIu64,
                         source_name(s), a->first + a->n_frames + n_finite);
    a->n_frames += n;
    if (a->n_frames > max_frames)
        return error_set(
            err, QASR_E_FORMAT,
            "'%s' is longer than %d hours; cut it into parts first, or take parts of it with a start and a "
            "duration",
            source_name(s), MAX_HOURS);
    return n > 0 ? resampler_put(&a->resampler, a->chunk, n, err) : QASR_OK;
}

static float *decoded(const audio_stream *a) { return (float *)(void *)a->resampler.pcm.data; }

/* How many of the resampler's samples the end of the signal cannot cut off. */
static size_t count_settled(const audio_stream *a)
{
    const resampler *r = &a->resampler;
    const uint64_t there = r->n_dropped + r->pcm.len / sizeof(float);
    const uint64_t sure = resampled_length(a->n_frames, source_rate(a->source));
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

qasr_status audio_read_options(qasr_audio_options *own, const qasr_audio_options *given, qasr_error *err)
{
    *own = (qasr_audio_options)QASR_AUDIO_OPTIONS_INIT;
    TRY(options_read(own, sizeof *own, given, "QASR_AUDIO_OPTIONS_INIT", err));
    if (!(own->start_s >= 0) || !isfinite(own->start_s) || !(own->duration_s >= 0) || !isfinite(own->duration_s))
        return error_set(err, QASR_E_INVALID,
                         "the start (%g s) and the duration (%g s) of audio must be 0 or positive numbers",
                         own->start_s, own->duration_s);
    if (own->channel < 0 || own->channel > SOURCE_MAX_CHANNELS)
        return error_set(err, QASR_E_INVALID, "channel %d: expected 0 for all, or from 1 to %d", own->channel,
                         SOURCE_MAX_CHANNELS);
    return own->raw ? source_check_raw(own->raw, err) : QASR_OK;
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
    return QASR_OK;
}

/* *a is to be closed also after an error. */
static qasr_status open_stream(audio_stream *a, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    *a = (audio_stream){ 0 };
    TRY(source_open(&a->source, path, opt, err));
    TRY(choose_frames(a, opt, err));
    TRY(resampler_open(&a->resampler, source_rate(a->source), err));
    return MEM_ALLOC(&a->chunk, CHUNK_FLOATS, err);
}

static void close_stream(audio_stream *a)
{
    mem_free(a->chunk);
    resampler_close(&a->resampler);
    source_close(a->source);
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

/* ---- in one segment ------------------------------------------------------------------------ */

qasr_status audio_load(float **pcm, size_t *n_samples, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    audio_stream a;
    char *bytes = NULL;
    qasr_status status = QASR_OK;
    TRY_GOTO(open_stream(&a, path, opt, err));
    while (!a.ended)
        TRY_GOTO(decode_chunk(&a, err));
    const size_t n_out = a.resampler.pcm.len / sizeof(float);
    TRY_GOTO(find_peak(&a.peak, decoded(&a), n_out, source_name(a.source), err));
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
    a->resampler = (resampler){ 0 };
    a->n_frames_before = a->n_frames;
    a->n_frames = a->n_file_frames = 0;
    a->ended = false;
    a->again = true;
    TRY(source_rewind(a->source, err));
    return resampler_open(&a->resampler, source_rate(a->source), err);
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
            TRY(find_peak(&a->peak, decoded(a) + n_seen, n - n_seen, source_name(a->source), err));
        n_seen = n;
        is_long = is_long || n > KEEP_SAMPLES;
        if (is_long) {
            resampler_drop(&a->resampler, n);
            n_seen = 0;
        }
    }
    return is_long ? begin_again(a, err) : QASR_OK;
}

qasr_status audio_stream_open(audio_stream **out, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    audio_stream *a;
    TRY(MEM_ALLOC(&a, 1, err));
    qasr_status status = open_stream(a, path, opt, err);
    if (status == QASR_OK)
        status = survey(a, err);
    if (status != QASR_OK) {
        audio_stream_close(a);
        return status;
    }
    *out = a;
    return QASR_OK;
}

uint64_t audio_stream_length(const audio_stream *a)
{
    return resampled_length(a->again ? a->n_frames_before : a->n_frames, source_rate(a->source));
}

bool audio_stream_is_damaged(const audio_stream *a) { return a->damaged; }

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

const char *audio_soxr_version(void)
{
    const char *name = soxr_version(), *dash = strrchr(name, '-'); /* "libsoxr-0.1.3" */
    return dash ? dash + 1 : name;
}
