/* The commands and what they share. */
#ifndef QASR_CLI_CMD_H
#define QASR_CLI_CMD_H

#include <stdbool.h>
#include <stdio.h>

#include "app/opt.h"

extern const command cmd_transcribe, cmd_quantize, cmd_calibrate, cmd_info, cmd_devices, cmd_bench, cmd_eval, cmd_score,
    cmd_pull, cmd_models, cmd_help;
extern const command *const cmd_all[]; /* [cmd_count] */
extern const size_t cmd_count;
const command *cmd_find(const char *name); /* NULL: there is none */
/* Usage error for a word that is no command: EXIT_USAGE. */
int cmd_unknown(const char *name);
/* What qasr --help shows. */
void cmd_print_overview(FILE *f);

/* What exit statuses and environment variables mean, for help and manual. */
typedef struct cmd_status {
    int status;
    const char *meaning;
} cmd_status;
typedef struct cmd_variable {
    const char *name, *meaning;
} cmd_variable;
extern const cmd_status cmd_exit_statuses[];
extern const size_t cmd_n_exit_statuses;
extern const cmd_variable cmd_variables[];
extern const size_t cmd_n_variables;

#endif
