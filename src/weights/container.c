/* The container that both readers fill: mapped files, tensors that point into them, metadata, a string pool, and
 * look-up by name. Tensors and keys are added one by one; weights_finish sorts the names. From then on the object is
 * read-only and may be shared by threads. */
#include "weights/container.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct text_chunk {
    text_chunk *next;
    size_t size, used;
    char bytes[];
};

/* ---- filling ------------------------------------------------------------------------------ */

qasr_status weights_create(weights **out, weights_container kind, qasr_error *err)
{
    weights *w;
    TRY(MEM_CALLOC(&w, 1, err));
    w->kind = kind;
    *out = w;
    return QASR_OK;
}

/* Makes room for one more item of the given size in an array of n. */
static qasr_status grow(void **items, size_t *cap, size_t n, size_t size, qasr_error *err)
{
    if (n < *cap)
        return QASR_OK;
    size_t more = *cap ? *cap : 16, new_cap;
    if (!size_add(*cap, more, &new_cap))
        return error_set(err, QASR_E_NOMEM, "too many entries");
    void *bigger;
    TRY(mem_alloc(&bigger, new_cap, size, err));
    if (n)
        memcpy(bigger, *items, n * size);
    mem_free(*items);
    *items = bigger;
    *cap = new_cap;
    return QASR_OK;
}

qasr_status weights_add_file(weights *w, const char *path, unsigned *index, qasr_error *err)
{
    TRY(grow((void **)&w->files, &w->cap_files, w->n_files, sizeof *w->files, err));
    wfile *f = &w->files[w->n_files];
    *f = (wfile){ 0 };
    TRY(mem_strdup(&f->path, path, err));
    qasr_status status = file_map_open(&f->map, path, err);
    if (status != QASR_OK) {
        mem_free(f->path);
        return status;
    }
    *index = (unsigned)w->n_files++;
    return QASR_OK;
}

/* Reserves n uninitialized bytes of the pool. */
static qasr_status text_reserve(weights *w, size_t n, char **out, qasr_error *err)
{
    enum { CHUNK_BYTES = 32768 };
    text_chunk *c = w->text;
    if (!c || n > c->size - c->used) {
        size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES, bytes;
        if (!size_add(size, sizeof *c, &bytes))
            return error_set(err, QASR_E_NOMEM, "a text of %zu bytes is too long", n);
        TRY(mem_alloc((void **)&c, bytes, 1, err));
        *c = (text_chunk){ .next = w->text, .size = size };
        w->text = c;
    }
    *out = c->bytes + c->used;
    c->used += n;
    return QASR_OK;
}

qasr_status weights_add_text(weights *w, const char *s, size_t len, const char **out, qasr_error *err)
{
    char *copy;
    TRY(text_reserve(w, len + 1, &copy, err));
    if (len)
        memcpy(copy, s, len);
    copy[len] = 0;
    *out = copy;
    return QASR_OK;
}

qasr_status weights_add_tensor(weights *w, const wtensor *t, qasr_error *err)
{
    TRY(grow((void **)&w->tensors, &w->cap_tensors, w->n_tensors, sizeof *w->tensors, err));
    w->tensors[w->n_tensors++] = *t;
    return QASR_OK;
}

qasr_status weights_add_meta(weights *w, const wmeta *m, qasr_error *err)
{
    TRY(grow((void **)&w->meta, &w->cap_meta, w->n_meta, sizeof *w->meta, err));
    w->meta[w->n_meta++] = *m;
    return QASR_OK;
}

static qasr_status add_canonical(weights *w, wtensor *t, qasr_error *err)
{
    size_t size = strlen(t->name) + 64; /* the longest original name is 57 bytes, a prefix at most 10 bytes longer */
    char *canonical;
    TRY(text_reserve(w, size, &canonical, err));
    bool fits = names_canonical(canonical, size, t->name, w->layout);
    assert(fits);
    (void)fits;
    t->canonical = strcmp(canonical, t->name) == 0 ? t->name : canonical;
    w->text->used -= size - (t->canonical == t->name ? 0 : strlen(canonical) + 1);
    return QASR_OK;
}

static int compare_refs(const void *a, const void *b)
{
    const name_ref *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Sorts refs. Returns the first one whose successor has the same name, NULL if all names differ. */
static const name_ref *sort_refs(name_ref *refs, size_t n)
{
    qsort(refs, n, sizeof *refs, compare_refs);
    for (size_t i = 1; i < n; i++)
        if (strcmp(refs[i - 1].name, refs[i].name) == 0)
            return &refs[i - 1];
    return NULL;
}

static qasr_status index_tensors(weights *w, qasr_error *err)
{
    TRY(MEM_ALLOC(&w->by_name, w->n_tensors, err));
    for (size_t i = 0; i < w->n_tensors; i++)
        w->by_name[i] = (name_ref){ w->tensors[i].canonical, i };
    const name_ref *twice = sort_refs(w->by_name, w->n_tensors);
    if (!twice)
        return QASR_OK;
    const wtensor *a = &w->tensors[twice[0].index], *b = &w->tensors[twice[1].index];
    if (w->n_files == 0)
        return error_set(err, QASR_E_FORMAT, "tensor '%.100s' occurs twice", a->name);
    const char *file_a = file_base_name(w->files[a->file].path), *file_b = file_base_name(w->files[b->file].path);
    if (strcmp(a->name, b->name) == 0)
        return error_set(err, QASR_E_FORMAT, "tensor '%.100s' occurs twice, in '%.100s' and in '%.100s'", a->name,
                         file_a, file_b);
    return error_set(err, QASR_E_FORMAT, "'%.100s': '%.100s' and '%.100s' name the same tensor", file_a, a->name,
                     b->name);
}

static qasr_status index_meta(weights *w, qasr_error *err)
{
    TRY(MEM_ALLOC(&w->by_key, w->n_meta, err));
    for (size_t i = 0; i < w->n_meta; i++)
        w->by_key[i] = (name_ref){ w->meta[i].key, i };
    const name_ref *twice = sort_refs(w->by_key, w->n_meta);
    if (twice)
        return error_set(err, QASR_E_FORMAT, "'%.100s': metadata key '%.100s' occurs twice",
                         file_base_name(w->files[0].path), twice->name);
    return QASR_OK;
}

qasr_status weights_finish(weights *w, qasr_error *err)
{
    TRY(index_meta(w, err));
    const char *architecture = w->kind == WEIGHTS_GGUF ? weights_meta_string(w, "general.architecture") : "";
    w->layout = names_detect(architecture, w->tensors, w->n_tensors);
    for (size_t i = 0; i < w->n_tensors; i++)
        TRY(add_canonical(w, &w->tensors[i], err));
    return index_tensors(w, err);
}

const char *wtensor_measure(wtensor *t)
{
    const quant_info *q = quant_get(t->type);
    t->n_values = 1;
    for (unsigned i = 0; i < t->n_dims; i++)
        if (__builtin_mul_overflow(t->n_values, t->shape[i], &t->n_values) || t->n_values > INT64_MAX)
            return "has a shape whose product overflows";
    for (unsigned i = t->n_dims; i < WEIGHTS_MAX_DIMS; i++)
        t->shape[i] = 1;
    if ((t->n_dims ? t->shape[t->n_dims - 1] : 1) % q->block != 0)
        return "has rows that are not a multiple of its type's block";
    if (__builtin_mul_overflow(t->n_values / q->block, (uint64_t)q->bytes, &t->n_bytes) || t->n_bytes > SIZE_MAX)
        return "has a shape whose size in bytes overflows";
    return NULL;
}

/* ---- closing -------------------------------------------------------------------------------- */

void weights_close(weights *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_files; i++) {
        file_map_close(&w->files[i].map);
        mem_free(w->files[i].path);
    }
    for (text_chunk *c = w->text, *next; c; c = next) {
        next = c->next;
        mem_free(c);
    }
    mem_free(w->by_name);
    mem_free(w->by_key);
    mem_free(w->meta);
    mem_free(w->tensors);
    mem_free(w->files);
    mem_free(w);
}

/* ---- queries -------------------------------------------------------------------------------- */

weights_container weights_kind(const weights *w) { return w->kind; }

names_layout weights_layout(const weights *w) { return w->layout; }

size_t weights_count(const weights *w) { return w->n_tensors; }

const wtensor *weights_at(const weights *w, size_t index) { return index < w->n_tensors ? &w->tensors[index] : NULL; }

static int compare_name(const void *name, const void *ref) { return strcmp(name, ((const name_ref *)ref)->name); }

const wtensor *weights_find(const weights *w, const char *canonical)
{
    const name_ref *r = bsearch(canonical, w->by_name, w->n_tensors, sizeof *r, compare_name);
    return r ? &w->tensors[r->index] : NULL;
}

size_t weights_file_count(const weights *w) { return w->n_files; }

const char *weights_file_path(const weights *w, unsigned file)
{
    return file < w->n_files ? w->files[file].path : NULL;
}

const file_map *weights_file_map(const weights *w, unsigned file)
{
    return file < w->n_files ? &w->files[file].map : NULL;
}

size_t weights_meta_count(const weights *w) { return w->n_meta; }

const wmeta *weights_meta_at(const weights *w, size_t index) { return index < w->n_meta ? &w->meta[index] : NULL; }

const wmeta *weights_meta_find(const weights *w, const char *key)
{
    const name_ref *r = bsearch(key, w->by_key, w->n_meta, sizeof *r, compare_name);
    return r ? &w->meta[r->index] : NULL;
}

const char *weights_meta_string(const weights *w, const char *key)
{
    const wmeta *m = weights_meta_find(w, key);
    return m && m->type == WMETA_STRING ? m->str : "";
}

bool wmeta_next_string(const wmeta *m, uint64_t *pos, const char **s, size_t *len)
{
    if (m->type != WMETA_ARRAY || m->elem_type != WMETA_STRING || *pos >= m->elems_bytes)
        return false;
    uint64_t n; /* all lengths were checked when the file was opened */
    memcpy(&n, m->elems + *pos, sizeof n);
    *s = (const char *)m->elems + *pos + sizeof n;
    *len = (size_t)n;
    *pos += sizeof n + n;
    return true;
}
