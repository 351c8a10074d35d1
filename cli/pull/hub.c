/* Turns the hub's responses into manifests. Everything from a server is checked before use: names become parts of
 * paths, sizes are summed. */
#include "cli/pull/hub.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/message.h"

#define PUBLIC_HUB "https://huggingface.co"

enum { MAX_LISTING = 16 << 20, MAX_TOKEN = 1000 };

static bool out_of_memory(void) { return message_fail("out of memory"); }

/* ---- address and token --------------------------------------------------------------------------- */

static bool is_plain_http(const char *url) { return strncmp(url, "http://", 7) == 0; }

char *hub_endpoint(const char *given)
{
    const char *variable = getenv("HF_ENDPOINT");
    const char *from = given ? given : variable && *variable ? variable : PUBLIC_HUB;
    size_t n = strlen(from);
    while (n > 0 && from[n - 1] == '/')
        n--;
    if ((!is_plain_http(from) && strncmp(from, "https://", 8) != 0) || n <= strlen("https:/") ||
        strpbrk(from, " \"?#@\\")) {
        message_fail("%s '%s': expected an address such as %s", given ? "--endpoint" : "HF_ENDPOINT", from, PUBLIC_HUB);
        return NULL;
    }
    char *endpoint = strndup(from, n);
    if (!endpoint)
        out_of_memory();
    return endpoint;
}

/* A copy without surrounding white space; NULL if nothing is left. */
static char *trimmed(const char *text)
{
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        n--;
    return n ? strndup(text, n) : NULL;
}

static char *read_token_file(const char *path)
{
    char text[MAX_TOKEN + 2];
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return trimmed(text);
}

static char *stored_token(void)
{
    const char *path = getenv("HF_TOKEN_PATH"), *hf_home = getenv("HF_HOME"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    char joined[4096];
    if (path && *path)
        return read_token_file(path);
    if (hf_home && *hf_home)
        snprintf(joined, sizeof joined, "%s/token", hf_home);
    else if (cache && *cache)
        snprintf(joined, sizeof joined, "%s/huggingface/token", cache);
    else
        snprintf(joined, sizeof joined, "%s/.cache/huggingface/token", home ? home : "");
    return read_token_file(joined);
}

/* Loopback traffic cannot be intercepted. */
static bool is_loopback(const char *url)
{
    static const char *const hosts[] = { "localhost", "127.0.0.1", "[::1]" };
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        size_t n = strlen(hosts[i]);
        if (strncmp(url + 7, hosts[i], n) == 0 && (url[7 + n] == 0 || strchr(":/", url[7 + n])))
            return true;
    }
    return false;
}

bool hub_token(char **token, const char *endpoint)
{
    const char *given = getenv("HF_TOKEN");
    *token = given && *given ? trimmed(given) : strcmp(endpoint, PUBLIC_HUB) == 0 ? stored_token() : NULL;
    for (const char *c = *token; c && *c; c++)
        if (*c <= 0x20 || *c >= 0x7F || strlen(*token) > MAX_TOKEN) {
            free(*token);
            *token = NULL;
            return message_fail("the token in HF_TOKEN or in the token file has invalid characters");
        }
    if (*token && is_plain_http(endpoint) && !is_loopback(endpoint)) {
        message_warn("the token is not sent: '%s' is not encrypted", endpoint);
        free(*token);
        *token = NULL;
    }
    return true;
}

/* ---- wanted files ---------------------------------------------------------------------------- */

static const char *const tokenizer_files[] = { "vocab.json", "merges.txt", "tokenizer_config.json" };
static const char *const config_files[] = {
    "config.json",           "generation_config.json", "preprocessor_config.json",
    "processor_config.json", "chat_template.json",     "chat_template.jinja"
};

#define IS_ONE_OF(list, name) is_one_of(list, sizeof(list) / sizeof(list)[0], name)
static bool is_one_of(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* "model-00001-of-00002.safetensors" */
static bool is_shard(const char *name)
{
    unsigned a, b;
    int n = 0;
    return manifest_name_is_plain(name) && sscanf(name, "model-%5u-of-%5u.safetensors%n", &a, &b, &n) == 2 && n > 0 &&
           !name[n];
}

typedef bool (*wanted_fn)(const char *name, bool single);

/* single: the weights are in one file, which takes precedence over shards. */
static bool is_model_file(const char *name, bool single)
{
    return IS_ONE_OF(config_files, name) || IS_ONE_OF(tokenizer_files, name) ||
           (single ? strcmp(name, "model.safetensors") == 0
                   : is_shard(name) || strcmp(name, "model.safetensors.index.json") == 0);
}

static bool is_tokenizer_file(const char *name, bool single)
{
    (void)single;
    return IS_ONE_OF(tokenizer_files, name);
}

bool hub_has_tokenizer(const manifest *m) { return manifest_find(m, "vocab.json") && manifest_find(m, "merges.txt"); }

/* ---- the list -------------------------------------------------------------------------------- */

/* Names may have slashes, but must not leave the repository. */
static bool is_safe_path(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F || *c == '\\')
            return false;
    for (const char *at = name;; at = strchr(at, '/') + 1) {
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        if (!at[n])
            return true;
    }
}

static const char *name_of(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "rfilename"));
    return name ? name : "";
}

static bool check_names(const json_t *siblings, const char *repo)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(siblings, i, entry)
    {
        if (!is_safe_path(name_of(entry)))
            return message_fail("'%s': the server lists a file '%s', which is not a valid file name", repo,
                                name_of(entry));
    }
    return true;
}

static bool has_name(const json_t *siblings, const char *name)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(siblings, i, entry)
    {
        if (strcmp(name_of(entry), name) == 0)
            return true;
    }
    return false;
}

/* PREFIX + REVISION + SUFFIX: a slash in a revision is not a path separator. */
static char *join_revision(const char *prefix, const char *revision, const char *suffix)
{
    char *path = NULL, *escaped = calloc(3, strlen(revision) + 1);
    for (char *to = escaped; to && *revision; revision++)
        to = *revision == '/' ? stpcpy(to, "%2F") : stpncpy(to, revision, 1);
    if (escaped && asprintf(&path, "%s%s%s", prefix, escaped, suffix) < 0)
        path = NULL;
    free(escaped);
    if (!path)
        out_of_memory();
    return path;
}

/* "REPO/resolve/REVISION/NAME" */
static char *make_source(const char *repo, const char *revision, const char *name)
{
    char prefix[300], suffix[300];
    snprintf(prefix, sizeof prefix, "%s/resolve/", repo);
    snprintf(suffix, sizeof suffix, "/%s", name); /* short: one of the wanted names */
    return join_revision(prefix, revision, suffix);
}

/* Large files have a hash of their content, the others git's blob id. A missing hash is "". */
static bool read_hash(char out[HASH_SHA256_HEX + 1], const json_t *entry)
{
    const json_t *lfs = json_object_get(entry, "lfs");
    const json_t *sha256 = json_object_get(lfs, "sha256"), *oid = json_object_get(entry, "blobId");
    out[0] = 0;
    if (json_is_string(sha256))
        return manifest_set_hash(out, json_string_value(sha256)) && strlen(out) == HASH_SHA256_HEX;
    if (!json_is_object(lfs) && json_is_string(oid))
        return manifest_set_hash(out, json_string_value(oid)) && strlen(out) == HASH_GIT_HEX;
    return true;
}

static const json_t *size_value(const json_t *entry)
{
    const json_t *of_lfs = json_object_get(json_object_get(entry, "lfs"), "size");
    return of_lfs ? of_lfs : json_object_get(entry, "size");
}

/* A missing size becomes UINT64_MAX. */
static bool add_entry(manifest *m, const json_t *entry, const char *repo, const char *revision)
{
    char hash[HASH_SHA256_HEX + 1];
    const char *name = name_of(entry);
    const json_t *size = size_value(entry);
    if (manifest_find(m, name))
        return message_fail("'%s': the server lists '%s' twice", repo, name);
    if (size && (!json_is_integer(size) || !manifest_size_is_sane(json_integer_value(size))))
        return message_fail("'%s': the server lists '%s' with an impossible size", repo, name);
    if (!read_hash(hash, entry))
        return message_fail("'%s': the server lists '%s' with an invalid hash", repo, name);
    char *source = make_source(repo, revision, name);
    bool good = source && manifest_add(m, name, size ? (uint64_t)json_integer_value(size) : UINT64_MAX, hash, source);
    free(source);
    return good;
}

static bool add_entries(manifest *m, const json_t *root, const char *repo, const char *revision, wanted_fn wanted)
{
    const json_t *siblings = json_object_get(root, "siblings"), *entry;
    size_t i;
    if (!json_is_array(siblings))
        return message_fail("'%s': the server's response is not a list of files", repo);
    if (!check_names(siblings, repo))
        return false;
    bool single = has_name(siblings, "model.safetensors");
    json_array_foreach(siblings, i, entry)
    {
        if (wanted(name_of(entry), single) && !add_entry(m, entry, repo, revision))
            return false;
    }
    return true;
}

static json_t *parse(const char *text, const char *repo)
{
    json_error_t where;
    json_t *root = json_loads(text, 0, &where);
    if (!root)
        message_fail("'%s': the server's response is not JSON: line %d: %s", repo, where.line, where.text);
    return root;
}

/* The commit that the revision resolves to, so that all files are consistent; "" if the server does not say. */
static bool read_commit(char out[HASH_SHA256_HEX + 1], const json_t *root, const char *repo)
{
    const char *commit = json_string_value(json_object_get(root, "sha"));
    out[0] = 0;
    return !commit || manifest_set_hash(out, commit) ||
           message_fail("'%s': the server gives '%s' as the commit, which is not a hash", repo, commit);
}

static bool check_model(const manifest *m, const char *repo)
{
    bool has_weights = false;
    for (size_t i = 0; i < m->n; i++)
        has_weights = has_weights || strstr(m->files[i].name, ".safetensors");
    if (!manifest_find(m, "config.json"))
        return message_fail("'%s' is not a model: it has no config.json", repo);
    return has_weights || message_fail("'%s' has no weights in safetensors files", repo);
}

bool hub_parse(manifest *m, const char *text, const model_spec *spec)
{
    char commit[HASH_SHA256_HEX + 1];
    *m = (manifest){ 0 };
    json_t *root = parse(text, spec->repo);
    bool good = root && read_commit(commit, root, spec->repo) && manifest_init(m, spec->repo, spec->revision, commit) &&
                add_entries(m, root, spec->repo, commit[0] ? commit : spec->revision, is_model_file) &&
                check_model(m, spec->repo);
    json_decref(root);
    if (!good)
        manifest_free(m);
    return good;
}

/* Tokenizer files belong together: those of the model's own repository are replaced. */
static void remove_tokenizer(manifest *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (!is_tokenizer_file(m->files[i].name, false)) {
            m->files[n++] = m->files[i];
            continue;
        }
        free(m->files[i].name);
        free(m->files[i].source);
    }
    m->n = n;
}

bool hub_parse_tokenizer(manifest *m, const char *text, const char *repo)
{
    char commit[HASH_SHA256_HEX + 1];
    json_t *root = parse(text, repo);
    remove_tokenizer(m);
    bool good = root && read_commit(commit, root, repo) &&
                add_entries(m, root, repo, commit[0] ? commit : "main", is_tokenizer_file);
    json_decref(root);
    return good;
}

/* ---- requests ---------------------------------------------------------------------------------- */

static char *ask(fetch *f, const char *endpoint, const char *repo, const char *revision)
{
    char prefix[300];
    snprintf(prefix, sizeof prefix, "api/models/%s/revision/", repo);
    char *source = join_revision(prefix, revision, "?blobs=true");
    char *url = source ? fetch_url(endpoint, source) : NULL;
    char *text = url ? fetch_text(f, url, repo, MAX_LISTING) : NULL;
    free(url);
    free(source);
    return text;
}

/* Sizes and hashes missing from the list are in the responses for the files. */
static bool complete(manifest *m, fetch *f, const char *endpoint)
{
    for (size_t i = 0; i < m->n; i++) {
        model_file *file = &m->files[i];
        if (file->size != UINT64_MAX && file->hash[0])
            continue;
        fetch_facts facts;
        char *url = fetch_url(endpoint, file->source);
        bool good = url && fetch_probe(f, url, file->name, &facts);
        free(url);
        if (!good)
            return false;
        if (!manifest_size_is_sane(facts.size) || (file->size != UINT64_MAX && file->size != (uint64_t)facts.size))
            return message_fail("'%s': the server gives no valid size", file->name);
        file->size = (uint64_t)facts.size;
        if (!file->hash[0])
            manifest_set_hash(file->hash, facts.etag); /* an etag is not always a hash */
    }
    return true;
}

bool hub_list(manifest *m, fetch *f, const char *endpoint, const model_spec *spec)
{
    char *text = ask(f, endpoint, spec->repo, spec->revision);
    bool good = text && hub_parse(m, text, spec);
    free(text);
    if (good && !hub_has_tokenizer(m) && spec->known && spec->known->tokenizer_repo) {
        text = ask(f, endpoint, spec->known->tokenizer_repo, "main");
        good = text && hub_parse_tokenizer(m, text, spec->known->tokenizer_repo);
        free(text);
    }
    if (good && !hub_has_tokenizer(m))
        message_warn("'%s' has no vocab.json and merges.txt: qasr cannot use it without them", spec->repo);
    return good && complete(m, f, endpoint);
}
