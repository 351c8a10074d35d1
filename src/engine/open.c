/* Opens and closes models and sessions. Threads share a model; a session serves one call at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "device/registry.h"
#include "engine/cost.h"
#include "engine/engine.h"

/* ---- tokenizer ----------------------------------------------------------------------------------- */

static bool next_string(const void *list, uint64_t *pos, const char **s, size_t *len)
{
    return wmeta_next_string(list, pos, s, len);
}

static qasr_status find_list(const wmeta **out, const weights *w, const char *key, wmeta_type elem_type,
                             qasr_error *err)
{
    *out = weights_meta_find(w, key);
    if (*out && ((*out)->type != WMETA_ARRAY || (*out)->elem_type != elem_type))
        return error_set(err, QASR_E_FORMAT, "key '%s' in '%s' is not a list of %s", key, weights_file_path(w, 0),
                         elem_type == WMETA_STRING ? "strings" : "32-bit numbers");
    return QASR_OK;
}

static qasr_status open_gguf_tokenizer(tokenizer **out, const weights *w, qasr_error *err)
{
    const wmeta *tokens, *merges, *types;
    TRY(find_list(&tokens, w, "tokenizer.ggml.tokens", WMETA_STRING, err));
    TRY(find_list(&merges, w, "tokenizer.ggml.merges", WMETA_STRING, err));
    TRY(find_list(&types, w, "tokenizer.ggml.token_type", WMETA_I32, err));
    if (!tokens || !merges)
        return error_set(err, QASR_E_FORMAT, "'%s' has no metadata key 'tokenizer.ggml.%s'", weights_file_path(w, 0),
                         tokens ? "merges" : "tokens");
    if (types && types->n_elems != tokens->n_elems)
        return error_set(err, QASR_E_FORMAT, "'%s' lists %" PRIu64 " tokens, but token types for %" PRIu64,
                         weights_file_path(w, 0), tokens->n_elems, types->n_elems);
    token_lists lists = { .path = weights_file_path(w, 0),
                          .next = next_string,
                          .tokens = tokens,
                          .merges = merges,
                          .n_tokens = tokens->n_elems,
                          .n_merges = merges->n_elems,
                          .tokens_bytes = tokens->elems_bytes,
                          .merges_bytes = merges->elems_bytes,
                          .types = types ? types->elems : NULL };
    return tokenizer_open_lists(out, &lists, err);
}

/* The tokenizer may have fewer ids than the embedding has rows (the rest is unused), never more. */
static qasr_status check_vocabulary(const qasr_model *m, qasr_error *err)
{
    const model_config *c = &m->checkpoint->config;
    const char *path = m->checkpoint->path;
    int32_t pad = tokenizer_added_id(m->tokenizer, "<|audio_pad|>");
    if (tokenizer_size(m->tokenizer) > c->dec.n_vocab)
        return error_set(err, QASR_E_FORMAT, "the tokenizer in '%s' has %zu tokens, the model's vocabulary only %zu",
                         path, tokenizer_size(m->tokenizer), c->dec.n_vocab);
    if (c->audio_pad_id < 0 && pad < 0)
        return error_set(err, QASR_E_FORMAT,
                         "the tokenizer in '%s' has no token '<|audio_pad|>': not a speech recognition model", path);
    if (c->audio_pad_id >= 0 && pad != c->audio_pad_id)
        return error_set(err, QASR_E_FORMAT, "token '<|audio_pad|>' in '%s' has id %d, %s says audio_token_id %d", path,
                         pad, m->checkpoint->in_gguf ? "the metadata" : "config.json", c->audio_pad_id);
    return QASR_OK;
}

static void add_eos(qasr_model *m, int32_t id)
{
    for (size_t i = 0; i < m->n_eos; i++)
        if (m->eos[i] == id)
            return;
    if (id >= 0 && m->n_eos < ARRAY_LEN(m->eos))
        m->eos[m->n_eos++] = id;
}

static qasr_status find_eos(qasr_model *m, qasr_error *err)
{
    const model_config *c = &m->checkpoint->config;
    static const char *const usual[] = { "<|im_end|>", "<|endoftext|>" };
    for (size_t i = 0; i < c->n_eos; i++)
        add_eos(m, c->eos[i]);
    for (size_t i = 0; (c->n_eos == 0 || c->usual_eos) && i < ARRAY_LEN(usual); i++)
        add_eos(m, tokenizer_added_id(m->tokenizer, usual[i]));
    if (m->n_eos == 0)
        return error_set(err, QASR_E_FORMAT, "'%s' names no end token: neither eos_token_id nor '<|im_end|>'",
                         m->checkpoint->path);
    return QASR_OK;
}

/* ---- models ------------------------------------------------------------------------------------------ */

static qasr_status open_model(qasr_model *m, const char *path, const qasr_model_options *opt, qasr_error *err)
{
    TRY(model_open(&m->checkpoint, path, opt, err));
    TRY(net_list_create(&m->nets, m->checkpoint, err));
    TRY(m->checkpoint->in_gguf ? open_gguf_tokenizer(&m->tokenizer, m->checkpoint->decoder, err)
                               : tokenizer_open_dir(&m->tokenizer, path, err));
    TRY(check_vocabulary(m, err));
    TRY(find_eos(m, err));
    return mel_create(&m->features, err);
}

qasr_status engine_model_open(qasr_model **out, const char *path, const qasr_model_options *opt, qasr_error *err)
{
    qasr_model *m;
    TRY(MEM_CALLOC(&m, 1, err));
    qasr_status status = open_model(m, path, opt, err);
    if (status != QASR_OK) {
        engine_model_close(m);
        return status;
    }
    *out = m;
    return QASR_OK;
}

void engine_model_close(qasr_model *m)
{
    if (!m)
        return;
    mel_free(m->features);
    tokenizer_free(m->tokenizer);
    net_list_free(m->nets);
    model_close(m->checkpoint);
    mem_free(m);
}

/* ---- sessions ---------------------------------------------------------------------------------------- */

/* Activations and the backend's own memory: more than ever observed with segments of 20 minutes. */
#define SCRATCH_BYTES ((uint64_t)512 << 20)

qasr_status engine_find_kv_type(quant_type *type, const char *name, qasr_error *err)
{
    char choices[64] = "";
    for (size_t i = 0; i < DECODER_KV_TYPES; i++) {
        const char *kv_name = quant_get(decoder_kv_types[i])->name;
        if (!name || strcmp(name, kv_name) == 0) {
            *type = decoder_kv_types[i];
            return QASR_OK;
        }
        snprintf(choices + strlen(choices), sizeof choices - strlen(choices), "%s%s", i ? ", " : "", kv_name);
    }
    return error_set(err, QASR_E_INVALID, "unknown KV cache type '%s'; expected %s", name, choices);
}

static qasr_status open_on(qasr_session *s, const char *name, const qasr_session_options *opt, qasr_error *err)
{
    TRY(device_open(&s->device, name, (unsigned)opt->n_threads,
                    opt->precision == QASR_PRECISION_F32 ? DEVICE_EXACT : DEVICE_FAST, err));
    TRY(net_list_acquire(s->model->nets, &s->net, s->device, &s->brought_net, err));
    s->context = (net_context){ .net = s->net, .device = s->device };
    TRY(encoder_create(&s->encoder, &s->context, err));
    return decoder_create(&s->decoder, &s->context, s->kv_type, s->batch, err);
}

static void close_device(qasr_session *s)
{
    decoder_free(s->decoder);
    encoder_free(s->encoder);
    net_context_clear(&s->context);
    device_close(s->device);
    if (s->net)
        net_list_release(s->model->nets, s->net);
    s->decoder = NULL;
    s->encoder = NULL;
    s->net = NULL;
    s->device = NULL;
}

/* Uses a GPU if it has enough memory and everything loads, else the CPU. */
static qasr_status open_on_best(qasr_session *s, const qasr_session_options *opt, qasr_error *err)
{
    char name[DEVICE_NAME_BYTES];
    qasr_error error;
    uint64_t kv_bytes = s->max_kv_bytes < ENGINE_AUTO_KV_BYTES ? s->max_kv_bytes : ENGINE_AUTO_KV_BYTES;
    device_choose(name, cost_weights_bytes(s->model->checkpoint) + kv_bytes + SCRATCH_BYTES);
    if (strcmp(name, "cpu") == 0)
        return open_on(s, name, opt, err);
    if (open_on(s, name, opt, &error) == QASR_OK)
        return QASR_OK;
    log_warning("%s: using the CPU", error.message);
    close_device(s);
    return open_on(s, "cpu", opt, err);
}

static qasr_status open_session(qasr_session *s, const qasr_session_options *opt, qasr_error *err)
{
    const char *level = cpu_env_invalid();
    if (level)
        log_warning("QASR_CPU='%s' is ignored, expected %s", level, cpu_level_choices());
    TRY(engine_find_kv_type(&s->kv_type, opt->kv_type, err));
    s->batch = opt->batch ? (size_t)opt->batch : ENGINE_AUTO_BATCH;
    s->max_kv_bytes = opt->batch ? UINT64_MAX : ENGINE_AUTO_KV_BYTES;
    bool best = opt->device && strcasecmp(opt->device, "auto") == 0;
    return best ? open_on_best(s, opt, err) : open_on(s, opt->device, opt, err);
}

qasr_status engine_session_open(qasr_session **out, const qasr_model *m, const qasr_session_options *opt,
                                qasr_error *err)
{
    qasr_session *s;
    TRY(MEM_CALLOC(&s, 1, err));
    s->model = m;
    qasr_status status = open_session(s, opt, err);
    if (status != QASR_OK) {
        engine_session_close(s);
        return status;
    }
    *out = s;
    return QASR_OK;
}

void engine_session_close(qasr_session *s)
{
    if (!s)
        return;
    close_device(s);
    mem_free(s);
}

uint64_t engine_session_device_bytes(const qasr_session *s)
{
    return device_memory(s->device) + (s->brought_net ? device_weights_memory(s->net->weights) : 0);
}
qasr_status engine_session_claim(qasr_session *s, const char *user, qasr_error *err)
{
    if (s->used_by)
        return error_set(err, QASR_E_INVALID, "the session is busy with %s", s->used_by);
    s->used_by = user;
    return QASR_OK;
}

void engine_session_release(qasr_session *s) { s->used_by = NULL; }
