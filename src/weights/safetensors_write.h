/* Writes small float32 safetensors files: dumps of tensors. */
#ifndef QASR_WEIGHTS_SAFETENSORS_WRITE_H
#define QASR_WEIGHTS_SAFETENSORS_WRITE_H

#include "weights/weights.h"

typedef struct st_entry {
    const char *name;
    unsigned n_dims;
    uint64_t shape[WEIGHTS_MAX_DIMS];
    const float *data;
} st_entry;
qasr_status safetensors_write_f32(const char *path, const st_entry *entries, size_t n, qasr_error *err);

#endif
