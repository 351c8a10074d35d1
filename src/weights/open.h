/* Opens weights in either container. */
#ifndef QASR_WEIGHTS_OPEN_H
#define QASR_WEIGHTS_OPEN_H

#include "weights/weights.h"

/* Detects the container by content: GGUF magic, else safetensors. Errors as weights_open_gguf and
 * weights_open_safetensors. */
qasr_status weights_open(weights **out, const char *path, qasr_error *err);
/* True for a file that begins with the GGUF magic. Errors: IO, FORMAT (a git-lfs pointer), NOMEM. */
qasr_status weights_is_gguf(bool *out, const char *path, qasr_error *err);

#endif
