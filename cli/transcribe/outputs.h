/* Results in a folder: a file for each input and format. */
#ifndef QASR_CLI_TRANSCRIBE_OUTPUTS_H
#define QASR_CLI_TRANSCRIBE_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "app/formats/formats.h"
#include "cli/transcribe/inputs.h"

typedef struct outputs {
    const char *folder;
    unsigned formats; /* set of format_all */
} outputs;

/* Before anything is computed: makes the folder and those in it, and sees to it that no two inputs have the same name
 * there and none would be written over. With skip_existing, inputs whose results are all there are marked. False on
 * error (printed). */
bool outputs_prepare(const outputs *o, inputs *in, bool skip_existing);
/* The files of one input. False on error (printed). */
bool outputs_write(const outputs *o, const input *in, const format_item *item);

#endif
