/* dump_weights PATH [OUT.safetensors]: prints a weights file as our readers see it, for comparison with other
 * programs. One JSON object per line: for each metadata key {"key", "type", "value"}, then for each tensor {"name",
 * "canonical", "type", "shape", "fnv1a"}, where fnv1a is the 64-bit FNV-1a hash of its values as little-endian float32.
 * Also writes these values to OUT as F32 tensors. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "weights/open.h"
#include "weights/safetensors_write.h"
#include "weights/weights.h"

static void print_json(json_t *line)
{
    json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(line);
}

static json_t *hash_json(const void *data, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u;
    char text[17];
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001B3u;
    snprintf(text, sizeof text, "%016" PRIx64, h);
    return json_string(text);
}

/* An array: strings as a list, numbers as the hash of their bytes. */
static json_t *array_json(const wmeta *m)
{
    if (m->elem_type != WMETA_STRING)
        return hash_json(m->elems, (size_t)m->elems_bytes);
    json_t *list = json_array();
    const char *s;
    size_t len;
    for (uint64_t pos = 0; wmeta_next_string(m, &pos, &s, &len);)
        json_array_append_new(list, json_stringn(s, len));
    return list;
}

static json_t *value_json(const wmeta *m)
{
    switch (m->type) {
    case WMETA_STRING: return json_stringn(m->str, m->str_len);
    case WMETA_ARRAY: return array_json(m);
    case WMETA_BOOL: return json_boolean(m->as.b);
    case WMETA_F32:
    case WMETA_F64: return json_real(m->as.f);
    case WMETA_I8:
    case WMETA_I16:
    case WMETA_I32:
    case WMETA_I64: return json_integer(m->as.i);
    default: return json_integer((json_int_t)m->as.u);
    }
}

static json_t *shape_json(const wtensor *t)
{
    json_t *shape = json_array();
    for (unsigned i = 0; i < t->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    return shape;
}

static void print_tensor(const wtensor *t, const float *values)
{
    print_json(json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", t->name, "canonical", t->canonical, "type",
                         quant_get(t->type)->name, "shape", shape_json(t), "fnv1a",
                         hash_json(values, (size_t)t->n_values * sizeof *values)));
}

/* entries [weights_count] are filled here; the caller frees their data. */
static qasr_status dump(const weights *w, st_entry *entries, qasr_error *err)
{
    for (size_t i = 0; i < weights_meta_count(w); i++) {
        const wmeta *m = weights_meta_at(w, i);
        print_json(json_pack("{s:s, s:i, s:o}", "key", m->key, "type", (int)m->type, "value", value_json(m)));
    }
    for (size_t i = 0; i < weights_count(w); i++) {
        const wtensor *t = weights_at(w, i);
        float *values;
        TRY(MEM_ALLOC(&values, (size_t)t->n_values, err));
        quant_get(t->type)->dequantize(values, t->data, (size_t)t->n_values);
        entries[i] = (st_entry){ .name = t->name, .n_dims = t->n_dims, .data = values };
        memcpy(entries[i].shape, t->shape, sizeof t->shape);
        print_tensor(t, values);
    }
    return QASR_OK;
}

static qasr_status run(const char *path, const char *out, qasr_error *err)
{
    weights *w = NULL;
    st_entry *entries = NULL;
    qasr_status status;
    TRY_GOTO(weights_open(&w, path, err));
    TRY_GOTO(MEM_CALLOC(&entries, weights_count(w), err));
    TRY_GOTO(dump(w, entries, err));
    if (out)
        status = safetensors_write_f32(out, entries, weights_count(w), err);
done:
    for (size_t i = 0; entries && i < weights_count(w); i++)
        mem_free((void *)(uintptr_t)entries[i].data);
    mem_free(entries);
    weights_close(w);
    return status;
}

static void print_log(void *user, qasr_log_level level, const char *message)
{
    (void)user;
    if (level == QASR_LOG_WARNING)
        fprintf(stderr, "warning: %s\n", message);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: dump_weights PATH [OUT.safetensors]\n");
        return 2;
    }
    qasr_error err;
    qasr_log_set(print_log, NULL);
    if (run(argv[1], argc == 3 ? argv[2] : NULL, &err) == QASR_OK)
        return 0;
    fprintf(stderr, "dump_weights: %s\n", err.message);
    return 1;
}
