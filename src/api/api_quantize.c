/* Public entry points of the quantizer: fill in defaults, check arguments, call src/quantize; read the report. */
#include "qasr/qasr_tools.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/unfinished.h"
#include "quant/mix.h"
#include "quantize/convert.h"
#include "quantize/convert_report.h"

int qasr_can_quantize(void) { return HAVE_QUANTIZE; }

size_t qasr_qtype_count(void) { return quant_mix_count(); }
const char *qasr_qtype_name(size_t index) { return index < quant_mix_count() ? quant_mix_at(index)->name : NULL; }
int qasr_qtype_is_mix(size_t index) { return index < quant_mix_count() && quant_mix_at(index)->is_mix; }

static qasr_status check_options(const qasr_quantize_options *opt, qasr_error *err)
{
    if (!opt->input || !opt->input[0])
        return error_set(err, QASR_E_INVALID, "no input: pass a model directory, a safetensors or a GGUF file");
    if (!opt->dry_run && (!opt->output || !opt->output[0]))
        return error_set(err, QASR_E_INVALID, "no output: pass the name of the GGUF file to write");
    if (opt->n_tensor_types && (!opt->tensor_patterns || !opt->tensor_types))
        return error_set(err, QASR_E_INVALID, "%zu tensor types without %s", opt->n_tensor_types,
                         opt->tensor_patterns ? "their types" : "their patterns");
    for (size_t i = 0; i < opt->n_calibration_audio; i++)
        if (!opt->calibration_audio || !opt->calibration_audio[i])
            return error_set(err, QASR_E_INVALID, "calibration audio %zu has no name", i);
    for (size_t i = 0; i < opt->n_verify_audio; i++)
        if (!opt->verify_audio || !opt->verify_audio[i])
            return error_set(err, QASR_E_INVALID, "audio %zu for verification has no name", i);
    if (!(opt->auto_mix >= 0))
        return error_set(err, QASR_E_INVALID, "auto_mix is %g, expected bits per weight, or 0", opt->auto_mix);
    if (opt->auto_mix > 0 && opt->qtype)
        return error_set(err, QASR_E_INVALID,
                         "both a type, '%s', and an automatic mix of types are requested: choose one", opt->qtype);
    if (opt->auto_mix > 0 && !opt->calibration)
        return error_set(err, QASR_E_INVALID,
                         "an automatic mix of types needs calibration statistics, with covariances");
    return QASR_OK;
}

qasr_status qasr_quantize(const qasr_quantize_options *opt, qasr_quantize_report **report, qasr_error *err)
{
    qasr_quantize_options own = QASR_QUANTIZE_OPTIONS_INIT;
    qasr_quantize_report *made;
    TRY(options_read(&own, sizeof own, opt, "QASR_QUANTIZE_OPTIONS_INIT", err));
    TRY(check_options(&own, err));
    if (!own.qtype)
        own.qtype = "q8_0";
    if (!own.scope)
        own.scope = DECODER_SCOPE;
    if (strcmp(own.scope, "all") == 0)
        own.scope = "thinker.";
    if (!report)
        return convert_run(&own, NULL, err);
    TRY(MEM_CALLOC(&made, 1, err));
    qasr_status status = convert_run(&own, made, err);
    if (status == QASR_OK)
        *report = made;
    else
        mem_free(made);
    return status;
}

size_t qasr_quantize_report_row_count(const qasr_quantize_report *report) { return report->n_rows; }

const qasr_quantize_row *qasr_quantize_report_row(const qasr_quantize_report *report, size_t index)
{
    return index < report->n_rows ? &report->rows[index] : NULL;
}

uint64_t qasr_quantize_report_file_bytes(const qasr_quantize_report *report) { return report->file_bytes; }
double qasr_quantize_report_seconds(const qasr_quantize_report *report) { return report->seconds; }

const qasr_verification *qasr_quantize_report_verification(const qasr_quantize_report *report)
{
    return report->verified ? &report->verification : NULL;
}

void qasr_quantize_report_free(qasr_quantize_report *report)
{
    if (report)
        mem_free(report->rows);
    mem_free(report);
}

void qasr_remove_unfinished_files(void) { unfinished_remove_all(); }
