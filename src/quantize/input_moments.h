/* Sums over the rows of a matrix's input: squares, products of two elements, and how the rows differ from those of
 * another version of the network. Rows are weighted (row_weights.h) and gathered in a block, and a full block is added:
 * so the sums depend on the rows and their order alone. */
#ifndef QASR_QUANTIZE_INPUT_MOMENTS_H
#define QASR_QUANTIZE_INPUT_MOMENTS_H

#include "model/net.h"

enum { MOMENTS_SQUARES = 1, MOMENTS_PRODUCTS = 2, MOMENTS_DRIFT = 4 };

typedef struct input_moments {
    size_t cols;
    unsigned what;
    dmat squares;   /* [1, cols] */
    dmat triangle;  /* [1, cols (cols + 1) / 2], as op_add_products has it */
    dmat drift;     /* [cols, cols]: element [i][j] sums (exact_i - x_i) x_j */
    dmat block;     /* [., cols]: rows x; a caller with narrower rows may keep something in the last column */
    dmat changes;   /* the same of exact - x */
    size_t n_block; /* rows in the block */
    uint64_t n_rows;
    double weight, weight_squares; /* of all rows */
} input_moments;

/* Floats of the triangle. */
static inline size_t input_moments_triangle(size_t cols) { return cols * (cols + 1) / 2; }
/* Device memory that one takes, what: sums of the enum above. */
uint64_t input_moments_bytes(size_t cols, unsigned what);
/* Takes its part of mem from byte *used on. */
void input_moments_place(input_moments *g, device_mem *mem, size_t *used, size_t cols, unsigned what);

/* Between device_begin and device_end. Zeroes sums and block. */
void input_moments_clear(input_moments *g, device *d);
/* Rows x, and those of the exact version, which are not looked at without MOMENTS_DRIFT. */
void input_moments_add(input_moments *g, device *d, dmat x, dmat exact, net_rows rows);
/* What is in the block goes into the sums. */
void input_moments_flush(input_moments *g, device *d);

#endif
