/* Resumes a run of 'qasr transcribe' that was interrupted or partly failed, from the JSON lines that it wrote. */
#ifndef QASR_CLI_TRANSCRIBE_RESUME_H
#define QASR_CLI_TRANSCRIBE_RESUME_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/transcribe/inputs.h"

/* The lines of an input that is tried again. */
typedef struct resume_lines {
    const input *in;
    size_t begin, end; /* bytes */
    bool has_text;     /* it succeeded, but is suspect */
    bool replaced;     /* superseded by new lines */
} resume_lines;

/* Starts as { 0 }. */
typedef struct resume {
    size_t keep_bytes; /* length of the file to keep, up to the last line that ends an input; the rest is rewritten */
    resume_lines *old; /* [n], in the order of the file */
    size_t n, capacity;
} resume;

/* Marks inputs whose results are in the file as skipped; those that failed, and with strict those with a warning, are
 * tried again. Names are compared as stored and normalized: a leading "./" does not matter. A missing file counts as
 * empty. False on error (printed). */
bool resume_read(resume *r, const char *path, inputs *in, bool strict);
/* Records the new result of an input, a text or an error; an error only replaces an error. */
void resume_result(resume *r, const input *in, bool has_text);
/* After the new lines were written and closed: removes the lines they replace. The file has both or only the new ones
 * at any time. False on error (printed). */
bool resume_finish(const resume *r, const char *path);
void resume_free(resume *r);

#endif
