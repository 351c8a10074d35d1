/* Reads a text file line by line: UTF-8, lines ending in \n or \r\n, or with a zero byte. */
#ifndef QASR_APP_LINES_H
#define QASR_APP_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct json_t; /* jansson.h: for the .c files */

typedef struct lines {
    FILE *f;
    const char *path;
    char *text;       /* the current line without its line ending; may be modified */
    size_t number;    /* its number, from 1 */
    size_t end_bytes; /* of the file, up to and including this line */
    bool drop_torn;   /* set by the caller: ignore a last line without a line ending */
    bool any_bytes;   /* set by the caller: accept bytes that are not UTF-8 */
    bool by_zero;     /* set by the caller: lines end with a zero byte, and may contain any other */
    bool failed;      /* reading failed, or a line is invalid (printed) */
    size_t capacity;
} lines;

/* False if the file ("-": standard input) cannot be opened (printed). Call lines_close in any case. */
bool lines_open(lines *l, const char *path);
void lines_close(lines *l);
/* The next line; false at the end or if it cannot be read, is not UTF-8 or holds a zero byte (printed, failed is set).
 * Skips a byte order mark at the beginning of the file, unless by_zero. */
bool lines_next(lines *l);
/* Prints "'FILE' line N: MESSAGE", sets failed and returns false. */
bool lines_fail(lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Parses the line as a JSON object; NULL if it is not one (printed). */
struct json_t *lines_parse_object(lines *l);

#endif
