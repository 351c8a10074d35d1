/* See convert_calibrated.h. There are two ways:
 *
 * A statistics file (calibration_file.h) describes the exact model. Matrices with the same input are converted
 * together. If the file has the products of that input, GPTQ compensates rounding errors (gptq.h); with mean squares
 * alone, these weight the errors when scales are chosen.
 *
 * With audio, layers are quantized in order (layerwise.h): the moments of a stage's input are taken once all matrices
 * before it are rounded, so each matrix also compensates for the errors of the layers before it. A bias absorbs the
 * mean error that is left. */
#include "quantize/convert_calibrated.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "quantize/convert_chunks.h"
#include "quantize/layerwise.h"

/* Shrinks the drift that is compensated: the fewer rows it was measured on, relative to the columns, the more of it is
 * noise. The demo model's quality hardly changes between half and twice this number. */
#define DRIFT_NOISE 4.0

/* ---- by file --------------------------------------------------------------------------------- */

/* Converts the matrices from entry i on that have the same input as source. */
static void convert_with_source(convert_job *j, size_t i, const char *source, bool *done)
{
    char other[NAMES_MAX_BYTES];
    for (; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        if (done[i] || e->skipped || e->way != PLAN_CALIBRATED ||
            !calibration_source(other, sizeof other, e->t->canonical) || strcmp(other, source) != 0)
            continue;
        done[i] = true;
        convert_chunks_run_entry(j, i);
    }
}

static qasr_status convert_by_file(convert_job *j, qasr_error *err)
{
    bool *done;
    char source[NAMES_MAX_BYTES];
    TRY(MEM_CALLOC(&done, j->plan.n, err));
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < j->plan.n && status == QASR_OK && !atomic_load(&j->stop); i++) {
        const plan_entry *e = &j->plan.entries[i];
        if (done[i] || e->skipped || e->way != PLAN_CALIBRATED)
            continue;
        calibration_source(source, sizeof source, e->t->canonical); /* fits: can_be_calibrated checked it */
        status = calibration_hessian(j->calibration, e->t->canonical, (size_t)e->row_values, e->column_scale,
                                     &j->hessian, j->pool, err);
        if (status == QASR_OK)
            convert_with_source(j, i, source, done);
        hessian_free(&j->hessian);
    }
    mem_free(done);
    return status;
}

/* ---- by audio -------------------------------------------------------------------------------- */

/* The calibrated entry of a tensor; plan.n if there is none. */
static size_t find_calibrated(const convert_job *j, const char *canonical)
{
    size_t i = 0;
    while (i < j->plan.n &&
           (j->plan.entries[i].way != PLAN_CALIBRATED || strcmp(j->plan.entries[i].t->canonical, canonical) != 0))
        i++;
    return i;
}

/* The moments of the exact model's inputs become those of the inputs of scaled columns. */
static void scale_moments(layerwise_moments *m, const float *scale)
{
    hessian_scale_products(m->products, m->n, scale);
    if (m->drift)
        hessian_scale_products(m->drift, m->n, scale);
    for (size_t i = 0; m->mean && i < m->n; i++) {
        m->mean[i] /= (double)scale[i];
        m->exact_mean[i] /= (double)scale[i];
    }
}

/* Makes the moments the Hessian of the matrices converted next; takes products and drift. */
static qasr_status set_hessian(convert_job *j, layerwise_moments *m, const plan_entry *e, qasr_error *err)
{
    if (e->column_scale)
        scale_moments(m, e->column_scale);
    float *products = m->products, strength = (float)(1 / (1 + DRIFT_NOISE * (double)m->n / m->n_rows));
    m->products = NULL;
    TRY(hessian_create(&j->hessian, j->pool, products, m->n, CALIBRATION_DAMPING, e->t->canonical, err));
    if (!m->drift)
        return QASR_OK;
    for (size_t i = 0; i < m->n * m->n; i++)
        m->drift[i] *= strength;
    hessian_set_drift(&j->hessian, j->pool, m->drift);
    m->drift = NULL;
    return QASR_OK;
}

static qasr_status alloc_copy(convert_copy *c, const plan_entry *e, const layerwise_moments *m, qasr_error *err)
{
    TRY(MEM_ALLOC(&c->blocks, (size_t)e->bytes, err));
    if (m->mean)
        TRY(MEM_CALLOC(&c->shift, (size_t)e->n_rows, err));
    c->mean = m->mean;
    c->exact_mean = m->exact_mean;
    return QASR_OK;
}

/* Converts a matrix and keeps a copy of the result. */
static qasr_status convert_copied(convert_job *j, size_t entry, convert_copy *c, const layerwise_moments *m,
                                  qasr_error *err)
{
    TRY(alloc_copy(c, &j->plan.entries[entry], m, err));
    j->copy = c;
    convert_chunks_run_entry(j, entry);
    j->copy = NULL;
    return QASR_OK;
}

static void free_copy(convert_copy *c)
{
    mem_free(c->blocks);
    mem_free(c->shift);
}

/* Adds the mean change of the outputs of matrix k to its bias. */
static qasr_status convert_bias(convert_job *j, layerwise *lw, size_t k, const weight_ref *ref, const double *shift,
                                qasr_error *err)
{
    size_t entry = find_calibrated(j, ref->tensor->canonical), n = ref->cols;
    float *bias;
    if (entry == j->plan.n)
        return QASR_OK;
    TRY(MEM_ALLOC(&bias, n, err));
    const plan_entry *e = &j->plan.entries[entry];
    plan_read_scaled(bias, e, 0, n);
    for (size_t i = 0; i < n; i++)
        bias[i] = (float)((double)bias[i] + shift[i]);
    qasr_status status = convert_chunks_put_entry(j, entry, bias, n * sizeof *bias, err);
    if (status == QASR_OK) {
        for (size_t i = 0; e->column_scale && i < n; i++)
            bias[i] /= e->column_scale[i];
        status = layerwise_put_bias(lw, k, bias, err);
    }
    mem_free(bias);
    return status;
}

/* Puts a rounded matrix into the layerwise pass, which runs the network without scales. */
static qasr_status put_matrix(layerwise *lw, size_t k, const plan_entry *e, const unsigned char *blocks,
                              qasr_error *err)
{
    const size_t cols = (size_t)e->row_values, n = (size_t)e->t->n_values;
    float *x;
    if (!e->row_scale && !e->column_scale)
        return layerwise_put(lw, k, e->type, blocks, err);
    TRY(MEM_ALLOC(&x, n, err));
    quant_get(e->type)->dequantize(x, blocks, n);
    for (size_t r = 0; r < e->n_rows; r++)
        for (size_t c = 0; c < cols; c++)
            x[r * cols + c] /= (e->row_scale ? e->row_scale[r] : 1) * (e->column_scale ? e->column_scale[c] : 1);
    qasr_status status = layerwise_put(lw, k, QUANT_F32, x, err);
    mem_free(x);
    return status;
}

static qasr_status convert_matrix(convert_job *j, layerwise *lw, const stage *s, size_t k, const layerwise_moments *m,
                                  qasr_error *err)
{
    size_t entry = find_calibrated(j, s->refs[k]->tensor->canonical);
    convert_copy copy = { 0 };
    qasr_status status;
    if (entry == j->plan.n)
        return QASR_OK;
    TRY_GOTO(convert_copied(j, entry, &copy, m, err));
    TRY_GOTO(put_matrix(lw, k, &j->plan.entries[entry], copy.blocks, err));
    if (s->bias_refs[k])
        TRY_GOTO(convert_bias(j, lw, k, s->bias_refs[k], copy.shift, err));
done:
    free_copy(&copy);
    return status;
}

/* Converts the matrices of the current stage; first: the entry of one of them. */
static qasr_status convert_stage(convert_job *j, layerwise *lw, const stage *s, size_t first, qasr_error *err)
{
    layerwise_moments m = { 0 };
    qasr_status status;
    TRY_GOTO(layerwise_get_moments(lw, &m, err));
    TRY_GOTO(set_hessian(j, &m, &j->plan.entries[first], err));
    for (size_t k = 0; k < s->n && !atomic_load(&j->stop); k++)
        TRY_GOTO(convert_matrix(j, lw, s, k, &m, err));
done:
    hessian_free(&j->hessian);
    layerwise_moments_free(&m);
    return status;
}

/* Converts the embedding or the head by the inputs of the head. */
static qasr_status convert_table(convert_job *j, layerwise *lw, size_t entry, qasr_error *err)
{
    const plan_entry *e = &j->plan.entries[entry];
    layerwise_moments m = { 0 };
    convert_copy copy = { 0 };
    qasr_status status;
    TRY_GOTO(layerwise_get_head_moments(lw, &m, err));
    TRY_GOTO(set_hessian(j, &m, e, err));
    TRY_GOTO(convert_copied(j, entry, &copy, &m, err));
    if (e->kind == PLAN_EMBEDDING && !atomic_load(&j->stop))
        TRY_GOTO(layerwise_put_embedding(lw, e->type, copy.blocks, err));
done:
    hessian_free(&j->hessian);
    layerwise_moments_free(&m);
    free_copy(&copy);
    return status;
}

static qasr_status convert_stages(convert_job *j, layerwise *lw, qasr_error *err)
{
    stage s;
    for (size_t i = 0; i < j->plan.n && !atomic_load(&j->stop); i++)
        if (j->plan.entries[i].way == PLAN_CALIBRATED &&
            (j->plan.entries[i].kind == PLAN_EMBEDDING || j->plan.entries[i].kind == PLAN_HEAD))
            TRY(convert_table(j, lw, i, err));
    while (!atomic_load(&j->stop) && layerwise_stage(lw, &s)) {
        size_t entry = j->plan.n;
        for (size_t k = 0; k < s.n && entry == j->plan.n; k++)
            entry = find_calibrated(j, s.refs[k]->tensor->canonical);
        if (entry < j->plan.n)
            TRY(convert_stage(j, lw, &s, entry, err));
        TRY(layerwise_step(lw, err));
    }
    return QASR_OK;
}

static int on_clip(void *user, size_t done, size_t total)
{
    convert_job *j = user;
    j->transcribed = (double)done / (double)total;
    convert_chunks_progress(j, 0);
    return atomic_load(&j->stop);
}

static void set_parts(layerwise_options *opt, const convert_job *j)
{
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        bool is_head = e->kind == PLAN_EMBEDDING || e->kind == PLAN_HEAD;
        bool is_encoder = strcmp(plan_part(e), "encoder") == 0;
        if (e->way != PLAN_CALIBRATED)
            continue;
        opt->head |= is_head;
        opt->encoder |= is_encoder;
        opt->decoder |= !is_head && !is_encoder;
    }
}

static qasr_status convert_by_audio(convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    layerwise_options from = { .model = opt->input,
                               .audio = opt->calibration_audio,
                               .n_audio = opt->n_calibration_audio,
                               .n_threads = opt->n_threads,
                               .on_clip = on_clip,
                               .user = j };
    set_parts(&from, j);
    layerwise *lw;
    convert_chunks_check(j);
    if (atomic_load(&j->stop))
        return QASR_OK; /* see the job's failure */
    qasr_status status = layerwise_create(&lw, &from, err);
    if (atomic_load(&j->stop))
        return QASR_OK; /* cancelled: see the job's failure */
    TRY(status);
    status = convert_stages(j, lw, err);
    layerwise_free(lw);
    return status;
}

qasr_status convert_calibrated(convert_job *j, qasr_error *err)
{
    if (j->opt->n_calibration_audio)
        return convert_by_audio(j, err);
    return j->calibration ? convert_by_file(j, err) : QASR_OK;
}

/* ---- choice of matrices ---------------------------------------------------------------------- */

static bool can_be_calibrated(const plan_entry *e)
{
    char source[NAMES_MAX_BYTES];
    return !e->skipped && e->way == PLAN_CONVERT && e->t->n_dims == 2 && quant_get(e->type)->block > 1 &&
           calibration_source(source, sizeof source, e->t->canonical);
}

/* Marks the matrices that the file covers. A file that covers none is an error, one that misses some a warning. */
static qasr_status choose_by_file(convert_job *j, qasr_error *err)
{
    size_t n_known = 0, n_unknown = 0;
    const char *unknown = NULL;
    TRY(calibration_open(&j->calibration, j->opt->calibration, err));
    for (size_t i = 0; i < j->plan.n; i++) {
        plan_entry *e = &j->plan.entries[i];
        const float *importance = NULL;
        if (!can_be_calibrated(e))
            continue;
        TRY(calibration_importance(j->calibration, e->t->canonical, (size_t)e->row_values, &importance, NULL, err));
        if (importance) {
            e->way = PLAN_CALIBRATED;
            n_known++;
        } else {
            unknown = unknown ? unknown : e->t->canonical;
            n_unknown++;
        }
    }
    if (n_known == 0 && !unknown)
        return error_set(err, QASR_E_INVALID,
                         "calibration '%s' has no effect on these types: choose others, or leave it out",
                         j->opt->calibration);
    if (n_known == 0)
        return error_set(err, QASR_E_INVALID,
                         "calibration '%s' covers none of the matrices that are quantized, such as '%s': is it for "
                         "another model, or made from audio without speech?",
                         j->opt->calibration, unknown);
    if (n_unknown)
        log_warning("calibration '%s' lacks %zu of %zu matrices, such as '%s'; these are quantized without it",
                    j->opt->calibration, n_unknown, n_known + n_unknown, unknown);
    return QASR_OK;
}

static plan_entry *find_bias(convert_job *j, const char *matrix)
{
    static const char weight[] = ".weight", bias[] = ".bias";
    size_t n = strlen(matrix) - strlen(weight);
    for (size_t i = 0; i < j->plan.n; i++) {
        const char *name = j->plan.entries[i].t->canonical;
        if (j->plan.entries[i].type == QUANT_F32 && strncmp(name, matrix, n) == 0 && strcmp(name + n, bias) == 0)
            return &j->plan.entries[i];
    }
    return NULL;
}

/* Marks the matrices that the layerwise pass reaches, and their biases. */
static qasr_status choose_by_audio(convert_job *j, qasr_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < j->plan.n; i++) {
        plan_entry *e = &j->plan.entries[i];
        bool is_product = e->kind == PLAN_ATTENTION || e->kind == PLAN_MLP || e->kind == PLAN_PROJECTION ||
                          e->kind == PLAN_HEAD || (e->kind == PLAN_EMBEDDING && j->input_model.tied);
        if (!is_product || !can_be_calibrated(e))
            continue;
        e->way = PLAN_CALIBRATED;
        n++;
        plan_entry *bias = find_bias(j, e->t->canonical);
        if (bias)
            bias->way = PLAN_CALIBRATED;
    }
    return n ? QASR_OK : error_set(err, QASR_E_INVALID, "no matrix is quantized to blocks: nothing to calibrate");
}

qasr_status convert_choose_calibrated(convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    if (opt->calibration && opt->n_calibration_audio && opt->auto_mix <= 0)
        return error_set(err, QASR_E_INVALID,
                         "both a calibration file and calibration audio are given: pass only one, or request an "
                         "automatic mix of types, which uses the file");
    if (opt->calibration)
        return choose_by_file(j, err);
    return opt->n_calibration_audio ? choose_by_audio(j, err) : QASR_OK;
}

qasr_status convert_recalibrate_by_audio(convert_job *j, qasr_error *err)
{
    for (size_t i = 0; i < j->plan.n; i++)
        if (j->plan.entries[i].way == PLAN_CALIBRATED)
            j->plan.entries[i].way = PLAN_CONVERT;
    return choose_by_audio(j, err);
}
