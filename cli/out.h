/* Where results go: standard output, or a file that appears whole or not at all. */
#ifndef QASR_CLI_OUT_H
#define QASR_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "qasr/qasr.h"

/* A result goes into f; for a file that is memory until out_commit. */
typedef struct out {
    FILE *f;
    const char *path; /* NULL: standard output */
    char *text;       /* of the memory stream */
    size_t size;
} out;

/* path NULL or "-": standard output. Reports a place that cannot be written at once. False on error (it
 * has been printed). */
bool out_open(out *o, const char *path);
/* Writes the file (temporary name, fsync, rename; devices and pipes directly) or flushes standard output.
 * False on error (printed). */
bool out_commit(out *o);
void out_abort(out *o);

/* True if a result written to path (NULL: standard output) would overwrite the file that is to be read. */
bool out_is_input(const char *path, const char *input);

/* Flushes standard output; false if anything written to it was lost (printed, but for a closed pipe). */
bool out_flush_stdout(void);

/* The formats of transcripts. */
typedef struct out_item {
    const char *file;
    const qasr_model *model;
    const char *model_path;
    const qasr_session *session;
    const qasr_result *result; /* NULL: the file failed */
    const char *error;         /* then its message */
    double load_s;
    size_t index, n_files;     /* which of how many */
} out_item;

typedef struct out_format {
    const char *name;
    void (*begin)(FILE *f, size_t n_files);
    void (*item)(FILE *f, const out_item *item);
    void (*end)(FILE *f, size_t n_files);
} out_format;

extern const out_format out_txt, out_json;

/* "[480,1,3,3]" */
void out_shape_text(char *text, size_t size, unsigned n_dims, const uint64_t shape[4]);

/* Largest memory this process had, in MiB. */
double out_peak_rss_mb(void);
/* Seconds of work per second of audio; 0 without audio. */
double out_real_time_factor(const qasr_timings *t);
/* Milliseconds of decoding per token that it gave; 0 without tokens. */
double out_ms_per_token(const qasr_timings *t);

#endif
