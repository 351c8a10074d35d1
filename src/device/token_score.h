/* How likely a chosen token was: all devices compute it here, in the same way. */
#ifndef QASR_DEVICE_TOKEN_SCORE_H
#define QASR_DEVICE_TOKEN_SCORE_H

#include <stddef.h>
#include <stdint.h>

/* out[0]: natural logarithm of softmax(x [n]) at id, out[1]: entropy of softmax(x) in nats; both NaN for a negative id.
 */
void token_score(float out[2], const float *x, size_t n, int32_t id);

#endif
