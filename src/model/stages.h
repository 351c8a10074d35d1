/* The network's matrices in the order in which they are needed, as a chain of stages: a stage is the products of one
 * input. Whatever lies between two stages (norms, attention, activations) belongs to the first. Encoder: conv_out; for
 * each layer q, k, v; out_proj; fc1; fc2; then proj1; proj2. Decoder: for each layer q, k, v; o_proj; gate_proj,
 * up_proj; down_proj. Last: the head. */
#ifndef QASR_MODEL_STAGES_H
#define QASR_MODEL_STAGES_H

#include "model/net.h"

/* The stages of a layer. */
enum { STAGE_QKV, STAGE_OUT, STAGE_UP, STAGE_DOWN, STAGES_PER_LAYER };
enum { STAGE_MAX_MATRICES = 3 };

/* Stages [first, end) of a layer. One that runs alone may have its input, with all norms done, from outside: in, if it
 * has memory. */
typedef struct stage_range {
    size_t first, end;
    dmat in;
} stage_range;

static inline bool stage_runs(const stage_range *r, size_t s) { return s >= r->first && s < r->end; }
/* The input of a stage: norm(x) where the layer itself has it. */
static inline net_input stage_input(const stage_range *r, dmat x, const row_norm *norm)
{
    return r->in.mem ? (net_input){ .x = r->in } : (net_input){ x, norm };
}

typedef struct stage {
    size_t n;
    const weight_ref *refs[STAGE_MAX_MATRICES];
    dmat *w[STAGE_MAX_MATRICES];                     /* in the net */
    const weight_ref *bias_refs[STAGE_MAX_MATRICES]; /* NULL: the matrix has none */
    dmat *biases[STAGE_MAX_MATRICES];
} stage;

static inline size_t stages_of_encoder(const net *n) { return STAGES_PER_LAYER * n->config->enc.n_layers + 3; }
static inline size_t stages_of_decoder(const net *n) { return STAGES_PER_LAYER * n->config->dec.n_layers; }
/* The encoder's, the decoder's, the head. */
static inline size_t stages_count(const net *n) { return stages_of_encoder(n) + stages_of_decoder(n) + 1; }
/* index < stages_count(n). */
stage stages_get(net *n, size_t index);
/* The stage whose first matrix is w, as net_watch_fn gets it. */
size_t stages_find(net *n, dmat w);
/* The pages of its matrices, which the system keeps as long as it has room, stop counting as this process's memory. */
void stage_release(const stage *s);

#endif
