/* Lists of texts by audio file: references and transcripts. */
#ifndef QASR_CLI_EVAL_TEXTS_H
#define QASR_CLI_EVAL_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct file_text {
    char *file;     /* not empty, unique in its list */
    char *language; /* NULL: no such column or key */
    char *text;
    size_t line; /* line number */
} file_text;

typedef struct text_list {
    file_text *items;
    size_t n;
    size_t *by_name; /* indices sorted by file name */
} text_list;

/* Reads tab-separated UTF-8; lines end with \n or \r\n. The first line names the columns: file, language and text
 * are required; others are ignored. False on error (printed with the line number); there is nothing to free then. */
bool texts_read_references(text_list *list, const char *path);
/* The same with optional language; or JSON lines with the keys file, text and optionally language. */
bool texts_read_hypotheses(text_list *list, const char *path);
/* NULL if the file is not in the list. */
const file_text *texts_find(const text_list *list, const char *file);
void texts_free(text_list *list);

#endif
