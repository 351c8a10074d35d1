/* The plan of a quantization: for each tensor its kind, its name and type in the output, or that it is skipped.
 * convert_chunks.h does the conversion. */
#ifndef QASR_QUANTIZE_PLAN_H
#define QASR_QUANTIZE_PLAN_H

#include <stdbool.h>

#include "quant/mix.h"
#include "quantize/type_rules.h"
#include "weights/weights.h"

#define DECODER_SCOPE "thinker.model." /* prefix of the decoder's tensors */

typedef enum plan_kind {
    PLAN_ATTENTION,  /* q, k, v, o / out projections */
    PLAN_MLP,        /* gate, up, down; fc1, fc2 */
    PLAN_PROJECTION, /* the encoder's conv_out, proj1, proj2 */
    PLAN_CONVOLUTION,
    PLAN_EMBEDDING,
    PLAN_HEAD,
    PLAN_NORM,
    PLAN_BIAS,
    PLAN_FRONTEND, /* mel filters and window, not weights of the model */
    PLAN_OTHER,
    PLAN_KIND_COUNT
} plan_kind;

const char *plan_kind_name(plan_kind kind);

/* name: of a type that can be written, or of a mix; lower or upper case; what: as for type_from_name. Error: INVALID.
 */
qasr_status plan_find_mix(quant_mix *mix, const char *name, const char *what, qasr_error *err);
/* The default for encoders: like the other matrices, but at least 8 bits. */
quant_mix plan_encoder_mix(const quant_mix *decoder);

typedef struct plan_rules {
    const char *scope;   /* canonical names must start with it; "": all */
    names_layout layout; /* of the names in the output */
    quant_mix decoder, encoder;
    bool quantize_embeddings; /* to decoder.embedding; an untied head too */
    bool exact_convolutions;  /* to f32, else as in the source or f16 */
    bool tied;                /* the head is the embedding */
    type_rules *types;        /* types given by the user; NULL: none */
    const wtensor *extra;     /* [n_extra], f32 in memory; written first, unchanged */
    size_t n_extra;
} plan_rules;

/* The way a tensor is converted. */
typedef enum plan_way {
    PLAN_COPY,      /* the source's bytes, as the type is the same */
    PLAN_CONVERT,   /* each block from its own values */
    PLAN_CALIBRATED /* row by row, with the statistics of the matrix's inputs */
} plan_way;

typedef struct plan_entry {
    const wtensor *t;
    const weights *source; /* that t belongs to; NULL: an extra tensor in memory */
    plan_kind kind;
    plan_way way;
    quant_type type;
    uint64_t n_rows, row_values; /* blocks do not cross rows */
    uint64_t bytes;              /* in the output */
    char layout_name[64];        /* "": the canonical name */
    bool fallback;               /* its rows do not fit the blocks of the type it should have */
    bool skipped;                /* the tied head: not written */
    bool by_name;                /* the user gave the type, by a pattern */
    bool mixed;                  /* an automatic mix chose the type */
    const float *row_scale;      /* [n_rows], powers of two that the source's rows are multiplied with; NULL: 1 */
    const float *column_scale;   /* [row_values], the same for its columns */
    double sensitivity;          /* sensitivity of the tensor in that type (auto_mix.h) */
} plan_entry;

typedef struct plan {
    plan_entry *entries; /* extra tensors, then in the order of the weights */
    size_t n;
} plan;

/* For all tensors of sources [n_sources]. Errors: INVALID (nothing in scope, a type rule that matches no tensor or
 * that cannot be followed), UNSUPPORTED (a search for a pattern takes too long), NOMEM. Free with plan_free. */
qasr_status plan_build(plan *p, const weights *const *sources, size_t n_sources, const plan_rules *rules,
                       qasr_error *err);
void plan_free(plan *p);
/* Changes the type of a converted matrix to one whose blocks its rows fit. */
void plan_set_type(plan_entry *e, quant_type type);
const char *plan_name(const plan_entry *e); /* in the output */
const char *plan_part(const plan_entry *e); /* "encoder", "decoder", "other" */

/* Values [begin, begin + n) of a tensor as float: whole blocks of its type. */
void plan_read_values(float *out, const wtensor *t, uint64_t begin, size_t n);
/* The same for an entry's tensor, times its scales. */
void plan_read_scaled(float *out, const plan_entry *e, uint64_t begin, size_t n);
/* Mean squares of a matrix's inputs [row_values], where its columns are scaled: out = squares / column_scale^2. */
void plan_scale_squares(float *out, const plan_entry *e, const float *squares);
/* The error of a value of a row that is not finite. Returns its status, FORMAT. */
qasr_status plan_refuse_not_finite(const plan_entry *e, uint64_t row, float x, qasr_error *err);
/* Releases the mapped pages of these values, with a margin, as page faults map neighbours too. Harmless to concurrent
 * readers. */
void plan_release_values(const plan_entry *e, uint64_t begin, uint64_t n);

#endif
