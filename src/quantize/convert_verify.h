/* Verification as part of a quantization: whether there is one, its keys in the file, its limits (verify.h measures).
 */
#ifndef QASR_QUANTIZE_CONVERT_VERIFY_H
#define QASR_QUANTIZE_CONVERT_VERIFY_H

#include "quantize/convert_job.h"

/* Once the encoder's types are known: finds out whether the file is to be verified, and if so, that it can be. Errors:
 * INVALID (an input that is not a complete model, no audio), those of input_model_open_whole and verifier_create. */
qasr_status convert_verify_prepare(convert_job *j, qasr_error *err);
/* Reserves the keys, with values that are replaced later. */
qasr_status convert_verify_add_keys(convert_job *j, qasr_error *err);
/* Verifies the written file before it gets its name, and replaces the values of its keys. Error: INVALID if it fails,
 * unless keep_failed is set; then a warning. Others: those of verifier_run. */
qasr_status convert_verify(convert_job *j, qasr_verification *out, qasr_error *err);

#endif
