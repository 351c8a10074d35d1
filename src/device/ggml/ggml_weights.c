/* See ggml_weights.h. A weight is used in place in the mapped file if the back end accepts host memory (Metal, ggml's
 * own CPU). Otherwise it is uploaded, a few megabytes at a time, and the pages read are released, so the host never
 * holds more than that. */
#include "device/ggml/ggml_weights.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include "base/log.h"
#include "base/mem.h"
#include "device/ggml/ggml_quirks.h"

enum { UPLOAD_BYTES = 8 << 20, SLAB_BYTES = 64 << 20 };
/* Recordings identify memory by id, so the ids of weights must differ from those of a handle's own blocks. */
#define FIRST_ID ((uint64_t)1 << 63)

struct mapped_file {
    const unsigned char *data;
    ggml_backend_buffer_t buffer; /* NULL: the back end did not accept it */
    mapped_file *next;
};

/* A buffer that is filled with weights one after another. */
struct weight_slab {
    ggml_backend_buffer_t buffer;
    size_t used, size;
    weight_slab *next;
};

/* ---- types ------------------------------------------------------------------------------------------- */

bool weights_read_type(struct ggml_backend_device *on, quant_type type, size_t cols)
{
    struct ggml_context *c = ggml_init((struct ggml_init_params){ 4 * ggml_tensor_overhead() + 64, NULL, true });
    if (!c)
        return false;
    bool reads = !quirks_word(quant_get(type)->name);
    for (int64_t rows = 1; rows <= 64; rows += 63) { /* back ends may have separate kernels for decoding and prefill */
        ggml_reset(c);
        struct ggml_tensor *w = ggml_new_tensor_2d(c, (enum ggml_type)memory_ggml_type(type), (int64_t)cols, 256);
        struct ggml_tensor *x = ggml_new_tensor_2d(c, GGML_TYPE_F32, (int64_t)cols, rows);
        reads = reads && quirks_supports(on, ggml_mul_mat(c, w, x));
    }
    ggml_free(c);
    return reads;
}

/* The type of a weight on the device. */
static qasr_status choose_type(ggml_weights *w, quant_type *out, quant_type type, size_t cols, qasr_error *err)
{
    const quant_type wanted[] = { type, QUANT_F16, QUANT_F32 };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (!weights_read_type(w->memory.device, wanted[i], cols))
            continue;
        if (wanted[i] != type && !w->told[type])
            log_info("device '%s' does not support weights of type %s: converting them to %s",
                     ggml_backend_dev_name(w->memory.device), quant_get(type)->name, quant_get(wanted[i])->name);
        w->told[type] = true;
        *out = wanted[i];
        return QASR_OK;
    }
    return error_set(err, QASR_E_UNSUPPORTED, "device '%s' does not support weights of type %s, f16 or f32",
                     ggml_backend_dev_name(w->memory.device), quant_get(type)->name);
}

/* ---- placement --------------------------------------------------------------------------------------- */

/* The file as a device buffer, NULL if the device cannot use it. */
static ggml_backend_buffer_t map_file(ggml_weights *w, const file_map *file)
{
    struct ggml_backend_dev_props props;
    mapped_file *f = w->files;
    while (f && f->data != file->data)
        f = f->next;
    if (f)
        return f->buffer;
    ggml_backend_dev_get_props(w->memory.device, &props);
    if (!props.caps.buffer_from_host_ptr || (uintptr_t)file->data % file_page_bytes() != 0 ||
        MEM_CALLOC(&f, 1, NULL) != QASR_OK)
        return NULL;
    f->data = file->data;
    f->buffer =
        ggml_backend_dev_buffer_from_host_ptr(w->memory.device, (void *)(uintptr_t)file->data, file->size, file->size);
    if (f->buffer)
        ggml_backend_buffer_set_usage(f->buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    f->next = w->files;
    w->files = f;
    return f->buffer;
}

/* Uses the weight in place in the file; false if that is not possible. */
static bool place_in_file(ggml_weights *w, device_mem *mem, const file_map *file, const void *data)
{
    size_t offset = (size_t)((const unsigned char *)data - file->data);
    if (!file->data || offset % ggml_backend_buft_get_alignment(memory_buffer_type(&w->memory)) != 0)
        return false;
    ggml_backend_buffer_t buffer = map_file(w, file);
    return buffer && ggml_backend_buffer_get_alloc_size(buffer, mem->whole) == ggml_nbytes(mem->whole) &&
           ggml_backend_tensor_alloc(buffer, mem->whole, (char *)ggml_backend_buffer_get_base(buffer) + offset) ==
               GGML_STATUS_SUCCESS;
}

static qasr_status place_in_slab(ggml_weights *w, device_mem *mem, qasr_error *err)
{
    size_t align = ggml_backend_buft_get_alignment(memory_buffer_type(&w->memory));
    size_t bytes = size_round_up(ggml_backend_buft_get_alloc_size(memory_buffer_type(&w->memory), mem->whole), align);
    weight_slab *s = w->slabs;
    while (s && s->size - s->used < bytes)
        s = s->next;
    if (!s) {
        TRY(MEM_CALLOC(&s, 1, err));
        s->size = bytes > SLAB_BYTES ? bytes : SLAB_BYTES;
        qasr_status status = memory_new_buffer(&w->memory, &s->buffer, s->size, err);
        if (status != QASR_OK) {
            mem_free(s);
            return status;
        }
        ggml_backend_buffer_set_usage(s->buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        s->next = w->slabs;
        w->slabs = s;
    }
    if (ggml_backend_tensor_alloc(s->buffer, mem->whole, (char *)ggml_backend_buffer_get_base(s->buffer) + s->used))
        return error_set(err, QASR_E_DEVICE, "device '%s' could not set up a tensor",
                         ggml_backend_dev_name(w->memory.device));
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

static qasr_status fill_weight(ggml_weights *w, device_mem *mem, const file_map *file, const void *data,
                               quant_type from, quant_type to, size_t rows, size_t cols, qasr_error *err)
{
    if (from == to && place_in_file(w, mem, file, data))
        return QASR_OK;
    TRY(place_in_slab(w, mem, err));
    if (from != to)
        return upload_converted(mem, file, data, from, to, rows, cols, err);
    upload_as_it_is(mem, file, data, rows * dmat_row_bytes(from, cols));
    return QASR_OK;
}

/* ---- the device's interface -------------------------------------------------------------------------- */

static ggml_weights *ggml_w(device_weights *w) { return (ggml_weights *)w; }

static void keep(ggml_weights *w, device_mem *mem)
{
    mem->next = w->list;
    w->list = mem;
}

qasr_status ggml_dev_weights_create(device_weights **out, const device_ops *ops, struct ggml_backend_device *on,
                                    qasr_error *err)
{
    ggml_weights *w;
    TRY(MEM_CALLOC(&w, 1, err));
    w->base.ops = ops;
    w->memory = (ggml_memory){ .device = on, .last_id = FIRST_ID };
    *out = &w->base;
    return QASR_OK;
}

void ggml_dev_weights_free(device_weights *weights)
{
    ggml_weights *w = ggml_w(weights);
    while (w->list) {
        device_mem *next = w->list->next;
        memory_free(&w->memory, w->list);
        w->list = next;
    }
    while (w->files) {
        mapped_file *next = w->files->next;
        ggml_backend_buffer_free(w->files->buffer);
        mem_free(w->files);
        w->files = next;
    }
    while (w->slabs) {
        weight_slab *next = w->slabs->next;
        memory_free_buffer(&w->memory, w->slabs->buffer);
        mem_free(w->slabs);
        w->slabs = next;
    }
    mem_free(w);
}

uint64_t ggml_dev_weights_memory(const device_weights *w) { return ((const ggml_weights *)w)->memory.peak; }

qasr_status ggml_dev_weights_alloc(device_weights *w, device_mem **out, size_t bytes, qasr_error *err)
{
    TRY(memory_alloc(&ggml_w(w)->memory, out, bytes, err));
    keep(ggml_w(w), *out);
    return QASR_OK;
}

qasr_status ggml_dev_weights_map(device_weights *weights, dmat *out, const file_map *file, const void *data,
                                 quant_type type, size_t rows, size_t cols, qasr_error *err)
{
    ggml_weights *w = ggml_w(weights);
    quant_type to;
    device_mem *mem = w->list;
    TRY(choose_type(w, &to, type, cols, err));
    while (mem && !(mem->stored == data && mem->stored_type == type && ggml_nrows(mem->whole) == (int64_t)rows))
        mem = mem->next;
    if (!mem) { /* else an output head tied to the embedding */
        TRY(memory_new_tensor(&w->memory, &mem, memory_ggml_type(to), cols, rows, err));
        mem->stored = data;
        mem->stored_type = type;
        qasr_status status = fill_weight(w, mem, file, data, type, to, rows, cols, err);
        if (status != QASR_OK) {
            memory_free(&w->memory, mem);
            return status;
        }
        keep(w, mem);
    }
    *out = dmat_make(mem, 0, to, rows, cols);
    return QASR_OK;
}
