/* Where results go: standard output, or a file that appears whole or not at all. */
#ifndef QASR_APP_OUT_H
#define QASR_APP_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A result goes into f; for a file that is memory until out_commit. */
typedef struct out {
    FILE *f;
    const char *path; /* NULL: standard output */
    bool as_it_comes; /* lines */
    bool failed;      /* lines were lost, which has been printed */
    char *text;       /* of the memory stream */
    size_t size;
} out;

/* path NULL or "-": standard output. Reports a place that cannot be written at once. False on error (it
 * has been printed). */
bool out_open(out *o, const char *path);
/* A file that is written to as results come, whole lines at a time: what is there up to keep_bytes stays. False on
 * error (printed). */
bool out_open_lines(out *o, const char *path, size_t keep_bytes);
/* Writes the file (temporary name, fsync, rename; devices and pipes directly) or flushes standard output, or closes
 * lines. False on error (printed). */
bool out_commit(out *o);
void out_abort(out *o);

/* True if a result written to path (NULL: standard output) would overwrite the file that is to be read. */
bool out_is_input(const char *path, const char *input);
/* True if there is a regular file that is not empty. */
bool out_has_content(const char *path);

/* What was written so far shows up, unless it waits for the rest. False if anything was lost (printed). */
bool out_show(out *o);
/* Flushes standard output; false if anything written to it was lost (printed, but for a closed pipe). */
bool out_flush_stdout(void);

#endif
