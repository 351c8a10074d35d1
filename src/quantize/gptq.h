/* Error-compensated rounding of a matrix to blocks: the columns still to be rounded compensate for the error of each
 * rounded column. This minimizes the error of products with inputs like those of the calibration, not that of the
 * weights. It is the method of GPTQ (Frantar et al., 2022) in the form without an inverse (LDLQ of QuIP, Chee et al.,
 * 2023).
 *
 * With H = sum of x x^T over inputs x, a row's error e = w - stored adds e H e^T to the squared error of its outputs.
 * Let H = U^T U, U upper triangular: that is the sum over columns j of (e_j U_jj + sum over k > j of e_k U_jk)^2. So
 * columns go from the last to the first, and each is rounded near w_j + (sum over k > j of e_k U_jk) / U_jj; U_jj^2 is
 * the final cost of its rounding error, and the importance used to choose a block's scales. The blocks have the normal
 * format: readers of the file need not know about this.
 *
 * If matrices before it are rounded as well, the stored matrix gets inputs y that differ from the inputs x of the exact
 * one. The best row is then no longer w but w + w C H^-1, with H = sum of y y^T and C = sum of (x - y) y^T. It
 * need not be computed: column j is rounded near w_j + ((w C U^-1)_j + sum over k > j of e_k U_jk) / U_jj, with e = w -
 * stored as before. */
#ifndef QASR_QUANTIZE_GPTQ_H
#define QASR_QUANTIZE_GPTQ_H

#include "base/error.h"
#include "base/pool.h"
#include "kernels/kernels.h"

/* The factored second moments of one input. */
typedef struct hessian {
    const kernels *k;
    size_t n;
    float *factor;  /* [n, n], U in the upper half; below is scratch */
    double damping; /* the damping applied */
    float *drift;   /* [n, n], (C U^-1)^T; NULL: the inputs are the exact ones */
} hessian;

/* Takes moments [n, n], symmetric, and overwrites it. damping times the mean of the diagonal is added to the diagonal,
 * ten times more until the matrix can be factored: rounding must not rely on directions that calibration has hardly
 * seen. All-zero moments count as the unit matrix. The bits do not depend on the number of threads. Errors: FORMAT
 * (values that are not finite, negative squares; name is the tensor's for that message), NOMEM. */
qasr_status hessian_create(hessian *h, pool *p, float *moments, size_t n, double damping, const char *name,
                           qasr_error *err);
/* cross [n, n]: C, element [i][j] = sum of (x_i - y_i) y_j, scaled like the moments; finite. Takes it
 * and overwrites it. The bits do not depend on the number of threads. */
void hessian_set_drift(hessian *h, pool *p, float *cross);
/* Sum over rows x [n_rows, n], n_rows <= GPTQ_ROWS, of the mean squares of their outputs, under the factored moments,
 * damping included. */
double hessian_energy(const hessian *h, const float *x, size_t n_rows);
/* Turns products [n, n] of inputs x into those of inputs x / scale. */
void hessian_scale_products(float *products, size_t n, const float *scale);
void hessian_free(hessian *h); /* frees the moments and the drift too */

enum { GPTQ_ROWS = 16 }; /* rows at a time, which share each read of the factor */

/* Floats of scratch memory for gptq_rows with rows of n. */
size_t gptq_scratch(size_t n);
/* Rows w [n_rows, h->n], n_rows <= GPTQ_ROWS, to blocks of a type, row after row. n is a multiple of the type's block;
 * the rows are finite. A row's blocks do not depend on the others. */
void gptq_rows(const hessian *h, void *blocks, quant_type type, const float *w, size_t n_rows, float *scratch);

#endif
