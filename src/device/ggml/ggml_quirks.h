/* The capabilities of a back end, minus those that the user excludes. QASR_GGML_AVOID=FLASH_ATTN_EXT,q4_0 lists ggml
 * operations and weight types, for drivers that implement them incorrectly and for tests of the fallbacks. */
#ifndef QASR_DEVICE_GGML_GGML_QUIRKS_H
#define QASR_DEVICE_GGML_GGML_QUIRKS_H

#include <stdbool.h>

struct ggml_backend_device;
struct ggml_tensor;

/* True if QASR_GGML_AVOID contains the name, in upper or lower case. */
bool quirks_word(const char *name);
/* True if the device supports the operation of the tensor and the user does not exclude it. */
bool quirks_supports(struct ggml_backend_device *on, const struct ggml_tensor *op);

#endif
