/* See input_model.h. */
#include "quantize/input_model.h"

#include <jansson.h>
#include <string.h>

#include "base/json_file.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "weights/open.h"

static qasr_status input_dir(char **dir, const char *input, qasr_error *err)
{
    return file_is_dir(input) ? mem_strdup(dir, input, err) : file_parent(dir, input, err);
}

static qasr_status read_config_file(input_model *in, qasr_error *err)
{
    char *path = NULL;
    buf text;
    buf_init(&text, CONFIG_MAX_BYTES);
    qasr_status status;
    TRY_GOTO(file_path_join(&path, in->dir, "config.json", err));
    if (file_exists(path)) {
        TRY_GOTO(json_file_read(&in->config_root, &text, path, err));
        TRY_GOTO(buf_take(&text, &in->config, err));
    }
done:
    buf_free(&text);
    mem_free(path);
    return status;
}

static bool is_gguf(const input_model *in) { return weights_kind(in->sources[in->n_sources - 1]) == WEIGHTS_GGUF; }

const wmeta *input_model_key(const input_model *in, const char *key)
{
    return is_gguf(in) ? weights_meta_find(in->sources[in->n_sources - 1], key) : NULL;
}

/* A configuration embedded in a file takes precedence over one next to it. */
static qasr_status find_config(input_model *in, qasr_error *err)
{
    const char *inside = NULL;
    if (is_gguf(in))
        TRY(config_gguf_json(&in->config_root, &inside, in->sources[in->n_sources - 1], err));
    if (inside)
        return mem_strdup(&in->config, inside, err);
    bool other_layout = is_gguf(in) && config_gguf_kind(in->sources[0]) != GGUF_DECODER;
    return other_layout ? QASR_OK : read_config_file(in, err);
}

/* The file's own name, else the last component of the directory's resolved path. */
static qasr_status find_name(input_model *in, qasr_error *err)
{
    const wmeta *name = input_model_key(in, "general.name");
    if (name && name->type == WMETA_STRING)
        return mem_strdup(&in->name, name->str, err);
    return file_resolved_name(&in->name, in->dir, err);
}

/* ---- weights ----------------------------------------------------------------------------------- */

static void add_source(input_model *in, const weights *w)
{
    if (in->n_sources == 0 || in->sources[0] != w)
        in->sources[in->n_sources++] = w;
}

/* True if the head is a copy of the embedding, as some programs store it. Releases the pages it compares. */
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

/* A safetensors file stands for its directory; *gguf: the file is the model itself. */
static qasr_status check_file(bool *gguf, const char *path, qasr_error *err)
{
    weights *w;
    TRY(weights_open(&w, path, err));
    *gguf = weights_kind(w) == WEIGHTS_GGUF;
    bool is_decoder = *gguf && config_gguf_kind(w) == GGUF_DECODER;
    weights_close(w);
    if (is_decoder)
        return error_set(err, QASR_E_INVALID,
                         "'%s' holds a decoder without configuration and tokenizer; pass a model directory or a GGUF "
                         "file with a complete model",
                         path);
    return QASR_OK;
}

qasr_status input_model_open_whole(input_model *in, qasr_error *err)
{
    qasr_model_options opt = QASR_MODEL_OPTIONS_INIT;
    bool gguf = false;
    char *config;
    if (in->model)
        return QASR_OK;
    if (!file_is_dir(in->path))
        TRY(check_file(&gguf, in->path, err));
    TRY(file_path_join(&config, in->dir, "config.json", err));
    opt.decoder_weights = !gguf && file_exists(config) ? QASR_DECODER_SAFETENSORS : QASR_DECODER_AUTO;
    mem_free(config);
    return engine_model_open(&in->model, gguf ? in->path : in->dir, &opt, err);
}

static qasr_status open_bundle(input_model *in, qasr_error *err)
{
    TRY(input_model_open_whole(in, err));
    const model *m = in->model->checkpoint;
    add_source(in, m->encoder);
    add_source(in, m->decoder);
    return QASR_OK;
}

static qasr_status open_weights(input_model *in, qasr_error *err)
{
    TRY(weights_open(&in->own, in->path, err));
    add_source(in, in->own);
    return QASR_OK;
}

/* ---- completeness -------------------------------------------------------------------------------- */

/* The sizes of the network; FORMAT, UNSUPPORTED or INVALID if the input does not tell them. */
static qasr_status read_sizes(model_config *c, const input_model *in, qasr_error *err)
{
    if (in->config)
        return config_parse(c, in->config, strlen(in->config), in->path, err);
    gguf_kind kind = is_gguf(in) ? config_gguf_kind(in->own) : GGUF_DECODER;
    if (kind == GGUF_WHOLE)
        return config_read_gguf(c, in->own, in->own, err);
    if (kind == GGUF_TEXT || kind == GGUF_MMPROJ)
        return config_read_gguf(c, kind == GGUF_MMPROJ ? in->own : NULL, kind == GGUF_TEXT ? in->own : NULL, err);
    return error_set(err, QASR_E_INVALID, "'%s' has no configuration", in->path);
}

/* Part of a model would pass for a whole one. */
static qasr_status check_complete(const input_model *in, const char *scope, qasr_error *err)
{
    model_config c;
    qasr_error reason;
    qasr_status status = read_sizes(&c, in, &reason);
    if (status == QASR_OK)
        return model_check_weights(in->own, &c, is_gguf(in), scope, err);
    if (status == QASR_E_NOMEM)
        return error_set(err, status, "%s", reason.message);
    log_warning("%s, so missing tensors go unnoticed", reason.message);
    return QASR_OK;
}

qasr_status input_model_open(input_model *in, const char *path, bool whole, const char *scope, qasr_error *err)
{
    *in = (input_model){ 0 };
    TRY(mem_strdup(&in->path, path, err));
    TRY(input_dir(&in->dir, path, err));
    TRY(whole ? open_bundle(in, err) : open_weights(in, err));
    TRY(find_config(in, err));
    TRY(is_gguf(in) ? config_gguf_segment_seconds(&in->segment_seconds, in->sources[in->n_sources - 1], err)
                    : config_read_segment_seconds(&in->segment_seconds, in->dir, err));
    TRY(find_name(in, err));
    in->tied = config_tied(in->config_root, false);
    if (whole) {
        const model *m = in->model->checkpoint;
        in->tied = m->config.dec.tied_head || same_bytes(&m->top[TOP_HEAD], &m->top[TOP_EMBED]);
        return QASR_OK;
    }
    return check_complete(in, scope, err);
}

void input_model_close(input_model *in)
{
    weights_close(in->own);
    engine_model_close(in->model);
    json_decref(in->config_root);
    mem_free(in->config);
    mem_free(in->name);
    mem_free(in->dir);
    mem_free(in->path);
    *in = (input_model){ 0 };
}
