/* Progress of 'qasr transcribe': on a terminal, one updated line with files, seconds of audio, speed and remaining
 * time; elsewhere, occasional lines during long runs, and a line for each completed file if there are several. */
#ifndef QASR_CLI_TRANSCRIBE_TRANSCRIBE_PROGRESS_H
#define QASR_CLI_TRANSCRIBE_TRANSCRIBE_PROGRESS_H

#include "app/progress.h"
#include "cli/transcribe/inputs.h"

typedef struct transcribe_progress {
    progress bar;
    size_t n_files, n_ended;
    double total_s;   /* of all audio; negative: not known */
    double done_s;    /* of audio in completed files */
    double segment_s; /* of the next file, so far */
    double begin_s;   /* start time */
    double line_s;    /* audio position of the last line; without a terminal */
} transcribe_progress;

void transcribe_progress_begin(transcribe_progress *p, const inputs *in, bool quiet);
/* The given seconds of the next file have been transcribed. */
void transcribe_progress_segment(transcribe_progress *p, double seconds);
/* A file of the given seconds is done; negative: it failed. Call after its results were written. */
void transcribe_progress_file(transcribe_progress *p, const input *in, double seconds);
void transcribe_progress_end(transcribe_progress *p);
/* Seconds since transcribe_progress_begin. */
double transcribe_progress_elapsed(const transcribe_progress *p);

#endif
