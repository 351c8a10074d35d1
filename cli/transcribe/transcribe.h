/* What 'qasr transcribe' was asked for, and the run that does it. */
#ifndef QASR_CLI_TRANSCRIBE_TRANSCRIBE_H
#define QASR_CLI_TRANSCRIBE_TRANSCRIBE_H

#include "app/formats/subtitle.h"
#include "app/opt.h"
#include "cli/transcribe/inputs.h"
#include "qasr/qasr.h"

typedef struct transcribe_args {
    const char *model, *decoder_gguf, *mmproj, *language, *context, *context_file, *output, *output_dir, *list,
        *channel, *raw, *ffmpeg, *segment, *dump_tensors;
    opt_files files;
    const char *device;
    int decoder_weights, attention, precision, kv_type; /* indices into the lists of choices */
    unsigned formats;                                   /* set of out_formats */
    int recursive, skip_existing, resume, strict, translate_warning;
    int max_new_tokens, ignore_eos, n_threads, batch, timings, confidence, quiet, no_mmap, mlock;
    int max_line_width, max_lines;
    double max_line_s, start_s, duration_s;
    /* What they come to. */
    qasr_model_options model_options;
    qasr_session_options session_options;
    qasr_transcribe_options options;
    qasr_audio_options audio;
    subtitle_limits limits;
    bool split_channels;
    char *context_text; /* of the file */
} transcribe_args;

/* Transcribes; gives the exit status. All that is wrong has been printed. */
int transcribe_run(const transcribe_args *a, inputs *in);

#endif
