/* Public entry points of the quantizer: fill in defaults, check arguments, call the engine. */
#include "qasr/qasr.h"

#include <string.h>

#include "base/options.h"
#include "base/error.h"
#include "base/mem.h"
#include "engine/convert.h"

qasr_status qasr_quantize(const qasr_quantize_options *opt, qasr_quantize_report *report, qasr_error *err)
{
    qasr_quantize_options own = QASR_QUANTIZE_OPTIONS_INIT;
    TRY(options_read(&own, sizeof own, opt, "QASR_QUANTIZE_OPTIONS_INIT", err));
    if (!own.input || !own.input[0])
        return error_set(err, QASR_E_INVALID, "no input: give a model directory, a safetensors or a GGUF file");
    if (!own.dry_run && (!own.output || !own.output[0]))
        return error_set(err, QASR_E_INVALID, "no output: give the name of the GGUF file to write");
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
