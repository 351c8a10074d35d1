/* A checkpoint on the host: its configuration and the place of every weight in a mapped file. Shapes and types are
 * checked on opening. net.h moves the weights to a device. */
#ifndef QASR_MODEL_MODEL_H
#define QASR_MODEL_MODEL_H

#include "model/config.h"
#include "weights/weights.h"

/* Weights of one encoder layer, one decoder layer, and those outside the layers. */
typedef enum enc_weight {
    ENC_LN1_W,
    ENC_LN1_B,
    ENC_Q_W,
    ENC_Q_B,
    ENC_K_W,
    ENC_K_B,
    ENC_V_W,
    ENC_V_B,
    ENC_O_W,
    ENC_O_B,
    ENC_LN2_W,
    ENC_LN2_B,
    ENC_FC1_W,
    ENC_FC1_B,
    ENC_FC2_W,
    ENC_FC2_B,
    ENC_WEIGHTS
} enc_weight;
typedef enum dec_weight {
    DEC_NORM1,
    DEC_Q,
    DEC_K,
    DEC_V,
    DEC_O,
    DEC_Q_NORM,
    DEC_K_NORM,
    DEC_NORM2,
    DEC_GATE,
    DEC_UP,
    DEC_DOWN,
    DEC_WEIGHTS
} dec_weight;
typedef enum top_weight {
    TOP_CONV1_W,
    TOP_CONV1_B,
    TOP_CONV2_W,
    TOP_CONV2_B,
    TOP_CONV3_W,
    TOP_CONV3_B,
    TOP_CONV_OUT,
    TOP_LN_POST_W,
    TOP_LN_POST_B,
    TOP_PROJ1_W,
    TOP_PROJ1_B,
    TOP_PROJ2_W,
    TOP_PROJ2_B,
    TOP_EMBED,
    TOP_NORM,
    TOP_HEAD,
    TOP_WEIGHTS
} top_weight;

/* A weight as the network uses it: a matrix [rows, cols], or a vector (rows = 1), widened to F32. */
typedef struct weight_ref {
    const wtensor *tensor;
    const weights *source;
    size_t rows, cols;
    bool is_vector;
} weight_ref;

typedef struct model {
    model_config config;
    char *path;                     /* as given: a directory or a GGUF file */
    bool in_gguf;                   /* configuration and tokenizer come from GGUF metadata */
    weights *encoder, *decoder;     /* sources of the weights; may be the same object */
    weight_ref top[TOP_WEIGHTS];    /* TOP_HEAD is TOP_EMBED when tied */
    weight_ref (*enc)[ENC_WEIGHTS]; /* [enc.n_layers] */
    weight_ref (*dec)[DEC_WEIGHTS]; /* [dec.n_layers] */
} model;

/* opt must be complete. Errors as qasr_model_open. */
qasr_status model_open(model **out, const char *path, const qasr_model_options *opt, qasr_error *err);
/* A model of the shapes that a configuration implies, with bfloat16 tensors, as in a published checkpoint, and without
 * data: for calculations only. Errors: FORMAT (sizes that overflow), NOMEM. */
qasr_status model_create_outline(model **out, const model_config *c, qasr_error *err);
/* The same with other types: w has the network's tensors without data (weights/outline.h). It belongs to the model,
 * after a failure to the caller. Errors: FORMAT, NOMEM. */
qasr_status model_create_from_outline(model **out, const model_config *c, weights *w, qasr_error *err);
void model_close(model *m); /* NULL is fine */
/* The length of segments that suits the model: its own, or that of the published models. */
double model_segment_seconds(const model *m);
/* Checks that w has the network's weights whose names begin with scope, in shapes and types that the network reads.
 * Encoder and decoder are checked where w has any of their tensors. in_gguf: the configuration is GGUF metadata (for
 * messages). Error: FORMAT. */
qasr_status model_check_weights(const weights *w, const model_config *c, bool in_gguf, const char *scope,
                                qasr_error *err);
/* File with the decoder's weights (the first shard of safetensors), and the type with the most bytes in its layers. */
const char *model_decoder_path(const model *m);
const char *model_decoder_type(const model *m);

#endif
