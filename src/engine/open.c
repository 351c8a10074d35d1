/* Opens and closes models and sessions: a model is what threads can share, a session what one call needs. */
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"

/* The tokenizer may know fewer ids than the embedding has rows (unused rows), never more. */
static qasr_status check_vocabulary(const qasr_model *m, qasr_error *err)
{
    const model_config *c = &m->checkpoint->config;
    if (tokenizer_size(m->tokenizer) > c->dec.n_vocab)
        return error_set(err, QASR_E_FORMAT, "the tokenizer in '%s' has %zu tokens, the model's vocabulary only %zu",
                         m->checkpoint->dir, tokenizer_size(m->tokenizer), c->dec.n_vocab);
    if (tokenizer_added_id(m->tokenizer, "<|audio_pad|>") != c->audio_pad_id)
        return error_set(err, QASR_E_FORMAT, "token '<|audio_pad|>' in '%s' has id %d, config.json says audio_token_id %d",
                         m->checkpoint->dir, tokenizer_added_id(m->tokenizer, "<|audio_pad|>"), c->audio_pad_id);
    return QASR_OK;
}

static qasr_status find_eos(qasr_model *m, qasr_error *err)
{
    const model_config *c = &m->checkpoint->config;
    m->n_eos = c->n_eos;
    memcpy(m->eos, c->eos, sizeof m->eos);
    static const char *const fallback[] = { "<|im_end|>", "<|endoftext|>" };
    for (size_t i = 0; c->n_eos == 0 && i < ARRAY_LEN(fallback); i++)
        if (tokenizer_added_id(m->tokenizer, fallback[i]) >= 0)
            m->eos[m->n_eos++] = tokenizer_added_id(m->tokenizer, fallback[i]);
    if (m->n_eos == 0)
        return error_set(err, QASR_E_FORMAT, "'%s' names no end token: neither eos_token_id nor '<|im_end|>'",
                         m->checkpoint->dir);
    return QASR_OK;
}

static qasr_status open_model(qasr_model *m, const char *path, const qasr_model_options *opt, qasr_error *err)
{
    TRY(model_open(&m->checkpoint, path, opt, err));
    TRY(tokenizer_open_dir(&m->tokenizer, path, err));
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
    model_close(m->checkpoint);
    mem_free(m);
}

/* Sessions without a batch of their own. */
enum { AUTO_BATCH = 8 };
#define AUTO_KV_BYTES ((uint64_t)2 << 30)

static qasr_status find_kv_type(quant_type *type, const char *name, qasr_error *err)
{
    static const quant_type types[] = { QUANT_F16, QUANT_F32, QUANT_Q8_0 };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (!name || strcmp(name, quant_get(types[i])->name) == 0) {
            *type = types[i];
            return QASR_OK;
        }
    return error_set(err, QASR_E_INVALID, "unknown type '%s' of keys and values; expected f16, f32, q8_0", name);
}

static qasr_status open_session(qasr_session *s, const qasr_session_options *opt, qasr_error *err)
{
    const char *level = cpu_env_invalid();
    if (level)
        log_warning("QASR_CPU='%s' is ignored, expected %s", level, cpu_level_choices());
    TRY(find_kv_type(&s->kv_type, opt->kv_type, err));
    s->batch = opt->batch ? (size_t)opt->batch : AUTO_BATCH;
    s->max_kv_bytes = opt->batch ? UINT64_MAX : AUTO_KV_BYTES;
    TRY(device_open(&s->device, opt->device, (unsigned)opt->n_threads,
                    opt->precision == QASR_PRECISION_F32 ? DEVICE_EXACT : DEVICE_FAST, err));
    TRY(net_create(&s->net, s->model->checkpoint, s->device, err));
    TRY(encoder_create(&s->encoder, s->net, err));
    return decoder_create(&s->decoder, s->net, s->kv_type, s->batch, err);
}

qasr_status engine_session_open(qasr_session **out, const qasr_model *m, const qasr_session_options *opt, qasr_error *err)
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
    decoder_free(s->decoder);
    encoder_free(s->encoder);
    net_free(s->net);
    device_close(s->device);
    mem_free(s);
}
