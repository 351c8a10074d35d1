/* Public entry points of the quantizer: fill in defaults, check arguments, call the engine. */
#include "qasr/qasr.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "quant/mix.h"
#include "quantize/convert.h"

size_t qasr_qtype_count(void) { return quant_mix_count(); }
const char *qasr_qtype_name(size_t index) { return index < quant_mix_count() ? quant_mix_at(index)->name : NULL; }
int qasr_qtype_is_mix(size_t index) { return index < quant_mix_count() && quant_mix_at(index)->is_mix; }

qasr_status qasr_quantize(const qasr_quantize_options *opt, qasr_quantize_report *report, qasr_error *err)
{
    qasr_quantize_options own = QASR_QUANTIZE_OPTIONS_INIT;
    TRY(options_read(&own, sizeof own, opt, "QASR_QUANTIZE_OPTIONS_INIT", err));
    if (!own.input || !own.input[0])
        return error_set(err, QASR_E_INVALID, "no input: give a model directory, a safetensors or a GGUF file");
    if (!own.dry_run && (!own.output || !own.output[0]))
        return error_set(err, QASR_E_INVALID, "no output: give the name of the GGUF file to write");
    for (size_t i = 0; i < own.n_calibration_audio; i++)
        if (!own.calibration_audio || !own.calibration_audio[i])
            return error_set(err, QASR_E_INVALID, "calibration audio %zu has no name", i);
    if (!(own.auto_mix >= 0))
        return error_set(err, QASR_E_INVALID, "auto_mix is %g, expected bits per weight, or 0", own.auto_mix);
    if (own.auto_mix > 0 && !own.calibration)
        return error_set(err, QASR_E_INVALID,
                         "an automatic mix of types needs a calibration to measure with; make one with: qasr "
                         "calibrate --covariance");
    if (!own.qtype)
        own.qtype = "q8_0";
    if (!own.scope)
        own.scope = "thinker.model.";
    if (strcmp(own.scope, "all") == 0)
        own.scope = "thinker.";
    return convert_run(&own, report, err);
}

void qasr_quantize_report_free(qasr_quantize_report *report)
{
    if (!report)
        return;
    mem_free(report->rows);
    *report = (qasr_quantize_report){ 0 };
}
