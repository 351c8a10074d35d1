/* The subtitles of a file, kept until all are known, so that each can last long enough to be read. */
#ifndef QASR_APP_FORMATS_CUES_H
#define QASR_APP_FORMATS_CUES_H

#include <stdbool.h>
#include <stddef.h>

#include "app/formats/subtitle.h"

typedef struct cue {
    double start_s, end_s;
    char *lines;
} cue;

/* Starts as { 0 }. */
typedef struct cues {
    cue *list; /* [n], in order, without overlap */
    size_t n, capacity;
    bool no_memory; /* a cue is missing */
} cues;

/* A subtitle_fn: user is the cues to add to. */
void cues_add(void *user, double start_s, double end_s, const char *lines);
/* Makes each last min_s, if there is so much room between its neighbours and within the audio, which spans begin_s to
 * end_s, else as long as possible: by a later end, and only if that is not enough by an earlier start. */
void cues_stretch(cues *c, double min_s, double begin_s, double end_s);
void cues_free(cues *c);

#endif
