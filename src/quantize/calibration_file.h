/* Reads files of statistics (docs/format.md): those of `qasr calibrate`, and the imatrix files of llama.cpp, which have
 * no products of two. A calibration is read-only once open and may be shared by threads. */
#ifndef QASR_QUANTIZE_CALIBRATION_FILE_H
#define QASR_QUANTIZE_CALIBRATION_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/pool.h"
#include "quantize/gptq.h"

/* general.type, and what the names of the tensors end in. */
#define CALIBRATION_SUMS ".in_sum2"
#define CALIBRATION_COUNTS ".counts"
#define CALIBRATION_PRODUCTS ".in_cov"

/* Of the mean square of an input, added to all: the middle of a range in which the demo model's quality hardly changes.
 */
#define CALIBRATION_DAMPING 0.1

typedef struct calibration calibration;

/* Errors: IO, FORMAT (no GGUF, no statistics, numbers that cannot be), NOMEM. */
qasr_status calibration_open(calibration **out, const char *path, qasr_error *err);
void calibration_close(calibration *c); /* NULL is fine */

/* The matrix whose products serve a matrix, by canonical names: the first of those that have the same input
 * ("...q_proj.weight" for k and v, "...gate_proj.weight" for up), else itself. False if out is too small. */
bool calibration_source(char *out, size_t size, const char *canonical);

/* Mean square of each element of the inputs of a matrix with so many columns: *out [cols], owned by c, NULL if the file
 * knows nothing of the matrix. *rows (may be NULL): of how many inputs. Error: FORMAT (another number of columns). */
qasr_status calibration_importance(const calibration *c, const char *canonical, size_t cols, const float **out,
                                   double *rows, qasr_error *err);
/* Mean products of two elements, out [cols, cols], symmetric. *found: whether the file has them; out is untouched if
 * not. Error: FORMAT (another number of columns, values that are not finite or that no products give). */
qasr_status calibration_covariance(const calibration *c, const char *canonical, size_t cols, float *out, bool *found,
                                   qasr_error *err);

/* Mean products as a metric to round by, with what is added to them so that they can be relied on; factor NULL: the
 * file has no products of that input. Errors as above, NOMEM. Free with hessian_free. */
qasr_status calibration_hessian(const calibration *c, const char *canonical, size_t cols, hessian *out, pool *p,
                                qasr_error *err);

#endif
