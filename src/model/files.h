/* Which files make a model. Internal to src/model. */
#ifndef QASR_MODEL_FILES_H
#define QASR_MODEL_FILES_H

#include "qasr/qasr.h"
#include "weights/weights.h"

/* The GGUF file that the decoder of a model directory is read from; *out is NULL when it stays on safetensors. name: as
 * qasr_model_options.decoder_gguf. Errors: INVALID, IO, NOMEM. */
qasr_status files_choose_decoder(char **out, const char *dir, qasr_decoder_weights decoder, const char *name,
                                 qasr_error *err);

/* A model that has its configuration in GGUF files: one with all of it (then both are the same object), or llama.cpp's
 * two. path: that file, or either of the two; mmproj: the one with the encoder, or NULL to look beside the other.
 * Errors: as weights_open_gguf; UNSUPPORTED (another model), INVALID, IO (the other half is not there). */
qasr_status files_open_gguf(weights **encoder, weights **decoder, const char *path, const char *mmproj,
                            qasr_error *err);
/* The same for a directory with exactly one such model. *found is false, and no error, if it has no GGUF file of one.
 */
qasr_status files_open_gguf_dir(weights **encoder, weights **decoder, bool *found, const char *dir, const char *mmproj,
                                qasr_error *err);

#endif
