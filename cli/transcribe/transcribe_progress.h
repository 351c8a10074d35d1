/* How far 'qasr transcribe' is: on a terminal one line that changes, with files, seconds of audio, speed and the time
 * that is left; elsewhere a line now and then, if it is long, and a line for each of several files that is done. */
#ifndef QASR_CLI_TRANSCRIBE_TRANSCRIBE_PROGRESS_H
#define QASR_CLI_TRANSCRIBE_TRANSCRIBE_PROGRESS_H

#include "app/progress.h"
#include "cli/transcribe/inputs.h"

typedef struct transcribe_progress {
    progress bar;
    size_t n_files, n_ended;
    double total_s;   /* of all audio; negative: some of it is not known */
    double done_s;    /* of audio, of files that ended */
    double segment_s; /* of the file that is next, so far */
    double begin_s;   /* a time */
    double line_s;    /* where the last line was, in seconds of audio; without a terminal */
} transcribe_progress;

void transcribe_progress_begin(transcribe_progress *p, const inputs *in, bool quiet);
/* So many more seconds of the next file are done. */
void transcribe_progress_segment(transcribe_progress *p, double seconds);
/* A file is done, which has so many seconds; it failed if that is negative. Call it after the results were written. */
void transcribe_progress_file(transcribe_progress *p, const input *in, double seconds);
void transcribe_progress_end(transcribe_progress *p);
/* Seconds since the beginning. */
double transcribe_progress_elapsed(const transcribe_progress *p);

#endif
