/* Second moments: sums over rows of the squares and of all pairwise products of their elements. */
#ifndef QASR_DEVICE_CPU_MOMENTS_H
#define QASR_DEVICE_CPU_MOMENTS_H

#include "base/error.h"
#include "base/pool.h"
#include "kernels/kernels.h"

/* Scratch memory; grows on demand and is kept. Initialize with k, pool and zeros. */
typedef struct moments_context {
    const kernels *k;
    pool *pool;
    float *panels; /* of the transposed rows */
    size_t panel_floats;
    float *per_thread; /* [threads][thread_floats] */
    size_t thread_floats;
} moments_context;

void moments_context_free(moments_context *s);

/* sums[c] += sum over rows of x[r][c]^2; x [m, n], row stride ld_x. Summed in double, then added. */
void moments_add_squares(moments_context *s, float *sums, const float *x, size_t ld_x, size_t m, size_t n);

/* triangle[i (i + 1) / 2 + j] += sum over rows of x[r][i] x[r][j] for j <= i. Summed in float32 from row 0 up, then
 * added: results do not depend on threads, but do depend on how rows are split into calls. Error: NOMEM. */
qasr_status moments_add_products(moments_context *s, float *triangle, const float *x, size_t ld_x, size_t m, size_t n,
                                 qasr_error *err);
/* square[i n + j] += sum over rows of x[r][i] y[r][j]: the same for two matrices [m, n], all i and j. */
qasr_status moments_add_cross_products(moments_context *s, float *square, const float *x, size_t ld_x, const float *y,
                                       size_t ld_y, size_t m, size_t n, qasr_error *err);

#endif
