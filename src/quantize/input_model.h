/* The input of a quantization: the weights of a checkpoint or of GGUF files, with name and configuration. */
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
    char *dir;                  /* the input, or the directory it is in */
    char *name;                 /* of the model: from the GGUF file, else of the directory */
    char *config;               /* text of the config.json next to the input or embedded in a GGUF file; NULL: none */
    struct json_t *config_root; /* the same, parsed */
    double segment_seconds;     /* CONFIG_SEGMENT_SECONDS of the model; 0: none */
    bool tied;                  /* the head is the embedding */
    weights *own;               /* the source, unless it belongs to model */
    qasr_model *model;          /* the complete model that the input is, or is part of; NULL: not opened */
} input_model;

/* path: a model directory, a safetensors file or index, a GGUF file. whole: open a complete model and check it as
 * for transcription; a safetensors file stands for its directory. Otherwise the tensors whose names begin with scope
 * are checked in the same way, if the input has a configuration. Errors: IO, FORMAT (also a tensor that the network
 * needs is missing, or has a wrong shape or type), UNSUPPORTED, INVALID, NOMEM. */
qasr_status input_model_open(input_model *in, const char *path, bool whole, const char *scope, qasr_error *err);
/* Opens the complete model of an input that was opened without it. Errors: as above; INVALID (a decoder alone). */
qasr_status input_model_open_whole(input_model *in, qasr_error *err);
void input_model_close(input_model *in); /* fine after a failure, and on a zeroed struct */
/* A metadata key of the decoder's GGUF file; NULL if there is no such key or file. */
const wmeta *input_model_key(const input_model *in, const char *key);

#endif
