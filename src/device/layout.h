/* Several matrices in one block of device memory. */
#ifndef QASR_DEVICE_LAYOUT_H
#define QASR_DEVICE_LAYOUT_H

#include "device/device.h"

typedef struct dmat_part {
    dmat *m; /* gets its place */
    dtype type;
    size_t rows, cols; /* rows 0: the matrix is absent */
} dmat_part;

/* Places parts [n] one after another from byte at of mem on, each aligned for any kernel. Returns the byte after the
 * last. With mem NULL only that and the shapes count: call again when the memory is there. */
size_t dmat_layout(device_mem *mem, size_t at, const dmat_part *parts, size_t n);
/* Allocates a block for the parts, places them, and gives the block to the caller. Error: NOMEM. */
qasr_status dmat_alloc(device *d, device_mem **out, const dmat_part *parts, size_t n, qasr_error *err);

#endif
