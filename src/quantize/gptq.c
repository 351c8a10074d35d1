/* See gptq.h. */
#include "quantize/gptq.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    FACTOR_BLOCK = 64, /* columns of the factor at a time */
    STEP = QK,         /* columns compensated one by one; errors from outside the step come from products of rows */
    MAX_BLOCK = QK_K
};

/* ---- the factor ---------------------------------------------------------------------------------- */

typedef struct factor_job {
    const kernels *k;
    float *a;            /* [n, n]: the lower half becomes L with L L^T = the moments */
    size_t n, at, width; /* columns [at, at + width) are being computed */
} factor_job;

/* Subtracts the contribution of the finished columns on the left from the current columns of rows [n_rows, n]; row i0
 * is the first. */
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

/* Finishes the current columns of row i; false if the diagonal is reached and not positive. */
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

/* Restores the lower half from the upper one, which factor_lower does not change, and the diagonal. */
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
            return error_set(err, QASR_E_FORMAT, "calibration of '%s': row %zu has values that are not finite", name,
                             i);
    return QASR_OK;
}

qasr_status hessian_create(hessian *h, pool *p, float *moments, size_t n, double damping, const char *name,
                           qasr_error *err)
{
    const kernels *k = kernels_get(cpu_detect());
    *h = (hessian){ .k = k, .n = n, .factor = moments, .damping = damping };
    float *diagonal = NULL;
    double mean;
    qasr_status status;
    TRY_GOTO(MEM_ALLOC(&diagonal, n, err));
    TRY_GOTO(read_diagonal(diagonal, &mean, moments, n, name, err));
    TRY_GOTO(check_finite(k, moments, n, name, err));
    if (!(mean > 0)) {
        memset(moments, 0, n * n * sizeof *moments);
        mean = 1;
        h->damping = 1;
    }
    restore_lower(moments, n, diagonal, (float)(h->damping * mean));
    while (!factor_lower(k, p, moments, n)) { /* terminates: a large multiple of the unit matrix can be factored */
        h->damping *= 10;
        restore_lower(moments, n, diagonal, (float)(h->damping * mean));
    }
    lower_to_upper(moments, n);
done:
    mem_free(diagonal);
    if (status != QASR_OK)
        hessian_free(h);
    return status;
}

/* ---- drift --------------------------------------------------------------------------------------- */

typedef struct drift_job {
    factor_job factor;
    float *rows; /* [n, n] */
} drift_job;

/* Rows of C become rows of C U^-1: the same steps as for rows below a factored matrix. */
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

static void transpose(float *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            float x = a[i * n + j];
            a[i * n + j] = a[j * n + i];
            a[j * n + i] = x;
        }
}

void hessian_set_drift(hessian *h, pool *p, float *cross)
{
    drift_job d = { { .k = h->k, .a = h->factor, .n = h->n }, cross };
    pool_run(p, drift_task, &d, (h->n + FACTOR_BLOCK - 1) / FACTOR_BLOCK);
    transpose(cross, h->n);
    h->drift = cross;
}

/* |U x|^2: products of rows to the right of each diagonal block of U, element by element inside it. */
double hessian_energy(const hessian *h, const float *x, size_t n_rows)
{
    float sums[GPTQ_ROWS * FACTOR_BLOCK];
    double energy = 0;
    for (size_t b = 0; b < h->n; b += FACTOR_BLOCK) {
        size_t end = b + FACTOR_BLOCK < h->n ? b + FACTOR_BLOCK : h->n;
        h->k->dots(sums, FACTOR_BLOCK, x + end, h->n, h->factor + b * h->n + end, h->n, n_rows, end - b, h->n - end);
        for (size_t i = 0; i < n_rows; i++)
            for (size_t r = b; r < end; r++) {
                double sum = sums[i * FACTOR_BLOCK + r - b];
                for (size_t k = r; k < end; k++)
                    sum += (double)h->factor[r * h->n + k] * (double)x[i * h->n + k];
                energy += sum * sum;
            }
    }
    return energy;
}

void hessian_scale_products(float *products, size_t n, const float *scale)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            products[i * n + k] /= scale[i] * scale[k];
}

void hessian_free(hessian *h)
{
    mem_free(h->factor);
    mem_free(h->drift);
    *h = (hessian){ 0 };
}

/* ---- rounding ------------------------------------------------------------------------------------ */

typedef struct rounding {
    const hessian *h;
    const quant_info *q;
    const float *w; /* [n_rows, n] */
    size_t n_rows, row_bytes;
    float *errors;          /* [n_rows, n], w - stored; known to the right of the current column */
    float *carried;         /* [n_rows, MAX_BLOCK], per column j of the current block: (w C U^-1)_j + sum of e_k U_jk */
    float reach[GPTQ_ROWS]; /* largest magnitude of each row in the current block */
    unsigned char *blocks;
} rounding;

/* Adds to carried, for columns [c0, c0 + n) of the block at b, the errors of columns [from, to); add false: sets it. */
static void carry(const rounding *r, size_t b, size_t c0, size_t n, size_t from, size_t to, bool add)
{
    size_t cols = r->h->n;
    float sums[GPTQ_ROWS * MAX_BLOCK];
    r->h->k->dots(sums, n, r->errors + from, cols, r->h->factor + (b + c0) * cols + from, cols, r->n_rows, n,
                  to - from);
    for (size_t i = 0; i < r->n_rows; i++)
        for (size_t c = 0; c < n; c++) {
            float *to_sum = &r->carried[i * MAX_BLOCK + c0 + c];
            *to_sum = (add ? *to_sum : 0) + sums[i * n + c];
        }
}

/* Adds to carried, for the block at b, the drift of the inputs. */
static void carry_drift(const rounding *r, size_t b)
{
    size_t cols = r->h->n, n = r->q->block;
    float sums[GPTQ_ROWS * MAX_BLOCK];
    r->h->k->dots(sums, n, r->w, cols, r->h->drift + b * cols, cols, r->n_rows, n, cols);
    for (size_t i = 0; i < r->n_rows; i++)
        for (size_t c = 0; c < n; c++)
            r->carried[i * MAX_BLOCK + c] += sums[i * n + c];
}

static void find_reach(rounding *r, size_t b)
{
    for (size_t i = 0; i < r->n_rows; i++)
        r->reach[i] = r->h->k->max_abs(r->w + i * r->h->n + b, r->q->block);
}

/* The value that weight w of row i is rounded to, with the errors moved to it. They may move it as far as the largest
 * weight of its block: the error of a weight of another order of magnitude would not correct it but replace it. */
static float target(const rounding *r, size_t i, float w, float moved)
{
    return w + fmaxf(fminf(moved, r->reach[i]), -r->reach[i]);
}

/* Chooses the scales of row i's block at b from its values before rounding. */
static void choose_scales(const rounding *r, size_t b, size_t i)
{
    float x[MAX_BLOCK], importance[MAX_BLOCK];
    for (size_t c = 0; c < r->q->block; c++) {
        float u = r->h->factor[(b + c) * r->h->n + b + c];
        x[c] = target(r, i, r->w[i * r->h->n + b + c], r->carried[i * MAX_BLOCK + c] / u);
        importance[c] = u * u;
    }
    r->q->quantize_weighted(r->blocks + i * r->row_bytes + quant_row_bytes(r->q, b), x, importance, r->q->block);
}

/* Rounds columns [s, s + STEP) of row i, in the block at b, from the last to the first. */
static void round_step(const rounding *r, size_t b, size_t s, size_t i)
{
    size_t n = r->h->n;
    const float *w = r->w + i * n, *carried = r->carried + i * MAX_BLOCK;
    float *errors = r->errors + i * n;
    unsigned char *block = r->blocks + i * r->row_bytes + quant_row_bytes(r->q, b);
    for (size_t j = s + STEP; j-- > s;) {
        const float *u = r->h->factor + j * n;
        float sum = carried[j - b];
        for (size_t k = j + 1; k < s + STEP; k++)
            sum += errors[k] * u[k];
        errors[j] = w[j] - r->q->put(block, (unsigned)(j - b), target(r, i, w[j], sum / u[j]));
    }
}

size_t gptq_scratch(size_t n) { return GPTQ_ROWS * (n + MAX_BLOCK); }

void gptq_rows(const hessian *h, void *blocks, quant_type type, const float *w, size_t n_rows, float *scratch)
{
    const quant_info *q = quant_get(type);
    assert(n_rows <= GPTQ_ROWS && q->block % STEP == 0 && q->block <= MAX_BLOCK && h->n % q->block == 0);
    rounding r = { .h = h,
                   .q = q,
                   .w = w,
                   .n_rows = n_rows,
                   .row_bytes = quant_row_bytes(q, h->n),
                   .errors = scratch,
                   .carried = scratch + GPTQ_ROWS * h->n,
                   .blocks = blocks };
    for (size_t b = h->n; b > 0;) {
        size_t end = b;
        b -= q->block;
        carry(&r, b, 0, q->block, end, h->n, false);
        if (h->drift)
            carry_drift(&r, b);
        find_reach(&r, b);
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
