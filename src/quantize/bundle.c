/* See bundle.h. Configuration and tokenizer are written from their parsed form, so files made from a model directory
 * and from another GGUF file match. Values that some configurations lack, and that the network does not depend on, are
 * copied from the input, or are the same in all published models. */
#include "quantize/bundle.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json_file.h"
#include "base/log.h"
#include "base/mem.h"
#include "weights/gguf_format.h"
#include "weights/gguf_write.h"

#define STT GGUF_STT_PREFIX
#define TOKENS "tokenizer.ggml."

enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3 };

/* ---- tables of the front end ------------------------------------------------------------------ */

struct bundle {
    float filters[MEL_BINS * MEL_SPECTRUM], window[MEL_FFT];
    wtensor tensors[2];
};

static wtensor table(const char *name, const float *data, unsigned n_dims, uint64_t rows, uint64_t row_values)
{
    wtensor t = { .name = name,
                  .canonical = name,
                  .type = QUANT_F32,
                  .n_dims = n_dims,
                  .data = data,
                  .shape = { rows, row_values, 1, 1 },
                  .n_values = rows * row_values };
    t.n_bytes = t.n_values * sizeof *data;
    return t;
}

qasr_status bundle_create(bundle **out, const qasr_model *m, qasr_error *err)
{
    bundle *b;
    TRY(MEM_CALLOC(&b, 1, err));
    mel_get_filters(m->features, b->filters);
    mel_get_window(m->features, b->window);
    b->tensors[0] = table("frontend.mel_filterbank", b->filters, 2, MEL_BINS, MEL_SPECTRUM);
    b->tensors[1] = table("frontend.window", b->window, 1, MEL_FFT, 1);
    *out = b;
    return QASR_OK;
}

void bundle_free(bundle *b) { mem_free(b); }

const wtensor *bundle_tensors(const bundle *b, size_t *n)
{
    *n = ARRAY_LEN(b->tensors);
    return b->tensors;
}

/* ---- optional values of configurations -------------------------------------------------------- */

/* Adds the input's own key, else this JSON value, else a default. */
static qasr_status add_number(gguf_writer *g, const input_model *in, const char *key, const json_t *value,
                              size_t fallback, qasr_error *err)
{
    const wmeta *m = input_model_key(in, key);
    if (m && m->type == WMETA_U32)
        return gguf_writer_meta_copy(g, m, err);
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : 0;
    return gguf_writer_meta_u32(g, key, n > 0 && n <= INT32_MAX ? (uint32_t)n : (uint32_t)fallback, err);
}

/* Multimodal models split the rotary embedding into three parts; with audio alone all three rotate alike. */
static qasr_status add_rope_sections(gguf_writer *g, const input_model *in, const json_t *root, size_t head_dim,
                                     qasr_error *err)
{
    const json_t *list = json_object_get(config_find(root, "text_config", "rope_scaling"), "mrope_section");
    size_t h = head_dim / 2 * 5 / 16, t = head_dim / 2 - 2 * h; /* 24, 20, 20 of 64 */
    TRY(add_number(g, in, STT "decoder.rope_mrope_section_t", json_array_get(list, 0), t, err));
    TRY(add_number(g, in, STT "decoder.rope_mrope_section_h", json_array_get(list, 1), h, err));
    TRY(add_number(g, in, STT "decoder.rope_mrope_section_w", json_array_get(list, 2), h, err));
    return gguf_writer_meta_bool(g, STT "decoder.rope_mrope_interleaved", true, err);
}

/* ---- configuration ---------------------------------------------------------------------------- */

typedef struct number {
    const char *key;
    size_t value;
} number;

static qasr_status add_numbers(gguf_writer *g, const number *numbers, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < n; i++)
        TRY(gguf_writer_meta_u32(g, numbers[i].key, (uint32_t)numbers[i].value, err));
    return QASR_OK;
}

static qasr_status add_encoder(gguf_writer *g, const input_model *in, const model_config *c, const json_t *root,
                               qasr_error *err)
{
    const number numbers[] = {
        { STT "encoder.n_layers", c->enc.n_layers },
        { STT "encoder.d_model", c->enc.d_model },
        { STT "encoder.n_heads", c->enc.n_heads },
        { STT "encoder.ffn_dim", c->enc.d_ffn },
        { STT "encoder.num_mel_bins", c->enc.n_mels },
        { STT "encoder.downsample_hidden", c->enc.conv_channels },
        { STT "encoder.output_dim", c->enc.d_out },
        { STT "encoder.n_window", c->enc.chunk_frames / 2 },
        { STT "encoder.n_window_infer", c->enc.window_frames },
    };
    TRY(add_numbers(g, numbers, ARRAY_LEN(numbers), err));
    TRY(add_number(g, in, STT "encoder.max_source_positions", config_find(root, "audio_config", "max_source_positions"),
                   1500, err));
    TRY(add_number(g, in, STT "encoder.conv_chunksize", config_find(root, "audio_config", "conv_chunksize"), 500, err));
    return gguf_writer_meta_str(g, STT "encoder.activation", "gelu", err);
}

static qasr_status add_decoder(gguf_writer *g, const input_model *in, const model_config *c, const json_t *root,
                               qasr_error *err)
{
    const number numbers[] = {
        { STT "decoder.n_layers", c->dec.n_layers },
        { STT "decoder.hidden_size", c->dec.d_model },
        { STT "decoder.intermediate_size", c->dec.d_ffn },
        { STT "decoder.n_heads", c->dec.n_heads },
        { STT "decoder.n_kv_heads", c->dec.n_kv_heads },
        { STT "decoder.head_dim", c->dec.head_dim },
        { STT "decoder.max_position_embeddings", c->dec.max_positions },
        { STT "decoder.vocab_size", c->dec.n_vocab },
    };
    TRY(add_numbers(g, numbers, ARRAY_LEN(numbers), err));
    TRY(gguf_writer_meta_str(g, STT "decoder.hidden_act", "silu", err));
    TRY(gguf_writer_meta_f32(g, STT "decoder.rms_norm_eps", c->dec.rms_eps, err));
    TRY(gguf_writer_meta_f32(g, STT "decoder.rope_theta", (float)c->dec.rope_theta, err));
    TRY(add_rope_sections(g, in, root, c->dec.head_dim, err));
    return gguf_writer_meta_bool(g, STT "decoder.tie_word_embeddings", in->tied, err);
}

static qasr_status add_frontend(gguf_writer *g, qasr_error *err)
{
    static const number numbers[] = {
        { "stt.frontend.num_mels", MEL_BINS },
        { "stt.frontend.sample_rate", AUDIO_RATE },
        { "stt.frontend.n_fft", MEL_FFT },
        { "stt.frontend.win_length", MEL_FFT },
        { "stt.frontend.hop_length", MEL_HOP },
        { "stt.frontend.chunk_length", 30 }, /* inherited from Whisper, like the next two */
        { "stt.frontend.n_samples", 30 * AUDIO_RATE },
        { "stt.frontend.nb_max_frames", 30 * AUDIO_RATE / MEL_HOP },
    };
    static const struct {
        const char *key, *value;
    } strings[] = {
        { "stt.frontend.type", "mel" },
        { "stt.frontend.window", "hann_periodic" },
        { "stt.frontend.normalize", "per_utterance" },
        { "stt.frontend.pad_mode", "reflect" },
        { "stt.frontend.mel_norm", "slaney" },
    };
    static const struct {
        const char *key;
        float value;
    } floats[] = {
        { "stt.frontend.dither", 0 },
        { "stt.frontend.pre_emphasis", 0 },
        { "stt.frontend.f_min", 0 },
        { "stt.frontend.f_max", AUDIO_RATE / 2 },
    };
    TRY(add_numbers(g, numbers, ARRAY_LEN(numbers), err));
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        TRY(gguf_writer_meta_str(g, strings[i].key, strings[i].value, err));
    for (size_t i = 0; i < ARRAY_LEN(floats); i++)
        TRY(gguf_writer_meta_f32(g, floats[i].key, floats[i].value, err));
    return gguf_writer_meta_bool(g, "stt.frontend.center", true, err);
}

/* ---- tokenizer -------------------------------------------------------------------------------- */

/* State while the tokens or merges are enumerated. */
typedef struct list_writer {
    gguf_writer *g;
    size_t n;
} list_writer;

static qasr_status put_unused(list_writer *l, qasr_error *err)
{
    char name[40];
    int n = snprintf(name, sizeof name, "<|unused_%zu|>", l->n++);
    return gguf_writer_next_string(l->g, name, (size_t)n, err);
}

static qasr_status put_text(void *arg, const char *text, size_t len, qasr_error *err)
{
    list_writer *l = arg;
    if (len == 0)
        return put_unused(l, err);
    l->n++;
    return gguf_writer_next_string(l->g, text, len, err);
}

/* Adds one entry for each row of the embedding. */
static qasr_status add_tokens(gguf_writer *g, const tokenizer *t, size_t n_vocab, qasr_error *err)
{
    list_writer l = { .g = g };
    TRY(gguf_writer_meta_strings(g, TOKENS "tokens", n_vocab, err));
    TRY(tokenizer_each_token(t, put_text, &l, err));
    while (l.n < n_vocab)
        TRY(put_unused(&l, err));
    int32_t *types;
    TRY(MEM_ALLOC(&types, n_vocab, err));
    for (size_t id = 0; id < n_vocab; id++)
        types[id] = tokenizer_kind_of(t, (int32_t)id) == TOKENIZER_SPECIAL ? TYPE_CONTROL : TYPE_NORMAL;
    qasr_status status = gguf_writer_meta_i32s(g, TOKENS "token_type", types, n_vocab, err);
    mem_free(types);
    return status;
}

static qasr_status add_merges(gguf_writer *g, const tokenizer *t, qasr_error *err)
{
    list_writer l = { .g = g };
    TRY(gguf_writer_meta_strings(g, TOKENS "merges", tokenizer_merge_count(t), err));
    return tokenizer_each_merge(t, put_text, &l, err);
}

/* The layout has room for one end token; readers find two more by name. */
static qasr_status add_end_tokens(gguf_writer *g, const qasr_model *m, qasr_error *err)
{
    int32_t end = tokenizer_added_id(m->tokenizer, "<|im_end|>"),
            pad = tokenizer_added_id(m->tokenizer, "<|endoftext|>");
    int32_t first = m->eos[0];
    for (size_t i = 0; i < m->n_eos; i++)
        first = m->eos[i] == end ? end : first;
    for (size_t i = 0; i < m->n_eos; i++)
        if (m->eos[i] != first && m->eos[i] != end && m->eos[i] != pad)
            log_warning("end token %d is omitted: the file can name only one besides '<|im_end|>' and '<|endoftext|>'",
                        (int)m->eos[i]);
    TRY(gguf_writer_meta_u32(g, TOKENS "eos_token_id", (uint32_t)first, err));
    return pad < 0 ? QASR_OK : gguf_writer_meta_u32(g, TOKENS "padding_token_id", (uint32_t)pad, err);
}

static qasr_status add_audio_tokens(gguf_writer *g, const tokenizer *t, qasr_error *err)
{
    static const struct {
        const char *key, *content;
    } tokens[] = {
        { STT "audio_token_id", "<|audio_pad|>" },
        { STT "audio_start_token_id", "<|audio_start|>" },
        { STT "audio_end_token_id", "<|audio_end|>" },
    };
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        int32_t id = tokenizer_added_id(t, tokens[i].content);
        if (id < 0)
            return error_set(err, QASR_E_FORMAT, "the tokenizer has no token '%s'", tokens[i].content);
        TRY(gguf_writer_meta_u32(g, tokens[i].key, (uint32_t)id, err));
    }
    return QASR_OK;
}

/* chat_template of a file of the model directory; *found is owned by *root, NULL if there is none. */
static qasr_status read_template(json_t **root, const char **found, const char *dir, const char *name, qasr_error *err)
{
    char *path;
    buf text;
    *found = NULL;
    TRY(file_path_join(&path, dir, name, err));
    buf_init(&text, CONFIG_MAX_BYTES);
    qasr_status status = file_exists(path) ? json_file_read(root, &text, path, err) : QASR_OK;
    *found = json_string_value(json_object_get(*root, "chat_template"));
    buf_free(&text);
    mem_free(path);
    return status;
}

static qasr_status add_template(gguf_writer *g, const input_model *in, qasr_error *err)
{
    static const char key[] = "tokenizer.chat_template", *const files[] = { "chat_template.json",
                                                                            "tokenizer_config.json" };
    const wmeta *m = input_model_key(in, key);
    if (m)
        return gguf_writer_meta_copy(g, m, err);
    const char *found = NULL;
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < ARRAY_LEN(files) && !in->model->checkpoint->in_gguf && !found && status == QASR_OK; i++) {
        json_t *root = NULL;
        status = read_template(&root, &found, in->dir, files[i], err);
        if (status == QASR_OK && found)
            status = gguf_writer_meta_str(g, key, found, err);
        json_decref(root);
    }
    return status;
}

static qasr_status add_tokenizer(gguf_writer *g, const input_model *in, qasr_error *err)
{
    const qasr_model *m = in->model;
    TRY(gguf_writer_meta_str(g, TOKENS "model", "gpt2", err));
    TRY(gguf_writer_meta_str(g, TOKENS "pre", "qwen2", err));
    TRY(add_tokens(g, m->tokenizer, m->checkpoint->config.dec.n_vocab, err));
    TRY(add_merges(g, m->tokenizer, err));
    TRY(add_end_tokens(g, m, err));
    TRY(gguf_writer_meta_bool(g, TOKENS "add_bos_token", false, err));
    return add_template(g, in, err);
}

/* ---- names ------------------------------------------------------------------------------------ */

/* Adds the number of written weights, as "782M" or "2.0B". */
static qasr_status add_size_label(gguf_writer *g, const plan *p, qasr_error *err)
{
    char label[32];
    uint64_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->entries[i].skipped || p->entries[i].kind == PLAN_FRONTEND ? 0 : p->entries[i].t->n_values;
    double millions = (double)n / 1e6;
    if (millions >= 1000)
        snprintf(label, sizeof label, "%.1fB", millions / 1000);
    else if (millions >= 1)
        snprintf(label, sizeof label, "%.0fM", millions);
    else
        snprintf(label, sizeof label, "%.0fK", millions * 1000);
    return gguf_writer_meta_str(g, "general.size_label", label, err);
}

static qasr_status add_languages(gguf_writer *g, const input_model *in, const json_t *root, qasr_error *err)
{
    static const char key[] = "general.languages";
    const json_t *list = json_object_get(root, "support_languages");
    const wmeta *m = input_model_key(in, key);
    if (m)
        return gguf_writer_meta_copy(g, m, err);
    if (json_array_size(list) == 0)
        return QASR_OK;
    TRY(gguf_writer_meta_strings(g, key, json_array_size(list), err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        const language *l = name ? lang_find(name) : NULL;
        const char *code = l ? l->code : name ? name : "";
        TRY(gguf_writer_next_string(g, code, strlen(code), err));
    }
    return QASR_OK;
}

/* Adds the name in lower case, as other programs derive it. */
static qasr_status add_variant(gguf_writer *g, const input_model *in, qasr_error *err)
{
    const wmeta *m = input_model_key(in, "stt.variant");
    if (m)
        return gguf_writer_meta_copy(g, m, err);
    char *name;
    TRY(mem_strdup(&name, in->name, err));
    for (char *c = name; *c; c++)
        *c = *c == ' ' ? '-' : (char)tolower((unsigned char)*c);
    qasr_status status = gguf_writer_meta_str(g, "stt.variant", name, err);
    mem_free(name);
    return status;
}

qasr_status bundle_add_metadata(gguf_writer *g, const input_model *in, const plan *p, qasr_error *err)
{
    const model_config *c = &in->model->checkpoint->config;
    const json_t *root = in->config_root;
    TRY(gguf_writer_meta_str(g, "general.basename", "qwen3-asr", err));
    TRY(add_size_label(g, p, err));
    TRY(add_languages(g, in, root, err));
    TRY(add_variant(g, in, err));
    TRY(gguf_writer_meta_bool(g, "stt.capability.lang_detect", true, err));
    TRY(add_encoder(g, in, c, root, err));
    TRY(add_decoder(g, in, c, root, err));
    TRY(add_audio_tokens(g, in->model->tokenizer, err));
    TRY(add_frontend(g, err));
    return add_tokenizer(g, in, err);
}
