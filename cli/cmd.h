/* The commands, and what they share. */
#ifndef QASR_CLI_CMD_H
#define QASR_CLI_CMD_H

#include <stdbool.h>
#include <stdio.h>

#include "app/opt.h"

enum { EXIT_ALL_FAILED = 3 }; /* beside those of opt.h */

extern const command cmd_transcribe, cmd_quantize, cmd_calibrate, cmd_advise, cmd_info, cmd_devices, cmd_bench,
    cmd_eval, cmd_score, cmd_pull, cmd_models, cmd_help;
extern const command *const cmd_all[]; /* [cmd_count] */
extern const size_t cmd_count;
const command *cmd_find(const char *name); /* NULL if unknown */
/* Reports an unknown command; returns EXIT_USAGE. */
int cmd_unknown(const char *name);
/* The output of qasr --help. */
void cmd_print_overview(FILE *f);

/* Exit statuses and environment variables, for help and manual. */
typedef struct cmd_status {
    int status;
    const char *meaning;
} cmd_status;
typedef struct cmd_variable {
    const char *name, *meaning;
    const char *(*value)(size_t i); /* the i-th value it can have, NULL after the last; NULL: any value */
} cmd_variable;
extern const cmd_status cmd_exit_statuses[];
extern const size_t cmd_n_exit_statuses;
extern const cmd_variable cmd_variables[];
extern const size_t cmd_n_variables;
/* "exit status: 0 done, ..." with the end of the line. */
const char *cmd_exit_status_line(void);
/* The meaning of a variable, with its values; written into text. */
const char *cmd_variable_text(const cmd_variable *v, char *text, size_t size);

#endif
