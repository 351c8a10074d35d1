/* qasr advise: which model, stored how, suits a machine. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "app/message.h"
#include "app/models.h"
#include "cli/advise/advice.h"
#include "cli/cmd.h"
#include "cli/shared_opts.h"

typedef struct args {
    opt_files models;
    uint64_t memory_bytes; /* 0: that of the device */
    const char *device, *kv_type, *rates;
    int batch, n_threads, format;
} args;

static const opt opts[] = {
    { "model", 'm', "MODEL",
      "advise on this model only: a path, the name of a pulled model, 0.6b or 1.7b (default: the last two)", OPT_FILE,
      offsetof(args, models) },
    { "memory", 0, "SIZE", "advise for a machine with this much memory in all, as in 8G, instead of this one", OPT_SIZE,
      offsetof(args, memory_bytes), NULL, 1e8, 1e15 },
    { "device", 0, "DEVICE", "where to compute: cpu (default), or a name from 'qasr devices'", OPT_STRING,
      offsetof(args, device) },
    { "rates", 0, "LIST",
      "rates of the CPU, READ,F32[,BF16[,INT8]] in GB/s and Gop/s as from 'qasr bench --limits' on the machine in "
      "question (default: measure those of this one)",
      OPT_STRING, offsetof(args, rates) },
    BATCH_OPT(offsetof(args, batch)),
    KV_TYPE_OPT(offsetof(args, kv_type)),
    THREADS_OPT(offsetof(args, n_threads)),
    TXT_JSON_OPT('f', offsetof(args, format)),
};

static bool fail(const qasr_error *err)
{
    message_print(err->message);
    return false;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static bool is_cpu(const qasr_device_info *d) { return strcmp(d->name, "cpu") == 0; }

/* Finds a device by name; NULL: the CPU. Error (printed): none has it. */
static int find_device(qasr_device_info *out, const char *name)
{
    for (size_t i = 0; qasr_device_get(out, i, NULL) == QASR_OK; i++)
        if (!name || strcasecmp(out->name, name) == 0)
            return EXIT_DONE;
    return opt_usage_error(&cmd_advise, "no device '%s': 'qasr devices' lists the names", name);
}

/* Reads READ,F32[,BF16[,INT8]]. The optional ones may be 0. */
static bool read_rates(qasr_limits *l, const char *text)
{
    double *const rates[] = { &l->read_gb_s, &l->f32_gop_s, &l->bf16_gop_s, &l->int8_gop_s };
    enum { N_RATES = sizeof rates / sizeof rates[0], N_NEEDED = 2 };
    for (size_t n = 0; n < N_RATES; n++) {
        char *end;
        const double rate = strtod(text, &end);
        if (end == text || !(rate >= (n < N_NEEDED ? 1e-3 : 0)) || rate > 1e9)
            return false;
        *rates[n] = rate;
        if (!*end)
            return n + 1 >= N_NEEDED;
        if (*end != ',')
            return false;
        text = end + 1;
    }
    return false;
}

static int find_limits(advice_machine *m, const args *a)
{
    qasr_error err;
    if (a->rates) {
        m->limits_are_given = true;
        return read_rates(&m->limits, a->rates)
                   ? EXIT_DONE
                   : opt_usage_error(&cmd_advise,
                                     "--rates '%s': expected READ,F32[,BF16[,INT8]], positive numbers in GB/s and "
                                     "Gop/s, as in 38,231,462",
                                     a->rates);
    }
    if (!is_cpu(&m->device))
        return EXIT_DONE;
    if (qasr_measure_limits(&m->limits, a->n_threads, &err) == QASR_OK)
        return EXIT_DONE;
    message_print(err.message);
    return EXIT_FAILED;
}

static int find_machine(advice_machine *m, const args *a)
{
    *m = (advice_machine){ .device = QASR_DEVICE_INFO_INIT, .limits = QASR_LIMITS_INIT };
    const int status = find_device(&m->device, a->device);
    if (status != EXIT_DONE)
        return status;
    if (a->rates && !is_cpu(&m->device))
        return opt_usage_error(&cmd_advise, "--rates are those of a CPU, but --device is '%s'", m->device.name);
    if (a->memory_bytes) {
        m->memory_is_given = true;
        m->device.total_bytes = a->memory_bytes;
        m->device.free_bytes = 0;
    }
    if (!m->device.total_bytes && !m->device.free_bytes)
        return opt_usage_error(&cmd_advise, "the memory of device '%s' is unknown: give it with --memory",
                               m->device.name);
    m->usable_bytes = advice_usable_bytes(m->device.total_bytes, m->device.free_bytes);
    return find_limits(m, a);
}

static bool find_gpu(qasr_device_info *out)
{
    for (size_t i = 1; qasr_device_get(out, i, NULL) == QASR_OK; i++)
        if (strcmp(out->kind, "cpu") != 0)
            return true;
    return false;
}

/* ---- candidates ------------------------------------------------------------------------------ */

static bool is_float(const char *type)
{
    return strcmp(type, "bf16") == 0 || strcmp(type, "f16") == 0 || strcmp(type, "f32") == 0;
}

/* Estimates one candidate, whose model and type are set, and appends it, unless it is not smaller than the model as it
 * is (first; NULL: this is it). */
static bool add_candidate(advice *a, const args *given, advice_candidate c, const advice_candidate *first)
{
    qasr_error err;
    qasr_estimate_options options = QASR_ESTIMATE_OPTIONS_INIT;
    qasr_estimate e = QASR_ESTIMATE_INIT;
    *(c.is_published ? &options.published : &options.model) = c.model;
    options.qtype = c.qtype;
    options.batch = given->batch;
    options.kv_type = given->kv_type;
    options.limits = &a->machine.limits;
    if (qasr_estimate_transcription(&options, &e, &err) != QASR_OK)
        return fail(&err);
    if (first && e.weights_bytes >= first->weights_bytes)
        return true;
    if (!c.type) {
        c.type = e.decoder_type;
        c.tier = is_float(c.type) ? ADVICE_UNQUANTIZED : ADVICE_FIRST;
        c.kl = is_float(c.type) ? 0 : NAN;
    }
    c.weights_bytes = e.weights_bytes;
    c.memory_bytes = is_cpu(&a->machine.device) ? e.peak_bytes : e.device_bytes;
    c.seconds = e.encode_s + e.prefill_s + e.decode_s;
    a->batch = e.batch;
    a->candidates[a->n_candidates++] = c;
    return true;
}

/* The model as it is, and in each type that makes it smaller. */
static bool add_model(advice *a, const args *given, const char *model, bool is_published)
{
    const size_t first = a->n_candidates;
    const advice_candidate as_it_is = { .model = model, .is_published = is_published };
    if (!add_candidate(a, given, as_it_is, NULL))
        return false;
    for (size_t i = 0; i < advice_n_types && qasr_can_quantize(); i++) {
        const advice_type *t = &advice_types[i];
        advice_candidate c = as_it_is;
        c.type = c.qtype = t->qtype;
        c.tier = t->tier;
        c.kl = is_float(a->candidates[first].type) ? t->kl : NAN; /* of the original weights */
        if (!add_candidate(a, given, c, &a->candidates[first]))
            return false;
    }
    return true;
}

/* The published name that text is, unless it is a path; NULL: neither. */
static const char *published_name(const char *text)
{
    for (size_t i = 0; qasr_published_model_name(i); i++)
        if (strcasecmp(qasr_published_model_name(i), text) == 0 && access(text, F_OK) != 0)
            return qasr_published_model_name(i);
    return NULL;
}

static size_t count_published(void)
{
    size_t n = 0;
    while (qasr_published_model_name(n))
        n++;
    return n;
}

/* path: a model; NULL: the published ones, larger ones first, or only the one of that name. */
static bool add_all(advice *a, const args *given, const char *path, const char *name)
{
    const size_t n = count_published();
    a->candidates = calloc(n * (1 + advice_n_types), sizeof *a->candidates);
    if (!a->candidates)
        return message_fail("out of memory");
    if (path || name)
        return add_model(a, given, path ? path : name, !path);
    for (size_t i = n; i-- > 0;)
        if (!add_model(a, given, qasr_published_model_name(i), true))
            return false;
    return true;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int advise(const args *given, const char *path, const char *name)
{
    advice a = {
        .device = given->device, .kv_type = given->kv_type, .n_threads = given->n_threads, .given_batch = given->batch
    };
    qasr_device_info gpu = QASR_DEVICE_INFO_INIT;
    const int status = find_machine(&a.machine, given);
    if (status != EXIT_DONE)
        return status;
    bool good = add_all(&a, given, path, name);
    if (good) {
        a.chosen = advice_choose(a.candidates, a.n_candidates, a.machine.usable_bytes);
        a.other_device = !given->device && find_gpu(&gpu) ? gpu.name : NULL;
        good = given->format == REPORT_JSON ? advise_print_json(&a) : advise_print_txt(&a);
    }
    free(a.candidates);
    return good ? EXIT_DONE : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    char *path = NULL;
    int status = EXIT_DONE;
    opt_result parsed = opt_parse(&cmd_advise, &a, argc, argv);
    if (parsed != OPT_PARSED) {
        status = parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    } else if (a.models.n > 1) {
        status = opt_usage_error(&cmd_advise, "expected at most one model, got %zu", a.models.n);
    } else {
        const char *name = a.models.n ? published_name(a.models.names[0]) : NULL;
        if (a.models.n && !name)
            status = models_resolve(&cmd_advise, &path, a.models.names[0]);
        if (status == EXIT_DONE)
            status = advise(&a, path, name);
    }
    free(path);
    opt_files_free(&a.models);
    return status;
}

const command cmd_advise = {
    "advise",
    "recommend a model and a type for a machine",
    "[MODEL] [OPTIONS]",
    "Estimates memory and speed of the published models, or of MODEL, as they are and quantized as one file, and names "
    "the commands that lead to the one that suits the machine. Nothing is downloaded or written.\n"
    "Memory is that of the weights, of the keys and values of the segments that are decoded together, and of "
    "activations. Seconds are those that a minute of a long recording takes on the CPU: the work, which is known, at "
    "the "
    "rates of the machine, which are measured for about a second, and at the share of these rates that measurements "
    "with "
    "two threads have shown. With many threads the share is smaller. Rates of GPUs are not measured.\n"
    "Recommended is the larger model, with as many bits as fit into the available memory less a tenth (with --memory: "
    "into SIZE less a quarter, and less at least 1 GB), unless it is slower than speech. Types of 4 bits come last, "
    "since their loss is known for the demo model only. If nothing fits, a smaller --batch needs less.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){ { "Which model suits this machine?", "qasr advise" },
                           { "Which one suits a machine with 8 GB?", "qasr advise --memory 8G" },
                           { "How should this model be stored?", "qasr advise model" },
                           { NULL, NULL } }
};
