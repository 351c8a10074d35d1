/* Reads GGUF files. */
#ifndef QASR_WEIGHTS_GGUF_READ_H
#define QASR_WEIGHTS_GGUF_READ_H

#include "weights/weights.h"

/* GGUF version 2 or 3, little endian. Of a model in several files, path is any of its parts: all are opened, the first
 * one as file 0. Errors: IO (also a missing part), FORMAT (also a part of something else), UNSUPPORTED (type, version),
 * NOMEM. */
qasr_status weights_open_gguf(weights **out, const char *path, qasr_error *err);
/* True if path is named as another part than the first, and there is a file with the name of the first, which stands
 * for all of them where a directory is searched. */
bool gguf_is_later_part(const char *path);

#endif
