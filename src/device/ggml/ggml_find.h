/* The devices of ggml's back ends, and their user-visible names. */
#ifndef QASR_DEVICE_GGML_GGML_FIND_H
#define QASR_DEVICE_GGML_GGML_FIND_H

#include "device/ggml/ggml_device.h"

struct ggml_backend_device;

/* name as for device_open. Errors: UNSUPPORTED (no such device). */
qasr_status find_device(struct ggml_backend_device **out, const char *name, qasr_error *err);
/* The i-th device that supports all operations by itself; false beyond the last. */
bool find_list(device_info *out, size_t i);
void find_describe(device_info *out, struct ggml_backend_device *device);

#endif
