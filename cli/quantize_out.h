/* What qasr quantize prints: the plan of each tensor, totals, as text or JSON. */
#ifndef QASR_CLI_QUANTIZE_OUT_H
#define QASR_CLI_QUANTIZE_OUT_H

#include <stdbool.h>

#include "qasr/qasr_tools.h"

struct json_t; /* jansson.h: for the .c files */

typedef struct quantize_out {
    const qasr_quantize_options *options;
    bool json, list; /* list: text names every tensor */
    size_t n_tensors;
    size_t n_mixed; /* tensors of an automatic mix, their sizes */
    uint64_t mixed_values, mixed_bytes;
    struct json_t *tensors; /* of the JSON */
} quantize_out;

/* For qasr_quantize_options.on_tensor. */
void quantize_out_tensor(quantize_out *o, const qasr_quantize_tensor *t);
/* After the call: totals, and the JSON as a whole. Frees what o holds. */
void quantize_out_report(quantize_out *o, const qasr_quantize_report *report);
void quantize_out_abort(quantize_out *o);

#endif
