/* Worker threads for one loop at a time.
 *
 * pool_run publishes a job under a new generation number; workers take task indices from a shared counter
 * and report when the counter is exhausted. Between jobs a worker spins for a short while (the next
 * matrix of the same token comes within microseconds), then sleeps on a condition variable. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"

enum { SPIN_ROUNDS = 4000, CACHE_LINE = 64 };

struct pool {
    _Alignas(CACHE_LINE) atomic_size_t next_task;
    _Alignas(CACHE_LINE) atomic_uint generation; /* bumped for every job */
    _Alignas(CACHE_LINE) atomic_uint n_running;  /* workers not yet done with the current job */
    pool_fn fn;
    void *arg;
    size_t n_tasks;
    atomic_bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    unsigned n_sleeping; /* under mutex */
    unsigned n_workers;
    struct worker {
        pool *owner;
        unsigned index; /* 1.. : 0 is the caller */
        pthread_t thread;
    } *workers;
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
    for (int i = 0; i < SPIN_ROUNDS; i++) {
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

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pool *p = w->owner;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_job(p, seen);
        if (atomic_load(&p->stop))
            return NULL;
        run_tasks(p, w->index);
        atomic_fetch_sub_explicit(&p->n_running, 1, memory_order_release);
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
    atomic_store(&p->n_running, p->n_workers);
    publish(p);
    run_tasks(p, 0);
    for (int i = 0; atomic_load_explicit(&p->n_running, memory_order_acquire) > 0; i++) {
        if (i < SPIN_ROUNDS)
            cpu_relax();
        else
            sched_yield(); /* more threads than cores: let the others finish */
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
    if (n_threads == 0)
        n_threads = pool_default_threads();
    pool *p;
    TRY(MEM_CALLOC(&p, 1, err));
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
    /* "0,64" or "0-1": the list begins with the lowest sibling; count cpu unless a lower one is ours too */
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

unsigned pool_default_threads(void)
{
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return 1;
    unsigned n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mask) && is_first_sibling(cpu, &mask))
            n++;
    return n ? n : 1;
}
#else
unsigned pool_default_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}
#endif
