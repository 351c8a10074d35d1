/* See auto_mix.h. Matrices with the same input are measured together, as factoring its moments takes longest. A task is
 * a batch of rows in one type; the results of tasks are added up in order. */
#include "quantize/auto_mix.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "quantize/bit_budget.h"
#include "quantize/gptq.h"

enum { SAMPLE_BATCHES = 8 }; /* of GPTQ_ROWS rows, spread over the matrix */

#define WEIGHTS QUANT_F32 /* not a candidate: its tasks measure the weights themselves */

/* Weight of the same relative error in different places, measured on the demo model (docs/evaluation.md). Outputs of
 * o_proj and down_proj are added directly to the residual stream, those of the head are the logits; the others first
 * pass through attention or a product. */
static const struct {
    const char *end;
    double weight;
} weights_of[] = {
    { ".o_proj.weight", 3 },
    { ".down_proj.weight", 3 },
    { "embed_tokens.weight", 16 },
    { "lm_head.weight", 16 },
};

/* Per thread: a batch of rows. */
typedef struct scratch {
    float *x, *y, *rounding;
    unsigned char *blocks;
} scratch;

typedef struct job {
    auto_mix *mix;
    plan_entry **entries; /* [n], of the mix */
    budget_item *items;   /* [n] */
    bool *done;           /* [n] */
    size_t n;
    uint64_t bytes_total, bytes_done;
    scratch *scratch;    /* [pool threads] */
    double *energies;    /* [SAMPLE_BATCHES, QUANT_TYPE_COUNT], of the current matrix */
    const plan_entry *e; /* the current matrix; its inputs: */
    hessian hessian;     /* factor NULL: mean squares only */
    float *importance;   /* [longest row] */
} job;

/* ---- which matrices ---------------------------------------------------------------------------------- */

static bool is_mixed(const plan_entry *e, const qasr_quantize_options *opt)
{
    bool is_embedding = e->kind == PLAN_EMBEDDING || e->kind == PLAN_HEAD;
    return !e->skipped && e->way == PLAN_CALIBRATED && !e->by_name && strcmp(plan_part(e), "decoder") == 0 &&
           !(is_embedding && opt->embedding_qtype);
}

static bool is_candidate(const plan_entry *e, quant_type type)
{
    const quant_info *q = quant_get(type);
    return q->block > 1 && q->quantize && e->row_values % q->block == 0;
}

static qasr_status list_entries(job *j, qasr_error *err)
{
    plan *p = j->mix->plan;
    TRY(MEM_CALLOC(&j->entries, p->n, err));
    TRY(MEM_CALLOC(&j->items, p->n, err));
    TRY(MEM_CALLOC(&j->done, p->n, err));
    for (size_t i = 0; i < p->n; i++) {
        plan_entry *e = &p->entries[i];
        if (!is_mixed(e, j->mix->opt))
            continue;
        j->items[j->n].n_values = e->t->n_values;
        for (int t = 0; t < QUANT_TYPE_COUNT; t++)
            j->items[j->n].candidate[t] = is_candidate(e, (quant_type)t);
        j->bytes_total += e->t->n_bytes;
        j->entries[j->n++] = e;
    }
    if (j->n == 0)
        return error_set(err, QASR_E_INVALID,
                         "no types to mix: no matrix of the decoder is in scope, covered by the "
                         "calibration, and without a type given by name");
    return QASR_OK;
}

static qasr_status alloc_scratch(job *j, qasr_error *err)
{
    size_t cols = 0;
    for (size_t i = 0; i < j->n; i++)
        cols = j->entries[i]->row_values > cols ? (size_t)j->entries[i]->row_values : cols;
    TRY(MEM_ALLOC(&j->energies, (size_t)SAMPLE_BATCHES * QUANT_TYPE_COUNT, err));
    TRY(MEM_ALLOC(&j->importance, cols, err));
    TRY(MEM_CALLOC(&j->scratch, pool_threads(j->mix->pool), err));
    for (unsigned i = 0; i < pool_threads(j->mix->pool); i++) {
        scratch *s = &j->scratch[i];
        TRY(MEM_ALLOC(&s->x, GPTQ_ROWS * cols, err));
        TRY(MEM_ALLOC(&s->y, GPTQ_ROWS * cols, err));
        TRY(MEM_ALLOC(&s->rounding, gptq_scratch(cols), err));
        TRY(MEM_ALLOC(&s->blocks, GPTQ_ROWS * cols * sizeof(float), err)); /* no type takes more */
    }
    return QASR_OK;
}

/* ---- a batch of rows ------------------------------------------------------------------------------- */

static size_t n_batches(const plan_entry *e)
{
    uint64_t all = (e->n_rows + GPTQ_ROWS - 1) / GPTQ_ROWS;
    return all < SAMPLE_BATCHES ? (size_t)all : SAMPLE_BATCHES;
}

/* Sum of the mean squares of the outputs of rows x. */
static double energy(const job *j, const float *x, size_t n_rows)
{
    size_t cols = (size_t)j->e->row_values;
    if (j->hessian.factor)
        return hessian_energy(&j->hessian, x, n_rows);
    double sum = 0;
    for (size_t i = 0; i < n_rows; i++)
        for (size_t c = 0; c < cols; c++)
            sum += (double)j->importance[c] * (double)x[i * cols + c] * (double)x[i * cols + c];
    return sum;
}

/* s->y = x - stored. */
static void round_rows(const job *j, quant_type type, size_t n_rows, scratch *s)
{
    const quant_info *q = quant_get(type);
    size_t cols = (size_t)j->e->row_values, bytes = quant_row_bytes(q, cols);
    if (j->hessian.factor)
        gptq_rows(&j->hessian, s->blocks, type, s->x, n_rows, s->rounding);
    for (size_t i = 0; !j->hessian.factor && i < n_rows; i++)
        q->quantize_weighted(s->blocks + i * bytes, s->x + i * cols, j->importance, cols);
    q->dequantize(s->y, s->blocks, n_rows * cols);
    for (size_t i = 0; i < n_rows * cols; i++)
        s->y[i] = s->x[i] - s->y[i];
}

static void batch_task(void *arg, size_t task, unsigned thread)
{
    job *j = arg;
    scratch *s = &j->scratch[thread];
    const plan_entry *e = j->e;
    quant_type type = (quant_type)(task % QUANT_TYPE_COUNT);
    if (type != WEIGHTS && !is_candidate(e, type))
        return;
    size_t batch = task / QUANT_TYPE_COUNT, cols = (size_t)e->row_values;
    uint64_t all = (e->n_rows + GPTQ_ROWS - 1) / GPTQ_ROWS, first = batch * all / n_batches(e) * GPTQ_ROWS;
    size_t n_rows = e->n_rows - first < GPTQ_ROWS ? (size_t)(e->n_rows - first) : GPTQ_ROWS;
    plan_read_scaled(s->x, e, first * cols, n_rows * cols);
    double *to = &j->energies[task];
    *to = 0;
    for (size_t i = 0; i < n_rows * cols; i++)
        if (!isfinite(s->x[i]))
            return; /* the conversion reports it */
    if (type != WEIGHTS)
        round_rows(j, type, n_rows, s);
    *to = energy(j, type == WEIGHTS ? s->x : s->y, n_rows);
}

/* ---- a matrix ---------------------------------------------------------------------------------------- */

static double weight_of(const plan_entry *e)
{
    for (size_t i = 0; i < ARRAY_LEN(weights_of); i++)
        if (strstr(e->t->canonical, weights_of[i].end))
            return weights_of[i].weight;
    return 1;
}

static void measure(job *j, size_t i)
{
    double sums[QUANT_TYPE_COUNT] = { 0 };
    budget_item *item = &j->items[i];
    j->e = j->entries[i];
    size_t n = n_batches(j->e);
    pool_run(j->mix->pool, batch_task, j, n * QUANT_TYPE_COUNT);
    for (size_t b = 0; b < n; b++)
        for (int t = 0; t < QUANT_TYPE_COUNT; t++)
            sums[t] += t == (int)WEIGHTS || item->candidate[t] ? j->energies[b * QUANT_TYPE_COUNT + (size_t)t] : 0;
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        item->sensitivity[t] = sums[WEIGHTS] > 0 ? sums[t] / sums[WEIGHTS] * weight_of(j->e) : 0;
    plan_release_values(j->e, 0, j->e->t->n_values);
    j->done[i] = true;
    j->bytes_done += j->e->t->n_bytes;
}

static qasr_status report_progress(const job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->mix->opt;
    if (opt->on_progress && opt->on_progress(opt->user, j->bytes_done, j->bytes_total, "choosing types") != 0)
        return error_set(err, QASR_E_CANCELLED, "quantization was cancelled; nothing was written");
    return QASR_OK;
}

/* Measures matrix i and the later ones with the same input. */
static qasr_status measure_group(job *j, size_t i, qasr_error *err)
{
    char source[NAMES_MAX_BYTES], other[NAMES_MAX_BYTES];
    const plan_entry *e = j->entries[i];
    size_t cols = (size_t)e->row_values;
    calibration_source(source, sizeof source, e->t->canonical); /* fits: calibrated matrices were checked */
    const float *squares;
    TRY(calibration_importance(j->mix->calibration, e->t->canonical, cols, &squares, NULL, err));
    plan_scale_squares(j->importance, e, squares);
    TRY(calibration_hessian(j->mix->calibration, e->t->canonical, cols, e->column_scale, &j->hessian, j->mix->pool,
                            err));
    qasr_status status = QASR_OK;
    for (size_t k = i; k < j->n && status == QASR_OK; k++) {
        if (j->done[k] || !calibration_source(other, sizeof other, j->entries[k]->t->canonical) ||
            strcmp(other, source) != 0)
            continue;
        measure(j, k);
        status = report_progress(j, err);
    }
    hessian_free(&j->hessian);
    return status;
}

/* ---- all of them ------------------------------------------------------------------------------------- */

static void take_types(job *j)
{
    uint64_t n_values[QUANT_TYPE_COUNT] = { 0 };
    auto_mix *m = j->mix;
    for (size_t i = 0; i < j->n; i++) {
        plan_set_type(j->entries[i], j->items[i].type);
        j->entries[i]->mixed = true;
        j->entries[i]->sensitivity = j->items[i].sensitivity[j->items[i].type];
        n_values[j->items[i].type] += j->items[i].n_values;
    }
    m->main_type = j->items[0].type;
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        if (n_values[t] > n_values[m->main_type])
            m->main_type = (quant_type)t;
    m->bits = budget_bits(j->items, j->n);
}

static qasr_status choose(job *j, qasr_error *err)
{
    TRY(list_entries(j, err));
    TRY(alloc_scratch(j, err));
    for (size_t i = 0; i < j->n; i++)
        if (!j->done[i])
            TRY(measure_group(j, i, err));
    TRY(budget_choose(j->items, j->n, j->mix->opt->auto_mix, err));
    take_types(j);
    return QASR_OK;
}

static void job_free(job *j)
{
    for (unsigned i = 0; j->scratch && i < pool_threads(j->mix->pool); i++) {
        mem_free(j->scratch[i].x);
        mem_free(j->scratch[i].y);
        mem_free(j->scratch[i].rounding);
        mem_free(j->scratch[i].blocks);
    }
    mem_free(j->scratch);
    mem_free(j->importance);
    mem_free(j->energies);
    mem_free(j->done);
    mem_free(j->items);
    mem_free(j->entries);
}

qasr_status auto_mix_choose(auto_mix *m, qasr_error *err)
{
    job j = { .mix = m };
    qasr_status status = choose(&j, err);
    job_free(&j);
    return status;
}
