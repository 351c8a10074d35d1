/* Opens what is to be quantized: the input's path goes in, its weights and its configuration come out. */
#include "engine/origin.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_CONFIG_BYTES = 4 << 20 };

static qasr_status read_config(origin *o, const char *path, qasr_error *err)
{
    buf text;
    buf_init(&text, MAX_CONFIG_BYTES);
    qasr_status status = file_read_all(&text, path, err);
    if (status == QASR_OK && strlen(buf_str(&text)) != text.len)
        status = error_set(err, QASR_E_FORMAT, "'%s' is not text: it contains a zero byte", path);
    if (status == QASR_OK)
        status = buf_take(&text, &o->config, err);
    buf_free(&text);
    return status;
}

/* The flag may stand at the level of the text model, of the thinker or of the whole. */
static bool config_says_tied(const json_t *root)
{
    const json_t *thinker = json_object_get(root, "thinker_config");
    const json_t *at[] = { json_object_get(thinker, "text_config"), thinker, json_object_get(root, "text_config"),
                           root };
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        const json_t *flag = json_object_get(at[i], "tie_word_embeddings");
        if (json_is_boolean(flag))
            return json_is_true(flag);
    }
    return false;
}

static qasr_status parse_config(origin *o, const char *path, qasr_error *err)
{
    json_error_t where;
    json_t *root = json_loads(o->config, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return error_set(err, QASR_E_FORMAT, "'%s' line %d: %s", path, where.line, where.text);
    qasr_status status = QASR_OK;
    if (json_is_object(root))
        o->tied = config_says_tied(root);
    else
        status = error_set(err, QASR_E_FORMAT, "'%s' is not a JSON object", path);
    json_decref(root);
    return status;
}

/* The input itself, or its parent. */
static qasr_status input_dir(char **dir, const char *input, qasr_error *err)
{
    TRY(mem_strdup(dir, input, err));
    if (file_is_dir(input))
        return QASR_OK;
    const char *name = file_base_name(*dir);
    if (name == *dir)
        memcpy(*dir, ".", 2);
    else
        (*dir)[name - *dir - (name - *dir > 1)] = 0;
    return QASR_OK;
}

static qasr_status read_config_file(origin *o, qasr_error *err)
{
    char *path = NULL;
    qasr_status status;
    TRY_GOTO(file_path_join(&path, o->dir, "config.json", err));
    if (file_exists(path)) {
        TRY_GOTO(read_config(o, path, err));
        TRY_GOTO(parse_config(o, path, err));
    }
done:
    mem_free(path);
    return status;
}

/* A file that carries its configuration is believed before what lies beside it. */
static qasr_status find_config(origin *o, qasr_error *err)
{
    const wmeta *m = weights_meta_find(o->w, "qasr.config");
    if (!m || m->type != WMETA_STRING || weights_kind(o->w) != WEIGHTS_GGUF)
        return read_config_file(o, err);
    TRY(mem_strdup(&o->config, m->str, err));
    return parse_config(o, o->path, err);
}

qasr_status origin_open(origin *o, const char *path, qasr_error *err)
{
    *o = (origin){ 0 };
    TRY(mem_strdup(&o->path, path, err));
    TRY(input_dir(&o->dir, path, err));
    TRY(weights_open(&o->w, path, err));
    return find_config(o, err);
}

void origin_close(origin *o)
{
    weights_close(o->w);
    mem_free(o->config);
    mem_free(o->dir);
    mem_free(o->path);
    *o = (origin){ 0 };
}
