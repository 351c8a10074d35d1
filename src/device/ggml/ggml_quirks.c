/* Parses QASR_GGML_AVOID on each call, as graphs are rarely built. */
#include "device/ggml/ggml_quirks.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ggml-backend.h>
#include <ggml.h>

bool quirks_word(const char *name)
{
    const char *list = getenv("QASR_GGML_AVOID");
    size_t n = strlen(name);
    for (const char *p = list ? list : ""; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncasecmp(p, name, n) == 0)
            return true;
    return false;
}

bool quirks_supports(struct ggml_backend_device *on, const struct ggml_tensor *op)
{
    return !quirks_word(ggml_op_name(op->op)) && ggml_backend_dev_supports_op(on, op);
}
