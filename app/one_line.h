/* Text of a model or a name in formats with a line for each entry. */
#ifndef QASR_APP_ONE_LINE_H
#define QASR_APP_ONE_LINE_H

#include <stdio.h>

/* Writes UTF-8 without what ends a line or a column for any reader: runs of control characters and of line and
 * paragraph separators become a space. */
void one_line_put(FILE *f, const char *text);

#endif
