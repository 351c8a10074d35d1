/* Whether the answer to a piece can be what was said. */
#ifndef QASR_ENGINE_ANSWER_CHECK_H
#define QASR_ENGINE_ANSWER_CHECK_H

#include <stdbool.h>

#include "engine/engine.h"

/* What is known of the sound of a piece. */
typedef struct guard_sound {
    double heard_s, length_s; /* seconds in which something is to be heard, of how many */
    double level;             /* root mean square, 1 is full scale */
    unsigned depth;           /* the piece is a half (1), a quarter (2) of one whose answer had too little text */
} guard_sound;

/* OK or one of the SUSPECT ones, from the piece's text and stop reason, and its sound. */
qasr_piece_status guard_judge(const qasr_piece *p, const guard_sound *sound);
bool guard_is_suspect(qasr_piece_status status);

#endif
