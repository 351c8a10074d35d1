/* Opens weights in either container. */
#ifndef QASR_WEIGHTS_OPEN_H
#define QASR_WEIGHTS_OPEN_H

#include "weights/weights.h"

/* By content: GGUF magic or safetensors. */
qasr_status weights_open(weights **out, const char *path, qasr_error *err);
qasr_status weights_is_gguf(bool *out, const char *path,
                            qasr_error *err); /* a file that begins as one. Errors: IO, NOMEM */

#endif
