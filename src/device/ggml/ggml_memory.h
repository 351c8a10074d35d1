/* Memory of a ggml device: blocks, which matrices are views of. Weights (ggml_weights.h) use the same struct. */
#ifndef QASR_DEVICE_GGML_GGML_MEMORY_H
#define QASR_DEVICE_GGML_GGML_MEMORY_H

#include "device/device.h"

struct ggml_backend_buffer;
struct ggml_backend_device;
struct ggml_backend_buffer_type;
struct ggml_context;
struct ggml_tensor;

/* Host copy of the integers last written at an offset: the host needs ids and positions too, for masks. */
typedef struct host_ints {
    size_t offset, n, capacity;
    int32_t *values;
    struct host_ints *next;
} host_ints;

struct device_mem {
    uint64_t id; /* never reused */
    struct ggml_context *context;
    struct ggml_tensor *whole;          /* the block as bytes, or the weight */
    struct ggml_backend_buffer *buffer; /* of the block; NULL: a weight, which is in a shared buffer */
    host_ints *ints;
    const void *stored; /* the weight in the file, [rows] of stored_type; NULL: a block */
    quant_type stored_type;
    struct device_mem *next; /* in the list of the weights */
};

typedef struct ggml_memory {
    struct ggml_backend_device *device;
    uint64_t last_id, used, peak;
} ggml_memory;

qasr_status memory_alloc(ggml_memory *m, device_mem **out, size_t bytes, qasr_error *err);
void memory_free(ggml_memory *m, device_mem *mem);
qasr_status memory_write(const dmat *dst, const void *src, qasr_error *err);
void memory_read(void *dst, const dmat *src);
/* The integers [n] last written at offset; NULL if there are none. */
const int32_t *memory_ints(const device_mem *mem, size_t offset, size_t n);

/* Also used for weights: a tensor of an enum ggml_type, without memory yet; and buffers, counted in m. */
qasr_status memory_new_tensor(ggml_memory *m, device_mem **out, int type, size_t cols, size_t rows, qasr_error *err);
qasr_status memory_new_buffer(ggml_memory *m, struct ggml_backend_buffer **out, size_t bytes, qasr_error *err);
void memory_free_buffer(ggml_memory *m, struct ggml_backend_buffer *buffer); /* NULL is fine */
struct ggml_backend_buffer_type *memory_buffer_type(const ggml_memory *m);
int memory_ggml_type(dtype type);

#endif
