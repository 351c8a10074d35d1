/* Reads a single GGUF file. Private to src/weights. */
#ifndef QASR_WEIGHTS_GGUF_FILE_H
#define QASR_WEIGHTS_GGUF_FILE_H

#include "weights/weights.h"

/* Adds the tensors and keys of a file to w, behind those that it has. Errors as weights_open_gguf. */
qasr_status gguf_read_file(weights *w, const char *path, qasr_error *err);

#endif
