/* See ggml_memory.h. */
#include "device/ggml/ggml_memory.h"

#include <string.h>

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include "base/mem.h"

int memory_ggml_type(dtype type) { return type == DTYPE_I32 ? GGML_TYPE_I32 : (int)quant_get(type)->ggml_id; }

ggml_backend_buffer_type_t memory_buffer_type(const ggml_memory *m) { return ggml_backend_dev_buffer_type(m->device); }

/* ---- blocks ------------------------------------------------------------------------------------------ */

static void count(ggml_memory *m, size_t bytes)
{
    m->used += bytes;
    m->peak = m->used > m->peak ? m->used : m->peak;
}

qasr_status memory_new_buffer(ggml_memory *m, ggml_backend_buffer_t *out, size_t bytes, qasr_error *err)
{
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(memory_buffer_type(m), bytes);
    if (!buffer)
        return error_set(err, QASR_E_NOMEM,
                         "device '%s' has less than %.1f MB of memory left: use a smaller batch, shorter segments, a "
                         "smaller model or the CPU",
                         ggml_backend_dev_name(m->device), (double)bytes / 1e6);
    *out = buffer;
    count(m, ggml_backend_buffer_get_size(buffer));
    return QASR_OK;
}

void memory_free_buffer(ggml_memory *m, ggml_backend_buffer_t buffer)
{
    if (!buffer)
        return;
    m->used -= ggml_backend_buffer_get_size(buffer);
    ggml_backend_buffer_free(buffer);
}

/* The name is set here because ggml writes one into unnamed tensors when they are added to a graph. With a shared
 * weight that would be a data race. */
qasr_status memory_new_tensor(ggml_memory *m, device_mem **out, int type, size_t cols, size_t rows, qasr_error *err)
{
    device_mem *mem;
    TRY(MEM_CALLOC(&mem, 1, err));
    mem->context = ggml_init((struct ggml_init_params){ ggml_tensor_overhead() + 64, NULL, true });
    if (!mem->context) {
        mem_free(mem);
        return error_set(err, QASR_E_NOMEM, "out of memory for a tensor");
    }
    mem->whole = ggml_new_tensor_2d(mem->context, (enum ggml_type)type, (int64_t)cols, (int64_t)rows);
    ggml_set_name(mem->whole, "memory");
    mem->id = ++m->last_id;
    *out = mem;
    return QASR_OK;
}

/* Clears the memory, because masked parts of a cache must be finite: 0 times NaN is NaN. */
qasr_status memory_alloc(ggml_memory *m, device_mem **out, size_t bytes, qasr_error *err)
{
    device_mem *mem;
    TRY(memory_new_tensor(m, &mem, GGML_TYPE_I8, bytes ? bytes : 1, 1, err));
    qasr_status status = memory_new_buffer(m, &mem->buffer, bytes ? bytes : 1, err);
    if (status == QASR_OK &&
        ggml_backend_tensor_alloc(mem->buffer, mem->whole, ggml_backend_buffer_get_base(mem->buffer)))
        status = error_set(err, QASR_E_DEVICE, "device '%s' could not set up memory", ggml_backend_dev_name(m->device));
    if (status != QASR_OK) {
        memory_free(m, mem);
        return status;
    }
    ggml_backend_buffer_clear(mem->buffer, 0);
    *out = mem;
    return QASR_OK;
}

void memory_free(ggml_memory *m, device_mem *mem)
{
    while (mem->ints) {
        host_ints *next = mem->ints->next;
        mem_free(mem->ints->values);
        mem_free(mem->ints);
        mem->ints = next;
    }
    memory_free_buffer(m, mem->buffer);
    ggml_free(mem->context);
    mem_free(mem);
}

/* ---- contents ---------------------------------------------------------------------------------------- */

static qasr_status keep_ints(device_mem *mem, size_t offset, const int32_t *values, size_t n, qasr_error *err)
{
    host_ints *at = mem->ints;
    while (at && at->offset != offset)
        at = at->next;
    if (!at) {
        TRY(MEM_CALLOC(&at, 1, err));
        at->offset = offset;
        at->next = mem->ints;
        mem->ints = at;
    }
    if (n > at->capacity) {
        int32_t *larger;
        TRY(MEM_ALLOC(&larger, n, err));
        mem_free(at->values);
        at->values = larger;
        at->capacity = n;
    }
    memcpy(at->values, values, n * sizeof *values);
    at->n = n;
    return QASR_OK;
}

const int32_t *memory_ints(const device_mem *mem, size_t offset, size_t n)
{
    for (const host_ints *i = mem->ints; i; i = i->next)
        if (offset >= i->offset && offset + n * sizeof(int32_t) <= i->offset + i->n * sizeof(int32_t))
            return i->values + (offset - i->offset) / sizeof(int32_t);
    return NULL;
}

qasr_status memory_write(const dmat *dst, const void *src, qasr_error *err)
{
    size_t bytes = dmat_row_bytes(dst->type, dst->cols);
    if (dst->type == DTYPE_I32 && dst->cols == 1 && dst->stride == sizeof(int32_t))
        TRY(keep_ints(dst->mem, dst->offset, src, dst->rows, err));
    if (dst->stride == bytes) {
        ggml_backend_tensor_set(dst->mem->whole, src, dst->offset, dst->rows * bytes);
        return QASR_OK;
    }
    for (size_t i = 0; i < dst->rows; i++)
        ggml_backend_tensor_set(dst->mem->whole, (const unsigned char *)src + i * bytes, dst->offset + i * dst->stride,
                                bytes);
    return QASR_OK;
}

/* Integers are read from the host copies: only memory_write writes them. */
void memory_read(void *dst, const dmat *src)
{
    size_t bytes = dmat_row_bytes(src->type, src->cols);
    const int32_t *ints =
        src->type == DTYPE_I32 && src->stride == bytes ? memory_ints(src->mem, src->offset, src->rows) : NULL;
    if (ints)
        memcpy(dst, ints, src->rows * bytes);
    else if (src->stride == bytes)
        ggml_backend_tensor_get(src->mem->whole, dst, src->offset, src->rows * bytes);
    else
        for (size_t i = 0; i < src->rows; i++)
            ggml_backend_tensor_get(src->mem->whole, (unsigned char *)dst + i * bytes, src->offset + i * src->stride,
                                    bytes);
}
