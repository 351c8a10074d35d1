/* Levels of a sound, measured in the first pass over it, to keep three things from blanking it: a few samples far
 * beyond all others, by which the reference would divide the whole, channels in opposite phase, whose mean is silence,
 * and a DC offset that is louder than the sound. Nothing changes a sound whose
 * samples are all within 4, whose channels do not cancel, and whose mean is near 0. */
#ifndef QASR_AUDIO_LEVELS_H
#define QASR_AUDIO_LEVELS_H

#include "audio/audio.h"

enum { LEVELS_EXPONENTS = 256 };

/* Frames [from, to) whose channels cancel: channel (from 1) is the loudest of them. */
typedef struct cancelled {
    uint64_t from, to;
    size_t channel;
} cancelled;

typedef struct levels {
    int rate;
    size_t channels;
    uint64_t n; /* frames that were added */
    /* Frames of the mix by the exponent of their level: [i] holds those from 2^(i - 127) on, up to twice that. */
    uint64_t counts[LEVELS_EXPONENTS];
    float largest[LEVELS_EXPONENTS];
    uint64_t first[LEVELS_EXPONENTS]; /* the first such frame */
    double sum, energy;               /* of the mix, and of its squares */
    /* The current block: sums of squares of each channel, and of the sum of all. */
    size_t n_block;
    double channel_energy[AUDIO_MAX_CHANNELS], sum_energy;
    cancelled *ranges; /* [n_ranges] in order */
    size_t n_ranges, capacity;
} levels;

void levels_init(levels *l, int rate, size_t channels);
void levels_free(levels *l);
/* Adds n frames [n, channels] and their mix [n], which must be finite. Error: NOMEM. */
qasr_status levels_add(levels *l, const float *frames, const float *mix, size_t n, qasr_error *err);
/* The last block is complete. Error: NOMEM. */
qasr_status levels_finish(levels *l, qasr_error *err);
/* The largest level of the mix that is not an outlier: samples that together last less than 50 ms, above 4, and more
 * than 24 dB above all others. INFINITY: there are none. *at: the first outlier's frame, *peak its level. */
float levels_limit(const levels *l, uint64_t *at, float *peak);
/* The mean of the mix if it outweighs the sound: 12 dB above its deviation, and above 0.01. Else 0, as for less than
 * half a second. */
float levels_offset(const levels *l);
/* The range at or behind a frame; NULL: there is none. */
const cancelled *levels_cancelled(const levels *l, uint64_t frame);

#endif
