/* Runs work in a child process, with separate memory and file mappings. */
#ifndef QASR_CLI_BENCH_CHILD_H
#define QASR_CLI_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* From now on SIGINT, SIGTERM and SIGHUP end the running child and set child_interrupted, instead of ending the
 * program. */
void child_catch_signals(void);
bool child_interrupted(void);

/* Runs in the child. What it writes to result is returned to the parent; reports errors on stderr and returns false. */
typedef bool (*child_fn)(const void *arg, FILE *result);

/* Forks, runs fn, waits. *data [*size] is what fn wrote; free it. False if it failed (printed) or was interrupted. The
 * caller must not have threads or an open model: the child starts with a copy of its memory. */
bool child_run(child_fn fn, const void *arg, char **data, size_t *size);
/* The same for a result of known size. */
bool child_run_fixed(child_fn fn, const void *arg, void *result, size_t size);

#endif
