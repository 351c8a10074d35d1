/* Breaks the text of a segment into subtitles of limited width, height and duration. */
#ifndef QASR_APP_FORMATS_SUBTITLE_H
#define QASR_APP_FORMATS_SUBTITLE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct subtitle_limits {
    int max_width; /* columns of a line, as a terminal counts them: 2 for a Chinese character */
    int max_lines; /* of a subtitle */
    double max_s;  /* longest duration of a subtitle */
    double min_s;  /* shortest, as far as there is room (cues.h); subtitle_break ignores it */
} subtitle_limits;

/* lines: one or more, separated by '\n', none blank. */
typedef void (*subtitle_fn)(void *user, double start_s, double end_s, const char *lines);

/* Breaks text preferably at ends of sentences, then at other punctuation, then at spaces and between characters of
 * scripts without spaces, and inside a word only if it is wider than a line. Durations are proportional to the number
 * of characters. Runs of white space and control characters become one space. Calls show for each subtitle in order;
 * subtitles do not overlap and last at least a millisecond. False without memory. */
bool subtitle_break(const char *text, double start_s, double end_s, const subtitle_limits *limits, subtitle_fn show,
                    void *user);

#endif
