/* Opens what is to be quantized: the input's path goes in, its weights and its configuration come out. */
#include "quantize/input_model.h"

#include <jansson.h>
#include <string.h>

#include "base/json_file.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "weights/open.h"

static qasr_status input_dir(char **dir, const char *input, qasr_error *err)
{
    return file_is_dir(input) ? mem_strdup(dir, input, err) : file_parent(dir, input, err);
}

static qasr_status read_config_file(input_model *o, qasr_error *err)
{
    char *path = NULL;
    buf text;
    buf_init(&text, CONFIG_MAX_BYTES);
    qasr_status status;
    TRY_GOTO(file_path_join(&path, o->dir, "config.json", err));
    if (file_exists(path)) {
        TRY_GOTO(json_file_read(&o->config_root, &text, path, err));
        TRY_GOTO(buf_take(&text, &o->config, err));
    }
done:
    buf_free(&text);
    mem_free(path);
    return status;
}

static bool is_gguf(const input_model *o) { return weights_kind(o->sources[o->n_sources - 1]) == WEIGHTS_GGUF; }

const wmeta *input_model_key(const input_model *o, const char *key)
{
    return is_gguf(o) ? weights_meta_find(o->sources[o->n_sources - 1], key) : NULL;
}

/* The configuration inside a file takes precedence over one beside it. */
static qasr_status find_config(input_model *o, qasr_error *err)
{
    const char *inside = NULL;
    if (is_gguf(o))
        TRY(config_gguf_json(&o->config_root, &inside, o->sources[o->n_sources - 1], err));
    if (inside)
        return mem_strdup(&o->config, inside, err);
    bool other_layout = is_gguf(o) && config_gguf_kind(o->sources[0]) != GGUF_DECODER;
    return other_layout ? QASR_OK : read_config_file(o, err);
}

/* Last component of the directory's path after links and dots are resolved ("." has a name too). */
static qasr_status find_name(input_model *o, qasr_error *err)
{
    const wmeta *name = input_model_key(o, "general.name");
    if (name && name->type == WMETA_STRING)
        return mem_strdup(&o->name, name->str, err);
    return file_resolved_name(&o->name, o->dir, err);
}

/* ---- weights ----------------------------------------------------------------------------------- */

static void add_source(input_model *o, const weights *w)
{
    if (o->n_sources == 0 || o->sources[0] != w)
        o->sources[o->n_sources++] = w;
}

/* Some programs store the embedding a second time as the head. Pages that were looked at are given back. */
static bool same_bytes(const weight_ref *a, const weight_ref *b)
{
    enum { STEP = 1 << 20 };
    const wtensor *x = a->tensor, *y = b->tensor;
    const file_map *map_x = weights_file_map(a->source, x->file), *map_y = weights_file_map(b->source, y->file);
    bool same = x->type == y->type && x->n_bytes == y->n_bytes;
    for (size_t i = 0; i < (size_t)x->n_bytes && same; i += STEP) {
        const unsigned char *p = (const unsigned char *)x->data + i, *q = (const unsigned char *)y->data + i;
        size_t n = x->n_bytes - i < STEP ? (size_t)x->n_bytes - i : STEP;
        same = memcmp(p, q, n) == 0;
        file_map_release(map_x, (size_t)(p - map_x->data), n);
        file_map_release(map_y, (size_t)(q - map_y->data), n);
    }
    return same;
}

/* A file of weights stands for the directory it lies in; *gguf: it holds a model itself. */
static qasr_status check_file(bool *gguf, const char *path, qasr_error *err)
{
    weights *w;
    TRY(weights_open(&w, path, err));
    *gguf = weights_kind(w) == WEIGHTS_GGUF;
    bool is_decoder = *gguf && config_gguf_kind(w) == GGUF_DECODER;
    weights_close(w);
    if (is_decoder)
        return error_set(err, QASR_E_INVALID,
                         "'%s' holds a decoder without configuration and tokenizer: a whole model is made from a "
                         "model directory or from a file that has all of it",
                         path);
    return QASR_OK;
}

static qasr_status open_bundle(input_model *o, qasr_error *err)
{
    qasr_model_options opt = QASR_MODEL_OPTIONS_INIT;
    bool gguf = false;
    char *config;
    if (!file_is_dir(o->path))
        TRY(check_file(&gguf, o->path, err));
    TRY(file_path_join(&config, o->dir, "config.json", err));
    opt.decoder_weights = !gguf && file_exists(config) ? QASR_DECODER_SAFETENSORS : QASR_DECODER_AUTO;
    mem_free(config);
    TRY(engine_model_open(&o->model, gguf ? o->path : o->dir, &opt, err));
    const model *m = o->model->checkpoint;
    add_source(o, m->encoder);
    add_source(o, m->decoder);
    return QASR_OK;
}

static qasr_status open_some(input_model *o, qasr_error *err)
{
    TRY(weights_open(&o->own, o->path, err));
    add_source(o, o->own);
    return QASR_OK;
}

qasr_status input_model_open(input_model *o, const char *path, bool whole, qasr_error *err)
{
    *o = (input_model){ 0 };
    TRY(mem_strdup(&o->path, path, err));
    TRY(input_dir(&o->dir, path, err));
    TRY(whole ? open_bundle(o, err) : open_some(o, err));
    TRY(find_config(o, err));
    TRY(find_name(o, err));
    o->tied = config_tied(o->config_root, false);
    if (whole) {
        const model *m = o->model->checkpoint;
        o->tied = m->config.dec.tied_head || same_bytes(&m->top[TOP_HEAD], &m->top[TOP_EMBED]);
    }
    return QASR_OK;
}

void input_model_close(input_model *o)
{
    weights_close(o->own);
    engine_model_close(o->model);
    json_decref(o->config_root);
    mem_free(o->config);
    mem_free(o->name);
    mem_free(o->dir);
    mem_free(o->path);
    *o = (input_model){ 0 };
}
