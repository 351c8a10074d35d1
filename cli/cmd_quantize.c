/* qasr quantize: options in, one GGUF file and a summary table out. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/message.h"
#include "app/models.h"
#include "app/progress.h"
#include "cli/cmd.h"
#include "cli/quantize_out.h"
#include "qasr/qasr_tools.h"

typedef struct args {
    const char *input, *output, *scope, *calibration;
    opt_files tensor_types; /* "REGEX=TYPE" */
    opt_files calibration_audio;
    int qtype, encoder_qtype, embedding_qtype; /* indices as of the functions below */
    double auto_mix;
    int quantize_embeddings, n_threads, overwrite, quiet, dry_run, format;
} args;

/* The choices of the options, from the library's list. */
static const char *qtype_at(size_t i) { return i == qasr_qtype_count() ? "q6k" : qasr_qtype_name(i); }
static const char *encoder_qtype_at(size_t i) { return i ? qasr_qtype_name(i - 1) : "default"; }

/* Types that a single tensor can have. */
static const char *embedding_qtype_at(size_t i)
{
    if (i == 0)
        return "default";
    size_t at = 0;
    while (qasr_qtype_name(at) && (qasr_qtype_is_mix(at) || --i > 0))
        at++;
    return qasr_qtype_name(at);
}

static const opt opts[] = {
    { "input", 'i', "PATH",
      "model directory, .safetensors file, .safetensors.index.json or .gguf file, or the name of a pulled model",
      OPT_STRING, offsetof(args, input) },
    { "output", 'o', "FILE", "the .gguf file to write", OPT_STRING, offsetof(args, output) },
    { "qtype", 0, "TYPE", "type of the quantized matrices, or a mix of types (default q8_0)", OPT_CHOICE,
      offsetof(args, qtype), .choice = qtype_at },
    { "scope", 0, "PREFIX",
      "take the tensors whose name starts so (default thinker.model., the decoder); all or thinker.: a "
      "whole model in one file, which needs no other",
      OPT_STRING, offsetof(args, scope) },
    { "quantize-embeddings", 0, NULL,
      "quantize embed_tokens (and an untied lm_head in scope) too; a whole model always does", OPT_FLAG,
      offsetof(args, quantize_embeddings) },
    { "calibration", 'c', "FILE", "what 'qasr calibrate' has measured: errors go where they do least harm", OPT_STRING,
      offsetof(args, calibration) },
    { "calibration-audio", 0, "PATH",
      "audio file, folder or list of them that the model listens to while it is quantized: better than "
      "--calibration, in one go; may be repeated",
      OPT_LIST, offsetof(args, calibration_audio) },
    { "auto-mix", 0, "BITS",
      "choose a type for each matrix of the decoder, by errors measured with the calibration, so that they take so "
      "many bits per weight on average",
      OPT_NUMBER, offsetof(args, auto_mix), NULL, 1, 16 },
    { "embedding-qtype", 0, "TYPE", "quantize them to this type (default that of the matrices, in mixes q6_k)",
      OPT_CHOICE, offsetof(args, embedding_qtype), .choice = embedding_qtype_at },
    { "encoder-qtype", 0, "TYPE", "type of the encoder's matrices (default that of the others, but at least 8 bits)",
      OPT_CHOICE, offsetof(args, encoder_qtype), .choice = encoder_qtype_at },
    { "tensor-type", 0, "REGEX=TYPE",
      "type of the tensors in whose name the expression is found, before all other rules; may be "
      "repeated, the last that fits wins",
      OPT_LIST, offsetof(args, tensor_types) },
    { "dry-run", 0, NULL, "write nothing: show the type and size of every tensor, and of the file", OPT_FLAG,
      offsetof(args, dry_run) },
    { "format", 0, "FORMAT", "of what is printed (default txt)", OPT_CHOICE, offsetof(args, format), opt_txt_json },
    { "threads", 't', "N", "worker threads (default: one per physical core)", OPT_INT, offsetof(args, n_threads), NULL,
      1, 1024 },
    { "force", 'f', NULL, "replace an existing output file", OPT_FLAG, offsetof(args, overwrite) },
    { "quiet", 'q', NULL, "no progress bar, no summary", OPT_FLAG, offsetof(args, quiet) },
};

/* The tensor types of the command line, "REGEX=TYPE" cut at the last '='. Both halves of copies[i] are in the first
 * arrays. */
typedef struct rule_list {
    const char **patterns, **types;
    char **copies;
    size_t n;
} rule_list;

static void free_rules(rule_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->copies[i]);
    free(l->copies);
    free(l->patterns);
    free(l->types);
}

static int out_of_memory(void)
{
    message_print("out of memory");
    return EXIT_FAILED;
}

static int split_rules(rule_list *l, const opt_files *given)
{
    l->patterns = calloc(given->n + 1, sizeof *l->patterns);
    l->types = calloc(given->n + 1, sizeof *l->types);
    l->copies = calloc(given->n + 1, sizeof *l->copies);
    if (!l->patterns || !l->types || !l->copies)
        return out_of_memory();
    for (; l->n < given->n; l->n++) {
        char *copy = l->copies[l->n] = strdup(given->names[l->n]);
        char *equals = copy ? strrchr(copy, '=') : NULL;
        if (!copy)
            return out_of_memory();
        if (!equals || equals == copy || !equals[1]) {
            free(copy);
            return opt_usage_error(&cmd_quantize, "--tensor-type '%s': expected REGEX=TYPE", given->names[l->n]);
        }
        *equals = 0;
        l->patterns[l->n] = copy;
        l->types[l->n] = equals + 1;
    }
    return EXIT_DONE;
}

/* What the callbacks work on. */
typedef struct show {
    progress bar;
    quantize_out out;
} show;

static int on_progress(void *user, uint64_t done, uint64_t total, const char *what)
{
    show *s = user;
    (void)what;
    progress_update(&s->bar, done, total);
    return progress_interrupted();
}

static int on_tensor(void *user, const qasr_quantize_tensor *t)
{
    show *s = user;
    quantize_out_tensor(&s->out, t);
    return progress_interrupted();
}

static qasr_status run_library(qasr_quantize_options *options, show *s, qasr_quantize_report **report, bool with_bar,
                               qasr_error *err)
{
    progress_catch_signals();
    options->on_progress = on_progress;
    options->on_tensor = on_tensor;
    options->user = s;
    progress_begin(&s->bar, !with_bar);
    qasr_status status = qasr_quantize(options, report, err);
    progress_end(&s->bar);
    return status;
}

static int quantize(const args *a, const rule_list *rules)
{
    qasr_error err;
    qasr_quantize_report *report = NULL;
    qasr_quantize_options options = QASR_QUANTIZE_OPTIONS_INIT;
    options.input = a->input;
    options.output = a->output;
    options.qtype = qtype_at((size_t)a->qtype);
    options.scope = a->scope;
    options.quantize_embeddings = a->quantize_embeddings;
    options.n_threads = a->n_threads;
    options.overwrite = a->overwrite;
    options.tensor_patterns = rules->patterns;
    options.tensor_types = rules->types;
    options.n_tensor_types = a->tensor_types.n;
    options.encoder_qtype = a->encoder_qtype ? encoder_qtype_at((size_t)a->encoder_qtype) : NULL;
    options.embedding_qtype = a->embedding_qtype ? embedding_qtype_at((size_t)a->embedding_qtype) : NULL;
    options.dry_run = a->dry_run;
    options.calibration = a->calibration;
    options.calibration_audio = a->calibration_audio.names;
    options.n_calibration_audio = a->calibration_audio.n;
    options.auto_mix = a->auto_mix;
    bool json = a->format == FORMAT_JSON;
    show s = { .out = { .options = &options, .json = json, .list = a->dry_run } };
    if (run_library(&options, &s, &report, !a->quiet && !a->dry_run, &err) != QASR_OK) {
        quantize_out_abort(&s.out);
        message_print(err.message);
        return EXIT_FAILED;
    }
    if (!a->quiet || a->dry_run || json)
        quantize_out_report(&s.out, report);
    quantize_out_abort(&s.out);
    qasr_quantize_report_free(report);
    return EXIT_DONE;
}

static int run_parsed(args *a)
{
    rule_list l = { 0 };
    char *input = NULL;
    if (!a->input)
        return opt_usage_error(&cmd_quantize, "option '--input PATH' is missing");
    if (!a->output && !a->dry_run)
        return opt_usage_error(&cmd_quantize, "option '--output FILE' is missing");
    if (a->auto_mix > 0 && !a->calibration)
        return opt_usage_error(&cmd_quantize,
                               "--auto-mix measures with a calibration: give one with --calibration FILE");
    int status = split_rules(&l, &a->tensor_types);
    if (status == EXIT_DONE)
        status = models_resolve(&cmd_quantize, &input, a->input);
    a->input = input;
    if (status == EXIT_DONE)
        status = quantize(a, &l);
    free(input);
    free_rules(&l);
    return status;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    opt_result parsed = opt_parse(&cmd_quantize, &a, argc, argv);
    int status = parsed == OPT_PARSED ? run_parsed(&a) : parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    opt_files_free(&a.tensor_types);
    opt_files_free(&a.calibration_audio);
    return status;
}

const command cmd_quantize = {
    "quantize",
    "convert weights to a smaller GGUF file",
    "--input PATH --output FILE [OPTIONS] | --input PATH --dry-run [OPTIONS]",
    "q4_k_m and q5_k_m: attention's output projections q8_0, a quantized embedding q6_k, the other matrices q4_k or "
    "q5_k.\n"
    "Rows that do not fit blocks of 256 (those of 896 in the encoder of the 0.6B model): q4_k becomes iq4_nl, q5_k "
    "q5_0,\n"
    "q6_k and mixes q8_0.\n"
    "A decoder file is found by 'qasr transcribe' in the model directory under the name model-TYPE.gguf, where TYPE is "
    "what\n"
    "--qtype takes: the first in the order of the list above (model-q6k.gguf too); then model.gguf.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run
};
