/* Shared by the kernel checks: random numbers, memory between guard pages, verdicts per kernel, timing. */
#ifndef QASR_TESTS_KERNELS_CHECK_H
#define QASR_TESTS_KERNELS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define EPS 0x1p-24 /* relative error of one rounding to float32 */

/* ---- random numbers: everything follows from the printed seed ---- */
void random_seed(uint64_t seed);
uint32_t random_u32(void);
float random_float(void); /* in [-1, 1) */
/* Kinds of difficult rows: see fill_floats. */
enum { FILL_RANDOM, FILL_ZERO, FILL_TINY, FILL_LARGE, FILL_SAME, FILL_OUTLIER, FILL_COUNT };
void fill_floats(float *x, size_t n, int how);

/* ---- memory that ends (or begins) at an unreadable page ---- */
typedef struct guarded {
    uint8_t *map;
    size_t map_bytes, offset, bytes;
} guarded;
/* Starts zeroed. Each call returns memory of the given size and alignment, filled with poison, which ends at the
 * guard page after it, or with at_start begins at the one before it. */
void *guarded_place(guarded *g, size_t bytes, size_t align, bool at_start);
bool guarded_intact(const guarded *g); /* nothing was written outside the bytes */
void guarded_free(guarded *g);
enum { POISON = 0xa5 };
bool is_poison(const void *p, size_t bytes);

/* ---- verdicts ---- */
/* Starts the check of one kernel of one level. False if a lower level has the same function (reported as skipped),
 * or if it is filtered out. All checks until verdict() belong to it. */
bool check_kernel(const char *name, bool same_as_lower);
void check_true(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Checks |value - expected| <= bound, where NaN equals NaN; keeps the worst |error| / bound. */
void check_close(double value, double expected, double bound, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void verdict(void);

/* ---- timing ---- */
/* Runs fn(arg) until the time is stable, and prints ns, GB/s and GFLOP/s of the fastest run. */
void bench(const char *name, void (*fn)(void *), void *arg, double bytes, double flops);

/* ---- checks; lower: the table one level below, NULL for the lowest ---- */
void check_rows(const kernels *k, const kernels *lower);
void check_weights(const kernels *k, const kernels *lower);
void check_gemv(const kernels *k, const kernels *lower);
void check_gemm(const kernels *k, const kernels *lower);
void check_int8(const kernels *k, const kernels *lower);
void check_attention(const kernels *k, const kernels *lower);
void bench_rows(const kernels *k);
void bench_weights(const kernels *k);
void bench_gemm(const kernels *k);
void bench_int8(const kernels *k);
void bench_attention(const kernels *k);

/* Random blocks of a type, n elements; how selects extreme quants, and zero, subnormal or large scales. */
void fill_blocks(quant_type type, uint8_t *out, size_t n, int how);

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

#endif
