/* See facts.h: sizes of the network, languages and tokenizer, from config.json or from GGUF metadata. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "inspect/facts.h"
#include "model/config.h"

/* A bundle has its sizes in its metadata and again in the config.json that it holds; the metadata counts. */
static bool known(const facts *f, const char *key)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->list[i].key, key) == 0)
            return true;
    return false;
}

static qasr_status add_json_fact(facts *f, const char *key, const json_t *value, qasr_error *err)
{
    if (json_is_integer(value))
        return facts_add(f, err, key, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value))
        return facts_add(f, err, key, "%g", json_real_value(value));
    if (json_is_boolean(value))
        return facts_add(f, err, key, "%s", json_is_true(value) ? "yes" : "no");
    if (!json_is_string(value))
        return QASR_OK;
    buf clean;
    buf_init(&clean, FACTS_MAX_BYTES);
    qasr_status status = facts_clean(&clean, json_string_value(value), json_string_length(value), err);
    if (status == QASR_OK)
        status = facts_add(f, err, key, "%s", buf_str(&clean));
    buf_free(&clean);
    return status;
}

static qasr_status add_languages(facts *f, const json_t *root, qasr_error *err)
{
    const json_t *list = json_object_get(root, "support_languages");
    if (!json_is_array(list))
        return QASR_OK;
    buf names;
    buf_init(&names, FACTS_MAX_BYTES / 2);
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < json_array_size(list) && status == QASR_OK; i++) {
        const json_t *name = json_array_get(list, i);
        if (json_is_string(name) && names.len + FACTS_MAX_TEXT * 2 < names.max) {
            TRY_GOTO(buf_add_str(&names, names.len ? ", " : "", err));
            TRY_GOTO(facts_clean(&names, json_string_value(name), json_string_length(name), err));
        }
    }
    status = facts_add(f, err, "languages", "%s", buf_str(&names));
done:
    buf_free(&names);
    return status;
}

enum { NO_SIZE = -1 };

/* The place of a fact in config.json, and the config_size that holds it in GGUF metadata. */
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

qasr_status facts_add_config(facts *f, const json_t *root, qasr_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const json_t *value = config_find(root, numbers[i].section, numbers[i].key);
        if (value && !known(f, numbers[i].fact))
            TRY(add_json_fact(f, numbers[i].fact, value, err));
    }
    return add_languages(f, root, err);
}

static qasr_status add_gguf_tokenizer(facts *f, const weights *w, qasr_error *err)
{
    const wmeta *tokens = weights_meta_find(w, "tokenizer.ggml.tokens");
    const wmeta *merges = weights_meta_find(w, "tokenizer.ggml.merges");
    if (!tokens || tokens->type != WMETA_ARRAY)
        return QASR_OK;
    return facts_add(f, err, "tokenizer", "%" PRIu64 " tokens, %" PRIu64 " merges", tokens->n_elems,
                     merges && merges->type == WMETA_ARRAY ? merges->n_elems : 0);
}

qasr_status facts_add_gguf_config(facts *f, const weights *w, qasr_error *err)
{
    uint64_t value;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i].size != NO_SIZE && config_gguf_size(w, (config_size)numbers[i].size, &value))
            TRY(facts_add(f, err, numbers[i].fact, "%" PRIu64, value));
    return add_gguf_tokenizer(f, w, err);
}
