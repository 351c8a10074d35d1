/* Whether the answer to a piece can be what was said. */
#ifndef QASR_ENGINE_GUARD_H
#define QASR_ENGINE_GUARD_H

#include <stdbool.h>

#include "engine/engine.h"

/* OK or one of the SUSPECT ones, from the piece's text and stop reason, and from the seconds of it in which something is to be heard. */
qasr_piece_status guard_judge(const qasr_piece *p, double heard_s);
bool guard_is_suspect(qasr_piece_status status);

#endif
