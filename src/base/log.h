/* The library's log: a process-wide callback, silent by default. */
#ifndef QASR_BASE_LOG_H
#define QASR_BASE_LOG_H

#include "qasr/qasr.h"

void log_message(qasr_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_warning(...) log_message(QASR_LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_message(QASR_LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_message(QASR_LOG_DEBUG, __VA_ARGS__)

#endif
