/* The model that a quantization would write, without writing it. */
#ifndef QASR_QUANTIZE_PLANNED_MODEL_H
#define QASR_QUANTIZE_PLANNED_MODEL_H

#include "model/model.h"

/* An outline with the types that qasr_quantize chooses for a complete model (scope "all") of a bfloat16 checkpoint.
 * qtype: as in qasr_quantize_options. Close it with model_close. Errors: INVALID (no such type), UNSUPPORTED (built
 * without quantization), FORMAT (sizes that overflow), NOMEM. */
qasr_status planned_model_create(model **out, const model_config *c, const char *qtype, qasr_error *err);

#endif
