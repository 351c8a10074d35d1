/* Transcripts as SubRip subtitles: a number, a line of times, lines of text, an empty line. */
#include "app/formats/formats.h"

#include <string.h>

typedef struct writer {
    FILE *f;
    size_t n; /* subtitles so far */
} writer;

/* The format has no escapes: an arrow in the text would look like a line of times. */
static void put_lines(FILE *f, const char *lines)
{
    for (const char *arrow; (arrow = strstr(lines, "-->")); lines = arrow + 3)
        fprintf(f, "%.*s->", (int)(arrow - lines), lines);
    fprintf(f, "%s\n\n", lines);
}

static void show(void *user, double start_s, double end_s, const char *lines)
{
    writer *w = user;
    fprintf(w->f, "%zu\n", ++w->n);
    format_put_times(w->f, start_s, end_s, ',');
    put_lines(w->f, lines);
}

static bool item(FILE *f, const format_item *it)
{
    writer w = { .f = f };
    return format_subtitles(it, it->limits, show, &w);
}

const format_writer format_srt = { "srt", false, false, NULL, NULL, item, NULL };
