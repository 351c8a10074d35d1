/* A sequence of operations as plain numbers: two sequences are the same if and only if their numbers are. */
#ifndef QASR_DEVICE_GGML_GGML_RECORD_H
#define QASR_DEVICE_GGML_GGML_RECORD_H

#include "device/device.h"

/* A dmat without padding. */
typedef struct view {
    device_mem *mem;
    uint64_t id, offset, rows, cols, stride, type; /* id: of mem, as addresses can be reused */
} view;
_Static_assert(sizeof(view) == sizeof(device_mem *) + 6 * sizeof(uint64_t), "padding would be compared");

typedef enum op_kind {
    OP_COPY,
    OP_EMBED,
    OP_LINEAR,
    OP_RMS_NORM,
    OP_LAYER_NORM,
    OP_ADD_CYCLIC,
    OP_CONV,
    OP_CONV_TO_ROWS,
    OP_ATTENTION_WINDOWS,
    OP_ROPE_AND_CACHE,
    OP_ATTENTION_CACHED,
    OP_ARGMAX,
    OP_KINDS
} op_kind;

typedef struct op_head {
    uint64_t kind, n_views, n_numbers;
} op_head;

typedef struct recording {
    op_head *ops;
    view *views;
    uint64_t *numbers;
    size_t n_ops, n_views, n_numbers;
    size_t ops_room, views_room, numbers_room;
    qasr_status status; /* NOMEM: incomplete */
} recording;

void record_clear(recording *r); /* keeps the memory */
void record_free(recording *r);
/* Record an operation, then its views and numbers. m NULL or without mem: an absent matrix. */
void record_op(recording *r, op_kind kind);
void record_view(recording *r, const dmat *m);
void record_number(recording *r, uint64_t n);
void record_float(recording *r, float x);
float record_to_float(uint64_t n);
bool record_equal(const recording *a, const recording *b);
qasr_status record_copy(recording *to, const recording *from, qasr_error *err);

#endif
