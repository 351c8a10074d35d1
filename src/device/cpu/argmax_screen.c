/* See argmax_screen.h. */
#include "device/cpu/argmax_screen.h"

#include <math.h>

#include "base/mem.h"

enum {
    CHUNK_ROWS = 256,  /* rows of one task */
    SLICE_ROWS = 8192, /* the file's pages are released after each slice */
    MAX_LEFT = 64,     /* at most one row in this many may remain */
    SAMPLE_ROWS = 64,
};
/* Error of the copy relative to the norm of its row, for normally distributed weights: steps of 1 / 7.5 of the block
 * maximum (about 2.4 standard deviations), uniformly distributed errors. */
static const float TYPICAL_ERROR = 0.1f;
/* Numerical error in addition to that of the copy, in units of |x| |w[r]|: fixed-point activations of both products (at
 * most 2^-16 * sqrt(256) for each group of 256), and rounding of sums. */
static const float SLACK = 6e-4f;

struct argmax_screen {
    const void *w;
    quant_type type;
    size_t n, k;
    void *copy;   /* [n, k] Q4_0 */
    float *bound; /* [n]: upper bound of |product - approximation| / |x| */
};

bool argmax_screen_is_smaller(quant_type type)
{
    return quant_row_bytes(quant_get(type), QK_K) > 3 * quant_row_bytes(quant_get(QUANT_Q4_0), QK_K);
}

static const unsigned char *row_of(const void *w, quant_type type, size_t r, size_t k)
{
    return (const unsigned char *)w + r * quant_row_bytes(quant_get(type), k);
}

static float length_of(const float *x, size_t k)
{
    double sum = 0;
    for (size_t i = 0; i < k; i++)
        sum += (double)x[i] * x[i];
    return (float)sqrt(sum);
}

bool argmax_screen_would_help(gemm_context *g, const void *w, quant_type type, size_t n, size_t k, const float *x,
                              const float *logits)
{
    if (k > g->thread_floats)
        return false;
    float *row = g->per_thread, longest = 0;
    for (size_t i = 0; i < SAMPLE_ROWS; i++) {
        g->k->dequantize[type](row, row_of(w, type, n * i / SAMPLE_ROWS, k), k);
        longest = fmaxf(longest, length_of(row, k));
    }
    float low = logits[g->k->argmax(logits, n)] - 2 * TYPICAL_ERROR * longest * length_of(x, k);
    size_t left = 0;
    for (size_t r = 0; r < n; r++)
        left += logits[r] >= low;
    return left <= n / MAX_LEFT;
}

/* ---- the copy ------------------------------------------------------------------------------------- */

typedef struct copy_job {
    argmax_screen *s;
    const gemm_context *g;
    size_t first, end; /* rows */
} copy_job;

static void copy_task(void *arg, size_t task, unsigned thread)
{
    const copy_job *j = arg;
    const argmax_screen *s = j->s;
    float *row = j->g->per_thread + thread * j->g->thread_floats;
    size_t first = j->first + task * CHUNK_ROWS, end = first + CHUNK_ROWS < j->end ? first + CHUNK_ROWS : j->end;
    for (size_t r = first; r < end; r++) {
        float norm2, error2;
        j->g->k->dequantize[s->type](row, row_of(s->w, s->type, r, s->k), s->k);
        j->g->k->screen_row((unsigned char *)s->copy + r * quant_row_bytes(quant_get(QUANT_Q4_0), s->k), row, s->k,
                            &norm2, &error2);
        s->bound[r] = 1.001f * (sqrtf(error2) + SLACK * sqrtf(norm2));
    }
}

qasr_status argmax_screen_create(argmax_screen **out, gemm_context *g, const file_map *file, const void *w,
                                 quant_type type, size_t n, size_t k, qasr_error *err)
{
    argmax_screen *s;
    TRY(MEM_CALLOC(&s, 1, err));
    *s = (argmax_screen){ .w = w, .type = type, .n = n, .k = k };
    qasr_status status = mem_alloc(&s->copy, n, quant_row_bytes(quant_get(QUANT_Q4_0), k), err);
    if (status == QASR_OK)
        status = MEM_ALLOC(&s->bound, n, err);
    if (status != QASR_OK) {
        argmax_screen_free(s);
        return status;
    }
    for (size_t first = 0; first < n; first += SLICE_ROWS) {
        size_t end = first + SLICE_ROWS < n ? first + SLICE_ROWS : n;
        pool_run(g->pool, copy_task, &(copy_job){ s, g, first, end }, (end - first + CHUNK_ROWS - 1) / CHUNK_ROWS);
        const unsigned char *from = row_of(w, type, first, k);
        if (file)
            file_map_release(file, (size_t)(from - file->data), (size_t)(row_of(w, type, end, k) - from));
    }
    *out = s;
    return QASR_OK;
}

void argmax_screen_free(argmax_screen *s)
{
    if (!s)
        return;
    mem_free(s->copy);
    mem_free(s->bound);
    mem_free(s);
}

/* ---- argmax --------------------------------------------------------------------------------------- */

/* Writes the rows that can win to left. Returns their number, or max + 1 if there are more than max. A row with NaN in
 * its bound remains. */
static size_t rows_left(const argmax_screen *s, const float *approx, float length, uint32_t *left, size_t max)
{
    float low = -INFINITY;
    for (size_t r = 0; r < s->n; r++) {
        float at_least = approx[r] - length * s->bound[r];
        low = at_least > low ? at_least : low;
    }
    size_t n = 0;
    for (size_t r = 0; r < s->n && n <= max; r++)
        if (!(approx[r] + length * s->bound[r] < low)) {
            if (n < max)
                left[n] = (uint32_t)r;
            n++;
        }
    return n;
}

qasr_status argmax_screen_run(const argmax_screen *s, gemm_context *g, const float *x, float *approx, int32_t *index,
                              bool *found, qasr_error *err)
{
    enum { MAX_ROWS = 4096 };
    uint32_t left[MAX_ROWS];
    size_t max = s->n / MAX_LEFT < MAX_ROWS ? s->n / MAX_LEFT : MAX_ROWS;
    gemm_input in = { .x = x, .ld = s->k, .m = 1, .k = s->k };
    gemm_part all = { .out = approx, .ld_out = s->n, .n = s->n, .w = s->copy, .type = QUANT_Q4_0 };
    TRY(gemm_run(g, &in, &all, 1, err));
    size_t n = rows_left(s, approx, length_of(x, s->k), left, max);
    *found = n <= max;
    float best = -INFINITY;
    for (size_t i = 0; *found && i < n; i++) {
        float value;
        gemm_part row = {
            .out = &value, .ld_out = 1, .n = 1, .w = row_of(s->w, s->type, left[i], s->k), .type = s->type
        };
        TRY(gemm_run(g, &in, &row, 1, err));
        if (i == 0 || value > best) {
            best = value;
            *index = (int32_t)left[i];
        }
        if (!isfinite(value)) {
            *index = -1;
            break;
        }
    }
    return QASR_OK;
}
