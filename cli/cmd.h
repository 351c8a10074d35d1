/* The commands and what they share. */
#ifndef QASR_CLI_CMD_H
#define QASR_CLI_CMD_H

#include "opt.h"

extern const command cmd_transcribe, cmd_quantize, cmd_calibrate, cmd_info, cmd_bench;

/* "qasr: MESSAGE" on stderr. */
void cmd_print_error(const char *message);

#endif
