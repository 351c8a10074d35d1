/* A run of 'qasr transcribe' that was interrupted, from the JSON lines that it wrote. */
#ifndef QASR_CLI_RESUME_H
#define QASR_CLI_RESUME_H

#include <stdbool.h>
#include <stddef.h>

#include "inputs.h"

/* Marks the inputs whose results are in the file, as inputs to skip; those that failed are to be tried again. *keep_bytes is how
 * much of the file is to stay: up to the last line that ends a file, so that what comes after it is written anew. A file that is
 * not there is an empty one. False on error (printed). */
bool resume_read(const char *path, inputs *in, size_t *keep_bytes);

#endif
