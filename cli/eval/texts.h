/* Lists of texts by audio file: references and other people's transcripts. */
#ifndef QASR_CLI_EVAL_TEXTS_H
#define QASR_CLI_EVAL_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct file_text {
    char *file;     /* not empty, unique in its list */
    char *language; /* NULL: there is no such column or key */
    char *text;
    size_t line; /* where it stands */
} file_text;

typedef struct text_list {
    file_text *items;
    size_t n;
    size_t *by_name; /* indices in the order of file names */
} text_list;

/* Tab-separated, UTF-8, lines end with \n or \r\n; the first names the columns: file, language and text must be there,
 * others are ignored. Errors are printed with the number of the line, and there is nothing to free then. */
bool texts_read_references(text_list *list, const char *path);
/* The same without need for a language; or a JSON object a line, with keys file, text and perhaps language. */
bool texts_read_hypotheses(text_list *list, const char *path);
/* NULL if the file is not in the list. */
const file_text *texts_find(const text_list *list, const char *file);
void texts_free(text_list *list);

#endif
