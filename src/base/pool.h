/* A small pool of worker threads that runs one parallel loop at a time. The calling thread takes part. Workers spin
 * briefly between loops, then sleep, so short loops start quickly and an idle session costs nothing. */
#ifndef QASR_BASE_POOL_H
#define QASR_BASE_POOL_H

#include <stddef.h>

#include "base/error.h"

enum { POOL_MAX_THREADS = 1024 }; /* maximum that the library's options accept */

typedef struct pool pool;

/* Task index in [0, n_tasks), thread index in [0, pool_threads). */
typedef void (*pool_fn)(void *arg, size_t task, unsigned thread);

/* n_threads includes the calling thread; 0 means pool_default_threads. Errors: NOMEM, IO (thread creation). */
qasr_status pool_create(pool **out, unsigned n_threads, qasr_error *err);
void pool_free(pool *p); /* NULL is fine */
unsigned pool_threads(const pool *p);
/* Calls fn once for every task, starting tasks in increasing order, and returns when all are done. Runs on the calling
 * thread if p is NULL. One pool_run at a time per pool; calls must not be nested. */
void pool_run(pool *p, pool_fn fn, void *arg, size_t n_tasks);

/* Number of physical cores that this process may use (affinity mask, container quota), at least 1. */
unsigned pool_default_threads(void);

#endif
