/* The network's weights on a device: matrices in place (mapped or uploaded), vectors widened to F32. They belong to a
 * model and a device, not to a session, and do not change. The state of a session is in its net_context. */
#ifndef QASR_MODEL_NET_H
#define QASR_MODEL_NET_H

#include "device/device.h"
#include "model/model.h"

/* Roles of an input's rows: [audio_begin, audio_end) are audio; rows from choices_begin on predict a token of the
 * answer; the others are the fixed text of the prompt. */
typedef struct net_rows {
    size_t audio_begin, audio_end, choices_begin;
} net_rows;

/* Called before every product with its input x [n, cols] and its first matrix. Runs between device_begin and device_end
 * of the session's device and may issue operations, which can read x. */
typedef void (*net_watch_fn)(void *user, dmat x, dmat w, net_rows rows);

typedef struct net {
    const model *model;
    const model_config *config;
    device_weights *weights;
    dmat top[TOP_WEIGHTS];
    dmat (*enc)[ENC_WEIGHTS]; /* [enc.n_layers] */
    dmat (*dec)[DEC_WEIGHTS]; /* [dec.n_layers] */
    dmat positions;           /* sinusoids [tokens per chunk, enc.d_model] */
    dmat conv_packed[3];      /* convolution weights in the device's layout */
} net;

/* Moves the weights to d's device. d need not outlive the net, but the model must. The net works with every device
 * handle that its weights fit. Errors: NOMEM, DEVICE, UNSUPPORTED. */
qasr_status net_create(net **out, const model *m, device *d, qasr_error *err);
void net_free(net *n); /* NULL is fine */

/* Places in the network where values can leave the finite numbers. */
typedef enum net_place {
    NET_NOWHERE,
    NET_FEATURES,
    NET_STEM,          /* convolutions */
    NET_ENCODER_LAYER, /* counted from 0, like the decoder's */
    NET_PROJECTOR,
    NET_EMBEDDING,
    NET_DECODER_LAYER,
    NET_HEAD
} net_place;

/* The first place that computed a value that is not finite. */
typedef struct net_fault {
    net_place place; /* NET_NOWHERE: none yet */
    size_t layer;
    qasr_status status; /* of reading values from the device */
} net_fault;

/* A session's state for running a net, shared by its encoder and decoder. The net is read-only, unless a sole owner
 * exchanges matrices (model/stages.h). */
typedef struct net_context {
    net *net;
    device *device;
    device_mem *scratch; /* activations: see net_scratch */
    size_t scratch_bytes;
    net_watch_fn watch; /* NULL: none */
    void *watch_user;
    net_rows rows;    /* for the watch: roles of the current rows; all zero: each chooses a token */
    net_fault *fault; /* NULL: net_check does nothing */
} net_context;

/* Frees the context's memory. Call before closing the device. */
void net_context_clear(net_context *ctx);

/* Memory for activations, at least the given bytes. Encoder and decoder use the same block in turn: the other's use
 * invalidates the contents, and the block itself if it grows. Error: NOMEM. */
qasr_status net_scratch(net_context *ctx, device_mem **out, size_t bytes, qasr_error *err);

/* The input of a product: x, or norm(x) if norm is not NULL. */
typedef struct net_input {
    dmat x;
    const row_norm *norm;
} net_input;

/* Products of an input, reported to the watch. With a watch, scratch [x.rows, x.cols] receives norm(x); else it is
 * untouched. alone as for op_norm_linear. */
void net_linear(const net_context *ctx, net_input in, dmat scratch, const linear_part *parts, size_t n_parts,
                bool alone);
/* op_linear_argmax, reported to the watch. */
void net_linear_argmax(const net_context *ctx, dmat ids, dmat x, dmat w, dmat scratch);

/* For finding out what went wrong: if the context has a fault and that has no place yet, runs the operations so far and
 * sets the place unless all values of x, its output, are finite. Call between device_begin and device_end. */
void net_check(const net_context *ctx, net_place place, size_t layer, dmat x);
/* File and description of a fault for messages: "decoder layer 3". out [size]. Returns out. */
const char *net_fault_place(char *out, size_t size, const net_fault *f);
const char *net_fault_file(const net *n, const net_fault *f);

/* The type that stands for a convolution weight when it is packed: BF16 for float32 and float16 weights that bfloat16
 * holds exactly, as in files converted from a bfloat16 checkpoint; else its own. Reads the weight, if it has data. */
quant_type net_conv_type(const weight_ref *ref);

/* Row p of the encoder's position table, d values: sines, then cosines. */
void net_sinusoids(float *out, size_t d_model, size_t p);

#endif
