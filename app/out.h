/* Output of results: standard output, or a file that is written completely or not at all. */
#ifndef QASR_APP_OUT_H
#define QASR_APP_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Results are written to f; for a file, f is a memory stream until out_commit. */
typedef struct out {
    FILE *f;
    const char *path; /* NULL: standard output */
    bool as_it_comes; /* lines */
    bool failed;      /* lines were lost (printed) */
    char *text;       /* memory stream's buffer */
    size_t size;
} out;

/* path NULL or "-": standard output. Reports at once if the file cannot be written. False on error (printed). */
bool out_open(out *o, const char *path);
/* A file that is written as results come, whole lines at a time, after its first keep_bytes bytes. False on
 * error (printed). */
bool out_open_lines(out *o, const char *path, size_t keep_bytes);
/* Writes the file (temporary name, fsync, rename; devices and pipes directly) or flushes standard output, or closes
 * lines. False on error (printed). */
bool out_commit(out *o);
void out_abort(out *o);

/* True if writing to path (NULL: standard output) would overwrite the input file. */
bool out_is_input(const char *path, const char *input);
/* True if path is a regular file that is not empty. */
bool out_has_content(const char *path);

/* Flushes what was written so far, unless it is held back until out_commit. False if anything was lost (printed). */
bool out_show(out *o);
/* Flushes standard output. False if anything written to it was lost (printed, except for a closed pipe). */
bool out_flush_stdout(void);

#endif
