/* Replaces the other files of this folder in a library built with -Dquantize=disabled. */
#include "base/error.h"
#include "quantize/calibrate.h"
#include "quantize/convert.h"
#include "quantize/planned_model.h"

static qasr_status is_missing(const char *what, qasr_error *err)
{
    return error_set(err, QASR_E_UNSUPPORTED,
                     "cannot %s: qasr was built without quantization (-Dquantize=disabled); build it with "
                     "-Dquantize=enabled",
                     what);
}

qasr_status convert_run(const qasr_quantize_options *opt, qasr_quantize_report *report, qasr_error *err)
{
    (void)opt;
    (void)report;
    return is_missing("quantize", err);
}

qasr_status calibrate_run(const qasr_calibrate_options *opt, qasr_calibrate_report *report, qasr_error *err)
{
    (void)opt;
    (void)report;
    return is_missing("calibrate", err);
}

qasr_status planned_model_create(model **out, const model_config *c, const char *qtype, qasr_error *err)
{
    (void)out;
    (void)c;
    (void)qtype;
    return is_missing("plan a quantization", err);
}
