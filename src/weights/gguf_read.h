/* Reads GGUF files. */
#ifndef QASR_WEIGHTS_GGUF_READ_H
#define QASR_WEIGHTS_GGUF_READ_H

#include "weights/weights.h"

/* GGUF version 2 or 3, little endian. Errors: IO, FORMAT, UNSUPPORTED (type, version), NOMEM. */
qasr_status weights_open_gguf(weights **out, const char *path, qasr_error *err);

#endif
