/* The abilities of a back end, less those that the user excludes: QASR_GGML_AVOID=FLASH_ATTN_EXT,q4_0 names
 * operations of ggml and types of weights, for drivers that have them and do them wrong, and for tests of what is done
 * instead. */
#ifndef QASR_DEVICE_GGML_GGML_QUIRKS_H
#define QASR_DEVICE_GGML_GGML_QUIRKS_H

#include <stdbool.h>

struct ggml_backend_device;
struct ggml_tensor;

bool quirks_word(const char *name);
/* The operation that makes the tensor is one of the device, and not to be avoided. */
bool quirks_supports(struct ggml_backend_device *on, const struct ggml_tensor *op);

#endif
