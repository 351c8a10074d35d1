/* What is quantized: the weights of a checkpoint or of GGUF files, and what is known about them beside their values. */
#ifndef QASR_QUANTIZE_INPUT_MODEL_H
#define QASR_QUANTIZE_INPUT_MODEL_H

#include <stdbool.h>

#include "qasr/qasr.h"
#include "weights/weights.h"

enum { ORIGIN_MAX_SOURCES = 2 }; /* llama.cpp's pair: encoder, decoder */

typedef struct origin {
    const weights *sources[ORIGIN_MAX_SOURCES];
    size_t n_sources;
    char *path;
    char *dir;         /* that the input is, or lies in */
    char *name;        /* of the model: as a GGUF file says, else that of the directory */
    char *config;      /* text of the config.json beside the input, or that a GGUF file holds; NULL: there is none */
    bool tied;         /* the head is the embedding */
    weights *own;      /* the source, unless it is part of */
    qasr_model *model; /* the whole model, if that was asked for; else NULL */
} origin;

/* path: a model directory, a safetensors file or index, a GGUF file. whole: all of a model is needed; it is opened and checked
 * as for transcription, from the directory of a safetensors file. Errors: IO, FORMAT, UNSUPPORTED, INVALID, NOMEM. */
qasr_status origin_open(origin *o, const char *path, bool whole, qasr_error *err);
void origin_close(origin *o); /* fine after a failure, and on a zeroed struct */
/* A metadata key of the GGUF file with the decoder; NULL if there is none, or no such file. */
const wmeta *origin_key(const origin *o, const char *key);

#endif
