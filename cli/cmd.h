/* The commands and what they share. */
#ifndef QASR_CLI_CMD_H
#define QASR_CLI_CMD_H

#include <stdbool.h>

#include "opt.h"

extern const command cmd_transcribe, cmd_quantize, cmd_calibrate, cmd_info, cmd_devices, cmd_bench, cmd_eval, cmd_score;

/* "qasr: MESSAGE" on stderr. */
void cmd_print_error(const char *message);
/* The same for a message that may have bytes of files in it: control characters become '?'. Always false. */
bool cmd_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "qasr: warning: MESSAGE", the same way. */
void cmd_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
