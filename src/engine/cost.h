/* The work of a transcription, in operations and bytes: the reference for measured times. */
#ifndef QASR_ENGINE_COST_H
#define QASR_ENGINE_COST_H

#include "device/device.h"
#include "model/model.h"

/* Operations in 10^9, by the type that the factors are rounded to. A multiply-add counts as two. */
enum { COST_F32, COST_BF16, COST_INT8, COST_KINDS };
typedef struct cost_ops {
    double conv[COST_KINDS]; /* the three convolutions, over whole chunks of frames, as computed */
    double conv_out[COST_KINDS];
    double enc_layers[COST_KINDS]; /* matrices of the encoder's layers and of its two projections */
    double enc_attention;          /* inside the windows; float32 */
    double prefill[COST_KINDS];    /* matrices of the decoder's layers for all rows, and the head for one */
    double prefill_attention;      /* causal: row i attends to i + 1 keys; float32 */
} cost_ops;

/* d determines the precision of products with many rows. */
void cost_count_ops(cost_ops *ops, const model *m, device *d, size_t n_frames, size_t n_prompt);
/* Bytes of weights that a decoding step reads: the decoder's layers, the final norm, the head, one row of the
 * embedding. */
uint64_t cost_step_bytes(const model *m);
/* Operations in 10^9 with the same weights, for one row. */
double cost_step_gop(const model *m);
/* Bytes of keys and values per cache position. */
uint64_t cost_kv_bytes(const model_config *c, quant_type kv_type);
/* Bytes of all weights of the network, shared ones counted once. */
uint64_t cost_weights_bytes(const model *m);

#endif
