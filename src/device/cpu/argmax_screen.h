/* Arg max of a matrix times a vector without reading most of the matrix.
 *
 * A copy of W [n, k] in 4 bits gives approximate products s[r]. By Cauchy and Schwarz the true one differs by no more
 * than |x| |w[r] - copy[r]|, whose second factor is kept for each row. So rows whose s[r] plus that bound stays below
 * the largest s minus its bound cannot win; the others are computed exactly, as the whole product would have computed
 * them: the index is always the same. It pays where few rows are left, which is so when one answer stands out (a
 * transcription), and not when all are alike (random weights). */
#ifndef QASR_DEVICE_CPU_ARGMAX_SCREEN_H
#define QASR_DEVICE_CPU_ARGMAX_SCREEN_H

#include "base/file.h"
#include "device/cpu/gemm.h"

typedef struct argmax_screen argmax_screen; /* read-only once created, for any number of threads */

/* True if the copy would be a fraction of rows of a type: types of 16 bits and more. */
bool argmax_screen_is_smaller(quant_type type);

/* Whether few rows would be left: judged from products logits [n] of x [k] that are known, and the length of some rows.
 */
bool argmax_screen_would_help(gemm_context *g, const void *w, quant_type type, size_t n, size_t k, const float *x,
                              const float *logits);

/* Reads W once; w must stay. Memory: n * (k * 9 / 16 + 4) bytes. The parts of the file that W lies in are released on
 * the way, if it is a mapped file: hardly any of them will be needed. Error: NOMEM. */
qasr_status argmax_screen_create(argmax_screen **out, gemm_context *g, const file_map *file, const void *w,
                                 quant_type type, size_t n, size_t k, qasr_error *err);
void argmax_screen_free(argmax_screen *s); /* NULL is fine */

/* approx [n] is scratch. Index of the largest product with x [k], the lowest on ties, -1 if one of the computed is not
 * finite. *found is false, and *index unchanged, if so many rows are left that the whole product is better. Error:
 * NOMEM. */
qasr_status argmax_screen_run(const argmax_screen *s, gemm_context *g, const float *x, float *approx, int32_t *index,
                              bool *found, qasr_error *err);

#endif
