/* See stages.h. */
#include "model/stages.h"

#include "base/mem.h"

/* Matrices by their index among the weights of a layer, or outside the layers; bias -1: none. */
typedef struct shared {
    size_t n;
    struct {
        int w, bias;
    } index[STAGE_MAX_MATRICES];
} shared;

static const shared conv_out = { 1, { { TOP_CONV_OUT, -1 } } }, proj1 = { 1, { { TOP_PROJ1_W, TOP_PROJ1_B } } },
                    proj2 = { 1, { { TOP_PROJ2_W, TOP_PROJ2_B } } }, head = { 1, { { TOP_HEAD, -1 } } };
static const shared enc[STAGES_PER_LAYER] = {
    [STAGE_QKV] = { 3, { { ENC_Q_W, ENC_Q_B }, { ENC_K_W, ENC_K_B }, { ENC_V_W, ENC_V_B } } },
    [STAGE_OUT] = { 1, { { ENC_O_W, ENC_O_B } } },
    [STAGE_UP] = { 1, { { ENC_FC1_W, ENC_FC1_B } } },
    [STAGE_DOWN] = { 1, { { ENC_FC2_W, ENC_FC2_B } } },
};
static const shared dec[STAGES_PER_LAYER] = {
    [STAGE_QKV] = { 3, { { DEC_Q, -1 }, { DEC_K, -1 }, { DEC_V, -1 } } },
    [STAGE_OUT] = { 1, { { DEC_O, -1 } } },
    [STAGE_UP] = { 2, { { DEC_GATE, -1 }, { DEC_UP, -1 } } },
    [STAGE_DOWN] = { 1, { { DEC_DOWN, -1 } } },
};

static stage make_stage(const shared *s, const weight_ref *refs, dmat *bound)
{
    stage out = { .n = s->n };
    for (size_t i = 0; i < s->n; i++) {
        out.refs[i] = &refs[s->index[i].w];
        out.w[i] = &bound[s->index[i].w];
        if (s->index[i].bias < 0)
            continue;
        out.bias_refs[i] = &refs[s->index[i].bias];
        out.biases[i] = &bound[s->index[i].bias];
    }
    return out;
}

stage stages_get(net *n, size_t index)
{
    const model *m = n->model;
    size_t n_enc = STAGES_PER_LAYER * n->config->enc.n_layers, n_dec = stages_of_decoder(n);
    assert(index < stages_count(n));
    if (index == 0)
        return make_stage(&conv_out, m->top, n->top);
    index -= 1;
    if (index < n_enc)
        return make_stage(&enc[index % STAGES_PER_LAYER], m->enc[index / STAGES_PER_LAYER],
                          n->enc[index / STAGES_PER_LAYER]);
    index -= n_enc;
    if (index < 2)
        return make_stage(index == 0 ? &proj1 : &proj2, m->top, n->top);
    index -= 2;
    if (index < n_dec)
        return make_stage(&dec[index % STAGES_PER_LAYER], m->dec[index / STAGES_PER_LAYER],
                          n->dec[index / STAGES_PER_LAYER]);
    return make_stage(&head, m->top, n->top);
}

size_t stages_find(net *n, dmat w)
{
    for (size_t i = 0;; i++) { /* terminates: the network has no other products */
        stage s = stages_get(n, i);
        if (s.w[0]->mem == w.mem && s.w[0]->offset == w.offset)
            return i;
    }
}

void stage_release(const stage *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const weight_ref *ref = s->refs[i];
        const file_map *map = weights_file_map(ref->source, ref->tensor->file);
        file_map_release(map, (size_t)((const unsigned char *)ref->tensor->data - map->data),
                         (size_t)ref->tensor->n_bytes);
    }
}
