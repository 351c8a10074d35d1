/* For builds without ggml: no devices except the CPU. */
#include "device/ggml/ggml_device.h"

static qasr_status open_none(device **out, const char *name, unsigned n_threads, device_precision precision,
                             qasr_error *err)
{
    return error_set(err, QASR_E_UNSUPPORTED, "device '%s' not found; built without ggml, which leaves only cpu", name);
}

static bool list_none(device_info *out, size_t i) { return false; }

const device_driver ggml_driver = { open_none, list_none };
const char *ggml_device_version(void) { return NULL; }
