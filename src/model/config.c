/* config.json -> model_config. Both layouts share this code: thinker_config if present, else the top level. Every
 * number is checked against a sane range. */
#include "model/config.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/mem.h"

/* Shapes, memory sizes and loop counts follow from these numbers. */
const config_range config_ranges[CONFIG_SIZES] = {
    [CONFIG_ENC_MELS] = { 128, 128, offsetof(model_config, enc.n_mels) },
    [CONFIG_ENC_CHANNELS] = { 1, 8192, offsetof(model_config, enc.conv_channels) },
    [CONFIG_ENC_WIDTH] = { 16, 65536, offsetof(model_config, enc.d_model) },
    [CONFIG_ENC_LAYERS] = { 1, 1024, offsetof(model_config, enc.n_layers) },
    [CONFIG_ENC_HEADS] = { 1, 1024, offsetof(model_config, enc.n_heads) },
    [CONFIG_ENC_FFN] = { 1, 1 << 20, offsetof(model_config, enc.d_ffn) },
    [CONFIG_ENC_OUT] = { 1, 65536, offsetof(model_config, enc.d_out) },
    [CONFIG_ENC_HALF_CHUNK] = { 4, 5000, offsetof(model_config, enc.chunk_frames) }, /* doubled at the end */
    [CONFIG_ENC_WINDOW] = { 8, 100000, offsetof(model_config, enc.window_frames) },
    [CONFIG_DEC_WIDTH] = { 16, 65536, offsetof(model_config, dec.d_model) },
    [CONFIG_DEC_LAYERS] = { 1, 1024, offsetof(model_config, dec.n_layers) },
    [CONFIG_DEC_HEADS] = { 1, 1024, offsetof(model_config, dec.n_heads) },
    [CONFIG_DEC_KV_HEADS] = { 1, 1024, offsetof(model_config, dec.n_kv_heads) },
    [CONFIG_DEC_HEAD_SIZE] = { 16, 256, offsetof(model_config, dec.head_dim) },
    [CONFIG_DEC_FFN] = { 1, 1 << 20, offsetof(model_config, dec.d_ffn) },
    [CONFIG_DEC_VOCABULARY] = { 2, 1 << 24, offsetof(model_config, dec.n_vocab) },
    [CONFIG_DEC_POSITIONS] = { 1, 1 << 24, offsetof(model_config, dec.max_positions) },
};

qasr_status config_end_encoder(model_config *c, const char *path, qasr_error *err)
{
    c->enc.chunk_frames *= 2;
    if (c->enc.d_model % c->enc.n_heads != 0 || c->enc.d_model / c->enc.n_heads % 16 != 0 ||
        c->enc.d_model / c->enc.n_heads > 256 || c->enc.d_model % 2 != 0)
        return error_set(err, QASR_E_FORMAT,
                         "'%s': encoder width %zu does not split into %zu heads of a multiple of 16", path,
                         c->enc.d_model, c->enc.n_heads);
    if (c->enc.window_frames % c->enc.chunk_frames != 0)
        return error_set(err, QASR_E_FORMAT,
                         "'%s': attention window of %zu frames is not a multiple of the chunk of %zu", path,
                         c->enc.window_frames, c->enc.chunk_frames);
    return QASR_OK;
}

qasr_status config_end_decoder(model_config *c, const char *path, qasr_error *err)
{
    if (c->dec.n_heads % c->dec.n_kv_heads != 0 || c->dec.head_dim % 16 != 0)
        return error_set(err, QASR_E_FORMAT, "'%s': %zu query heads cannot share %zu key/value heads of size %zu", path,
                         c->dec.n_heads, c->dec.n_kv_heads, c->dec.head_dim);
    return QASR_OK;
}

typedef struct reader {
    const json_t *root;
    const char *path, *section; /* for messages, as in "audio_config." */
    qasr_error *err;
} reader;

static qasr_status get_size(const reader *r, const json_t *obj, const char *key, size_t min, size_t max, size_t *out)
{
    const json_t *v = json_object_get(obj, key);
    if (!v)
        return error_set(r->err, QASR_E_FORMAT, "'%s' has no key '%s%s'", r->path, r->section, key);
    if (!json_is_integer(v))
        return error_set(r->err, QASR_E_FORMAT, "key '%s%s' in '%s' is not a whole number", r->section, key, r->path);
    json_int_t n = json_integer_value(v);
    if (n < (json_int_t)min || n > (json_int_t)max)
        return error_set(r->err, QASR_E_FORMAT, "key '%s%s' in '%s' is %lld, expected %zu to %zu", r->section, key,
                         r->path, (long long)n, min, max);
    *out = (size_t)n;
    return QASR_OK;
}

static qasr_status get_number(const reader *r, const json_t *v, const char *key, double min, double max, double *out)
{
    if (!v)
        return error_set(r->err, QASR_E_FORMAT, "'%s' has no key '%s%s'", r->path, r->section, key);
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= min && x <= max))
        return error_set(r->err, QASR_E_FORMAT, "key '%s%s' in '%s' is not a number from %g to %g", r->section, key,
                         r->path, min, max);
    *out = x;
    return QASR_OK;
}

static qasr_status expect_string(const reader *r, const json_t *obj, const char *key, const char *expected)
{
    const json_t *v = json_object_get(obj, key);
    const char *s = json_is_string(v) ? json_string_value(v) : NULL;
    if (v && (!s || strcmp(s, expected) != 0))
        return error_set(r->err, QASR_E_UNSUPPORTED, "key '%s%s' in '%s' is '%s', only '%s' is supported", r->section,
                         key, r->path, s ? s : "(not a string)", expected);
    return QASR_OK;
}

static size_t *size_in(model_config *c, config_size size) { return (size_t *)((char *)c + config_ranges[size].offset); }

/* A size with its key in one layout and, if different, in the other. */
typedef struct json_size {
    config_size size;
    const char *key, *other_key;
} json_size;

static qasr_status get_sizes(model_config *c, const reader *r, const json_t *obj, const json_size *sizes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const config_range *range = &config_ranges[sizes[i].size];
        bool other = sizes[i].other_key && !json_object_get(obj, sizes[i].key);
        TRY(get_size(r, obj, other ? sizes[i].other_key : sizes[i].key, range->min, range->max,
                     size_in(c, sizes[i].size)));
    }
    return QASR_OK;
}

static qasr_status parse_encoder(model_config *c, reader *r, const json_t *a)
{
    static const json_size sizes[] = {
        { CONFIG_ENC_MELS, "num_mel_bins", NULL },
        { CONFIG_ENC_CHANNELS, "downsample_hidden_size", NULL },
        { CONFIG_ENC_WIDTH, "d_model", NULL },
        { CONFIG_ENC_LAYERS, "encoder_layers", "num_hidden_layers" },
        { CONFIG_ENC_HEADS, "encoder_attention_heads", "num_attention_heads" },
        { CONFIG_ENC_FFN, "encoder_ffn_dim", NULL },
        { CONFIG_ENC_OUT, "output_dim", NULL },
        { CONFIG_ENC_HALF_CHUNK, "n_window", NULL },
        { CONFIG_ENC_WINDOW, "n_window_infer", NULL },
    };
    r->section = "audio_config.";
    TRY(get_sizes(c, r, a, sizes, ARRAY_LEN(sizes)));
    TRY(expect_string(r, a, "activation_function", "gelu"));
    return config_end_encoder(c, r->path, r->err);
}

static const json_t *find_rope_theta(const json_t *t)
{
    const json_t *v = json_object_get(t, "rope_theta");
    if (!v)
        v = json_object_get(json_object_get(t, "rope_parameters"), "rope_theta");
    return v ? v : json_object_get(json_object_get(t, "rope_scaling"), "rope_theta");
}

bool config_tied(const json_t *root, bool unsaid)
{
    const json_t *thinker = json_object_get(root, "thinker_config"), *outer = thinker ? thinker : root;
    const json_t *at[] = { json_object_get(outer, "text_config"), outer, root };
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        const json_t *flag = json_object_get(at[i], "tie_word_embeddings");
        if (flag)
            return json_is_true(flag);
    }
    return unsaid;
}

const json_t *config_find(const json_t *root, const char *section, const char *key)
{
    const json_t *thinker = json_object_get(root, "thinker_config");
    const json_t *at[] = { section ? json_object_get(thinker, section) : NULL,
                           section ? json_object_get(root, section) : NULL, thinker, root };
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        const json_t *value = json_object_get(at[i], key);
        if (value && !json_is_null(value))
            return value;
    }
    return NULL;
}

static qasr_status parse_decoder(model_config *c, reader *r, const json_t *t)
{
    static const json_size sizes[] = {
        { CONFIG_DEC_WIDTH, "hidden_size", NULL },         { CONFIG_DEC_LAYERS, "num_hidden_layers", NULL },
        { CONFIG_DEC_HEADS, "num_attention_heads", NULL }, { CONFIG_DEC_KV_HEADS, "num_key_value_heads", NULL },
        { CONFIG_DEC_HEAD_SIZE, "head_dim", NULL },        { CONFIG_DEC_FFN, "intermediate_size", NULL },
        { CONFIG_DEC_VOCABULARY, "vocab_size", NULL },     { CONFIG_DEC_POSITIONS, "max_position_embeddings", NULL },
    };
    r->section = "text_config.";
    TRY(get_sizes(c, r, t, sizes, ARRAY_LEN(sizes)));
    TRY(expect_string(r, t, "hidden_act", "silu"));
    double eps;
    TRY(get_number(r, json_object_get(t, "rms_norm_eps"), "rms_norm_eps", 1e-12, 1e-1, &eps));
    TRY(get_number(r, find_rope_theta(t), "rope_theta", 1, 1e12, &c->dec.rope_theta));
    c->dec.rms_eps = (float)eps;
    if (json_is_true(json_object_get(t, "attention_bias")))
        return error_set(r->err, QASR_E_UNSUPPORTED, "'%s': attention_bias in text_config is not supported", r->path);
    c->dec.tied_head = config_tied(r->root, true);
    return config_end_decoder(c, r->path, r->err);
}

static qasr_status parse_eos(model_config *c, const reader *r, const json_t *v)
{
    c->n_eos = 0;
    size_t n = json_is_array(v) ? json_array_size(v) : v && !json_is_null(v) ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_integer(id) || json_integer_value(id) < 0 || (size_t)json_integer_value(id) >= c->dec.n_vocab ||
            c->n_eos == CONFIG_MAX_EOS)
            return error_set(r->err, QASR_E_FORMAT,
                             "key 'eos_token_id' in '%s' is not one to %d ids below the vocabulary size %zu", r->path,
                             CONFIG_MAX_EOS, c->dec.n_vocab);
        c->eos[c->n_eos++] = (int32_t)json_integer_value(id);
    }
    return QASR_OK;
}

static qasr_status parse(model_config *c, reader *r)
{
    const json_t *thinker = json_object_get(r->root, "thinker_config");
    const json_t *outer = thinker ? thinker : r->root;
    const json_t *kind = json_object_get(outer, "model_type"), *audio = json_object_get(outer, "audio_config");
    if ((json_is_string(kind) && strstr(json_string_value(kind), "forced_aligner")) ||
        json_object_get(outer, "classify_num"))
        return error_set(r->err, QASR_E_UNSUPPORTED,
                         "'%s' describes a forced aligner, expected a speech recognition model", r->path);
    if (!json_is_object(audio) || !json_is_object(json_object_get(outer, "text_config")))
        return error_set(r->err, QASR_E_FORMAT,
                         "'%s' has no audio_config and text_config: not a Qwen3-ASR configuration", r->path);
    c->hf_layout = !thinker;
    TRY(parse_encoder(c, r, audio));
    TRY(parse_decoder(c, r, json_object_get(outer, "text_config")));
    if (c->enc.d_out != c->dec.d_model)
        return error_set(r->err, QASR_E_FORMAT,
                         "'%s': audio_config.output_dim is %zu, text_config.hidden_size %zu: expected equal", r->path,
                         c->enc.d_out, c->dec.d_model);
    size_t pad;
    r->section = "";
    TRY(get_size(r, outer, "audio_token_id", 0, c->dec.n_vocab - 1, &pad));
    c->audio_pad_id = (int32_t)pad;
    return parse_eos(c, r, json_object_get(outer, "eos_token_id"));
}

static qasr_status parse_config(model_config *c, const json_t *root, const char *path, qasr_error *err)
{
    reader r = { .root = root, .path = path, .section = "", .err = err };
    *c = (model_config){ 0 };
    return parse(c, &r);
}

static qasr_status parse_segment_seconds(double *out, const reader *r)
{
    const json_t *v = json_object_get(r->root, CONFIG_SEGMENT_SECONDS);
    *out = 0;
    return v ? get_number(r, v, CONFIG_SEGMENT_SECONDS, CONFIG_SEGMENT_SECONDS_MIN, QASR_LONGEST_SEGMENT_S, out)
             : QASR_OK;
}

static qasr_status parse_generation(model_config *c, const json_t *root, const char *path, qasr_error *err)
{
    reader r = { .root = root, .path = path, .section = "", .err = err };
    const json_t *v = json_object_get(root, "eos_token_id");
    if (v)
        TRY(parse_eos(c, &r, v));
    return parse_segment_seconds(&c->segment_seconds, &r);
}

qasr_status config_parse(model_config *c, const char *text, size_t len, const char *path, qasr_error *err)
{
    json_t *root;
    TRY(json_file_parse(&root, text, len, path, err));
    qasr_status status = parse_config(c, root, path, err);
    json_decref(root);
    return status;
}

qasr_status config_parse_generation(model_config *c, const char *text, size_t len, const char *path, qasr_error *err)
{
    json_t *root;
    TRY(json_file_parse(&root, text, len, path, err));
    qasr_status status = parse_generation(c, root, path, err);
    json_decref(root);
    return status;
}

/* Reads one of a directory's files. *root, released with json_decref, is NULL if an optional file is missing. */
static qasr_status read_json(json_t **root, char **path, const char *dir, const char *name, bool required,
                             qasr_error *err)
{
    buf text;
    *root = NULL;
    TRY(file_path_join(path, dir, name, err));
    buf_init(&text, CONFIG_MAX_BYTES);
    qasr_status status = QASR_OK;
    if (required || file_exists(*path))
        status = json_file_read(root, &text, *path, err);
    buf_free(&text);
    return status;
}

static const char generation_config[] = "generation_config.json";

qasr_status config_read_dir(model_config *c, const char *dir, qasr_error *err)
{
    const struct {
        const char *name;
        bool required;
        qasr_status (*parse)(model_config *, const json_t *, const char *, qasr_error *);
    } files[] = { { "config.json", true, parse_config }, { generation_config, false, parse_generation } };
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < ARRAY_LEN(files) && status == QASR_OK; i++) {
        char *path = NULL;
        json_t *root;
        status = read_json(&root, &path, dir, files[i].name, files[i].required, err);
        if (status == QASR_OK && root)
            status = files[i].parse(c, root, path, err);
        json_decref(root);
        mem_free(path);
    }
    return status;
}

qasr_status config_read_segment_seconds(double *out, const char *dir, qasr_error *err)
{
    char *path = NULL;
    json_t *root;
    *out = 0;
    qasr_status status = read_json(&root, &path, dir, generation_config, false, err);
    if (status == QASR_OK && root)
        status = parse_segment_seconds(out, &(reader){ .root = root, .path = path, .section = "", .err = err });
    json_decref(root);
    mem_free(path);
    return status;
}

static size_t halve_three_times(size_t n)
{
    for (int i = 0; i < 3; i++)
        n = (n + 1) / 2;
    return n;
}

size_t config_tokens_per_chunk(const model_config *c) { return halve_three_times(c->enc.chunk_frames); }

size_t config_audio_tokens(const model_config *c, size_t n_frames)
{
    return n_frames / c->enc.chunk_frames * config_tokens_per_chunk(c) +
           halve_three_times(n_frames % c->enc.chunk_frames);
}
