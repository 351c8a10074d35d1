/* A complete model in one GGUF file, in the layout of transcribe.cpp: the keys and tables it has besides the model's
 * tensors. */
#ifndef QASR_QUANTIZE_BUNDLE_H
#define QASR_QUANTIZE_BUNDLE_H

#include "engine/engine.h"
#include "quantize/input_model.h"
#include "quantize/plan.h"
#include "weights/gguf_write.h"

#define BUNDLE_SCOPE "thinker."
#define BUNDLE_ARCHITECTURE "qwen3_asr"
#define BUNDLE_LAYOUT NAMES_STT

typedef struct bundle bundle; /* tables of the front end */

qasr_status bundle_create(bundle **out, const qasr_model *m, qasr_error *err);
void bundle_free(bundle *b); /* NULL is fine */
/* Mel filters [128, 201] and window [400], f32 in memory; they live as long as b. */
const wtensor *bundle_tensors(const bundle *b, size_t *n);

/* Adds configuration, front end and tokenizer of in->model. Errors: FORMAT (a chat template file
 * that is not JSON), IO, NOMEM. */
qasr_status bundle_add_metadata(gguf_writer *g, const input_model *in, const plan *p, qasr_error *err);

#endif
