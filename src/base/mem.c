/* Allocation with checked sizes, and the switch that makes the n-th allocation fail in tests. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t allocations_left = SIZE_MAX;

void mem_fail_after(size_t n) { atomic_store(&allocations_left, n); }

static bool allocation_allowed(void)
{
    size_t left = atomic_load(&allocations_left);
    if (left == SIZE_MAX)
        return true;
    while (left > 0 && !atomic_compare_exchange_weak(&allocations_left, &left, left - 1))
        ;
    return left > 0;
}

qasr_status mem_alloc(void **out, size_t n, size_t size, qasr_error *err)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes) || bytes > SIZE_MAX - MEM_ALIGN)
        return error_set(err, QASR_E_NOMEM, "cannot allocate %zu elements of %zu bytes: size overflow", n, size);
    bytes = size_round_up(bytes ? bytes : 1, MEM_ALIGN);
    void *p = allocation_allowed() ? aligned_alloc(MEM_ALIGN, bytes) : NULL;
    if (!p)
        return error_set(err, QASR_E_NOMEM, "cannot allocate %zu bytes: out of memory", bytes);
    *out = p;
    return QASR_OK;
}

qasr_status mem_calloc(void **out, size_t n, size_t size, qasr_error *err)
{
    TRY(mem_alloc(out, n, size, err));
    memset(*out, 0, n * size);
    return QASR_OK;
}

void mem_free(void *p) { free(p); }

qasr_status mem_strdup(char **out, const char *s, qasr_error *err)
{
    size_t n = strlen(s) + 1;
    TRY(mem_alloc((void **)out, n, 1, err));
    memcpy(*out, s, n);
    return QASR_OK;
}
