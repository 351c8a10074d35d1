/* Memory of a ggml device: blocks that matrices are views of, and weights, each a tensor of its own. */
#ifndef QASR_DEVICE_GGML_GGML_MEMORY_H
#define QASR_DEVICE_GGML_GGML_MEMORY_H

#include "device/device.h"

struct ggml_backend_buffer;
struct ggml_backend_device;
struct ggml_context;
struct ggml_tensor;

/* Integers that were written last at an offset: ids and positions are needed on the host too, for masks. */
typedef struct host_ints {
    size_t offset, n, capacity;
    int32_t *values;
    struct host_ints *next;
} host_ints;

struct device_mem {
    uint64_t id; /* never used twice */
    struct ggml_context *context;
    struct ggml_tensor *whole;          /* the block as bytes; or the weight */
    struct ggml_backend_buffer *buffer; /* of the block; NULL: a weight, which lies in another's */
    host_ints *ints;
    const void *stored; /* a weight as the file has it, [rows] of stored_type; NULL: a block */
    quant_type stored_type;
    struct device_mem *next; /* weights, listed in the memory */
};

typedef struct mapped_file mapped_file;
typedef struct weight_slab weight_slab;

typedef struct ggml_memory {
    struct ggml_backend_device *device;
    uint64_t last_id, used, peak;
    struct device_mem *weights;
    mapped_file *files;
    weight_slab *slabs;
    bool told[QUANT_TYPE_COUNT]; /* the log knows that this type is converted */
} ggml_memory;

void memory_close(ggml_memory *m);
qasr_status memory_alloc(ggml_memory *m, device_mem **out, size_t bytes, qasr_error *err);
void memory_free(ggml_memory *m, device_mem *mem);
qasr_status memory_write(const dmat *dst, const void *src, qasr_error *err);
void memory_read(void *dst, const dmat *src);
/* The integers [n] that were last written at offset, NULL if none were. */
const int32_t *memory_ints(const device_mem *mem, size_t offset, size_t n);
/* In place where the device takes host memory and the data are aligned, else uploaded in small parts, as the type if
 * the device multiplies it, else as f16 or f32. */
qasr_status memory_map_weight(ggml_memory *m, dmat *out, const file_map *file, const void *data, quant_type type,
                              size_t rows, size_t cols, qasr_error *err);
/* Does the device multiply weights of a type? */
bool memory_reads_type(struct ggml_backend_device *on, quant_type type, size_t cols);

#endif
