/* Time and memory that a transcription is expected to take: the work (cost.h) at the rates of a machine, and the shares
 * of these rates that measurements have shown. */
#ifndef QASR_ENGINE_ESTIMATE_H
#define QASR_ENGINE_ESTIMATE_H

#include "engine/cost.h"
#include "qasr/qasr_tools.h"

typedef struct estimate_conditions {
    const qasr_limits *limits; /* rates; without read_gb_s or f32_gop_s (0) no times are set */
    quant_type kv_type;
    size_t batch; /* segments decoded together; 0: as a session does by default */
} estimate_conditions;

/* For a recording much longer than the batch. m may be an outline. d: a CPU device, which determines the precision of
 * products. Fills all fields of *out but struct_size. */
void estimate_transcription(qasr_estimate *out, const model *m, device *d, const estimate_conditions *c);

#endif
