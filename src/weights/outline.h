/* Weights without data: names, types and shapes of tensors, for calculations about files that need not exist. */
#ifndef QASR_WEIGHTS_OUTLINE_H
#define QASR_WEIGHTS_OUTLINE_H

#include "weights/weights.h"

/* A copy of tensors [n], of which name (in the original layout), type, n_dims and shape count; the data of the new ones
 * is NULL. Errors: FORMAT (a shape that the type cannot store or whose size overflows, two equal names), NOMEM. */
qasr_status weights_create_outline(weights **out, const wtensor *tensors, size_t n, qasr_error *err);

#endif
