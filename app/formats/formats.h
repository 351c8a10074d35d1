/* The formats of transcripts: a small table of functions each. */
#ifndef QASR_APP_FORMATS_FORMATS_H
#define QASR_APP_FORMATS_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "app/formats/subtitle.h"
#include "qasr/qasr.h"

typedef struct format_item {
    const char *file;
    int channel;          /* of the file; 0: all of it is in this one result */
    const char *detected; /* language that was heard before one was forced; NULL: nobody listened */
    const subtitle_limits *limits;
    const qasr_model *model;
    const char *model_path;
    const qasr_session *session;
    const qasr_result *result; /* NULL: the file failed */
    const char *error;         /* then its message */
    double load_s;
    size_t index, n_files; /* which of how many */
} format_item;

/* A stream is begin, for each file its segments and then item, end; a NULL function writes nothing. False: there was no
 * memory. */
typedef struct format_writer {
    const char *name; /* also the ending of file names */
    bool holds_many;  /* one stream may have the results of several files */
    bool as_it_comes; /* segments are written when they are there, as readers can tell those of a file that never ended;
                         else all of a file when it is done */
    void (*begin)(FILE *f, size_t n_files);
    bool (*segment)(FILE *f, const format_item *item, const qasr_segment *segment); /* item without its result */
    bool (*item)(FILE *f, const format_item *item);
    void (*end)(FILE *f, size_t n_files);
} format_writer;

extern const format_writer format_txt, format_json, format_jsonl, format_srt, format_vtt, format_tsv, format_csv,
    format_lrc;

/* All of them; a set of formats has bit i for format_all[i]. */
enum {
    FORMAT_TXT,
    FORMAT_JSON,
    FORMAT_JSONL,
    FORMAT_SRT,
    FORMAT_VTT,
    FORMAT_TSV,
    FORMAT_CSV,
    FORMAT_LRC,
    FORMAT_COUNT
};
extern const format_writer *const format_all[FORMAT_COUNT];
const char *format_name(size_t i); /* NULL after the last */

/* The segments of a result, then the result; and all of a stream with one result. False without memory (printed). */
bool format_put_result(FILE *f, const format_writer *format, const format_item *item, bool with_segments);
bool format_put_whole(FILE *f, const format_writer *format, const format_item *item);

/* Subtitles of a result, each segment's from the first to the last sound in it. False without memory. */
bool format_subtitles(const format_item *item, const subtitle_limits *limits, subtitle_fn show, void *user);
/* "00:00:01,500 --> 00:00:02,000" and the end of the line, with that decimal mark; at least a millisecond. */
void format_put_times(FILE *f, double start_s, double end_s, char mark);

#endif
