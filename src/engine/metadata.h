/* The keys of the files that the quantizer writes (docs/format.md). */
#ifndef QASR_ENGINE_METADATA_H
#define QASR_ENGINE_METADATA_H

#include "engine/origin.h"
#include "engine/plan.h"

/* What every file says. architecture: "qasr", or that of another layout. Errors: INVALID, NOMEM. */
qasr_status metadata_add(gguf_writer *g, const origin *o, const plan_rules *rules, const char *architecture, qasr_error *err);

#endif
