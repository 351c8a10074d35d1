/* A text file, line by line: UTF-8, ends of lines \n or \r\n. */
#ifndef QASR_APP_LINES_H
#define QASR_APP_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct json_t; /* jansson.h: for the .c files */

typedef struct lines {
    FILE *f;
    const char *path;
    char *text;       /* the current line without its end, to be changed at will */
    size_t number;    /* its number, from 1 */
    size_t end_bytes; /* of the file up to and with its end */
    bool drop_torn;   /* set by the caller: a last line that has no end is not read */
    bool any_bytes;   /* set by the caller: what is not UTF-8 is taken, too */
    bool failed;      /* reading, or what a line holds (printed) */
    size_t capacity;
} lines;

/* False if the file ("-": standard input) cannot be opened (printed). Close it in any case. */
bool lines_open(lines *l, const char *path);
void lines_close(lines *l);
/* The next line; false at the end or if it cannot be read, is not UTF-8 or holds a zero byte (printed, failed is set).
 * A byte order mark at the beginning of the file is left out. */
bool lines_next(lines *l);
/* Prints "'FILE' line N: MESSAGE", sets failed and gives false. */
bool lines_fail(lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The line as one JSON object; NULL if it is none (printed). */
struct json_t *lines_parse_object(lines *l);

#endif
