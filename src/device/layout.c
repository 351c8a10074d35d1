/* See layout.h. */
#include "device/layout.h"

#include "base/mem.h"

size_t dmat_layout(device_mem *mem, size_t at, const dmat_part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const dmat_part *p = &parts[i];
        *p->m = p->rows ? dmat_make(mem, at, p->type, p->rows, p->cols) : (dmat){ 0 };
        at += size_round_up(p->rows * p->m->stride, MEM_ALIGN);
    }
    return at;
}

qasr_status dmat_alloc(device *d, device_mem **out, const dmat_part *parts, size_t n, qasr_error *err)
{
    TRY(device_alloc(d, out, dmat_layout(NULL, 0, parts, n), err));
    dmat_layout(*out, 0, parts, n);
    return QASR_OK;
}
