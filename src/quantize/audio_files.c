/* See audio_files.h. */
#include "quantize/audio_files.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "audio/audio.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

enum { MAX_LIST_BYTES = 64 << 20 };

static const char *list_extension(size_t index) { return index == 0 ? "txt" : index == 1 ? "tsv" : NULL; }

static bool has_extension(const char *path, const char *(*get)(size_t index))
{
    const char *dot = strrchr(file_base_name(path), '.'), *extension;
    for (size_t i = 0; dot && (extension = get(i)); i++)
        if (strcasecmp(dot + 1, extension) == 0)
            return true;
    return false;
}

/* Takes ownership of path. */
static qasr_status add(audio_files *f, char *path, qasr_error *err)
{
    if (f->n == f->capacity) {
        size_t capacity = f->capacity ? 2 * f->capacity : 64;
        char **more;
        qasr_status status = MEM_ALLOC(&more, capacity, err);
        if (status != QASR_OK) {
            mem_free(path);
            return status;
        }
        if (f->n)
            memcpy(more, f->paths, f->n * sizeof *more);
        mem_free(f->paths);
        f->paths = more;
        f->capacity = capacity;
    }
    f->paths[f->n++] = path;
    return QASR_OK;
}

static qasr_status add_joined(audio_files *f, const char *dir, const char *name, qasr_error *err)
{
    char *path;
    TRY(file_path_join(&path, dir, name, err));
    return add(f, path, err);
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static qasr_status add_folder(audio_files *f, const char *dir, qasr_error *err)
{
    size_t first = f->n;
    DIR *d = opendir(dir);
    if (!d)
        return error_set_errno(err, "cannot list '%s'", dir);
    qasr_status status = QASR_OK;
    for (struct dirent *e; status == QASR_OK && (e = readdir(d));)
        if (e->d_name[0] != '.' && has_extension(e->d_name, audio_extension))
            status = add_joined(f, dir, e->d_name, err);
    closedir(d);
    TRY(status);
    if (f->n == first)
        return error_set(err, QASR_E_INVALID, "'%s' holds no audio files (.wav, .flac, .ogg, .opus, .mp3 and the like)",
                         dir);
    qsort(f->paths + first, f->n - first, sizeof *f->paths, compare_paths);
    return QASR_OK;
}

/* Adds the lines of text, which is modified. root: folder of relative paths; NULL: paths are taken unchanged. */
static qasr_status add_lines(audio_files *f, char *text, const char *root, qasr_error *err)
{
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        line[strcspn(line, root ? "\t\r" : "\r")] = 0;
        if (!*line)
            continue;
        char *path;
        if (root)
            TRY(file_path_join(&path, root, line, err));
        else
            TRY(mem_strdup(&path, line, err));
        TRY(add(f, path, err));
    }
    return QASR_OK;
}

static qasr_status add_list_text(audio_files *f, char *text, const char *list, qasr_error *err)
{
    static const char header[] = "file\t";
    char *root, *table;
    if (strncmp(text, header, strlen(header)) != 0)
        return add_lines(f, text, NULL, err);
    TRY(mem_strdup(&root, list, err));
    char *slash = strrchr(root, '/');
    if (slash)
        slash[slash == root] = 0; /* "/list.tsv" lies in "/" */
    table = strchr(text, '\n');
    qasr_status status = table ? add_lines(f, table, slash ? root : ".", err) : QASR_OK;
    mem_free(root);
    return status;
}

static qasr_status add_list(audio_files *f, const char *list, qasr_error *err)
{
    buf text;
    size_t first = f->n;
    buf_init(&text, MAX_LIST_BYTES);
    qasr_status status = file_read_all(&text, list, err);
    if (status == QASR_OK && text.data)
        status = add_list_text(f, text.data, list, err);
    if (status == QASR_OK && f->n == first)
        status = error_set(err, QASR_E_INVALID, "'%s' names no audio files", list);
    buf_free(&text);
    return status;
}

qasr_status audio_files_find(audio_files *f, const char *const *names, size_t n, size_t limit, qasr_error *err)
{
    for (size_t i = 0; i < n; i++) {
        char *path;
        if (strcmp(names[i], "-") == 0)
            return error_set(err, QASR_E_INVALID,
                             "standard input ('-') cannot be used here: the audio may be read several times");
        if (file_is_dir(names[i])) {
            TRY(add_folder(f, names[i], err));
        } else if (has_extension(names[i], list_extension)) {
            TRY(add_list(f, names[i], err));
        } else {
            TRY(mem_strdup(&path, names[i], err));
            TRY(add(f, path, err));
        }
    }
    while (limit && f->n > limit)
        mem_free(f->paths[--f->n]);
    return QASR_OK;
}

void audio_files_free(audio_files *f)
{
    while (f->n)
        mem_free(f->paths[--f->n]);
    mem_free(f->paths);
    *f = (audio_files){ 0 };
}
