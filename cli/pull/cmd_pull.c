/* qasr pull: downloads a model from the hub into a directory. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/message.h"
#include "cli/cmd.h"
#include "cli/pull/pull.h"
#include "cli/shared_opts.h"
#include "qasr/qasr_tools.h"

typedef struct args {
    pull_options options;
    opt_files names;
    const char *dir;
    int layout;
} args;

static const char *const layouts[] = { "original", "hf", NULL };
static const char *qtype_at(size_t i) { return i ? qasr_qtype_name(i - 1) : "none"; }

static const opt opts[] = {
    { "model", 'm', "REPO", "a model by name, below, or a repository of the hub; with @REVISION if not main", OPT_FILE,
      offsetof(args, names) },
    { "dir", 'd', "DIR", "directory for the model (default: one in the cache, where --model NAME finds it)", OPT_STRING,
      offsetof(args, dir) },
    { "endpoint", 0, "URL", "address of the hub (default: HF_ENDPOINT, else https://huggingface.co)", OPT_STRING,
      offsetof(args, options.endpoint) },
    { "layout", 0, "LAYOUT", "which of the published variants (default original)", OPT_CHOICE, offsetof(args, layout),
      layouts },
    { "quantize", 0, "TYPE", "also quantize the decoder, as 'qasr quantize --qtype TYPE' (default none)", OPT_NAME,
      offsetof(args, options.qtype), .choice = qtype_at },
    { "connections", 0, "N", "number of parallel connections (default 4)", OPT_INT,
      offsetof(args, options.n_connections), NULL, 1, 32 },
    { "retries", 0, "N", "give up after N failures in a row, with growing pauses between them (default 8)", OPT_INT,
      offsetof(args, options.n_retries), NULL, 1, 1000 },
    { "sha256", 0, "FILE=HEX", "required hash of a file, whatever the hub says; may be repeated", OPT_LIST,
      offsetof(args, options.sha256) },
    { "verify", 0, NULL, "check the hashes of an existing model, not only its sizes", OPT_FLAG,
      offsetof(args, options.verify) },
    QUIET_OPT(offsetof(args, options.quiet)),
};

static const char *known_name(const void *list, size_t i)
{
    (void)list;
    return models_known(i)->name;
}

/* "0.6b, 1.7b", ... */
static void list_known(char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; models_known(i) && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "", models_known(i)->name);
}

static int unknown_name(const char *name)
{
    size_t n = 0;
    while (models_known(n))
        n++;
    const char *near = opt_nearest(name, known_name, NULL, n);
    if (near)
        return opt_usage_error(&cmd_pull, "unknown model '%s' (did you mean '%s'?)", name, near);
    char list[256];
    list_known(list, sizeof list);
    return opt_usage_error(&cmd_pull, "unknown model '%s', expected %s, or a repository such as %s", name, list,
                           models_known(0)->repo);
}

/* "FILE=HEX" with the digits of a SHA-256. */
static bool is_file_hash(const char *text)
{
    char hash[HASH_SHA256_HEX + 1];
    const char *equals = strrchr(text, '=');
    return equals && equals > text && manifest_set_hash(hash, equals + 1) && strlen(hash) == HASH_SHA256_HEX;
}

static int check_args(model_spec *spec, const args *a)
{
    if (a->names.n != 1)
        return opt_usage_error(&cmd_pull, "expected one model, got %zu", a->names.n);
    if (!models_parse(spec, a->names.names[0], layouts[a->layout]))
        return unknown_name(a->names.names[0]);
    if (a->layout && !spec->known)
        return opt_usage_error(&cmd_pull,
                               "--layout is for models by name: a repository of the hub has a single layout");
    if (a->dir && !*a->dir)
        return opt_usage_error(&cmd_pull, "--dir '': the name of the directory is empty");
    if (a->options.qtype && !qasr_can_quantize()) {
        message_fail("cannot --quantize: qasr was built without quantization (-Dquantize=disabled); pull without the "
                     "option, or build it with -Dquantize=enabled");
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < a->options.sha256.n; i++)
        if (!is_file_hash(a->options.sha256.names[i]))
            return opt_usage_error(&cmd_pull, "--sha256 '%s': expected FILE=HEX with 64 hexadecimal digits",
                                   a->options.sha256.names[i]);
    return EXIT_DONE;
}

/* The real path of an existing directory, so that "." has a name and links survive; else the path without trailing
 * slashes. */
static char *given_dir(const char *dir)
{
    char *real = realpath(dir, NULL);
    if (real)
        return real;
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    return strndup(dir, n);
}

static char *cached_dir(const model_spec *spec)
{
    char *path = NULL, *cache = models_cache_dir();
    if (cache && asprintf(&path, "%s/%s", cache, spec->dir_name) < 0)
        path = NULL;
    free(cache);
    return path;
}

/* ---- command line to resume with ------------------------------------------------------------- */

/* Quotes a word for a shell if needed. */
static void print_word(FILE *f, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, f);
        return;
    }
    fputc('\'', f);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (const char[]){ *word, 0 }, f);
    fputc('\'', f);
}

/* The command line in shell syntax. Free it. NULL without memory. */
static char *command_of(int argc, char **argv)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fputs("qasr", f);
    for (int i = 0; i < argc; i++) {
        fputc(' ', f);
        print_word(f, argv[i]);
    }
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int pull_parsed(args *a, const char *again)
{
    model_spec spec;
    int status = check_args(&spec, a);
    if (status != EXIT_DONE)
        return status;
    char *dest = a->dir ? given_dir(a->dir) : cached_dir(&spec);
    if (!dest) {
        message_fail("no directory for models: neither XDG_CACHE_HOME nor HOME is set; give one with --dir");
        return EXIT_FAILED;
    }
    a->options.name = a->names.names[0];
    a->options.again = again;
    a->options.spec = &spec;
    a->options.dest = dest;
    status = pull_model(&a->options);
    free(dest);
    return status;
}

static int run(int argc, char **argv)
{
    args a = { .options = { .n_connections = 4, .n_retries = 8 } };
    char *again = command_of(argc, argv);
    opt_result parsed = opt_parse(&cmd_pull, &a, argc, argv);
    int status = parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    if (parsed == OPT_PARSED)
        status = again ? pull_parsed(&a, again) : (message_fail("out of memory"), EXIT_FAILED);
    free(again);
    opt_files_free(&a.names);
    opt_files_free(&a.options.sha256);
    return status;
}

static const char *list_models(void)
{
    static char text[512];
    char names[256];
    list_known(names, sizeof names);
    snprintf(text, sizeof text, "models: %s\n", names);
    return text;
}

const command cmd_pull = {
    "pull",
    "download a model from the Hugging Face hub",
    "NAME|REPO[@REVISION] [OPTIONS]",
    "Fetches the files of a model into a directory that other commands find by its name. "
    "Interrupted downloads resume where they stopped. Hashes of all files are checked before "
    "the directory appears.\n"
    "Proxies come from the environment (https_proxy, no_proxy). The token is HF_TOKEN, or, for "
    "the public hub, the one stored by its own tools.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){ { "Fetch a model, and add a decoder of 8 bits", "qasr pull 0.6b --quantize q8_0" },
                           { "Fetch a repository into a directory", "qasr pull Qwen/Qwen3-ASR-1.7B --dir model-1.7b" },
                           { NULL, NULL } },
    list_models
};
