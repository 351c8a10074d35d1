/* Devices of ggml, a library of the system whose back ends (Metal, Vulkan, CUDA, HIP, ..) are separate modules that it loads when
 * asked. ggml*.c is the device, no_ggml.c stands for it in a build without the library. */
#ifndef QASR_DEVICE_GGML_DEVICE_H
#define QASR_DEVICE_GGML_DEVICE_H

#include "device/device.h"

/* As device_open, for names other than "cpu". */
qasr_status ggml_device_open(device **out, const char *name, unsigned n_threads, device_precision precision, qasr_error *err);
/* The i-th device that can do all operations by itself; false beyond the last. */
bool ggml_device_list(device_info *out, size_t i);
/* Version of the library, NULL without it. */
const char *ggml_device_version(void);

#endif
