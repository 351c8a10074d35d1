/* Facts about model files: path in, a list of tensors and of key = value facts out. Weights are not read.
 *
 * A directory is described as a whole: the safetensors (or, if there are none, GGUF files) are its weights; every GGUF
 * file gets one line; config.json and the tokenizer files are summarized. Missing or broken parts become facts. Only a
 * path that gives nothing at all is an error. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/mem.h"
#include "inspect/facts.h"
#include "model/config.h"
#include "text/text.h"
#include "weights/gguf_read.h"
#include "weights/open.h"
#include "weights/safetensors.h"

struct qasr_inspect {
    weights **files;
    size_t n_files;
    qasr_tensor_info *tensors;
    size_t n_tensors;
    facts facts;
};

/* ---- files ----------------------------------------------------------------------------------- */

static qasr_status add_tensors(qasr_inspect *in, const weights *w, qasr_error *err)
{
    qasr_tensor_info *all;
    TRY(MEM_CALLOC(&all, in->n_tensors + weights_count(w), err));
    if (in->n_tensors)
        memcpy(all, in->tensors, in->n_tensors * sizeof *all);
    mem_free(in->tensors);
    in->tensors = all;
    for (size_t i = 0; i < weights_count(w); i++) {
        const wtensor *t = weights_at(w, i);
        qasr_tensor_info *to = &all[in->n_tensors++];
        *to = (qasr_tensor_info){
            .name = t->name,
            .type = quant_get(t->type)->name,
            .part = facts_part(t->canonical),
            .file = file_base_name(weights_file_path(w, t->file)),
            .n_dims = t->n_dims,
            .n_values = t->n_values,
            .bytes = t->n_bytes,
        };
        memcpy(to->shape, t->shape, sizeof to->shape);
    }
    return QASR_OK;
}

/* Takes ownership of w, also on failure. */
static qasr_status keep_weights(qasr_inspect *in, weights *w, qasr_error *err)
{
    weights **files;
    qasr_status status = MEM_ALLOC(&files, in->n_files + 1, err);
    if (status != QASR_OK) {
        weights_close(w);
        return status;
    }
    if (in->n_files)
        memcpy(files, in->files, in->n_files * sizeof *files);
    mem_free(in->files);
    in->files = files;
    in->files[in->n_files++] = w;
    return add_tensors(in, w, err);
}

static size_t count_file_bytes(const weights *w)
{
    size_t bytes = 0;
    for (size_t i = 0; i < weights_file_count(w); i++)
        bytes += weights_file_map(w, (unsigned)i)->size;
    return bytes;
}

/* A GGUF file next to other weights, such as "model-q8_0.gguf": one fact, and its tensors. The first part of a model in
 * several files stands for all. */
static qasr_status add_gguf_beside(qasr_inspect *in, const char *dir, const char *name, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    weights *w = NULL;
    char *path, key[300];
    snprintf(key, sizeof key, "gguf.%s", name);
    TRY(file_path_join(&path, dir, name, err));
    bool known = gguf_is_later_part(path);
    qasr_status status = known ? QASR_OK : weights_open_gguf(&w, path, &why);
    mem_free(path);
    if (known)
        return QASR_OK;
    if (status != QASR_OK)
        return facts_add_unreadable(&in->facts, key, &why, err);
    TRY(keep_weights(in, w, err));
    size_t n = weights_count(w);
    return facts_add(&in->facts, err, key, "%s layout, %zu tensor%s, %zu bytes", facts_layout(w), n, n == 1 ? "" : "s",
                     count_file_bytes(w));
}

static qasr_status add_dir_ggufs(qasr_inspect *in, const char *dir, qasr_error *err)
{
    file_names list;
    qasr_status status = file_list(&list, dir, "*.gguf", err);
    for (size_t i = 0; i < list.n && status == QASR_OK; i++)
        status = add_gguf_beside(in, dir, list.names[i], err);
    file_names_free(&list);
    return status;
}

/* True if a GGUF file holds a configuration: a model directory then needs no other file. */
static bool has_gguf_model(const qasr_inspect *in)
{
    for (size_t i = 0; i < in->n_files; i++)
        if (weights_kind(in->files[i]) == WEIGHTS_GGUF && config_gguf_kind(in->files[i]) > GGUF_DECODER)
            return true;
    return false;
}

/* ---- configuration and tokenizer -------------------------------------------------------------- */

/* Adds config.json; if there is none, *found is false. */
static qasr_status add_dir_config(qasr_inspect *in, const char *dir, bool *found, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    json_t *root = NULL;
    char *path;
    buf text;
    TRY(file_path_join(&path, dir, "config.json", err));
    buf_init(&text, CONFIG_MAX_BYTES);
    qasr_status status = QASR_OK;
    *found = file_exists(path);
    if (*found && json_file_read(&root, &text, path, &why) == QASR_OK)
        status = facts_add_config(&in->facts, root, err);
    else if (*found && why.status == QASR_E_IO) /* what it says is not known at all */
        status = error_set(err, QASR_E_IO, "%s", why.message);
    else if (*found)
        status = facts_add_unreadable(&in->facts, "config", &why, err);
    json_decref(root);
    buf_free(&text);
    mem_free(path);
    return status;
}

/* Adds the config.json embedded in a GGUF file. */
static qasr_status add_inner_config(qasr_inspect *in, const weights *w, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    json_t *root;
    const char *text;
    if (config_gguf_json(&root, &text, w, &why) != QASR_OK)
        return facts_add_unreadable(&in->facts, "config", &why, err);
    qasr_status status = root ? facts_add_config(&in->facts, root, err) : QASR_OK;
    json_decref(root);
    return status;
}

static qasr_status add_dir_tokenizer(qasr_inspect *in, const char *dir, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    tokenizer *t = NULL;
    if (tokenizer_open_dir(&t, dir, &why) != QASR_OK)
        return facts_add_unreadable(&in->facts, "tokenizer", &why, err);
    qasr_status status =
        facts_add(&in->facts, err, "tokenizer", "%zu tokens, %zu merges", tokenizer_size(t), tokenizer_merge_count(t));
    tokenizer_free(t);
    return status;
}

/* The model's own length of segments, if it has one. */
static qasr_status add_dir_segment_seconds(qasr_inspect *in, const char *dir, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    double seconds;
    if (config_read_segment_seconds(&seconds, dir, &why) != QASR_OK)
        return facts_add_unreadable(&in->facts, "segment_seconds", &why, err);
    return seconds > 0 ? facts_add(&in->facts, err, "segment_seconds", "%g", seconds) : QASR_OK;
}

/* ---- a path ---------------------------------------------------------------------------------- */

static qasr_status look_at_dir(qasr_inspect *in, const char *dir, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    weights *w = NULL;
    bool has_config = false;
    qasr_status opened = weights_open_safetensors(&w, dir, &why);
    if (opened == QASR_OK) {
        TRY(keep_weights(in, w, err));
        TRY(facts_add_weights(&in->facts, w, err));
    }
    TRY(add_dir_ggufs(in, dir, err));
    if (opened != QASR_OK && !has_gguf_model(in))
        TRY(facts_add_unreadable(&in->facts, "safetensors", &why, err));
    TRY(add_dir_config(in, dir, &has_config, err));
    if (in->n_files == 0 && !has_config)
        return error_set(err, why.status, "%s", why.message);
    if (has_config)
        TRY(add_dir_segment_seconds(in, dir, err));
    return opened == QASR_OK || has_config || !has_gguf_model(in) ? add_dir_tokenizer(in, dir, err) : QASR_OK;
}

static qasr_status look_at_file(qasr_inspect *in, const char *path, qasr_error *err)
{
    weights *w = NULL;
    TRY(weights_open(&w, path, err));
    TRY(keep_weights(in, w, err));
    TRY(facts_add_weights(&in->facts, w, err));
    if (weights_kind(w) == WEIGHTS_GGUF) {
        TRY(facts_add_gguf_config(&in->facts, w, err));
        TRY(add_inner_config(in, w, err));
    }
    return facts_add_metadata(&in->facts, w, err);
}

/* ---- the handle ------------------------------------------------------------------------------ */

qasr_status inspect_open(qasr_inspect **out, const char *path, qasr_error *err)
{
    qasr_inspect *in;
    TRY(MEM_CALLOC(&in, 1, err));
    qasr_status status = file_is_dir(path) ? look_at_dir(in, path, err) : look_at_file(in, path, err);
    if (status == QASR_OK)
        *out = in;
    else
        inspect_free(in);
    return status;
}

void inspect_free(qasr_inspect *in)
{
    if (!in)
        return;
    facts_free(&in->facts);
    mem_free(in->tensors);
    for (size_t i = 0; i < in->n_files; i++)
        weights_close(in->files[i]);
    mem_free(in->files);
    mem_free(in);
}

size_t inspect_tensor_count(const qasr_inspect *in) { return in->n_tensors; }

const qasr_tensor_info *inspect_tensor(const qasr_inspect *in, size_t index)
{
    return index < in->n_tensors ? &in->tensors[index] : NULL;
}

size_t inspect_fact_count(const qasr_inspect *in) { return in->facts.n; }

const char *inspect_fact(const qasr_inspect *in, size_t index, const char **value)
{
    if (index >= in->facts.n)
        return NULL;
    if (value)
        *value = in->facts.list[index].value;
    return in->facts.list[index].key;
}
