/* Expands names of files, folders and lists of files into paths of audio files. */
#ifndef QASR_QUANTIZE_AUDIO_FILES_H
#define QASR_QUANTIZE_AUDIO_FILES_H

#include <stddef.h>

#include "base/error.h"

typedef struct audio_files {
    char **paths;
    size_t n, capacity;
} audio_files;

/* A folder stands for the audio files in it (by extension), sorted by name. A name that ends in .txt or .tsv is a list
 * with one path per line or, if its first line begins with "file" and a tab, a table whose first column has paths
 * relative to its folder. Any other name is an audio file. At most limit files, 0: all. Files are not opened. f must be
 * zeroed before the call and freed by the caller, after an error too. Errors: IO, INVALID (standard input, no files),
 * FORMAT (list too long), NOMEM. */
qasr_status audio_files_find(audio_files *f, const char *const *names, size_t n, size_t limit, qasr_error *err);
void audio_files_free(audio_files *f);

#endif
