/* How much a transcription has to compute and to read: what its times are held against. */
#ifndef QASR_ENGINE_COST_H
#define QASR_ENGINE_COST_H

#include "device/device.h"
#include "model/model.h"

/* Operations in 10^9, a multiply-add is two, by what the factors are rounded to. */
enum { COST_F32, COST_BF16, COST_INT8, COST_KINDS };
typedef struct cost_ops {
    double conv[COST_KINDS]; /* the three convolutions, on whole chunks of frames as they are computed */
    double conv_out[COST_KINDS];
    double enc_layers[COST_KINDS]; /* matrices of the encoder's layers and the two of its projection */
    double enc_attention;          /* inside the windows; float32 */
    double prefill[COST_KINDS];    /* matrices of the decoder's layers for all rows, of the head for one */
    double prefill_attention;      /* causal: row i sees i + 1 keys; float32 */
} cost_ops;

/* d says in which precision it multiplies matrices of many rows. */
void cost_count_ops(cost_ops *ops, const model *m, device *d, size_t n_frames, size_t n_prompt);
/* Weights that one decoding step reads: the decoder's layers, the last norm, the head, one row of the embedding. */
uint64_t cost_step_bytes(const model *m);
/* Keys and values of one position in the cache. */
uint64_t cost_kv_bytes(const model_config *c, quant_type kv_type);
/* All weights of the network, each once. */
uint64_t cost_weights_bytes(const model *m);

#endif
