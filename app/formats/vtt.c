/* Transcripts as WebVTT subtitles: a header, then a line of times, lines of text, an empty line. */
#include "app/formats/formats.h"

/* Escapes what would be read as tags and references. */
static void put_escaped(FILE *f, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        default: fputc(*text, f);
        }
}

static void show(void *user, double start_s, double end_s, const char *lines)
{
    FILE *f = user;
    format_put_times(f, start_s, end_s, '.');
    put_escaped(f, lines);
    fputs("\n\n", f);
}

static void begin(FILE *f, size_t n_files)
{
    (void)n_files;
    fputs("WEBVTT\n\n", f);
}

static bool item(FILE *f, const format_item *it) { return format_subtitles(it, it->limits, show, f); }

const format_writer format_vtt = { "vtt", false, false, begin, NULL, item, NULL };
