/* Second moments of a matrix's input: sums of squares, of products of two elements, and of the drift from the exact
 * version of the network. Rows are weighted (row_weights.h) and collected in a block; full blocks are added to the
 * sums, so these depend only on the rows and their order. */
#ifndef QASR_QUANTIZE_INPUT_MOMENTS_H
#define QASR_QUANTIZE_INPUT_MOMENTS_H

#include "model/net.h"

enum { MOMENTS_SQUARES = 1, MOMENTS_PRODUCTS = 2, MOMENTS_DRIFT = 4 };

typedef struct input_moments {
    size_t cols;
    unsigned what;
    dmat squares;   /* [1, cols] */
    dmat triangle;  /* [1, cols (cols + 1) / 2], in the order of op_add_products */
    dmat drift;     /* [cols, cols]: element [i][j] sums (exact_i - x_i) x_j */
    dmat block;     /* [., cols]: rows x; callers with narrower rows may use the last column */
    dmat changes;   /* [., cols]: rows exact - x */
    size_t n_block; /* rows in the block */
    uint64_t n_rows;
    double weight, weight_squares; /* of all rows */
} input_moments;

/* Floats of the triangle. */
static inline size_t input_moments_triangle(size_t cols) { return cols * (cols + 1) / 2; }
/* Bytes of device memory for these sums; what: a combination of MOMENTS_*. */
uint64_t input_moments_bytes(size_t cols, unsigned what);
/* Places the sums in mem from byte *used on, and advances *used. */
void input_moments_place(input_moments *g, device_mem *mem, size_t *used, size_t cols, unsigned what);

/* The following are called between device_begin and device_end. Zeroes sums and block. */
void input_moments_clear(input_moments *m, device *d);
/* Adds rows x; exact, the same rows of the exact version, is used with MOMENTS_DRIFT only. */
void input_moments_add(input_moments *m, device *d, dmat x, dmat exact, net_rows rows);
/* Adds the rows in the block to the sums. */
void input_moments_flush(input_moments *m, device *d);

#endif
