/* Turns model names into paths. The cache is a directory with one directory per model; there is no other index. */
#include "app/models.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/message.h"

#define PARTIAL_ENDING ".partial"

static const known_model known[] = {
    { "0.6b", "Qwen/Qwen3-ASR-0.6B", NULL, true },
    { "1.7b", "Qwen/Qwen3-ASR-1.7B", NULL, true },
    { "aligner", "Qwen/Qwen3-ForcedAligner-0.6B", NULL, false },
    { "0.6b-hf", "Qwen/Qwen3-ASR-0.6B-hf", "Qwen/Qwen3-ASR-0.6B", true },
    { "1.7b-hf", "Qwen/Qwen3-ASR-1.7B-hf", "Qwen/Qwen3-ASR-1.7B", true },
    { "aligner-hf", "Qwen/Qwen3-ForcedAligner-0.6B-hf", "Qwen/Qwen3-ForcedAligner-0.6B", false },
};
enum { N_KNOWN = sizeof known / sizeof known[0] };

const known_model *models_known(size_t i) { return i < N_KNOWN ? &known[i] : NULL; }

/* ---- names ----------------------------------------------------------------------------------- */

static const known_model *find_known(const char *text)
{
    for (size_t i = 0; i < N_KNOWN; i++)
        if (strcasecmp(text, known[i].name) == 0 || strcasecmp(text, known[i].repo) == 0)
            return &known[i];
    return NULL;
}

/* True for n_words words (0: any number) of characters that the hub allows, joined by slashes. */
static bool is_words(const char *text, size_t n_words)
{
    size_t n = 1;
    for (const char *c = text; *c; c++) {
        bool starts = c == text || c[-1] == '/';
        if ((starts && (*c == '.' || *c == '/')) || (!isalnum((unsigned char)*c) && !strchr("._-/", *c)))
            return false;
        n += *c == '/';
    }
    return *text && text[strlen(text) - 1] != '/' && !strstr(text, "..") && (n_words == 0 || n == n_words);
}

/* Appends text with "--" for slashes, so that it can be a directory name. */
static void add_flat(char *to, size_t size, const char *text)
{
    size_t n = strlen(to);
    for (; *text && n + 3 < size; text++) {
        to[n++] = *text == '/' ? '-' : *text;
        if (*text == '/')
            to[n++] = '-';
    }
    to[n] = 0;
}

bool models_parse(model_spec *out, const char *text, const char *layout)
{
    char name[sizeof out->repo];
    size_t n = strcspn(text, "@");
    const char *revision = text[n] ? text + n + 1 : "main";
    *out = (model_spec){ .known = NULL };
    if (n >= sizeof out->repo || strlen(revision) >= sizeof out->revision || !is_words(revision, 0))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    out->known = find_known(name);
    if (out->known && layout && strcmp(layout, "hf") == 0 && !out->known->tokenizer_repo) {
        snprintf(name, sizeof name, "%s-hf", out->known->name);
        out->known = find_known(name);
    }
    if (!out->known && !is_words(name, 2))
        return false;
    snprintf(out->repo, sizeof out->repo, "%s", out->known ? out->known->repo : name);
    snprintf(out->revision, sizeof out->revision, "%s", revision);
    add_flat(out->dir_name, sizeof out->dir_name, out->known ? out->known->name : name);
    if (strcmp(revision, "main") != 0) {
        add_flat(out->dir_name, sizeof out->dir_name, "@");
        add_flat(out->dir_name, sizeof out->dir_name, revision);
    }
    return true;
}

/* ---- the cache ------------------------------------------------------------------------------- */

char *models_cache_dir(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int n = -1;
    if (cache && cache[0] == '/') /* the XDG specification says to ignore relative paths */
        n = asprintf(&path, "%s/qasr/models", cache);
    else if (home && *home)
        n = asprintf(&path, "%s/.cache/qasr/models", home);
    return n >= 0 ? path : NULL;
}

/* Bytes that the regular files of a directory occupy on disk: sparse parts that a pull has not written yet do not
 * count. */
static uint64_t disk_bytes(const char *path)
{
    uint64_t n = 0;
    struct stat st;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            n += (uint64_t)st.st_blocks * 512 < (uint64_t)st.st_size ? (uint64_t)st.st_blocks * 512
                                                                     : (uint64_t)st.st_size;
    if (dir)
        closedir(dir);
    return n;
}

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

/* The manifest is the last file that a pull writes. */
static int64_t time_of(const model_entry *e)
{
    struct stat st;
    char *path = NULL;
    int64_t when = 0;
    if (asprintf(&path, "%s/%s", e->path, MANIFEST_NAME) < 0)
        return 0;
    if (stat(path, &st) == 0 || stat(e->path, &st) == 0)
        when = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    free(path);
    return when;
}

static bool add_entry(model_list *l, const char *cache_dir, const char *file_name)
{
    size_t len = strlen(file_name), ending = sizeof PARTIAL_ENDING - 1;
    bool partial = file_name[0] == '.' && len > ending + 1 && strcmp(file_name + len - ending, PARTIAL_ENDING) == 0;
    if (file_name[0] == '.' && !partial)
        return true;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        model_entry *list = realloc(l->list, cap * sizeof *list);
        if (!list)
            return false;
        l->list = list;
        l->cap = cap;
    }
    model_entry e = { .partial = partial };
    struct stat st;
    e.name = partial ? strndup(file_name + 1, len - ending - 1) : strdup(file_name);
    if (asprintf(&e.path, "%s/%s", cache_dir, file_name) < 0)
        e.path = NULL;
    bool is_dir = e.path && stat(e.path, &st) == 0 && S_ISDIR(st.st_mode);
    if (!e.name || !e.path || !is_dir) {
        bool good = e.name && e.path; /* a file is not a model */
        free(e.name);
        free(e.path);
        return good;
    }
    if (!partial)
        manifest_read(&e.files, e.path);
    e.bytes = disk_bytes(e.path);
    e.time = time_of(&e);
    l->list[l->n++] = e;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const model_entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->partial - y->partial;
}

bool models_list(model_list *out, const char *cache_dir)
{
    *out = (model_list){ 0 };
    DIR *dir = opendir(cache_dir);
    if (!dir)
        return errno == ENOENT || message_fail("cannot read '%s': %s", cache_dir, strerror(errno));
    bool good = true;
    for (struct dirent *e; good && (e = readdir(dir));)
        good = add_entry(out, cache_dir, e->d_name) || message_fail("out of memory");
    closedir(dir);
    if (out->n > 1)
        qsort(out->list, out->n, sizeof *out->list, by_name);
    if (!good)
        models_list_free(out);
    return good;
}

void models_list_free(model_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->list[i].name);
        free(l->list[i].path);
        manifest_free(&l->list[i].files);
    }
    free(l->list);
    *l = (model_list){ 0 };
}

/* ---- model to use ---------------------------------------------------------------------------- */

static const model_entry *find_entry(const model_list *l, const char *name, bool partial)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->list[i].partial == partial && strcmp(l->list[i].name, name) == 0)
            return &l->list[i];
    return NULL;
}

static bool transcribes(const model_entry *e)
{
    const known_model *k = e->files.repo ? find_known(e->files.repo) : find_known(e->name);
    return !k || k->transcribes;
}

const model_entry *models_newest(const model_list *l)
{
    const model_entry *best = NULL;
    for (size_t i = 0; i < l->n; i++) {
        const model_entry *e = &l->list[i];
        if (!e->partial && e->files.repo && transcribes(e) && (!best || e->time > best->time))
            best = e;
    }
    return best;
}

/* Names to suggest: models in the cache, then models that can be pulled. */
static const char *candidate(const void *list, size_t i)
{
    const model_list *l = list;
    return i < l->n ? l->list[i].name : known[i - l->n].name;
}

/* Reports a word that is neither a path nor an installed model, with a suggestion. from: its origin, "" or "QASR_MODEL:
 * ". */
static int report_unknown(const model_list *l, const char *from, const char *given)
{
    model_spec spec;
    bool named = models_parse(&spec, given, NULL);
    const char *near = opt_nearest(given, candidate, l, l->n + N_KNOWN);
    if (named && find_entry(l, spec.dir_name, true))
        message_fail("%smodel '%s' is incomplete; resume with: qasr pull %s", from, given, given);
    else if (named && spec.known)
        message_fail("%smodel '%s' is not installed; get it with: qasr pull %s", from, given, given);
    else if (near)
        message_fail("%sno file, directory or pulled model '%s' (did you mean '%s'?)", from, given, near);
    else
        message_fail("%sno file, directory or pulled model '%s'; 'qasr models' lists the models that were pulled", from,
                     given);
    return EXIT_FAILED;
}

static int copy_path(char **path, const char *from)
{
    *path = strdup(from);
    if (*path)
        return EXIT_DONE;
    message_fail("out of memory");
    return EXIT_FAILED;
}

static int resolve_name(char **path, const model_list *l, const char *from, const char *given)
{
    model_spec spec;
    const model_entry *e = find_entry(l, given, false);
    if (!e && models_parse(&spec, given, NULL))
        e = find_entry(l, spec.dir_name, false);
    return e ? copy_path(path, e->path) : report_unknown(l, from, given);
}

int models_resolve(const command *cmd, char **path, const char *given)
{
    const char *from = "", *variable = getenv("QASR_MODEL");
    *path = NULL;
    if (!given && variable && *variable) {
        given = variable;
        from = "QASR_MODEL: ";
    }
    if (given && access(given, F_OK) == 0)
        return copy_path(path, given);
    model_list l = { 0 };
    int status = EXIT_FAILED;
    char *cache_dir = models_cache_dir();
    if (!cache_dir || models_list(&l, cache_dir)) { /* without a cache directory there are no models */
        const model_entry *e = given ? NULL : models_newest(&l);
        if (given)
            status = resolve_name(path, &l, from, given);
        else if (e)
            status = copy_path(path, e->path);
        else
            status = opt_usage_error(cmd, "no model: get one with 'qasr pull 0.6b', or give one with --model");
    }
    models_list_free(&l);
    free(cache_dir);
    return status;
}
