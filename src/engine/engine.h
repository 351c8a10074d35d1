/* The three handles of the public API and their operations: a model (weights, tokenizer, features), a session (device,
 * network, caches), a result. */
#ifndef QASR_ENGINE_ENGINE_H
#define QASR_ENGINE_ENGINE_H

#include "audio/audio.h"
#include "model/encoder.h"
#include "model/generate.h"
#include "model/model.h"
#include "model/net_list.h"
#include "qasr/qasr_tools.h"
#include "text/text.h"

struct qasr_model {
    model *checkpoint;
    net_list *nets; /* its weights on the sessions' devices */
    tokenizer *tokenizer;
    mel *features;
    int32_t eos[CONFIG_MAX_EOS]; /* from config or generation_config, else <|im_end|> and <|endoftext|> */
    size_t n_eos;
};

/* For sessions that do not set a batch. */
enum { ENGINE_AUTO_BATCH = 8 };
#define ENGINE_AUTO_KV_BYTES ((uint64_t)2 << 30)

struct qasr_session {
    const qasr_model *model;
    device *device;
    net *net;         /* shared with the model's other sessions on the device */
    bool brought_net; /* this session created it */
    net_context context;
    encoder *encoder;
    decoder *decoder;
    quant_type kv_type;
    size_t batch;          /* most segments decoded together: the decoder's slots */
    uint64_t max_kv_bytes; /* no segment starts if keys and values would exceed this */
    const char *used_by;   /* what holds the decoder beyond a call; NULL: nothing */
};

struct qasr_result {
    char *text, *language;
    qasr_segment *segments; /* their strings and ids belong to the result */
    size_t n_segments;
    audio_damage *damages; /* [n_damages] of the file */
    size_t n_damages;
    qasr_timings timings;
};

/* Finds the type of keys and values; name NULL: the default. Error: INVALID (no such type), with the list. */
qasr_status engine_find_kv_type(quant_type *type, const char *name, qasr_error *err);

/* Options are complete (defaults filled in). */
qasr_status engine_model_open(qasr_model **out, const char *path, const qasr_model_options *opt, qasr_error *err);
void engine_model_close(qasr_model *m);
qasr_status engine_session_open(qasr_session **out, const qasr_model *m, const qasr_session_options *opt,
                                qasr_error *err);
void engine_session_close(qasr_session *s);
/* Peak device memory of the session. Shared weights count in the session that loaded them. */
uint64_t engine_session_device_bytes(const qasr_session *s);
qasr_status engine_transcribe(qasr_result **out, qasr_session *s, const float *pcm, size_t n_samples,
                              const qasr_transcribe_options *opt, qasr_error *err);
qasr_status engine_transcribe_many(qasr_session *s, const qasr_transcribe_options *opt, qasr_next_clip_fn next,
                                   qasr_clip_done_fn done, void *user, qasr_error *err);
/* Reserves the decoder until engine_session_release; user names the owner in the error of a second claim. Error:
 * INVALID (already claimed). */
qasr_status engine_session_claim(qasr_session *s, const char *user, qasr_error *err);
void engine_session_release(qasr_session *s);
/* Does not touch out->struct_size. */
qasr_status engine_session_cost(const qasr_session *s, size_t n_samples, size_t n_tokens, qasr_cost *out,
                                qasr_error *err);
void engine_result_free(qasr_result *r);

#endif
