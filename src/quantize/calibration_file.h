/* Reads statistics files (docs/format.md): those of `qasr calibrate`, and imatrix files of llama.cpp, which lack the
 * products of two elements. A calibration is read-only once open and may be shared by threads. */
#ifndef QASR_QUANTIZE_CALIBRATION_FILE_H
#define QASR_QUANTIZE_CALIBRATION_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/pool.h"
#include "quantize/gptq.h"
#include "weights/weights.h"

/* The matrices' names are those of llama.cpp, whose tools look them up ("blk.0.attn_q.weight.in_sum2"). Files of
 * version 0.1 have original names, which are read too. */
#define CALIBRATION_LAYOUT NAMES_LLAMA
/* Endings of the tensor names. */
#define CALIBRATION_SUMS ".in_sum2"
#define CALIBRATION_COUNTS ".counts"
#define CALIBRATION_PRODUCTS ".in_cov"

/* Share of an input's mean square that is added to the diagonal: the middle of a range in which the demo model's
 * quality hardly changes. */
#define CALIBRATION_DAMPING 0.1

typedef struct calibration calibration;

/* Errors: IO, FORMAT (not GGUF, no statistics, impossible values), NOMEM. */
qasr_status calibration_open(calibration **out, const char *path, qasr_error *err);
void calibration_close(calibration *c); /* NULL is fine */

/* Canonical name of the matrix under which the products of a matrix's input are stored: the first of those with the
 * same input ("...q_proj.weight" for k and v, "...gate_proj.weight" for up), else its own. False if out is too small.
 */
bool calibration_source(char *out, size_t size, const char *canonical);

/* Mean square of each element of a matrix's input: *out [cols], owned by c, NULL if the file does not cover the matrix.
 * *rows (may be NULL): the number of inputs. Error: FORMAT (another number of columns). */
qasr_status calibration_importance(const calibration *c, const char *canonical, size_t cols, const float **out,
                                   double *rows, qasr_error *err);
/* Mean products of two elements, out [cols, cols], symmetric. *found: whether the file has them; out is untouched if
 * not. Error: FORMAT (another number of columns, values that are not finite or impossible). */
qasr_status calibration_covariance(const calibration *c, const char *canonical, size_t cols, float *out, bool *found,
                                   qasr_error *err);

/* The damped and factored mean products for GPTQ; factor NULL: the file has no products for that input. scale [cols]:
 * what the matrix's columns were multiplied with, so that its inputs are divided by it; NULL: 1. Errors as above,
 * NOMEM. Free with hessian_free. */
qasr_status calibration_hessian(const calibration *c, const char *canonical, size_t cols, const float *scale,
                                hessian *out, pool *p, qasr_error *err);

#endif
