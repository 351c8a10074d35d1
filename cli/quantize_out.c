/* Output of qasr quantize: a line for each tensor and a table of totals, or one JSON object. */
#include "cli/quantize_out.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "app/json_util.h"
#include "app/metrics.h"

static double bits(uint64_t bytes, uint64_t n_values) { return n_values ? 8.0 * (double)bytes / (double)n_values : 0; }

static bool is_skipped(const char *type) { return strcmp(type, "skipped") == 0; }

/* Weights in the file. */
static uint64_t count_weights(const qasr_quantize_report *report)
{
    uint64_t n = 0;
    const qasr_quantize_row *row;
    for (size_t i = 0; (row = qasr_quantize_report_row(report, i)); i++)
        n += is_skipped(row->type) ? 0 : row->n_values;
    return n;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_tensor(const quantize_out *o, const qasr_quantize_tensor *t)
{
    char shape[100];
    metrics_shape_text(shape, sizeof shape, t->n_dims, t->shape);
    if (o->n_tensors == 0)
        printf("%-58s %-16s %-5s %-7s %12s\n", "tensor", "shape", "from", "to", "bytes");
    printf("%-58s %-16s %-5s %-7s %12" PRIu64 "%s\n", t->name, shape, t->source_type, t->type, t->bytes_after,
           t->fallback ? "  rows do not fit the requested blocks" : "");
}

static void print_mix(const quantize_out *o)
{
    printf("auto mix: %.4f bits per weight in %zu matrices, %g requested\n", bits(o->mixed_bytes, o->mixed_values),
           o->n_mixed, o->options->auto_mix);
}

static void print_row(const qasr_quantize_row *r, bool with_errors)
{
    printf("%-12s %-8s %7zu %14" PRIu64 " %10.1f %10.1f %7.3f", r->kind, r->type, r->n_tensors, r->n_values,
           (double)r->bytes_before / 1e6, (double)r->bytes_after / 1e6, bits(r->bytes_after, r->n_values));
    if (with_errors)
        printf(" %10.2e %10.2e", r->max_error, r->rms_error);
    if (r->n_fallback)
        printf("  %zu with rows that do not fit the blocks", r->n_fallback);
    printf("\n");
}

static void print_verification(const qasr_verification *v)
{
    printf("verified on %zu segments (%.1f s)%s: KL %.2e", v->n_segments, v->audio_s,
           v->passed ? "" : ", beyond the limits", v->kl_mean);
    if (v->with_encoder)
        printf(", encoder cosine %.5f (lowest segment %.5f, vector %.5f)", v->cosine_mean, v->cosine_lowest,
               v->cosine_lowest_vector);
    printf(", %zu texts changed, %zu lost\n", v->n_changed, v->n_lost);
}

static void print_text(const quantize_out *o, const qasr_quantize_report *report)
{
    bool dry = o->options->dry_run != 0;
    uint64_t file_bytes = qasr_quantize_report_file_bytes(report);
    printf("%s%-12s %-8s %7s %14s %10s %10s %7s", o->list ? "\n" : "", "kind", "type", "tensors", "weights",
           "MB before", "MB after", "bits");
    if (!dry)
        printf(" %10s %10s", "max error", "rms error");
    printf("\n");
    for (size_t i = 0; i < qasr_quantize_report_row_count(report); i++)
        print_row(qasr_quantize_report_row(report, i), !dry);
    if (o->n_mixed)
        print_mix(o);
    if (qasr_quantize_report_verification(report))
        print_verification(qasr_quantize_report_verification(report));
    if (dry)
        printf("the file would have %" PRIu64 " bytes (%.1f MB), %.3f bits per weight\n", file_bytes,
               (double)file_bytes / 1e6, bits(file_bytes, count_weights(report)));
    else
        printf("wrote '%s': %.1f MB in %.1f s\n", o->options->output, (double)file_bytes / 1e6,
               qasr_quantize_report_seconds(report));
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *json_count(uint64_t n) { return json_integer((json_int_t)n); }

static json_t *tensor_object(const qasr_quantize_tensor *t)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_text(t->name));
    json_object_set_new(o, "output_name", json_text(t->output_name));
    json_object_set_new(o, "kind", json_text(t->kind));
    json_object_set_new(o, "part", json_text(t->part));
    json_object_set_new(o, "shape", json_shape(t->n_dims, t->shape));
    json_object_set_new(o, "source_type", json_text(t->source_type));
    json_object_set_new(o, "type", json_text(t->type));
    json_object_set_new(o, "bytes_before", json_count(t->bytes_before));
    json_object_set_new(o, "bytes_after", json_count(t->bytes_after));
    json_object_set_new(o, "fallback", json_boolean(t->fallback));
    if (t->mixed)
        json_object_set_new(o, "sensitivity", json_number(t->sensitivity, 9));
    return o;
}

static json_t *row_object(const qasr_quantize_row *r, bool with_errors)
{
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_text(r->kind));
    json_object_set_new(o, "type", json_text(r->type));
    json_object_set_new(o, "tensors", json_count(r->n_tensors));
    json_object_set_new(o, "weights", json_count(r->n_values));
    json_object_set_new(o, "bytes_before", json_count(r->bytes_before));
    json_object_set_new(o, "bytes_after", json_count(r->bytes_after));
    json_object_set_new(o, "bits_per_weight", json_number(bits(r->bytes_after, r->n_values), 4));
    json_object_set_new(o, "fallback", json_count(r->n_fallback));
    if (with_errors) {
        json_object_set_new(o, "max_error", json_number(r->max_error, 9));
        json_object_set_new(o, "rms_error", json_number(r->rms_error, 9));
    }
    return o;
}

static json_t *mix_object(const quantize_out *o)
{
    json_t *mix = json_object();
    json_object_set_new(mix, "bits_wanted", json_number(o->options->auto_mix, 4));
    json_object_set_new(mix, "bits_per_weight", json_number(bits(o->mixed_bytes, o->mixed_values), 4));
    json_object_set_new(mix, "matrices", json_count(o->n_mixed));
    return mix;
}

static json_t *verification_object(const qasr_verification *v)
{
    json_t *o = json_object();
    json_object_set_new(o, "passed", json_boolean(v->passed));
    json_object_set_new(o, "segments", json_count(v->n_segments));
    json_object_set_new(o, "audio_seconds", json_number(v->audio_s, 6));
    json_object_set_new(o, "positions", json_count(v->n_positions));
    json_object_set_new(o, "kl_mean", json_number(v->kl_mean, 6));
    json_object_set_new(o, "kl_max", json_number(v->kl_max, 6));
    if (v->with_encoder) {
        json_object_set_new(o, "vectors", json_count(v->n_vectors));
        json_object_set_new(o, "encoder_cosine", json_number(v->cosine_mean, 9));
        json_object_set_new(o, "encoder_cosine_lowest", json_number(v->cosine_lowest, 9));
        json_object_set_new(o, "encoder_cosine_lowest_vector", json_number(v->cosine_lowest_vector, 9));
    }
    json_object_set_new(o, "changed_texts", json_count(v->n_changed));
    json_object_set_new(o, "lost_texts", json_count(v->n_lost));
    return o;
}

static void print_object(quantize_out *o, const qasr_quantize_report *report)
{
    bool dry = o->options->dry_run != 0;
    uint64_t file_bytes = qasr_quantize_report_file_bytes(report), n_weights = count_weights(report);
    json_t *root = json_object(), *totals = json_array();
    for (size_t i = 0; i < qasr_quantize_report_row_count(report); i++)
        json_array_append_new(totals, row_object(qasr_quantize_report_row(report, i), !dry));
    json_object_set_new(root, "input", json_text(o->options->input));
    json_object_set_new(root, "output", o->options->output ? json_text(o->options->output) : json_null());
    json_object_set_new(root, "dry_run", json_boolean(dry));
    if (o->tensors)
        json_object_set(root, "tensors", o->tensors);
    json_object_set_new(root, "totals", totals);
    if (o->n_mixed)
        json_object_set_new(root, "auto_mix", mix_object(o));
    if (qasr_quantize_report_verification(report))
        json_object_set_new(root, "verification", verification_object(qasr_quantize_report_verification(report)));
    json_object_set_new(root, "weights", json_count(n_weights));
    json_object_set_new(root, "file_bytes", json_count(file_bytes));
    json_object_set_new(root, "bits_per_weight", json_number(bits(file_bytes, n_weights), 4));
    if (!dry)
        json_object_set_new(root, "seconds", json_number(qasr_quantize_report_seconds(report), 3));
    json_print(root, stdout);
    printf("\n");
    json_decref(root);
}

/* ---- both ------------------------------------------------------------------------------------ */

void quantize_out_tensor(quantize_out *o, const qasr_quantize_tensor *t)
{
    if (o->json) {
        if (!o->tensors)
            o->tensors = json_array();
        json_array_append_new(o->tensors, tensor_object(t));
    } else if (o->list) {
        print_tensor(o, t);
    }
    o->n_tensors++;
    if (t->mixed) {
        o->n_mixed++;
        o->mixed_values += t->n_values;
        o->mixed_bytes += t->bytes_after;
    }
}

void quantize_out_report(quantize_out *o, const qasr_quantize_report *report)
{
    if (o->json)
        print_object(o, report);
    else
        print_text(o, report);
    quantize_out_abort(o);
}

void quantize_out_abort(quantize_out *o)
{
    json_decref(o->tensors);
    o->tensors = NULL;
}
