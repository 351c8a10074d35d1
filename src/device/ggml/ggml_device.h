/* Devices of ggml, a system library whose back ends (Metal, Vulkan, CUDA, HIP, ..) are separate modules that it loads
 * on demand. ggml*.c implement the device; no_ggml.c replaces them in builds without the library. */
#ifndef QASR_DEVICE_GGML_GGML_DEVICE_H
#define QASR_DEVICE_GGML_GGML_DEVICE_H

#include "device/device.h"

extern const device_driver ggml_driver;
/* Version of the library, NULL in builds without it. */
const char *ggml_device_version(void);

#endif
