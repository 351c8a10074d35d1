/* What is to be transcribed: the files that names stand for. */
#ifndef QASR_CLI_TRANSCRIBE_INPUTS_H
#define QASR_CLI_TRANSCRIBE_INPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "app/opt.h"
#include "qasr/qasr.h"

typedef struct input {
    char *path;       /* "-": standard input */
    const char *name; /* part of path: what its results are named after, relative to the folder that was searched */
    char *error;      /* why there is no sound; NULL: it is to be read */
    qasr_audio_options audio; /* how to read it */
    int channel;              /* of several results for a file: from 1; else 0 */
    bool skip;                /* its result is there already */
    char *detected;           /* language that was heard before the run; NULL: nobody listened */
} input;

typedef struct inputs {
    input *items;
    size_t n, capacity;
} inputs;

/* In the order of the names, those of a list after them: a folder stands for the sound files in it (regular ones), and
 * with recursive for those in the folders below, sorted; a pattern that is no file (*?[) for what it matches, sorted;
 * list (NULL: none; "-": standard input) has a name a line. A name that stands for nothing becomes an input with an
 * error. False if the list cannot be read or there is no memory (printed). Zeroed at first; freed in any case. */
bool inputs_collect(inputs *in, const opt_files *names, const char *list, bool recursive);
/* How all are to be read. */
void inputs_set_audio(inputs *in, const qasr_audio_options *audio);
/* After that: each file once for each of its channels. A file that cannot be opened gets its error. False without
 * memory (printed). */
bool inputs_split_channels(inputs *in);
bool inputs_have_stdin(const inputs *in);
/* True if the file name has the ending of a sound or video file. */
bool inputs_is_sound_name(const char *path);
void inputs_free(inputs *in);

#endif
