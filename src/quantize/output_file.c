/* See output_file.h. */
#include "quantize/output_file.h"

#include <string.h>
#include <sys/stat.h>

#include "model/config.h"
#include "weights/gguf_format.h"
#include "weights/gguf_read.h"
#include "weights/open.h"

static bool is_kind(const weights *w, output_kind kind)
{
    if (strcmp(weights_meta_string(w, "general.type"), GGUF_TYPE_IMATRIX) == 0)
        return kind == OUTPUT_STATISTICS;
    gguf_kind content = config_gguf_kind(w);
    return kind == OUTPUT_MODEL && (content == GGUF_DECODER || content == GGUF_WHOLE);
}

/* Whether the file is known to be of the kind; a file that cannot be read is not. */
static qasr_status holds_kind(bool *out, const char *path, output_kind kind, qasr_error *err)
{
    weights *w;
    bool is_gguf;
    *out = false;
    TRY(weights_is_gguf(&is_gguf, path, err));
    if (!is_gguf)
        return QASR_OK;
    qasr_error reason;
    if (weights_open_gguf(&w, path, &reason) != QASR_OK)
        return reason.status == QASR_E_NOMEM ? error_set(err, reason.status, "%s", reason.message) : QASR_OK;
    *out = is_kind(w, kind);
    weights_close(w);
    return QASR_OK;
}

qasr_status output_file_check(const char *path, output_kind kind, qasr_error *err)
{
    struct stat st;
    bool holds = false;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) /* special files: see file_writer_open */
        return QASR_OK;
    TRY(holds_kind(&holds, path, kind, err));
    if (holds)
        return QASR_OK;
    return error_set(err, QASR_E_INVALID,
                     "'%s' is not replaced: it exists and is not %s; choose another name, or remove it first", path,
                     kind == OUTPUT_MODEL ? "a model in one GGUF file" : "a statistics file of calibrate");
}
