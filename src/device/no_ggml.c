/* A build without ggml: no devices but the CPU. */
#include "device/ggml_device.h"

qasr_status ggml_device_open(device **out, const char *name, unsigned n_threads, device_precision precision, qasr_error *err)
{
    return error_set(err, QASR_E_UNSUPPORTED, "device '%s' is not there; this program was built without ggml and has only cpu", name);
}

bool ggml_device_list(device_info *out, size_t i) { return false; }
const char *ggml_device_version(void) { return NULL; }
