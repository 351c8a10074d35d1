/* See convert_report.h. */
#include "quantize/convert_report.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* ---- after the conversion --------------------------------------------------------------------- */

static void add_to_row(qasr_quantize_row *row, const convert_job *j, size_t i, double *sum_sq)
{
    const plan_entry *e = &j->plan.entries[i];
    row->n_tensors++;
    row->n_values += e->t->n_values;
    row->bytes_before += e->t->n_bytes;
    row->bytes_after += e->bytes;
    row->n_fallback += e->fallback;
    for (size_t c = j->first_chunk[i]; c < j->first_chunk[i + 1]; c++) { /* zeros in a dry run */
        *sum_sq += j->errors[c].sum_sq;
        if (j->errors[c].max > row->max_error)
            row->max_error = j->errors[c].max;
    }
}

/* Sums up the tensors of one kind and type; type < 0: the skipped ones. False if there are none. */
static bool make_row(qasr_quantize_row *row, const convert_job *j, plan_kind kind, int type)
{
    double sum_sq = 0;
    *row = (qasr_quantize_row){ .kind = plan_kind_name(kind), .type = type < 0 ? "skipped" : quant_get(type)->name };
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        if (e->kind == kind && (e->skipped ? type < 0 : (int)e->type == type))
            add_to_row(row, j, i, &sum_sq);
    }
    row->rms_error = row->n_values ? sqrt(sum_sq / (double)row->n_values) : 0;
    return row->n_tensors > 0;
}

qasr_status convert_report_rows(qasr_quantize_report *report, const convert_job *j, qasr_error *err)
{
    qasr_quantize_row row;
    TRY(MEM_ALLOC(&report->rows, (size_t)PLAN_KIND_COUNT * (QUANT_TYPE_COUNT + 1), err));
    for (int kind = 0; kind < PLAN_KIND_COUNT; kind++)
        for (int type = -1; type < QUANT_TYPE_COUNT; type++)
            if (make_row(&row, j, (plan_kind)kind, type))
                report->rows[report->n_rows++] = row;
    return QASR_OK;
}

/* ---- before anything is written --------------------------------------------------------------- */

qasr_status convert_report_tensors(const convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    for (size_t i = 0; opt->on_tensor && i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        qasr_quantize_tensor t = {
            .name = e->t->canonical,
            .output_name = e->skipped ? "" : plan_name(e),
            .kind = plan_kind_name(e->kind),
            .part = plan_part(e),
            .source_type = quant_get(e->t->type)->name,
            .type = e->skipped ? "skipped" : quant_get(e->type)->name,
            .n_dims = e->t->n_dims,
            .n_values = e->t->n_values,
            .bytes_before = e->t->n_bytes,
            .bytes_after = e->bytes,
            .fallback = e->fallback,
            .mixed = e->mixed,
            .sensitivity = e->sensitivity,
        };
        memcpy(t.shape, e->t->shape, sizeof t.shape);
        if (opt->on_tensor(opt->user, &t) != 0)
            return error_set(err, QASR_E_CANCELLED, "quantization was cancelled; nothing was written");
    }
    return QASR_OK;
}

qasr_status convert_report_lossy_input(const convert_job *j, qasr_error *err)
{
    uint64_t n_values[QUANT_TYPE_COUNT] = { 0 }, n_all = 0;
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        n_all += e->skipped ? 0 : e->t->n_values;
        if (!e->skipped && e->way != PLAN_COPY && quant_get(e->t->type)->block > 1)
            n_values[e->t->type] += e->t->n_values;
    }
    buf text;
    buf_init(&text, 1024);
    qasr_status status = QASR_OK;
    for (int t = 0; t < QUANT_TYPE_COUNT && status == QASR_OK; t++)
        if (n_values[t])
            status = buf_printf(&text, err, "%s%s (%.1f %% of the weights)", text.len ? ", " : "",
                                quant_get((quant_type)t)->name, 100.0 * (double)n_values[t] / (double)n_all);
    if (status == QASR_OK && text.len)
        log_warning("'%s' is quantized already: %s; lost precision cannot be recovered; use the original checkpoint if "
                    "you have it",
                    j->opt->input, buf_str(&text));
    buf_free(&text);
    return status;
}
