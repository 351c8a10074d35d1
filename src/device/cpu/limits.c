/* Measures how fast a number of threads read memory that is in no cache, and the rate of the register tiles of the
 * kernel table while their panels stay in the L1 and L2 caches. Each result is the best of a few passes, the one with
 * the least disturbance. */
#include "device/cpu/limits.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/ram.h"
#include "kernels/kernels.h"

enum {
    PASSES = 5,
    CACHES_READ =
        3, /* last-level caches per buffer: almost nothing of the previous pass is left; 8 give the same rate */
    READ_TASK_BYTES = 2 << 20, /* also the size of a huge page */
    PREFETCH_WORDS = 1024 / 8,
    TILE_STEPS = 256, /* panels of at most 36 KiB */
    INT8_BLOCKS = TILE_STEPS * 4 / QK,
    TILE_TASKS_PER_THREAD = 8 /* several, so that other threads take over the tasks of a delayed one */
};
static const size_t read_min_bytes = (size_t)1 << 30;
static const double tile_pass_s = 0.03;

/* ---- reading ------------------------------------------------------------------------------------ */

typedef struct read_job {
    uint64_t *data;
    uint64_t *sums; /* [threads][8], one cache line each: results, so that the compiler keeps the loads */
} read_job;

static void fill_task(void *arg, size_t task, unsigned thread)
{
    const read_job *j = arg;
    uint64_t *p = j->data + task * (READ_TASK_BYTES / sizeof *p);
    for (size_t i = 0; i < READ_TASK_BYTES / sizeof *p; i++)
        p[i] = i;
}

static void read_task(void *arg, size_t task, unsigned thread)
{
    const read_job *j = arg;
    const uint64_t *p = j->data + task * (READ_TASK_BYTES / sizeof *p);
    uint64_t sum[8] = { 0 };
    for (size_t i = 0; i < READ_TASK_BYTES / sizeof *p; i += 8) {
        __builtin_prefetch(p + i + PREFETCH_WORDS);
        for (size_t l = 0; l < 8; l++)
            sum[l] += p[i + l];
    }
    for (size_t l = 0; l < 8; l++)
        j->sums[thread * 8 + l] += sum[l];
}

/* At least 1 GiB and CACHES_READ last-level caches, but at most a quarter of the memory. */
static size_t read_buffer_bytes(void)
{
    size_t bytes = read_min_bytes;
#if defined(_SC_LEVEL3_CACHE_SIZE)
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (cache > 0 && (size_t)cache > bytes / CACHES_READ)
        bytes = (size_t)cache * CACHES_READ;
#endif
    const uint64_t memory = ram_detect().total_bytes;
    if (memory && bytes > memory / 4)
        bytes = (size_t)(memory / 4);
    return bytes / READ_TASK_BYTES * READ_TASK_BYTES;
}

static qasr_status measure_reading(double *gb_s, pool *p, qasr_error *err)
{
    size_t bytes = read_buffer_bytes(), n_tasks = bytes / READ_TASK_BYTES;
    void *block;
    read_job job;
    TRY(mem_alloc(&block, bytes + READ_TASK_BYTES, 1, err));
    qasr_status status = MEM_CALLOC(&job.sums, 8 * pool_threads(p), err);
    if (status != QASR_OK) {
        mem_free(block);
        return status;
    }
    job.data = (uint64_t *)size_round_up((uintptr_t)block, READ_TASK_BYTES);
#if defined(MADV_HUGEPAGE)
    madvise(job.data, bytes, MADV_HUGEPAGE); /* a hint; failure does not matter */
#endif
    pool_run(p, fill_task, &job, n_tasks);
    *gb_s = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        double t0 = clock_now_s();
        pool_run(p, read_task, &job, n_tasks);
        double rate = 1e-9 * (double)bytes / (clock_now_s() - t0);
        *gb_s = rate > *gb_s ? rate : *gb_s;
    }
    mem_free(job.sums);
    mem_free(block);
    return QASR_OK;
}

/* ---- register tiles ----------------------------------------------------------------------------- */

typedef struct tile_job {
    const gemm_kernels *g; /* g or int8, the other is NULL */
    const gemm_int8_kernels *int8;
    unsigned mr, nr;
    float *memory; /* [threads][thread_floats]: b, a, c */
    size_t thread_floats;
    size_t n_calls; /* of the tile, per task */
} tile_job;

/* Floats for a column of b, its scales included, and for a row of a. */
static const size_t b_floats = TILE_STEPS + INT8_BLOCKS, a_floats = TILE_STEPS * sizeof(act8_block) / QK;

static void tile_task(void *arg, size_t task, unsigned thread)
{
    const tile_job *j = arg;
    unsigned mr = j->mr, nr = j->nr;
    float *b = j->memory + thread * j->thread_floats, *a = b + b_floats * nr, *c = a + a_floats * mr;
    const int8_panel panel = { b, b + TILE_STEPS * nr, NULL };
    for (size_t i = 0; i < j->n_calls; i++) {
        if (j->g)
            j->g->tile(c, nr, a, b, TILE_STEPS, mr, nr, i > 0);
        else
            j->int8->tile(c, nr, (const act8_block *)(const void *)a, &panel, INT8_BLOCKS, mr, nr, i > 0);
    }
}

static double tile_pass(const tile_job *j, pool *p)
{
    double t0 = clock_now_s();
    pool_run(p, tile_task, (void *)(uintptr_t)j, TILE_TASKS_PER_THREAD * pool_threads(p));
    return clock_now_s() - t0;
}

/* elements: multiply-adds per pair of cells. */
static double tile_gop_s(tile_job *j, pool *p, unsigned elements)
{
    double seconds, best = 0;
    j->n_calls = 1;
    while ((seconds = tile_pass(j, p)) < tile_pass_s)
        j->n_calls *= 2;
    double gop =
        2e-9 * elements * TILE_STEPS * j->mr * j->nr * (double)j->n_calls * TILE_TASKS_PER_THREAD * pool_threads(p);
    for (int pass = 0; pass < PASSES; pass++) {
        seconds = tile_pass(j, p);
        best = gop / seconds > best ? gop / seconds : best;
    }
    return best;
}

/* elements of a cell: 1 (float32), 2 (bfloat16) or 4 (bytes). */
static qasr_status measure_tile(double *gop_s, tile_job job, unsigned elements, pool *p, qasr_error *err)
{
    job.thread_floats =
        size_round_up(b_floats * job.nr + a_floats * job.mr + job.nr * job.mr, MEM_ALIGN / sizeof(float));
    size_t n = pool_threads(p) * job.thread_floats;
    TRY(MEM_ALLOC(&job.memory, n, err));
    /* 0.0005 as float32 and as each of two bfloat16, 0 and 58 as bytes: sums stay finite */
    static const uint32_t small = 0x3A003A00;
    for (size_t i = 0; i < n; i++)
        memcpy(&job.memory[i], &small, sizeof small);
    *gop_s = tile_gop_s(&job, p, elements);
    mem_free(job.memory);
    return QASR_OK;
}

static qasr_status measure_tiles(device_limits *l, pool *p, qasr_error *err)
{
    const kernels *k = kernels_get(cpu_detect());
    TRY(measure_tile(&l->f32_gop_s, (tile_job){ .g = &k->gemm, .mr = k->gemm.mr, .nr = k->gemm.nr }, 1, p, err));
    if (k->gemm_bf16.tile)
        TRY(measure_tile(&l->bf16_gop_s, (tile_job){ .g = &k->gemm_bf16, .mr = k->gemm_bf16.mr, .nr = k->gemm_bf16.nr },
                         2, p, err));
    if (k->gemm_int8.tile)
        TRY(measure_tile(&l->int8_gop_s,
                         (tile_job){ .int8 = &k->gemm_int8, .mr = k->gemm_int8.mr, .nr = k->gemm_int8.nr }, 4, p, err));
    return QASR_OK;
}

qasr_status limits_measure(device_limits *out, unsigned n_threads, qasr_error *err)
{
    pool *p;
    TRY(pool_create(&p, n_threads, err));
    device_limits limits = { .n_threads = pool_threads(p) };
    qasr_status status = measure_reading(&limits.read_gb_s, p, err);
    if (status == QASR_OK)
        status = measure_tiles(&limits, p, err);
    pool_free(p);
    if (status == QASR_OK)
        *out = limits;
    return status;
}
