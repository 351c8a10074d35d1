/* The network's weights on a device: matrices where they lie (mapped or uploaded), vectors widened to F32. They belong
 * to a model and a device, not to a session, and do not change; the rest of a session's state is in its net_context. */
#ifndef QASR_MODEL_NET_H
#define QASR_MODEL_NET_H

#include "device/device.h"
#include "model/model.h"

/* The meaning of the rows of an input: [audio_begin, audio_end) sound, those from choices_begin on positions whose
 * successor is a token of the answer, the others the fixed words of the prompt. */
typedef struct net_rows {
    size_t audio_begin, audio_end, choices_begin;
} net_rows;

/* Told of every product before it is computed: its input x [n, cols], and the first of the matrices that it is
 * multiplied with. Comes between device_begin and device_end of the session's device and may issue operations, which
 * see x.
 */
typedef void (*net_watch_fn)(void *user, dmat x, dmat w, net_rows rows);

typedef struct net {
    const model *model;
    const model_config *config;
    device_weights *weights;
    dmat top[TOP_WEIGHTS];
    dmat (*enc)[ENC_WEIGHTS]; /* [enc.n_layers] */
    dmat (*dec)[DEC_WEIGHTS]; /* [dec.n_layers] */
    dmat positions;           /* sinusoids [tokens per chunk, enc.d_model] */
    dmat conv_packed[3];      /* convolution weights in the device's order */
} net;

/* Brings the weights to d's device, with d's help; d need not outlive the net, the model must. The net is for all
 * handles that its weights fit. Errors: NOMEM, DEVICE, UNSUPPORTED. */
qasr_status net_create(net **out, const model *m, device *d, qasr_error *err);
void net_free(net *n); /* NULL is fine */

/* The state of a session that runs a net, shared by its encoder and decoder. The net is read-only, except for an owner
 * that is alone with it and exchanges matrices (model/stages.h). */
typedef struct net_context {
    net *net;
    device *device;
    device_mem *scratch; /* activations: see net_scratch */
    size_t scratch_bytes;
    net_watch_fn watch; /* NULL: nobody looks */
    void *watch_user;
    net_rows rows; /* for the watch: what the rows at work stand for; all zero: each chooses a token */
} net_context;

/* Frees what the context has allocated. Before the device is closed. */
void net_context_clear(net_context *ctx);

/* Memory for activations, at least the given bytes. Encoder and decoder take turns in the same block: contents are
 * lost at the other's turn, and so is the block itself when it has to grow. Error: NOMEM. */
qasr_status net_scratch(net_context *ctx, device_mem **out, size_t bytes, qasr_error *err);

/* The input of a product: x, or norm(x) if norm is not NULL. */
typedef struct net_input {
    dmat x;
    const row_norm *norm;
} net_input;

/* Products of an input, which the watch is told of. scratch [x.rows, x.cols] takes norm(x) when there is a watch; else
 * it is not touched. alone as for op_norm_linear. */
void net_linear(const net_context *ctx, net_input in, dmat scratch, const linear_part *parts, size_t n_parts,
                bool alone);
/* op_linear_argmax, which the watch is told of. */
void net_linear_argmax(const net_context *ctx, dmat ids, dmat x, dmat w, dmat scratch);

/* Row p of the encoder's position table, d values: sines, then cosines. */
void net_sinusoids(float *out, size_t d_model, size_t p);

#endif
