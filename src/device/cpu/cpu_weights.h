/* Memory of the CPU device, and the weights that its handles share: mapped files, used in place. */
#ifndef QASR_DEVICE_CPU_CPU_WEIGHTS_H
#define QASR_DEVICE_CPU_CPU_WEIGHTS_H

#include <pthread.h>

#include "device/cpu/argmax_screen.h"
#include "device/device.h"

/* The screening copy of a matrix in a file. The first handle that needs it creates it for all. */
typedef struct shared_screen {
    pthread_mutex_t lock; /* protects the other fields */
    argmax_screen *copy;  /* NULL: none */
    const void *w;        /* the matrix that was copied */
    size_t n_users;
} shared_screen;

struct device_mem {
    unsigned char *data;
    const file_map *file; /* the file that data points into; NULL: data is owned */
    shared_screen screen; /* files only */
    device_mem *next;     /* in the list of the weights */
};

typedef struct cpu_weights {
    device_weights base;
    const kernels *k;
    bool use_bf16; /* use_bf16 and k determine how convolution weights are packed */
    device_mem *blocks;
} cpu_weights;

qasr_status cpu_mem_alloc(device_mem **out, size_t bytes, qasr_error *err);
void cpu_mem_free(device_mem *mem);

/* For handles that compute products like g. Error: NOMEM. */
qasr_status cpu_weights_create(device_weights **out, const device_ops *ops, const gemm_context *g, qasr_error *err);
void cpu_weights_free(device_weights *w);
qasr_status cpu_weights_alloc(device_weights *w, device_mem **out, size_t bytes, qasr_error *err);
qasr_status cpu_weights_map(device_weights *w, dmat *out, const file_map *file, const void *data, quant_type type,
                            size_t rows, size_t cols, qasr_error *err);

/* The screening copy of matrix w, created with the threads of g if it does not exist; NULL if out of memory, or if
 * another matrix of the file has one. It exists until all users have released it. Thread-safe. */
const argmax_screen *cpu_screen_acquire(const dmat *w, gemm_context *g);
void cpu_screen_release(device_mem *mem);

#endif
