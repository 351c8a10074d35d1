/* The network's matrices in order of use, as a chain of stages. A stage is the products of one input. Operations
 * between two stages (norms, attention, activations) belong to the first. Encoder: conv_out; per layer q, k, v;
 * out_proj; fc1; fc2; then proj1; proj2. Decoder: per layer q, k, v; o_proj; gate_proj, up_proj; down_proj. Last: the
 * head. */
#ifndef QASR_MODEL_STAGES_H
#define QASR_MODEL_STAGES_H

#include "model/net.h"

/* The stages of a layer. */
enum { STAGE_QKV, STAGE_OUT, STAGE_UP, STAGE_DOWN, STAGES_PER_LAYER };
enum { STAGE_MAX_MATRICES = 3 };

/* Stages [first, end) of a layer. A stage that runs alone can take its input, after all norms, from outside: `in`, if
 * it has memory. */
typedef struct stage_range {
    size_t first, end;
    dmat in;
} stage_range;

static inline bool stage_runs(const stage_range *r, size_t s) { return s >= r->first && s < r->end; }
/* The input of a stage: from outside if given, else norm(x). */
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
/* Encoder, decoder and head. */
static inline size_t stages_count(const net *n) { return stages_of_encoder(n) + stages_of_decoder(n) + 1; }
/* index < stages_count(n). */
stage stages_get(net *n, size_t index);
/* The stage with w as its first matrix, as passed to net_watch_fn. */
size_t stages_find(net *n, dmat w);
/* Drops the pages of its matrices from this process's memory; the system keeps them cached while it has room. */
void stage_release(const stage *s);

#endif
