/* Names that recordings have. */
#ifndef QASR_APP_AUDIO_NAME_H
#define QASR_APP_AUDIO_NAME_H

#include <stdbool.h>

/* True if the file name has the extension of an audio or video file. */
bool audio_name_is(const char *path);

#endif
