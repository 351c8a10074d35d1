/* The CPU device: kernels of the best level, spread over a thread pool. */
#ifndef QASR_DEVICE_CPU_CPU_H
#define QASR_DEVICE_CPU_CPU_H

#include "device/device.h"
#include "kernels/kernels.h"

extern const device_driver cpu_driver; /* its only device is "cpu" */

#endif
