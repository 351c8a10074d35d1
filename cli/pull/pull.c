/* Pulls a model from the hub into a directory: lists its files, finds those that exist, checks the disk space,
 * downloads the rest, verifies hashes, moves the directory into place; then, on request, quantizes the decoder. */
#include "cli/pull/pull.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/message.h"
#include "app/progress.h"
#include "cli/pull/fetch.h"
#include "cli/pull/hub.h"
#include "cli/pull/partial_download.h"
#include "qasr/qasr_tools.h"

typedef struct pull {
    const pull_options *o;
    char *endpoint, *token;
    fetch *f;
    manifest m;
    bool *in_place; /* [m.n]; NULL: nothing is installed yet */
    download download;
    progress bar;
    uint64_t done, total; /* what the bar shows */
} pull;

static bool out_of_memory(void) { return message_fail("out of memory"); }

/* ---- progress -------------------------------------------------------------------------------- */

static void on_bytes(void *user, uint64_t n)
{
    pull *p = user;
    p->done += n;
    progress_update(&p->bar, p->done < p->total ? p->done : p->total, p->total);
}

static bool stopped(void *user)
{
    (void)user;
    return progress_interrupted();
}

static void begin_bar(pull *p, const char *label, uint64_t done, uint64_t total)
{
    p->done = done;
    p->total = total;
    progress_begin(&p->bar, p->o->quiet);
    progress_lines(&p->bar, p->o->quiet, label);
    progress_count(&p->bar, "MB", 1000000, done);
}

static download_watch watch_of(pull *p) { return (download_watch){ on_bytes, stopped, p }; }

/* ---- installed files ------------------------------------------------------------------------- */

static bool is_empty(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return dir && n == 0;
}

/* True if the destination is free or has this model (*there). */
static bool check_dest(pull *p, bool *there)
{
    const char *dest = p->o->dest;
    const model_spec *spec = p->o->spec;
    struct stat st;
    *there = manifest_read(&p->m, dest);
    if (!*there && stat(dest, &st) == 0 && !(S_ISDIR(st.st_mode) && is_empty(dest)))
        return message_fail("'%s' exists and was not created by qasr pull; choose another directory with --dir", dest);
    if (*there && strcmp(p->m.repo, spec->repo) != 0)
        return message_fail("'%s' has the model '%s'; choose another directory with --dir", dest, p->m.repo);
    if (*there && strcmp(p->m.revision, spec->revision) != 0 && strcmp(p->m.commit, spec->revision) != 0)
        return message_fail("'%s' has revision '%s' of '%s', commit '%s'; choose another directory with --dir", dest,
                            p->m.revision, p->m.repo, p->m.commit);
    return true;
}

/* Checks an installed file; wrong: the problem, "" if none. False if stopped or on error (printed). */
static bool check_file(pull *p, const model_file *f, char *wrong, size_t size)
{
    struct stat st;
    char *path = NULL, found[HASH_SHA256_HEX + 1];
    wrong[0] = 0;
    if (asprintf(&path, "%s/%s", p->o->dest, f->name) < 0)
        return out_of_memory();
    bool good = true;
    if (stat(path, &st) != 0) {
        snprintf(wrong, size, "is missing");
    } else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->size) {
        snprintf(wrong, size, "has %lld bytes, expected %" PRIu64, (long long)st.st_size, f->size);
    } else if (p->o->verify && f->hash[0]) {
        download_watch watch = watch_of(p);
        good = download_hash_file(path, f, found, &watch);
        if (good && strcmp(found, f->hash) != 0)
            snprintf(wrong, size, "has the hash %s, expected %s", found, f->hash);
    }
    free(path);
    return good;
}

/* *whole: nothing of the installed model needs to be fetched. */
static bool check_files(pull *p, bool *whole)
{
    char wrong[300];
    *whole = true;
    p->in_place = calloc(p->m.n, sizeof *p->in_place);
    if (!p->in_place)
        return out_of_memory();
    if (p->o->verify)
        begin_bar(p, "checking ", 0, manifest_size(&p->m));
    bool good = true;
    for (size_t i = 0; i < p->m.n && good; i++) {
        good = check_file(p, &p->m.files[i], wrong, sizeof wrong);
        p->in_place[i] = good && !wrong[0];
        *whole = *whole && p->in_place[i];
        if (wrong[0])
            message_warn("'%s/%s' %s: fetching it again", p->o->dest, p->m.files[i].name, wrong);
    }
    progress_end(&p->bar);
    return good;
}

/* ---- given hashes ---------------------------------------------------------------------------- */

static bool apply_hash(pull *p, const char *given)
{
    char hash[HASH_SHA256_HEX + 1];
    const char *equals = strrchr(given, '=');
    for (size_t i = 0; i < p->m.n; i++) {
        model_file *f = &p->m.files[i];
        if (strlen(f->name) != (size_t)(equals - given) || strncmp(f->name, given, (size_t)(equals - given)) != 0)
            continue;
        manifest_set_hash(hash, equals + 1);
        if (strlen(f->hash) == HASH_SHA256_HEX && strcmp(hash, f->hash) != 0)
            return message_fail("'%s' has the hash %s on the server, expected %s", f->name, f->hash, hash);
        strcpy(f->hash, hash);
        return true;
    }
    return message_fail("--sha256 '%s': '%s' has no such file", given, p->m.repo);
}

static bool apply_hashes(pull *p)
{
    for (size_t i = 0; i < p->o->sha256.n; i++)
        if (!apply_hash(p, p->o->sha256.names[i]))
            return false;
    return true;
}

/* ---- disk space ------------------------------------------------------------------------------ */

/* Upper bound of the size of the quantized decoder: weights have 16 bits in the original, and at most 8.5 in the types
 * below 16 bits. */
static uint64_t quantized_bytes(const pull *p)
{
    if (!p->o->qtype)
        return 0;
    const bool is_16_bits = strcmp(p->o->qtype, "bf16") == 0 || strcmp(p->o->qtype, "f16") == 0;
    return is_16_bits ? manifest_size(&p->m) : manifest_size(&p->m) / 16 * 9;
}

static bool check_disk_space(const pull *p)
{
    struct statvfs fs;
    uint64_t needed = manifest_size(&p->m) - download_done_bytes(&p->download) + quantized_bytes(p);
    if (statvfs(p->download.dir, &fs) != 0)
        return message_fail("cannot determine the free space in '%s': %s", p->download.dir, strerror(errno));
    uint64_t there = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (needed <= there)
        return true;
    return message_fail("'%s' needs %.1f MB more, but '%s' has only %.1f MB left; free some space, or choose another "
                        "directory with --dir",
                        p->m.repo, (double)needed / 1e6, p->o->dest, (double)there / 1e6);
}

/* ---- download -------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const model_file *x = a, *y = b;
    return x->size != y->size ? (x->size > y->size) - (x->size < y->size) : strcmp(x->name, y->name);
}

/* "5eb14417": short form of a commit. */
static const char *short_commit(const manifest *m, char out[16])
{
    snprintf(out, 16, "%.8s", m->commit[0] ? m->commit : "unknown");
    return out;
}

static bool open_hub(pull *p)
{
    p->endpoint = hub_endpoint(p->o->endpoint);
    if (!p->endpoint || !hub_token(&p->token, p->endpoint))
        return false;
    p->f = fetch_open(p->token, p->o->n_connections, p->o->n_retries, &(fetch_watch){ on_bytes, stopped, p });
    return p->f != NULL;
}

static void announce(const pull *p, uint64_t done)
{
    char commit[16];
    if (p->o->quiet)
        return;
    fprintf(stderr, "fetching '%s', commit %s: %zu files, %.1f MB", p->m.repo, short_commit(&p->m, commit), p->m.n,
            (double)manifest_size(&p->m) / 1e6);
    if (done)
        fprintf(stderr, ", %.1f MB already here", (double)done / 1e6);
    fprintf(stderr, "\n");
}

static bool fetch_all(pull *p)
{
    uint64_t done = download_done_bytes(&p->download);
    announce(p, done);
    begin_bar(p, "", done, manifest_size(&p->m));
    bool good = fetch_download(p->f, &p->download, p->endpoint);
    progress_end(&p->bar);
    return good;
}

static bool verify_all(pull *p)
{
    download_watch watch = watch_of(p);
    uint64_t n = 0;
    for (size_t i = 0; i < p->m.n; i++)
        n += p->download.files[i].whole ? 0 : p->m.files[i].size;
    begin_bar(p, "checking ", 0, n);
    bool good = download_verify(&p->download, &watch);
    progress_end(&p->bar);
    return good;
}

/* Downloads the missing files of the model that p->m describes. */
static bool download_missing(pull *p)
{
    return download_open(&p->download, &p->m, p->o->dest, p->in_place, p->o->n_connections) && check_disk_space(p) &&
           fetch_all(p) && verify_all(p) && download_install(&p->download, p->o->dest);
}

static bool pull_files(pull *p)
{
    bool there, whole = false;
    if (!check_dest(p, &there) || (!there && (!open_hub(p) || !hub_list(&p->m, p->f, p->endpoint, p->o->spec))))
        return false;
    qsort(p->m.files, p->m.n, sizeof *p->m.files,
          by_size); /* small files such as the configuration come before the weights */
    if (!apply_hashes(p))
        return false;
    if (!there)
        return download_missing(p);
    return check_files(p, &whole) && (whole || (open_hub(p) && download_missing(p)));
}

/* ---- quantizing ------------------------------------------------------------------------------ */

static int on_quantized(void *user, uint64_t done, uint64_t total, const char *what)
{
    pull *p = user;
    (void)what;
    progress_update(&p->bar, done, total);
    return progress_interrupted();
}

/* Under the name that qasr_model_open looks for. */
static bool quantize(pull *p, bool *there)
{
    char *path = NULL;
    if (asprintf(&path, "%s/model-%s.gguf", p->o->dest, p->o->qtype) < 0)
        return out_of_memory();
    *there = access(path, F_OK) == 0;
    qasr_status status = QASR_OK;
    if (!*there) {
        qasr_error err;
        qasr_quantize_options options = QASR_QUANTIZE_OPTIONS_INIT;
        options.input = p->o->dest;
        options.output = path;
        options.qtype = p->o->qtype;
        options.on_progress = on_quantized;
        options.user = p;
        begin_bar(p, "quantizing ", 0, 0);
        status = qasr_quantize(&options, NULL, &err);
        progress_end(&p->bar);
        if (status != QASR_OK)
            message_print(err.message);
    }
    free(path);
    return status == QASR_OK;
}

/* Another decoder in the directory may take precedence by default; the library knows which. */
static void report_precedence(const pull *p)
{
    qasr_model *model;
    if (qasr_model_open(&model, p->o->dest, NULL, NULL) != QASR_OK)
        return;
    const char *taken = strrchr(qasr_model_decoder_path(model), '/');
    char made[64];
    snprintf(made, sizeof made, "model-%s.gguf", p->o->qtype);
    if (taken && strcmp(taken + 1, made) != 0)
        printf("'%s' takes precedence; select the new file with: --decoder-gguf %s\n", taken + 1, made);
    qasr_model_close(model);
}

/* ---- the command ----------------------------------------------------------------------------- */

static void report(const pull *p)
{
    char commit[16];
    if (!p->o->quiet)
        printf("'%s' is in '%s': %zu files, %.1f MB, commit %s\n", p->o->name, p->o->dest, p->m.n,
               (double)manifest_size(&p->m) / 1e6, short_commit(&p->m, commit));
}

static void release(pull *p)
{
    download_close(&p->download);
    fetch_close(p->f);
    manifest_free(&p->m);
    free(p->in_place);
    free(p->endpoint);
    free(p->token);
}

int pull_model(const pull_options *o)
{
    pull p = { .o = o, .download = { .state_fd = -1 } };
    bool there = false;
    progress_catch_signals();
    bool good = pull_files(&p);
    if (!good && progress_interrupted())
        message_fail("interrupted; resume with: %s", o->again);
    if (good)
        report(&p);
    if (good && o->qtype)
        good = quantize(&p, &there);
    if (good && o->qtype && !o->quiet) {
        printf("'%s/model-%s.gguf' %s\n", o->dest, o->qtype, there ? "already existed" : "is its quantized decoder");
        report_precedence(&p);
    }
    release(&p);
    return good ? EXIT_DONE : EXIT_FAILED;
}

const char *pull_curl_version(void) { return fetch_curl_version(); }
