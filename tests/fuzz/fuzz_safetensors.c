/* A .safetensors file. */
#include "weights/safetensors.h"
#include "weights_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weights *w;
    qasr_error err;
    if (weights_open_safetensors(&w, fuzz_file("model.safetensors", data, size), &err) != QASR_OK)
        return 0;
    check_tensors(w);
    check_metadata(w);
    weights_close(w);
    return 0;
}
