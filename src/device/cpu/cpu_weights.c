/* See cpu_weights.h. */
#include "device/cpu/cpu_weights.h"

#include "base/mem.h"

static cpu_weights *cpu(device_weights *w) { return (cpu_weights *)w; }

/* ---- memory -------------------------------------------------------------------------------------- */

qasr_status cpu_mem_alloc(device_mem **out, size_t bytes, qasr_error *err)
{
    device_mem *mem;
    TRY(MEM_CALLOC(&mem, 1, err));
    qasr_status status = mem_alloc((void **)&mem->data, bytes, 1, err);
    if (status != QASR_OK) {
        mem_free(mem);
        return status;
    }
    *out = mem;
    return QASR_OK;
}

void cpu_mem_free(device_mem *mem)
{
    assert(mem->screen.n_users == 0);
    if (mem->file)
        pthread_mutex_destroy(&mem->screen.lock);
    else
        mem_free(mem->data);
    mem_free(mem);
}

/* ---- weights ------------------------------------------------------------------------------------- */

qasr_status cpu_weights_create(device_weights **out, const device_ops *ops, const gemm_context *g, qasr_error *err)
{
    cpu_weights *w;
    TRY(MEM_CALLOC(&w, 1, err));
    w->base.ops = ops;
    w->k = g->k;
    w->use_bf16 = g->use_bf16;
    *out = &w->base;
    return QASR_OK;
}

void cpu_weights_free(device_weights *w)
{
    while (cpu(w)->blocks) {
        device_mem *mem = cpu(w)->blocks;
        cpu(w)->blocks = mem->next;
        cpu_mem_free(mem);
    }
    mem_free(w);
}

static void keep(device_weights *w, device_mem *mem)
{
    mem->next = cpu(w)->blocks;
    cpu(w)->blocks = mem;
}

qasr_status cpu_weights_alloc(device_weights *w, device_mem **out, size_t bytes, qasr_error *err)
{
    TRY(cpu_mem_alloc(out, bytes, err));
    keep(w, *out);
    return QASR_OK;
}

/* One device_mem per mapped file serves all its weights. */
qasr_status cpu_weights_map(device_weights *w, dmat *out, const file_map *file, const void *data, quant_type type,
                            size_t rows, size_t cols, qasr_error *err)
{
    device_mem *mem = cpu(w)->blocks;
    while (mem && !(mem->file && mem->data == file->data))
        mem = mem->next;
    if (!mem) {
        TRY(MEM_CALLOC(&mem, 1, err));
        mem->data = (unsigned char *)(uintptr_t)file->data;
        mem->file = file;
        pthread_mutex_init(&mem->screen.lock, NULL);
        keep(w, mem);
    }
    *out = dmat_make(mem, (size_t)((const unsigned char *)data - file->data), type, rows, cols);
    return QASR_OK;
}

/* ---- screening ----------------------------------------------------------------------------------- */

const argmax_screen *cpu_screen_acquire(const dmat *w, gemm_context *g)
{
    device_mem *mem = w->mem;
    shared_screen *s = &mem->screen;
    const void *matrix = mem->data + w->offset;
    pthread_mutex_lock(&s->lock);
    if (!s->copy && argmax_screen_create(&s->copy, g, mem->file, matrix, w->type, w->rows, w->cols, NULL) == QASR_OK)
        s->w = matrix;
    const argmax_screen *copy = s->copy && s->w == matrix ? s->copy : NULL;
    s->n_users += copy != NULL;
    pthread_mutex_unlock(&s->lock);
    return copy;
}

void cpu_screen_release(device_mem *mem)
{
    shared_screen *s = &mem->screen;
    pthread_mutex_lock(&s->lock);
    if (--s->n_users == 0) {
        argmax_screen_free(s->copy);
        s->copy = NULL;
    }
    pthread_mutex_unlock(&s->lock);
}
