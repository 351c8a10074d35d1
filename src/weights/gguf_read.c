/* GGUF reader: adds a file of version 2 or 3 to a weights object. Tensor data and arrays stay in the mapping; names,
 * keys and strings are copied and NUL-terminated.
 *
 * Everything is read through a cursor that knows the file's end. Counts are checked against what the rest of the file
 * can hold before anything is allocated for them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "weights/container.h"
#include "weights/gguf_file.h"
#include "weights/gguf_format.h"

#define MAX_STRING ((uint64_t)1 << 30) /* bytes, as in ggml */
#define MAX_ARRAY ((uint64_t)1 << 30)  /* elements, as in ggml */

enum {
    MIN_KEY_BYTES = 8 + 1 + 4 + 1,        /* key of one byte, type, value of one byte */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 4 + 8, /* name of one byte, n_dims 0, type, offset */
};

typedef struct cursor {
    const unsigned char *data;
    size_t size, pos;
    const char *file; /* for messages */
    char what[160];   /* the part being read, for messages */
} cursor;

typedef struct gguf_header {
    uint32_t version;
    uint64_t n_tensors, n_meta;
} gguf_header;

static qasr_status cut_short(const cursor *c, qasr_error *err)
{
    return error_set(err, QASR_E_FORMAT, "'%.200s' is cut short or damaged: its %zu bytes end inside %s", c->file,
                     c->size, c->what);
}

static qasr_status take(cursor *c, void *out, size_t n, qasr_error *err)
{
    if (n > c->size - c->pos)
        return cut_short(c, err);
    memcpy(out, c->data + c->pos, n);
    c->pos += n;
    return QASR_OK;
}

/* Reads a length-prefixed string, left in place. */
static qasr_status take_string(cursor *c, const char **s, size_t *len, qasr_error *err)
{
    uint64_t n = 0;
    TRY(take(c, &n, sizeof n, err));
    if (n > MAX_STRING)
        return error_set(err, QASR_E_FORMAT,
                         "'%.200s': %s has a string of %" PRIu64 " bytes, at most %" PRIu64 " are allowed", c->file,
                         c->what, n, MAX_STRING);
    if (n > c->size - c->pos)
        return cut_short(c, err);
    *s = (const char *)c->data + c->pos;
    *len = (size_t)n;
    c->pos += (size_t)n;
    return QASR_OK;
}

/* Reads a string that is valid as a name and copies it into the pool. */
static qasr_status take_name(cursor *c, weights *w, const char **name, qasr_error *err)
{
    const char *s;
    size_t len;
    TRY(take_string(c, &s, &len, err));
    if (len == 0 || memchr(s, 0, len))
        return error_set(err, QASR_E_FORMAT, "'%.200s': %s has a name that %s", c->file, c->what,
                         len == 0 ? "is empty" : "contains a zero byte");
    return weights_add_text(w, s, len, name, err);
}

/* ---- header --------------------------------------------------------------------------------- */

static qasr_status check_version(uint32_t version, const char *file, qasr_error *err)
{
    if (version != 0 && (version & 0xFFFF) == 0)
        return error_set(err, QASR_E_UNSUPPORTED,
                         "'%.200s' is in big-endian byte order (version field %08" PRIx32 "), expected little endian",
                         file, version);
    if (version < 2 || version > 3)
        return error_set(err, QASR_E_UNSUPPORTED, "'%.200s' is GGUF version %" PRIu32 ", versions 2 and 3 can be read",
                         file, version);
    return QASR_OK;
}

static qasr_status check_count(const cursor *c, uint64_t n, size_t min_bytes, const char *what, qasr_error *err)
{
    if (n > (c->size - c->pos) / min_bytes)
        return error_set(err, QASR_E_FORMAT, "'%.200s' claims to hold %" PRIu64 " %s, more than fit into its %zu bytes",
                         c->file, n, what, c->size);
    return QASR_OK;
}

static qasr_status read_header(cursor *c, gguf_header *h, qasr_error *err)
{
    char magic[4];
    snprintf(c->what, sizeof c->what, "the header");
    TRY(file_refuse_lfs_pointer(c->data, c->size, c->file, err));
    if (c->size < sizeof magic || memcmp(c->data, "GGUF", sizeof magic) != 0)
        return error_set(err, QASR_E_FORMAT, "'%.200s' is not a GGUF file: it does not start with 'GGUF'", c->file);
    TRY(take(c, magic, sizeof magic, err));
    TRY(take(c, &h->version, sizeof h->version, err));
    TRY(check_version(h->version, c->file, err));
    TRY(take(c, &h->n_tensors, sizeof h->n_tensors, err));
    TRY(take(c, &h->n_meta, sizeof h->n_meta, err));
    TRY(check_count(c, h->n_meta, MIN_KEY_BYTES, "metadata keys", err));
    return check_count(c, h->n_tensors, MIN_TENSOR_BYTES, "tensors", err);
}

/* ---- metadata --------------------------------------------------------------------------------- */

/* Bytes of a number; 0: not a number. */
static size_t scalar_bytes(uint32_t type)
{
    static const unsigned char bytes[] = {
        [WMETA_U8] = 1,  [WMETA_I8] = 1,   [WMETA_U16] = 2, [WMETA_I16] = 2, [WMETA_U32] = 4, [WMETA_I32] = 4,
        [WMETA_F32] = 4, [WMETA_BOOL] = 1, [WMETA_U64] = 8, [WMETA_I64] = 8, [WMETA_F64] = 8,
    };
    return type < ARRAY_LEN(bytes) ? bytes[type] : 0;
}

static int64_t sign_extend(uint64_t raw, size_t bytes)
{
    unsigned shift = (unsigned)(64 - 8 * bytes);
    return (int64_t)(raw << shift) >> shift;
}

static qasr_status read_scalar(cursor *c, wmeta *m, qasr_error *err)
{
    size_t bytes = scalar_bytes(m->type);
    uint64_t raw = 0;
    TRY(take(c, &raw, bytes, err));
    switch (m->type) {
    case WMETA_I8:
    case WMETA_I16:
    case WMETA_I32:
    case WMETA_I64: m->as.i = sign_extend(raw, bytes); break;
    case WMETA_F32: {
        float f;
        memcpy(&f, &raw, sizeof f);
        m->as.f = f;
        break;
    }
    case WMETA_F64: memcpy(&m->as.f, &raw, sizeof m->as.f); break;
    case WMETA_BOOL:
        if (raw > 1)
            return error_set(err, QASR_E_FORMAT, "'%.200s': %s is a bool with value %" PRIu64 ", expected 0 or 1",
                             c->file, c->what, raw);
        m->as.b = raw != 0;
        break;
    default: m->as.u = raw;
    }
    return QASR_OK;
}

static qasr_status read_string_value(cursor *c, wmeta *m, weights *w, qasr_error *err)
{
    const char *s;
    TRY(take_string(c, &s, &m->str_len, err));
    return weights_add_text(w, s, m->str_len, &m->str, err);
}

static qasr_status skip_elements(cursor *c, const wmeta *m, qasr_error *err)
{
    size_t bytes = scalar_bytes(m->elem_type); /* at most 8, and n_elems at most 2^30 */
    if (bytes != 0) {
        if (m->n_elems * bytes > c->size - c->pos)
            return cut_short(c, err);
        c->pos += (size_t)m->n_elems * bytes;
        return QASR_OK;
    }
    for (uint64_t i = 0; i < m->n_elems; i++) {
        const char *s;
        size_t len;
        TRY(take_string(c, &s, &len, err));
    }
    return QASR_OK;
}

static qasr_status read_array(cursor *c, wmeta *m, qasr_error *err)
{
    uint32_t elem_type = 0;
    TRY(take(c, &elem_type, sizeof elem_type, err));
    TRY(take(c, &m->n_elems, sizeof m->n_elems, err));
    if (elem_type == WMETA_ARRAY)
        return error_set(err, QASR_E_UNSUPPORTED, "'%.200s': %s is an array of arrays, which cannot be read", c->file,
                         c->what);
    if (elem_type != WMETA_STRING && scalar_bytes(elem_type) == 0)
        return error_set(err, QASR_E_FORMAT, "'%.200s': %s is an array of unknown type %" PRIu32, c->file, c->what,
                         elem_type);
    if (m->n_elems > MAX_ARRAY)
        return error_set(err, QASR_E_FORMAT,
                         "'%.200s': %s is an array of %" PRIu64 " elements, at most %" PRIu64 " are allowed", c->file,
                         c->what, m->n_elems, MAX_ARRAY);
    m->elem_type = (wmeta_type)elem_type;
    m->elems = c->data + c->pos;
    size_t begin = c->pos;
    TRY(skip_elements(c, m, err));
    m->elems_bytes = c->pos - begin;
    return QASR_OK;
}

static qasr_status read_key_value(cursor *c, weights *w, qasr_error *err)
{
    wmeta m = { 0 };
    uint32_t type = 0;
    TRY(take_name(c, w, &m.key, err));
    snprintf(c->what, sizeof c->what, "metadata key '%.100s'", m.key);
    TRY(take(c, &type, sizeof type, err));
    m.type = (wmeta_type)type;
    if (type == WMETA_STRING)
        TRY(read_string_value(c, &m, w, err));
    else if (type == WMETA_ARRAY)
        TRY(read_array(c, &m, err));
    else if (scalar_bytes(type) != 0)
        TRY(read_scalar(c, &m, err));
    else
        return error_set(err, QASR_E_FORMAT, "'%.200s': %s has unknown type %" PRIu32, c->file, c->what, type);
    return weights_add_meta(w, &m, err);
}

static qasr_status read_metadata(cursor *c, weights *w, uint64_t n, qasr_error *err)
{
    for (uint64_t i = 0; i < n; i++) {
        snprintf(c->what, sizeof c->what, "metadata key %" PRIu64 " of %" PRIu64, i + 1, n);
        TRY(read_key_value(c, w, err));
    }
    return QASR_OK;
}

/* Looks at the file's keys, from first on. Duplicate keys are refused later, with all other duplicates. */
static qasr_status find_alignment(uint64_t *out, const weights *w, size_t first, const char *file, qasr_error *err)
{
    *out = GGUF_ALIGNMENT;
    for (size_t i = first; i < w->n_meta; i++) {
        const wmeta *m = &w->meta[i];
        if (strcmp(m->key, GGUF_ALIGNMENT_KEY) != 0)
            continue;
        if (m->type != WMETA_U32)
            return error_set(err, QASR_E_FORMAT, "'%.200s': " GGUF_ALIGNMENT_KEY " has type %d, expected %d (u32)",
                             file, (int)m->type, (int)WMETA_U32);
        if (m->as.u == 0 || (m->as.u & (m->as.u - 1)) != 0)
            return error_set(err, QASR_E_FORMAT,
                             "'%.200s': " GGUF_ALIGNMENT_KEY " is %" PRIu64 ", expected a power of two", file, m->as.u);
        *out = m->as.u;
        break;
    }
    return QASR_OK;
}

/* ---- tensors ------------------------------------------------------------------------------------ */

static qasr_status parse_type(wtensor *t, uint32_t id, const char *file, qasr_error *err)
{
    int type = quant_from_ggml_id(id);
    const char *name = quant_ggml_name(id);
    if (type < 0 && name)
        return error_set(err, QASR_E_UNSUPPORTED, "'%.200s': tensor '%s': type '%s' (id %" PRIu32 ") cannot be read",
                         file, t->name, name, id);
    if (type < 0)
        return error_set(err, QASR_E_UNSUPPORTED, "'%.200s': tensor '%s': type id %" PRIu32 " is unknown", file,
                         t->name, id);
    t->type = (quant_type)type;
    return QASR_OK;
}

/* GGUF lists the fastest dimension first. */
static qasr_status read_shape(cursor *c, wtensor *t, qasr_error *err)
{
    uint32_t n = 0;
    TRY(take(c, &n, sizeof n, err));
    if (n > WEIGHTS_MAX_DIMS)
        return error_set(err, QASR_E_UNSUPPORTED, "'%.200s': %s has %" PRIu32 " dimensions, at most %d can be read",
                         c->file, c->what, n, WEIGHTS_MAX_DIMS);
    t->n_dims = n;
    for (uint32_t i = 0; i < n; i++)
        TRY(take(c, &t->shape[n - 1 - i], sizeof t->shape[0], err));
    return QASR_OK;
}

/* Reads a tensor description. *offset is relative to the data, whose start is not known yet. */
static qasr_status read_tensor(cursor *c, wtensor *t, uint64_t *offset, weights *w, qasr_error *err)
{
    uint32_t type_id = 0;
    TRY(take_name(c, w, &t->name, err));
    if (strlen(t->name) > GGUF_MAX_NAME)
        return error_set(err, QASR_E_FORMAT, "'%.200s': tensor name '%.100s' has %zu bytes, at most %d are allowed",
                         c->file, t->name, strlen(t->name), GGUF_MAX_NAME);
    snprintf(c->what, sizeof c->what, "the description of tensor '%s'", t->name);
    TRY(read_shape(c, t, err));
    TRY(take(c, &type_id, sizeof type_id, err));
    TRY(parse_type(t, type_id, c->file, err));
    TRY(take(c, offset, sizeof *offset, err));
    const char *wrong = wtensor_measure(t);
    if (wrong)
        return error_set(err, QASR_E_FORMAT, "'%.200s': tensor '%s' (type '%s') %s", c->file, t->name,
                         quant_get(t->type)->name, wrong);
    return QASR_OK;
}

static qasr_status read_tensors(cursor *c, weights *w, unsigned file, uint64_t n, uint64_t *offsets, qasr_error *err)
{
    for (uint64_t i = 0; i < n; i++) {
        wtensor t = { .file = file };
        snprintf(c->what, sizeof c->what, "the description of tensor %" PRIu64 " of %" PRIu64, i + 1, n);
        TRY(read_tensor(c, &t, &offsets[i], w, err));
        TRY(weights_add_tensor(w, &t, err));
    }
    return QASR_OK;
}

/* Data starts at the next multiple of the alignment; a file without data may end before. */
static qasr_status place_tensors(const cursor *c, wtensor *tensors, size_t n, const uint64_t *offsets,
                                 uint64_t alignment, qasr_error *err)
{
    uint64_t padding = (alignment - c->pos % alignment) % alignment, rest = c->size - c->pos;
    size_t start = padding < rest ? c->pos + (size_t)padding : c->size, n_data = c->size - start;
    for (size_t i = 0; i < n; i++) {
        wtensor *t = &tensors[i];
        if (offsets[i] % alignment != 0)
            return error_set(err, QASR_E_FORMAT,
                             "'%.200s': tensor '%s' has offset %" PRIu64 ", expected a multiple of %" PRIu64, c->file,
                             t->name, offsets[i], alignment);
        if (offsets[i] > n_data || t->n_bytes > n_data - offsets[i])
            return error_set(err, QASR_E_FORMAT,
                             "'%.200s' is cut short or damaged: tensor '%s' needs %" PRIu64 " bytes at offset %" PRIu64
                             ", but there are %zu bytes of data",
                             c->file, t->name, t->n_bytes, offsets[i], n_data);
        t->data = c->data + start + (size_t)offsets[i];
    }
    return QASR_OK;
}

/* ---- the whole file ------------------------------------------------------------------------------- */

qasr_status gguf_read_file(weights *w, const char *path, qasr_error *err)
{
    unsigned file;
    const size_t first_tensor = w->n_tensors, first_key = w->n_meta;
    TRY(weights_add_file(w, path, &file, err));
    const file_map *map = &w->files[file].map;
    cursor c = { .data = map->data, .size = map->size, .file = file_base_name(path) };
    gguf_header h;
    uint64_t alignment, *offsets = NULL;
    TRY(read_header(&c, &h, err));
    TRY(read_metadata(&c, w, h.n_meta, err));
    TRY(find_alignment(&alignment, w, first_key, c.file, err));
    TRY(check_count(&c, h.n_tensors, MIN_TENSOR_BYTES, "tensors", err));
    TRY(MEM_ALLOC(&offsets, (size_t)h.n_tensors, err));
    qasr_status status = read_tensors(&c, w, file, h.n_tensors, offsets, err);
    if (status == QASR_OK)
        status = place_tensors(&c, w->tensors + first_tensor, (size_t)h.n_tensors, offsets, alignment, err);
    mem_free(offsets);
    return status;
}
