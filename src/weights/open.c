/* Chooses the reader of a file by its content. */
#include "weights/open.h"

#include <string.h>

#include "weights/gguf_read.h"
#include "weights/safetensors.h"

qasr_status weights_is_gguf(bool *out, const char *path, qasr_error *err)
{
    file_map m;
    TRY(file_map_open(&m, path, err));
    *out = m.size >= 4 && memcmp(m.data, "GGUF", 4) == 0;
    qasr_status status = file_refuse_lfs_pointer(m.data, m.size, path, err);
    file_map_close(&m);
    return status;
}

qasr_status weights_open(weights **out, const char *path, qasr_error *err)
{
    if (file_is_dir(path))
        return weights_open_safetensors(out, path, err);
    bool is_gguf;
    TRY(weights_is_gguf(&is_gguf, path, err));
    return is_gguf ? weights_open_gguf(out, path, err) : weights_open_safetensors(out, path, err);
}
