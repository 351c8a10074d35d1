/* Inputs: the audio files that the names on the command line stand for. */
#ifndef QASR_CLI_TRANSCRIBE_INPUTS_H
#define QASR_CLI_TRANSCRIBE_INPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "app/opt.h"
#include "cli/transcribe/left_out.h"
#include "qasr/qasr.h"

typedef struct input {
    char *path;               /* "-": standard input */
    const char *name;         /* part of path that names its results, relative to the searched folder */
    char *error;              /* why it cannot be read; NULL: no error */
    qasr_audio_options audio; /* how to read it */
    int channel;              /* from 1, if each channel gets a result; else 0 */
    bool skip;                /* its result exists already */
    char *detected;           /* language detected before the run; NULL: not detected */
} input;

typedef struct inputs {
    input *items;
    size_t n, capacity;
    left_out left_out; /* by the search of folders */
} inputs;

/* Collects inputs in the order of names, then those of list (NULL: none; "-": standard input), which has one name per
 * line, or with by_zero names that end with a zero byte. A folder stands for its regular audio files, with recursive
 * also those of its subfolders, sorted; a pattern
 * (*?[) that is not a file, for its matches, sorted. A name that matches nothing becomes an input with an error. False
 * if the list cannot be read or memory runs out (printed). in starts zeroed; call inputs_free in any case. */
bool inputs_collect(inputs *in, const opt_files *names, const char *list, bool by_zero, bool recursive);
/* Sets how all inputs are read. */
void inputs_set_audio(inputs *in, const qasr_audio_options *audio);
/* After inputs_set_audio: replaces each file by one input per channel. A file that cannot be opened becomes an input
 * with an error. False without memory (printed). */
bool inputs_split_channels(inputs *in);
bool inputs_have_stdin(const inputs *in);
void inputs_free(inputs *in);

#endif
