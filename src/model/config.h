/* Hyper-parameters of a checkpoint, from config.json of either layout (original: under thinker_config;
 * "-hf": flat). Missing keys are errors: the Python classes' defaults are not the checkpoints' values. */
#ifndef QASR_MODEL_CONFIG_H
#define QASR_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { CONFIG_MAX_EOS = 8 };

typedef struct model_config {
    struct {
        size_t n_mels, conv_channels, d_model, n_layers, n_heads, d_ffn, d_out;
        size_t chunk_frames;      /* frames per convolution piece: 2 * n_window */
        size_t window_frames;     /* frames per attention window: n_window_infer */
    } enc;
    struct {
        size_t d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ffn, n_vocab, max_positions;
        float rms_eps;
        double rope_theta;
        bool tied_head;
    } dec;
    int32_t audio_pad_id;
    int32_t eos[CONFIG_MAX_EOS];
    size_t n_eos;
    bool hf_layout;
} model_config;

/* text: config.json, path: for messages. eos stays empty when the config names none ("-hf" does).
 * Errors: FORMAT (not JSON, key missing, value out of range), UNSUPPORTED (a forced aligner, other
 * activations), NOMEM. */
qasr_status config_parse(model_config *c, const char *text, size_t len, const char *path, qasr_error *err);
/* Reads eos_token_id (a number or a list) of generation_config.json into c. */
qasr_status config_parse_generation(model_config *c, const char *text, size_t len, const char *path, qasr_error *err);

/* Audio vectors for mel frames: 13 per full piece of 100, ceil(rest / 8) for the rest. */
size_t config_audio_tokens(const model_config *c, size_t n_frames);
/* Vectors per full piece: three halvings (rounded up) of chunk_frames. */
size_t config_tokens_per_chunk(const model_config *c);

#endif
