/* Weights in the memory of a ggml device, one tensor each, shared by all handles of the device (device_weights). */
#ifndef QASR_DEVICE_GGML_GGML_WEIGHTS_H
#define QASR_DEVICE_GGML_GGML_WEIGHTS_H

#include "device/ggml/ggml_memory.h"

typedef struct mapped_file mapped_file;
typedef struct weight_slab weight_slab;

typedef struct ggml_weights {
    device_weights base;
    ggml_memory memory;
    device_mem *list; /* of all weights */
    mapped_file *files;
    weight_slab *slabs;
    bool told[QUANT_TYPE_COUNT]; /* conversion of this type was logged */
} ggml_weights;

/* See device_ops. */
qasr_status ggml_dev_weights_create(device_weights **out, const device_ops *ops, struct ggml_backend_device *on,
                                    qasr_error *err);
void ggml_dev_weights_free(device_weights *w);
qasr_status ggml_dev_weights_alloc(device_weights *w, device_mem **out, size_t bytes, qasr_error *err);
/* In place if the device accepts host memory and the data are aligned, else uploaded in small parts. Types that the
 * device does not multiply are converted to f16 or f32. */
qasr_status ggml_dev_weights_map(device_weights *w, dmat *out, const file_map *file, const void *data, quant_type type,
                                 size_t rows, size_t cols, qasr_error *err);
uint64_t ggml_dev_weights_memory(const device_weights *w);

/* True if the device multiplies weights of the type, in rows of cols. */
bool weights_read_type(struct ggml_backend_device *on, quant_type type, size_t cols);

#endif
