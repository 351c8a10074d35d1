/* Interleaved frames from one rate to another by soxr "HQ", into a buffer whose front can be dropped. */
#ifndef QASR_AUDIO_RESAMPLER_H
#define QASR_AUDIO_RESAMPLER_H

#include <stdint.h>

#include "base/buf.h"

typedef struct resampler {
    void *soxr; /* NULL when the rates are the same */
    int from, to;
    size_t channels;
    buf pcm;            /* frames at the rate `to`, [n, channels] */
    float *chunk;       /* scratch */
    uint64_t n_dropped; /* frames that were before those of pcm */
} resampler;

/* *r is to be closed after an error too. Error: NOMEM. */
qasr_status resampler_open(resampler *r, int from, int to, size_t channels, qasr_error *err);
void resampler_close(resampler *r); /* harmless on a zeroed struct */
/* Puts n frames in. Error: NOMEM. */
qasr_status resampler_put(resampler *r, const float *frames, size_t n, qasr_error *err);
/* Ends the signal of n_frames in all and makes its length resampler_length of that. Error: NOMEM. */
qasr_status resampler_finish(resampler *r, uint64_t n_frames, qasr_error *err);
/* Frames that n become: rounded up. */
uint64_t resampler_length(uint64_t n, int from, int to);
size_t resampler_count(const resampler *r); /* frames in pcm */
float *resampler_frames(const resampler *r);
/* Forgets the first n frames of pcm. */
void resampler_drop(resampler *r, size_t n);

#endif
