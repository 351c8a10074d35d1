/* Which files quantize and calibrate may replace: only their own kind, whatever the name. */
#ifndef QASR_QUANTIZE_OUTPUT_FILE_H
#define QASR_QUANTIZE_OUTPUT_FILE_H

#include "base/error.h"

typedef enum output_kind {
    OUTPUT_MODEL,     /* a decoder or a complete model in one GGUF file */
    OUTPUT_STATISTICS /* a calibration file */
} output_kind;

/* OK if there is no such file, or if it may be replaced: it is empty, or GGUF of this kind. Errors: INVALID (it holds
 * something else: a recording, another part of a checkpoint, ...), IO, NOMEM. */
qasr_status output_file_check(const char *path, output_kind kind, qasr_error *err);

#endif
