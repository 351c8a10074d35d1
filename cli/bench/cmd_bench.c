/* qasr bench: speed of a model on this machine with its decoder stored in several ways, against the limits of the
 * machine. Each run is a separate process, so that its memory and load time can be measured; the parent opens nothing.
 * Variants take turns, and limits are measured between the runs, so that load changes on a shared machine affect all
 * alike. */
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "app/message.h"
#include "app/models.h"
#include "app/out.h"
#include "cli/bench/bench.h"
#include "cli/bench/child.h"
#include "cli/cmd.h"
#include "cli/shared_opts.h"

typedef struct args {
    bench_job job; /* what all runs have in common */
    const char *variants, *batches, *output;
    int repeat, limits, format;
} args;

static const bench_format *const formats[] = { &bench_md, &bench_json }; /* in the order of report_md_json */

enum {
    DEFAULT_SECONDS = 30,
    DEFAULT_TOKENS = 100,
    DEFAULT_REPEAT = 3,
    MAX_VARIANTS = 32,
    MAX_BATCHES = 8,
    MAX_BATCH = 64
};
#define DEFAULT_VARIANTS "fp,q8_0,q6_k,q4_0,q8_0+emb,q4_0+emb"
static const char fp_name[] = "fp", own_name[] = "own", embeddings_suffix[] = "+emb";

static const opt opts[] = {
    { "model", 'm', "MODEL", "the model to measure: a path or the name of a pulled model", OPT_STRING,
      offsetof(args, job.model) },
    { "audio", 'a', "FILE", "audio file to transcribe (default: a generated signal)", OPT_STRING,
      offsetof(args, job.audio) },
    { "seconds", 's', "N", "length of the generated signal (default 30)", OPT_TIME, offsetof(args, job.seconds), NULL,
      0.5, QASR_LONGEST_SEGMENT_S },
    { "tokens", 'n', "N", "decode exactly N tokens (default 100)", OPT_INT, offsetof(args, job.n_tokens), NULL, 2,
      10000 },
    { "variants", 'v', "LIST",
      "fp (safetensors), own (what 'qasr transcribe' takes), and types and mixes of 'qasr quantize', with +emb to "
      "quantize embeddings too (default " DEFAULT_VARIANTS "; own for a model in GGUF files)",
      OPT_STRING, offsetof(args, variants) },
    { "batch", 'b', "LIST",
      "numbers of copies of the audio to decode together; each variant runs with each number (default 1)", OPT_STRING,
      offsetof(args, batches) },
    KV_TYPE_OPT(offsetof(args, job.session_options.kv_type)),
    DEVICE_OPT(offsetof(args, job.session_options.device)),
    { "repeat", 'r', "N", "runs of each variant; the report shows medians (default 3)", OPT_INT, offsetof(args, repeat),
      NULL, 1, 1000 },
    { "warm-up", 'w', "N",
      "transcriptions before the measured one in each run (default 0): a GPU compiles its kernels in the first one",
      OPT_INT, offsetof(args, job.warm_up), NULL, 0, 1000 },
    THREADS_OPT(offsetof(args, job.session_options.n_threads)),
    MEMORY_OPTS(offsetof(args, job.model_options)),
    { "limits", 0, NULL, "only measure the limits of the machine: no model, no runs", OPT_FLAG,
      offsetof(args, limits) },
    MD_JSON_OPT(offsetof(args, format)),
    OUTPUT_OPT(offsetof(args, output)),
};

/* A variant with a batch, and its measurements. */
typedef struct entry {
    bench_row row;
    char *gguf;            /* NULL: safetensors; the same string in all entries of a variant */
    bench_sample *samples; /* [repeat] */
    char *text;            /* of the first run */
} entry;

typedef struct bench {
    const args *a;
    bench_variant variants[MAX_VARIANTS];
    size_t n_variants;
    entry entries[MAX_VARIANTS * MAX_BATCHES]; /* those of a variant follow one another */
    size_t n;
    int batches[MAX_BATCHES];
    size_t n_batches;
    qasr_limits *limits; /* [n_limits]: before each run and after the last */
    size_t n_limits;
    char tmp[PATH_MAX]; /* temporary directory for quantized decoders; empty: none yet */
} bench;

static bool out_of_memory(void) { return message_fail("out of memory"); }

/* ---- usage ----------------------------------------------------------------------------------- */

static bool is_word(const char *word, const char *text, size_t len)
{
    return strlen(word) == len && strncasecmp(word, text, len) == 0;
}

/* False if text [len] does not name a variant. */
static bool read_variant(bench_variant *v, const char *text, size_t len)
{
    size_t n = sizeof embeddings_suffix - 1;
    bool embeddings = len > n && is_word(embeddings_suffix, text + len - n, n);
    *v = (bench_variant){ .quantize_embeddings = embeddings };
    for (size_t i = 0; i < qasr_qtype_count() && !v->qtype; i++)
        if (is_word(qasr_qtype_name(i), text, embeddings ? len - n : len))
            v->qtype = qasr_qtype_name(i);
    v->own = is_word(own_name, text, len);
    snprintf(v->name, sizeof v->name, "%s%s",
             v->qtype ? v->qtype
             : v->own ? own_name
                      : fp_name,
             embeddings ? embeddings_suffix : "");
    return v->qtype || v->own || is_word(fp_name, text, len);
}

static int unknown_variant(const char *text, size_t len)
{
    char names[256];
    size_t n = 0;
    for (size_t i = 0; i < qasr_qtype_count() && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, ", %s", qasr_qtype_name(i));
    return opt_usage_error(&cmd_bench, "unknown variant '%.*s', expected %s, %s%s, or a type or mix with %s", (int)len,
                           text, fp_name, own_name, names, embeddings_suffix);
}

static int add_variant(bench *b, const char *text, size_t len)
{
    if (b->n_variants == MAX_VARIANTS)
        return opt_usage_error(&cmd_bench, "--variants lists more than %d", MAX_VARIANTS);
    bench_variant *v = &b->variants[b->n_variants];
    if (!read_variant(v, text, len))
        return unknown_variant(text, len);
    for (size_t i = 0; i < b->n_variants; i++)
        if (strcmp(b->variants[i].name, v->name) == 0)
            return opt_usage_error(&cmd_bench, "variant '%s' is given twice", v->name);
    for (size_t i = 0; i < b->n_batches; i++)
        b->entries[b->n++].row = (bench_row){ .variant = v, .batch = b->batches[i] };
    b->n_variants++;
    return EXIT_DONE;
}

static int parse_batches(bench *b, const char *list)
{
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        long value = 0;
        for (size_t i = 0; i < len && value <= MAX_BATCH; i++)
            value = p[i] >= '0' && p[i] <= '9' ? 10 * value + (p[i] - '0') : MAX_BATCH + 1;
        if (value < 1 || value > MAX_BATCH)
            return opt_usage_error(&cmd_bench, "--batch '%.*s': expected numbers from 1 to %d, such as 1,8", (int)len,
                                   p, MAX_BATCH);
        for (size_t i = 0; i < b->n_batches; i++)
            if (b->batches[i] == value)
                return opt_usage_error(&cmd_bench, "--batch %ld is given twice", value);
        if (b->n_batches == MAX_BATCHES)
            return opt_usage_error(&cmd_bench, "--batch '%s' has more than %d numbers", list, MAX_BATCHES);
        b->batches[b->n_batches++] = (int)value;
        p += len;
        if (!*p)
            return EXIT_DONE;
    }
}

/* Adds each variant with all batches. */
static int parse_variants(bench *b, const char *list)
{
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        int status = add_variant(b, p, len);
        if (status != EXIT_DONE)
            return status;
        p += len;
        if (!*p)
            return EXIT_DONE;
    }
}

static int check_args(const args *a)
{
    const bench_job *j = &a->job;
    const bool has_run_options = j->model || j->audio || j->seconds > 0 || j->n_tokens || j->warm_up ||
                                 j->session_options.kv_type || j->session_options.device || j->model_options.no_mmap ||
                                 j->model_options.mlock || a->variants || a->batches || a->repeat;
    if (a->limits && has_run_options)
        return opt_usage_error(&cmd_bench,
                               "--limits measures only the machine, and takes only --threads, --format and --output");
    if (j->audio && j->seconds > 0)
        return opt_usage_error(&cmd_bench, "--seconds contradicts --audio: it is the length of the generated signal");
    if (j->audio && strcmp(j->audio, "-") == 0)
        return opt_usage_error(&cmd_bench,
                               "--audio '-': every run reads the audio, and standard input can be read only once");
    if (j->audio && out_is_same(a->output, j->audio))
        return opt_usage_error(&cmd_bench, "--output '%s' is also the --audio file", a->output);
    return EXIT_DONE;
}

static void set_defaults(args *a)
{
    a->job.seconds = a->job.seconds > 0 ? a->job.seconds : DEFAULT_SECONDS;
    a->job.n_tokens = a->job.n_tokens ? a->job.n_tokens : DEFAULT_TOKENS;
    a->repeat = a->repeat ? a->repeat : DEFAULT_REPEAT;
    a->batches = a->batches ? a->batches : "1";
}

/* ---- files ----------------------------------------------------------------------------------- */

/* "DIR/NAME"; NULL without memory (printed). */
static char *path_in(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + sizeof "/";
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", dir, name);
    else
        out_of_memory();
    return path;
}

/* Other decoders can be combined with directories that have a config.json only: a model in GGUF files is complete. */
static int choose_variants(bench *b)
{
    const char *model = b->a->job.model, *list = b->a->variants;
    char *config = path_in(model, "config.json");
    if (!config)
        return EXIT_FAILED;
    bool is_checkpoint = access(config, F_OK) == 0 || access(model, F_OK) != 0;
    free(config);
    int status = parse_variants(b, list ? list : is_checkpoint ? DEFAULT_VARIANTS : own_name);
    for (size_t i = 0; i < b->n_variants && status == EXIT_DONE && !is_checkpoint; i++)
        if (!b->variants[i].own)
            return opt_usage_error(&cmd_bench,
                                   "--variants '%s': '%s' has no config.json, so only variant 'own' can run: the "
                                   "others need a model directory with one",
                                   b->variants[i].name, model);
    return status;
}

static bool make_tmp(bench *b)
{
    char path[PATH_MAX];
    const char *base = getenv("TMPDIR");
    base = base && *base ? base : "/tmp";
    if (realpath(base, path) && strlen(path) + sizeof "/qasr-bench-XXXXXX" <= sizeof b->tmp) {
        strcat(strcpy(b->tmp, path), "/qasr-bench-XXXXXX");
        if (mkdtemp(b->tmp))
            return true;
        b->tmp[0] = 0;
    }
    return message_fail("cannot create a temporary directory in '%s': set TMPDIR to a writable directory", base);
}

/* With its contents: an interrupted run may have left a partial file. */
static void remove_tmp(bench *b)
{
    DIR *dir = b->tmp[0] ? opendir(b->tmp) : NULL;
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(b->tmp);
}

/* "DIR/model-q8_0.gguf", DIR "." if it is NULL; NULL without memory (printed). */
static char *gguf_path(const char *dir, const bench_variant *v)
{
    char name[sizeof v->name + sizeof "model-.gguf"];
    snprintf(name, sizeof name, "model-%s.gguf", v->name);
    return path_in(dir ? dir : ".", name);
}

static bench_job job_of(const bench *b, const entry *e)
{
    bench_job job = b->a->job;
    job.session_options.batch = e ? e->row.batch : 1;
    job.variant = e ? e->row.variant : &b->variants[0];
    job.gguf = e ? e->gguf : NULL;
    return job;
}

static void show_step(const char *what, const char *variant, int n, int of)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, of ? "%s %s (%d of %d)\n" : "%s %s\n", what, variant, n, of);
}

static bool run_without_result(child_fn fn, const bench_job *job) { return child_run_fixed(fn, job, NULL, 0); }

/* The preceding entry, if it has the same variant. */
static const entry *same_variant(const bench *b, const entry *e)
{
    return e > b->entries && e[-1].row.variant == e->row.variant ? e - 1 : NULL;
}

/* Finds the decoder of a variant, or quantizes it. */
static bool prepare(bench *b, entry *e)
{
    const entry *before = same_variant(b, e);
    if (before) {
        e->row.is_temporary = before->row.is_temporary;
        e->gguf = before->gguf;
    }
    if (!e->row.variant->qtype || before)
        return true;
    char *in_model = gguf_path(b->a->job.model, e->row.variant);
    bool exists = in_model && access(in_model, F_OK) == 0;
    free(in_model);
    if (!in_model || (!exists && !b->tmp[0] && !make_tmp(b)))
        return false;
    e->row.is_temporary = !exists;
    e->gguf = gguf_path(exists ? NULL : b->tmp, e->row.variant);
    if (!e->gguf || exists)
        return e->gguf != NULL;
    bench_job job = job_of(b, e);
    show_step("quantizing", e->row.variant->name, 0, 0);
    return run_without_result(bench_quantize, &job);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static bool measure_limits(bench *b)
{
    bench_job job = job_of(b, NULL);
    return child_run_fixed(bench_limits, &job, &b->limits[b->n_limits++], sizeof *b->limits);
}

static bool measure(bench *b, entry *e, int index)
{
    bench_job job = job_of(b, e);
    char *data;
    size_t size;
    show_step("running", e->row.variant->name, index + 1, b->a->repeat);
    if (!child_run(bench_transcribe, &job, &data, &size))
        return false;
    bool good = size >= sizeof e->samples[index];
    if (good) {
        memcpy(&e->samples[index], data, sizeof e->samples[index]);
        if (!e->text)
            e->text = strndup(data + sizeof *e->samples, size - sizeof *e->samples);
        good = e->text || out_of_memory();
    } else {
        message_print("a run ended without a result");
    }
    free(data);
    return good;
}

static bool measure_all(bench *b)
{
    for (int r = 0; r < b->a->repeat; r++)
        for (size_t i = 0; i < b->n; i++)
            if (!measure_limits(b) || !measure(b, &b->entries[i], r))
                return false;
    return measure_limits(b);
}

/* ---- medians --------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the double at an offset in each of n structs of the given size; scratch [n]. */
static double median(const void *structs, size_t size, size_t offset, size_t n, double *scratch)
{
    for (size_t i = 0; i < n; i++)
        memcpy(&scratch[i], (const char *)structs + i * size + offset, sizeof *scratch);
    qsort(scratch, n, sizeof *scratch, by_size);
    return 0.5 * (scratch[(n - 1) / 2] + scratch[n / 2]);
}

static void medians_of(bench_sample *to, const bench_sample *samples, size_t n, double *scratch)
{
    static const size_t fields[] = {
        offsetof(bench_sample, load_s),      offsetof(bench_sample, mel_s),     offsetof(bench_sample, encode_s),
        offsetof(bench_sample, prefill_s),   offsetof(bench_sample, decode_ms), offsetof(bench_sample, total_s),
        offsetof(bench_sample, peak_rss_mb), offsetof(bench_sample, device_mb),
    };
    *to = samples[0]; /* the other fields are the same in all runs */
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        double value = median(samples, sizeof *samples, fields[i], n, scratch);
        memcpy((char *)to + fields[i], &value, sizeof value);
    }
}

static qasr_limits median_limits(const qasr_limits *limits, size_t n, double *scratch)
{
    qasr_limits m = limits[0];
    m.read_gb_s = median(limits, sizeof *limits, offsetof(qasr_limits, read_gb_s), n, scratch);
    m.f32_gop_s = median(limits, sizeof *limits, offsetof(qasr_limits, f32_gop_s), n, scratch);
    m.bf16_gop_s = median(limits, sizeof *limits, offsetof(qasr_limits, bf16_gop_s), n, scratch);
    m.int8_gop_s = median(limits, sizeof *limits, offsetof(qasr_limits, int8_gop_s), n, scratch);
    return m;
}

double bench_tokens_per_s(const bench_sample *s) { return s->decode_ms > 0 ? 1e3 / s->decode_ms : 0; }

double bench_matrix_limit(const qasr_limits *limits, const char *precision)
{
    if (strcmp(precision, "int8") == 0)
        return limits->int8_gop_s;
    return strcmp(precision, "bf16") == 0 ? limits->bf16_gop_s : limits->f32_gop_s;
}

/* Achieved rate in percent of a limit. */
static double percent(double work, double seconds, double rate)
{
    return seconds > 0 && rate > 0 ? 100 * work / seconds / rate : 0;
}

/* Errors per unit of the reference; NAN if an empty reference has errors. */
static double rate(uint64_t errors, uint64_t n) { return n ? (double)errors / (double)n : errors ? NAN : 0; }

/* Error rates of a row's text against the reference (NULL: unknown). */
static void compare_text(bench_row *row, const char *text, const char *reference)
{
    qasr_score s = QASR_SCORE_INIT;
    row->cer = row->wer = NAN;
    if (!reference || qasr_score_text(&s, reference, text, NULL) != QASR_OK)
        return;
    row->cer = rate(s.character_errors, s.characters);
    row->wer = rate(s.substitutions + s.insertions + s.deletions, s.words);
}

static void finish_row(const bench *b, entry *e, const qasr_limits *limits, const char *reference, double *scratch)
{
    bench_row *row = &e->row;
    bench_sample *m = &row->median;
    medians_of(m, e->samples, (size_t)b->a->repeat, scratch);
    compare_text(row, e->text, reference);
    if (strcmp(m->device, "cpu") != 0) { /* the limits are the CPU's */
        row->percent_encode = row->percent_prefill = row->percent_decode = NAN;
        return;
    }
    row->percent_encode = percent(m->encode_gop, m->encode_s, bench_matrix_limit(limits, m->encode_precision));
    row->percent_prefill = percent(m->prefill_gop, m->prefill_s, bench_matrix_limit(limits, m->prefill_precision));
    row->percent_decode = percent(m->decode_gb, 1e-3 * m->decode_ms, limits->read_gb_s);
}

static bool write_report(const bench *b, const bench_report *report)
{
    out o;
    if (!out_open(&o, b->a->output))
        return false;
    formats[b->a->format]->report(o.f, report);
    return out_commit(&o);
}

/* The text of fp, else of own; NULL: neither ran. */
static const char *reference_text(const bench *b)
{
    const entry *best = NULL;
    for (size_t i = 0; i < b->n; i++) {
        const bench_variant *v = b->entries[i].row.variant;
        if (!v->qtype && (!best || (best->row.variant->own && !v->own)))
            best = &b->entries[i];
    }
    return best ? best->text : NULL;
}

static bool report(bench *b)
{
    bench_row rows[MAX_VARIANTS * MAX_BATCHES];
    double *scratch = calloc(b->n_limits, sizeof *scratch); /* more limits than runs of a variant */
    if (!scratch)
        return out_of_memory();
    const char *kv_type = b->a->job.session_options.kv_type;
    bench_report r = { .rows = rows,
                       .n_rows = b->n,
                       .n_limits = b->n_limits,
                       .repeat = b->a->repeat,
                       .warm_up = b->a->job.warm_up,
                       .n_tokens = b->a->job.n_tokens,
                       .kv_type = kv_type ? kv_type : qasr_kv_type_name(0) };
    r.limits = median_limits(b->limits, b->n_limits, scratch);
    const char *reference = reference_text(b);
    for (size_t i = 0; i < b->n; i++) {
        finish_row(b, &b->entries[i], &r.limits, reference, scratch);
        rows[i] = b->entries[i].row;
        if (rows[i].median.kv_widened)
            message_warn(
                "%s: keys or values exceed a KV cache in %s, so everything was computed again with f32: measure "
                "with '--kv-type f32'",
                rows[i].variant->name, r.kv_type);
    }
    free(scratch);
    return write_report(b, &r);
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool allocate(bench *b)
{
    b->limits = calloc(b->n * (size_t)b->a->repeat + 1, sizeof *b->limits);
    bool good = b->limits != NULL;
    for (size_t i = 0; i < b->n; i++) {
        b->entries[i].samples = calloc((size_t)b->a->repeat, sizeof *b->entries[i].samples);
        good = good && b->entries[i].samples;
    }
    return good || out_of_memory();
}

static void release(bench *b)
{
    remove_tmp(b);
    for (size_t i = 0; i < b->n; i++) {
        if (!same_variant(b, &b->entries[i]))
            free(b->entries[i].gguf);
        free(b->entries[i].samples);
        free(b->entries[i].text);
    }
    free(b->limits);
}

/* Fails early if the output cannot be written, or the model or the audio cannot be read. */
static bool check_places(const bench *b)
{
    bench_job job = job_of(b, NULL);
    return out_check(b->a->output) && run_without_result(bench_check, &job);
}

static bool bench_variants(bench *b)
{
    if (!allocate(b) || !check_places(b))
        return false;
    for (size_t i = 0; i < b->n; i++)
        if (!prepare(b, &b->entries[i]))
            return false;
    return measure_all(b) && report(b);
}

static bool bench_machine(const args *a)
{
    out o;
    qasr_limits limits;
    if (!out_open(&o, a->output))
        return false;
    if (!child_run_fixed(bench_limits, &a->job, &limits, sizeof limits)) {
        out_abort(&o);
        return false;
    }
    formats[a->format]->limits(o.f, &limits);
    return out_commit(&o);
}

static int run(int argc, char **argv)
{
    args a = { .job = { .model_options = QASR_MODEL_OPTIONS_INIT, .session_options = QASR_SESSION_OPTIONS_INIT } };
    bench b = { .a = &a };
    opt_result parsed = opt_parse(&cmd_bench, &a, argc, argv);
    if (parsed != OPT_PARSED)
        return parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    int status = check_args(&a);
    if (status != EXIT_DONE)
        return status;
    if (!a.limits) {
        set_defaults(&a);
        status = parse_batches(&b, a.batches);
        if (status != EXIT_DONE)
            return status;
    }
    char *model = NULL;
    if (!a.limits) {
        status = models_resolve(&cmd_bench, &model, a.job.model);
        if (status != EXIT_DONE)
            return status;
        a.job.model = model;
        status = choose_variants(&b);
        if (status != EXIT_DONE) {
            free(model);
            return status;
        }
    }
    child_catch_signals();
    bool good = a.limits ? bench_machine(&a) : bench_variants(&b);
    release(&b);
    free(model);
    if (!good && child_interrupted())
        message_print("interrupted");
    return good ? EXIT_DONE : EXIT_FAILED;
}

const command cmd_bench = {
    "bench",
    "measure speed and memory against the limits of the machine",
    "[--model MODEL] [OPTIONS] | --limits [--threads N]",
    "Transcribes the same audio with the decoder stored in several ways, and compares times with what the machine "
    "can do. Each run is a separate process; the variants take turns. CER and WER compare the texts with that of fp, "
    "or own, not with a reference.\n"
    "A variant TYPE uses model-TYPE.gguf in the model directory (TYPE+emb: model-TYPE+emb.gguf); without such a file, "
    "the decoder is quantized into a temporary directory (in TMPDIR), which is removed at the end. A complete model in "
    "GGUF files has one variant, own.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){ { "Compare the original weights with 8 bits", "qasr bench -m model --variants fp,q8_0" },
                           { "Measure the limits of the machine", "qasr bench --limits" },
                           { NULL, NULL } }
};
