/* What is quantized: the weights of a checkpoint or of a GGUF file, and what is known about them beside their values. */
#ifndef QASR_ENGINE_ORIGIN_H
#define QASR_ENGINE_ORIGIN_H

#include <stdbool.h>

#include "weights/weights.h"

typedef struct origin {
    weights *w;
    char *path;
    char *dir;    /* that the input is, or lies in */
    char *config; /* text of the config.json beside the input, or that a GGUF file holds; NULL: there is none */
    bool tied;    /* it says that the head is the embedding */
} origin;

/* path: a model directory, a safetensors file or index, a GGUF file. Errors: IO, FORMAT, UNSUPPORTED, NOMEM. */
qasr_status origin_open(origin *o, const char *path, qasr_error *err);
void origin_close(origin *o); /* fine after a failure, and on a zeroed struct */

#endif
