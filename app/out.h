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

/* True for NULL and "-". */
bool out_is_stdout(const char *path);
/* Before any work: true if a file can be written to path. False: not (printed). */
bool out_can_write(const char *path);
/* The same, and that text may be written there: it replaces no recording and no file of a model (protect.h). */
bool out_check(const char *path);
/* path NULL or "-": standard output. Includes out_check. False on error (printed). */
bool out_open(out *o, const char *path);
/* A file that is written as results come, whole lines at a time, after its first keep_bytes bytes. To be called after
 * out_check and file_lock_take. False on error (printed). */
bool out_open_lines(out *o, const char *path, size_t keep_bytes);
/* Writes the file (temporary name, fsync, rename; devices and pipes directly) or flushes standard output, or closes
 * lines. A replaced file keeps its mode and owner, and a link to it stays. False on error (printed). */
bool out_commit(out *o);
void out_abort(out *o);

/* True if writing to path (NULL: standard output) would overwrite the other file, or would write to the same place if
 * neither exists yet; under whatever names and links. */
bool out_is_same(const char *path, const char *other);
/* True if path is a regular file that is not empty. */
bool out_has_content(const char *path);
/* True for a device or a pipe. */
bool out_is_special(const char *path);

/* Flushes what was written so far, unless it is held back until out_commit. False if anything was lost (printed). */
bool out_show(out *o);
/* Flushes standard output. False if anything written to it was lost (printed, except for a closed pipe). */
bool out_flush_stdout(void);

#endif
