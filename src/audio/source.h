/* A sound as its file has it: interleaved float frames at the file's own rate, from the first to the last. */
#ifndef QASR_AUDIO_SOURCE_H
#define QASR_AUDIO_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { SOURCE_MAX_CHANNELS = 256 };

typedef struct source source;

/* Opens a file ("-": standard input), or raw samples, or what a program makes of a file: the options raw and ffmpeg of
 * qasr_audio_options, the others are not looked at. path and the options' strings must live as long as the source.
 * Input that cannot seek is held in memory, encoded. Errors: IO, FORMAT, NOMEM, INVALID (raw). */
qasr_status source_open(source **out, const char *path, const qasr_audio_options *opt, qasr_error *err);
void source_close(source *s);             /* NULL is fine */
const char *source_name(const source *s); /* for messages */
int source_rate(const source *s);
int source_channels(const source *s);
/* What the file's header says; below 0: nothing. */
int64_t source_frames(const source *s);
/* Up to n frames [n, channels]; 0 at the end or where damage begins. */
size_t source_read(source *s, float *frames, size_t n);
/* After the last of n_frames was read: warns about damage, *damaged is set then; an error if nothing was there though
 * there should be. */
qasr_status source_check_end(source *s, uint64_t n_frames, bool *damaged, qasr_error *err);
/* Back to the first frame. Errors: as for opening; IO if the file has another rate or other channels by now. */
qasr_status source_rewind(source *s, qasr_error *err);
qasr_status source_changed(const source *s, qasr_error *err); /* the error for that */

/* Error INVALID if raw is none of "FORMAT:RATE:CHANNELS". */
qasr_status source_check_raw(const char *raw, qasr_error *err);

#endif
