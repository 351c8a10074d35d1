/* Facts about model files: path in, a list of tensors and of key = value facts out. Weights are not read.
 *
 * A directory is looked at as a whole: the safetensors are its weights (a GGUF, if there are none), each
 * GGUF file beside them gets a line of its own, config.json and the tokenizer files are summed up. Parts
 * that are missing or broken there become facts; only a path that gives nothing at all is an error. */
#include "inspect/inspect.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/config.h"
#include "text/text.h"
#include "weights/gguf_format.h"
#include "weights/gguf_read.h"
#include "weights/open.h"
#include "weights/safetensors.h"
#include "weights/weights.h"

enum {
    MAX_SMALL_FILE = 64 << 20, /* config.json, merges.txt */
    MAX_VALUE_CHARS = 96,      /* of a metadata string that is shown */
    MAX_SHOWN_ELEMS = 6,       /* of a metadata array */
    MAX_FACT_BYTES = 4096
};

typedef struct fact {
    char *key, *value;
} fact;

struct qasr_inspect {
    weights **files;
    size_t n_files;
    qasr_tensor_info *tensors;
    size_t n_tensors;
    fact *facts;
    size_t n_facts, facts_cap;
};

/* ---- facts ----------------------------------------------------------------------------------- */

static qasr_status grow_facts(qasr_inspect *in, qasr_error *err)
{
    if (in->n_facts < in->facts_cap)
        return QASR_OK;
    size_t cap = in->facts_cap ? in->facts_cap * 2 : 64;
    fact *bigger;
    TRY(MEM_CALLOC(&bigger, cap, err));
    if (in->n_facts)
        memcpy(bigger, in->facts, in->n_facts * sizeof *bigger);
    mem_free(in->facts);
    in->facts = bigger;
    in->facts_cap = cap;
    return QASR_OK;
}

static qasr_status add_fact(qasr_inspect *in, qasr_error *err, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static qasr_status add_fact(qasr_inspect *in, qasr_error *err, const char *key, const char *fmt, ...)
{
    char value[MAX_FACT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    TRY(grow_facts(in, err));
    fact *f = &in->facts[in->n_facts];
    TRY(mem_strdup(&f->key, key, err));
    qasr_status status = mem_strdup(&f->value, value, err);
    if (status == QASR_OK)
        in->n_facts++;
    else
        mem_free(f->key);
    return status;
}

/* Appends text from a file: control characters as '?', cut (at a character) after MAX_VALUE_CHARS bytes. */
static qasr_status add_clean(buf *out, const char *s, size_t len, qasr_error *err)
{
    size_t n = len < MAX_VALUE_CHARS ? len : MAX_VALUE_CHARS;
    while (n > 0 && n < len && ((unsigned char)s[n] & 0xC0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++) {
        char c = (unsigned char)s[i] < 0x20 || s[i] == 0x7F ? '?' : s[i];
        TRY(buf_add(out, &c, 1, err));
    }
    return n < len ? buf_printf(out, err, "... (%zu bytes)", len) : QASR_OK;
}

/* ---- metadata -------------------------------------------------------------------------------- */

static qasr_status print_strings(buf *out, const wmeta *m, qasr_error *err)
{
    uint64_t pos = 0;
    const char *s;
    size_t len;
    for (int i = 0; i < MAX_SHOWN_ELEMS && wmeta_next_string(m, &pos, &s, &len); i++) {
        TRY(buf_add_str(out, i ? ", '" : "'", err));
        TRY(add_clean(out, s, len, err));
        TRY(buf_add_str(out, "'", err));
    }
    return m->n_elems > MAX_SHOWN_ELEMS ? buf_add_str(out, ", ...", err) : QASR_OK;
}

static uint64_t little_endian(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static qasr_status print_number(buf *out, wmeta_type type, const unsigned char *p, qasr_error *err)
{
    float f;
    double d;
    switch (type) {
    case WMETA_U8: return buf_printf(out, err, "%u", p[0]);
    case WMETA_I8: return buf_printf(out, err, "%d", (int8_t)p[0]);
    case WMETA_BOOL: return buf_add_str(out, p[0] ? "true" : "false", err);
    case WMETA_U16: return buf_printf(out, err, "%u", (unsigned)little_endian(p, 2));
    case WMETA_I16: return buf_printf(out, err, "%d", (int16_t)little_endian(p, 2));
    case WMETA_U32: return buf_printf(out, err, "%" PRIu32, (uint32_t)little_endian(p, 4));
    case WMETA_I32: return buf_printf(out, err, "%" PRId32, (int32_t)little_endian(p, 4));
    case WMETA_U64: return buf_printf(out, err, "%" PRIu64, little_endian(p, 8));
    case WMETA_I64: return buf_printf(out, err, "%" PRId64, (int64_t)little_endian(p, 8));
    case WMETA_F32: memcpy(&f, p, sizeof f); return buf_printf(out, err, "%g", (double)f);
    case WMETA_F64: memcpy(&d, p, sizeof d); return buf_printf(out, err, "%g", d);
    default: return QASR_OK;
    }
}

static qasr_status print_array(buf *out, const wmeta *m, qasr_error *err)
{
    TRY(buf_printf(out, err, "[%" PRIu64 "] ", m->n_elems));
    if (m->elem_type == WMETA_STRING)
        return print_strings(out, m, err);
    if (m->n_elems == 0)
        return QASR_OK;
    size_t size = (size_t)(m->elems_bytes / m->n_elems);
    for (uint64_t i = 0; i < m->n_elems && i < MAX_SHOWN_ELEMS; i++) {
        TRY(buf_add_str(out, i ? ", " : "", err));
        TRY(print_number(out, m->elem_type, m->elems + i * size, err));
    }
    return m->n_elems > MAX_SHOWN_ELEMS ? buf_add_str(out, ", ...", err) : QASR_OK;
}

static qasr_status print_meta(buf *out, const wmeta *m, qasr_error *err)
{
    switch (m->type) {
    case WMETA_STRING: return add_clean(out, m->str, m->str_len, err);
    case WMETA_ARRAY: return print_array(out, m, err);
    case WMETA_BOOL: return buf_add_str(out, m->as.b ? "true" : "false", err);
    case WMETA_F32:
    case WMETA_F64: return buf_printf(out, err, "%g", m->as.f);
    case WMETA_I8:
    case WMETA_I16:
    case WMETA_I32:
    case WMETA_I64: return buf_printf(out, err, "%" PRId64, m->as.i);
    default: return buf_printf(out, err, "%" PRIu64, m->as.u);
    }
}

static qasr_status add_meta_facts(qasr_inspect *in, const weights *w, qasr_error *err)
{
    buf key, value;
    buf_init(&key, MAX_FACT_BYTES);
    buf_init(&value, MAX_FACT_BYTES);
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < weights_meta_count(w) && status == QASR_OK; i++) {
        const wmeta *m = weights_meta_at(w, i);
        buf_clear(&key);
        buf_clear(&value);
        TRY_GOTO(buf_add_str(&key, "meta.", err));
        TRY_GOTO(add_clean(&key, m->key, strlen(m->key), err));
        TRY_GOTO(print_meta(&value, m, err));
        TRY_GOTO(add_fact(in, err, buf_str(&key), "%s", buf_str(&value)));
    }
done:
    buf_free(&value);
    buf_free(&key);
    return status;
}

/* ---- layout and parts ------------------------------------------------------------------------ */

static const char *gguf_layout(const weights *w)
{
    if (strcmp(weights_meta_string(w, "general.type"), GGUF_TYPE_IMATRIX) == 0)
        return "imatrix (statistics, no weights)";
    switch (config_gguf_kind(w)) {
    case GGUF_WHOLE: return names_layout_name(weights_layout(w));
    case GGUF_TEXT: return "llama.cpp text model";
    case GGUF_MMPROJ: return "llama.cpp mmproj";
    case GGUF_DECODER:
        if (*weights_meta_string(w, "general.architecture"))
            return "qasr";
        return weights_meta_count(w) == 0 && weights_find(w, "thinker.model.norm.weight") ? "RustASR" : "unknown";
    default: return "unknown";
    }
}

static const char *safetensors_layout(const weights *w)
{
    for (size_t i = 0; i < weights_count(w); i++)
        if (strncmp(weights_at(w, i)->canonical, "thinker.", strlen("thinker.")) == 0)
            return names_layout_name(weights_layout(w));
    return "unknown";
}

static const char *layout_of(const weights *w)
{
    return weights_kind(w) == WEIGHTS_GGUF ? gguf_layout(w) : safetensors_layout(w);
}

static const char *part_of(const char *canonical)
{
    static const struct {
        const char *prefix, *part;
    } rules[] = {
        /* the first that fits */
        { "thinker.model.embed_tokens.", "embedding" },
        { "thinker.lm_head.", "head" },
        { "thinker.audio_tower.", "encoder" },
        { "a.position_embd.", "encoder" }, /* llama.cpp's copy of what every encoder computes */
        { "thinker.model.", "decoder" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (strncmp(canonical, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return rules[i].part;
    return "other";
}

/* ---- tensors --------------------------------------------------------------------------------- */

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
            .part = part_of(t->canonical),
            .file = file_base_name(weights_file_path(w, t->file)),
            .n_dims = t->n_dims,
            .n_values = t->n_values,
            .bytes = t->n_bytes,
        };
        memcpy(to->shape, t->shape, sizeof to->shape);
    }
    return QASR_OK;
}

static qasr_status add_parameter_facts(qasr_inspect *in, const weights *w, qasr_error *err)
{
    static const char *const parts[] = { "encoder", "decoder", "embedding", "head", "other" };
    uint64_t sum[ARRAY_LEN(parts)] = { 0 }, total = 0;
    for (size_t i = 0; i < weights_count(w); i++)
        for (size_t p = 0; p < ARRAY_LEN(parts); p++)
            if (strcmp(part_of(weights_at(w, i)->canonical), parts[p]) == 0) {
                sum[p] += weights_at(w, i)->n_values;
                total += weights_at(w, i)->n_values;
            }
    TRY(add_fact(in, err, "parameters", "%" PRIu64, total));
    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        char key[32];
        snprintf(key, sizeof key, "parameters.%s", parts[p]);
        if (sum[p])
            TRY(add_fact(in, err, key, "%" PRIu64, sum[p]));
    }
    return QASR_OK;
}

static qasr_status add_type_facts(qasr_inspect *in, const weights *w, qasr_error *err)
{
    for (int type = 0; type < QUANT_TYPE_COUNT; type++) {
        size_t n = 0;
        uint64_t bytes = 0;
        for (size_t i = 0; i < weights_count(w); i++)
            if ((int)weights_at(w, i)->type == type) {
                n++;
                bytes += weights_at(w, i)->n_bytes;
            }
        char key[32];
        snprintf(key, sizeof key, "type.%s", quant_get((quant_type)type)->name);
        if (n)
            TRY(add_fact(in, err, key, "%zu tensor%s, %" PRIu64 " bytes", n, n == 1 ? "" : "s", bytes));
    }
    return QASR_OK;
}

/* "safetensors, 2 files" or "GGUF version 3". */
static qasr_status add_container_fact(qasr_inspect *in, const weights *w, qasr_error *err)
{
    if (weights_kind(w) == WEIGHTS_GGUF) /* the reader has checked the header: magic, then the version */
        return add_fact(in, err, "container", "GGUF version %" PRIu64,
                        little_endian(weights_file_map(w, 0)->data + 4, 4));
    size_t n = weights_file_count(w);
    return add_fact(in, err, "container", "safetensors, %zu file%s", n, n == 1 ? "" : "s");
}

/* ---- config.json ----------------------------------------------------------------------------- */

/* Looks a key up in a section of thinker_config, of the root (the second layout is flat), then in both. */
static const json_t *config_get(const json_t *root, const char *section, const char *key)
{
    const json_t *thinker = json_object_get(root, "thinker_config");
    const json_t *places[] = { section ? json_object_get(thinker, section) : NULL,
                               section ? json_object_get(root, section) : NULL, thinker, root };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        const json_t *value = json_object_get(places[i], key);
        if (value && !json_is_null(value))
            return value;
    }
    return NULL;
}

static qasr_status add_json_fact(qasr_inspect *in, const char *key, const json_t *value, qasr_error *err)
{
    if (json_is_integer(value))
        return add_fact(in, err, key, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value))
        return add_fact(in, err, key, "%g", json_real_value(value));
    if (json_is_boolean(value))
        return add_fact(in, err, key, "%s", json_is_true(value) ? "yes" : "no");
    if (!json_is_string(value))
        return QASR_OK;
    buf clean;
    buf_init(&clean, MAX_FACT_BYTES);
    qasr_status status = add_clean(&clean, json_string_value(value), json_string_length(value), err);
    if (status == QASR_OK)
        status = add_fact(in, err, key, "%s", buf_str(&clean));
    buf_free(&clean);
    return status;
}

static qasr_status add_languages(qasr_inspect *in, const json_t *root, qasr_error *err)
{
    const json_t *list = json_object_get(root, "support_languages");
    if (!json_is_array(list))
        return QASR_OK;
    buf names;
    buf_init(&names, MAX_FACT_BYTES / 2);
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < json_array_size(list) && status == QASR_OK; i++) {
        const json_t *name = json_array_get(list, i);
        if (json_is_string(name) && names.len + MAX_VALUE_CHARS * 2 < names.max) {
            TRY_GOTO(buf_add_str(&names, names.len ? ", " : "", err));
            TRY_GOTO(add_clean(&names, json_string_value(name), json_string_length(name), err));
        }
    }
    status = add_fact(in, err, "languages", "%s", buf_str(&names));
done:
    buf_free(&names);
    return status;
}

enum { NO_SIZE = -1 };

/* Where a fact stands in config.json, and which size it is in the metadata of GGUF files. */
static const struct {
    const char *fact, *section, *key;
    int size;
} numbers[] = {
    { "model", NULL, "model_type", NO_SIZE },
    { "encoder.layers", "audio_config", "encoder_layers", CONFIG_ENC_LAYERS },
    { "encoder.width", "audio_config", "d_model", CONFIG_ENC_WIDTH },
    { "encoder.heads", "audio_config", "encoder_attention_heads", CONFIG_ENC_HEADS },
    { "encoder.feed_forward", "audio_config", "encoder_ffn_dim", CONFIG_ENC_FFN },
    { "encoder.conv_channels", "audio_config", "downsample_hidden_size", CONFIG_ENC_CHANNELS },
    { "encoder.mel_bins", "audio_config", "num_mel_bins", CONFIG_ENC_MELS },
    { "encoder.output_width", "audio_config", "output_dim", CONFIG_ENC_OUT },
    { "encoder.window_frames", "audio_config", "n_window_infer", CONFIG_ENC_WINDOW },
    { "decoder.layers", "text_config", "num_hidden_layers", CONFIG_DEC_LAYERS },
    { "decoder.width", "text_config", "hidden_size", CONFIG_DEC_WIDTH },
    { "decoder.heads", "text_config", "num_attention_heads", CONFIG_DEC_HEADS },
    { "decoder.kv_heads", "text_config", "num_key_value_heads", CONFIG_DEC_KV_HEADS },
    { "decoder.head_size", "text_config", "head_dim", CONFIG_DEC_HEAD_SIZE },
    { "decoder.feed_forward", "text_config", "intermediate_size", CONFIG_DEC_FFN },
    { "decoder.vocabulary", "text_config", "vocab_size", CONFIG_DEC_VOCABULARY },
    { "decoder.context", "text_config", "max_position_embeddings", CONFIG_DEC_POSITIONS },
    { "decoder.tied_head", "text_config", "tie_word_embeddings", NO_SIZE },
    { "classes", NULL, "classify_num", NO_SIZE },
};

static qasr_status add_config_numbers(qasr_inspect *in, const json_t *root, qasr_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const json_t *value = config_get(root, numbers[i].section, numbers[i].key);
        if (value)
            TRY(add_json_fact(in, numbers[i].fact, value, err));
    }
    return add_languages(in, root, err);
}

static qasr_status add_gguf_numbers(qasr_inspect *in, const weights *w, qasr_error *err)
{
    uint64_t value;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i].size != NO_SIZE && config_gguf_size(w, (config_size)numbers[i].size, &value))
            TRY(add_fact(in, err, numbers[i].fact, "%" PRIu64, value));
    return QASR_OK;
}

static qasr_status add_config_facts(qasr_inspect *in, const char *text, qasr_error *err)
{
    json_error_t where;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    qasr_status status;
    if (!root)
        status = add_fact(in, err, "config", "not readable: line %d: %s", where.line, where.text);
    else if (!json_is_object(root))
        status = add_fact(in, err, "config", "not readable: it is no JSON object");
    else
        status = add_config_numbers(in, root, err);
    json_decref(root);
    return status;
}

/* ---- what lies in a directory ---------------------------------------------------------------- */

/* A small text file of the directory into out; *found false (and no error) if there is none. */
static qasr_status read_beside(buf *out, bool *found, const char *dir, const char *name, qasr_error *err)
{
    char *path;
    TRY(file_path_join(&path, dir, name, err));
    *found = file_exists(path);
    qasr_status status = *found ? file_read_all(out, path, err) : QASR_OK;
    mem_free(path);
    return status;
}

static qasr_status add_dir_config(qasr_inspect *in, const char *dir, bool *found, qasr_error *err)
{
    buf text;
    buf_init(&text, MAX_SMALL_FILE);
    qasr_status status = read_beside(&text, found, dir, "config.json", err);
    if (status == QASR_OK && *found)
        status = add_config_facts(in, buf_str(&text), err);
    buf_free(&text);
    return status;
}

/* Merges are the lines of merges.txt but for a "#version" line. */
static size_t count_merges(const char *text)
{
    size_t n = 0;
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        n += len > 0 && strncmp(line, "#version", 8) != 0;
        line += len + (line[len] == '\n');
    }
    return n;
}

static qasr_status add_dir_tokenizer(qasr_inspect *in, const char *dir, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    tokenizer *t = NULL;
    buf merges;
    bool found;
    buf_init(&merges, MAX_SMALL_FILE);
    if (tokenizer_open_dir(&t, dir, &why) != QASR_OK) {
        if (why.status == QASR_E_NOMEM)
            return error_set(err, why.status, "%s", why.message);
        return add_fact(in, err, "tokenizer", "not readable: %s", why.message);
    }
    qasr_status status = read_beside(&merges, &found, dir, "merges.txt", err);
    if (status == QASR_OK)
        status =
            add_fact(in, err, "tokenizer", "%zu tokens, %zu merges", tokenizer_size(t), count_merges(buf_str(&merges)));
    buf_free(&merges);
    tokenizer_free(t);
    return status;
}

static qasr_status add_gguf_tokenizer(qasr_inspect *in, const weights *w, qasr_error *err)
{
    const wmeta *tokens = weights_meta_find(w, "tokenizer.ggml.tokens");
    const wmeta *merges = weights_meta_find(w, "tokenizer.ggml.merges");
    if (!tokens || tokens->type != WMETA_ARRAY)
        return QASR_OK;
    return add_fact(in, err, "tokenizer", "%" PRIu64 " tokens, %" PRIu64 " merges", tokens->n_elems,
                    merges && merges->type == WMETA_ARRAY ? merges->n_elems : 0);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Takes w over, also when it fails. */
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

static qasr_status add_weights_facts(qasr_inspect *in, const weights *w, qasr_error *err)
{
    TRY(add_fact(in, err, "layout", "%s", layout_of(w)));
    TRY(add_container_fact(in, w, err));
    TRY(add_fact(in, err, "tensors", "%zu", weights_count(w)));
    TRY(add_parameter_facts(in, w, err));
    return add_type_facts(in, w, err);
}

/* "model-q8_0.gguf" beside other weights: one line, and its tensors. */
static qasr_status add_gguf_line(qasr_inspect *in, const char *dir, const char *name, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    weights *w = NULL;
    char *path, key[300];
    snprintf(key, sizeof key, "gguf.%s", name);
    TRY(file_path_join(&path, dir, name, err));
    qasr_status status = weights_open_gguf(&w, path, &why);
    mem_free(path);
    if (status == QASR_E_NOMEM)
        return error_set(err, status, "%s", why.message);
    if (status != QASR_OK)
        return add_fact(in, err, key, "not readable: %s", why.message);
    TRY(keep_weights(in, w, err));
    size_t n = weights_count(w);
    return add_fact(in, err, key, "%s layout, %zu tensor%s, %zu bytes", layout_of(w), n, n == 1 ? "" : "s",
                    weights_file_map(w, 0)->size);
}

static qasr_status add_dir_ggufs(qasr_inspect *in, const char *dir, qasr_error *err)
{
    file_names list;
    qasr_status status = file_list(&list, dir, "*.gguf", err);
    for (size_t i = 0; i < list.n && status == QASR_OK; i++)
        status = add_gguf_line(in, dir, list.names[i], err);
    file_names_free(&list);
    return status;
}

/* True if one of the GGUF files has a configuration of its own: then nothing else of a model directory need be there.
 */
static bool has_gguf_model(const qasr_inspect *in)
{
    for (size_t i = 0; i < in->n_files; i++)
        if (weights_kind(in->files[i]) == WEIGHTS_GGUF && config_gguf_kind(in->files[i]) > GGUF_DECODER)
            return true;
    return false;
}

static qasr_status look_at_dir(qasr_inspect *in, const char *dir, qasr_error *err)
{
    qasr_error why = { .status = QASR_OK };
    weights *w = NULL;
    bool has_config = false;
    qasr_status opened = weights_open_safetensors(&w, dir, &why);
    if (opened == QASR_E_NOMEM)
        return error_set(err, opened, "%s", why.message);
    if (opened == QASR_OK) {
        TRY(keep_weights(in, w, err));
        TRY(add_weights_facts(in, w, err));
    }
    TRY(add_dir_ggufs(in, dir, err));
    if (opened != QASR_OK && !has_gguf_model(in))
        TRY(add_fact(in, err, "safetensors", "not readable: %s", why.message));
    TRY(add_dir_config(in, dir, &has_config, err));
    if (in->n_files == 0 && !has_config)
        return error_set(err, why.status, "%s", why.message);
    return opened == QASR_OK || has_config || !has_gguf_model(in) ? add_dir_tokenizer(in, dir, err) : QASR_OK;
}

static qasr_status look_at_file(qasr_inspect *in, const char *path, qasr_error *err)
{
    weights *w = NULL;
    TRY(weights_open(&w, path, err));
    TRY(keep_weights(in, w, err));
    TRY(add_weights_facts(in, w, err));
    if (weights_kind(w) == WEIGHTS_GGUF) {
        TRY(add_gguf_numbers(in, w, err));
        TRY(add_gguf_tokenizer(in, w, err));
        const wmeta *config = weights_meta_find(w, "qasr.config");
        if (config && config->type == WMETA_STRING)
            TRY(add_config_facts(in, config->str, err));
    }
    return add_meta_facts(in, w, err);
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
    for (size_t i = 0; i < in->n_facts; i++) {
        mem_free(in->facts[i].key);
        mem_free(in->facts[i].value);
    }
    mem_free(in->facts);
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

size_t inspect_fact_count(const qasr_inspect *in) { return in->n_facts; }

const char *inspect_fact(const qasr_inspect *in, size_t index, const char **value)
{
    if (index >= in->n_facts)
        return NULL;
    if (value)
        *value = in->facts[index].value;
    return in->facts[index].key;
}
