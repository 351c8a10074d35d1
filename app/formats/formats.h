/* The formats of transcripts: a small table of functions for each. */
#ifndef QASR_APP_FORMATS_FORMATS_H
#define QASR_APP_FORMATS_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "app/formats/subtitle.h"
#include "qasr/qasr.h"

typedef struct format_item {
    const char *file;
    int channel;          /* of the file; 0: all channels in one result */
    const char *detected; /* language detected before one was forced; NULL: not detected */
    const subtitle_limits *limits;
    const qasr_model *model;
    const char *model_path;
    const qasr_session *session;
    const qasr_result *result; /* NULL: the file failed */
    const char *error;         /* then its message */
    double load_s;
    size_t index, n_files; /* position and number of files */
    bool csv_bom;          /* CSV begins with a byte order mark */
} format_item;

/* A stream is begin, then for each file its segments and item, then end; a NULL function writes nothing. False: out of
 * memory. */
typedef struct format_writer {
    const char *name; /* also the file extension */
    bool holds_many;  /* one stream may contain the results of several files */
    bool as_it_comes; /* write segments as they arrive, since readers can detect an incomplete file; else a file's
                         segments once it is complete */
    void (*begin)(FILE *f, size_t n_files);
    bool (*segment)(FILE *f, const format_item *item, const qasr_segment *segment); /* the item has no result yet */
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

/* Begins a stream; csv_bom: CSV with a byte order mark, without which Excel does not take it for UTF-8. */
void format_begin(FILE *f, const format_writer *format, size_t n_files, bool csv_bom);
/* Writes the segments of a result, then the result; format_put_whole writes a whole stream with one result. False
 * without memory (printed). */
bool format_put_result(FILE *f, const format_writer *format, const format_item *item, bool with_segments);
bool format_put_whole(FILE *f, const format_writer *format, const format_item *item);

/* Subtitles of a result; those of a segment span its speech, and short ones more. False without memory. */
bool format_subtitles(const format_item *item, const subtitle_limits *limits, subtitle_fn show, void *user);
/* "00:00:01,500 --> 00:00:02,000" and a newline, with the given decimal mark; lasts at least a millisecond. */
void format_put_times(FILE *f, double start_s, double end_s, char mark);

#endif
