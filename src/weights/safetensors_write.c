/* See safetensors_write.h. */
#include "weights/safetensors_write.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "weights/container.h"
#include "weights/safetensors_format.h"

/* Adds a header entry; *pos advances past the tensor's data. */
static qasr_status add_entry(json_t *root, const st_entry *e, uint64_t *pos, qasr_error *err)
{
    if (!e->name || !*e->name || strcmp(e->name, SAFETENSORS_METADATA_KEY) == 0 || json_object_get(root, e->name))
        return error_set(err, QASR_E_INVALID, "tensor name '%.100s' is empty, reserved or not unique",
                         e->name ? e->name : "");
    if (e->n_dims > WEIGHTS_MAX_DIMS)
        return error_set(err, QASR_E_INVALID, "tensor '%.100s' has %u dimensions, at most %d can be written", e->name,
                         e->n_dims, WEIGHTS_MAX_DIMS);
    wtensor t = { .type = QUANT_F32, .n_dims = e->n_dims };
    memcpy(t.shape, e->shape, sizeof t.shape);
    const char *wrong = wtensor_measure(&t);
    uint64_t end = 0;
    if (!wrong && (__builtin_add_overflow(*pos, t.n_bytes, &end) || end > INT64_MAX))
        wrong = "lies at an offset that overflows";
    if (wrong)
        return error_set(err, QASR_E_INVALID, "tensor '%.100s' %s", e->name, wrong);
    json_t *shape = json_array();
    for (unsigned i = 0; i < e->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)e->shape[i]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)*pos,
                              (json_int_t)end);
    if (json_object_set_new(root, e->name, entry) != 0)
        return error_set(err, QASR_E_INVALID,
                         "cannot describe tensor '%.100s': the name is not UTF-8, or memory ran out", e->name);
    *pos = end;
    return QASR_OK;
}

/* Length and JSON, padded with spaces so that the data starts at a multiple of 8. */
static qasr_status build_header(buf *head, const st_entry *entries, size_t n, qasr_error *err)
{
    json_t *root = json_object();
    char *text = NULL;
    uint64_t pos = 0;
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < n; i++)
        TRY_GOTO(add_entry(root, &entries[i], &pos, err));
    text = json_dumps(root, JSON_COMPACT);
    if (!text) {
        status = error_set(err, QASR_E_NOMEM, "no memory for the header of %zu tensors", n);
        goto done;
    }
    uint64_t n_text = strlen(text), n_padded = size_round_up(n_text, 8);
    TRY_GOTO(buf_add(head, &n_padded, sizeof n_padded, err));
    TRY_GOTO(buf_add(head, text, n_text, err));
    TRY_GOTO(buf_add(head, "       ", n_padded - n_text, err));
done:
    free(text); /* Jansson's allocation */
    json_decref(root);
    return status;
}

static qasr_status put_entries(file_writer *f, const buf *head, const st_entry *entries, size_t n, qasr_error *err)
{
    TRY(file_writer_put(f, 0, head->data, head->len, err));
    uint64_t pos = head->len;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = sizeof(float);
        for (unsigned d = 0; d < entries[i].n_dims; d++)
            bytes *= entries[i].shape[d]; /* add_entry has checked the product */
        TRY(file_writer_put(f, pos, entries[i].data, bytes, err));
        pos += bytes;
    }
    return QASR_OK;
}

qasr_status safetensors_write_f32(const char *path, const st_entry *entries, size_t n, qasr_error *err)
{
    buf head;
    buf_init(&head, SAFETENSORS_MAX_JSON_BYTES);
    file_writer f = { .fd = -1 };
    qasr_status status;
    TRY_GOTO(build_header(&head, entries, n, err));
    TRY_GOTO(file_writer_open(&f, path, true, err));
    TRY_GOTO(put_entries(&f, &head, entries, n, err));
    status = file_writer_commit(&f, err);
done:
    file_writer_abort(&f);
    buf_free(&head);
    return status;
}
