/* The text of a stretch of sound as subtitles: so many columns, so many lines, so long on the screen. */
#ifndef QASR_APP_FORMATS_SUBTITLE_H
#define QASR_APP_FORMATS_SUBTITLE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct subtitle_limits {
    int max_width; /* columns of a line, as a terminal counts them: 2 for a Chinese character */
    int max_lines; /* of a subtitle */
    double max_s;  /* that a subtitle may last */
} subtitle_limits;

/* lines: one or more, with '\n' between, no blank ones. */
typedef void (*subtitle_fn)(void *user, double start_s, double end_s, const char *lines);

/* Breaks text at the ends of sentences, then at other punctuation, then at spaces and between characters of scripts
 * that are written without, and in a word only if it is wider than a line. When each part is said follows from its
 * share of the characters. White space and control characters become one space. show is called for each subtitle in
 * order; they do not overlap and last at least a millisecond. False without memory. */
bool subtitle_break(const char *text, double start_s, double end_s, const subtitle_limits *limits, subtitle_fn show,
                    void *user);

#endif
