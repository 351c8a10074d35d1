/* See outline.h. */
#include "weights/outline.h"

#include <string.h>

#include "weights/container.h"

static qasr_status add(weights *w, const wtensor *from, qasr_error *err)
{
    wtensor t = { .type = from->type, .n_dims = from->n_dims };
    memcpy(t.shape, from->shape, sizeof t.shape);
    const char *wrong = wtensor_measure(&t);
    if (wrong)
        return error_set(err, QASR_E_FORMAT, "tensor '%s' %s", from->name, wrong);
    TRY(weights_add_text(w, from->name, strlen(from->name), &t.name, err));
    return weights_add_tensor(w, &t, err);
}

qasr_status weights_create_outline(weights **out, const wtensor *tensors, size_t n, qasr_error *err)
{
    weights *w;
    TRY(weights_create(&w, WEIGHTS_SAFETENSORS, err));
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < n && status == QASR_OK; i++)
        status = add(w, &tensors[i], err);
    if (status == QASR_OK)
        status = weights_finish(w, err);
    if (status != QASR_OK) {
        weights_close(w);
        return status;
    }
    *out = w;
    return QASR_OK;
}
