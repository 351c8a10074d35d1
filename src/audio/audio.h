/* Sound in: any file -> its own frames (source.h) -> 16 kHz mono float (decode.c) -> log-mel (mel.c). What is in it:
 * activity.h; where to cut it: split.h. */
#ifndef QASR_AUDIO_AUDIO_H
#define QASR_AUDIO_AUDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

enum {
    AUDIO_RATE = 16000,
    AUDIO_MIN_SAMPLES = 8000, /* half a second */
    AUDIO_MIN_RATE = 1000,    /* of files */
    AUDIO_MAX_RATE = 768000,
    AUDIO_MAX_CHANNELS = 256,
    AUDIO_MAX_HOURS = 24,
    MEL_BINS = 128,
    MEL_FFT = 400,
    MEL_SPECTRUM = MEL_FFT / 2 + 1,
    MEL_HOP = 160
};

/* Samples that the features are computed of: shorter segments are zero-padded to AUDIO_MIN_SAMPLES. */
static inline size_t audio_padded_samples(size_t n) { return n < AUDIO_MIN_SAMPLES ? AUDIO_MIN_SAMPLES : n; }
/* Endings of the names of files that are worth opening, as in "wav", without the ones that only say what is meant to be
 * in a file; NULL after the last. */
const char *audio_extension(size_t index);

const char *audio_sndfile_version(void);
const char *audio_soxr_version(void);

/* decode.c: the caller's options, which may be NULL or of another version, as complete ones. Error: INVALID. */
qasr_status audio_read_options(qasr_audio_options *own, const qasr_audio_options *given, qasr_error *err);
/* File ("-": standard input) -> *pcm [*n_samples], 16 kHz mono, |x| <= 1; zero samples are not an
 * error here. opt is complete; what it leaves out of the file plays no part, also for the peak. Order of the reference
 * (qwen_asr inference/utils.py): decode, mean over channels, resample, divide by the peak if it is above 1, clip.
 * Samples that are not finite become an error (FORMAT). Free with mem_free. */
qasr_status audio_load(float **pcm, size_t *n_samples, const char *path, const qasr_audio_options *opt,
                       qasr_error *err);
/* What the headers say, of the part that opt chooses. info->struct_size is left as it is. */
qasr_status audio_probe(qasr_audio_info *info, const char *path, const qasr_audio_options *opt, qasr_error *err);

/* Something that is missing in a file, or damaged: from where to where, in seconds of the file; silence stands there,
 * nothing, or what was made of it (levels.h). to_s == from_s: how much it is is not known. */
enum { AUDIO_DAMAGE_TEXT = 200 };
typedef struct audio_damage {
    double from_s, to_s;
    bool is_end; /* the file ends there, or a file of several that were joined */
    char what[AUDIO_DAMAGE_TEXT];
} audio_damage;

/* The same samples bit by bit, in memory that does not grow with the file. Opening decodes all of it once, for the
 * peak, and reports what is wrong with it; path and the strings of opt must live as long as the stream. The file is
 * read as far as it went when it was opened. Errors as audio_load, also of reading: IO when it became shorter since. */
typedef struct audio_stream audio_stream;
qasr_status audio_stream_open(audio_stream **out, const char *path, const qasr_audio_options *opt, qasr_error *err);
/* The next n samples; *n_read is less than n at the end only. */
qasr_status audio_stream_read(audio_stream *a, float *pcm, size_t n, size_t *n_read, qasr_error *err);
/* Samples of all of it, known once it is open. */
uint64_t audio_stream_length(const audio_stream *a);
/* What is damaged in the part that is read, in order; NULL after the last. Owned by the stream. */
const audio_damage *audio_stream_damage(const audio_stream *a, size_t i);
void audio_stream_close(audio_stream *a); /* NULL is fine */

/* mel.c: the Whisper features with 128 bins, floor(n / 160) frames, no padding to 30 s. */
typedef struct mel mel; /* tables; read-only, may be shared by threads */
qasr_status mel_create(mel **out, qasr_error *err);
void mel_free(mel *m);
/* Frames of n samples: n / 160. */
size_t mel_frames(size_t n_samples);
/* The tables as others store them: triangles [MEL_BINS, MEL_SPECTRUM] over the bins of the spectrum, window [MEL_FFT].
 */
void mel_get_filters(const mel *m, float *out);
void mel_get_window(const mel *m, float *out);
/* out: [MEL_BINS, mel_frames(n)], float32, row-major; n > 200. Not padded: the caller pads short clips.
 * Scratch comes from the heap (NOMEM). Deterministic for any number of threads; pool may be NULL. */
qasr_status mel_compute(const mel *m, float *out, const float *pcm, size_t n_samples, pool *p, qasr_error *err);

/* The features before they are normalized by the maximum of the clip. Most frames of long audio are also those of a
 * segment that it begins with, so they need not be computed again. */
typedef struct log_mel {
    float *values; /* [MEL_BINS, n_frames], log10 of the bands' power, at least -10; NULL: none */
    size_t n_frames;
} log_mel;
/* Arguments and errors as mel_compute. Free with log_mel_free. */
qasr_status mel_compute_logs(const mel *m, log_mel *out, const float *pcm, size_t n_samples, pool *p, qasr_error *err);
void log_mel_free(log_mel *l); /* a zeroed one is fine; leaves it zeroed */
/* Gives the same bits as mel_compute, but copies what it can from `known`: the logs of audio that begins with
 * pcm [n_samples], and may continue after it. */
qasr_status mel_compute_known(const mel *m, float *out, const log_mel *known, const float *pcm, size_t n_samples,
                              pool *p, qasr_error *err);

#endif
