/* Transcripts as LRC, the lyrics of music players: a line of text with the time at which it begins. */
#include "app/formats/formats.h"

#include <inttypes.h>

static void show(void *user, double start_s, double end_s, const char *lines)
{
    const uint64_t hundredths = (uint64_t)(100 * start_s + 0.5);
    (void)end_s;
    fprintf(user, "[%02" PRIu64 ":%02" PRIu64 ".%02" PRIu64 "]%s\n", hundredths / 6000, hundredths / 100 % 60,
            hundredths % 100, lines);
}

static bool item(FILE *f, const format_item *it)
{
    subtitle_limits limits = *it->limits;
    limits.max_lines = 1;
    limits.min_s = 0; /* a line is shown until the next one */
    return format_subtitles(it, &limits, show, f);
}

const format_writer format_lrc = { "lrc", false, false, NULL, NULL, item, NULL };
