/* Conversion of matrices whose rounding errors are compensated, from calibration statistics or audio. */
#ifndef QASR_QUANTIZE_CONVERT_CALIBRATED_H
#define QASR_QUANTIZE_CONVERT_CALIBRATED_H

#include "quantize/convert_job.h"

/* Marks the plan's entries that will be calibrated, if the options ask for it. Errors: those of calibration_open;
 * INVALID (the calibration covers no matrix, both kinds of calibration are given). */
qasr_status convert_choose_calibrated(convert_job *j, qasr_error *err);
/* Marks them again for audio, after a file has served to choose the types. Error: INVALID (no matrix). */
qasr_status convert_recalibrate_by_audio(convert_job *j, qasr_error *err);
/* Converts the marked entries; convert_chunks_alloc has been called. A failing chunk leaves its error in job.failure.
 * Errors: NOMEM, FORMAT; those of qasr_calibrate. */
qasr_status convert_calibrated(convert_job *j, qasr_error *err);

#endif
