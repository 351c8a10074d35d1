/* Several matrices in one block of device memory. */
#ifndef QASR_DEVICE_LAYOUT_H
#define QASR_DEVICE_LAYOUT_H

#include "device/device.h"

typedef struct dmat_part {
    dmat *m; /* set by dmat_layout */
    dtype type;
    size_t rows, cols; /* rows 0: the matrix is absent */
} dmat_part;

/* Places parts [n] one after another, starting at byte at of mem, each aligned for all kernels. Returns the offset
 * after the last. With mem NULL only that and the shapes are valid: call again once the memory is allocated. */
size_t dmat_layout(device_mem *mem, size_t at, const dmat_part *parts, size_t n);
/* Allocates a block for the parts and places them; the caller owns the block. Error: NOMEM. */
qasr_status dmat_alloc(device *d, device_mem **out, const dmat_part *parts, size_t n, qasr_error *err);

#endif
