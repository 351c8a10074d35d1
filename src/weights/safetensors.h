/* Reads safetensors files. */
#ifndef QASR_WEIGHTS_SAFETENSORS_H
#define QASR_WEIGHTS_SAFETENSORS_H

#include "weights/weights.h"

/* path: a directory (model.safetensors, else model.safetensors.index.json, else model-*-of-*.safetensors sorted), a
 * .safetensors file or a .safetensors.index.json. With an index, every tensor is looked up in the file that weight_map
 * names. Tensors of element types other than BF16, F16 and F32 are left out with a warning. Errors: IO (missing
 * shard...), FORMAT, NOMEM. */
qasr_status weights_open_safetensors(weights **out, const char *path, qasr_error *err);

#endif
