/* The scores of a chosen token, computed here for all devices. */
#ifndef QASR_DEVICE_TOKEN_SCORE_H
#define QASR_DEVICE_TOKEN_SCORE_H

#include <stddef.h>
#include <stdint.h>

/* out[0]: natural logarithm of softmax(x [n]) at id; out[1]: entropy of softmax(x) in nats. x[id] must be the largest
 * value. Both are NaN if id is negative. */
void token_score(float out[2], const float *x, size_t n, int32_t id);

#endif
