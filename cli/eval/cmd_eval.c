/* qasr eval: compares a model's transcripts with references and with another model (docs/evaluation.md).
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
#include "cli/shared_opts.h"

typedef struct args {
    eval_job job;
    const char *data, *audio_root, *exclude, *output, *details, *segment;
    int baseline_precision; /* 0: as the model, else 1 + qasr_precision */
    int limit, resume, format;
} args;

static const char *const baseline_precisions[] = { "same", "auto", "f32", NULL };
static const eval_format formats[] = { eval_write_md, eval_write_json }; /* in the order of report_md_json */

static const opt opts[] = {
    { "model", 'm', "MODEL", "the model to evaluate: a path or the name of a pulled model", OPT_STRING,
      offsetof(args, job.model.path) },
    DECODER_OPTS(offsetof(args, job.model.options)),
    { "baseline", 0, "MODEL", "a model to compare with: texts, token ids, next-token distributions", OPT_STRING,
      offsetof(args, job.baseline.path) },
    { "baseline-decoder-weights", 0, "KIND", "as --decoder-weights, for the baseline", OPT_CHOICE,
      offsetof(args, job.baseline.options.decoder_weights), decoder_weights_names },
    { "baseline-decoder-gguf", 0, "NAME", "as --decoder-gguf, for the baseline", OPT_STRING,
      offsetof(args, job.baseline.options.decoder_gguf) },
    { "data", 'd', "PATH", "references: a tab-separated table of file, language and text, or a directory with refs.tsv",
      OPT_STRING, offsetof(args, data) },
    { "audio-root", 0, "DIR", "directory of the audio files (default: that of the table)", OPT_STRING,
      offsetof(args, audio_root) },
    SELECT_OPTS(offsetof(args, exclude), offsetof(args, limit)),
    MD_JSON_OPT(offsetof(args, format)),
    OUTPUT_OPT(offsetof(args, output)),
    { "details", 0, "FILE", "write the results of each clip to FILE as it completes, one JSON object per line",
      OPT_STRING, offsetof(args, details) },
    { "resume", 0, NULL, "skip clips that are already in the --details file", OPT_FLAG, offsetof(args, resume) },
    THREADS_OPT(offsetof(args, job.model.session_options.n_threads)),
    BATCH_OPT(offsetof(args, job.model.session_options.batch)),
    DEVICE_OPT(offsetof(args, job.model.session_options.device)),
    { "baseline-device", 0, "DEVICE", "as --device, for the baseline (default: the same)", OPT_STRING,
      offsetof(args, job.baseline.session_options.device) },
    PRECISION_OPT(offsetof(args, job.model.session_options.precision)),
    { "baseline-precision", 0, "KIND", "as --precision, for the baseline (default: the same)", OPT_CHOICE,
      offsetof(args, baseline_precision), baseline_precisions },
    SEGMENT_OPT(offsetof(args, segment)),
    { "quiet", 'q', NULL, "no progress", OPT_FLAG, offsetof(args, job.quiet) },
};

static bool contradicts(const qasr_model_options *o)
{
    return o->decoder_gguf && o->decoder_weights == QASR_DECODER_SAFETENSORS;
}

static int check_args(const args *a)
{
    if (!a->data)
        return opt_usage_error(&cmd_eval, "option '--data PATH' is missing");
    const eval_model *baseline = &a->job.baseline;
    if (!baseline->path &&
        (baseline->options.decoder_gguf || baseline->options.decoder_weights || a->baseline_precision))
        return opt_usage_error(&cmd_eval, "options of the baseline need '--baseline MODEL'");
    if (contradicts(&a->job.model.options) || contradicts(&baseline->options))
        return opt_usage_error(&cmd_eval, "a decoder GGUF contradicts decoder weights from safetensors");
    if (a->resume && !a->details)
        return opt_usage_error(&cmd_eval, "--resume needs '--details FILE'");
    return EXIT_DONE;
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* DIR/NAME, or NAME if it is absolute; n: bytes of dir. NULL without memory (printed). */
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

/* The path of the table. NULL without memory (printed). */
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
    eval_add_setting(s, keys[3], precision_names[m->session_options.precision]);
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
static bool run_clips(args *a, const char *table)
{
    eval_job *job = &a->job;
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

/* Fails early if an output cannot be written or would overwrite an input. */
static bool check_output(const args *a, const char *table)
{
    if (out_is_same(a->output, table) || out_is_same(a->output, a->details))
        return message_fail("--output '%s' is also the references or --details file", a->output);
    if (out_is_same(a->details, table))
        return message_fail("--details '%s' is also the references file", a->details);
    return out_check(a->output) && (!a->details || out_check(a->details));
}

static bool evaluate(args *a)
{
    text_list references = { 0 };
    eval_job *job = &a->job;
    eval_set set = { .with_model = true, .with_baseline = job->baseline.path != NULL };
    job->set = &set;
    job->details_path = a->details;
    char *table = table_path(a->data);
    bool good = table && check_output(a, table) && texts_read_references(&references, table) &&
                eval_select(&set, &references, a->limit, a->exclude) && find_audio(&set, table, a->audio_root) &&
                eval_open_models(job) && run_clips(a, table);
    eval_close_models(job);
    eval_free(&set);
    texts_free(&references);
    free(table);
    return good;
}

/* The baseline's session takes the model's options except for its own device and precision. */
static void set_baseline_session(args *a)
{
    const char *device = a->job.baseline.session_options.device;
    qasr_session_options *session = &a->job.baseline.session_options;
    *session = a->job.model.session_options;
    if (device)
        session->device = device;
    if (a->baseline_precision)
        session->precision = (qasr_precision)(a->baseline_precision - 1);
}

static int run(int argc, char **argv)
{
    args a = { .job = {
                   .model = EVAL_MODEL_INIT, .baseline = EVAL_MODEL_INIT, .options = QASR_TRANSCRIBE_OPTIONS_INIT } };
    opt_result parsed = opt_parse(&cmd_eval, &a, argc, argv);
    if (parsed != OPT_PARSED)
        return parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    char *model = NULL, *baseline = NULL;
    int status = check_args(&a);
    if (status == EXIT_DONE && !segment_set(&cmd_eval, a.segment, &a.job.options))
        status = EXIT_USAGE;
    if (status == EXIT_DONE)
        status = models_resolve(&cmd_eval, &model, a.job.model.path);
    if (status == EXIT_DONE && a.job.baseline.path)
        status = models_resolve(&cmd_eval, &baseline, a.job.baseline.path);
    a.job.model.path = model;
    a.job.baseline.path = baseline;
    set_baseline_session(&a);
    if (status == EXIT_DONE)
        status = evaluate(&a) ? EXIT_DONE : EXIT_FAILED;
    free(model);
    free(baseline);
    return status;
}

const command cmd_eval = {
    "eval",
    "measure quality: error rates, and differences from another model",
    "[--model MODEL] --data PATH [OPTIONS]",
    "Transcribes the audio of a table of references and counts errors; with a baseline, also compares texts, tokens "
    "and next-token distributions of two models. docs/evaluation.md defines every metric and the normalization of "
    "texts.\n"
    "The table's first line is 'file<TAB>language<TAB>text'. Rates in JSON are fractions: 0.0178 is 1.78 %.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){
        { "Measure the error rates of a model", "qasr eval -m model -d talks/refs.tsv" },
        { "Compare a quantized model with the original, and keep the results of each clip",
          "qasr eval -m small.gguf --baseline model -d talks --details details.jsonl -f json -o eval.json" },
        { NULL, NULL } }
};
