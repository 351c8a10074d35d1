/* The devices that ggml's back ends offer, and what users call them. */
#ifndef QASR_DEVICE_GGML_FIND_H
#define QASR_DEVICE_GGML_FIND_H

#include "device/ggml_device.h"

struct ggml_backend_device;

/* name as for device_open. Errors: UNSUPPORTED (no such device). */
qasr_status find_device(struct ggml_backend_device **out, const char *name, qasr_error *err);
void find_describe(device_info *out, struct ggml_backend_device *device);

#endif
