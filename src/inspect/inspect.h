/* Describes a model directory, a .safetensors or a .gguf file of any origin: tensors and facts. */
#ifndef QASR_INSPECT_INSPECT_H
#define QASR_INSPECT_INSPECT_H

#include "qasr/qasr_tools.h"

/* Errors: IO, FORMAT, UNSUPPORTED, NOMEM. */
qasr_status inspect_open(qasr_inspect **out, const char *path, qasr_error *err);
void inspect_free(qasr_inspect *in);

size_t inspect_tensor_count(const qasr_inspect *in);
const qasr_tensor_info *inspect_tensor(const qasr_inspect *in, size_t index); /* NULL if out of range */
size_t inspect_fact_count(const qasr_inspect *in);
/* Key and value of a fact; NULL if out of range. */
const char *inspect_fact(const qasr_inspect *in, size_t index, const char **value);

#endif
