/* Limits and constants of the safetensors container, shared by reader and writer. */
#ifndef QASR_WEIGHTS_SAFETENSORS_FORMAT_H
#define QASR_WEIGHTS_SAFETENSORS_FORMAT_H

enum { SAFETENSORS_MAX_JSON_BYTES = 100 * 1000 * 1000 };

#define SAFETENSORS_METADATA_KEY "__metadata__"

#endif
