/* What is quantized: the weights of a checkpoint or of GGUF files, and what is known about them beside their values. */
#ifndef QASR_QUANTIZE_INPUT_MODEL_H
#define QASR_QUANTIZE_INPUT_MODEL_H

#include <stdbool.h>

#include "qasr/qasr.h"
#include "weights/weights.h"

enum { INPUT_MODEL_MAX_SOURCES = 2 }; /* llama.cpp's pair: encoder, decoder */

typedef struct input_model {
    const weights *sources[INPUT_MODEL_MAX_SOURCES];
    size_t n_sources;
    char *path;
    char *dir;    /* that the input is, or lies in */
    char *name;   /* of the model: as a GGUF file says, else that of the directory */
    char *config; /* text of the config.json beside the input, or of the one that a GGUF file holds; NULL: none */
    struct json_t *config_root; /* the same, parsed */
    bool tied;                  /* the head is the embedding */
    weights *own;               /* the source, unless it is part of */
    qasr_model *model;          /* the whole model, if that was asked for; else NULL */
} input_model;

/* path: a model directory, a safetensors file or index, a GGUF file. whole: all of a model is needed; it is opened and
 * checked as for transcription, from the directory of a safetensors file. Errors: IO, FORMAT, UNSUPPORTED, INVALID,
 * NOMEM. */
qasr_status input_model_open(input_model *o, const char *path, bool whole, qasr_error *err);
void input_model_close(input_model *o); /* fine after a failure, and on a zeroed struct */
/* A metadata key of the GGUF file with the decoder; NULL if there is none, or no such file. */
const wmeta *input_model_key(const input_model *o, const char *key);

#endif
