/* See convert_chunks.h. Chunk bounds are multiples of every block length, so the bytes do not depend on the number of
 * threads. */
#include "quantize/convert_chunks.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    CHUNK_VALUES = 1 << 18, /* 512 KiB of bf16 */
    BATCH_VALUES = 1 << 12  /* converted at once: the float copies stay in the L1 cache */
};

/* ---- a chunk --------------------------------------------------------------------------------- */

/* False for NaN. */
static bool all_up_to(const float *x, size_t n, float largest)
{
    unsigned beyond = 0;
    for (size_t i = 0; i < n; i++)
        beyond |= !(fabsf(x[i]) <= largest);
    return !beyond;
}

static unsigned long long row_of(const plan_entry *e, uint64_t value)
{
    return value / (e->row_values ? e->row_values : 1);
}

/* Names the first value of x that is not finite, else the largest one. at: index of x[0] in the tensor. */
static qasr_status refuse_value(const plan_entry *e, uint64_t at, const float *x, size_t n, qasr_error *err)
{
    const quant_info *q = quant_get(e->type);
    size_t worst = 0;
    for (size_t i = 0; i < n && isfinite(x[worst]); i++)
        if (!(fabsf(x[i]) <= fabsf(x[worst])))
            worst = i;
    if (!isfinite(x[worst]))
        return plan_refuse_not_finite(e, row_of(e, at + worst), x[worst], err);
    return error_set(err, QASR_E_UNSUPPORTED,
                     "tensor '%s' row %llu: %.9g is too large for %s, which holds values up to %.9g; give this tensor "
                     "another type, such as %s",
                     e->t->name, row_of(e, at + worst), (double)x[worst], q->name, (double)q->largest,
                     e->type == QUANT_BF16 ? "f32" : "bf16");
}

/* Reads values [begin, begin + n) of the source, which must be finite and fit the output's type. */
static qasr_status read_values(float *x, const plan_entry *e, uint64_t begin, size_t n, qasr_error *err)
{
    plan_read_scaled(x, e, begin, n);
    if (all_up_to(x, n, e->way == PLAN_COPY ? FLT_MAX : quant_get(e->type)->largest))
        return QASR_OK;
    return refuse_value(e, begin, x, n, err);
}

/* Adds the differences of n values. Separate sums per lane let the compiler use vectors; their order is fixed. */
static void compare(chunk_error *ce, const float *x, const float *y, size_t n)
{
    enum { LANES = 8 };
    double sum[LANES] = { 0 };
    float max[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            float d = fabsf(y[i + k] - x[i + k]);
            max[k] = d > max[k] ? d : max[k];
            sum[k] += (double)d * d;
        }
    for (; i < n; i++) {
        float d = fabsf(y[i] - x[i]);
        max[0] = d > max[0] ? d : max[0];
        sum[0] += (double)d * d;
    }
    for (size_t k = 0; k < LANES; k++) {
        ce->max = max[k] > ce->max ? max[k] : ce->max;
        ce->sum_sq += sum[k];
    }
}

/* Converts values [begin, begin + n) into s->out, each block on its own. */
static qasr_status convert_values(const plan_entry *e, uint64_t begin, size_t n, chunk_scratch *s, chunk_error *ce,
                                  qasr_error *err)
{
    const quant_info *q = quant_get(e->type);
    for (size_t i = 0; i < n; i += BATCH_VALUES) {
        size_t m = n - i < BATCH_VALUES ? n - i : BATCH_VALUES;
        unsigned char *out = s->out + quant_row_bytes(q, i);
        TRY(read_values(s->x, e, begin + i, m, err));
        if (e->way == PLAN_COPY) {
            memcpy(out, (const unsigned char *)e->t->data + (begin + i) / q->block * q->bytes, quant_row_bytes(q, m));
            continue;
        }
        q->quantize(out, s->x, m);
        q->dequantize(s->y, out, m);
        compare(ce, s->x, s->y, m);
    }
    return QASR_OK;
}

/* Copies rows [first, first + n) that were just converted: s->x is the source, s->y the stored form. */
static void copy_rows(const convert_copy *to, const plan_entry *e, uint64_t first, size_t n, const chunk_scratch *s)
{
    size_t cols = (size_t)e->row_values, row_bytes = quant_row_bytes(quant_get(e->type), cols);
    memcpy(to->blocks + first * row_bytes, s->out, n * row_bytes);
    for (size_t r = 0; to->shift && r < n; r++) {
        double sum = 0;
        for (size_t c = 0; c < cols; c++)
            sum += (double)s->x[r * cols + c] * to->exact_mean[c] - (double)s->y[r * cols + c] * to->mean[c];
        to->shift[first + r] = sum;
    }
}

/* Converts whole rows with the Hessian of their inputs, or by the importance of each column. */
static qasr_status convert_rows(const convert_job *j, const plan_entry *e, uint64_t begin, size_t n, chunk_scratch *s,
                                chunk_error *ce, qasr_error *err)
{
    const quant_info *q = quant_get(e->type);
    size_t cols = (size_t)e->row_values, n_rows = n / cols;
    TRY(read_values(s->x, e, begin, n, err));
    if (j->hessian.factor) {
        gptq_rows(&j->hessian, s->out, e->type, s->x, n_rows, s->rounding);
    } else {
        const float *squares;
        float *importance = s->rounding;
        TRY(calibration_importance(j->calibration, e->t->canonical, cols, &squares, NULL, err));
        plan_scale_squares(importance, e, squares);
        for (size_t r = 0; r < n_rows; r++)
            q->quantize_weighted(s->out + r * quant_row_bytes(q, cols), s->x + r * cols, importance, cols);
    }
    q->dequantize(s->y, s->out, n);
    compare(ce, s->x, s->y, n);
    if (j->copy)
        copy_rows(j->copy, e, begin / cols, n_rows, s);
    return QASR_OK;
}

static uint64_t chunk_values(const plan_entry *e)
{
    return e->way == PLAN_CALIBRATED ? GPTQ_ROWS * e->row_values : CHUNK_VALUES;
}

/* The entry that a chunk belongs to. */
static size_t find_entry(const convert_job *j, size_t chunk)
{
    size_t lo = 0, hi = j->plan.n; /* first_chunk[lo] <= chunk < first_chunk[hi] */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (j->first_chunk[mid] <= chunk)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* The values of entry i in a chunk: *n from the returned one on. */
static uint64_t find_values(const convert_job *j, size_t i, size_t chunk, size_t *n)
{
    const plan_entry *e = &j->plan.entries[i];
    uint64_t size = chunk_values(e), begin = (uint64_t)(chunk - j->first_chunk[i]) * size;
    *n = (size_t)(e->t->n_values - begin < size ? e->t->n_values - begin : size);
    return begin;
}

static qasr_status do_chunk(convert_job *j, size_t chunk, unsigned thread, qasr_error *err)
{
    size_t n, i = find_entry(j, chunk);
    const plan_entry *e = &j->plan.entries[i];
    uint64_t begin = find_values(j, i, chunk, &n);
    const quant_info *q = quant_get(e->type);
    chunk_scratch *s = &j->scratch[thread];
    if (e->way == PLAN_CALIBRATED)
        TRY(convert_rows(j, e, begin, n, s, &j->errors[chunk], err));
    else
        TRY(convert_values(e, begin, n, s, &j->errors[chunk], err));
    TRY(gguf_writer_put(j->out, j->index[i], begin / q->block * q->bytes, s->out, quant_row_bytes(q, n), err));
    plan_release_values(e, begin, n);
    if (atomic_fetch_sub(&j->chunks_left[i], 1) == 1)
        plan_release_values(e, 0, e->t->n_values);
    atomic_fetch_add(&j->bytes_done, quant_row_bytes(quant_get(e->t->type), n));
    return QASR_OK;
}

/* ---- all chunks ------------------------------------------------------------------------------ */

/* Keeps the failure of the lowest chunk, so that the error does not depend on the threads. */
static void note_failure(convert_job *j, size_t chunk, const qasr_error *failure)
{
    pthread_mutex_lock(&j->mutex);
    if (j->failure.status == QASR_OK || chunk < j->failed_chunk) {
        j->failed_chunk = chunk;
        j->failure = *failure;
    }
    pthread_mutex_unlock(&j->mutex);
    atomic_store(&j->stop, true);
}

void convert_chunks_progress(convert_job *j, size_t chunk)
{
    const qasr_quantize_options *opt = j->opt;
    qasr_error e;
    if (!opt->on_progress)
        return;
    const char *what = j->plan.entries[find_entry(j, chunk)].t->canonical;
    const uint64_t bytes = j->bytes_total;
    uint64_t done = atomic_load(&j->bytes_done), total = bytes;
    if (opt->n_calibration_audio) { /* transcribing audio counts as much as the conversion */
        done += (uint64_t)(j->transcribed * (double)bytes);
        total += bytes;
    }
    if (j->verifier) {
        done += (uint64_t)(j->verified * (double)bytes);
        total += bytes;
    }
    if (opt->on_progress(opt->user, done, total, what) != 0) {
        error_set(&e, QASR_E_CANCELLED, "quantization was cancelled; '%s' was not written", opt->output);
        note_failure(j, chunk, &e);
    }
}

static void run_chunk(convert_job *j, size_t chunk, unsigned thread)
{
    qasr_error e = { .status = QASR_OK };
    if (atomic_load(&j->stop))
        return;
    if (do_chunk(j, chunk, thread, &e) != QASR_OK)
        note_failure(j, chunk, &e);
    else if (thread == 0) /* the caller's own thread: convert.h promises that */
        convert_chunks_progress(j, chunk);
}

/* Calibrated entries are converted by convert_chunks_run_entry. */
static void chunk_task(void *arg, size_t chunk, unsigned thread)
{
    convert_job *j = arg;
    if (j->plan.entries[find_entry(j, chunk)].way != PLAN_CALIBRATED)
        run_chunk(j, chunk, thread);
}

typedef struct entry_job {
    convert_job *j;
    size_t first_chunk;
} entry_job;

static void entry_task(void *arg, size_t chunk, unsigned thread)
{
    const entry_job *e = arg;
    run_chunk(e->j, e->first_chunk + chunk, thread);
}

void convert_chunks_run_entry(convert_job *j, size_t i)
{
    pool_run(j->pool, entry_task, &(entry_job){ j, j->first_chunk[i] }, j->first_chunk[i + 1] - j->first_chunk[i]);
}

static void check_task(void *arg, size_t chunk, unsigned thread)
{
    convert_job *j = arg;
    qasr_error e;
    size_t n, i = find_entry(j, chunk);
    const plan_entry *entry = &j->plan.entries[i];
    if (entry->way != PLAN_CALIBRATED || atomic_load(&j->stop))
        return;
    uint64_t begin = find_values(j, i, chunk, &n);
    if (read_values(j->scratch[thread].x, entry, begin, n, &e) != QASR_OK)
        note_failure(j, chunk, &e);
    plan_release_values(entry, begin, n);
}

void convert_chunks_check(convert_job *j) { pool_run(j->pool, check_task, j, j->first_chunk[j->plan.n]); }

qasr_status convert_chunks_put_entry(convert_job *j, size_t i, const void *data, size_t n, qasr_error *err)
{
    atomic_fetch_add(&j->bytes_done, j->plan.entries[i].t->n_bytes);
    return gguf_writer_put(j->out, j->index[i], 0, data, n, err);
}

qasr_status convert_chunks_alloc(convert_job *j, qasr_error *err)
{
    unsigned n = pool_threads(j->pool);
    size_t widest = 0, longest = 0;
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        const quant_info *q = quant_get(e->type);
        size_t values = (size_t)(e->t->n_values < chunk_values(e) ? e->t->n_values : chunk_values(e));
        if (!e->skipped && quant_row_bytes(q, values) > widest)
            widest = quant_row_bytes(q, values);
        if (!e->skipped && e->way == PLAN_CALIBRATED && e->row_values > longest)
            longest = (size_t)e->row_values;
    }
    size_t floats = GPTQ_ROWS * longest > BATCH_VALUES ? GPTQ_ROWS * longest : BATCH_VALUES;
    TRY(MEM_CALLOC(&j->scratch, n, err));
    for (unsigned i = 0; i < n; i++) {
        chunk_scratch *s = &j->scratch[i];
        TRY(MEM_ALLOC(&s->x, floats, err));
        TRY(MEM_ALLOC(&s->y, floats, err));
        if (longest)
            TRY(MEM_ALLOC(&s->rounding, gptq_scratch(longest), err));
        TRY(MEM_ALLOC(&s->out, widest, err));
    }
    return QASR_OK;
}

qasr_status convert_chunks_count(convert_job *j, qasr_error *err)
{
    TRY(MEM_ALLOC(&j->first_chunk, j->plan.n + 1, err));
    TRY(MEM_ALLOC(&j->chunks_left, j->plan.n, err));
    size_t n = 0;
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        uint64_t values = e->skipped ? 0 : e->t->n_values;
        j->first_chunk[i] = n;
        size_t chunks = (size_t)((values + chunk_values(e) - 1) / chunk_values(e));
        atomic_init(&j->chunks_left[i], chunks);
        n += chunks;
        j->bytes_total += e->skipped ? 0 : e->t->n_bytes;
    }
    j->first_chunk[j->plan.n] = n;
    return MEM_CALLOC(&j->errors, n, err);
}

void convert_chunks_run(convert_job *j) { pool_run(j->pool, chunk_task, j, j->first_chunk[j->plan.n]); }

void convert_chunks_free(convert_job *j)
{
    for (unsigned i = 0; j->scratch && i < pool_threads(j->pool); i++) {
        mem_free(j->scratch[i].x);
        mem_free(j->scratch[i].y);
        mem_free(j->scratch[i].rounding);
        mem_free(j->scratch[i].out);
    }
    mem_free(j->scratch);
    mem_free(j->errors);
    mem_free(j->chunks_left);
    mem_free(j->first_chunk);
}
