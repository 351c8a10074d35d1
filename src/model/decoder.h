/* The text decoder (Qwen3): prefill of a prompt, then one token at a time for several sequences at once. Each sequence
 * has a slot with its keys and values, position and chosen token. Its results do not depend on other sequences, bit for
 * bit. */
#ifndef QASR_MODEL_DECODER_H
#define QASR_MODEL_DECODER_H

#include "model/net.h"

typedef struct decoder decoder;

enum { DECODER_MAX_SLOTS = DEVICE_MAX_SLOTS };

/* Types of the KV cache, the default first. */
enum { DECODER_KV_TYPES = 3 };
extern const quant_type decoder_kv_types[DECODER_KV_TYPES];

/* n_slots: concurrent sequences, from 1 to DECODER_MAX_SLOTS (model/kv_slots.h). kv_type: one of decoder_kv_types. The
 * context must outlive the decoder. Errors: NOMEM, UNSUPPORTED (head size that kv_type cannot store). */
qasr_status decoder_create(decoder **out, net_context *ctx, quant_type kv_type, size_t n_slots, qasr_error *err);
void decoder_free(decoder *dec); /* NULL is fine */

/* Takes a free slot (there must be one) with room for n positions. wide: its keys and values are F32. Open slots keep
 * their contents. Memory of closed slots is reused if the size fits. Errors: NOMEM, INVALID (more than
 * max_position_embeddings). */
qasr_status decoder_open_slot(decoder *dec, size_t *slot, size_t n_positions, bool wide, qasr_error *err);
void decoder_close_slot(decoder *dec, size_t slot);
size_t decoder_free_slots(const decoder *dec);
/* Bytes of keys and values reserved for open slots, and the bytes that another slot of n positions would add, if one is
 * free. */
uint64_t decoder_kv_used(const decoder *dec);
uint64_t decoder_kv_more(const decoder *dec, size_t n_positions, bool wide);

/* Runs the prompt from position 0 of a slot: ids [n]. Rows [audio_begin, audio_begin + embeds.rows) take their vectors
 * from embeds [., d_model] instead of the embedding. Chooses the first token, unless the cache has overflowed. */
qasr_status decoder_prefill(decoder *dec, size_t slot, const int32_t *ids, size_t n, size_t audio_begin, dmat embeds,
                            qasr_error *err);
/* True if a key or value of the slot's sequence exceeds what the type of its cache can hold, so that the sequence must
 * be run again in a wide slot. Where the device does not report that (ggml), also if the logits are not finite and the
 * slot is not wide, which is what such values lead to. */
bool decoder_kv_overflowed(const decoder *dec, size_t slot);
/* The token chosen by the slot's last prefill or step: argmax of the logits, lowest id on ties. Error: DEVICE if the
 * logits, or keys or values, are not finite (damaged weights). */
qasr_status decoder_token(const decoder *dec, size_t slot, int32_t *id, qasr_error *err);
/* Scores each choice of the slot until it is closed. Call before its prefill. Requires all logits of the head. */
void decoder_keep_scores(decoder *dec, size_t slot);
/* Score of the token that decoder_token returns; the slot must keep scores. */
qasr_token_score decoder_score(const decoder *dec, size_t slot);
/* Appends each slot's chosen token to its sequence and chooses the next. slots [n] must be distinct, have room, a valid
 * token (decoder_token) and a cache that has not overflowed. Allocates nothing, unless another user of net_scratch
 * failed to allocate. Errors: DEVICE, NOMEM; then the sequences are lost. */
qasr_status decoder_step(decoder *dec, const size_t *slots, size_t n, qasr_error *err);
/* Appends id, which must be in the vocabulary, instead of the chosen token, chooses the next, and copies the logits
 * [dec.n_vocab] of that choice to the host. They have the same bits as in decoder_step. Errors as decoder_step. */
qasr_status decoder_feed(decoder *dec, size_t slot, int32_t id, float *logits, qasr_error *err);
/* Copies the logits [dec.n_vocab] of the last row of the last prefill or decoder_feed to the host. Call before the next
 * step and before any other use of net_scratch. */
qasr_status decoder_logits(decoder *dec, float *out, qasr_error *err);

/* ---- stage by stage (model/stages.h) ---------------------------------------------------------------- */

/* The functions below process whole sequences with a known answer. The caller owns the matrices.
 *
 * ids [x.rows]: prompt and answer; rows [audio_begin, audio_begin + embeds.rows) are audio. x [n, d_model] receives the
 * vectors, next the input of the first stage. Errors: DEVICE, NOMEM. */
qasr_status decoder_start_stages(decoder *dec, const int32_t *ids, size_t audio_begin, dmat embeds, dmat x, dmat next,
                                 qasr_error *err);
/* Runs decoder stage s, counted from 0. x, the residual stream, is updated; in is the stage's input; next receives the
 * input of the next stage and is untouched after the last. next may overlap in if their rows coincide, strides
 * included. The contents of the slot are lost. Errors: DEVICE, NOMEM. */
qasr_status decoder_run_stage(decoder *dec, size_t slot, size_t s, dmat x, dmat in, dmat next, qasr_error *err);

#endif
