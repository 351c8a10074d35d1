/* Error-compensated rounding of a matrix to blocks: the error of each column is made up for by the columns that are
 * still to be rounded, so that products with inputs like those of the calibration come out right, not the weights
 * themselves. This is the method of GPTQ (Frantar et al., 2022) in the form without an inverse (LDLQ of QuIP, Chee et
 * al., 2023).
 *
 * With H = sum of x x^T over inputs x, a row's error e = w - stored adds e H e^T to the squared error of its outputs.
 * Let H = U^T U, U upper triangular: that is the sum over columns j of (e_j U_jj + sum over k > j of e_k U_jk)^2. So
 * columns go from the last to the first, and each is rounded near w_j + (sum over k > j of e_k U_jk) / U_jj; U_jj^2 is
 * what its rounding error costs in the end, and the importance by which a block's scales are chosen. Blocks are those
 * of the format: whoever reads the file knows nothing of this.
 *
 * When the stored matrix will get inputs y that differ from x, those of the exact one, because matrices before it are
 * rounded as well, the best row is no longer w but w + w C H^-1, with H = sum of y y^T and C = sum of (x - y) y^T. It
 * need not be computed: column j is rounded near w_j + ((w C U^-1)_j + sum over k > j of e_k U_jk) / U_jj, with e = w -
 * stored as before. */
#ifndef QASR_QUANTIZE_GPTQ_H
#define QASR_QUANTIZE_GPTQ_H

#include "base/error.h"
#include "base/pool.h"
#include "kernels/kernels.h"

/* The factor of one input's second moments. */
typedef struct hessian {
    const kernels *k;
    size_t n;
    float *factor;  /* [n, n], U in the upper half; below is scratch */
    double damping; /* what was needed in the end */
    float *drift;   /* [n, n], C U^-1, turned; NULL: inputs stay what they are */
} hessian;

/* moments [n, n], symmetric, is taken over and overwritten. damping times the mean of the diagonal is added to it,
 * ten times more until it can be factored: rounding must not rely on directions that calibration has hardly seen.
 * All-zero moments count as the unit matrix. The bits do not depend on the number of threads. Error: FORMAT (values
 * that are not finite, negative squares; name is the tensor's for that message). */
qasr_status hessian_create(hessian *m, pool *p, float *moments, size_t n, double damping, const char *name,
                           qasr_error *err);
/* cross [n, n]: C, element [i][j] = sum of (x_i - y_i) y_j, of as many inputs as the moments are; finite. It is taken
 * over and overwritten. The bits do not depend on the number of threads. */
void hessian_set_drift(hessian *m, pool *p, float *cross);
/* Mean squares that the outputs of rows x [n_rows, n] have, n_rows <= GPTQ_ROWS, added up: with the moments as they
 * were factored, damping included. */
double hessian_energy(const hessian *m, const float *x, size_t n_rows);
void hessian_free(hessian *m); /* frees the moments and the drift too */

enum { GPTQ_ROWS = 16 }; /* rows at a time: they share the reading of the factor */

/* Floats of scratch memory for gptq_rows with rows of n. */
size_t gptq_scratch(size_t n);
/* Rows w [n_rows, m->n], n_rows <= GPTQ_ROWS, to blocks of a type, row after row. The type's block divides n; its rows
 * are finite. A row's blocks do not depend on the others. */
void gptq_rows(const hessian *m, void *blocks, quant_type type, const float *w, size_t n_rows, float *scratch);

#endif
