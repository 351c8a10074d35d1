/* Public entry point of calibration: fill in defaults, check arguments, call the engine. */
#include "qasr/qasr_tools.h"

#include "base/error.h"
#include "base/options.h"
#include "base/pool.h"
#include "quantize/calibrate.h"

static qasr_status check_options(const qasr_calibrate_options *opt, qasr_error *err)
{
    if (!opt->model || !opt->model[0])
        return error_set(err, QASR_E_INVALID, "no model: pass a model directory");
    if (!opt->audio || opt->n_audio == 0)
        return error_set(err, QASR_E_INVALID, "no audio: pass files, folders or lists");
    for (size_t i = 0; i < opt->n_audio; i++)
        if (!opt->audio[i])
            return error_set(err, QASR_E_INVALID, "audio file %zu has no name", i);
    if (!opt->output || !opt->output[0])
        return error_set(err, QASR_E_INVALID, "no output: pass the name of the GGUF file to write");
    if (opt->n_threads < 0 || opt->n_threads > POOL_MAX_THREADS)
        return error_set(err, QASR_E_INVALID, "%d threads requested, expected 0 to %d", opt->n_threads,
                         POOL_MAX_THREADS);
    if (opt->max_memory_mb < 0 || opt->limit < 0)
        return error_set(err, QASR_E_INVALID, "max_memory_mb and limit must not be negative");
    return QASR_OK;
}

qasr_status qasr_calibrate(const qasr_calibrate_options *opt, qasr_calibrate_report *report, qasr_error *err)
{
    qasr_calibrate_options own = QASR_CALIBRATE_OPTIONS_INIT;
    qasr_calibrate_report made = QASR_CALIBRATE_REPORT_INIT;
    TRY(options_read(&own, sizeof own, opt, "QASR_CALIBRATE_OPTIONS_INIT", err));
    TRY(check_options(&own, err));
    if (report && report->struct_size < sizeof report->struct_size)
        return error_set(err, QASR_E_INVALID, "start report from QASR_CALIBRATE_REPORT_INIT");
    if (report)
        made.struct_size = report->struct_size;
    TRY(calibrate_run(&own, &made, err));
    if (report)
        options_write(report, report->struct_size, &made, sizeof made);
    return QASR_OK;
}
