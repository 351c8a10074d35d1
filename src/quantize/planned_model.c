/* See planned_model.h. */
#include "quantize/planned_model.h"

#include "base/mem.h"
#include "quantize/bundle.h"
#include "quantize/plan.h"
#include "weights/outline.h"

static qasr_status outline_plan(weights **out, const plan *p, qasr_error *err)
{
    wtensor *tensors;
    size_t n = 0;
    TRY(MEM_ALLOC(&tensors, p->n, err));
    for (size_t i = 0; i < p->n; i++)
        if (!p->entries[i].skipped) {
            tensors[n] = *p->entries[i].t;
            tensors[n++].type = p->entries[i].type;
        }
    qasr_status status = weights_create_outline(out, tensors, n, err);
    mem_free(tensors);
    return status;
}

static qasr_status plan_outline(plan *p, const model *source, const char *qtype, qasr_error *err)
{
    plan_rules rules = { .scope = BUNDLE_SCOPE,
                         .tied = source->config.dec.tied_head,
                         .quantize_embeddings = true,
                         .exact_convolutions = true };
    TRY(plan_find_mix(&rules.decoder, qtype, "type", err));
    rules.encoder = plan_encoder_mix(&rules.decoder);
    const weights *const sources[] = { source->decoder };
    return plan_build(p, sources, 1, &rules, err);
}

qasr_status planned_model_create(model **out, const model_config *c, const char *qtype, qasr_error *err)
{
    model *source;
    plan p = { 0 };
    weights *w = NULL;
    TRY(model_create_outline(&source, c, err));
    qasr_status status = plan_outline(&p, source, qtype, err);
    if (status == QASR_OK)
        status = outline_plan(&w, &p, err);
    if (status == QASR_OK)
        status = model_create_from_outline(out, c, w, err);
    if (status != QASR_OK)
        weights_close(w);
    plan_free(&p);
    model_close(source);
    return status;
}
