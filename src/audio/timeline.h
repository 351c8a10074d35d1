/* Maps samples of shortened audio to the audio it was made of: long pauses of a segment are shortened before the model
 * hears them, and times must still be those of the file. */
#ifndef QASR_AUDIO_TIMELINE_H
#define QASR_AUDIO_TIMELINE_H

#include <stddef.h>

#include "base/error.h"

typedef struct omission {
    size_t at; /* samples before it that are kept */
    size_t n;  /* samples left out there */
} omission;

/* A zeroed one is audio of which nothing is left out. */
typedef struct timeline {
    omission *omissions; /* [n], owned; at increases */
    size_t n;
} timeline;

/* Adds an omission behind all others. Error: NOMEM. */
qasr_status timeline_omit(timeline *t, size_t at, size_t n, qasr_error *err);
/* Samples left out. */
size_t timeline_omitted(const timeline *t);
/* Index in the original audio of a sample of the shortened one: behind the omission if there is one right before it. */
size_t timeline_original(const timeline *t, size_t sample);
/* Copies what is kept of pcm to out [n_kept]. */
void timeline_copy_kept(const timeline *t, float *out, size_t n_kept, const float *pcm);
/* Cuts the shortened audio at a sample: t keeps the part before, *rest gets the part from there on. An omission at the
 * cut belongs to the part before. *rest is overwritten. Error: NOMEM. */
qasr_status timeline_cut(timeline *t, timeline *rest, size_t at, qasr_error *err);
void timeline_free(timeline *t);

#endif
