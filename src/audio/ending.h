/* Whether a file whose decoder reads to any end without a word has its end, and whether that is its end. */
#ifndef QASR_AUDIO_ENDING_H
#define QASR_AUDIO_ENDING_H

#include <stdbool.h>

#include "audio/input.h"

/* w covers a whole file. Always false for containers without such information: others than RIFF (AVI, WAV), AIFF,
 * Wave64, RF64, CAF, MP4, Matroska, ASF, transport streams and Ogg. */
bool ending_is_missing(window *w);
/* Another file was joined to it, and is of a kind that is decoded as far as the first goes: MP4, Matroska, ASF, FLV,
 * TTA, WTV, IFF. */
bool ending_is_followed(window *w);

#endif
