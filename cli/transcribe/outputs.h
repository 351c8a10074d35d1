/* Results in a folder: one file per input and format. */
#ifndef QASR_CLI_TRANSCRIBE_OUTPUTS_H
#define QASR_CLI_TRANSCRIBE_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "app/formats/formats.h"
#include "cli/transcribe/inputs.h"

typedef struct outputs {
    const char *folder;
    unsigned formats;     /* set of format_all */
    const char *texts[2]; /* files that are read besides the audio; NULL: none */
} outputs;

/* Before any work: creates the folder and its subfolders, and makes sure that all results can be written, that no two
 * inputs share an output file, and that no input, recording or file of a model would be overwritten. With
 * skip_existing, marks inputs whose results all exist. False on error (printed). */
bool outputs_prepare(const outputs *o, inputs *in, bool skip_existing);
/* Writes the files of one input. False on error (printed). */
bool outputs_write(const outputs *o, const input *in, const format_item *item);

#endif
