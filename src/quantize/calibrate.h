/* Runs audio through a model and stores what the inputs of its matrices look like (docs/format.md). The file's reader
 * is calibration.h. */
#ifndef QASR_QUANTIZE_CALIBRATE_H
#define QASR_QUANTIZE_CALIBRATE_H

#include "qasr/qasr_tools.h"

/* opt is complete: model, audio and output are set, numbers are in range. report is filled on success,
 * but for struct_size. */
qasr_status calibrate_run(const qasr_calibrate_options *opt, qasr_calibrate_report *report, qasr_error *err);

#endif
