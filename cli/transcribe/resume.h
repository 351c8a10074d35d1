/* A run of 'qasr transcribe' that was interrupted or partly failed, from the JSON lines that it wrote. */
#ifndef QASR_CLI_TRANSCRIBE_RESUME_H
#define QASR_CLI_TRANSCRIBE_RESUME_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/transcribe/inputs.h"

/* The lines of a file that is to be tried again. */
typedef struct resume_lines {
    const input *in;
    size_t begin, end; /* bytes */
    bool has_text;     /* it did not fail, but is suspect */
    bool replaced;     /* better ones came */
} resume_lines;

/* Starts as { 0 }. */
typedef struct resume {
    size_t keep_bytes; /* how much of the file is to stay: up to the last line that ends a file; what comes after it is
                          written anew */
    resume_lines *old; /* [n], as in the file */
    size_t n, capacity;
} resume;

/* Marks the inputs whose results are in the file, as inputs to skip; those that failed are to be tried again, and with
 * strict those with a warning. Names are compared as they are stored and without what does not matter in a path, as
 * "./" at its beginning. A file that is not there is an empty one. False on error (printed). */
bool resume_read(resume *r, const char *path, inputs *in, bool strict);
/* An input has its new result, with a text or an error: an error takes the place of an error only. */
void resume_result(resume *r, const input *in, bool has_text);
/* After the new lines were written and closed: takes out those that were replaced. The file has both or the new ones,
 * whatever happens. False on error (printed). */
bool resume_finish(const resume *r, const char *path);
void resume_free(resume *r);

#endif
