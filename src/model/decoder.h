/* The text decoder (Qwen3): prefill of a prompt, then one token at a time for any number of sequences at once. Each
 * sequence lives in a slot: its keys and values, its position, its chosen token. The results of a sequence do not
 * depend on the others, bit for bit. */
#ifndef QASR_MODEL_DECODER_H
#define QASR_MODEL_DECODER_H

#include "model/net.h"

typedef struct decoder decoder;

enum { DECODER_MAX_SLOTS = DEVICE_MAX_SLOTS };

/* The types that keys and values may have, the default first. */
enum { DECODER_KV_TYPES = 3 };
extern const quant_type decoder_kv_types[DECODER_KV_TYPES];

/* n_slots: sequences at a time, from 1 to DECODER_MAX_SLOTS (model/kv_slots.h). kv_type: one of decoder_kv_types. The
 * context must outlive the decoder. Errors: NOMEM, UNSUPPORTED (heads that a kv_type cannot store). */
qasr_status decoder_create(decoder **out, net_context *ctx, quant_type kv_type, size_t n_slots, qasr_error *err);
void decoder_free(decoder *dec); /* NULL is fine */

/* Takes a free slot (there must be one) with room for n positions. Slots in use keep what they hold. Memory is reused
 * from sequence to sequence where the size fits. Errors: NOMEM, INVALID (more than max_position_embeddings). */
qasr_status decoder_open_slot(decoder *dec, size_t *slot, size_t n_positions, qasr_error *err);
void decoder_close_slot(decoder *dec, size_t slot);
size_t decoder_free_slots(const decoder *dec);
/* Bytes of keys and values that are reserved for the slots in use, and how many more for another of n positions, if one
 * is free. */
uint64_t decoder_kv_used(const decoder *dec);
uint64_t decoder_kv_more(const decoder *dec, size_t n_positions);

/* Runs the prompt from position 0 of a slot: ids [n]; rows [audio_begin, audio_begin + embeds.rows) take their
 * vectors from embeds [., d_model] instead of the embedding. Leaves the first token chosen. */
qasr_status decoder_prefill(decoder *dec, size_t slot, const int32_t *ids, size_t n, size_t audio_begin, dmat embeds,
                            qasr_error *err);
/* The id chosen by the slot's last prefill or step: arg max of the logits, lowest id on ties.
 * Error: DEVICE when the logits are not finite (damaged weights). */
qasr_status decoder_token(const decoder *dec, size_t slot, int32_t *id, qasr_error *err);
/* From now on each choice of the slot is scored, until it is closed; before its prefill. Costs all products of the
 * head. */
void decoder_keep_scores(decoder *dec, size_t slot);
/* Score of the token that decoder_token gives; only for a slot that keeps scores. */
qasr_token_score decoder_score(const decoder *dec, size_t slot);
/* Appends each slot's chosen token to its sequence and chooses the next: slots [n], all different, each with room and
 * with a token that decoder_token gives. Allocates nothing, unless another user of net_scratch failed to. Error:
 * DEVICE, NOMEM; then the sequences are lost. */
qasr_status decoder_step(decoder *dec, const size_t *slots, size_t n, qasr_error *err);
/* Appends the given token, an id of the vocabulary, instead of the chosen one, chooses the next, and gives the logits
 * it was chosen from, [dec.n_vocab] to the host: bit for bit those that decoder_step chooses from. Errors as there. */
qasr_status decoder_feed(decoder *dec, size_t slot, int32_t id, float *logits, qasr_error *err);
/* Logits of the last row of the last prefill, or of decoder_feed, [dec.n_vocab] to the host; before the next step, and
 * before net_scratch has another user. */
qasr_status decoder_logits(decoder *dec, float *out, qasr_error *err);

/* ---- stage by stage (model/stages.h), for whole sequences whose answer is known; the matrices are the caller's ----
 */

/* ids [x.rows] of prompt and answer, of which rows [audio_begin, audio_begin + embeds.rows) are sound: x [n, d_model]
 * gets the vectors, next the input of the first stage. Errors: DEVICE, NOMEM. */
qasr_status decoder_start_stages(decoder *dec, const int32_t *ids, size_t audio_begin, dmat embeds, dmat x, dmat next,
                                 qasr_error *err);
/* One stage, 0 the first of the decoder: x, the sum that goes through the layers, is updated; in is the stage's input;
 * next gets that of the next stage, and is not touched by the last. It may be in's rows in the same places (strides
 * count). The slot lends its cache; what it held is lost. Errors: DEVICE, NOMEM. */
qasr_status decoder_run_stage(decoder *dec, size_t slot, size_t s, dmat x, dmat in, dmat next, qasr_error *err);

#endif
