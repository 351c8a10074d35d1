/* Opens, lists and chooses devices among those of all drivers. */
#ifndef QASR_DEVICE_REGISTRY_H
#define QASR_DEVICE_REGISTRY_H

#include "device/device.h"

/* name: "cpu" (or NULL), or a ggml device: "gpu" (the first one), a kind ("metal", "vulkan", "cuda", "hip"), or a name
 * from device_list; each optionally with ":N" for the N-th of several, from 0. Upper or lower case. n_threads 0:
 * default. Errors: INVALID (unknown name), UNSUPPORTED (no such device on this machine; says what to install), DEVICE
 * (the device does not start), NOMEM, IO (threads). */
qasr_status device_open(device **out, const char *name, unsigned n_threads, device_precision precision,
                        qasr_error *err);

/* The i-th device, "cpu" first; false beyond the last. */
bool device_list(device_info *out, size_t i);
/* Name of the first GPU with at least n_bytes free, else "cpu"; logs a warning if all GPUs have too little memory. */
void device_choose(char name[DEVICE_NAME_BYTES], uint64_t n_bytes);

#endif
