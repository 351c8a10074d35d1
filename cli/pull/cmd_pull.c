/* qasr pull: the name of a model in, a directory with it out. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/message.h"
#include "cli/cmd.h"
#include "cli/pull/pull.h"
#include "qasr/qasr_tools.h"

typedef struct args {
    opt_files names, sha256;
    const char *dir, *endpoint;
    int layout, qtype, n_connections, n_retries, verify, quiet; /* layout, qtype: indices into the lists below */
} args;

enum { DEFAULT_CONNECTIONS = 4, DEFAULT_RETRIES = 8 };
static const char *const layouts[] = { "original", "hf", NULL };
/* Those under whose names 'qasr transcribe' looks for a decoder. */
static const char *const qtypes[] = { "none", "q8_0", "q6_k", "q4_0", NULL };

static const opt opts[] = {
    { "model", 'm', "REPO", "0.6b, 1.7b, aligner, or a repository of the hub; with @REVISION if it is not to be main",
      OPT_FILE, offsetof(args, names) },
    { "dir", 'd', "DIR", "the directory to become the model (default: one in the cache, which --model NAME finds)",
      OPT_STRING, offsetof(args, dir) },
    { "endpoint", 0, "URL", "where the hub is (default HF_ENDPOINT, else https://huggingface.co)", OPT_STRING,
      offsetof(args, endpoint) },
    { "layout", 0, "LAYOUT", "which of the published variants (default original)", OPT_CHOICE, offsetof(args, layout),
      layouts },
    { "quantize", 0, "TYPE", "then quantize the decoder too", OPT_CHOICE, offsetof(args, qtype), qtypes },
    { "connections", 0, "N", "ranges that are fetched at a time (default 4)", OPT_INT, offsetof(args, n_connections),
      NULL, 1, 32 },
    { "retries", 0, "N", "failures in a row after which it gives up, with longer and longer pauses (default 8)",
      OPT_INT, offsetof(args, n_retries), NULL, 1, 1000 },
    { "sha256", 0, "FILE=HEX", "the hash that a file must have, whatever the hub says; may be repeated", OPT_LIST,
      offsetof(args, sha256) },
    { "verify", 0, NULL, "look at the hashes of a model that is there, not only at its sizes", OPT_FLAG,
      offsetof(args, verify) },
    { "quiet", 'q', NULL, "no progress, no summary", OPT_FLAG, offsetof(args, quiet) },
};

static const char *known_name(const void *list, size_t i)
{
    (void)list;
    return models_known(i)->name;
}

static int unknown_name(const char *name)
{
    size_t n = 0;
    while (models_known(n))
        n++;
    const char *near = opt_nearest(name, known_name, NULL, n);
    if (near)
        return opt_usage_error(&cmd_pull, "unknown model '%s' (did you mean '%s'?)", name, near);
    return opt_usage_error(
        &cmd_pull, "unknown model '%s', expected 0.6b, 1.7b, aligner, or a repository such as Qwen/Qwen3-ASR-0.6B",
        name);
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
                               "--layout goes with 0.6b, 1.7b and aligner: a repository has the layout it has");
    if (a->dir && !*a->dir)
        return opt_usage_error(&cmd_pull, "--dir '' is no directory");
    if (a->qtype && !qasr_can_quantize()) {
        message_fail("cannot --quantize: qasr was built without quantization (-Dquantize=disabled); pull without the "
                     "option, or build it with -Dquantize=enabled");
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < a->sha256.n; i++)
        if (!is_file_hash(a->sha256.names[i]))
            return opt_usage_error(&cmd_pull, "--sha256 '%s': expected FILE=HEX with 64 hexadecimal digits",
                                   a->sha256.names[i]);
    return EXIT_DONE;
}

/* A directory that is there by its real path, so that "." has a name and links stay; another without slashes at its
 * end. */
static char *dir_of_user(const char *dir)
{
    char *real = realpath(dir, NULL);
    if (real)
        return real;
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    return strndup(dir, n);
}

static char *dir_in_cache(const model_spec *spec)
{
    char *path = NULL, *cache = models_cache_dir();
    if (cache && asprintf(&path, "%s/%s", cache, spec->dir_name) < 0)
        path = NULL;
    free(cache);
    return path;
}

/* ---- the command again ----------------------------------------------------------------------- */

/* Words that a shell takes as they are; others go between single quotes. */
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

/* What the user said, as one types it; NULL without memory. Free it. */
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

/* ---- all of it ------------------------------------------------------------------------------- */

static int pull_parsed(const args *a, const char *again)
{
    model_spec spec;
    int status = check_args(&spec, a);
    if (status != EXIT_DONE)
        return status;
    char *dest = a->dir ? dir_of_user(a->dir) : dir_in_cache(&spec);
    if (!dest) {
        message_fail("there is no place for models: neither XDG_CACHE_HOME nor HOME is set; give one with --dir");
        return EXIT_FAILED;
    }
    pull_options o = { .name = a->names.names[0],
                       .again = again,
                       .spec = &spec,
                       .dest = dest,
                       .endpoint = a->endpoint,
                       .sha256 = &a->sha256,
                       .n_connections = a->n_connections ? a->n_connections : DEFAULT_CONNECTIONS,
                       .n_retries = a->n_retries ? a->n_retries : DEFAULT_RETRIES,
                       .verify = a->verify,
                       .qtype = a->qtype ? qtypes[a->qtype] : NULL,
                       .quiet = a->quiet };
    status = pull_model(&o);
    free(dest);
    return status;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    char *again = command_of(argc, argv);
    opt_result parsed = opt_parse(&cmd_pull, &a, argc, argv);
    int status = parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    if (parsed == OPT_PARSED)
        status = again ? pull_parsed(&a, again) : (message_fail("out of memory"), EXIT_FAILED);
    free(again);
    opt_files_free(&a.names);
    opt_files_free(&a.sha256);
    return status;
}

const command cmd_pull = { "pull",
                           "get a model from the Hugging Face hub",
                           "0.6b|1.7b|aligner|REPO[@REVISION] [OPTIONS]",
                           "What was interrupted goes on where it ended. Files are checked by their hashes; the "
                           "directory appears when all are right.\n"
                           "Proxies are those of the environment (https_proxy, no_proxy); the token is HF_TOKEN, or "
                           "for the public hub the one that its\n"
                           "own programs have stored.\n",
                           opts,
                           sizeof opts / sizeof opts[0],
                           run };
