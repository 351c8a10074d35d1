/* Sound in: any file -> 16 kHz mono float (decode.c) -> log-mel (mel.c); where to cut long audio (split.c). */
#ifndef QASR_AUDIO_AUDIO_H
#define QASR_AUDIO_AUDIO_H

#include <stddef.h>

#include "base/error.h"
#include "base/pool.h"

enum {
    AUDIO_RATE = 16000,
    AUDIO_MIN_SAMPLES = 8000, /* shorter clips are zero-padded to half a second before the features */
    MEL_BINS = 128,
    MEL_FFT = 400,
    MEL_HOP = 160
};

/* decode.c: file ("-": standard input) -> *pcm [*n_samples], 16 kHz mono, |x| <= 1; zero samples are not an
 * error here. Order of the reference (qwen_asr inference/utils.py): decode, mean over channels, resample,
 * divide by the peak if it is above 1, clip. Samples that are not finite become an error (FORMAT). Free
 * with mem_free. */
qasr_status audio_load(float **pcm, size_t *n_samples, const char *path, qasr_error *err);

/* mel.c: the Whisper features with 128 bins, floor(n / 160) frames, no padding to 30 s. */
typedef struct mel mel; /* tables; read-only, may be shared by threads */
qasr_status mel_create(mel **out, qasr_error *err);
void mel_free(mel *m);
/* Frames of n samples: n / 160. */
size_t mel_frames(size_t n_samples);
/* out: [MEL_BINS, mel_frames(n)], float32, row-major; n > 200. Not padded: the caller pads short clips.
 * Scratch comes from the heap (NOMEM). Deterministic for any number of threads; pool may be NULL. */
qasr_status mel_compute(const mel *m, float *out, const float *pcm, size_t n_samples, pool *p, qasr_error *err);

/* split.c: the reference's rule (split_audio_into_chunks): cuts at the quietest 100 ms within +-5 s of each
 * multiple of max_samples. *cuts [*n_cuts] are the starts of the second and later pieces, ascending;
 * free with mem_free (NULL when there is nothing to cut). */
qasr_status audio_split(size_t **cuts, size_t *n_cuts, const float *pcm, size_t n_samples, size_t max_samples,
                        qasr_error *err);

#endif
