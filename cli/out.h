/* Where results go: standard output, or a file that appears whole or not at all. */
#ifndef QASR_CLI_OUT_H
#define QASR_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "qasr/qasr.h"
#include "subtitle.h"

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
/* A file that is written to as results come, whole lines at a time: what is there up to keep_bytes stays. False on error (printed). */
bool out_open_lines(out *o, const char *path, size_t keep_bytes);
/* Writes the file (temporary name, fsync, rename; devices and pipes directly) or flushes standard output, or closes lines.
 * False on error (printed). */
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

/* The formats of transcripts. */
typedef struct out_item {
    const char *file;
    int channel;               /* of the file; 0: all of it is in this one result */
    const char *detected;      /* language that was heard before one was forced; NULL: nobody listened */
    const subtitle_limits *limits;
    const qasr_model *model;
    const char *model_path;
    const qasr_session *session;
    const qasr_result *result; /* NULL: the file failed */
    const char *error;         /* then its message */
    double load_s;
    size_t index, n_files;     /* which of how many */
} out_item;

/* A stream is begin, for each file its pieces and then item, end; a NULL function writes nothing. False: there was no memory. */
typedef struct out_format {
    const char *name;  /* also the ending of file names */
    bool holds_many;   /* one stream may have the results of several files */
    bool as_it_comes;  /* pieces are written when they are there, as readers can tell those of a file that never ended; else
                          all of a file when it is done */
    void (*begin)(FILE *f, size_t n_files);
    bool (*piece)(FILE *f, const out_item *item, const qasr_piece *piece); /* item without its result */
    bool (*item)(FILE *f, const out_item *item);
    void (*end)(FILE *f, size_t n_files);
} out_format;

extern const out_format out_txt, out_json, out_jsonl, out_srt, out_vtt, out_tsv, out_csv, out_lrc;

/* All of them, as bits of a set: bit i is out_formats[i], named out_format_names[i], which ends with NULL. */
enum { OUT_TXT, OUT_JSON, OUT_JSONL, OUT_SRT, OUT_VTT, OUT_TSV, OUT_CSV, OUT_LRC, OUT_FORMATS };
extern const out_format *const out_formats[OUT_FORMATS];
extern const char *const out_format_names[OUT_FORMATS + 1];

/* The pieces of a result, then the result; and all of a stream with one result. False without memory (printed). */
bool out_put_result(FILE *f, const out_format *format, const out_item *item, bool with_pieces);
bool out_put_whole(FILE *f, const out_format *format, const out_item *item);

/* Subtitles of a result, each piece's from the first to the last sound in it. False without memory. */
bool out_subtitles(const out_item *item, const subtitle_limits *limits, subtitle_fn show, void *user);
/* "00:00:01,500 --> 00:00:02,000" and the end of the line, with that decimal mark; at least a millisecond. */
void out_put_times(FILE *f, double start_s, double end_s, char mark);

/* "[480,1,3,3]" */
void out_shape_text(char *text, size_t size, unsigned n_dims, const uint64_t shape[4]);

/* Largest memory this process had, in MiB. */
double out_peak_rss_mb(void);
/* Seconds of work per second of audio; 0 without audio. */
double out_real_time_factor(const qasr_timings *t);
/* Milliseconds of decoding per token that it gave; 0 without tokens. */
double out_ms_per_token(const qasr_timings *t);

#endif
