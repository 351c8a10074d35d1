/* Files that results must never replace, whatever the user names: recordings, and the files of models. */
#ifndef QASR_APP_PROTECT_H
#define QASR_APP_PROTECT_H

#include <stdbool.h>

/* What a regular file at path is that must be kept: "a recording, or another file that is not text", "a file of a
 * model". NULL if it may be replaced by a text, or does not exist. Decided by its content, not by its name. */
const char *protect_content(const char *path);
/* True if the name has the extension of an audio or video file, and is not that of a device or pipe. */
bool protect_is_audio_name(const char *path);
/* True if --dump-tensors may write to path: it does not exist, is empty, or holds an earlier dump. */
bool protect_allows_dump(const char *path);

#endif
