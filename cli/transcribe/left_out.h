/* What the search of folders leaves out, so that nothing is missing in silence. */
#ifndef QASR_CLI_TRANSCRIBE_LEFT_OUT_H
#define QASR_CLI_TRANSCRIBE_LEFT_OUT_H

#include <stddef.h>

enum { LEFT_OUT_KINDS = 8 };

/* Starts as { 0 }. */
typedef struct left_out {
    size_t n_files, n_subfolders, n_links;
    char kinds[LEFT_OUT_KINDS][24]; /* of files: extensions in lower case, "hidden", ... */
    size_t n_kinds;                 /* may be more than kinds has */
} left_out;

/* A file whose name says what it is: counted under its extension. */
void left_out_file(left_out *l, const char *name);
/* A file of another kind, such as "hidden". */
void left_out_kind(left_out *l, const char *kind);
/* Prints "left out: 3 files (.jpg, .txt), 1 subfolder" on stderr, if anything was. */
void left_out_print(const left_out *l);

#endif
