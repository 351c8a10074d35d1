/* Where in a segment of audio something is to be heard: edges of speech, pauses to cut in, silence to skip. */
#ifndef QASR_AUDIO_ACTIVITY_H
#define QASR_AUDIO_ACTIVITY_H

#include <stdbool.h>

#include "audio/audio.h"

/* Frame t is that of the features: around sample t * MEL_HOP. All arrays are [n_frames]. */
typedef struct activity {
    size_t n_frames;
    float *above; /* dB of the band that is furthest above its floor; what is below 0 has become 0 */
    float *flux;  /* dB by which the bands rise from the frame before, their mean */
    float *loud;  /* dB of the loudest bin */
    bool *active;
} activity;

/* features [MEL_BINS, n_frames] of mel_compute, n_frames at least 1. Error: NOMEM. */
qasr_status activity_find(activity *a, const float *features, size_t n_frames, qasr_error *err);
/* Not heard, and so faint that nothing is lost with it: steady noise of about -50 dB below full scale at the most. */
bool activity_is_silent(const activity *a, size_t t);
void activity_free(activity *a); /* a zeroed one is fine */
/* How many frames are heard, and [*first, *end) that holds them; 0, 0 if none is. */
size_t activity_edges(const activity *a, size_t *first, size_t *end);

#endif
