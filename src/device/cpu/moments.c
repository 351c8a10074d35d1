/* See moments.h. Computes x^T y: columns of x are packed into panels of one kind, columns of y into panels of the
 * other, and the register tile runs over the required blocks: those that touch the triangle if y is x, else all. A
 * block is summed in scratch and then added, since the rows of a triangle have no common stride. */
#include "device/cpu/moments.h"

#include <stdbool.h>

#include "base/mem.h"

enum {
    SQUARE_COLS = 256, /* columns of one task */
    BLOCK = 64         /* least rows and columns of sums in one task; rounded up to whole panels */
};

void moments_context_free(moments_context *s)
{
    mem_free(s->panels);
    mem_free(s->per_thread);
    *s = (moments_context){ 0 };
}

/* ---- squares ------------------------------------------------------------------------------------- */

typedef struct squares_job {
    float *sums;
    const float *x;
    size_t ld_x, m, n;
} squares_job;

static void squares_task(void *arg, size_t task, unsigned thread)
{
    const squares_job *j = arg;
    size_t c0 = task * SQUARE_COLS, n = j->n - c0 < SQUARE_COLS ? j->n - c0 : SQUARE_COLS;
    double sum[SQUARE_COLS] = { 0 };
    for (size_t r = 0; r < j->m; r++) {
        const float *x = j->x + r * j->ld_x + c0;
        for (size_t c = 0; c < n; c++)
            sum[c] += (double)x[c] * (double)x[c];
    }
    for (size_t c = 0; c < n; c++)
        j->sums[c0 + c] = (float)((double)j->sums[c0 + c] + sum[c]);
}

void moments_add_squares(moments_context *s, float *sums, const float *x, size_t ld_x, size_t m, size_t n)
{
    squares_job j = { sums, x, ld_x, m, n };
    pool_run(s->pool, squares_task, &j, (n + SQUARE_COLS - 1) / SQUARE_COLS);
}

/* ---- pairwise products ---------------------------------------------------------------------------- */

typedef struct products_job {
    moments_context *s;
    const gemm_kernels *t;
    float *sums;
    bool is_triangle; /* lower triangle only, row by row */
    const float *x, *y;
    size_t ld_x, ld_y, m, n;
    size_t steps; /* m rounded up to even, so that panels of b stay aligned */
    size_t n_panels_b;
    float *panels_b, *panels_a;
    size_t block_rows, block_cols, n_block_cols;
} products_job;

/* Transposes columns [c0, c0 + n) of x or y to rows of steps. */
static void transpose(const products_job *j, float *rows, const float *x, size_t ld, size_t c0, size_t n)
{
    for (size_t r = 0; r < j->m; r++)
        for (size_t c = 0; c < n; c++)
            rows[c * j->steps + r] = x[r * ld + c0 + c];
    for (size_t c = 0; j->m < j->steps && c < n; c++)
        rows[c * j->steps + j->m] = 0;
}

/* Packs one panel: tasks are first the panels of b, then those of a. */
static void pack_task(void *arg, size_t task, unsigned thread)
{
    const products_job *j = arg;
    float *rows = j->s->per_thread + thread * j->s->thread_floats;
    bool is_b = task < j->n_panels_b;
    size_t width = is_b ? j->t->nr : j->t->mr, c0 = (is_b ? task : task - j->n_panels_b) * width;
    size_t n = j->n - c0 < width ? j->n - c0 : width;
    transpose(j, rows, is_b ? j->y : j->x, is_b ? j->ld_y : j->ld_x, c0, n);
    if (is_b)
        j->t->pack_b(j->panels_b + c0 * j->steps, rows, j->steps, (unsigned)n, j->steps);
    else
        j->t->pack_a(j->panels_a + c0 * j->steps, rows, j->steps, (unsigned)n, j->steps);
}

/* Adds the required part of a block to the sums. */
static void add_block(const products_job *j, const float *block, size_t i0, size_t n_rows, size_t j0, size_t n_cols)
{
    for (size_t i = i0; i < i0 + n_rows; i++) {
        float *to = j->sums + (j->is_triangle ? i * (i + 1) / 2 : i * j->n) + j0;
        const float *from = block + (i - i0) * j->block_cols;
        size_t end = j->is_triangle ? i + 1 : j->n, n = end < j0 ? 0 : end - j0;
        n = n < n_cols ? n : n_cols;
        for (size_t c = 0; c < n; c++)
            to[c] += from[c];
    }
}

static void block_task(void *arg, size_t task, unsigned thread)
{
    const products_job *j = arg;
    size_t i0 = task / j->n_block_cols * j->block_rows, j0 = task % j->n_block_cols * j->block_cols;
    size_t n_rows = j->n - i0 < j->block_rows ? j->n - i0 : j->block_rows;
    size_t n_cols = j->n - j0 < j->block_cols ? j->n - j0 : j->block_cols;
    if (j->is_triangle && j0 >= i0 + n_rows)
        return;
    float *block = j->s->per_thread + thread * j->s->thread_floats;
    size_t mr = j->t->mr, nr = j->t->nr;
    for (size_t c = 0; c < n_cols; c += nr)
        for (size_t r = 0; r < n_rows; r += mr)
            j->t->tile(block + r * j->block_cols + c, j->block_cols, j->panels_a + (i0 + r) * j->steps,
                       j->panels_b + (j0 + c) * j->steps, j->steps, (unsigned)(n_rows - r < mr ? n_rows - r : mr),
                       (unsigned)(n_cols - c < nr ? n_cols - c : nr), 0);
    add_block(j, block, i0, n_rows, j0, n_cols);
}

static qasr_status reserve(float **memory, size_t *have, size_t want, size_t copies, qasr_error *err)
{
    want = size_round_up(want, MEM_ALIGN / sizeof(float));
    if (want <= *have)
        return QASR_OK;
    mem_free(*memory);
    *memory = NULL;
    *have = 0;
    TRY(mem_alloc((void **)memory, copies * want, sizeof(float), err));
    *have = want;
    return QASR_OK;
}

static qasr_status add_products(products_job j, qasr_error *err)
{
    moments_context *s = j.s;
    j.t = &s->k->gemm;
    j.steps = size_round_up(j.m, 2);
    size_t n = j.n, mr = j.t->mr, nr = j.t->nr, n_panels_a = (n + mr - 1) / mr;
    j.n_panels_b = (n + nr - 1) / nr;
    j.block_rows = size_round_up(BLOCK, mr);
    j.block_cols = size_round_up(BLOCK, nr);
    j.n_block_cols = (n + j.block_cols - 1) / j.block_cols;
    size_t transposed = (mr > nr ? mr : nr) * j.steps, block = j.block_rows * j.block_cols;
    TRY(reserve(&s->panels, &s->panel_floats, (j.n_panels_b * nr + n_panels_a * mr) * j.steps, 1, err));
    TRY(reserve(&s->per_thread, &s->thread_floats, transposed > block ? transposed : block, pool_threads(s->pool),
                err));
    j.panels_b = s->panels;
    j.panels_a = s->panels + j.n_panels_b * nr * j.steps;
    pool_run(s->pool, pack_task, &j, j.n_panels_b + n_panels_a);
    pool_run(s->pool, block_task, &j, (n + j.block_rows - 1) / j.block_rows * j.n_block_cols);
    return QASR_OK;
}

qasr_status moments_add_products(moments_context *s, float *triangle, const float *x, size_t ld_x, size_t m, size_t n,
                                 qasr_error *err)
{
    return add_products(
        (products_job){
            .s = s, .sums = triangle, .is_triangle = true, .x = x, .y = x, .ld_x = ld_x, .ld_y = ld_x, .m = m, .n = n },
        err);
}

qasr_status moments_add_cross_products(moments_context *s, float *square, const float *x, size_t ld_x, const float *y,
                                       size_t ld_y, size_t m, size_t n, qasr_error *err)
{
    return add_products(
        (products_job){ .s = s, .sums = square, .x = x, .y = y, .ld_x = ld_x, .ld_y = ld_y, .m = m, .n = n }, err);
}
