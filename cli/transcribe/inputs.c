/* See inputs.h. */
#include "cli/transcribe/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/audio_name.h"
#include "app/lines.h"
#include "app/message.h"

static bool no_memory(void) { return message_fail("out of memory"); }

/* ---- the list -------------------------------------------------------------------------------- */

/* Takes ownership of path, which may be NULL (out of memory). */
static input *add(inputs *in, char *path, size_t name_at)
{
    if (path && in->n == in->capacity) {
        size_t capacity = in->capacity ? 2 * in->capacity : 64;
        input *items = realloc(in->items, capacity * sizeof *items);
        if (items) {
            in->items = items;
            in->capacity = capacity;
        }
    }
    if (!path || in->n == in->capacity) {
        free(path);
        no_memory();
        return NULL;
    }
    input *item = &in->items[in->n++];
    *item = (input){ .path = path, .name = path + name_at };
    return item;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool add_file(inputs *in, const char *path)
{
    return add(in, strdup(path), (size_t)(base_name(path) - path)) != NULL;
}

__attribute__((format(printf, 3, 4))) static bool add_failed(inputs *in, const char *path, const char *fmt, ...)
{
    input *item = add(in, strdup(path), 0);
    va_list ap;
    va_start(ap, fmt);
    if (item && vasprintf(&item->error, fmt, ap) < 0)
        item->error = NULL;
    va_end(ap);
    return item && (item->error || no_memory());
}

void inputs_free(inputs *in)
{
    for (size_t i = 0; i < in->n; i++) {
        free(in->items[i].path);
        free(in->items[i].error);
        free(in->items[i].detected);
    }
    free(in->items);
    *in = (inputs){ 0 };
}

bool inputs_have_stdin(const inputs *in)
{
    for (size_t i = 0; i < in->n; i++)
        if (strcmp(in->items[i].path, "-") == 0)
            return true;
    return false;
}

/* ---- folders --------------------------------------------------------------------------------- */

typedef struct search {
    inputs *in;
    size_t root_length; /* length of the folder's name and its slash */
    bool recursive;
} search;

/* Hidden files with the names of recordings are counted. */
static int is_considered(const struct dirent *e) { return e->d_name[0] != '.' || audio_name_is(e->d_name); }
static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static bool search_folder(const search *s, const char *folder, bool is_root);

/* Does not follow links to folders, which may form a cycle, nor take pipes, which may block forever. Takes ownership of
 * path. */
static bool search_entry(const search *s, char *path)
{
    struct stat link, st;
    left_out *left = &s->in->left_out;
    bool good = true;
    if (!path)
        return no_memory();
    const char *name = base_name(path);
    const bool exists = stat(path, &st) == 0, is_folder = exists && S_ISDIR(st.st_mode);
    if (*name == '.')
        left_out_kind(left, "hidden");
    else if (is_folder && lstat(path, &link) == 0 && S_ISLNK(link.st_mode))
        left->n_links++;
    else if (is_folder && !s->recursive)
        left->n_subfolders++;
    else if (is_folder)
        good = search_folder(s, path, false);
    else if (!audio_name_is(path))
        left_out_file(left, name);
    else if (!exists || !S_ISREG(st.st_mode))
        left_out_kind(left, exists ? "not a regular file" : "broken link");
    else
        return add(s->in, path, s->recursive ? s->root_length : (size_t)(name - path)) != NULL;
    free(path);
    return good;
}

static bool search_folder(const search *s, const char *folder, bool is_root)
{
    struct dirent **entries;
    const size_t first = s->in->n, length = strlen(folder);
    const char *slash = length && folder[length - 1] == '/' ? "" : "/";
    int n = scandir(folder, &entries, is_considered, by_name);
    if (n < 0)
        return add_failed(s->in, folder, "cannot list '%s': %s", folder, strerror(errno));
    bool good = true;
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        if (good && asprintf(&path, "%s%s%s", folder, slash, entries[i]->d_name) < 0)
            path = NULL;
        good = good && search_entry(s, path);
        free(entries[i]);
    }
    free(entries);
    if (good && is_root && s->in->n == first)
        return add_failed(s->in, folder, "'%s' has no audio files (.wav, .flac, .ogg, .opus, .mp3, .m4a and so on)%s",
                          folder, s->recursive ? "" : "; --recursive also searches its subfolders");
    return good;
}

static bool add_folder(inputs *in, const char *folder, bool recursive)
{
    const size_t length = strlen(folder);
    search s = { in, length + (folder[length - 1] != '/'), recursive };
    return search_folder(&s, folder, true);
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool add_name(inputs *in, const char *name, bool recursive);

static bool add_matches(inputs *in, const char *pattern, bool recursive)
{
    glob_t found = { 0 };
    int code = glob(pattern, 0, NULL, &found);
    bool good = code != GLOB_NOSPACE || no_memory();
    for (size_t i = 0; good && code == 0 && i < found.gl_pathc; i++)
        good = add_name(in, found.gl_pathv[i], recursive);
    if (good && code != 0)
        good = add_failed(in, pattern, "no file matches '%s'", pattern);
    globfree(&found);
    return good;
}

static bool add_name(inputs *in, const char *name, bool recursive)
{
    struct stat st;
    bool exists = strcmp(name, "-") == 0 || stat(name, &st) == 0;
    if (exists && strcmp(name, "-") != 0 && S_ISDIR(st.st_mode))
        return add_folder(in, name, recursive);
    if (!exists && strpbrk(name, "*?["))
        return add_matches(in, name, recursive);
    return add_file(in, name);
}

static bool add_list(inputs *in, const char *list, bool by_zero, bool recursive)
{
    lines l;
    bool good = lines_open(&l, list);
    l.any_bytes = true; /* file names may be any bytes */
    l.by_zero = by_zero;
    while (good && lines_next(&l))
        good = !*l.text || add_name(in, l.text, recursive);
    good = good && !l.failed;
    lines_close(&l);
    return good;
}

bool inputs_collect(inputs *in, const opt_files *names, const char *list, bool by_zero, bool recursive)
{
    bool good = true;
    for (size_t i = 0; good && i < names->n; i++)
        good = *names->names[i] ? add_name(in, names->names[i], recursive)
                                : add_failed(in, "", "the name of an audio file is empty");
    return good && (!list || add_list(in, list, by_zero, recursive));
}

void inputs_set_audio(inputs *in, const qasr_audio_options *audio)
{
    for (size_t i = 0; i < in->n; i++)
        in->items[i].audio = *audio;
}

/* ---- channels -------------------------------------------------------------------------------- */

/* Adds one input per channel of a file. */
static bool add_channels(inputs *in, const input *from)
{
    qasr_error err;
    qasr_audio_info info = QASR_AUDIO_INFO_INIT;
    if (from->error)
        return add_failed(in, from->path, "%s", from->error);
    if (qasr_audio_probe(&info, from->path, &from->audio, &err) != QASR_OK)
        return add_failed(in, from->path, "%s", err.message);
    for (int c = 1; c <= info.channels; c++) {
        input *item = add(in, strdup(from->path), (size_t)(from->name - from->path));
        if (!item)
            return false;
        item->audio = from->audio;
        item->audio.channel = item->channel = c;
    }
    return true;
}

bool inputs_split_channels(inputs *in)
{
    inputs split = { 0 };
    bool good = true;
    for (size_t i = 0; good && i < in->n; i++)
        good = add_channels(&split, &in->items[i]);
    split.left_out = in->left_out;
    inputs_free(in);
    *in = split;
    return good;
}
