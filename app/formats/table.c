/* Transcripts as tables, a row for each segment with text: tab-separated (TSV, which has no escapes: separators
 * become spaces), and comma-separated (CSV as in RFC 4180, but with LF line endings). */
#include "app/formats/formats.h"

#include <math.h>
#include <string.h>

#include "app/one_line.h"

static const char *const columns[] = { "file", "channel", "start", "end", "language", "text" };
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

typedef void (*cell_fn)(FILE *f, const char *text);

static void put_csv(FILE *f, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

static void put_row(FILE *f, const char *const cells[N_COLUMNS], char separator, cell_fn put)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        if (i > 0)
            fputc(separator, f);
        put(f, cells[i]);
    }
    fputc('\n', f);
}

static bool put_segment(FILE *f, const format_item *it, const qasr_segment *p, char separator, cell_fn put)
{
    char channel[16] = "", start[32], end[32];
    if (!*p->text)
        return true;
    if (it->channel)
        snprintf(channel, sizeof channel, "%d", it->channel);
    snprintf(start, sizeof start, "%.3f", round(1000 * p->start_s) / 1000); /* as in JSON */
    snprintf(end, sizeof end, "%.3f", round(1000 * p->end_s) / 1000);
    put_row(f, (const char *const[N_COLUMNS]){ it->file, channel, start, end, p->language, p->text }, separator, put);
    return true;
}

static void begin_tsv(FILE *f, size_t n_files)
{
    (void)n_files;
    put_row(f, columns, '\t', one_line_put);
}

static void begin_csv(FILE *f, size_t n_files)
{
    (void)n_files;
    put_row(f, columns, ',', put_csv);
}

static bool segment_tsv(FILE *f, const format_item *it, const qasr_segment *p)
{
    return put_segment(f, it, p, '\t', one_line_put);
}
static bool segment_csv(FILE *f, const format_item *it, const qasr_segment *p)
{
    return put_segment(f, it, p, ',', put_csv);
}

const format_writer format_tsv = { "tsv", true, false, begin_tsv, segment_tsv, NULL, NULL };
const format_writer format_csv = { "csv", true, false, begin_csv, segment_csv, NULL, NULL };
