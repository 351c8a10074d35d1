/* All allocation goes through here: checked sizes, and a switch that makes the n-th allocation fail in tests. */
#ifndef QASR_BASE_MEM_H
#define QASR_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { MEM_ALIGN = 64 }; /* one cache line, one AVX-512 vector */

/* *out = a * b or a + b; false if the result overflows size_t. */
static inline bool size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline size_t size_round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

/* Allocates n elements of the given size, MEM_ALIGN-aligned, contents undefined. *out is set only on success; n * size
 * = 0 gives a valid pointer. Error: NOMEM, with the byte count. Free with mem_free. */
qasr_status mem_alloc(void **out, size_t n, size_t size, qasr_error *err);
/* The same, zeroed. */
qasr_status mem_calloc(void **out, size_t n, size_t size, qasr_error *err);
void mem_free(void *p); /* NULL is fine */
/* Copy of a string. */
qasr_status mem_strdup(char **out, const char *s, qasr_error *err);

/* Typed helpers: float *x; TRY(MEM_ALLOC(&x, n, err)); */
#define MEM_ALLOC(pp, n, err) mem_alloc((void **)(pp), (n), sizeof(**(pp)), (err))
#define MEM_CALLOC(pp, n, err) mem_calloc((void **)(pp), (n), sizeof(**(pp)), (err))

/* For tests: makes the n-th allocation from now on (0 = the next) and all later ones fail; SIZE_MAX turns this off. */
void mem_fail_after(size_t n);

#endif
