/* Runs audio through a model and writes statistics of its matrices' inputs (docs/format.md). calibration_file.h reads
 * the file. */
#ifndef QASR_QUANTIZE_CALIBRATE_H
#define QASR_QUANTIZE_CALIBRATE_H

#include "qasr/qasr_tools.h"

/* opt is complete: model, audio and output are set, numbers are in range. On success all of report but struct_size is
 * filled. */
qasr_status calibrate_run(const qasr_calibrate_options *opt, qasr_calibrate_report *report, qasr_error *err);

#endif
