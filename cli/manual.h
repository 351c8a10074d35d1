/* Manual pages from the option tables, in the man macros of roff. */
#ifndef QASR_CLI_MANUAL_H
#define QASR_CLI_MANUAL_H

#include <stdio.h>

#include "app/opt.h"

/* qasr-COMMAND(1). */
void manual_print_command(FILE *f, const command *cmd);
/* qasr(1): all commands. */
void manual_print_overview(FILE *f);

#endif
