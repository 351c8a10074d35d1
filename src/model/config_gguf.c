/* GGUF metadata -> model_config. Each layout has its own key names and lacks some values. Those come from a tensor's
 * shape, or are the same in all published models (docs/format.md lists them). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_file.h"
#include "model/config.h"
#include "weights/gguf_format.h"

#define FIRST_TENSOR_OF_ENCODER "thinker.audio_tower.conv2d1.weight"
#define EMBEDDING "thinker.model.embed_tokens.weight"
#define HEAD "thinker.lm_head.weight"

enum { KEY_LAYOUTS = 3 }; /* layouts with configuration in the metadata: llama.cpp, transcribe.cpp, CrispASR */

/* Index of the layout in that order; -1: another layout. */
static int key_layout(const weights *w)
{
    names_layout layout = weights_layout(w);
    return layout == NAMES_LLAMA ? 0 : layout == NAMES_STT ? 1 : layout == NAMES_CRISP ? 2 : -1;
}

typedef struct size_source {
    const char *keys[KEY_LAYOUTS];
    const char *tensor; /* without a key: the first dimension of this tensor */
    uint64_t published; /* or this value if it is not 0 */
} size_source;

#define STT GGUF_STT_PREFIX
#define CRISP "qwen3asr."

static const size_source size_sources[CONFIG_SIZES] = {
    [CONFIG_ENC_MELS] = { { "clip.audio.num_mel_bins", STT "encoder.num_mel_bins", CRISP "n_mels" }, NULL, 0 },
    [CONFIG_ENC_CHANNELS] = { { NULL, STT "encoder.downsample_hidden", CRISP "audio.conv_channels" },
                              FIRST_TENSOR_OF_ENCODER,
                              0 },
    [CONFIG_ENC_WIDTH] = { { "clip.audio.embedding_length", STT "encoder.d_model", CRISP "audio.d_model" }, NULL, 0 },
    [CONFIG_ENC_LAYERS] = { { "clip.audio.block_count", STT "encoder.n_layers", CRISP "audio.n_layers" }, NULL, 0 },
    [CONFIG_ENC_HEADS] = { { "clip.audio.attention.head_count", STT "encoder.n_heads", CRISP "audio.n_heads" },
                           NULL,
                           0 },
    [CONFIG_ENC_FFN] = { { "clip.audio.feed_forward_length", STT "encoder.ffn_dim", CRISP "audio.ff_dim" }, NULL, 0 },
    [CONFIG_ENC_OUT] = { { "clip.audio.projection_dim", STT "encoder.output_dim", CRISP "audio.proj_dim" }, NULL, 0 },
    [CONFIG_ENC_HALF_CHUNK] = { { NULL, STT "encoder.n_window", NULL }, NULL, 50 },
    [CONFIG_ENC_WINDOW] = { { NULL, STT "encoder.n_window_infer", NULL }, NULL, 800 },
    [CONFIG_DEC_WIDTH] = { { "qwen3vl.embedding_length", STT "decoder.hidden_size", CRISP "llm.d_model" }, NULL, 0 },
    [CONFIG_DEC_LAYERS] = { { "qwen3vl.block_count", STT "decoder.n_layers", CRISP "llm.n_layers" }, NULL, 0 },
    [CONFIG_DEC_HEADS] = { { "qwen3vl.attention.head_count", STT "decoder.n_heads", CRISP "llm.n_heads" }, NULL, 0 },
    [CONFIG_DEC_KV_HEADS] = { { "qwen3vl.attention.head_count_kv", STT "decoder.n_kv_heads", CRISP "llm.n_kv_heads" },
                              NULL,
                              0 },
    [CONFIG_DEC_HEAD_SIZE] = { { "qwen3vl.attention.key_length", STT "decoder.head_dim", CRISP "llm.head_dim" },
                               "thinker.model.layers.0.self_attn.q_norm.weight",
                               0 },
    [CONFIG_DEC_FFN] = { { "qwen3vl.feed_forward_length", STT "decoder.intermediate_size", CRISP "llm.ff_dim" },
                         NULL,
                         0 },
    [CONFIG_DEC_VOCABULARY] = { { NULL, STT "decoder.vocab_size", CRISP "llm.vocab_size" }, EMBEDDING, 0 },
    [CONFIG_DEC_POSITIONS] = { { "qwen3vl.context_length", STT "decoder.max_position_embeddings", CRISP "llm.max_pos" },
                               NULL,
                               0 },
};

/* ---- kind of a file ------------------------------------------------------------------------------ */

gguf_kind config_gguf_kind(const weights *w)
{
    static const struct {
        const char *architecture;
        gguf_kind kind;
    } known[] = {
        { "", GGUF_DECODER },       { "qasr", GGUF_DECODER }, { "qwen3_asr", GGUF_WHOLE },
        { "qwen3asr", GGUF_WHOLE }, { "qwen3vl", GGUF_TEXT },
    };
    const char *architecture = weights_meta_string(w, "general.architecture");
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(architecture, known[i].architecture) == 0)
            return known[i].kind;
    const char *projector = weights_meta_string(w, "clip.audio.projector_type");
    if (strcmp(architecture, "clip") == 0 &&
        strcmp(*projector ? projector : weights_meta_string(w, "clip.projector_type"), "qwen3a") == 0)
        return GGUF_MMPROJ;
    return GGUF_OTHER;
}

static qasr_status refuse_aligner(const weights *w, qasr_error *err)
{
    static const char classes[] = "classify_num";
    static const char *const names[] = { "general.name", "general.basename", "stt.variant" };
    bool is_aligner = false;
    for (size_t i = 0; i < weights_meta_count(w); i++) {
        const char *key = weights_meta_at(w, i)->key;
        size_t n = strlen(key);
        is_aligner |= n >= sizeof classes - 1 && strcmp(key + n - (sizeof classes - 1), classes) == 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *name = weights_meta_string(w, names[i]);
        is_aligner |= strstr(name, "aligner") || strstr(name, "Aligner");
    }
    if (is_aligner)
        return error_set(err, QASR_E_UNSUPPORTED, "'%s' holds a forced aligner, expected a speech recognition model",
                         weights_file_path(w, 0));
    return QASR_OK;
}

/* ---- embedded config.json --------------------------------------------------------------------------- */

qasr_status config_gguf_json(struct json_t **root, const char **text, const weights *w, qasr_error *err)
{
    const wmeta *m = weights_meta_find(w, "qasr.config");
    char name[256];
    *root = NULL;
    *text = NULL;
    if (!m || m->type != WMETA_STRING)
        return QASR_OK;
    *text = m->str;
    snprintf(name, sizeof name, "%.200s: qasr.config", weights_file_path(w, 0));
    return json_file_parse(root, m->str, m->str_len, name, err);
}

/* ---- numbers ------------------------------------------------------------------------------------- */

static bool whole_number(uint64_t *out, const wmeta *m)
{
    switch (m->type) {
    case WMETA_U8:
    case WMETA_U16:
    case WMETA_U32:
    case WMETA_U64: *out = m->as.u; return true;
    case WMETA_I8:
    case WMETA_I16:
    case WMETA_I32:
    case WMETA_I64: *out = (uint64_t)m->as.i; return m->as.i >= 0;
    default: return false;
    }
}

static qasr_status missing_key(const weights *w, const char *key, qasr_error *err)
{
    return error_set(err, QASR_E_FORMAT, "'%s' has no metadata key '%s'", weights_file_path(w, 0), key);
}

static qasr_status get_whole(uint64_t *out, const weights *w, const wmeta *m, qasr_error *err)
{
    if (!whole_number(out, m))
        return error_set(err, QASR_E_FORMAT, "key '%s' in '%s' is not a whole number", m->key, weights_file_path(w, 0));
    return QASR_OK;
}

static qasr_status find_size(uint64_t *out, const weights *w, config_size size, qasr_error *err)
{
    const size_source *from = &size_sources[size];
    const char *key = from->keys[key_layout(w)];
    const wmeta *m = key ? weights_meta_find(w, key) : NULL;
    if (m)
        return get_whole(out, w, m, err);
    const wtensor *t = from->tensor ? weights_find(w, from->tensor) : NULL;
    char shown[NAMES_MAX_BYTES];
    *out = t ? t->shape[0] : from->published;
    if (*out == 0 && from->tensor)
        return error_set(err, QASR_E_FORMAT, "'%s' has no tensor '%s'", weights_file_path(w, 0),
                         names_shown(shown, sizeof shown, from->tensor, weights_layout(w)));
    return *out ? QASR_OK : missing_key(w, key, err);
}

bool config_gguf_size(const weights *w, config_size size, uint64_t *out)
{
    const char *needed = size < CONFIG_DEC_WIDTH ? FIRST_TENSOR_OF_ENCODER : EMBEDDING;
    return key_layout(w) >= 0 && weights_find(w, needed) && find_size(out, w, size, NULL) == QASR_OK;
}

/* Describes the source of a size, for messages. */
static void describe_source(char *out, size_t size, const weights *w, config_size what)
{
    const size_source *from = &size_sources[what];
    const char *key = from->keys[key_layout(w)];
    char shown[NAMES_MAX_BYTES];
    if (from->tensor && !(key && weights_meta_find(w, key)))
        snprintf(out, size, "the first dimension of '%s'",
                 names_shown(shown, sizeof shown, from->tensor, weights_layout(w)));
    else
        snprintf(out, size, "key '%s'", key);
}

static qasr_status read_sizes(model_config *c, const weights *w, config_size first, config_size last, qasr_error *err)
{
    for (int size = (int)first; size <= (int)last; size++) {
        const config_range *range = &config_ranges[size];
        char source[NAMES_MAX_BYTES + 32];
        uint64_t n = 0;
        TRY(find_size(&n, w, (config_size)size, err));
        describe_source(source, sizeof source, w, (config_size)size);
        if (n < range->min || n > range->max)
            return error_set(err, QASR_E_FORMAT, "%s in '%s' is %" PRIu64 ", expected %zu to %zu", source,
                             weights_file_path(w, 0), n, range->min, range->max);
        size_t value = (size_t)n;
        memcpy((char *)c + range->offset, &value, sizeof value);
    }
    return QASR_OK;
}

static qasr_status read_number(double *out, const weights *w, const char *key, double min, double max, qasr_error *err)
{
    const wmeta *m = weights_meta_find(w, key);
    if (!m)
        return missing_key(w, key, err);
    if ((m->type != WMETA_F32 && m->type != WMETA_F64) || !(m->as.f >= min && m->as.f <= max))
        return error_set(err, QASR_E_FORMAT, "key '%s' in '%s' is not a number from %g to %g", key,
                         weights_file_path(w, 0), min, max);
    *out = m->as.f;
    return QASR_OK;
}

qasr_status config_gguf_segment_seconds(double *out, const weights *w, qasr_error *err)
{
    *out = 0;
    return weights_meta_find(w, CONFIG_SEGMENT_SECONDS)
               ? read_number(out, w, CONFIG_SEGMENT_SECONDS, CONFIG_SEGMENT_SECONDS_MIN, QASR_LONGEST_SEGMENT_S, err)
               : QASR_OK;
}

/* Reads a token id if the key is present. */
static qasr_status read_id(int32_t *out, bool *found, const weights *w, const char *key, size_t n_vocab,
                           qasr_error *err)
{
    const wmeta *m = key ? weights_meta_find(w, key) : NULL;
    uint64_t id = 0;
    *found = m != NULL;
    if (!m)
        return QASR_OK;
    TRY(get_whole(&id, w, m, err));
    if (id >= n_vocab)
        return error_set(err, QASR_E_FORMAT,
                         "key '%s' in '%s' is %" PRIu64 ", expected an id below the vocabulary size %zu", key,
                         weights_file_path(w, 0), id, n_vocab);
    *out = (int32_t)id;
    return QASR_OK;
}

/* ---- fixed values ----------------------------------------------------------------------------------- */

static qasr_status check_numbers(const weights *w, qasr_error *err)
{
    static const struct {
        const char *key;
        double expected;
    } fixed[] = {
        { "stt.frontend.sample_rate", 16000 }, { "stt.frontend.n_fft", 400 },
        { "stt.frontend.win_length", 400 },    { "stt.frontend.hop_length", 160 },
        { CRISP "sample_rate", 16000 },        { CRISP "n_fft", 400 },
        { CRISP "win_length", 400 },           { CRISP "hop_length", 160 },
        { "qwen3vl.n_deepstack_layers", 0 },   { "clip.audio.attention.layer_norm_epsilon", (double)1e-5f },
    };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        const wmeta *m = weights_meta_find(w, fixed[i].key);
        uint64_t n = 0;
        if (!m)
            continue;
        double found = m->type == WMETA_F32 || m->type == WMETA_F64 ? m->as.f : whole_number(&n, m) ? (double)n : -1;
        if (found != fixed[i].expected)
            return error_set(err, QASR_E_UNSUPPORTED, "key '%s' in '%s' is %g, only %g is supported", fixed[i].key,
                             weights_file_path(w, 0), found, fixed[i].expected);
    }
    return QASR_OK;
}

static qasr_status check_strings(const weights *w, qasr_error *err)
{
    static const struct {
        const char *key, *expected;
    } fixed[] = {
        { STT "encoder.activation", "gelu" },
        { STT "decoder.hidden_act", "silu" },
        { "tokenizer.ggml.model", "gpt2" },
    };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        const wmeta *m = weights_meta_find(w, fixed[i].key);
        if (m && (m->type != WMETA_STRING || strcmp(m->str, fixed[i].expected) != 0))
            return error_set(err, QASR_E_UNSUPPORTED, "key '%s' in '%s' is '%.60s', only '%s' is supported",
                             fixed[i].key, weights_file_path(w, 0), m->type == WMETA_STRING ? m->str : "(not a string)",
                             fixed[i].expected);
    }
    return QASR_OK;
}

/* ---- encoder and decoder ---------------------------------------------------------------------------- */

static qasr_status read_encoder(model_config *c, const weights *w, qasr_error *err)
{
    TRY(read_sizes(c, w, CONFIG_ENC_MELS, CONFIG_ENC_WINDOW, err));
    return config_end_encoder(c, weights_file_path(w, 0), err);
}

static qasr_status read_ids(model_config *c, const weights *w, qasr_error *err)
{
    static const char *const pad_keys[KEY_LAYOUTS] = { NULL, STT "audio_token_id", CRISP "audio_pad_token_id" };
    static const char *const eos_keys[] = { "tokenizer.ggml.eos_token_id", CRISP "eos_token_id" };
    bool found;
    c->audio_pad_id = -1;
    TRY(read_id(&c->audio_pad_id, &found, w, pad_keys[key_layout(w)], c->dec.n_vocab, err));
    for (size_t i = 0; i < ARRAY_LEN(eos_keys); i++) {
        TRY(read_id(&c->eos[c->n_eos], &found, w, eos_keys[i], c->dec.n_vocab, err));
        c->n_eos += found;
    }
    c->usual_eos = true;
    return QASR_OK;
}

static qasr_status read_decoder(model_config *c, const weights *w, qasr_error *err)
{
    static const char *const eps_keys[KEY_LAYOUTS] = { "qwen3vl.attention.layer_norm_rms_epsilon",
                                                       STT "decoder.rms_norm_eps", CRISP "llm.rms_norm_eps" };
    static const char *const theta_keys[KEY_LAYOUTS] = { "qwen3vl.rope.freq_base", STT "decoder.rope_theta",
                                                         CRISP "llm.rope_theta" };
    double eps = 0;
    TRY(read_sizes(c, w, CONFIG_DEC_WIDTH, CONFIG_DEC_POSITIONS, err));
    TRY(read_number(&eps, w, eps_keys[key_layout(w)], 1e-12, 1e-1, err));
    TRY(read_number(&c->dec.rope_theta, w, theta_keys[key_layout(w)], 1, 1e12, err));
    c->dec.rms_eps = (float)eps;
    const wmeta *tied = weights_meta_find(w, STT "decoder.tie_word_embeddings");
    c->dec.tied_head = !weights_find(w, HEAD) && (!tied || tied->type != WMETA_BOOL || tied->as.b);
    TRY(read_ids(c, w, err));
    return config_end_decoder(c, weights_file_path(w, 0), err);
}

qasr_status config_read_gguf(model_config *c, const weights *encoder, const weights *decoder, qasr_error *err)
{
    const weights *files[] = { encoder, decoder };
    *c = (model_config){ 0 };
    for (size_t i = encoder == decoder; i < ARRAY_LEN(files); i++) {
        if (!files[i])
            continue;
        TRY(refuse_aligner(files[i], err));
        TRY(check_numbers(files[i], err));
        TRY(check_strings(files[i], err));
    }
    if (encoder)
        TRY(read_encoder(c, encoder, err));
    if (decoder)
        TRY(read_decoder(c, decoder, err));
    if (!encoder || !decoder || c->enc.d_out == c->dec.d_model)
        return QASR_OK;
    if (encoder == decoder)
        return error_set(err, QASR_E_FORMAT,
                         "'%s': the encoder's output has width %zu, the decoder %zu: expected equal",
                         weights_file_path(encoder, 0), c->enc.d_out, c->dec.d_model);
    return error_set(
        err, QASR_E_FORMAT,
        "'%s' outputs vectors of width %zu, the text model '%s' takes %zu: they belong to different models",
        weights_file_path(encoder, 0), c->enc.d_out, weights_file_path(decoder, 0), c->dec.d_model);
}
