/* Reads the samples of a clip segment by segment: the caller's samples, or a file, of which only a window is in memory.
 */
#ifndef QASR_ENGINE_SEGMENT_READER_H
#define QASR_ENGINE_SEGMENT_READER_H

#include "audio/split.h"

typedef struct segment_reader {
    const float *pcm; /* [n_samples], owned by the caller */
    size_t n_samples;
    audio_stream *stream; /* NULL: the file is read to its end, or there is none */
    float *window;        /* samples of a file from the segment on; NULL: none */
    size_t n_window, max_window;
    split_rule rule;
    const float *ready;    /* samples of the segment found by segment_reader_next */
    split_segment segment; /* n_samples 0: the audio has ended. To take its timeline, zero that */
    log_mel logs;          /* log-mel from the start of the segment on, as far as the cut needed it */
    size_t n_passed;       /* samples before the segment */
    uint64_t n_total;
    audio_damage *damages; /* [n_damages] of the file, known once all of it is read; to take them, set NULL */
    size_t n_damages;
} segment_reader;

/* path NULL: pcm [n_samples]; else a file. path and the strings of audio (complete) must live as long as the reader. *s
 * must be zeroed, and closed after an error too. Errors as audio_stream_open. */
qasr_status segment_reader_open(segment_reader *s, const char *path, const qasr_audio_options *audio, const float *pcm,
                                size_t n_samples, split_rule rule, qasr_error *err);
/* Finds the next segment, valid until segment_reader_pass. Errors as audio_stream_read and split_next. */
qasr_status segment_reader_next(segment_reader *s, const mel *m, pool *p, qasr_error *err);
void segment_reader_pass(segment_reader *s);
void segment_reader_close(segment_reader *s); /* frees all memory; the counts stay */

#endif
