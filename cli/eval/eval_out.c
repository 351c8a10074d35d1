/* The metrics of an evaluation as Markdown tables or as JSON. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "app/json_util.h"
#include "app/out.h"
#include "cli/eval/eval.h"

typedef enum field_kind {
    FIELD_COUNT,
    FIELD_UNIT,
    FIELD_SHARE,
    FIELD_INTERVAL,
    FIELD_NATS,
    FIELD_NATS_INTERVAL,
    FIELD_RATIO
} field_kind;
typedef enum field_needs { NEEDS_TEXT, NEEDS_MODEL, NEEDS_BASELINE } field_needs;

static const struct field {
    const char *key, *title;
    field_kind kind;
    field_needs needs;
    size_t offset;
} fields[] = {
    { "clips", "clips", FIELD_COUNT, NEEDS_TEXT, offsetof(eval_metrics, clips) },
    { "error_rate", "error rate %", FIELD_SHARE, NEEDS_TEXT, offsetof(eval_metrics, error_rate) },
    { "error_rate_ci", "95 % interval", FIELD_INTERVAL, NEEDS_TEXT, offsetof(eval_metrics, error_rate_ci) },
    { "error_unit", "of", FIELD_UNIT, NEEDS_TEXT, offsetof(eval_metrics, error_unit) },
    { "wer", "WER %", FIELD_SHARE, NEEDS_TEXT, offsetof(eval_metrics, wer) },
    { "wer_ci", "95 % interval", FIELD_INTERVAL, NEEDS_TEXT, offsetof(eval_metrics, wer_ci) },
    { "cer", "CER %", FIELD_SHARE, NEEDS_TEXT, offsetof(eval_metrics, cer) },
    { "cer_ci", "95 % interval", FIELD_INTERVAL, NEEDS_TEXT, offsetof(eval_metrics, cer_ci) },
    { "cer_normalized", "CER normalized %", FIELD_SHARE, NEEDS_TEXT, offsetof(eval_metrics, cer_normalized) },
    { "language_accuracy", "language %", FIELD_SHARE, NEEDS_TEXT, offsetof(eval_metrics, language_accuracy) },
    { "punctuation_f1", "punctuation F1 %", FIELD_SHARE, NEEDS_TEXT, offsetof(eval_metrics, punctuation_f1) },
    { "casing_accuracy", "casing %", FIELD_SHARE, NEEDS_TEXT, offsetof(eval_metrics, casing_accuracy) },
    { "exact", "exact %", FIELD_SHARE, NEEDS_TEXT, offsetof(eval_metrics, exact) },
    { "empty", "empty", FIELD_COUNT, NEEDS_TEXT, offsetof(eval_metrics, empty) },
    { "looped", "looped", FIELD_COUNT, NEEDS_MODEL, offsetof(eval_metrics, looped) },
    { "truncated", "truncated", FIELD_COUNT, NEEDS_MODEL, offsetof(eval_metrics, truncated) },
    { "changed", "changed", FIELD_COUNT, NEEDS_BASELINE, offsetof(eval_metrics, changed) },
    { "wer_vs_baseline", "WER %", FIELD_SHARE, NEEDS_BASELINE, offsetof(eval_metrics, wer_to_baseline) },
    { "cer_vs_baseline", "CER %", FIELD_SHARE, NEEDS_BASELINE, offsetof(eval_metrics, cer_to_baseline) },
    { "first32_agreement", "first 32 ids %", FIELD_SHARE, NEEDS_BASELINE, offsetof(eval_metrics, first) },
    { "forced_clips", "forced clips", FIELD_COUNT, NEEDS_BASELINE, offsetof(eval_metrics, forced_clips) },
    { "positions", "positions", FIELD_COUNT, NEEDS_BASELINE, offsetof(eval_metrics, positions) },
    { "top1_agreement", "top-1 %", FIELD_SHARE, NEEDS_BASELINE, offsetof(eval_metrics, top1) },
    { "kl_mean", "KL mean", FIELD_NATS, NEEDS_BASELINE, offsetof(eval_metrics, kl_mean) },
    { "kl_mean_ci", "95 % interval", FIELD_NATS_INTERVAL, NEEDS_BASELINE, offsetof(eval_metrics, kl_mean_ci) },
    { "kl_p95", "KL p95", FIELD_NATS, NEEDS_BASELINE, offsetof(eval_metrics, kl_p95) },
    { "kl_max", "KL max", FIELD_NATS, NEEDS_BASELINE, offsetof(eval_metrics, kl_max) },
    { "perplexity_ratio", "perplexity ratio", FIELD_RATIO, NEEDS_BASELINE, offsetof(eval_metrics, perplexity_ratio) },
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static const char *const unit_names[] = {
    [EVAL_WORD] = "words", [EVAL_CHARACTER] = "characters", [EVAL_MIXED] = "mixed"
};

static const void *value_of(const eval_metrics *m, const struct field *f) { return (const char *)m + f->offset; }

/* ---- Markdown -------------------------------------------------------------------------------- */

static void print_percent(FILE *f, double share)
{
    if (isnan(share))
        fputs("-", f);
    else
        fprintf(f, "%.2f", 100 * share);
}

static void print_value(FILE *f, const struct field *field, const eval_metrics *m)
{
    const double *x = value_of(m, field);
    if (field->kind == FIELD_COUNT) {
        fprintf(f, "%llu", (unsigned long long)*(const uint64_t *)value_of(m, field));
    } else if (field->kind == FIELD_UNIT) {
        fputs(unit_names[*(const eval_unit *)value_of(m, field)], f);
    } else if (field->kind == FIELD_SHARE) {
        print_percent(f, x[0]);
    } else if (isnan(x[0])) {
        fputs("-", f);
    } else if (field->kind == FIELD_INTERVAL) {
        print_percent(f, x[0]);
        fputs(" to ", f);
        print_percent(f, x[1]);
    } else if (field->kind == FIELD_NATS_INTERVAL) {
        fprintf(f, "%.2e to %.2e", x[0], x[1]);
    } else {
        fprintf(f, field->kind == FIELD_NATS ? "%.2e" : "%.6f", x[0]);
    }
}

/* The fields whose needs lie between low and high. */
static void print_table(FILE *f, const eval_report *r, const char *title, field_needs low, field_needs high)
{
    fprintf(f, "| %s |", title);
    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].needs >= low && fields[i].needs <= high)
            fprintf(f, " %s |", fields[i].title);
    fputs("\n|---|", f);
    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].needs >= low && fields[i].needs <= high)
            fputs("---:|", f);
    fputs("\n", f);
    for (size_t row = 0; row < r->n_rows; row++) {
        fprintf(f, "| %s |", r->rows[row].name ? r->rows[row].name : "all");
        for (size_t i = 0; i < N_FIELDS; i++) {
            if (fields[i].needs < low || fields[i].needs > high)
                continue;
            fputs(" ", f);
            print_value(f, &fields[i], &r->rows[row].metrics);
            fputs(" |", f);
        }
        fputs("\n", f);
    }
}

void eval_write_md(FILE *f, const eval_report *r)
{
    for (size_t i = 0; i < r->settings->n; i++)
        fprintf(f, "%s%s: %s", i ? "; " : "", r->settings->items[i].key, r->settings->items[i].value);
    fputs("\n\n", f);
    print_table(f, r, "against the references", NEEDS_TEXT, r->with_model ? NEEDS_MODEL : NEEDS_TEXT);
    if (!r->with_baseline)
        return;
    fputs("\n", f);
    print_table(f, r, "against the baseline", NEEDS_BASELINE, NEEDS_BASELINE);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *value_json(const struct field *field, const eval_metrics *m)
{
    const double *x = value_of(m, field);
    if (field->kind == FIELD_COUNT)
        return json_integer((json_int_t) * (const uint64_t *)value_of(m, field));
    if (field->kind == FIELD_UNIT)
        return json_string(unit_names[*(const eval_unit *)value_of(m, field)]);
    if (field->kind != FIELD_INTERVAL && field->kind != FIELD_NATS_INTERVAL)
        return number(x[0]);
    if (isnan(x[0]))
        return json_null();
    json_t *pair = json_array();
    json_array_append_new(pair, number(x[0]));
    json_array_append_new(pair, number(x[1]));
    return pair;
}

static void add_metrics(json_t *o, const eval_report *r, const eval_metrics *m)
{
    field_needs most = r->with_baseline ? NEEDS_BASELINE : r->with_model ? NEEDS_MODEL : NEEDS_TEXT;
    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].needs <= most)
            json_object_set_new(o, fields[i].key, value_json(&fields[i], m));
}

void eval_write_json(FILE *f, const eval_report *r)
{
    json_t *o = json_object(), *languages = json_object();
    for (size_t i = 0; i < r->settings->n; i++)
        json_object_set_new(o, r->settings->items[i].key, json_text(r->settings->items[i].value));
    add_metrics(o, r, &r->rows[0].metrics);
    for (size_t i = 1; i < r->n_rows; i++) {
        json_t *row = json_object();
        add_metrics(row, r, &r->rows[i].metrics);
        json_object_set_new(languages, r->rows[i].name, row);
    }
    json_object_set_new(o, "per_language", languages);
    json_print(o, f);
    fputs("\n", f);
    json_decref(o);
}

bool eval_write(const eval_set *set, const eval_settings *settings, eval_format format, const char *output)
{
    eval_report report;
    out o;
    if (!eval_summarize(&report, set, settings))
        return false;
    bool good = out_open(&o, output);
    if (good) {
        format(o.f, &report);
        good = out_commit(&o);
    }
    free(report.rows);
    return good;
}
