/* Output of qasr quantize: the plan of each tensor and totals, as text or JSON. */
#ifndef QASR_CLI_QUANTIZE_OUT_H
#define QASR_CLI_QUANTIZE_OUT_H

#include <stdbool.h>

#include "qasr/qasr_tools.h"

struct json_t; /* jansson.h: for the .c files */

typedef struct quantize_out {
    const qasr_quantize_options *options;
    bool json, list; /* list: the text lists every tensor */
    size_t n_tensors;
    size_t n_mixed; /* tensors of an automatic mix, and their sizes */
    uint64_t mixed_values, mixed_bytes;
    struct json_t *tensors; /* of the JSON */
} quantize_out;

/* For qasr_quantize_options.on_tensor. */
void quantize_out_tensor(quantize_out *o, const qasr_quantize_tensor *t);
/* After qasr_quantize: prints totals, and all of the JSON. Frees the contents of o. */
void quantize_out_report(quantize_out *o, const qasr_quantize_report *report);
void quantize_out_abort(quantize_out *o);

#endif
