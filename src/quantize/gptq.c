/* See gptq.h. */
#include "quantize/gptq.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    FACTOR_BLOCK = 64, /* columns of the factor at a time */
    STEP = QK,         /* columns whose errors are made up for one by one; between them products of rows */
    MAX_BLOCK = QK_K
};

/* ---- the factor ---------------------------------------------------------------------------------- */

typedef struct factor_job {
    const kernels *k;
    float *a;            /* [n, n]: the lower half becomes L with L L^T = the moments */
    size_t n, at, width; /* columns [at, at + width) are made */
} factor_job;

/* Rows [n_rows, n], the first of which is row i0, in the columns that are being made: what the finished columns on the
 * left give is taken off. */
static void subtract_rows(const factor_job *j, float *rows, size_t n_rows, size_t i0)
{
    float sums[FACTOR_BLOCK * FACTOR_BLOCK];
    j->k->dots(sums, FACTOR_BLOCK, rows, j->n, j->a + j->at * j->n, j->n, n_rows, j->width, j->at);
    for (size_t i = 0; i < n_rows; i++)
        for (size_t c = 0; c < j->width && j->at + c <= i0 + i; c++)
            rows[i * j->n + j->at + c] -= sums[i * FACTOR_BLOCK + c];
}

static void subtract_task(void *arg, size_t task, unsigned thread)
{
    const factor_job *j = arg;
    size_t i0 = j->at + task * FACTOR_BLOCK, rows = j->n - i0 < FACTOR_BLOCK ? j->n - i0 : FACTOR_BLOCK;
    subtract_rows(j, j->a + i0 * j->n, rows, i0);
}

/* Row i in the columns that are being made; false if the diagonal is reached and not positive. */
static bool factor_row(const factor_job *j, float *row, size_t i)
{
    for (size_t c = j->at; c < j->at + j->width && c <= i; c++) {
        const float *other = j->a + c * j->n;
        double sum = row[c];
        for (size_t k = j->at; k < c; k++)
            sum -= (double)row[k] * (double)other[k];
        if (c == i && !(sum > 0))
            return false;
        row[c] = (float)(c == i ? sqrt(sum) : sum / (double)other[c]);
    }
    return true;
}

static void solve_task(void *arg, size_t task, unsigned thread)
{
    const factor_job *j = arg;
    size_t i0 = j->at + j->width + task * FACTOR_BLOCK;
    for (size_t i = i0; i < i0 + FACTOR_BLOCK && i < j->n; i++)
        factor_row(j, j->a + i * j->n, i);
}

static bool factor_lower(const kernels *k, pool *p, float *a, size_t n)
{
    factor_job j = { .k = k, .a = a, .n = n };
    for (; j.at < n; j.at += FACTOR_BLOCK) {
        j.width = n - j.at < FACTOR_BLOCK ? n - j.at : FACTOR_BLOCK;
        pool_run(p, subtract_task, &j, (n - j.at + FACTOR_BLOCK - 1) / FACTOR_BLOCK);
        for (size_t i = j.at; i < j.at + j.width; i++)
            if (!factor_row(&j, a + i * n, i))
                return false;
        pool_run(p, solve_task, &j, (n - j.at - j.width + FACTOR_BLOCK - 1) / FACTOR_BLOCK);
    }
    return true;
}

/* The lower half anew from the upper one, which factor_lower leaves alone, and the diagonal. */
static void restore_lower(float *a, size_t n, const float *diagonal, float added)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            a[i * n + j] = a[j * n + i];
        a[i * n + i] = diagonal[i] + added;
    }
}

static void lower_to_upper(float *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            a[j * n + i] = a[i * n + j];
}

static qasr_status read_diagonal(float *diagonal, double *mean, const float *moments, size_t n, const char *name,
                                 qasr_error *err)
{
    *mean = 0;
    for (size_t i = 0; i < n; i++) {
        diagonal[i] = moments[i * n + i];
        if (!(diagonal[i] >= 0) || !isfinite(diagonal[i]))
            return error_set(err, QASR_E_FORMAT,
                             "calibration of '%s': square %zu is %g, expected a finite number that is not negative",
                             name, i, (double)diagonal[i]);
        *mean += (double)diagonal[i] / (double)n;
    }
    return QASR_OK;
}

static qasr_status check_finite(const kernels *k, const float *moments, size_t n, const char *name, qasr_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(k->max_abs(moments + i * n, n)))
            return error_set(err, QASR_E_FORMAT, "calibration of '%s': row %zu has numbers that are not finite", name,
                             i);
    return QASR_OK;
}

qasr_status hessian_create(hessian *m, pool *p, float *moments, size_t n, double damping, const char *name,
                           qasr_error *err)
{
    const kernels *k = kernels_get(cpu_detect());
    *m = (hessian){ .k = k, .n = n, .factor = moments, .damping = damping };
    float *diagonal = NULL;
    double mean;
    qasr_status status;
    TRY_GOTO(MEM_ALLOC(&diagonal, n, err));
    TRY_GOTO(read_diagonal(diagonal, &mean, moments, n, name, err));
    TRY_GOTO(check_finite(k, moments, n, name, err));
    if (!(mean > 0)) {
        memset(moments, 0, n * n * sizeof *moments);
        mean = 1;
        m->damping = 1;
    }
    restore_lower(moments, n, diagonal, (float)(m->damping * mean));
    while (!factor_lower(k, p, moments, n)) { /* ends: a large multiple of the unit matrix can be factored */
        m->damping *= 10;
        restore_lower(moments, n, diagonal, (float)(m->damping * mean));
    }
    lower_to_upper(moments, n);
done:
    mem_free(diagonal);
    if (status != QASR_OK)
        hessian_free(m);
    return status;
}

/* ---- drift --------------------------------------------------------------------------------------- */

typedef struct drift_job {
    factor_job factor;
    float *rows; /* [n, n] */
} drift_job;

/* Rows of a matrix below the factored one would become those of C U^-1 in the same way. */
static void drift_task(void *arg, size_t task, unsigned thread)
{
    drift_job *d = arg;
    factor_job j = d->factor;
    size_t i0 = task * FACTOR_BLOCK, n_rows = j.n - i0 < FACTOR_BLOCK ? j.n - i0 : FACTOR_BLOCK;
    float *rows = d->rows + i0 * j.n;
    for (; j.at < j.n; j.at += FACTOR_BLOCK) {
        j.width = j.n - j.at < FACTOR_BLOCK ? j.n - j.at : FACTOR_BLOCK;
        subtract_rows(&j, rows, n_rows, j.n);
        for (size_t i = 0; i < n_rows; i++)
            factor_row(&j, rows + i * j.n, j.n);
    }
}

static void rope(float *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            float x = a[i * n + j];
            a[i * n + j] = a[j * n + i];
            a[j * n + i] = x;
        }
}

void hessian_set_drift(hessian *m, pool *p, float *cross)
{
    drift_job d = { { .k = m->k, .a = m->factor, .n = m->n }, cross };
    pool_run(p, drift_task, &d, (m->n + FACTOR_BLOCK - 1) / FACTOR_BLOCK);
    rope(cross, m->n);
    m->drift = cross;
}

/* |U x|^2: whole products right of a block of U's rows, one by one inside it. */
double hessian_energy(const hessian *m, const float *x, size_t n_rows)
{
    float sums[GPTQ_ROWS * FACTOR_BLOCK];
    double energy = 0;
    for (size_t b = 0; b < m->n; b += FACTOR_BLOCK) {
        size_t end = b + FACTOR_BLOCK < m->n ? b + FACTOR_BLOCK : m->n;
        m->k->dots(sums, FACTOR_BLOCK, x + end, m->n, m->factor + b * m->n + end, m->n, n_rows, end - b, m->n - end);
        for (size_t i = 0; i < n_rows; i++)
            for (size_t r = b; r < end; r++) {
                double sum = sums[i * FACTOR_BLOCK + r - b];
                for (size_t k = r; k < end; k++)
                    sum += (double)m->factor[r * m->n + k] * (double)x[i * m->n + k];
                energy += sum * sum;
            }
    }
    return energy;
}

void hessian_free(hessian *m)
{
    mem_free(m->factor);
    mem_free(m->drift);
    *m = (hessian){ 0 };
}

/* ---- rounding ------------------------------------------------------------------------------------ */

typedef struct rounding {
    const hessian *m;
    const quant_info *q;
    const float *w; /* [n_rows, n] */
    size_t n_rows, row_bytes;
    float *errors;  /* [n_rows, n], w - stored; known right of the column at work */
    float *carried; /* [n_rows, MAX_BLOCK]: sums over k of e_k U_jk for the columns of a block, and w C U^-1 there */
    unsigned char *blocks;
} rounding;

/* carried of columns [c0, c0 + n) of the block at b: what the errors in columns [from, to) add. */
static void carry(const rounding *r, size_t b, size_t c0, size_t n, size_t from, size_t to, bool add)
{
    size_t cols = r->m->n;
    float sums[GPTQ_ROWS * MAX_BLOCK];
    r->m->k->dots(sums, n, r->errors + from, cols, r->m->factor + (b + c0) * cols + from, cols, r->n_rows, n,
                  to - from);
    for (size_t i = 0; i < r->n_rows; i++)
        for (size_t c = 0; c < n; c++) {
            float *to_sum = &r->carried[i * MAX_BLOCK + c0 + c];
            *to_sum = (add ? *to_sum : 0) + sums[i * n + c];
        }
}

/* carried of the block at b: what the change of the inputs adds. */
static void carry_drift(const rounding *r, size_t b)
{
    size_t cols = r->m->n, n = r->q->block;
    float sums[GPTQ_ROWS * MAX_BLOCK];
    r->m->k->dots(sums, n, r->w, cols, r->m->drift + b * cols, cols, r->n_rows, n, cols);
    for (size_t i = 0; i < r->n_rows; i++)
        for (size_t c = 0; c < n; c++)
            r->carried[i * MAX_BLOCK + c] += sums[i * n + c];
}

/* The scales of row i's block at b, as if nothing were rounded in it yet. */
static void choose_scales(const rounding *r, size_t b, size_t i)
{
    float x[MAX_BLOCK], importance[MAX_BLOCK];
    for (size_t c = 0; c < r->q->block; c++) {
        float u = r->m->factor[(b + c) * r->m->n + b + c];
        x[c] = r->w[i * r->m->n + b + c] + r->carried[i * MAX_BLOCK + c] / u;
        importance[c] = u * u;
    }
    r->q->quantize_weighted(r->blocks + i * r->row_bytes + quant_row_bytes(r->q, b), x, importance, r->q->block);
}

/* Columns [s, s + STEP) of row i, in the block at b, from the last to the first. */
static void round_step(const rounding *r, size_t b, size_t s, size_t i)
{
    size_t n = r->m->n;
    const float *w = r->w + i * n, *carried = r->carried + i * MAX_BLOCK;
    float *errors = r->errors + i * n;
    unsigned char *block = r->blocks + i * r->row_bytes + quant_row_bytes(r->q, b);
    for (size_t j = s + STEP; j-- > s;) {
        const float *u = r->m->factor + j * n;
        float sum = carried[j - b];
        for (size_t k = j + 1; k < s + STEP; k++)
            sum += errors[k] * u[k];
        errors[j] = w[j] - r->q->put(block, (unsigned)(j - b), w[j] + sum / u[j]);
    }
}

size_t gptq_scratch(size_t n) { return GPTQ_ROWS * (n + MAX_BLOCK); }

void gptq_rows(const hessian *m, void *blocks, quant_type type, const float *w, size_t n_rows, float *scratch)
{
    const quant_info *q = quant_get(type);
    assert(n_rows <= GPTQ_ROWS && q->block % STEP == 0 && q->block <= MAX_BLOCK && m->n % q->block == 0);
    rounding r = { .m = m,
                   .q = q,
                   .w = w,
                   .n_rows = n_rows,
                   .row_bytes = quant_row_bytes(q, m->n),
                   .errors = scratch,
                   .carried = scratch + GPTQ_ROWS * m->n,
                   .blocks = blocks };
    for (size_t b = m->n; b > 0;) {
        size_t end = b;
        b -= q->block;
        carry(&r, b, 0, q->block, end, m->n, false);
        if (m->drift)
            carry_drift(&r, b);
        for (size_t i = 0; i < n_rows; i++)
            choose_scales(&r, b, i);
        for (size_t s = end; s > b;) {
            s -= STEP;
            carry(&r, b, s - b, STEP, s + STEP, end, true);
            for (size_t i = 0; i < n_rows; i++)
                round_step(&r, b, s, i);
        }
    }
}
