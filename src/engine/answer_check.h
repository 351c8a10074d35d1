/* Checks whether the answer to a segment is plausible for its audio. */
#ifndef QASR_ENGINE_ANSWER_CHECK_H
#define QASR_ENGINE_ANSWER_CHECK_H

#include <stdbool.h>

#include "engine/engine.h"

/* Measurements of a segment's audio. */
typedef struct answer_audio {
    double active_s, length_s; /* active seconds, and total length */
    double level;              /* root mean square, 1 is full scale */
    unsigned depth;            /* the segment is a half (1) or a quarter (2) of one whose answer had too little text */
} answer_audio;

/* Returns OK or one of the SUSPECT values, from the text, the stop reason and the audio of the segment. */
qasr_segment_status answer_check(const qasr_segment *p, const answer_audio *audio);
bool answer_is_suspect(qasr_segment_status status);

#endif
