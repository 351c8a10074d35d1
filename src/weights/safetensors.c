/* Opens safetensors as a weights object: one file, or shards with or without an index.
 *
 * A file is: u64 length n, n bytes of JSON, data. The JSON maps each name to {"dtype", "shape", "data_offsets": [begin,
 * end) relative to the end of the JSON}; "__metadata__" maps strings to strings. In an index, "weight_map" maps each
 * tensor to its file. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_file.h"
#include "base/log.h"
#include "base/mem.h"
#include "weights/container.h"
#include "weights/safetensors.h"
#include "weights/safetensors_format.h"

/* A tensor of an index and the file that holds it. Both strings belong to the index's JSON. */
typedef struct placement {
    const char *file, *tensor;
} placement;

/* A tensor as described by a file's header. */
typedef struct st_item {
    wtensor t;           /* name belongs to the header's JSON */
    bool readable;       /* element type known */
    uint64_t begin, end; /* in the file's data */
    size_t order;        /* in the header */
} st_item;

/* ---- one file ------------------------------------------------------------------------------- */

static qasr_status check_magic(const file_map *m, const char *file, qasr_error *err)
{
    static const struct {
        const char *start, *what;
    } others[] = {
        { "GGUF", "is a GGUF file, expected safetensors" },
        { "PK\003\004", "is a zip archive (a PyTorch checkpoint?), expected safetensors" },
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        size_t n = strlen(others[i].start);
        if (m->size >= n && memcmp(m->data, others[i].start, n) == 0)
            return error_set(err, QASR_E_FORMAT, "'%.200s' %s", file, others[i].what);
    }
    return file_refuse_lfs_pointer(m->data, m->size, file, err);
}

/* Parses the header; *data_pos is where the data starts. The caller releases *root with json_decref. */
static qasr_status read_header(json_t **root, size_t *data_pos, const file_map *m, const char *file, qasr_error *err)
{
    TRY(check_magic(m, file, err));
    uint64_t n;
    if (m->size < sizeof n)
        return error_set(err, QASR_E_FORMAT, "'%.200s' has %zu bytes, too few for a safetensors file", file, m->size);
    memcpy(&n, m->data, sizeof n);
    if (n > m->size - sizeof n && (m->size == sizeof n || m->data[sizeof n] != '{'))
        return error_set(err, QASR_E_FORMAT, "'%.200s' is neither a safetensors nor a GGUF file", file);
    if (n > m->size - sizeof n)
        return error_set(err, QASR_E_FORMAT,
                         "'%.200s' is cut short: a safetensors header of %" PRIu64 " bytes in a file of %zu bytes",
                         file, n, m->size);
    if (n > SAFETENSORS_MAX_JSON_BYTES)
        return error_set(err, QASR_E_FORMAT, "'%.200s': header of %" PRIu64 " bytes, at most %d are read", file, n,
                         SAFETENSORS_MAX_JSON_BYTES);
    json_error_t bad;
    *root = json_loadb((const char *)m->data + sizeof n, (size_t)n, JSON_REJECT_DUPLICATES, &bad);
    if (!*root && !*bad.text) /* no message: Jansson ran out of memory */
        return error_set(err, QASR_E_NOMEM, "cannot read the header of '%.200s': out of memory", file);
    if (!*root)
        return error_set(err, QASR_E_FORMAT, "'%.200s': header is not valid JSON: %s (byte %d)", file, bad.text,
                         bad.position);
    *data_pos = sizeof n + (size_t)n;
    if (json_is_object(*root))
        return QASR_OK;
    json_decref(*root);
    return error_set(err, QASR_E_FORMAT, "'%.200s': header is not a JSON object", file);
}

/* Reads a JSON integer that is not negative; false for anything else. */
static bool get_u64(uint64_t *out, const json_t *v)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static qasr_status parse_shape(st_item *it, const json_t *shape, const char *file, qasr_error *err)
{
    size_t n = json_array_size(shape);
    if (!json_is_array(shape))
        return error_set(err, QASR_E_FORMAT, "'%.100s': tensor '%.100s' has no shape", file, it->t.name);
    if (n > WEIGHTS_MAX_DIMS && it->readable)
        return error_set(err, QASR_E_UNSUPPORTED,
                         "'%.100s': tensor '%.100s' has %zu dimensions, at most %d can be read", file, it->t.name, n,
                         WEIGHTS_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        uint64_t dim;
        if (!get_u64(&dim, json_array_get(shape, i)))
            return error_set(err, QASR_E_FORMAT, "'%.100s': tensor '%.100s': dimension %zu of the shape is not a count",
                             file, it->t.name, i);
        if (i < WEIGHTS_MAX_DIMS)
            it->t.shape[i] = dim;
    }
    it->t.n_dims = (unsigned)(n < WEIGHTS_MAX_DIMS ? n : WEIGHTS_MAX_DIMS);
    return QASR_OK;
}

static qasr_status parse_offsets(st_item *it, const json_t *offsets, uint64_t data_bytes, const char *file,
                                 qasr_error *err)
{
    if (json_array_size(offsets) != 2 || !get_u64(&it->begin, json_array_get(offsets, 0)) ||
        !get_u64(&it->end, json_array_get(offsets, 1)))
        return error_set(err, QASR_E_FORMAT, "'%.100s': tensor '%.100s': data_offsets is not a pair of byte counts",
                         file, it->t.name);
    if (it->begin > it->end || it->end > data_bytes)
        return error_set(err, QASR_E_FORMAT,
                         "'%.100s': tensor '%.100s' lies at bytes %" PRIu64 " to %" PRIu64 ", but the file has %" PRIu64
                         " bytes of data; it may be cut short",
                         file, it->t.name, it->begin, it->end, data_bytes);
    return QASR_OK;
}

static bool parse_dtype(quant_type *out, const char *type_name)
{
    static const struct {
        const char *name;
        quant_type type;
    } types[] = { { "BF16", QUANT_BF16 }, { "F16", QUANT_F16 }, { "F32", QUANT_F32 } };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(type_name, types[i].name) == 0) {
            *out = types[i].type;
            return true;
        }
    return false;
}

static qasr_status parse_item(st_item *it, const char *name, const json_t *entry, uint64_t data_bytes, const char *file,
                              qasr_error *err)
{
    it->t.name = name;
    const char *type_name = json_string_value(json_object_get(entry, "dtype"));
    if (!type_name)
        return error_set(err, QASR_E_FORMAT, "'%.100s': tensor '%.100s' has no dtype", file, name);
    it->readable = parse_dtype(&it->t.type, type_name);
    TRY(parse_shape(it, json_object_get(entry, "shape"), file, err));
    TRY(parse_offsets(it, json_object_get(entry, "data_offsets"), data_bytes, file, err));
    if (!it->readable) {
        log_warning("'%.100s': tensor '%.100s' is left out: element type '%.20s' cannot be read", file, name,
                    type_name);
        return QASR_OK;
    }
    const char *wrong = wtensor_measure(&it->t);
    if (wrong)
        return error_set(err, QASR_E_FORMAT, "'%.100s': tensor '%.100s' %s", file, name, wrong);
    if (it->end - it->begin != it->t.n_bytes)
        return error_set(err, QASR_E_FORMAT,
                         "'%.100s': tensor '%.100s' has %" PRIu64 " bytes of data, expected %" PRIu64 " for its shape",
                         file, name, it->end - it->begin, it->t.n_bytes);
    return QASR_OK;
}

static int compare_items(const void *a, const void *b)
{
    const st_item *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Sorts by position. Gaps are allowed, overlaps are not. */
static qasr_status sort_items(st_item *items, size_t n, const char *file, qasr_error *err)
{
    qsort(items, n, sizeof *items, compare_items);
    const st_item *last = NULL; /* last non-empty one: empty tensors overlap nothing */
    for (size_t i = 0; i < n; i++) {
        if (items[i].begin == items[i].end)
            continue;
        if (last && items[i].begin < last->end)
            return error_set(err, QASR_E_FORMAT, "'%.100s': data of tensors '%.100s' and '%.100s' overlap", file,
                             last->t.name, items[i].t.name);
        last = &items[i];
    }
    return QASR_OK;
}

/* The values of "__metadata__" are strings by definition. */
static qasr_status add_metadata(weights *w, json_t *metadata, const char *file, qasr_error *err)
{
    if (!json_is_object(metadata))
        return error_set(err, QASR_E_FORMAT, "'%.200s': %s is not a JSON object", file, SAFETENSORS_METADATA_KEY);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return error_set(err, QASR_E_FORMAT, "'%.100s': metadata '%.100s' is not a string", file, key);
        wmeta m = { .type = WMETA_STRING, .str_len = json_string_length(value) };
        TRY(weights_add_text(w, key, strlen(key), &m.key, err));
        TRY(weights_add_text(w, json_string_value(value), m.str_len, &m.str, err));
        TRY(weights_add_meta(w, &m, err));
    }
    return QASR_OK;
}

/* Checks every entry of the header, including those that will not be kept. */
static qasr_status parse_items(st_item *items, size_t *n_items, json_t *root, uint64_t data_bytes, const char *file,
                               qasr_error *err)
{
    const char *name;
    json_t *entry;
    size_t n = 0;
    json_object_foreach(root, name, entry)
    {
        if (strcmp(name, SAFETENSORS_METADATA_KEY) == 0)
            continue;
        if (!*name)
            return error_set(err, QASR_E_FORMAT, "'%.200s': a tensor has an empty name", file);
        items[n].order = n;
        TRY(parse_item(&items[n], name, entry, data_bytes, file, err));
        n++;
    }
    *n_items = n;
    return sort_items(items, n, file, err);
}

static int compare_placed_name(const void *name, const void *p) { return strcmp(name, ((const placement *)p)->tensor); }

/* placed: the tensors that the index expects in this file, sorted by name; NULL without an index. */
static qasr_status keep_items(weights *w, const st_item *items, size_t n, unsigned file_index, size_t data_pos,
                              const placement *placed, size_t n_placed, qasr_error *err)
{
    const wfile *f = &w->files[file_index];
    for (size_t i = 0; i < n; i++) {
        const char *name = items[i].t.name;
        if (placed && !bsearch(name, placed, n_placed, sizeof *placed, compare_placed_name)) {
            log_debug("'%.100s': tensor '%.100s' is not in the index", f->path, name);
            continue;
        }
        if (!items[i].readable)
            continue;
        wtensor t = items[i].t;
        t.file = file_index;
        t.data = f->map.data + data_pos + items[i].begin;
        TRY(weights_add_text(w, name, strlen(name), &t.name, err));
        TRY(weights_add_tensor(w, &t, err));
    }
    return QASR_OK;
}

static qasr_status add_file(weights *w, const char *path, const placement *placed, size_t n_placed, qasr_error *err)
{
    unsigned index;
    TRY(weights_add_file(w, path, &index, err));
    const file_map *map = &w->files[index].map;
    const char *file = file_base_name(path);
    json_t *root;
    size_t data_pos, n_items;
    TRY(read_header(&root, &data_pos, map, file, err));
    st_item *items = NULL;
    qasr_status status;
    TRY_GOTO(MEM_CALLOC(&items, json_object_size(root), err));
    TRY_GOTO(parse_items(items, &n_items, root, map->size - data_pos, file, err));
    for (size_t i = 0; i < n_placed; i++)
        if (!json_object_get(root, placed[i].tensor)) {
            status = error_set(err, QASR_E_FORMAT, "'%.100s' lacks tensor '%.100s', which the index expects there",
                               file, placed[i].tensor);
            goto done;
        }
    TRY_GOTO(keep_items(w, items, n_items, index, data_pos, placed, n_placed, err));
    json_t *metadata = json_object_get(root, SAFETENSORS_METADATA_KEY);
    if (metadata && index == 0) /* the shards of a model repeat it */
        status = add_metadata(w, metadata, file, err);
done:
    mem_free(items);
    json_decref(root);
    return status;
}

/* ---- shards with an index --------------------------------------------------------------------- */

static qasr_status load_index(json_t **root, const char *path, qasr_error *err)
{
    buf text;
    buf_init(&text, SAFETENSORS_MAX_JSON_BYTES);
    qasr_status status = json_file_read(root, &text, path, err);
    buf_free(&text);
    return status;
}

/* The file name comes from untrusted JSON: it must stay in the index's folder. */
static qasr_status check_shard_name(const char *name, const char *tensor, const char *index, qasr_error *err)
{
    if (!*name || strcmp(name, ".") == 0 || strchr(name, '/') || strchr(name, '\\') || strstr(name, ".."))
        return error_set(err, QASR_E_FORMAT,
                         "'%.100s': tensor '%.100s' is placed in '%.100s', expected a file name without a folder",
                         index, tensor, name);
    return QASR_OK;
}

static int compare_placements(const void *a, const void *b)
{
    const placement *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    return order ? order : strcmp(x->tensor, y->tensor);
}

/* Lists the weight_map, sorted by file, then tensor. */
static qasr_status list_placements(placement **out, size_t *n_out, json_t *root, const char *index, qasr_error *err)
{
    json_t *map = json_object_get(root, "weight_map"), *value;
    size_t n = json_object_size(map), i = 0;
    if (n == 0)
        return error_set(err, QASR_E_FORMAT, "'%.200s' has no weight_map, or an empty one", index);
    placement *list;
    TRY(MEM_ALLOC(&list, n, err));
    const char *tensor;
    qasr_status status = QASR_OK;
    json_object_foreach(map, tensor, value)
    {
        list[i] = (placement){ json_string_value(value), tensor };
        if (!list[i].file)
            status =
                error_set(err, QASR_E_FORMAT, "'%.100s': the file of tensor '%.100s' is not a string", index, tensor);
        else
            status = check_shard_name(list[i].file, tensor, index, err);
        if (status != QASR_OK) {
            mem_free(list);
            return status;
        }
        i++;
    }
    qsort(list, n, sizeof *list, compare_placements);
    *out = list;
    *n_out = n;
    return QASR_OK;
}

static qasr_status add_shard(weights *w, const char *dir, const placement *placed, size_t n, const char *index,
                             qasr_error *err)
{
    char *path;
    TRY(file_path_join(&path, dir, placed[0].file, err));
    qasr_status status;
    if (file_exists(path))
        status = add_file(w, path, placed, n, err);
    else
        status = error_set(err, QASR_E_IO, "shard '%.200s' is missing: '%.100s' places tensor '%.100s' there", path,
                           index, placed[0].tensor);
    mem_free(path);
    return status;
}

static qasr_status add_index(weights *w, const char *path, qasr_error *err)
{
    json_t *root = NULL;
    placement *list = NULL;
    char *dir = NULL;
    size_t n = 0;
    const char *index = file_base_name(path);
    qasr_status status;
    TRY_GOTO(load_index(&root, path, err));
    TRY_GOTO(list_placements(&list, &n, root, index, err));
    TRY_GOTO(file_parent(&dir, path, err));
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && strcmp(list[end].file, list[begin].file) == 0;)
            end++;
        TRY_GOTO(add_shard(w, dir, list + begin, end - begin, index, err));
    }
done:
    mem_free(dir);
    mem_free(list);
    json_decref(root);
    return status;
}

/* ---- folders ------------------------------------------------------------------------------------ */

/* Shard names contain the number of shards: "model-00001-of-00003.safetensors". */
static qasr_status check_complete(char *const *names, size_t n, const char *dir, qasr_error *err)
{
    const char *of = strstr(names[0], "-of-") + strlen("-of-");
    char *end;
    unsigned long total = strtoul(of, &end, 10);
    if (end != of && total > n)
        return error_set(err, QASR_E_IO, "'%.200s' holds %zu of %lu shards 'model-*-of-%.20s'", dir, n, total, of);
    return QASR_OK;
}

static qasr_status add_sorted_shards(weights *w, const char *dir, char **names, size_t n, qasr_error *err)
{
    TRY(check_complete(names, n, dir, err));
    for (size_t i = 0; i < n; i++) {
        char *path;
        TRY(file_path_join(&path, dir, names[i], err));
        qasr_status status = add_file(w, path, NULL, 0, err);
        mem_free(path);
        TRY(status);
    }
    return QASR_OK;
}

static qasr_status add_unindexed_shards(weights *w, const char *dir, qasr_error *err)
{
    file_names shards;
    qasr_status status = file_list(&shards, dir, "model-*-of-*.safetensors", err);
    if (status == QASR_OK && shards.n == 0)
        status = error_set(err, QASR_E_IO,
                           "'%.200s' holds no weights: expected model.safetensors, model.safetensors.index.json or"
                           " model-*-of-*.safetensors",
                           dir);
    else if (status == QASR_OK)
        status = add_sorted_shards(w, dir, shards.names, shards.n, err);
    file_names_free(&shards);
    return status;
}

static qasr_status add_dir(weights *w, const char *dir, qasr_error *err)
{
    char *single = NULL, *index = NULL;
    qasr_status status;
    TRY_GOTO(file_path_join(&single, dir, "model.safetensors", err));
    TRY_GOTO(file_path_join(&index, dir, "model.safetensors.index.json", err));
    if (file_exists(single))
        status = add_file(w, single, NULL, 0, err);
    else if (file_exists(index))
        status = add_index(w, index, err);
    else
        status = add_unindexed_shards(w, dir, err);
done:
    mem_free(index);
    mem_free(single);
    return status;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), n_end = strlen(end);
    return n >= n_end && strcmp(s + n - n_end, end) == 0;
}

qasr_status weights_open_safetensors(weights **out, const char *path, qasr_error *err)
{
    weights *w;
    TRY(weights_create(&w, WEIGHTS_SAFETENSORS, err));
    qasr_status status;
    if (file_is_dir(path))
        status = add_dir(w, path, err);
    else if (ends_with(path, ".index.json"))
        status = add_index(w, path, err);
    else
        status = add_file(w, path, NULL, 0, err);
    if (status == QASR_OK)
        status = weights_finish(w, err);
    if (status != QASR_OK) {
        weights_close(w);
        return status;
    }
    *out = w;
    return QASR_OK;
}
