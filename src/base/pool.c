/* Worker threads that run one parallel loop at a time.
 *
 * pool_run fills in a job and publishes it under a new generation number. A worker that sees a new generation takes a
 * seat if the job is still open, takes task indices from a shared counter until none is left, and returns the seat. The
 * caller works too. When the counter is exhausted, it closes the job and waits for the occupied seats only. So a worker
 * that was not scheduled in time delays nothing: with more threads than cores, the caller does more of the work.
 * Between jobs a worker spins briefly (the next matrix of the same token follows within microseconds), then sleeps on a
 * condition variable. */
#include "base/pool.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"

enum { SPIN_ROUNDS = 4000, CACHE_LINE = 64 };
#define JOB_OPEN 0x80000000u /* in seats: workers may still join */

struct pool {
    _Alignas(CACHE_LINE) atomic_size_t next_task;
    _Alignas(CACHE_LINE) atomic_uint generation; /* incremented for every job */
    _Alignas(CACHE_LINE) atomic_uint seats;      /* JOB_OPEN and the number of workers in the job */
    pool_fn fn;
    void *arg;
    size_t n_tasks;
    int spin_rounds; /* 0 with more threads than cores: spinning would take a core from a working thread */
    atomic_bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    unsigned n_sleeping; /* under mutex */
    unsigned n_workers;
    struct worker {
        pool *owner;
        unsigned index; /* from 1; 0 is the caller */
        pthread_t thread;
    } * workers;
};

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_tasks(pool *p, unsigned thread)
{
    for (;;) {
        size_t task = atomic_fetch_add_explicit(&p->next_task, 1, memory_order_relaxed);
        if (task >= p->n_tasks)
            return;
        p->fn(p->arg, task, thread);
    }
}

/* Returns the new generation once it differs from seen. */
static unsigned wait_for_job(pool *p, unsigned seen)
{
    for (int i = 0; i < p->spin_rounds; i++) {
        unsigned now = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (now != seen)
            return now;
        cpu_relax();
    }
    pthread_mutex_lock(&p->mutex);
    p->n_sleeping++;
    while (atomic_load(&p->generation) == seen)
        pthread_cond_wait(&p->wake, &p->mutex);
    p->n_sleeping--;
    pthread_mutex_unlock(&p->mutex);
    return atomic_load(&p->generation);
}

/* The job's fields may be read only between joining and leaving, while the job cannot end. */
static bool join_job(pool *p)
{
    unsigned seats = atomic_load(&p->seats);
    while (seats & JOB_OPEN)
        if (atomic_compare_exchange_weak(&p->seats, &seats, seats + 1))
            return true;
    return false;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pool *p = w->owner;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_job(p, seen);
        if (atomic_load(&p->stop))
            return NULL;
        if (join_job(p)) {
            run_tasks(p, w->index);
            atomic_fetch_sub_explicit(&p->seats, 1, memory_order_release);
        }
    }
}

static void publish(pool *p)
{
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->generation, 1);
    if (p->n_sleeping)
        pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

void pool_run(pool *p, pool_fn fn, void *arg, size_t n_tasks)
{
    if (!p || p->n_workers == 0 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++)
            fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n_tasks = n_tasks;
    atomic_store(&p->next_task, 0);
    atomic_store(&p->seats, JOB_OPEN);
    publish(p);
    run_tasks(p, 0);
    atomic_fetch_and(&p->seats, ~JOB_OPEN);
    for (int i = 0; atomic_load_explicit(&p->seats, memory_order_acquire) > 0; i++) {
        if (i < p->spin_rounds)
            cpu_relax();
        else
            sched_yield(); /* let the others finish */
    }
}

void pool_free(pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    publish(p);
    for (unsigned i = 0; i < p->n_workers; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    mem_free(p->workers);
    mem_free(p);
}

qasr_status pool_create(pool **out, unsigned n_threads, qasr_error *err)
{
    unsigned n_cores = pool_default_threads();
    if (n_threads == 0)
        n_threads = n_cores;
    pool *p;
    TRY(MEM_CALLOC(&p, 1, err));
    p->spin_rounds = n_threads <= n_cores ? SPIN_ROUNDS : 0;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    qasr_status status = MEM_CALLOC(&p->workers, n_threads, err);
    for (unsigned i = 0; status == QASR_OK && i + 1 < n_threads; i++) {
        struct worker *w = &p->workers[i];
        *w = (struct worker){ .owner = p, .index = i + 1 };
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            status = error_set(err, QASR_E_IO, "cannot start thread %u of %u: use fewer threads", i + 2, n_threads);
        else
            p->n_workers++;
    }
    if (status != QASR_OK) {
        pool_free(p);
        return status;
    }
    *out = p;
    return QASR_OK;
}

unsigned pool_threads(const pool *p) { return p ? p->n_workers + 1 : 1; }

#if defined(__linux__)
/* True if cpu is the first of its hyper-thread siblings within the mask. */
static bool is_first_sibling(int cpu, const cpu_set_t *mask)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (!f)
        return true;
    int first = cpu, a, b;
    char sep = 0;
    /* "0,64" or "0-1": count cpu unless the mask has a lower sibling */
    while (fscanf(f, "%d", &a) == 1) {
        b = a;
        if (fscanf(f, "%c", &sep) == 1 && sep == '-' && fscanf(f, "%d", &b) == 1)
            (void)!fscanf(f, "%c", &sep);
        for (int i = a; i <= b && i < CPU_SETSIZE; i++)
            if (i >= 0 && i < first && CPU_ISSET(i, mask))
                first = i;
        if (sep != ',' && sep != '-')
            break;
    }
    fclose(f);
    return first == cpu;
}

/* The container's CPU quota in processors, rounded up; UINT_MAX without a quota. A container sees its own cgroup as the
 * root of the file system. Tries cgroup version 2, then version 1. */
static unsigned quota_cpus(void)
{
    long long quota = -1, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f) {
        if (fscanf(f, "%lld %lld", &quota, &period) != 2) /* "max 100000" */
            quota = -1;
        fclose(f);
    } else {
        static const char *const files[] = { "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                                             "/sys/fs/cgroup/cpu/cpu.cfs_period_us" };
        long long *values[] = { &quota, &period };
        for (int i = 0; i < 2; i++)
            if ((f = fopen(files[i], "re"))) {
                if (fscanf(f, "%lld", values[i]) != 1)
                    quota = -1;
                fclose(f);
            }
    }
    if (quota <= 0 || period <= 0 || quota / period >= CPU_SETSIZE)
        return UINT_MAX;
    return (unsigned)((quota + period - 1) / period);
}

unsigned pool_default_threads(void)
{
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return 1;
    unsigned n = 0, quota = quota_cpus();
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mask) && is_first_sibling(cpu, &mask))
            n++;
    n = n < quota ? n : quota;
    return n ? n : 1;
}
#else
unsigned pool_default_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}
#endif
