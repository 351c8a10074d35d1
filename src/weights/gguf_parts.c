/* Models in several GGUF files. The names of the parts end in "-00001-of-00003.gguf" and so on; each has the keys
 * split.no (from 0), split.count and split.tensors.count, the number of tensors in all parts. The first part has all
 * other keys. The keys decide what a file is; its name tells where the other parts are. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "weights/container.h"
#include "weights/gguf_file.h"
#include "weights/gguf_format.h"
#include "weights/gguf_read.h"

/* ---- names ----------------------------------------------------------------------------------- */

enum { PART_DIGITS = 5 };
static const char ending_form[] = "-%05u-of-%05u.gguf";
enum { ENDING_BYTES = sizeof "-00001-of-00003.gguf" - 1 };

static bool read_number(unsigned *out, const char *digits)
{
    *out = 0;
    for (int i = 0; i < PART_DIGITS; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        *out = 10 * *out + (unsigned)(digits[i] - '0');
    }
    return true;
}

/* Splits the name of a part: number (from 1) of count. The path without its ending has *n_stem bytes. */
static bool parse_name(const char *path, size_t *n_stem, unsigned *number, unsigned *count)
{
    char ending[ENDING_BYTES + 1];
    size_t n = strlen(path);
    if (n <= ENDING_BYTES)
        return false;
    *n_stem = n - ENDING_BYTES;
    const char *end = path + *n_stem;
    if (!read_number(number, end + strlen("-")) || !read_number(count, end + strlen("-00001-of-")))
        return false;
    snprintf(ending, sizeof ending, ending_form, *number % 100000, *count % 100000);
    return strcmp(end, ending) == 0 && *number >= 1 && *number <= *count;
}

/* The path of a part that shares the first n_stem bytes with path. */
static qasr_status part_path(char **out, const char *path, size_t n_stem, unsigned number, unsigned count,
                             qasr_error *err)
{
    size_t size = n_stem + ENDING_BYTES + 1;
    TRY(mem_alloc((void **)out, size, 1, err));
    memcpy(*out, path, n_stem);
    snprintf(*out + n_stem, size - n_stem, ending_form, number % 100000, count % 100000);
    return QASR_OK;
}

bool gguf_is_later_part(const char *path)
{
    size_t n_stem;
    unsigned number, count;
    char *first;
    if (!parse_name(path, &n_stem, &number, &count) || number == 1 ||
        part_path(&first, path, n_stem, 1, count, NULL) != QASR_OK)
        return false;
    bool exists = file_exists(first);
    mem_free(first);
    return exists;
}

/* ---- keys ------------------------------------------------------------------------------------- */

/* The split keys of a part; count 0: the file is not one. */
typedef struct part_keys {
    uint64_t no, count, n_tensors;
} part_keys;

/* Reads a count from the keys from first on. Writers use several integer types. */
static qasr_status find_count(uint64_t *out, bool *found, const weights *w, size_t first, const char *key,
                              const char *file, qasr_error *err)
{
    *found = false;
    for (size_t i = first; i < w->n_meta && !*found; i++) {
        const wmeta *m = &w->meta[i];
        if (strcmp(m->key, key) != 0)
            continue;
        bool is_unsigned = m->type == WMETA_U8 || m->type == WMETA_U16 || m->type == WMETA_U32 || m->type == WMETA_U64;
        bool is_signed = m->type == WMETA_I8 || m->type == WMETA_I16 || m->type == WMETA_I32 || m->type == WMETA_I64;
        if (!is_unsigned && !(is_signed && m->as.i >= 0))
            return error_set(err, QASR_E_FORMAT, "'%.200s': metadata key '%s' is not a count", file, key);
        *out = is_unsigned ? m->as.u : (uint64_t)m->as.i;
        *found = true;
    }
    return QASR_OK;
}

static qasr_status need_count(uint64_t *out, const weights *w, size_t first, const char *key, const char *file,
                              qasr_error *err)
{
    bool found;
    TRY(find_count(out, &found, w, first, key, file, err));
    return found ? QASR_OK
                 : error_set(err, QASR_E_FORMAT, "'%.200s' has no metadata key '%s', which each part of a model has",
                             file, key);
}

/* Reads the split keys among those from first on. Without split.count, or if that is 0, as where parts were joined
 * again, the file is a whole model. */
static qasr_status read_keys(part_keys *out, const weights *w, size_t first, const char *file, qasr_error *err)
{
    bool is_part;
    *out = (part_keys){ 0 };
    TRY(find_count(&out->count, &is_part, w, first, GGUF_SPLIT_COUNT_KEY, file, err));
    if (!is_part || out->count == 0)
        return QASR_OK;
    TRY(need_count(&out->no, w, first, GGUF_SPLIT_NO_KEY, file, err));
    TRY(need_count(&out->n_tensors, w, first, GGUF_SPLIT_TENSORS_KEY, file, err));
    return out->no < out->count ? QASR_OK
                                : error_set(err, QASR_E_FORMAT,
                                            "'%.200s': " GGUF_SPLIT_NO_KEY " is %" PRIu64
                                            ", expected less than " GGUF_SPLIT_COUNT_KEY ", which is %" PRIu64,
                                            file, out->no, out->count);
}

/* ---- parts ------------------------------------------------------------------------------------ */

/* Checks part `number` (from 1) against the first one. */
static qasr_status check_part(const part_keys *k, const part_keys *head, unsigned number, const char *file,
                              const char *first_file, qasr_error *err)
{
    if (k->count == 0)
        return error_set(err, QASR_E_FORMAT,
                         "'%.150s' is a whole model according to its metadata ('" GGUF_SPLIT_COUNT_KEY
                         "'), expected part %u of %" PRIu64,
                         file, number, head->count);
    if (k->count != head->count || k->n_tensors != head->n_tensors)
        return error_set(err, QASR_E_FORMAT,
                         "'%.120s' belongs to another model than '%.120s': %" PRIu64 " parts with %" PRIu64
                         " tensors, expected %" PRIu64 " with %" PRIu64,
                         file, first_file, k->count, k->n_tensors, head->count, head->n_tensors);
    if (k->no + 1 != number)
        return error_set(err, QASR_E_FORMAT,
                         "'%.150s' holds part %" PRIu64 " of %" PRIu64 ", expected part %u as its name says", file,
                         k->no + 1, k->count, number);
    return QASR_OK;
}

/* Other programs may repeat general keys in all parts. */
static qasr_status check_model(const weights *w, size_t first, const char *file, qasr_error *err)
{
    static const char *const keys[] = { "general.architecture", "general.name" };
    for (size_t i = first; i < w->n_meta; i++)
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            const wmeta *m = &w->meta[i];
            if (strcmp(m->key, keys[k]) != 0 || m->type != WMETA_STRING)
                continue;
            for (size_t j = 0; j < first; j++) {
                const wmeta *h = &w->meta[j];
                if (strcmp(h->key, m->key) == 0 && h->type == WMETA_STRING && strcmp(h->str, m->str) != 0)
                    return error_set(err, QASR_E_FORMAT,
                                     "'%.120s' belongs to another model than '%.120s': %s is '%.60s', expected '%.60s'",
                                     file, file_base_name(w->files[0].path), m->key, m->str, h->str);
            }
        }
    return QASR_OK;
}

/* Adds part `number` and drops its keys, unless it is the first. */
static qasr_status add_part(weights *w, part_keys *head, const char *path, unsigned number, qasr_error *err)
{
    const size_t first_key = w->n_meta;
    const char *file = file_base_name(path);
    part_keys k;
    if (!file_exists(path))
        return error_set(err, QASR_E_IO,
                         "part %u of %" PRIu64 ", '%.200s', is missing: keep all parts of the model in one directory",
                         number, head->count, path);
    TRY(gguf_read_file(w, path, err));
    TRY(read_keys(&k, w, first_key, file, err));
    TRY(check_part(&k, head, number, file, file_base_name(w->files[0].path), err));
    TRY(check_model(w, first_key, file, err));
    if (number > 1)
        w->n_meta = first_key;
    return QASR_OK;
}

/* head: the keys of the part at path. */
static qasr_status add_parts(weights *w, part_keys head, const char *path, qasr_error *err)
{
    size_t n_stem;
    unsigned number, count;
    if (!parse_name(path, &n_stem, &number, &count) || count != head.count)
        return error_set(err, QASR_E_FORMAT,
                         "'%.200s' is part %" PRIu64 " of %" PRIu64 ", but its name does not end in '-%05" PRIu64
                         "-of-%05" PRIu64 ".gguf', so the other parts cannot be found",
                         path, head.no + 1, head.count, head.no + 1, head.count);
    for (unsigned i = 1; i <= count; i++) {
        char *part;
        TRY(part_path(&part, path, n_stem, i, count, err));
        qasr_status status = add_part(w, &head, part, i, err);
        mem_free(part);
        TRY(status);
    }
    if (w->n_tensors != head.n_tensors)
        return error_set(err, QASR_E_FORMAT,
                         "the %u parts of '%.200s' have %zu tensors, expected %" PRIu64 " (" GGUF_SPLIT_TENSORS_KEY ")",
                         count, file_base_name(w->files[0].path), w->n_tensors, head.n_tensors);
    return QASR_OK;
}

static qasr_status read_all(weights **w, const char *path, qasr_error *err)
{
    part_keys keys;
    TRY(gguf_read_file(*w, path, err));
    TRY(read_keys(&keys, *w, 0, file_base_name(path), err));
    if (keys.count > 1) { /* again, in order */
        weights_close(*w);
        *w = NULL;
        TRY(weights_create(w, WEIGHTS_GGUF, err));
        TRY(add_parts(*w, keys, path, err));
    }
    return weights_finish(*w, err);
}

qasr_status weights_open_gguf(weights **out, const char *path, qasr_error *err)
{
    weights *w;
    TRY(weights_create(&w, WEIGHTS_GGUF, err));
    qasr_status status = read_all(&w, path, err);
    if (status != QASR_OK) {
        weights_close(w);
        return status;
    }
    *out = w;
    return QASR_OK;
}
