/* Matrices whose rounding errors go where they do least harm. */
#ifndef QASR_QUANTIZE_CONVERT_CALIBRATED_H
#define QASR_QUANTIZE_CONVERT_CALIBRATED_H

#include "quantize/convert_job.h"

/* Marks the entries of the plan that will be calibrated, if the options want any. Errors: those of calibration_open;
 * INVALID (a calibration that knows no matrix, two of them). */
qasr_status convert_choose_calibrated(convert_job *j, qasr_error *err);
/* The same by audio, when a file has chosen before, for the types' sake. */
qasr_status convert_leave_to_audio(convert_job *j, qasr_error *err);
/* Converts these; scratch memory is there. What fails in a chunk is the job's failure. Errors: NOMEM, FORMAT; those of
 * qasr_calibrate. */
qasr_status convert_calibrated(convert_job *j, qasr_error *err);

#endif
