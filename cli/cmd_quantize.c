/* qasr quantize: options in, one GGUF file and a summary table out. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/data_path.h"
#include "app/message.h"
#include "app/models.h"
#include "app/progress.h"
#include "cli/cmd.h"
#include "cli/quantize_out.h"
#include "cli/shared_opts.h"
#include "qasr/qasr_tools.h"

typedef struct args {
    qasr_quantize_options options;
    opt_files tensor_types; /* "REGEX=TYPE" */
    opt_files calibration_audio;
    const char *verify; /* NULL: auto */
    int quiet, format;
} args;

/* Stands for a --qtype that was not given: NULL is its first choice. */
static const char no_qtype[] = "";

/* Choices from the library's list. The first is the default, and leaves NULL in the options. */
static const char *qtype_at(size_t i) { return i == qasr_qtype_count() ? "q6k" : qasr_qtype_name(i); }
static const char *encoder_qtype_at(size_t i) { return i ? qasr_qtype_name(i - 1) : "default"; }

/* Without mixes: the embedding is a single tensor. */
static const char *embedding_qtype_at(size_t i)
{
    if (i == 0)
        return "default";
    size_t at = 0;
    while (qasr_qtype_name(at) && (qasr_qtype_is_mix(at) || --i > 0))
        at++;
    return qasr_qtype_name(at);
}

static const char *const equalize_names[] = { "auto", "on", "off", NULL };

static const opt opts[] = {
    { "input", 'i', "PATH",
      "model directory, .safetensors file, .safetensors.index.json or .gguf file, or the name of a pulled model",
      OPT_STRING, offsetof(args, options.input) },
    { "output", 'o', "FILE", "the .gguf file to write", OPT_STRING, offsetof(args, options.output) },
    { "qtype", 0, "TYPE", "type of the quantized matrices, or a mix of types (default q8_0)", OPT_NAME,
      offsetof(args, options.qtype), .choice = qtype_at },
    { "scope", 0, "PREFIX",
      "convert the tensors whose names start with PREFIX (default thinker.model., the decoder); all or thinker.: a "
      "complete model in one file",
      OPT_STRING, offsetof(args, options.scope) },
    { "quantize-embeddings", 0, NULL,
      "quantize embed_tokens (and an untied lm_head in scope) too; always on for a complete model", OPT_FLAG,
      offsetof(args, options.quantize_embeddings) },
    { "calibration", 'c', "FILE", "statistics from 'qasr calibrate', which reduce the effect of rounding errors",
      OPT_STRING, offsetof(args, options.calibration) },
    { "calibration-audio", 0, "PATH",
      "audio file, folder or list of audio files to calibrate on while quantizing, layer by layer: better than "
      "--calibration, and a single step; may be repeated",
      OPT_LIST, offsetof(args, calibration_audio) },
    { "auto-mix", 0, "BITS",
      "instead of --qtype: choose a type for each matrix of the decoder by errors measured with the calibration, for "
      "an "
      "average of BITS bits per weight",
      OPT_NUMBER, offsetof(args, options.auto_mix), NULL, 1, 16 },
    { "equalize", 0, "KIND",
      "before rounding, move powers of two between matrices, so that channels of very different size do not share a "
      "scale; the network computes the same (default auto: with a calibration)",
      OPT_CHOICE, offsetof(args, options.equalize), equalize_names },
    { "verify", 0, "KIND",
      "before the file is put in place, compare it with the original on speech: on the clips that come with qasr (on), "
      "on an audio file, folder or list of audio files (its path), or not at all (off). Default auto: on if the "
      "encoder "
      "gets fewer than 8 bits, or --auto-mix chooses the types",
      OPT_STRING, offsetof(args, verify) },
    { "embedding-qtype", 0, "TYPE", "quantize embeddings, to this type (default: that of the matrices, in mixes q6_k)",
      OPT_NAME, offsetof(args, options.embedding_qtype), .choice = embedding_qtype_at },
    { "encoder-qtype", 0, "TYPE", "type of the encoder's matrices (default: that of the others, but at least 8 bits)",
      OPT_NAME, offsetof(args, options.encoder_qtype), .choice = encoder_qtype_at },
    { "tensor-type", 0, "REGEX=TYPE",
      "type of the tensors whose names match REGEX, overriding all other options; may be repeated, the last match "
      "wins",
      OPT_LIST, offsetof(args, tensor_types) },
    { "dry-run", 0, NULL, "write nothing; show the type and size of every tensor and the size of the file", OPT_FLAG,
      offsetof(args, options.dry_run) },
    TXT_JSON_OPT(0, offsetof(args, format)),
    THREADS_OPT(offsetof(args, options.n_threads)),
    OVERWRITE_OPT(offsetof(args, options.overwrite)),
    QUIET_OPT(offsetof(args, quiet)),
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

/* State of the callbacks. */
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

/* Sets what the file is verified on. *audio: its path, to be freed; NULL: none. False on error (printed). */
static bool choose_verify(args *a, char **audio)
{
    qasr_quantize_options *o = &a->options;
    const bool is_auto = !a->verify || strcmp(a->verify, "auto") == 0, is_on = !is_auto && strcmp(a->verify, "on") == 0;
    const bool is_off = !is_auto && strcmp(a->verify, "off") == 0;
    o->verify = is_auto ? QASR_VERIFY_AUTO : is_off ? QASR_VERIFY_OFF : QASR_VERIFY_ON;
    o->keep_failed = o->overwrite;
    if (is_off)
        return true;
    *audio = is_auto || is_on ? data_path("verify") : strdup(a->verify);
    if (!*audio && is_on)
        return message_fail("--verify on: the clips that come with qasr are not installed; name some audio instead");
    if (!*audio && !is_auto)
        return message_fail("out of memory");
    a->verify = *audio;
    o->verify_audio = &a->verify;
    o->n_verify_audio = *audio != NULL;
    return true;
}

static qasr_status run_library(args *a, show *s, qasr_quantize_report **report, qasr_error *err)
{
    a->options.calibration_audio = a->calibration_audio.names;
    a->options.n_calibration_audio = a->calibration_audio.n;
    a->options.on_progress = on_progress;
    a->options.on_tensor = on_tensor;
    a->options.user = s;
    progress_catch_signals();
    progress_begin(&s->bar, a->quiet || a->options.dry_run);
    qasr_status status = qasr_quantize(&a->options, report, err);
    progress_end(&s->bar);
    return status;
}

static int quantize(args *a)
{
    qasr_error err;
    qasr_quantize_report *report = NULL;
    const bool json = a->format == REPORT_JSON;
    show s = { .out = { .options = &a->options, .json = json, .list = a->options.dry_run } };
    if (run_library(a, &s, &report, &err) != QASR_OK) {
        quantize_out_abort(&s.out);
        message_print(err.message);
        return EXIT_FAILED;
    }
    if (!a->quiet || a->options.dry_run || json)
        quantize_out_report(&s.out, report);
    quantize_out_abort(&s.out);
    qasr_quantize_report_free(report);
    return EXIT_DONE;
}

static int run_parsed(args *a)
{
    rule_list l = { 0 };
    char *input = NULL, *audio = NULL;
    if (!a->options.input)
        return opt_usage_error(&cmd_quantize, "option '--input PATH' is missing");
    if (!a->options.output && !a->options.dry_run)
        return opt_usage_error(&cmd_quantize, "option '--output FILE' is missing");
    if (a->options.auto_mix > 0 && a->options.qtype != no_qtype)
        return opt_usage_error(&cmd_quantize, "--auto-mix chooses the types: give either --auto-mix or --qtype");
    if (a->options.qtype == no_qtype)
        a->options.qtype = NULL;
    if (a->options.auto_mix > 0 && !a->options.calibration)
        return opt_usage_error(&cmd_quantize, "--auto-mix needs a calibration: give one with --calibration FILE");
    if (!a->options.dry_run && !overwrite_check(a->options.output, a->options.overwrite))
        return EXIT_FAILED;
    int status = split_rules(&l, &a->tensor_types);
    if (status == EXIT_DONE)
        status = models_resolve(&cmd_quantize, &input, a->options.input);
    a->options.input = input;
    a->options.tensor_patterns = l.patterns;
    a->options.tensor_types = l.types;
    a->options.n_tensor_types = a->tensor_types.n;
    if (status == EXIT_DONE && !choose_verify(a, &audio))
        status = EXIT_FAILED;
    if (status == EXIT_DONE)
        status = quantize(a);
    free(audio);
    free(input);
    free_rules(&l);
    return status;
}

static int run(int argc, char **argv)
{
    args a = { .options = QASR_QUANTIZE_OPTIONS_INIT };
    a.options.qtype = no_qtype;
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
    "Stores the weights of a model in fewer bits, as a decoder for the model directory, or as a complete model in one "
    "file (--scope all).\n"
    "q4_k_m and q5_k_m: q8_0 for attention output projections, q6_k for quantized embeddings, q4_k or q5_k for all "
    "other matrices. Rows that do not fit blocks of 256 (896 in the encoder of the 0.6B model): q4_k becomes iq4_nl, "
    "q5_k q5_0, q6_k and mixes q8_0.\n"
    "'qasr transcribe' uses the first model-TYPE.gguf in the model directory, in the order of --qtype's list above "
    "(also model-q6k.gguf), else model.gguf.\n"
    "A file that --verify finds worse than the original is not put in place without --force: the lowest cosine of the "
    "encoder's output in a segment is below 0.98, the mean KL divergence of next tokens above 0.02 nats, or a text is "
    "lost.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){
        { "Make a complete model in one file", "qasr quantize -i model -o small.gguf --scope all --qtype q8_0" },
        { "Add a decoder of 4 bits, rounded with statistics from calibrate, to a model directory",
          "qasr quantize -i model -o model/model-q4_k.gguf --qtype q4_k --calibration stats.gguf" },
        { "Prove that the file transcribes as the original does",
          "qasr quantize -i model -o proven.gguf --scope all --qtype q4_k_m --verify on" },
        { "Show the types and sizes that a file would have", "qasr quantize -i model --qtype q6_k --dry-run" },
        { NULL, NULL } }
};
