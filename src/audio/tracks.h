/* Which of the tracks of a file is taken. */
#ifndef QASR_AUDIO_TRACKS_H
#define QASR_AUDIO_TRACKS_H

#include "audio/ffmpeg.h"

/* The option track: NULL, a number from 1 on, or a code of ISO 639 for a language. Error: INVALID. */
qasr_status tracks_check(const char *track, qasr_error *err);
/* The number of a track, counted from 0; 0 if it is none. */
size_t tracks_number(const char *track);
/* The track that is wanted among those of a file; NULL: the one that is marked as the default, else the first. Logs
 * which it is if there is a choice. Error FORMAT if there is no such track. */
qasr_status tracks_choose(size_t *chosen, const ffmpeg_tracks *t, const char *track, const char *name, qasr_error *err);

#endif
