/* Devices of ggml, a library of the system whose back ends (Metal, Vulkan, CUDA, HIP, ..) are separate modules that it
 * loads when asked. ggml*.c is the device, no_ggml.c stands for it in a build without the library. */
#ifndef QASR_DEVICE_GGML_GGML_DEVICE_H
#define QASR_DEVICE_GGML_GGML_DEVICE_H

#include "device/device.h"

extern const device_driver ggml_driver;
/* Version of the library, NULL without it. */
const char *ggml_device_version(void);

#endif
