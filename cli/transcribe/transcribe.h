/* Arguments of 'qasr transcribe', and the run. */
#ifndef QASR_CLI_TRANSCRIBE_TRANSCRIBE_H
#define QASR_CLI_TRANSCRIBE_TRANSCRIBE_H

#include "app/formats/subtitle.h"
#include "app/opt.h"
#include "cli/transcribe/inputs.h"
#include "qasr/qasr.h"

typedef struct transcribe_args {
    const char *model, *context_file, *output, *output_dir, *list, *list0;
    const char *channel, *segment; /* as given */
    opt_files files;
    unsigned formats; /* set of format_all */
    int csv_bom, recursive, skip_existing, resume, strict, translate_warning, timings, quiet;
    qasr_model_options model_options;
    qasr_session_options session_options;
    qasr_transcribe_options options;
    qasr_audio_options audio;
    subtitle_limits limits;
    bool split_channels, list_by_zero; /* names in list end with a zero byte */
    char *context_text;                /* content of context_file */
} transcribe_args;

/* Transcribes, prints errors, and returns the exit status. */
int transcribe_run(const transcribe_args *a, inputs *in);

#endif
