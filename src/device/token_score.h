/* How sure a choice was: what all devices compute in the same way. */
#ifndef QASR_DEVICE_TOKEN_SCORE_H
#define QASR_DEVICE_TOKEN_SCORE_H

#include <stddef.h>
#include <stdint.h>

/* out[0]: logarithm of the probability that softmax gives index id of x [n], out[1]: entropy of all of them, in nats;
 * NaN for a negative id. */
void choice_score(float out[2], const float *x, size_t n, int32_t id);

#endif
