/* GGUF writer, version 3: takes metadata and tensor descriptions, then the tensors' data in parts from any thread. The
 * file appears whole or not at all.
 *
 * Tensors are stored in the order of declaration, each padded with zeros to the alignment, including the last one.
 * Every offset is the sum of the padded sizes before it: the one layout that all readers accept. */
#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "weights/container.h"
#include "weights/gguf_format.h"
#include "weights/gguf_write.h"

typedef struct out_tensor {
    char name[GGUF_MAX_NAME + 1];
    wtensor t;              /* type, shape and sizes; name and data are not used */
    uint64_t offset;        /* relative to the data */
    _Atomic uint64_t n_put; /* bytes of data received */
} out_tensor;

struct gguf_writer {
    file_writer file;
    buf meta; /* key-value pairs as stored in the file */
    uint64_t n_meta;
    size_t strings_left; /* strings missing from the current array */
    buf keys;            /* the keys, each with its NUL, to find duplicates */
    buf values;          /* [n_meta] where in meta the key's value is, uint64_t */
    out_tensor *tensors;
    size_t n_tensors, cap_tensors;
    uint64_t data_start, n_data; /* bytes; set by begin_data */
    bool begun;
};

enum {
    MAX_META_BYTES = 1 << 30,
    META_START = 24 /* bytes before the metadata: magic, version, two counts */
};

static const char magic[4] = { 'G', 'G', 'U', 'F' };

static uint64_t padded(uint64_t n) { return (n + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT; }

static qasr_status put_bytes(buf *b, const char *s, size_t len, qasr_error *err)
{
    uint64_t n = len;
    TRY(buf_add(b, &n, sizeof n, err));
    return buf_add(b, s, len, err);
}

static qasr_status put_string(buf *b, const char *s, qasr_error *err) { return put_bytes(b, s, strlen(s), err); }

qasr_status gguf_writer_create(gguf_writer **out, const char *path, bool overwrite, qasr_error *err)
{
    gguf_writer *g;
    TRY(MEM_CALLOC(&g, 1, err));
    buf_init(&g->meta, MAX_META_BYTES);
    buf_init(&g->keys, MAX_META_BYTES);
    buf_init(&g->values, MAX_META_BYTES);
    qasr_status status = path ? file_writer_open(&g->file, path, overwrite, err) : QASR_OK;
    if (status != QASR_OK) {
        gguf_writer_free(g);
        return status;
    }
    *out = g;
    return QASR_OK;
}

void gguf_writer_free(gguf_writer *g)
{
    if (!g)
        return;
    file_writer_abort(&g->file);
    buf_free(&g->meta);
    buf_free(&g->keys);
    buf_free(&g->values);
    mem_free(g->tensors);
    mem_free(g);
}

/* ---- metadata --------------------------------------------------------------------------------- */

/* The number of a key, or n_meta. */
static uint64_t find_key(const gguf_writer *g, const char *key)
{
    uint64_t i = 0;
    for (size_t pos = 0; pos < g->keys.len; pos += strlen(g->keys.data + pos) + 1, i++)
        if (strcmp(g->keys.data + pos, key) == 0)
            break;
    return i;
}

static qasr_status too_late(const char *what, const char *name, qasr_error *err)
{
    return error_set(err, QASR_E_INVALID, "%s '%.100s' comes after the header was written", what, name);
}

static qasr_status check_strings(const gguf_writer *g, qasr_error *err)
{
    if (g->strings_left == 0)
        return QASR_OK;
    return error_set(err, QASR_E_INVALID, "an array of metadata strings is incomplete: %zu are missing",
                     g->strings_left);
}

/* Writes key and type; the value follows. */
static qasr_status add_key(gguf_writer *g, const char *key, wmeta_type type, qasr_error *err)
{
    if (g->begun)
        return too_late("metadata key", key, err);
    TRY(check_strings(g, err));
    if (!*key || find_key(g, key) < g->n_meta)
        return error_set(err, QASR_E_INVALID, "metadata key '%.100s' %s", key, *key ? "occurs twice" : "is empty");
    uint32_t id = type;
    TRY(buf_add(&g->keys, key, strlen(key) + 1, err));
    TRY(put_string(&g->meta, key, err));
    TRY(buf_add(&g->meta, &id, sizeof id, err));
    const uint64_t value = g->meta.len;
    TRY(buf_add(&g->values, &value, sizeof value, err));
    g->n_meta++;
    return QASR_OK;
}

qasr_status gguf_writer_meta_str(gguf_writer *g, const char *key, const char *value, qasr_error *err)
{
    TRY(add_key(g, key, WMETA_STRING, err));
    return put_string(&g->meta, value, err);
}

qasr_status gguf_writer_meta_u32(gguf_writer *g, const char *key, uint32_t value, qasr_error *err)
{
    if (strcmp(key, GGUF_ALIGNMENT_KEY) == 0 && value != GGUF_ALIGNMENT)
        return error_set(err, QASR_E_INVALID, GGUF_ALIGNMENT_KEY " cannot be %" PRIu32 ": files are written with %d",
                         value, GGUF_ALIGNMENT);
    TRY(add_key(g, key, WMETA_U32, err));
    return buf_add(&g->meta, &value, sizeof value, err);
}

qasr_status gguf_writer_meta_f32(gguf_writer *g, const char *key, float value, qasr_error *err)
{
    TRY(add_key(g, key, WMETA_F32, err));
    return buf_add(&g->meta, &value, sizeof value, err);
}

qasr_status gguf_writer_meta_bool(gguf_writer *g, const char *key, bool value, qasr_error *err)
{
    TRY(add_key(g, key, WMETA_BOOL, err));
    unsigned char byte = value;
    return buf_add(&g->meta, &byte, sizeof byte, err);
}

static qasr_status add_array(gguf_writer *g, const char *key, wmeta_type elem_type, uint64_t n, qasr_error *err)
{
    uint32_t id = elem_type;
    TRY(add_key(g, key, WMETA_ARRAY, err));
    TRY(buf_add(&g->meta, &id, sizeof id, err));
    return buf_add(&g->meta, &n, sizeof n, err);
}

qasr_status gguf_writer_meta_i32s(gguf_writer *g, const char *key, const int32_t *values, size_t n, qasr_error *err)
{
    TRY(add_array(g, key, WMETA_I32, n, err));
    return buf_add(&g->meta, values, n * sizeof *values, err);
}

qasr_status gguf_writer_meta_strings(gguf_writer *g, const char *key, size_t n, qasr_error *err)
{
    TRY(add_array(g, key, WMETA_STRING, n, err));
    g->strings_left = n;
    return QASR_OK;
}

qasr_status gguf_writer_next_string(gguf_writer *g, const char *s, size_t len, qasr_error *err)
{
    if (g->strings_left == 0)
        return error_set(err, QASR_E_INVALID, "a metadata string exceeds the announced number");
    TRY(put_bytes(&g->meta, s, len, err));
    g->strings_left--;
    return QASR_OK;
}

/* Converts a value to its stored form, with integers and floats in their own width. Returns its bytes. */
static size_t narrow(unsigned char out[8], const wmeta *m)
{
    float f = (float)m->as.f;
    switch (m->type) {
    case WMETA_U8:
    case WMETA_I8: memcpy(out, &m->as, 1); return 1; /* little endian: the low bytes */
    case WMETA_U16:
    case WMETA_I16: memcpy(out, &m->as, 2); return 2;
    case WMETA_U32:
    case WMETA_I32: memcpy(out, &m->as, 4); return 4;
    case WMETA_F32: memcpy(out, &f, 4); return 4;
    case WMETA_BOOL: out[0] = m->as.b; return 1;
    default: memcpy(out, &m->as, 8); return 8;
    }
}

qasr_status gguf_writer_meta_copy(gguf_writer *g, const wmeta *m, qasr_error *err)
{
    if (m->type == WMETA_ARRAY) {
        TRY(add_array(g, m->key, m->elem_type, m->n_elems, err));
        return buf_add(&g->meta, m->elems, (size_t)m->elems_bytes, err);
    }
    TRY(add_key(g, m->key, m->type, err));
    if (m->type == WMETA_STRING)
        return put_bytes(&g->meta, m->str, m->str_len, err);
    unsigned char value[8];
    return buf_add(&g->meta, value, narrow(value, m), err);
}

/* Writes the n bytes of a value of fixed size over that of a key in the file. */
static qasr_status replace(gguf_writer *g, const char *key, wmeta_type type, const void *value, size_t n,
                           qasr_error *err)
{
    const uint64_t i = find_key(g, key);
    uint64_t at;
    uint32_t id;
    if (!g->begun || i == g->n_meta)
        return error_set(err, QASR_E_INVALID, "metadata key '%.100s' is replaced %s", key,
                         g->begun ? "but was not added" : "before the header was written");
    memcpy(&at, g->values.data + i * sizeof at, sizeof at);
    memcpy(&id, g->meta.data + at - sizeof id, sizeof id);
    if (id != (uint32_t)type)
        return error_set(err, QASR_E_INVALID, "metadata key '%.100s' has type %" PRIu32 ", its new value %d", key, id,
                         (int)type);
    return file_writer_put(&g->file, META_START + at, value, n, err);
}

qasr_status gguf_writer_replace_u32(gguf_writer *g, const char *key, uint32_t value, qasr_error *err)
{
    return replace(g, key, WMETA_U32, &value, sizeof value, err);
}

qasr_status gguf_writer_replace_f32(gguf_writer *g, const char *key, float value, qasr_error *err)
{
    return replace(g, key, WMETA_F32, &value, sizeof value, err);
}

qasr_status gguf_writer_replace_bool(gguf_writer *g, const char *key, bool value, qasr_error *err)
{
    unsigned char byte = value;
    return replace(g, key, WMETA_BOOL, &byte, sizeof byte, err);
}

/* ---- tensors ------------------------------------------------------------------------------------ */

static qasr_status grow_tensors(gguf_writer *g, qasr_error *err)
{
    if (g->n_tensors < g->cap_tensors)
        return QASR_OK;
    size_t cap = g->cap_tensors ? 2 * g->cap_tensors : 64;
    out_tensor *bigger;
    TRY(MEM_CALLOC(&bigger, cap, err));
    if (g->n_tensors)
        memcpy(bigger, g->tensors, g->n_tensors * sizeof *bigger);
    mem_free(g->tensors);
    g->tensors = bigger;
    g->cap_tensors = cap;
    return QASR_OK;
}

static qasr_status check_tensor_name(const gguf_writer *g, const char *name, qasr_error *err)
{
    size_t n = strlen(name);
    if (n == 0)
        return error_set(err, QASR_E_INVALID, "a tensor has an empty name");
    if (n > GGUF_MAX_NAME)
        return error_set(err, QASR_E_INVALID, "tensor name '%.100s' has %zu bytes, GGUF files allow at most %d", name,
                         n, GGUF_MAX_NAME);
    for (size_t i = 0; i < g->n_tensors; i++)
        if (strcmp(g->tensors[i].name, name) == 0)
            return error_set(err, QASR_E_INVALID, "tensor '%s' occurs twice", name);
    return QASR_OK;
}

qasr_status gguf_writer_add(gguf_writer *g, const char *name, quant_type type, unsigned n_dims, const uint64_t *shape,
                            size_t *index, qasr_error *err)
{
    if (g->begun)
        return too_late("tensor", name, err);
    TRY(check_tensor_name(g, name, err));
    if ((unsigned)type >= QUANT_TYPE_COUNT || n_dims > WEIGHTS_MAX_DIMS)
        return error_set(err, QASR_E_INVALID, "tensor '%s' has type %d and %u dimensions, at most %d and %d are known",
                         name, (int)type, n_dims, QUANT_TYPE_COUNT - 1, WEIGHTS_MAX_DIMS);
    TRY(grow_tensors(g, err));
    out_tensor *o = &g->tensors[g->n_tensors];
    *o = (out_tensor){ .t = { .type = type, .n_dims = n_dims }, .offset = g->n_data };
    memcpy(o->name, name, strlen(name) + 1);
    for (unsigned i = 0; i < n_dims; i++)
        o->t.shape[i] = shape[i];
    const char *wrong = wtensor_measure(&o->t);
    uint64_t end = 0;
    if (!wrong && (__builtin_add_overflow(g->n_data, o->t.n_bytes, &end) || end > INT64_MAX))
        wrong = "lies at an offset that overflows";
    if (wrong)
        return error_set(err, QASR_E_INVALID, "tensor '%s' (type '%s') %s", name, quant_get(type)->name, wrong);
    g->n_data = padded(end);
    *index = g->n_tensors++;
    return QASR_OK;
}

/* ---- the file ------------------------------------------------------------------------------------- */

/* Fastest dimension first, without trailing dimensions of 1; never less than one dimension. */
static qasr_status put_shape(buf *b, const wtensor *t, qasr_error *err)
{
    uint64_t ne[WEIGHTS_MAX_DIMS] = { 1 };
    uint32_t n = 1;
    for (unsigned i = 0; i < t->n_dims; i++) {
        ne[i] = t->shape[t->n_dims - 1 - i];
        if (ne[i] != 1)
            n = i + 1;
    }
    TRY(buf_add(b, &n, sizeof n, err));
    return buf_add(b, ne, n * sizeof ne[0], err);
}

static qasr_status build_head(const gguf_writer *g, buf *b, qasr_error *err)
{
    uint32_t version = 3;
    uint64_t n_tensors = g->n_tensors;
    TRY(check_strings(g, err));
    TRY(buf_add(b, magic, sizeof magic, err));
    TRY(buf_add(b, &version, sizeof version, err));
    TRY(buf_add(b, &n_tensors, sizeof n_tensors, err));
    TRY(buf_add(b, &g->n_meta, sizeof g->n_meta, err));
    assert(b->len == META_START);
    TRY(buf_add(b, g->meta.data, g->meta.len, err));
    for (size_t i = 0; i < g->n_tensors; i++) {
        const out_tensor *o = &g->tensors[i];
        uint32_t id = quant_get(o->t.type)->ggml_id;
        TRY(put_string(b, o->name, err));
        TRY(put_shape(b, &o->t, err));
        TRY(buf_add(b, &id, sizeof id, err));
        TRY(buf_add(b, &o->offset, sizeof o->offset, err));
    }
    return QASR_OK;
}

static const unsigned char zeros[GGUF_ALIGNMENT];

/* Writes the header, its padding, and the padding after every tensor, which gives the file its final size. The magic is
 * left out until the data is complete, so the temporary file of a killed process is not a GGUF file, and zeros are not
 * mistaken for weights. */
static qasr_status put_head(gguf_writer *g, const buf *head, qasr_error *err)
{
    TRY(file_writer_put(&g->file, sizeof magic, head->data + sizeof magic, head->len - sizeof magic, err));
    TRY(file_writer_put(&g->file, head->len, zeros, (size_t)(g->data_start - head->len), err));
    for (size_t i = 0; i < g->n_tensors; i++) {
        const out_tensor *o = &g->tensors[i];
        uint64_t n = o->t.n_bytes;
        TRY(file_writer_put(&g->file, g->data_start + o->offset + n, zeros, (size_t)(padded(n) - n), err));
    }
    return QASR_OK;
}

qasr_status gguf_writer_measure(const gguf_writer *g, uint64_t *file_bytes, qasr_error *err)
{
    buf head;
    buf_init(&head, 2 * (size_t)MAX_META_BYTES);
    qasr_status status = build_head(g, &head, err);
    if (status == QASR_OK)
        *file_bytes = padded(head.len) + g->n_data;
    buf_free(&head);
    return status;
}

qasr_status gguf_writer_begin_data(gguf_writer *g, qasr_error *err)
{
    buf head;
    if (!g->file.path)
        return error_set(err, QASR_E_INVALID, "the writer has no file");
    buf_init(&head, 2 * (size_t)MAX_META_BYTES);
    qasr_status status = build_head(g, &head, err);
    if (status == QASR_OK) {
        g->data_start = padded(head.len);
        status = put_head(g, &head, err);
    }
    g->begun = status == QASR_OK;
    buf_free(&head);
    return status;
}

qasr_status gguf_writer_put(gguf_writer *g, size_t index, uint64_t offset, const void *data, size_t n, qasr_error *err)
{
    if (!g->begun || index >= g->n_tensors)
        return error_set(err, QASR_E_INVALID, "data for tensor %zu of %zu %s", index, g->n_tensors,
                         g->begun ? "that was not declared" : "before the header was written");
    out_tensor *o = &g->tensors[index];
    if (offset > o->t.n_bytes || n > o->t.n_bytes - offset)
        return error_set(err, QASR_E_INVALID, "tensor '%s': %zu bytes at offset %" PRIu64 " exceed its end at %" PRIu64,
                         o->name, n, offset, o->t.n_bytes);
    TRY(file_writer_put(&g->file, g->data_start + o->offset + offset, data, n, err));
    atomic_fetch_add_explicit(&o->n_put, n, memory_order_relaxed);
    return QASR_OK;
}

/* Tensors without data must not become silent zeros in a finished file. */
static qasr_status check_complete(gguf_writer *g, qasr_error *err)
{
    if (!g->begun)
        return error_set(err, QASR_E_INVALID, "the GGUF header was not written");
    for (size_t i = 0; i < g->n_tensors; i++) {
        out_tensor *o = &g->tensors[i];
        uint64_t n_put = atomic_load(&o->n_put);
        if (n_put != o->t.n_bytes)
            return error_set(err, QASR_E_INVALID, "tensor '%s' got %" PRIu64 " bytes of data, expected %" PRIu64,
                             o->name, n_put, o->t.n_bytes);
    }
    return QASR_OK;
}

qasr_status gguf_writer_finish(gguf_writer *g, const char **path, qasr_error *err)
{
    TRY(check_complete(g, err));
    *path = g->file.tmp_path;
    return file_writer_put(&g->file, 0, magic, sizeof magic, err);
}

qasr_status gguf_writer_commit(gguf_writer *g, uint64_t *file_bytes, qasr_error *err)
{
    const char *path;
    TRY(gguf_writer_finish(g, &path, err));
    TRY(file_writer_commit(&g->file, err));
    if (file_bytes)
        *file_bytes = g->data_start + g->n_data;
    return QASR_OK;
}
