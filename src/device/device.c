/* Finds a device by name. */
#include "device/device.h"

#include <string.h>

#include "device/cpu.h"

qasr_status device_open(device **out, const char *name, unsigned n_threads, device_precision precision, qasr_error *err)
{
    if (!name || strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0)
        return cpu_device_open(out, n_threads, precision, err);
    return error_set(err, QASR_E_INVALID, "unknown device '%s', expected auto or cpu", name);
}
