/* A small pool of worker threads that splits one loop at a time. The caller's thread takes part. Workers
 * spin briefly between runs, then sleep, so short loops start quickly and an idle session costs nothing. */
#ifndef QASR_BASE_POOL_H
#define QASR_BASE_POOL_H

#include <stddef.h>

#include "base/error.h"

enum { POOL_MAX_THREADS = 1024 }; /* what the options of the library accept */

typedef struct pool pool;

/* Task index in [0, n_tasks), thread index in [0, pool_threads). */
typedef void (*pool_fn)(void *arg, size_t task, unsigned thread);

/* n_threads includes the calling thread; 0 means the default (physical cores in the affinity mask).
 * Errors: NOMEM, IO (thread creation). */
qasr_status pool_create(pool **out, unsigned n_threads, qasr_error *err);
void pool_free(pool *p); /* NULL is fine */
unsigned pool_threads(const pool *p);
/* Calls fn for every task, in increasing order of start, each once, and returns when all are done.
 * One pool_run at a time per pool; not to be nested. p NULL: runs on the calling thread. */
void pool_run(pool *p, pool_fn fn, void *arg, size_t n_tasks);

/* Physical cores that this process may run on (affinity, container quota), at least 1. */
unsigned pool_default_threads(void);

#endif
