/* The samples of a clip, segment by segment: the caller's own, or those of a file, of which only a window is in memory.
 */
#ifndef QASR_ENGINE_SEGMENT_READER_H
#define QASR_ENGINE_SEGMENT_READER_H

#include "audio/split.h"

typedef struct segment_reader {
    const float *pcm; /* [n_samples], the caller's */
    size_t n_samples;
    audio_stream *stream; /* of a file; NULL: all of it is read, or there is none */
    float *window;        /* samples of a file from the segment on; NULL: none */
    size_t n_window, max_window;
    split_rule rule;
    const float *ready;    /* the segment, where the last segment_reader_next left off */
    split_segment segment; /* n_samples 0: there is none, the sound is over */
    log_mel logs;          /* of audio that begins with the segment, as far as the cut needed them */
    size_t n_passed;       /* samples before it */
    uint64_t n_total;
    audio_damage *damages; /* [n_damages] of the file; known when all of it was read. Whoever takes them sets NULL */
    size_t n_damages;
} segment_reader;

/* path NULL: pcm [n_samples]; else a file, whose path and options (complete) must live
 * as long as the sound, but for the struct itself. A zeroed *s, to be closed after an error
 * too. Errors: those of audio_stream_open. */
qasr_status segment_reader_open(segment_reader *s, const char *path, const qasr_audio_options *audio, const float *pcm,
                                size_t n_samples, double max_segment_s, qasr_error *err);
/* Finds the next segment; it holds until segment_reader_pass. Errors: those of audio_stream_read and split_next. */
qasr_status segment_reader_next(segment_reader *s, const mel *m, pool *p, qasr_error *err);
void segment_reader_pass(segment_reader *s);
void segment_reader_close(segment_reader *s); /* frees what is held; the counts stay */

#endif
