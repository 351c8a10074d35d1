/* Argmax of a matrix-vector product without reading most of the matrix.
 *
 * A 4-bit copy of W [n, k] gives approximate products s[r]. By the Cauchy-Schwarz inequality the true product differs
 * by at most |x| |w[r] - copy[r]|; the second factor is stored for each row. Rows whose s[r] plus this bound is below
 * the largest lower bound cannot win. The others are computed exactly, with the same bits as in the whole product, so
 * the index is always the same. This pays off if few rows remain: if one token stands out (a transcription), but not if
 * all are alike (random weights). */
#ifndef QASR_DEVICE_CPU_ARGMAX_SCREEN_H
#define QASR_DEVICE_CPU_ARGMAX_SCREEN_H

#include "base/file.h"
#include "device/cpu/gemm.h"

typedef struct argmax_screen argmax_screen; /* read-only once created, for any number of threads */

/* True if the copy would be much smaller than rows of the type: for types of 16 bits and more. */
bool argmax_screen_is_smaller(quant_type type);

/* True if few rows would remain, estimated from known products logits [n] of x [k] and the norms of some rows. */
bool argmax_screen_would_help(gemm_context *g, const void *w, quant_type type, size_t n, size_t k, const float *x,
                              const float *logits);

/* Reads W once; w must stay valid. Memory: n * (k * 9 / 16 + 4) bytes. If W is in a mapped file (not NULL), its pages
 * are released on the way, since few will be needed again. Error: NOMEM. */
qasr_status argmax_screen_create(argmax_screen **out, gemm_context *g, const file_map *file, const void *w,
                                 quant_type type, size_t n, size_t k, qasr_error *err);
void argmax_screen_free(argmax_screen *s); /* NULL is fine */

/* approx [n] is scratch. *index: the largest product with x [k], the lowest on ties; -1 if a computed product is not
 * finite. If so many rows remain that the whole product is faster, *found is false and *index is unchanged. Error:
 * NOMEM. */
qasr_status argmax_screen_run(const argmax_screen *s, gemm_context *g, const float *x, float *approx, int32_t *index,
                              bool *found, qasr_error *err);

#endif
