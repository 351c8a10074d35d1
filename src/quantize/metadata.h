/* Metadata keys common to all files that the quantizer writes (docs/format.md): origin and content. */
#ifndef QASR_QUANTIZE_METADATA_H
#define QASR_QUANTIZE_METADATA_H

#include "quantize/input_model.h"
#include "quantize/plan.h"
#include "weights/gguf_write.h"

/* architecture: "qasr", or that of another layout. Errors: INVALID, NOMEM. */
qasr_status metadata_add(gguf_writer *g, const input_model *in, const plan_rules *rules, const char *architecture,
                         qasr_error *err);

#endif
