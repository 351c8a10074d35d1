/* A program that decodes a file for us: ffmpeg, or what takes the same arguments. */
#ifndef QASR_AUDIO_FFMPEG_H
#define QASR_AUDIO_FFMPEG_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"

typedef struct ffmpeg {
    pid_t pid;      /* above 0: it runs, or has not been waited for */
    int fd;         /* to read from: an AU file of 32-bit floats without a length; 0: none */
    FILE *messages; /* what it says */
} ffmpeg;

/* Starts the program (found on PATH, no shell) on the first sound in a file; it may read no more than local files. in
 * is a descriptor that is open on the file. False if there is no such program; errno says why. *f is to be ended if it
 * was started. */
bool ffmpeg_start(ffmpeg *f, const char *program, int in);
/* When no more of its output is wanted: closes that and waits. False if it failed; text gets the last line that it
 * wrote as a message, which may be "". */
bool ffmpeg_finish(ffmpeg *f, char *text, size_t size);
/* Stops it if it still runs. Harmless on a zeroed struct. */
void ffmpeg_end(ffmpeg *f);

#endif
