/* Public entry points of estimates: choose the model, an outline of it where files are not needed, and call
 * src/engine. */
#include "qasr/qasr_tools.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "device/registry.h"
#include "engine/engine.h"
#include "engine/estimate.h"
#include "model/published.h"
#include "quantize/planned_model.h"

const char *qasr_published_model_name(size_t index) { return published_name(index); }

static qasr_status check_options(const qasr_estimate_options *opt, qasr_error *err)
{
    if (!opt->model == !opt->published)
        return error_set(err, QASR_E_INVALID, "%s: pass the path of a model or the name of a published one",
                         opt->model ? "two models" : "no model");
    if (opt->batch < 0 || opt->batch > DEVICE_MAX_SLOTS)
        return error_set(err, QASR_E_INVALID, "batch is %d, expected 0 to %d", opt->batch, DEVICE_MAX_SLOTS);
    return QASR_OK;
}

static qasr_status refuse_published(const char *name, qasr_error *err)
{
    char names[64] = "";
    for (size_t i = 0; published_name(i); i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", published_name(i));
    return error_set(err, QASR_E_INVALID, "no published model '%s', expected one of %s", name, names);
}

static qasr_status open_model(model **out, const qasr_estimate_options *opt, qasr_error *err)
{
    const qasr_model_options defaults = QASR_MODEL_OPTIONS_INIT;
    model_config published;
    if (opt->model)
        return model_open(out, opt->model, &defaults, err);
    if (!published_config(&published, opt->published))
        return refuse_published(opt->published, err);
    return model_create_outline(out, &published, err);
}

/* The model as qasr_quantize would write it. */
static qasr_status plan_model(model **m, const char *qtype, qasr_error *err)
{
    model *planned;
    TRY(planned_model_create(&planned, &(*m)->config, qtype, err));
    model_close(*m);
    *m = planned;
    return QASR_OK;
}

static qasr_status estimate(qasr_estimate *out, const qasr_estimate_options *opt, model **m, qasr_error *err)
{
    qasr_limits limits = QASR_LIMITS_INIT;
    estimate_conditions c = { .limits = &limits, .batch = (size_t)opt->batch };
    device *cpu;
    TRY(options_read(&limits, sizeof limits, opt->limits, "QASR_LIMITS_INIT", err));
    TRY(engine_find_kv_type(&c.kv_type, opt->kv_type, err));
    TRY(open_model(m, opt, err));
    if (opt->qtype)
        TRY(plan_model(m, opt->qtype, err));
    TRY(device_open(&cpu, "cpu", 1, DEVICE_FAST, err));
    estimate_transcription(out, *m, cpu, &c);
    device_close(cpu);
    return QASR_OK;
}

qasr_status qasr_estimate_transcription(const qasr_estimate_options *opt, qasr_estimate *out, qasr_error *err)
{
    qasr_estimate_options own_opt = QASR_ESTIMATE_OPTIONS_INIT;
    model *m = NULL;
    if (!opt || !out || out->struct_size < sizeof out->struct_size)
        return error_set(err, QASR_E_INVALID, "options and out are needed; start out from QASR_ESTIMATE_INIT");
    TRY(options_read(&own_opt, sizeof own_opt, opt, "QASR_ESTIMATE_OPTIONS_INIT", err));
    TRY(check_options(&own_opt, err));
    qasr_estimate own = { out->struct_size };
    qasr_status status = estimate(&own, &own_opt, &m, err);
    model_close(m);
    if (status == QASR_OK)
        options_write(out, out->struct_size, &own, sizeof own);
    return status;
}
