/* Finds active audio in a segment: the edges of speech, pauses to cut in, silence to skip. */
#ifndef QASR_AUDIO_ACTIVITY_H
#define QASR_AUDIO_ACTIVITY_H

#include <stdbool.h>

#include "audio/audio.h"

/* Frame t is that of the features: around sample t * MEL_HOP. All arrays are [n_frames]. */
typedef struct activity {
    size_t n_frames;
    float *above; /* dB by which the strongest band exceeds its floor, at least 0 */
    float *flux;  /* mean rise of the bands since the previous frame, in dB */
    float *loud;  /* dB of the loudest bin */
    bool *active;
    bool *silent; /* see activity_is_silent */
    bool *steady; /* in a stretch of two seconds in which no band changes its level: silence or constant noise */
} activity;

/* Frames of nothing but silence or steady noise, which no speech can be heard in. */
bool activity_is_still(const activity *a, size_t t);
/* features [MEL_BINS, n_frames] of mel_compute, n_frames at least 1. Error: NOMEM. */
qasr_status activity_find(activity *a, const float *features, size_t n_frames, qasr_error *err);
/* Not active, and so faint that nothing is lost by skipping it: at most steady noise of about -50 dBFS. */
bool activity_is_silent(const activity *a, size_t t);
void activity_free(activity *a); /* a zeroed one is fine */
/* Number of active frames; [*first, *end) spans them, and is 0, 0 if there are none. */
size_t activity_edges(const activity *a, size_t *first, size_t *end);

#endif
