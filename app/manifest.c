/* Manifests: in memory, and as JSON in the directory of a model. */
#include "app/manifest.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json_util.h"
#include "app/message.h"
#include "app/out.h"

enum { MAX_FILES = 1000 };

static bool out_of_memory(void) { return message_fail("out of memory"); }

bool manifest_init(manifest *m, const char *repo, const char *revision, const char *commit)
{
    *m = (manifest){ .repo = strdup(repo), .revision = strdup(revision), .commit = strdup(commit) };
    return (m->repo && m->revision && m->commit) || out_of_memory();
}

bool manifest_add(manifest *m, const char *name, uint64_t size, const char *hash, const char *source)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 16;
        model_file *files = realloc(m->files, cap * sizeof *files);
        if (!files)
            return out_of_memory();
        m->files = files;
        m->cap = cap;
    }
    model_file *f = &m->files[m->n++];
    *f = (model_file){ .name = strdup(name), .size = size, .source = strdup(source) };
    snprintf(f->hash, sizeof f->hash, "%s", hash);
    return (f->name && f->source) || out_of_memory();
}

void manifest_free(manifest *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->files[i].name);
        free(m->files[i].source);
    }
    free(m->files);
    free(m->repo);
    free(m->revision);
    free(m->commit);
    *m = (manifest){ 0 };
}

const model_file *manifest_find(const manifest *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->files[i].name, name) == 0)
            return &m->files[i];
    return NULL;
}

uint64_t manifest_size(const manifest *m)
{
    uint64_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += m->files[i].size;
    return n;
}

/* ---- checks ---------------------------------------------------------------------------------- */

bool manifest_name_is_plain(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-+", name[i]))
            return false;
    return n > 0 && n <= 200 && name[0] != '.';
}

bool manifest_set_hash(char hex[HASH_SHA256_HEX + 1], const char *text)
{
    size_t n = strlen(text);
    if ((n != HASH_SHA256_HEX && n != HASH_GIT_HEX) || strspn(text, "0123456789abcdefABCDEF") != n)
        return false;
    for (size_t i = 0; i <= n; i++)
        hex[i] = (char)tolower((unsigned char)text[i]);
    return true;
}

bool manifest_size_is_sane(int64_t size) { return size >= 0 && size < (int64_t)1 << 48; }

/* ---- JSON ------------------------------------------------------------------------------------ */

static bool read_file(manifest *m, const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *given = json_string_value(json_object_get(entry, "hash"));
    const char *source = json_string_value(json_object_get(entry, "source"));
    json_int_t size = json_integer_value(json_object_get(entry, "size"));
    char hash[HASH_SHA256_HEX + 1] = "";
    return name && given && source && manifest_name_is_plain(name) && manifest_size_is_sane(size) &&
           !manifest_find(m, name) && (given[0] == 0 || manifest_set_hash(hash, given)) &&
           manifest_add(m, name, (uint64_t)size, hash, source);
}

static bool read_object(manifest *m, const json_t *root)
{
    const char *text[3];
    static const char *const keys[] = { "repo", "revision", "commit" };
    for (size_t i = 0; i < 3; i++)
        if (!(text[i] = json_string_value(json_object_get(root, keys[i]))))
            return false;
    const json_t *files = json_object_get(root, "files");
    size_t n = json_array_size(files);
    bool good = n > 0 && n <= MAX_FILES && manifest_init(m, text[0], text[1], text[2]);
    for (size_t i = 0; i < n && good; i++)
        good = read_file(m, json_array_get(files, i));
    return good;
}

/* "DIR/qasr-pull.json"; NULL without memory (printed). */
static char *path_in(const char *dir)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, MANIFEST_NAME) >= 0)
        return path;
    out_of_memory();
    return NULL;
}

bool manifest_read(manifest *m, const char *dir)
{
    *m = (manifest){ 0 };
    char *path = path_in(dir);
    json_t *root = path ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool good = root && read_object(m, root);
    if (!good)
        manifest_free(m);
    json_decref(root);
    free(path);
    return good;
}

static json_t *to_json(const manifest *m)
{
    json_t *root = json_object(), *files = json_array();
    json_object_set_new(root, "repo", json_text(m->repo));
    json_object_set_new(root, "revision", json_text(m->revision));
    json_object_set_new(root, "commit", json_text(m->commit));
    for (size_t i = 0; i < m->n; i++) {
        const model_file *f = &m->files[i];
        json_t *entry = json_object();
        json_object_set_new(entry, "name", json_text(f->name));
        json_object_set_new(entry, "size", json_integer((json_int_t)f->size));
        json_object_set_new(entry, "hash", json_text(f->hash));
        json_object_set_new(entry, "source", json_text(f->source));
        json_array_append_new(files, entry);
    }
    json_object_set_new(root, "files", files);
    return root;
}

bool manifest_write(const manifest *m, const char *dir)
{
    out o;
    char *path = path_in(dir);
    bool good = path && out_open(&o, path);
    if (good) {
        json_t *root = to_json(m);
        json_print(root, o.f);
        fputc('\n', o.f);
        json_decref(root);
        good = out_commit(&o);
    }
    free(path);
    return good;
}
