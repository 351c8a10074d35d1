/* Memory of the KV cache. A slot holds the keys and values of one sequence in all layers. A free slot may keep its
 * memory for the next sequence that fits; memory that does not fit is released, so it does not accumulate. */
#ifndef QASR_MODEL_KV_SLOTS_H
#define QASR_MODEL_KV_SLOTS_H

#include "device/device.h"
#include "model/config.h"

typedef struct kv_slots kv_slots;

/* type: of keys and values, unless a slot is opened wide. n_slots: from 1 to DEVICE_MAX_SLOTS. An unused slot takes no
 * memory, but if the device prefers slots in one block, up to half of the slots may be allocated in advance. The device
 * and the configuration must outlive it. Errors: NOMEM, UNSUPPORTED (head size that the type cannot store). */
qasr_status kv_slots_create(kv_slots **out, device *d, const model_config *c, quant_type type, size_t n_slots,
                            qasr_error *err);
void kv_slots_free(kv_slots *kv); /* NULL is fine */

/* Takes a free slot (there must be one) with room for n positions and undefined contents. wide: keys and values are
 * F32. Open slots keep theirs. Error: NOMEM. */
qasr_status kv_slots_open(kv_slots *kv, size_t *slot, size_t n_positions, bool wide, qasr_error *err);
void kv_slots_close(kv_slots *kv, size_t slot);

bool kv_slots_is_open(const kv_slots *kv, size_t slot);
size_t kv_slots_capacity(const kv_slots *kv, size_t slot); /* positions; of an open slot */
quant_type kv_slots_type(const kv_slots *kv, size_t slot); /* of an open slot */
size_t kv_slots_count_free(const kv_slots *kv);
/* Bytes reserved for open slots, and the bytes that another slot of n positions would add, if one is free. */
uint64_t kv_slots_bytes(const kv_slots *kv);
uint64_t kv_slots_more_bytes(const kv_slots *kv, size_t n_positions, bool wide);

/* A layer's caches from first_slot on, which becomes slot 0 of the view. The caller fills in slot and pos of the rows.
 */
kv_view kv_slots_view(const kv_slots *kv, size_t layer, size_t first_slot);

#endif
