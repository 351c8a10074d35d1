/* Blocks and weights in buffers of a ggml back end. A weight is used where its file is mapped if the back end takes
 * host memory (Metal, ggml's own CPU); else it is copied, a few megabytes at a time, and the pages that were read are
 * let go, so that the host never holds more than that. */
#include "device/ggml/ggml_memory.h"

#include <string.h>

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include "base/log.h"
#include "base/mem.h"
#include "device/ggml/ggml_quirks.h"

enum { UPLOAD_BYTES = 8 << 20, SLAB_BYTES = 64 << 20 };

struct mapped_file {
    const unsigned char *data;
    ggml_backend_buffer_t buffer; /* NULL: the back end did not take it */
    mapped_file *next;
};

/* A buffer that weights are put into one after another. */
struct weight_slab {
    ggml_backend_buffer_t buffer;
    size_t used, size;
    weight_slab *next;
};

static enum ggml_type ggml_type_of(dtype type)
{
    return type == DTYPE_I32 ? GGML_TYPE_I32 : (enum ggml_type)quant_get(type)->ggml_id;
}

static ggml_backend_buffer_type_t buffer_type(const ggml_memory *m) { return ggml_backend_dev_buffer_type(m->device); }

/* ---- blocks ------------------------------------------------------------------------------------------ */

static void count(ggml_memory *m, size_t bytes)
{
    m->used += bytes;
    m->peak = m->used > m->peak ? m->used : m->peak;
}

static qasr_status new_buffer(ggml_memory *m, ggml_backend_buffer_t *out, size_t bytes, qasr_error *err)
{
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(buffer_type(m), bytes);
    if (!buffer)
        return error_set(err, QASR_E_NOMEM,
                         "device '%s' has no %.1f MB of memory left: use a smaller batch, shorter segments, a smaller "
                         "model or '--device cpu'",
                         ggml_backend_dev_name(m->device), (double)bytes / 1e6);
    *out = buffer;
    count(m, ggml_backend_buffer_get_size(buffer));
    return QASR_OK;
}

static void free_buffer(ggml_memory *m, ggml_backend_buffer_t buffer)
{
    if (!buffer)
        return;
    m->used -= ggml_backend_buffer_get_size(buffer);
    ggml_backend_buffer_free(buffer);
}

/* A tensor without memory yet. */
static qasr_status new_mem(ggml_memory *m, device_mem **out, enum ggml_type type, size_t cols, size_t rows,
                           qasr_error *err)
{
    device_mem *mem;
    TRY(MEM_CALLOC(&mem, 1, err));
    mem->context = ggml_init((struct ggml_init_params){ ggml_tensor_overhead() + 64, NULL, true });
    if (!mem->context) {
        mem_free(mem);
        return error_set(err, QASR_E_NOMEM, "no memory for a tensor");
    }
    mem->whole = ggml_new_tensor_2d(mem->context, type, (int64_t)cols, (int64_t)rows);
    mem->id = ++m->last_id;
    *out = mem;
    return QASR_OK;
}

/* What was there before may be anything, also not numbers; masked parts of a cache must be, as 0 times what is no
 * number is none. */
qasr_status memory_alloc(ggml_memory *m, device_mem **out, size_t bytes, qasr_error *err)
{
    device_mem *mem;
    TRY(new_mem(m, &mem, GGML_TYPE_I8, bytes ? bytes : 1, 1, err));
    qasr_status status = new_buffer(m, &mem->buffer, bytes ? bytes : 1, err);
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
    free_buffer(m, mem->buffer);
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

/* Integers are only ever written from here. */
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

/* ---- weights ----------------------------------------------------------------------------------------- */

bool memory_reads_type(struct ggml_backend_device *on, quant_type type, size_t cols)
{
    struct ggml_context *c = ggml_init((struct ggml_init_params){ 4 * ggml_tensor_overhead() + 64, NULL, true });
    if (!c)
        return false;
    bool reads = !quirks_word(quant_get(type)->name);
    for (int64_t rows = 1; rows <= 64; rows += 63) { /* decoding and prompts may have kernels of their own */
        ggml_reset(c);
        struct ggml_tensor *w = ggml_new_tensor_2d(c, ggml_type_of(type), (int64_t)cols, 256);
        struct ggml_tensor *x = ggml_new_tensor_2d(c, GGML_TYPE_F32, (int64_t)cols, rows);
        reads = reads && quirks_supports(on, ggml_mul_mat(c, w, x));
    }
    ggml_free(c);
    return reads;
}

/* What a weight becomes on the device. */
static qasr_status choose_type(ggml_memory *m, quant_type *out, quant_type type, size_t cols, qasr_error *err)
{
    const quant_type wanted[] = { type, QUANT_F16, QUANT_F32 };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (!memory_reads_type(m->device, wanted[i], cols))
            continue;
        if (wanted[i] != type && !m->told[type])
            log_info("device '%s' does not multiply weights of type %s: they become %s",
                     ggml_backend_dev_name(m->device), quant_get(type)->name, quant_get(wanted[i])->name);
        m->told[type] = true;
        *out = wanted[i];
        return QASR_OK;
    }
    return error_set(err, QASR_E_UNSUPPORTED, "device '%s' multiplies neither %s nor f16 nor f32",
                     ggml_backend_dev_name(m->device), quant_get(type)->name);
}

/* The file as a buffer of the device, NULL if it cannot be one. */
static ggml_backend_buffer_t map_file(ggml_memory *m, const file_map *file)
{
    struct ggml_backend_dev_props props;
    mapped_file *f = m->files;
    while (f && f->data != file->data)
        f = f->next;
    if (f)
        return f->buffer;
    ggml_backend_dev_get_props(m->device, &props);
    if (!props.caps.buffer_from_host_ptr || (uintptr_t)file->data % file_page_bytes() != 0 ||
        MEM_CALLOC(&f, 1, NULL) != QASR_OK)
        return NULL;
    f->data = file->data;
    f->buffer = ggml_backend_dev_buffer_from_host_ptr(m->device, (void *)(uintptr_t)file->data, file->size, file->size);
    if (f->buffer)
        ggml_backend_buffer_set_usage(f->buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    f->next = m->files;
    m->files = f;
    return f->buffer;
}

/* True if the weight lies in the file now. */
static bool place_in_file(ggml_memory *m, device_mem *mem, const file_map *file, const void *data)
{
    size_t offset = (size_t)((const unsigned char *)data - file->data);
    if (!file->data || offset % ggml_backend_buft_get_alignment(buffer_type(m)) != 0)
        return false;
    ggml_backend_buffer_t buffer = map_file(m, file);
    return buffer && ggml_backend_buffer_get_alloc_size(buffer, mem->whole) == ggml_nbytes(mem->whole) &&
           ggml_backend_tensor_alloc(buffer, mem->whole, (char *)ggml_backend_buffer_get_base(buffer) + offset) ==
               GGML_STATUS_SUCCESS;
}

static qasr_status place_in_slab(ggml_memory *m, device_mem *mem, qasr_error *err)
{
    size_t align = ggml_backend_buft_get_alignment(buffer_type(m));
    size_t bytes = size_round_up(ggml_backend_buft_get_alloc_size(buffer_type(m), mem->whole), align);
    weight_slab *s = m->slabs;
    while (s && s->size - s->used < bytes)
        s = s->next;
    if (!s) {
        TRY(MEM_CALLOC(&s, 1, err));
        s->size = bytes > SLAB_BYTES ? bytes : SLAB_BYTES;
        qasr_status status = new_buffer(m, &s->buffer, s->size, err);
        if (status != QASR_OK) {
            mem_free(s);
            return status;
        }
        ggml_backend_buffer_set_usage(s->buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        s->next = m->slabs;
        m->slabs = s;
    }
    if (ggml_backend_tensor_alloc(s->buffer, mem->whole, (char *)ggml_backend_buffer_get_base(s->buffer) + s->used))
        return error_set(err, QASR_E_DEVICE, "device '%s' could not set up a tensor", ggml_backend_dev_name(m->device));
    s->used += bytes;
    return QASR_OK;
}

static void upload_as_it_is(device_mem *mem, const file_map *file, const unsigned char *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += UPLOAD_BYTES) {
        size_t n = bytes - at < UPLOAD_BYTES ? bytes - at : UPLOAD_BYTES;
        ggml_backend_tensor_set(mem->whole, data + at, at, n);
        if (file->data)
            file_map_release(file, (size_t)(data - file->data) + at, n);
    }
}

static qasr_status upload_converted(device_mem *mem, const file_map *file, const unsigned char *data, quant_type from,
                                    quant_type to, size_t rows, size_t cols, qasr_error *err)
{
    size_t in_bytes = dmat_row_bytes(from, cols), out_bytes = dmat_row_bytes(to, cols);
    size_t at_once = UPLOAD_BYTES / out_bytes ? UPLOAD_BYTES / out_bytes : 1;
    float *row = NULL;
    unsigned char *block = NULL;
    qasr_status status = MEM_ALLOC(&row, cols, err);
    if (status == QASR_OK)
        status = mem_alloc((void **)&block, at_once, out_bytes, err);
    for (size_t r = 0; r < rows && status == QASR_OK; r += at_once) {
        size_t n = rows - r < at_once ? rows - r : at_once;
        for (size_t i = 0; i < n; i++) {
            quant_get(from)->dequantize(row, data + (r + i) * in_bytes, cols);
            quant_get(to)->quantize(block + i * out_bytes, row, cols);
        }
        ggml_backend_tensor_set(mem->whole, block, r * out_bytes, n * out_bytes);
        if (file->data)
            file_map_release(file, (size_t)(data - file->data) + r * in_bytes, n * in_bytes);
    }
    mem_free(row);
    mem_free(block);
    return status;
}

static qasr_status fill_weight(ggml_memory *m, device_mem *mem, const file_map *file, const void *data, quant_type from,
                               quant_type to, size_t rows, size_t cols, qasr_error *err)
{
    if (from == to && place_in_file(m, mem, file, data))
        return QASR_OK;
    TRY(place_in_slab(m, mem, err));
    if (from != to)
        return upload_converted(mem, file, data, from, to, rows, cols, err);
    upload_as_it_is(mem, file, data, rows * dmat_row_bytes(from, cols));
    return QASR_OK;
}

qasr_status memory_map_weight(ggml_memory *m, dmat *out, const file_map *file, const void *data, quant_type type,
                              size_t rows, size_t cols, qasr_error *err)
{
    quant_type to;
    device_mem *mem = m->weights;
    TRY(choose_type(m, &to, type, cols, err));
    while (mem && !(mem->stored == data && mem->stored_type == type && ggml_nrows(mem->whole) == (int64_t)rows))
        mem = mem->next;
    if (mem) { /* a head that is the embedding */
        *out = dmat_make(mem, 0, to, rows, cols);
        return QASR_OK;
    }
    TRY(new_mem(m, &mem, ggml_type_of(to), cols, rows, err));
    mem->stored = data;
    mem->stored_type = type;
    qasr_status status = fill_weight(m, mem, file, data, type, to, rows, cols, err);
    if (status != QASR_OK) {
        memory_free(m, mem);
        return status;
    }
    mem->next = m->weights;
    m->weights = mem;
    *out = dmat_make(mem, 0, to, rows, cols);
    return QASR_OK;
}

void memory_close(ggml_memory *m)
{
    while (m->weights) {
        device_mem *next = m->weights->next;
        memory_free(m, m->weights);
        m->weights = next;
    }
    while (m->files) {
        mapped_file *next = m->files->next;
        ggml_backend_buffer_free(m->files->buffer);
        mem_free(m->files);
        m->files = next;
    }
    while (m->slabs) {
        weight_slab *next = m->slabs->next;
        free_buffer(m, m->slabs->buffer);
        mem_free(m->slabs);
        m->slabs = next;
    }
}
