/* Public entry points for inspecting files. */
#include "qasr/qasr_tools.h"

#include "base/error.h"
#include "inspect/inspect.h"

qasr_status qasr_inspect_open(qasr_inspect **out, const char *path, qasr_error *err)
{
    if (!out)
        return error_set(err, QASR_E_INVALID, "out must not be NULL");
    *out = NULL;
    if (!path || !path[0])
        return error_set(err, QASR_E_INVALID, "no path: pass a model directory, a safetensors or a GGUF file");
    return inspect_open(out, path, err);
}

void qasr_inspect_close(qasr_inspect *info) { inspect_free(info); }

size_t qasr_inspect_tensor_count(const qasr_inspect *info) { return info ? inspect_tensor_count(info) : 0; }

const qasr_tensor_info *qasr_inspect_tensor(const qasr_inspect *info, size_t index)
{
    return info ? inspect_tensor(info, index) : NULL;
}

size_t qasr_inspect_fact_count(const qasr_inspect *info) { return info ? inspect_fact_count(info) : 0; }

const char *qasr_inspect_fact(const qasr_inspect *info, size_t index, const char **value)
{
    return info ? inspect_fact(info, index, value) : NULL;
}
