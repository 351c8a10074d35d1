/* The network's weights on a device: matrices where they lie (mapped or uploaded), vectors widened to F32. */
#ifndef QASR_MODEL_NET_H
#define QASR_MODEL_NET_H

#include "device/device.h"
#include "model/model.h"

typedef struct net {
    const model *model;
    const model_config *config;
    device *d;
    device_mem *vectors;
    dmat top[TOP_WEIGHTS];
    dmat (*enc)[ENC_WEIGHTS];
    dmat (*dec)[DEC_WEIGHTS];
    dmat positions;       /* sinusoids [tokens per chunk, enc.d_model] */
    dmat conv_packed[3];  /* convolution weights in the device's order */
} net;

/* The model and the device must outlive the net. Errors: NOMEM, DEVICE. */
qasr_status net_create(net **out, const model *m, device *d, qasr_error *err);
void net_free(net *n); /* NULL is fine */

/* Row p of the encoder's position table, d values: sines, then cosines. */
void net_sinusoids(float *out, size_t d_model, size_t p);

#endif
