/* Read-only mappings, small whole files, and atomic output (temporary name, fsync, rename). */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/temp_file.h"
#include "base/unfinished.h"

static qasr_status open_regular(int *fd, struct stat *st, const char *path, qasr_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* do not block on a pipe without a writer */
    if (*fd < 0)
        return error_set_errno(err, "cannot open '%s'", path);
    qasr_status status = QASR_OK;
    if (fstat(*fd, st) != 0)
        status = error_set_errno(err, "cannot examine '%s'", path);
    else if (!S_ISREG(st->st_mode))
        status = error_set(err, QASR_E_IO, "cannot read '%s': %s, expected a regular file", path,
                           S_ISDIR(st->st_mode) ? "it is a directory" : "it is a special file");
    if (status != QASR_OK)
        close(*fd);
    return status;
}

qasr_status file_map_open(file_map *m, const char *path, qasr_error *err)
{
    *m = (file_map){ 0 };
    int fd;
    struct stat st;
    TRY(open_regular(&fd, &st, path, err));
    qasr_status status = QASR_OK;
    if ((uintmax_t)st.st_size > SIZE_MAX) {
        status = error_set(err, QASR_E_UNSUPPORTED, "cannot map '%s': it is larger than the address space", path);
    } else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            status = error_set_errno(err, "cannot map '%s'", path);
        else
            *m = (file_map){ .data = p,
                             .size = (size_t)st.st_size,
                             .device = (uint64_t)st.st_dev,
                             .inode = (uint64_t)st.st_ino,
                             .releasable = true };
    }
    close(fd);
    return status;
}

void file_map_close(file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (file_map){ 0 };
}

size_t file_page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

void file_map_release(const file_map *m, size_t offset, size_t n)
{
    if (!m->releasable || offset > m->size || n > m->size - offset)
        return;
    size_t page = file_page_bytes();
    size_t begin = size_round_up(offset, page), end = (offset + n) / page * page;
    if (begin < end)
        madvise((void *)(uintptr_t)(m->data + begin), end - begin, MADV_DONTNEED);
}

/* ---- reading instead of mapping ----------------------------------------------------------- */

static qasr_status read_range(int fd, unsigned char *to, const file_map *m, file_range r, const char *path,
                              qasr_error *err)
{
    while (r.begin < r.end) {
        ssize_t n = pread(fd, to, r.end - r.begin, (off_t)r.begin);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, "cannot read '%s'", path);
        if (n == 0)
            return error_set(err, QASR_E_IO, "'%s' was cut short while it was read: it ends at byte %zu, expected %zu",
                             path, r.begin, m->size);
        to += n;
        r.begin += (size_t)n;
    }
    return QASR_OK;
}

static qasr_status copy_range(int fd, const file_map *m, file_range r, const char *path, qasr_error *err)
{
    unsigned char *to = (unsigned char *)(uintptr_t)m->data + r.begin;
    size_t n = size_round_up(r.end - r.begin, file_page_bytes());
    if (mmap(to, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return error_set_errno(err, "cannot allocate %zu bytes for '%s'", n, path);
#ifdef MADV_HUGEPAGE
    madvise(to, n, MADV_HUGEPAGE); /* a hint; failure does not matter */
#endif
    TRY(read_range(fd, to, m, r, path, err));
    mprotect(to, n, PROT_READ); /* like the mapping; failure is harmless, nothing writes here */
    return QASR_OK;
}

qasr_status file_map_copy(file_map *m, const char *path, const file_range *ranges, size_t n, qasr_error *err)
{
    int fd;
    struct stat st;
    if (n == 0)
        return QASR_OK;
    TRY(open_regular(&fd, &st, path, err));
    qasr_status status = QASR_OK;
    if ((uint64_t)st.st_dev != m->device || (uint64_t)st.st_ino != m->inode)
        status = error_set(err, QASR_E_IO, "'%s' was replaced while it was read", path);
    m->releasable = false;
    for (size_t i = 0; i < n && status == QASR_OK; i++)
        status = copy_range(fd, m, ranges[i], path, err);
    close(fd);
    return status;
}

int file_map_lock(const file_map *m, file_range range)
{
    return mlock(m->data + range.begin, range.end - range.begin) == 0 ? 0 : errno;
}

/* ---- whole files -------------------------------------------------------------------------- */

qasr_status file_read_to_end(buf *out, int fd, const char *name, const char *advice, qasr_error *err)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, "cannot read '%s'", name);
        if (n == 0)
            return QASR_OK;
        if ((size_t)n > out->max - out->len)
            return error_set(err, QASR_E_FORMAT, "'%s' is too large: more than %zu bytes%s", name, out->max, advice);
        TRY(buf_add(out, chunk, (size_t)n, err));
    }
}

qasr_status file_read_all(buf *out, const char *path, qasr_error *err)
{
    int fd;
    struct stat st;
    TRY(open_regular(&fd, &st, path, err));
    qasr_status status = file_read_to_end(out, fd, path, "", err);
    close(fd);
    return status;
}

qasr_status file_refuse_lfs_pointer(const void *content, size_t n, const char *path, qasr_error *err)
{
    static const char start[] = "version https://git-lfs";
    if (n < sizeof start - 1 || memcmp(content, start, sizeof start - 1) != 0)
        return QASR_OK;
    return error_set(err, QASR_E_FORMAT,
                     "'%.200s' is a git-lfs pointer, not the file itself; fetch that with 'git lfs pull'", path);
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

qasr_status file_path_join(char **out, const char *dir, const char *name, qasr_error *err)
{
    if (name[0] == '/')
        return mem_strdup(out, name, err);
    size_t n_dir = strlen(dir), n = n_dir + strlen(name) + 2;
    TRY(mem_alloc((void **)out, n, 1, err));
    snprintf(*out, n, "%s%s%s", dir, n_dir && dir[n_dir - 1] == '/' ? "" : "/", name);
    return QASR_OK;
}

static qasr_status add_name(file_names *list, const char *name, qasr_error *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 16;
        char **grown;
        TRY(MEM_ALLOC(&grown, cap, err));
        if (list->n)
            memcpy(grown, list->names, list->n * sizeof *grown);
        mem_free(list->names);
        list->names = grown;
        list->cap = cap;
    }
    TRY(mem_strdup(&list->names[list->n], name, err));
    list->n++;
    return QASR_OK;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

qasr_status file_list(file_names *out, const char *dir, const char *pattern, qasr_error *err)
{
    *out = (file_names){ 0 };
    DIR *d = opendir(dir);
    if (!d)
        return error_set_errno(err, "cannot list '%s'", dir);
    qasr_status status = QASR_OK;
    for (struct dirent *e; status == QASR_OK && (e = readdir(d));)
        if (fnmatch(pattern, e->d_name, 0) == 0)
            status = add_name(out, e->d_name, err);
    closedir(d);
    if (out->n)
        qsort(out->names, out->n, sizeof *out->names, compare_names);
    return status;
}

void file_names_free(file_names *list)
{
    for (size_t i = 0; i < list->n; i++)
        mem_free(list->names[i]);
    mem_free(list->names);
    *list = (file_names){ 0 };
}

qasr_status file_parent(char **out, const char *path, qasr_error *err)
{
    size_t n = (size_t)(file_base_name(path) - path);
    if (n == 0)
        return mem_strdup(out, ".", err);
    TRY(mem_strdup(out, path, err));
    (*out)[n] = 0;
    return QASR_OK;
}

const char *file_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

qasr_status file_resolved_name(char **out, const char *path, qasr_error *err)
{
    char *full = realpath(path, NULL);
    qasr_status status = mem_strdup(out, file_base_name(full ? full : path), err);
    free(full);
    return status;
}

/* ---- atomic output ------------------------------------------------------------------------ */

/* Copy of path, or of its target if it is a symbolic link. */
static qasr_status resolve_link(char **out, const char *path, qasr_error *err)
{
    char *target = temp_file_target(path);
    if (!target)
        return error_set_errno(err, "cannot follow the link '%s'", path);
    qasr_status status = mem_strdup(out, target, err);
    free(target);
    return status;
}

static qasr_status refuse_existing(const char *path, qasr_error *err)
{
    return error_set(err, QASR_E_INVALID, "'%s' exists", path);
}

qasr_status file_writer_open(file_writer *w, const char *path, bool overwrite, qasr_error *err)
{
    *w = (file_writer){ .fd = -1, .slot = -1, .overwrite = overwrite };
    struct stat st;
    const bool exists = stat(path, &st) == 0;
    if (exists && !S_ISREG(st.st_mode)) /* the rename would replace the device or pipe with a file */
        return error_set(err, QASR_E_INVALID, "cannot write '%s': it is a %s, expected a file name", path,
                         S_ISDIR(st.st_mode) ? "directory" : "special file");
    if (!overwrite && exists)
        return refuse_existing(path, err);
    qasr_status status = QASR_OK;
    TRY_GOTO(resolve_link(&w->path, path, err)); /* keep a link and replace its target */
    w->fd = temp_file_create(&w->tmp_path, w->path);
    if (w->fd < 0)
        status = error_set_errno(err, "cannot create '%s'", path);
    else
        w->slot = unfinished_add(w->tmp_path);
done:
    if (status != QASR_OK)
        file_writer_abort(w);
    return status;
}

qasr_status file_writer_put(file_writer *w, uint64_t offset, const void *data, size_t n, qasr_error *err)
{
    const char *p = data;
    while (n > 0) {
        ssize_t done = pwrite(w->fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            if (done == 0)
                errno = ENOSPC;
            return error_set_errno(err, "cannot write '%s'", w->path);
        }
        p += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return QASR_OK;
}

/* The rename is durable only once the directory is on disk. Failure is not an error: some file systems cannot sync
 * directories. */
static void sync_parent(const char *path)
{
    char *dir;
    if (file_parent(&dir, path, NULL) != QASR_OK)
        return;
    int fd = open(dir, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    mem_free(dir);
}

/* Gives a file a name that nothing has yet. Returns 0, or -1 with errno, EEXIST if there is such a file. */
static int rename_to_new(const char *from, const char *to)
{
    if (link(from, to) == 0) {
        unlink(from);
        return 0;
    }
    if (errno == EEXIST)
        return -1;
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); /* no hard links here: reserve the name */
    if (fd < 0)
        return -1;
    close(fd);
    if (rename(from, to) == 0)
        return 0;
    int code = errno;
    unlink(to);
    errno = code;
    return -1;
}

static void drop_tmp_path(file_writer *w)
{
    if (w->tmp_path && unfinished_drop(w->slot, w->tmp_path))
        free(w->tmp_path);
    w->tmp_path = NULL;
    w->slot = -1;
}

static qasr_status put_in_place(file_writer *w, qasr_error *err)
{
    if (fsync(w->fd) != 0)
        return error_set_errno(err, "cannot write '%s'", w->path);
    if ((w->overwrite ? rename(w->tmp_path, w->path) : rename_to_new(w->tmp_path, w->path)) == 0)
        return QASR_OK;
    return errno == EEXIST ? refuse_existing(w->path, err)
                           : error_set_errno(err, "cannot rename the finished file to '%s'", w->path);
}

qasr_status file_writer_commit(file_writer *w, qasr_error *err)
{
    qasr_status status = put_in_place(w, err);
    if (status == QASR_OK) {
        drop_tmp_path(w);
        sync_parent(w->path);
    }
    file_writer_abort(w);
    return status;
}

void file_writer_abort(file_writer *w)
{
    if (w->path && w->fd >= 0)
        close(w->fd);
    if (w->tmp_path)
        unlink(w->tmp_path);
    drop_tmp_path(w);
    mem_free(w->path);
    *w = (file_writer){ .fd = -1, .slot = -1 };
}
