/* qasr eval: a model over clips whose text is known, against that text and against another model (docs/evaluation.md).
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/message.h"
#include "app/models.h"
#include "app/out.h"
#include "cli/cmd.h"
#include "cli/eval/eval.h"
#include "cli/segment_opt.h"

typedef struct args {
    const char *model, *decoder_gguf, *baseline, *baseline_gguf, *data, *audio_root, *exclude, *output, *details,
        *device, *baseline_device;
    int decoder_weights, baseline_weights, precision, baseline_precision, format; /* indices into the lists below */
    int limit, n_threads, batch, resume, quiet;
    const char *segment;
} args;

/* In the order of qasr_decoder_weights and qasr_precision. */
static const char *const decoder_weights[] = { "auto", "safetensors", "gguf", NULL };
static const char *const precisions[] = { "auto", "f32", NULL };
static const char *const baseline_precisions[] = { "same", "auto", "f32", NULL };
static const char *const format_names[] = { "md", "json", NULL };
static const eval_format formats[] = { eval_write_md, eval_write_json };

static const opt opts[] = {
    { "model", 'm', "MODEL", "the model to be measured: a path or the name of a pulled model", OPT_STRING,
      offsetof(args, model) },
    { "decoder-weights", 0, "KIND", "which of its decoder weights to use (default auto: a GGUF if there is one)",
      OPT_CHOICE, offsetof(args, decoder_weights), decoder_weights },
    { "decoder-gguf", 0, "NAME", "GGUF with its decoder, relative to the model directory or absolute", OPT_STRING,
      offsetof(args, decoder_gguf) },
    { "baseline", 0, "MODEL", "a model to compare it with: its texts, its ids, its next-token distributions",
      OPT_STRING, offsetof(args, baseline) },
    { "baseline-decoder-weights", 0, "KIND", "as --decoder-weights, for the baseline", OPT_CHOICE,
      offsetof(args, baseline_weights), decoder_weights },
    { "baseline-decoder-gguf", 0, "NAME", "as --decoder-gguf, for the baseline", OPT_STRING,
      offsetof(args, baseline_gguf) },
    { "data", 'd', "PATH",
      "references: a table of file, language and text with tabs between, or a directory with refs.tsv", OPT_STRING,
      offsetof(args, data) },
    { "audio-root", 0, "DIR", "where the audio files are (default: beside the table)", OPT_STRING,
      offsetof(args, audio_root) },
    { "exclude", 0, "GLOB", "leave out the files that match, as in '*-long-*'", OPT_STRING, offsetof(args, exclude) },
    { "limit", 0, "N", "take the first N of the files that are left", OPT_INT, offsetof(args, limit), NULL, 1, 1e9 },
    { "format", 'f', "FORMAT", "of the summary (default md)", OPT_CHOICE, offsetof(args, format), format_names },
    { "output", 'o', "FILE", "write the summary there instead of to standard output ('-')", OPT_STRING,
      offsetof(args, output) },
    { "details", 0, "FILE", "write every clip there as it is done, a line of JSON each", OPT_STRING,
      offsetof(args, details) },
    { "resume", 0, NULL, "do not run clips again that are in the file of --details", OPT_FLAG, offsetof(args, resume) },
    { "threads", 't', "N", "worker threads (default: one per physical core)", OPT_INT, offsetof(args, n_threads), NULL,
      1, 1024 },
    { "batch", 'b', "N", "clips that are decoded together; 1: off (default: up to 8 in 2 GiB)", OPT_INT,
      offsetof(args, batch), NULL, 1, 64 },
    { "device", 0, "DEVICE",
      "where to compute: cpu (default), auto, gpu, metal, vulkan, cuda, hip, or a name from 'qasr devices'", OPT_STRING,
      offsetof(args, device) },
    { "baseline-device", 0, "DEVICE", "the same for the baseline (default same)", OPT_STRING,
      offsetof(args, baseline_device) },
    { "precision", 0, "KIND", "arithmetic of encoder and prompt (default auto)", OPT_CHOICE, offsetof(args, precision),
      precisions },
    { "baseline-precision", 0, "KIND", "the same for the baseline (default same)", OPT_CHOICE,
      offsetof(args, baseline_precision), baseline_precisions },
    SEGMENT_OPT(offsetof(args, segment)),
    { "quiet", 'q', NULL, "no progress bar", OPT_FLAG, offsetof(args, quiet) },
};

static int check_args(const args *a)
{
    if (!a->data)
        return opt_usage_error(&cmd_eval, "option '--data PATH' is missing");
    if (!a->baseline && (a->baseline_gguf || a->baseline_weights || a->baseline_precision))
        return opt_usage_error(&cmd_eval, "options of the baseline need '--baseline MODEL'");
    if ((a->decoder_gguf && a->decoder_weights == QASR_DECODER_SAFETENSORS) ||
        (a->baseline_gguf && a->baseline_weights == QASR_DECODER_SAFETENSORS))
        return opt_usage_error(&cmd_eval, "a decoder GGUF contradicts decoder weights from safetensors");
    if (a->resume && !a->details)
        return opt_usage_error(&cmd_eval, "--resume needs '--details FILE'");
    return EXIT_DONE;
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* dir/name, or name if it is absolute; n: bytes of dir. NULL without memory (printed). */
static char *join(const char *dir, size_t n, const char *name)
{
    char *path = NULL;
    if (name[0] == '/')
        n = 0;
    if (asprintf(&path, "%.*s%s%s", (int)n, dir, n == 0 || dir[n - 1] == '/' ? "" : "/", name) >= 0)
        return path;
    message_fail("out of memory");
    return NULL;
}

/* The table itself. NULL without memory (printed). */
static char *table_path(const char *data)
{
    struct stat st;
    bool is_dir = stat(data, &st) == 0 && S_ISDIR(st.st_mode);
    return is_dir ? join(data, strlen(data), "refs.tsv") : join("", 0, data);
}

/* Finds the audio of all clips before any is run. */
static bool find_audio(eval_set *set, const char *table, const char *root)
{
    const char *slash = strrchr(table, '/');
    size_t n = root ? strlen(root) : slash ? (size_t)(slash + 1 - table) : 0;
    for (size_t i = 0; i < set->n; i++) {
        eval_clip *c = &set->clips[i];
        c->path = join(root ? root : table, n, c->reference->file);
        if (!c->path)
            return false;
        if (access(c->path, R_OK) != 0)
            return message_fail("'%s' line %zu: cannot read the audio file '%s': %s", table, c->reference->line,
                                c->path, strerror(errno));
    }
    return true;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void describe_model(eval_settings *s, const eval_model *m, const char *const keys[5])
{
    eval_add_setting(s, keys[0], m->path);
    eval_add_setting(s, keys[1], qasr_model_decoder_path(m->model));
    eval_add_setting(s, keys[2], qasr_model_decoder_type(m->model));
    eval_add_setting(s, keys[3], precisions[m->precision]);
    if (strcmp(qasr_session_device(m->session), "cpu") != 0)
        eval_add_setting(s, keys[4], qasr_session_device(m->session));
}

static void describe(eval_settings *s, const args *a, const eval_job *job, const char *table)
{
    static const char *const model_keys[] = { "model", "decoder", "decoder_type", "precision", "device" };
    static const char *const baseline_keys[] = { "baseline", "baseline_decoder", "baseline_decoder_type",
                                                 "baseline_precision", "baseline_device" };
    eval_add_setting(s, "data", table);
    describe_model(s, &job->model, model_keys);
    if (job->baseline.path)
        describe_model(s, &job->baseline, baseline_keys);
    if (a->segment)
        eval_add_setting(s, "segment", a->segment);
    eval_add_setting(s, "cpu_level", qasr_cpu_level());
}

/* With the models open. */
static bool run_clips(const args *a, eval_job *job, const char *table)
{
    eval_settings settings = { .n = 0 };
    describe(&settings, a, job, table);
    if (a->details) {
        job->details = details_open(a->details, a->resume, &settings, job->set);
        if (!job->details)
            return false;
    }
    bool good = eval_run(job);
    if (job->details && fclose(job->details) != 0 && good)
        good = message_fail("cannot write '%s': %s", a->details, strerror(errno));
    return good && eval_write(job->set, &settings, formats[a->format], a->output);
}

/* Tells early what would fail late, or overwrite what is read. */
static bool check_output(const args *a, const char *table)
{
    out o;
    if (out_is_input(a->output, table) || (a->details && out_is_input(a->output, a->details)))
        return message_fail("--output '%s' is the file of the references or of the details", a->output);
    if (a->details && out_is_input(a->details, table))
        return message_fail("--details '%s' is the file of the references", a->details);
    if (!out_open(&o, a->output))
        return false;
    out_abort(&o);
    return true;
}

static bool evaluate(const args *a)
{
    text_list references = { 0 };
    eval_set set = { .with_model = true, .with_baseline = a->baseline != NULL };
    eval_job job = { .set = &set,
                     .n_threads = a->n_threads,
                     .batch = a->batch,
                     .quiet = a->quiet,
                     .options = QASR_TRANSCRIBE_OPTIONS_INIT,
                     .details_path = a->details };
    segment_set(&cmd_eval, a->segment, &job.options);
    job.model = (eval_model){ .path = a->model,
                              .decoder_gguf = a->decoder_gguf,
                              .decoder_weights = (qasr_decoder_weights)a->decoder_weights,
                              .precision = (qasr_precision)a->precision,
                              .device = a->device };
    job.baseline =
        (eval_model){ .path = a->baseline,
                      .decoder_gguf = a->baseline_gguf,
                      .decoder_weights = (qasr_decoder_weights)a->baseline_weights,
                      .precision = (qasr_precision)(a->baseline_precision ? a->baseline_precision - 1 : a->precision),
                      .device = a->baseline_device ? a->baseline_device : a->device };
    char *table = table_path(a->data);
    bool good = table && check_output(a, table) && texts_read_references(&references, table) &&
                eval_select(&set, &references, a->limit, a->exclude) && find_audio(&set, table, a->audio_root) &&
                eval_open_models(&job) && run_clips(a, &job, table);
    eval_close_models(&job);
    eval_free(&set);
    texts_free(&references);
    free(table);
    return good;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    opt_result parsed = opt_parse(&cmd_eval, &a, argc, argv);
    if (parsed != OPT_PARSED)
        return parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    char *model = NULL, *baseline = NULL;
    int status = check_args(&a);
    if (status == EXIT_DONE && !segment_set(&cmd_eval, a.segment, &(qasr_transcribe_options){ 0 }))
        status = EXIT_USAGE;
    if (status == EXIT_DONE)
        status = models_resolve(&cmd_eval, &model, a.model);
    if (status == EXIT_DONE && a.baseline)
        status = models_resolve(&cmd_eval, &baseline, a.baseline);
    a.model = model;
    a.baseline = baseline;
    if (status == EXIT_DONE)
        status = evaluate(&a) ? EXIT_DONE : EXIT_FAILED;
    free(model);
    free(baseline);
    return status;
}

const command cmd_eval = {
    "eval",
    "measure quality: error rates, and distance from another model",
    "[--model MODEL] --data PATH [OPTIONS]",
    "The table's first line is 'file<TAB>language<TAB>text'. Rates in JSON are fractions: 0.0178 is 1.78 %.\n"
    "docs/evaluation.md defines every figure and the normalization of texts.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run
};
