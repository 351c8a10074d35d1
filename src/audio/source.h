/* The sound of an input from its first frame to its last, interleaved floats at one rate: its links one after the
 * other, silence where something is lost, or what a program makes of it. */
#ifndef QASR_AUDIO_SOURCE_H
#define QASR_AUDIO_SOURCE_H

#include "audio/audio.h"

typedef struct source source;

/* Opens a file ("-": standard input), or raw samples: the options raw, track and ffmpeg of qasr_audio_options, the
 * others are not looked at. path and the options' strings must live as long as the source. Errors: IO, FORMAT, NOMEM,
 * INVALID (raw). */
qasr_status source_open(source **out, const char *path, const qasr_audio_options *opt, qasr_error *err);
void source_close(source *s);             /* NULL is fine */
const char *source_name(const source *s); /* for messages */
int source_rate(const source *s);
int source_channels(const source *s);
/* As far as was counted or headers say; below 0: nothing. */
int64_t source_frames(const source *s);
/* Up to n frames [n, channels]; *n_read is 0 at the end only. Errors: NOMEM; FORMAT at the end, if nothing was there
 * though there should be. */
qasr_status source_read(source *s, float *frames, size_t n, size_t *n_read, qasr_error *err);
/* More damage, which its samples have shown. Error: NOMEM. */
qasr_status source_add_damage(source *s, double from_s, double to_s, const char *what, qasr_error *err);
/* Damage found while the source was read for the first time, and what was added; NULL after the last. */
const audio_damage *source_damage(const source *s, size_t i);
/* Back to the first frame. Errors: as for opening. */
qasr_status source_rewind(source *s, qasr_error *err);

#endif
