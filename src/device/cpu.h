/* The CPU device: kernels of the best level, spread over a thread pool. */
#ifndef QASR_DEVICE_CPU_H
#define QASR_DEVICE_CPU_H

#include "device/device.h"
#include "kernels/kernels.h"

qasr_status cpu_device_open(device **out, unsigned n_threads, device_precision precision, qasr_error *err);

#endif
