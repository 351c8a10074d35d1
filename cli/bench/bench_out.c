/* The report of 'qasr bench' as Markdown tables or as JSON. */
#include "cli/bench/bench.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "app/json_util.h"

/* ---- Markdown -------------------------------------------------------------------------------- */

static void print_rates(FILE *f, const bench_row *r)
{
    const double rates[] = { r->cer, r->wer };
    if (isnan(r->cer) && isnan(r->wer)) {
        fputs("-", f);
        return;
    }
    for (int i = 0; i < 2; i++) {
        fputs(i ? "/" : "", f);
        if (isnan(rates[i]))
            fputs("-", f);
        else
            fprintf(f, "%.1f%%", 100 * rates[i]);
    }
}

static const char *origin(const bench_row *r)
{
    return r->variant->own      ? "as stored"
           : !r->variant->qtype ? "safetensors"
           : r->is_temporary    ? "GGUF made for this run"
                                : "GGUF of the model directory";
}

/* The weights that are quantized. */
static const char *scope(const bench_row *r) { return r->variant->qtype ? "decoder" : "none"; }

static void print_row(FILE *f, const bench_row *r, int n_tokens)
{
    const bench_sample *m = &r->median;
    fprintf(f, "| %s | %d | %.1f | %s | %s | %s | %s", r->variant->name, r->batch, m->weights_mb, m->decoder_type,
            scope(r), m->embedding_type, m->device);
    if (m->device_mb > 0)
        fprintf(f, " (%.0f MB)", m->device_mb);
    fprintf(f, " | %.0f | %.3f | %.3f | ", m->peak_rss_mb, m->load_s, m->total_s);
    print_rates(f, r);
    fprintf(f, " | %s; exactly %d tokens decoded", origin(r), n_tokens);
    if (r->batch > 1)
        fprintf(f, " for each of %d copies at once", r->batch);
    fputs(" |\n", f);
}

static void print_percent(FILE *f, double percent)
{
    if (isnan(percent))
        fputs(" - |", f);
    else
        fprintf(f, " %.1f |", percent);
}

static void print_phases(FILE *f, const bench_row *r)
{
    const bench_sample *m = &r->median;
    fprintf(f, "| %s | %d | %.4f | %.3f | %.3f | %.2f | %.1f | %.3f |", r->variant->name, r->batch, m->mel_s,
            m->encode_s, m->prefill_s, m->decode_ms, bench_tokens_per_s(m), m->total_s);
    print_percent(f, r->percent_encode);
    print_percent(f, r->percent_prefill);
    print_percent(f, r->percent_decode);
    fputs("\n", f);
}

static void print_limit_line(FILE *f, const qasr_limits *l)
{
    fprintf(f, "Threads: %d; CPU level: %s; limits: %.1f GB/s read from memory, %.1f Gop/s in float32 products",
            l->n_threads, qasr_cpu_level(), l->read_gb_s, l->f32_gop_s);
    if (l->bf16_gop_s > 0)
        fprintf(f, ", %.1f Gop/s in bfloat16 products", l->bf16_gop_s);
    if (l->int8_gop_s > 0)
        fprintf(f, ", %.1f Gop/s in int8 products", l->int8_gop_s);
    fputs(" (a multiply-add is two operations).\n", f);
}

static bool any_batch(const bench_report *r)
{
    for (size_t i = 0; i < r->n_rows; i++)
        if (r->rows[i].batch > 1)
            return true;
    return false;
}

static void md_report(FILE *f, const bench_report *r)
{
    const bench_sample *first = &r->rows[0].median;
    fprintf(f,
            "| Variant | Batch | Weights (MB) | Quant scheme | Scope | Embeddings | Device | Peak RSS (MB) | Load (s) "
            "| %.4g s "
            "transcribe (s) | CER/WER vs FP | Notes |\n",
            first->audio_s);
    fputs("|---|---:|---:|---|---|---|---|---:|---:|---:|---:|---|\n", f);
    for (size_t i = 0; i < r->n_rows; i++)
        print_row(f, &r->rows[i], r->n_tokens);
    fputs("\n| Variant | Batch | Mel (s) | Encode (s) | Prefill (s) | Decode (ms/token) | Tokens/s | Total after load "
          "(s) | "
          "Encode (% of limit) | Prefill (% of limit) | Decode (% of limit) |\n"
          "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
          f);
    for (size_t i = 0; i < r->n_rows; i++)
        print_phases(f, &r->rows[i]);
    fputs("\n", f);
    print_limit_line(f, &r->limits);
    fprintf(f,
            "Limits are medians of %zu measurements, before each run and after the last; times and memory are medians "
            "of %d "
            "%s, each in a separate process",
            r->n_limits, r->repeat, r->repeat == 1 ? "run" : "runs");
    if (r->warm_up)
        fprintf(f, ", after %d unmeasured transcription%s", r->warm_up, r->warm_up == 1 ? "" : "s");
    fputs(". MB and GB are 10^6 and 10^9 bytes.\n", f);
    fprintf(
        f,
        "Per cent of limit: encode %.1f Gop against %s products; prefill %.1f Gop (%s, attention as its causal half); "
        "decode the bytes of weights, keys and values that a token reads (in the middle of the answer) against reading "
        "(over 100 where they stay in the caches).\n",
        first->encode_gop / r->rows[0].batch, first->encode_precision, first->prefill_gop / r->rows[0].batch,
        first->prefill_precision);
    if (any_batch(r))
        fputs("With a batch, times are those of all copies of the audio together; they share the weights that a "
              "decoding pass "
              "reads.\n",
              f);
}

static void md_limits(FILE *f, const qasr_limits *l) { print_limit_line(f, l); }

/* ---- JSON ------------------------------------------------------------------------------------ */

static void add_limits(json_t *o, const qasr_limits *l)
{
    json_object_set_new(o, "read_gb_s", json_number(l->read_gb_s, 3));
    json_object_set_new(o, "f32_gop_s", json_number(l->f32_gop_s, 3));
    json_object_set_new(o, "bf16_gop_s", json_number(l->bf16_gop_s, 3));
    json_object_set_new(o, "int8_gop_s", json_number(l->int8_gop_s, 3));
}

static json_t *limits_object(const qasr_limits *l, const char *precision)
{
    json_t *o = json_object();
    add_limits(o, l);
    json_object_set_new(o, "matrix_gop_s", json_number(bench_matrix_limit(l, precision), 3));
    return o;
}

static json_t *number_or_null(double x, int decimals) { return isnan(x) ? json_null() : json_number(x, decimals); }

static json_t *three_numbers(double encode, double prefill, double decode, const char *decode_name)
{
    json_t *o = json_object();
    json_object_set_new(o, decode_name ? "encode_gop" : "encode", number_or_null(encode, 3));
    json_object_set_new(o, decode_name ? "prefill_gop" : "prefill", number_or_null(prefill, 3));
    json_object_set_new(o, decode_name ? decode_name : "decode", number_or_null(decode, 3));
    return o;
}

static json_t *precision_object(const bench_sample *m)
{
    json_t *o = json_object();
    json_object_set_new(o, "encode", json_text(m->encode_precision));
    json_object_set_new(o, "prefill", json_text(m->prefill_precision));
    return o;
}

static void add_times(json_t *o, const bench_sample *m)
{
    json_object_set_new(o, "load_s", json_number(m->load_s, 6));
    json_object_set_new(o, "mel_s", json_number(m->mel_s, 6));
    json_object_set_new(o, "encode_s", json_number(m->encode_s, 6));
    json_object_set_new(o, "prefill_s", json_number(m->prefill_s, 6));
    json_object_set_new(o, "decode_ms_per_token", json_number(m->decode_ms, 4));
    json_object_set_new(o, "decode_tokens_per_s", json_number(bench_tokens_per_s(m), 3));
    json_object_set_new(o, "total_s", json_number(m->total_s, 6));
}

static json_t *row_object(const bench_report *report, const bench_row *r)
{
    const bench_sample *m = &r->median;
    json_t *o = json_object();
    json_object_set_new(o, "variant", json_text(r->variant->name));
    json_object_set_new(o, "quant_scheme", json_text(m->decoder_type));
    json_object_set_new(o, "scope", json_text(scope(r)));
    json_object_set_new(o, "embeddings", json_text(m->embedding_type));
    json_object_set_new(o, "device", json_text(m->device));
    json_object_set_new(o, "device_mb", json_number(m->device_mb, 1));
    json_object_set_new(o, "threads", json_integer(m->threads));
    json_object_set_new(o, "cpu_level", json_text(qasr_cpu_level()));
    json_object_set_new(o, "repeat", json_integer(report->repeat));
    json_object_set_new(o, "warm_up", json_integer(report->warm_up));
    json_object_set_new(o, "audio_s", json_number(m->audio_s, 4));
    json_object_set_new(o, "tokens", json_integer(report->n_tokens));
    json_object_set_new(o, "batch", json_integer(r->batch));
    json_object_set_new(o, "kv_type", json_text(report->kv_type));
    add_times(o, m);
    json_object_set_new(o, "peak_rss_mb", json_number(m->peak_rss_mb, 1));
    json_object_set_new(o, "weights_mb", json_number(m->weights_mb, 3));
    json_object_set_new(o, "cer", number_or_null(r->cer, 6));
    json_object_set_new(o, "wer", number_or_null(r->wer, 6));
    json_object_set_new(o, "limits", limits_object(&report->limits, m->encode_precision));
    json_object_set_new(o, "precision", precision_object(m));
    json_object_set_new(o, "work",
                        three_numbers(m->encode_gop, m->prefill_gop, m->decode_gb * 1e3, "decode_mb_per_token"));
    json_object_set_new(o, "percent_of_limit",
                        three_numbers(r->percent_encode, r->percent_prefill, r->percent_decode, NULL));
    json_object_set_new(o, "notes", json_text(origin(r)));
    return o;
}

static void json_report(FILE *f, const bench_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_rows; i++)
        json_array_append_new(list, row_object(r, &r->rows[i]));
    json_print(list, f);
    fputs("\n", f);
    json_decref(list);
}

static void json_limits(FILE *f, const qasr_limits *l)
{
    json_t *o = json_object();
    json_object_set_new(o, "threads", json_integer(l->n_threads));
    json_object_set_new(o, "cpu_level", json_text(qasr_cpu_level()));
    add_limits(o, l);
    json_print(o, f);
    fputs("\n", f);
    json_decref(o);
}

const bench_format bench_md = { md_report, md_limits }, bench_json = { json_report, json_limits };
