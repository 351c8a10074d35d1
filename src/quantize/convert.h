/* Quantization of a checkpoint or of a GGUF file: one GGUF file out (docs/format.md). */
#ifndef QASR_QUANTIZE_CONVERT_H
#define QASR_QUANTIZE_CONVERT_H

#include "qasr/qasr_tools.h"

/* opt is complete: input, output (but for a dry run), qtype and scope are set. report (may be NULL) is filled on
 * success; its rows are freed with mem_free. on_progress is called on the calling thread only. */
qasr_status convert_run(const qasr_quantize_options *opt, qasr_quantize_report *report, qasr_error *err);

#endif
