/* A recording has three growing lists, which keep their memory from one recording to the next. */
#include "device/ggml/ggml_record.h"

#include <string.h>

#include "base/mem.h"
#include "device/ggml/ggml_memory.h"

/* Makes room for one more; false if out of memory. */
static bool reserve(recording *r, void **list, size_t *room, size_t n, size_t size)
{
    if (n < *room)
        return true;
    void *larger;
    size_t new_room = *room ? 2 * *room : 256;
    r->status = r->status == QASR_OK ? mem_alloc(&larger, new_room, size, NULL) : r->status;
    if (r->status != QASR_OK)
        return false;
    if (n)
        memcpy(larger, *list, n * size);
    mem_free(*list);
    *list = larger;
    *room = new_room;
    return true;
}

void record_clear(recording *r)
{
    r->n_ops = r->n_views = r->n_numbers = 0;
    r->status = QASR_OK;
}

void record_free(recording *r)
{
    mem_free(r->ops);
    mem_free(r->views);
    mem_free(r->numbers);
    *r = (recording){ 0 };
}

void record_op(recording *r, op_kind kind)
{
    if (reserve(r, (void **)&r->ops, &r->ops_room, r->n_ops, sizeof *r->ops))
        r->ops[r->n_ops++] = (op_head){ kind, 0, 0 };
}

void record_view(recording *r, const dmat *m)
{
    if (!reserve(r, (void **)&r->views, &r->views_room, r->n_views, sizeof *r->views))
        return;
    r->views[r->n_views++] =
        m && m->mem ? (view){ m->mem, m->mem->id, m->offset, m->rows, m->cols, m->stride, (uint64_t)m->type }
                    : (view){ 0 };
    r->ops[r->n_ops - 1].n_views++;
}

void record_number(recording *r, uint64_t n)
{
    if (!reserve(r, (void **)&r->numbers, &r->numbers_room, r->n_numbers, sizeof *r->numbers))
        return;
    r->numbers[r->n_numbers++] = n;
    r->ops[r->n_ops - 1].n_numbers++;
}

void record_float(recording *r, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    record_number(r, bits);
}

float record_to_float(uint64_t n)
{
    uint32_t bits = (uint32_t)n;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

bool record_equal(const recording *a, const recording *b)
{
    return a->n_ops == b->n_ops && a->n_views == b->n_views && a->n_numbers == b->n_numbers &&
           memcmp(a->ops, b->ops, a->n_ops * sizeof *a->ops) == 0 &&
           memcmp(a->views, b->views, a->n_views * sizeof *a->views) == 0 &&
           memcmp(a->numbers, b->numbers, a->n_numbers * sizeof *a->numbers) == 0;
}

/* A copy without spare capacity. */
static qasr_status copy_list(void **to, size_t *room, const void *from, size_t n, size_t size, qasr_error *err)
{
    TRY(mem_alloc(to, n, size, err));
    if (n)
        memcpy(*to, from, n * size);
    *room = n;
    return QASR_OK;
}

qasr_status record_copy(recording *to, const recording *from, qasr_error *err)
{
    *to = (recording){ .n_ops = from->n_ops, .n_views = from->n_views, .n_numbers = from->n_numbers };
    TRY(copy_list((void **)&to->ops, &to->ops_room, from->ops, from->n_ops, sizeof *from->ops, err));
    TRY(copy_list((void **)&to->views, &to->views_room, from->views, from->n_views, sizeof *from->views, err));
    return copy_list((void **)&to->numbers, &to->numbers_room, from->numbers, from->n_numbers, sizeof *from->numbers,
                     err);
}
