/* Whether the answer to a segment can be what was said. */
#ifndef QASR_ENGINE_ANSWER_CHECK_H
#define QASR_ENGINE_ANSWER_CHECK_H

#include <stdbool.h>

#include "engine/engine.h"

/* What is known of the sound of a segment. */
typedef struct answer_audio {
    double active_s, length_s; /* seconds in which something is to be heard, of how many */
    double level;              /* root mean square, 1 is full scale */
    unsigned depth;            /* the segment is a half (1), a quarter (2) of one whose answer had too little text */
} answer_audio;

/* OK or one of the SUSPECT ones, from the segment's text and stop reason, and its sound. */
qasr_segment_status answer_check(const qasr_segment *p, const answer_audio *audio);
bool answer_is_suspect(qasr_segment_status status);

#endif
