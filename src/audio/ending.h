/* Whether a sound file in a container that decoders read to any end without a word has its end. */
#ifndef QASR_AUDIO_ENDING_H
#define QASR_AUDIO_ENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENDING_HEAD_BYTES = 1 << 14, ENDING_TAIL_BYTES = 27 + 255 + 255 * 255 }; /* the tail: the largest page of Ogg */

/* head [n_head] and tail [n_tail] are the first and last bytes of a file of `size` bytes, as many of the above as it
 * has. False for other containers than Ogg, Wave64, RF64 and CAF. */
bool ending_is_missing(const unsigned char *head, size_t n_head, const unsigned char *tail, size_t n_tail,
                       uint64_t size);

#endif
