/* Hyperparameters of a checkpoint, from config.json in either layout (original: under thinker_config; "-hf": flat) or
 * from GGUF metadata. Missing keys are errors, since the defaults of the Python classes differ from the checkpoints.
 * Values without a key in a GGUF layout are derived from shapes, or are the same in all published models. */
#ifndef QASR_MODEL_CONFIG_H
#define QASR_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "weights/weights.h"

struct json_t; /* jansson.h */

/* Key of generation_config.json and of GGUF metadata: the length of segments that suits the model best. */
#define CONFIG_SEGMENT_SECONDS "qasr.segment_seconds"

enum {
    CONFIG_MAX_EOS = 8,
    CONFIG_MAX_BYTES = 16 << 20 /* size limit of config.json and its companion files */
};

typedef struct model_config {
    struct {
        size_t n_mels, conv_channels, d_model, n_layers, n_heads, d_ffn, d_out;
        size_t chunk_frames;  /* frames per convolution chunk: 2 * n_window */
        size_t window_frames; /* frames per attention window: n_window_infer */
    } enc;
    struct {
        size_t d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ffn, n_vocab, max_positions;
        float rms_eps;
        double rope_theta;
        bool tied_head;
    } dec;
    int32_t audio_pad_id; /* -1: not in the configuration */
    int32_t eos[CONFIG_MAX_EOS];
    size_t n_eos;
    bool hf_layout;
    double segment_seconds; /* CONFIG_SEGMENT_SECONDS; 0: not in the configuration */
    bool usual_eos;         /* <|im_end|> and <|endoftext|> also end the text: a GGUF file can name only one */
} model_config;

/* The sizes in model_config. */
typedef enum config_size {
    CONFIG_ENC_MELS,
    CONFIG_ENC_CHANNELS,
    CONFIG_ENC_WIDTH,
    CONFIG_ENC_LAYERS,
    CONFIG_ENC_HEADS,
    CONFIG_ENC_FFN,
    CONFIG_ENC_OUT,
    CONFIG_ENC_HALF_CHUNK /* n_window */,
    CONFIG_ENC_WINDOW /* n_window_infer */,
    CONFIG_DEC_WIDTH,
    CONFIG_DEC_LAYERS,
    CONFIG_DEC_HEADS,
    CONFIG_DEC_KV_HEADS,
    CONFIG_DEC_HEAD_SIZE,
    CONFIG_DEC_FFN,
    CONFIG_DEC_VOCABULARY,
    CONFIG_DEC_POSITIONS,
    CONFIG_SIZES
} config_size;

/* Reads config.json of a model directory, and generation_config.json if it exists. Errors: as below, IO. */
qasr_status config_read_dir(model_config *c, const char *dir, qasr_error *err);
/* Parses the text of config.json; path is for messages. eos stays empty if the configuration names none ("-hf" does
 * not). Errors: FORMAT (not JSON, key missing, value out of range), UNSUPPORTED (forced aligner, other activations),
 * NOMEM. */
qasr_status config_parse(model_config *c, const char *text, size_t len, const char *path, qasr_error *err);
/* Reads eos_token_id (a number or a list) and CONFIG_SEGMENT_SECONDS from generation_config.json into c. */
qasr_status config_parse_generation(model_config *c, const char *text, size_t len, const char *path, qasr_error *err);

/* CONFIG_SEGMENT_SECONDS of generation_config.json in a model directory, or of a GGUF file's metadata; *out is 0 if
 * there is none. Errors: IO, FORMAT (not a number, out of range), NOMEM. */
qasr_status config_read_segment_seconds(double *out, const char *dir, qasr_error *err);
qasr_status config_gguf_segment_seconds(double *out, const weights *w, qasr_error *err);

/* Finds a key of a parsed config.json in either layout: in a section ("text_config"; NULL: none) of thinker_config or
 * of the top level, else in thinker_config or the top level itself. NULL if missing or null. root may be NULL. */
const struct json_t *config_find(const struct json_t *root, const char *section, const char *key);
/* Value of tie_word_embeddings in text_config, thinker_config or the top level; unsaid if none has it. */
bool config_tied(const struct json_t *root, bool unsaid);

/* The config.json stored in a GGUF file under qasr.config: *text, owned by w, and *root, released with json_decref;
 * both NULL if there is none. Errors: FORMAT (not JSON), NOMEM; *text is still set. */
qasr_status config_gguf_json(struct json_t **root, const char **text, const weights *w, qasr_error *err);

/* Content of a GGUF file. The kinds after DECODER include a configuration. */
typedef enum gguf_kind {
    GGUF_OTHER,   /* not a supported model */
    GGUF_DECODER, /* decoder without configuration, for a directory with config.json and safetensors */
    GGUF_WHOLE,   /* configuration, tokenizer, encoder and decoder: transcribe.cpp, CrispASR */
    GGUF_TEXT,    /* configuration, tokenizer and decoder: llama.cpp's text model */
    GGUF_MMPROJ   /* configuration and encoder: llama.cpp's mmproj file */
} gguf_kind;
gguf_kind config_gguf_kind(const weights *w);
/* Reads the metadata of the GGUF files of encoder and decoder: one file of kind WHOLE, or MMPROJ and TEXT. Either may
 * be NULL: its part of *c stays 0. Errors: FORMAT (as above), UNSUPPORTED. */
qasr_status config_read_gguf(model_config *c, const weights *encoder, const weights *decoder, qasr_error *err);
/* Finds a size in the metadata or tensors of one GGUF file, unchecked; false if neither has it. */
bool config_gguf_size(const weights *w, config_size size, uint64_t *out);

/* ---- for the readers ---- */
enum { CONFIG_SEGMENT_SECONDS_MIN = 2 }; /* at most QASR_LONGEST_SEGMENT_S */
typedef struct config_range {
    size_t min, max, offset;
} config_range; /* offset of a size_t in model_config */
extern const config_range config_ranges[CONFIG_SIZES];
/* Called after reading the encoder or decoder section: checks relations between sizes. path is for messages. */
qasr_status config_end_encoder(model_config *c, const char *path, qasr_error *err);
qasr_status config_end_decoder(model_config *c, const char *path, qasr_error *err);

/* Audio vectors for n_frames mel frames: 13 per full chunk of 100, ceil(rest / 8) for the rest. */
size_t config_audio_tokens(const model_config *c, size_t n_frames);
/* Vectors per full chunk: three halvings (rounded up) of chunk_frames. */
size_t config_tokens_per_chunk(const model_config *c);

#endif
