/* qasr quantize: options in, one GGUF file and a summary table out. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cmd.h"
#include "progress.h"
#include "qasr/qasr.h"

typedef struct args {
    const char *input, *output, *scope;
    int qtype; /* index into qtypes */
    int quantize_embeddings, n_threads, force, quiet;
} args;

static const char *const qtypes[] = { "q8_0", "q6_k", "q6k", "q4_0", NULL };

static const opt opts[] = {
    { "input", 'i', "PATH", "model directory, .safetensors file or .safetensors.index.json", OPT_STRING,
      offsetof(args, input) },
    { "output", 'o', "FILE", "the .gguf file to write", OPT_STRING, offsetof(args, output) },
    { "qtype", 0, "TYPE", "type of the quantized matrices (default q8_0)", OPT_CHOICE, offsetof(args, qtype),
      qtypes },
    { "scope", 0, "PREFIX", "take the tensors whose name starts so (default thinker.model., the decoder; thinker. "
      "for everything)", OPT_STRING, offsetof(args, scope) },
    { "quantize-embeddings", 0, NULL, "quantize embed_tokens (and an untied lm_head in scope) too", OPT_FLAG,
      offsetof(args, quantize_embeddings) },
    { "threads", 't', "N", "worker threads (default: one per physical core)", OPT_INT, offsetof(args, n_threads),
      NULL, 1, 1024 },
    { "force", 'f', NULL, "replace an existing output file", OPT_FLAG, offsetof(args, force) },
    { "quiet", 'q', NULL, "no progress bar, no summary", OPT_FLAG, offsetof(args, quiet) },
};

static int on_progress(void *user, uint64_t done, uint64_t total, const char *what)
{
    (void)what;
    progress_update(user, done, total);
    return progress_interrupted();
}

static void print_row(const qasr_quantize_row *r)
{
    double bits = r->n_values ? 8.0 * (double)r->bytes_after / (double)r->n_values : 0;
    printf("%-12s %-8s %7zu %14" PRIu64 " %10.1f %10.1f %7.3f %10.2e %10.2e", r->kind, r->type, r->n_tensors,
           r->n_values, (double)r->bytes_before / 1e6, (double)r->bytes_after / 1e6, bits, r->max_error, r->rms_error);
    if (r->n_fallback)
        printf("  %zu with rows that do not fit the blocks", r->n_fallback);
    printf("\n");
}

static void print_report(const args *a, const qasr_quantize_report *report)
{
    printf("%-12s %-8s %7s %14s %10s %10s %7s %10s %10s\n", "kind", "type", "tensors", "weights", "MB before",
           "MB after", "bits", "max error", "rms error");
    for (size_t i = 0; i < report->n_rows; i++)
        print_row(&report->rows[i]);
    printf("wrote '%s': %.1f MB in %.1f s\n", a->output, (double)report->file_bytes / 1e6, report->seconds);
}

static int quantize(const args *a)
{
    progress bar;
    qasr_error err;
    qasr_quantize_report report = { 0 };
    qasr_quantize_options options = QASR_QUANTIZE_OPTIONS_INIT;
    options.input = a->input;
    options.output = a->output;
    options.qtype = qtypes[a->qtype];
    options.scope = a->scope;
    options.quantize_embeddings = a->quantize_embeddings;
    options.n_threads = a->n_threads;
    options.force = a->force;
    options.on_progress = on_progress;
    options.user = &bar;
    progress_catch_signals();
    progress_begin(&bar, a->quiet);
    qasr_status status = qasr_quantize(&options, &report, &err);
    progress_end(&bar);
    if (status != QASR_OK) {
        cmd_print_error(err.message);
        return EXIT_FAILED;
    }
    if (!a->quiet)
        print_report(a, &report);
    qasr_quantize_report_free(&report);
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    opt_result parsed = opt_parse(&cmd_quantize, &a, argc, argv);
    if (parsed != OPT_PARSED)
        return parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    if (!a.input)
        return opt_usage_error(&cmd_quantize, "option '--input PATH' is missing");
    if (!a.output)
        return opt_usage_error(&cmd_quantize, "option '--output FILE' is missing");
    return quantize(&a);
}

const command cmd_quantize = {
    "quantize", "convert safetensors weights to a smaller GGUF file",
    "--input PATH --output FILE [OPTIONS]",
    "A decoder file is found by 'qasr transcribe' under these names in the model directory:\n"
    "model-q8_0.gguf, model-q6k.gguf, model-q6_k.gguf, model-q4_0.gguf, model.gguf.\n",
    opts, sizeof opts / sizeof opts[0], run
};
