/* The drivers of devices, and what chooses among the devices that they offer. */
#ifndef QASR_DEVICE_REGISTRY_H
#define QASR_DEVICE_REGISTRY_H

#include "device/device.h"

/* name: "cpu" (NULL), or a device of ggml: "gpu" (the first one), a kind ("metal", "vulkan", "cuda", "hip"), a name
 * from the list below, each with ":N" for the N-th from 0 of several. Upper or lower case. n_threads 0: default.
 * Errors: INVALID (unknown name), UNSUPPORTED (no such device here; says what to install), DEVICE (it does not start),
 * NOMEM, IO (threads). */
qasr_status device_open(device **out, const char *name, unsigned n_threads, device_precision precision,
                        qasr_error *err);

/* The i-th device, "cpu" first; false beyond the last. */
bool device_list(device_info *out, size_t i);
/* Name of the first GPU with at least n_bytes free, else "cpu"; logs a warning if there is a GPU but it is too small.
 */
void device_choose(char name[DEVICE_NAME_BYTES], uint64_t n_bytes);

#endif
