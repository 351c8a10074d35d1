/* Reports of a quantization to its caller: each tensor before it is written, warnings, and the final table of sizes and
 * errors. */
#ifndef QASR_QUANTIZE_CONVERT_REPORT_H
#define QASR_QUANTIZE_CONVERT_REPORT_H

#include "quantize/convert_job.h"

struct qasr_quantize_report {
    qasr_quantize_row *rows; /* [n_rows] */
    size_t n_rows;
    uint64_t file_bytes;
    double seconds;
    bool verified;
    qasr_verification verification; /* if verified */
};

/* Calls on_tensor for each planned tensor, in order. Error: CANCELLED. */
qasr_status convert_report_tensors(const convert_job *j, qasr_error *err);
/* Logs a warning if the input is quantized already, with its types and their shares of the weights. Error: NOMEM. */
qasr_status convert_report_lossy_input(const convert_job *j, qasr_error *err);
/* Fills rows: one for each combination of tensor kind and output type. Errors are zero in a dry run. Error: NOMEM. */
qasr_status convert_report_rows(qasr_quantize_report *report, const convert_job *j, qasr_error *err);

#endif
