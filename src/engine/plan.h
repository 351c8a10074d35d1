/* What the quantizer does with each tensor: its kind, its type in the output, or that it is left out. */
#ifndef QASR_ENGINE_PLAN_H
#define QASR_ENGINE_PLAN_H

#include <stdbool.h>

#include "weights/weights.h"

typedef enum plan_kind {
    PLAN_ATTENTION, /* q, k, v, o / out projections */
    PLAN_MLP,       /* gate, up, down; fc1, fc2 */
    PLAN_PROJECTION, /* the encoder's conv_out, proj1, proj2 */
    PLAN_CONVOLUTION,
    PLAN_EMBEDDING,
    PLAN_HEAD,
    PLAN_NORM,
    PLAN_BIAS,
    PLAN_OTHER,
    PLAN_KIND_COUNT
} plan_kind;

const char *plan_kind_name(plan_kind kind);

typedef struct plan_rules {
    const char *scope;  /* canonical names must start with it; "": all */
    quant_type qtype;
    bool quantize_embeddings;
    bool tied;          /* the config says that the head is the embedding */
} plan_rules;

typedef struct plan_entry {
    const wtensor *t;
    plan_kind kind;
    quant_type type;
    bool fallback; /* wanted the quantized type, but its rows do not fit the blocks */
    bool skipped;  /* the tied head: not written */
} plan_entry;

typedef struct plan {
    plan_entry *entries; /* in the order of the weights */
    size_t n;
} plan;

/* Errors: INVALID (nothing in scope), NOMEM. Free with plan_free. */
qasr_status plan_build(plan *p, const weights *w, const plan_rules *rules, qasr_error *err);
void plan_free(plan *p);

/* Values [begin, begin + n) of a tensor of type F32, F16 or BF16 as float. */
void plan_read_values(float *out, const wtensor *t, uint64_t begin, size_t n);
/* Drops the mapped pages of the same values, and a margin around them, from this process's memory: page
 * faults bring in neighbours too. Harmless to whoever still reads there. */
void plan_release_values(const weights *w, const wtensor *t, uint64_t begin, uint64_t n);

#endif
