/* Recordings as ggml graphs: built once, run each time the same operations are recorded. */
#ifndef QASR_DEVICE_GGML_GGML_GRAPH_H
#define QASR_DEVICE_GGML_GGML_GRAPH_H

#include "device/ggml/ggml_record.h"

struct ggml_backend;
struct ggml_backend_device;
struct ggml_gallocr;

/* The back end that graphs are built for. */
typedef struct graph_target {
    struct ggml_backend *backend;
    struct ggml_backend_device *device;
    struct ggml_gallocr *temporaries; /* shared by all graphs; nothing is kept between runs */
    bool exact;
} graph_target;

typedef struct graph graph;

/* Results are written directly to the memory of the recording's views. *moved: the temporaries moved, so older graphs
 * must not be run any more. Errors: UNSUPPORTED (the back end lacks an operation), NOMEM. */
qasr_status graph_build(graph **out, const graph_target *t, const recording *r, bool *moved, qasr_error *err);
void graph_free(graph *g); /* NULL is fine */
const recording *graph_recording(const graph *g);
/* Fills the inputs that depend on current ids and positions, computes, and waits. Errors: DEVICE, NOMEM. */
qasr_status graph_run(graph *g, const graph_target *t, qasr_error *err);
bool graph_uses(const graph *g, const device_mem *mem);

/* True if the device has flash attention for this head size and type of keys and values. */
bool graph_has_flash_attention(struct ggml_backend_device *on, size_t head_dim, quant_type kv_type);

#endif
