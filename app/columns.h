/* Columns of text on a terminal. */
#ifndef QASR_APP_COLUMNS_H
#define QASR_APP_COLUMNS_H

/* East Asian wide characters take two columns, combining marks none. Malformed bytes count as one each. */
int columns_of(const char *text);
/* Prints text and spaces up to width columns. */
void columns_pad(const char *text, int width);

#endif
