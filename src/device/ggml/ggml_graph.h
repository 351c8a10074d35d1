/* Recordings as graphs of ggml: built once, run as often as the same operations come again. */
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
    struct ggml_gallocr *temporaries; /* shared by all graphs: they hold nothing between two runs */
    bool exact;
} graph_target;

typedef struct graph graph;

/* Results go straight into the memory of the recording's views. *moved: the temporaries were moved, so older graphs
 * must not be run any more. Errors: UNSUPPORTED (an operation that the back end has not), NOMEM. */
qasr_status graph_build(graph **out, const graph_target *t, const recording *r, bool *moved, qasr_error *err);
void graph_free(graph *g); /* NULL is fine */
const recording *graph_recording(const graph *g);
/* Fills what depends on integers as they are now, computes, waits. Error: DEVICE. */
qasr_status graph_run(graph *g, const graph_target *t, qasr_error *err);
bool graph_uses(const graph *g, const device_mem *mem);

/* Does the device have attention for heads of this size, and keys and values of this type? */
bool graph_has_flash_attention(struct ggml_backend_device *on, size_t head_dim, quant_type kv_type);

#endif
