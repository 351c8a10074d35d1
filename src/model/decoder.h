/* The text decoder (Qwen3): prefill of a prompt, one token at a time after it, KV cache. */
#ifndef QASR_MODEL_DECODER_H
#define QASR_MODEL_DECODER_H

#include "model/net.h"

typedef struct decoder decoder;

/* kv_type: QUANT_F16 or QUANT_F32. */
qasr_status decoder_create(decoder **out, net *n, quant_type kv_type, qasr_error *err);
void decoder_free(decoder *d); /* NULL is fine */

/* Makes room for n positions; contents are lost when the cache has to grow. Errors: NOMEM, INVALID (more
 * than max_position_embeddings). */
qasr_status decoder_reserve(decoder *d, size_t n_positions, qasr_error *err);

/* Runs the prompt from position 0: ids [n]; rows [audio_begin, audio_begin + embeds.rows) take their
 * vectors from embeds [., d_model] instead of the embedding. Leaves the first token chosen. Until the last step no
 * other user of net_scratch may run. */
qasr_status decoder_prefill(decoder *d, const int32_t *ids, size_t n, size_t audio_begin, dmat embeds, qasr_error *err);
/* The id chosen by the last prefill or step: arg max of the logits, lowest id on ties.
 * Error: DEVICE when the logits are not finite (damaged weights). */
qasr_status decoder_token(decoder *d, int32_t *id, qasr_error *err);
/* Appends the chosen token to the sequence and chooses the next. Allocates nothing. */
qasr_status decoder_step(decoder *d, qasr_error *err);
/* Logits behind the token chosen by the last prefill, [dec.n_vocab] to the host; before the next step. */
qasr_status decoder_logits(decoder *d, float *out, qasr_error *err);

#endif
