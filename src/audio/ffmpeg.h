/* A program that decodes a file for us: ffmpeg, or what takes the same arguments. */
#ifndef QASR_AUDIO_FFMPEG_H
#define QASR_AUDIO_FFMPEG_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"

enum { FFMPEG_MAX_TRACKS = 64, FFMPEG_MAX_CODECS = 8 };

/* The tracks of its input, from its messages. */
typedef struct ffmpeg_tracks {
    size_t n; /* audio tracks; 0: it did not say */
    struct {
        char language[8]; /* as in the file, of ISO 639; "": unknown */
        bool is_default;
    } tracks[FFMPEG_MAX_TRACKS];
    size_t n_pictures;
    char pictures[FFMPEG_MAX_CODECS][16]; /* codecs of what is not sound */
} ffmpeg_tracks;

typedef struct ffmpeg {
    pid_t pid;      /* above 0: it runs, or has not been waited for */
    int fd;         /* its output; 0: none */
    FILE *messages; /* what it says */
    int rate, channels;
} ffmpeg;

/* Starts the program (found on PATH, no shell) on a track with sound, counted from 0, of a file; it may read no more
 * than local files. in is a descriptor that is open on the file. False if there is no such program; errno says why. *f
 * is to be ended if it was started. */
bool ffmpeg_start(ffmpeg *f, const char *program, int in, size_t track);
/* Waits for the first bytes of its output, which hold rate and channels. False: there are none. */
bool ffmpeg_read_header(ffmpeg *f);
/* Up to n frames [n, channels] from 0 s of the file on, silence where it has none; 0 at the end. */
size_t ffmpeg_read(ffmpeg *f, float *frames, size_t n);
/* After ffmpeg_read_header, whatever that gave. */
void ffmpeg_list_tracks(const ffmpeg *f, ffmpeg_tracks *t);
/* When no more of its output is wanted: closes that and waits. False if it failed; text gets the last line that it
 * wrote about an error with the sound, which may be "". */
bool ffmpeg_finish(ffmpeg *f, char *text, size_t size);
/* Stops it if it still runs. Harmless on a zeroed struct. */
void ffmpeg_end(ffmpeg *f);

#endif
