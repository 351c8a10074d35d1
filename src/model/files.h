/* Finds and opens the files of a model. Internal to src/model. */
#ifndef QASR_MODEL_FILES_H
#define QASR_MODEL_FILES_H

#include "qasr/qasr.h"
#include "weights/weights.h"

/* Finds the GGUF file for the decoder of a model directory; *out is NULL if the decoder comes from safetensors. name:
 * as qasr_model_options.decoder_gguf. Errors: INVALID, IO, NOMEM. */
qasr_status files_choose_decoder(char **out, const char *dir, qasr_decoder_weights decoder, const char *name,
                                 qasr_error *err);

/* Opens a model configured by GGUF metadata: one complete file (then both are the same object), or llama.cpp's pair.
 * path: the complete file, or either half; mmproj: the file with the encoder, or NULL to search the directory of path.
 * Errors: as weights_open_gguf; UNSUPPORTED (another model), INVALID, IO (the other half is missing). */
qasr_status files_open_gguf(weights **encoder, weights **decoder, const char *path, const char *mmproj,
                            qasr_error *err);
/* The same for a directory with exactly one such model. If no GGUF file is one, *found is false, without an error. */
qasr_status files_open_gguf_dir(weights **encoder, weights **decoder, bool *found, const char *dir, const char *mmproj,
                                qasr_error *err);

#endif
