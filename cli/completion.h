/* Scripts that complete commands, options and their values in a shell, from the option tables. */
#ifndef QASR_CLI_COMPLETION_H
#define QASR_CLI_COMPLETION_H

#include <stdio.h>

typedef struct completion_shell {
    const char *name;
    void (*print)(FILE *f);
} completion_shell;

extern const completion_shell completion_shells[];
extern const char *const completion_shell_names[]; /* in the same order, ends with NULL */

#endif
