/* Files that arrive in ranges. The state is an append-only text file; each line is written after the bytes it
 * describes were flushed: have BEGIN END SIZE HASH NAME these bytes are in NAME.part whole SIZE HASH NAME NAME is
 * complete, and its hash was verified drop NAME forget all of that Size and hash identify the file: after it has
 * changed on the server, parts of the old version do not count. An incomplete last line is from a crash. */
#include "cli/pull/partial_download.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/file_lock.h"
#include "app/message.h"
#include "cli/pull/hash.h"

#define STATE_NAME ".qasr-pull-state"
#define PART_SUFFIX ".part"

enum {
    SMALL_BYTES = 1 << 20, /* files up to this size are kept in memory until they are verified */
    HEAD_BYTES = 4096,     /* head of larger files: no supported format is readable without it */
    MIN_RANGE = 1 << 20,
    MAX_RANGE = 16 << 20,
    COPY_BYTES = 1 << 20
};

static bool out_of_memory(void) { return message_fail("out of memory"); }

static bool fail_on(const char *what, const char *dir, const char *name)
{
    return message_fail("cannot %s '%s%s%s': %s", what, dir, *name ? "/" : "", name, strerror(errno));
}

/* DIR/NAME + ending. NULL without memory (printed). */
static char *join(const char *dir, const char *name, const char *ending)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", dir, name, ending) >= 0)
        return path;
    out_of_memory();
    return NULL;
}

char *download_dir(const char *dest)
{
    const char *slash = strrchr(dest, '/');
    char *path = NULL;
    int n_parent = slash ? (int)(slash + 1 - dest) : 0;
    if (asprintf(&path, "%.*s.%s.partial", n_parent, dest, dest + n_parent) >= 0)
        return path;
    out_of_memory();
    return NULL;
}

static bool sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* not supported by some file systems */
    if (!good)
        fail_on("flush", path, "");
    if (fd >= 0)
        close(fd);
    return good;
}

static bool sync_parent(const char *path)
{
    char *parent = strdup(path);
    char *slash = parent ? strrchr(parent, '/') : NULL;
    if (slash)
        slash[slash == parent] = 0;
    bool good = parent ? sync_dir(slash ? parent : ".") : out_of_memory();
    free(parent);
    return good;
}

/* ---- the state ------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static bool append_state(const download *d, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0 && n < (int)sizeof line && write(d->state_fd, line, (size_t)n) == n)
        return true;
    return fail_on("write", d->dir, STATE_NAME);
}

/* Identifies a version of a file. */
static const char *identity(const download *d, const model_file *f)
{
    return f->hash[0] ? f->hash : d->m->commit[0] ? d->m->commit : "-";
}

static void forget(download_file *file)
{
    byte_ranges_free(&file->have);
    byte_ranges_free(&file->taken);
    file->whole = file->has_head = false;
}

static download_file *find_file(const download *d, const char *name)
{
    for (size_t i = 0; i < d->m->n; i++)
        if (strcmp(d->m->files[i].name, name) == 0)
            return &d->files[i];
    return NULL;
}

static bool read_number(uint64_t *out, const char *text)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0;
}

/* Invalid lines are ignored: their ranges are fetched again. */
static void read_line(download *d, char *line)
{
    char *words[7];
    size_t n = 0;
    for (char *save, *w = strtok_r(line, " ", &save); w && n < 7; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    download_file *file = n > 1 ? find_file(d, words[n - 1]) : NULL;
    uint64_t begin, end, size;
    if (!file || strcmp(words[0], n == 2 ? "drop" : n == 4 ? "whole" : n == 6 ? "have" : "") != 0)
        return;
    if (n == 2) {
        forget(file);
        return;
    }
    if (!read_number(&size, words[n - 3]) || size != file->entry->size ||
        strcmp(words[n - 2], identity(d, file->entry)) != 0)
        return;
    if (n == 4)
        file->whole = true;
    else if (read_number(&begin, words[1]) && read_number(&end, words[2]) && begin < end && end <= size &&
             begin >= file->n_head)
        byte_ranges_add(&file->have, begin, end); /* without memory: fetched again */
}

static bool read_state(download *d)
{
    char *line = NULL;
    size_t size = 0;
    int fd = dup(d->state_fd);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f) {
        if (fd >= 0)
            close(fd);
        return fail_on("read", d->dir, STATE_NAME);
    }
    bool torn = false;
    for (ssize_t n; (n = getline(&line, &size, f)) > 0;) {
        torn = line[n - 1] != '\n';
        line[n - 1] = 0;
        if (!torn)
            read_line(d, line);
    }
    free(line);
    fclose(f);
    return !torn || append_state(d, "\n");
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool make_parents(const char *path)
{
    char *copy = strdup(path);
    bool good = copy != NULL || out_of_memory();
    for (char *c = copy; good && c && *c; c++)
        if (*c == '/' && c > copy) {
            *c = 0;
            good = mkdir(copy, 0777) == 0 || errno == EEXIST || fail_on("create directory", copy, "");
            *c = '/';
        }
    free(copy);
    return good;
}

static bool lock_state(download *d)
{
    char *path = join(d->dir, STATE_NAME, "");
    if (!path)
        return false;
    const bool good = file_lock_take(&d->state_fd, path, "qasr pull", d->dir);
    free(path);
    return good;
}

/* Files that no longer belong to the model. */
static void remove_unknown_files(const download *d)
{
    DIR *dir = opendir(d->dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[sizeof e->d_name];
        size_t n = strlen(e->d_name), ending = sizeof PART_SUFFIX - 1;
        bool is_part = n > ending && strcmp(e->d_name + n - ending, PART_SUFFIX) == 0;
        snprintf(name, sizeof name, "%.*s", (int)(is_part ? n - ending : n), e->d_name);
        if (e->d_name[0] != '.' && !find_file(d, name))
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* True if it is a regular file of that size. */
static bool has_size(const char *dir, const char *name, const char *ending, uint64_t size)
{
    struct stat st;
    char *path = join(dir, name, ending);
    bool good = path && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
    free(path);
    return good;
}

/* Checks the state against the files on disk. */
static bool check_file(download *d, download_file *file)
{
    const model_file *f = file->entry;
    bool wrong = file->whole ? !has_size(d->dir, f->name, "", f->size)
                             : file->have.n && !has_size(d->dir, f->name, PART_SUFFIX, f->size);
    if (wrong) {
        forget(file);
        if (!append_state(d, "drop %s\n", f->name))
            return false;
    }
    for (size_t i = 0; i < file->have.n; i++)
        if (!byte_ranges_add(&file->taken, file->have.list[i].begin, file->have.list[i].end))
            return out_of_memory();
    return true;
}

static bool make_files(download *d)
{
    d->files = calloc(d->m->n + 1, sizeof *d->files);
    for (size_t i = 0; d->files && i < d->m->n; i++) {
        download_file *file = &d->files[i];
        uint64_t size = d->m->files[i].size;
        *file =
            (download_file){ .entry = &d->m->files[i], .fd = -1, .n_head = size <= SMALL_BYTES ? size : HEAD_BYTES };
        file->has_head = size == 0;
        file->head = malloc((size_t)file->n_head + 1);
        if (!file->head)
            return out_of_memory();
    }
    return d->files || out_of_memory();
}

bool download_open(download *d, const manifest *m, const char *dest, const bool *in_place, int n_connections)
{
    *d = (download){ .m = m, .state_fd = -1, .n_connections = n_connections, .dir = download_dir(dest) };
    if (!d->dir || !make_files(d) || !make_parents(d->dir))
        return false;
    if (mkdir(d->dir, 0777) != 0 && errno != EEXIST)
        return fail_on("create directory", d->dir, "");
    if (!lock_state(d) || !read_state(d))
        return false;
    remove_unknown_files(d);
    for (size_t i = 0; i < m->n; i++) {
        if (!check_file(d, &d->files[i]))
            return false;
        if (in_place && in_place[i])
            d->files[i].whole = true;
    }
    return true;
}

static void remove_state(const char *dir)
{
    char *path = join(dir, STATE_NAME, "");
    if (path)
        unlink(path);
    free(path);
}

void download_close(download *d)
{
    struct stat st;
    if (d->state_fd >= 0 && fstat(d->state_fd, &st) == 0 && st.st_size == 0) {
        remove_state(d->dir); /* nothing has arrived: leave nothing behind */
        rmdir(d->dir);
    }
    for (size_t i = 0; d->files && i < d->m->n; i++) {
        download_file *file = &d->files[i];
        if (file->fd >= 0)
            close(file->fd);
        free(file->head);
        forget(file);
    }
    if (d->state_fd >= 0)
        close(d->state_fd);
    free(d->files);
    free(d->dir);
    *d = (download){ .state_fd = -1 };
}

uint64_t download_done_bytes(const download *d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < d->m->n; i++) {
        const download_file *file = &d->files[i];
        n += file->whole ? file->entry->size : byte_ranges_size(&file->have) + (file->has_head ? file->n_head : 0);
    }
    return n;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static bool has_body(const download_file *file)
{
    byte_range gap;
    return !byte_ranges_gap(&file->have, file->n_head, file->entry->size, &gap);
}

static uint64_t range_size(const download *d, uint64_t file_size)
{
    uint64_t n = file_size / (4 * (uint64_t)d->n_connections);
    return n < MIN_RANGE ? MIN_RANGE : n > MAX_RANGE ? MAX_RANGE : n;
}

static bool next_of(const download *d, download_file *file, byte_range *out)
{
    if (file->whole || (file->has_head && has_body(file)))
        return false;
    if (file->no_ranges) {
        *out = (byte_range){ 0, file->entry->size };
        return file->n_active == 0;
    }
    if (byte_ranges_gap(&file->taken, file->n_head, file->entry->size, out)) {
        uint64_t n = range_size(d, file->entry->size);
        out->end = out->end - out->begin > n ? out->begin + n : out->end;
        return true;
    }
    *out = (byte_range){ 0, file->n_head };
    return file->n_active == 0;
}

bool download_next(download *d, download_range *out)
{
    byte_range s;
    for (size_t i = 0; i < d->m->n; i++) {
        download_file *file = &d->files[i];
        if (!next_of(d, file, &s))
            continue;
        *out = (download_range){ file, s.begin, s.end };
        file->n_active++;
        return byte_ranges_add(&file->taken, s.begin, s.end) || out_of_memory();
    }
    return false;
}

static bool open_file(const download *d, download_file *file)
{
    char *path = join(d->dir, file->entry->name, PART_SUFFIX);
    if (!path)
        return false;
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (file->have.n ? 0 : O_TRUNC), 0666);
    bool good = file->fd >= 0 && ftruncate(file->fd, (off_t)file->entry->size) == 0;
    if (!good)
        fail_on("write", path, "");
    free(path);
    return good;
}

static bool write_at(const download *d, download_file *file, uint64_t position, const unsigned char *data, size_t n)
{
    if (file->fd < 0 && !open_file(d, file))
        return false;
    while (n > 0) {
        ssize_t done = pwrite(file->fd, data, n, (off_t)position);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_on("write", d->dir, file->entry->name);
        data += done;
        position += (uint64_t)done;
        n -= (size_t)done;
    }
    return true;
}

bool download_write(download *d, const download_range *at, uint64_t position, const void *data, size_t n)
{
    download_file *file = at->file;
    const unsigned char *bytes = data;
    size_t in_head = position >= file->n_head ? 0 : file->n_head - position < n ? (size_t)(file->n_head - position) : n;
    if (in_head)
        memcpy(file->head + position, bytes, in_head);
    return n == in_head || write_at(d, file, position + in_head, bytes + in_head, n - in_head);
}

bool download_end_range(download *d, const download_range *at, uint64_t reached)
{
    download_file *file = at->file;
    uint64_t begin = at->begin > file->n_head ? at->begin : file->n_head;
    if (at->begin == 0 && reached >= file->n_head)
        file->has_head = true;
    file->n_active--;
    if (!byte_ranges_remove(&file->taken, reached, at->end))
        return out_of_memory();
    if (begin >= reached)
        return true;
    if (fsync(file->fd) != 0)
        return fail_on("flush", d->dir, file->entry->name);
    return (byte_ranges_add(&file->have, begin, reached) || out_of_memory()) &&
           append_state(d, "have %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s\n", begin, reached, file->entry->size,
                        identity(d, file->entry), file->entry->name);
}

bool download_no_ranges(download *d, download_file *file)
{
    if (file->no_ranges)
        return true;
    forget(file); /* all of it is fetched again */
    file->no_ranges = true;
    return append_state(d, "drop %s\n", file->entry->name);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static bool hash_range(hash *h, int fd, uint64_t begin, uint64_t end, const char *name, const download_watch *watch)
{
    static unsigned char bytes[COPY_BYTES];
    while (begin < end) {
        size_t want = end - begin < sizeof bytes ? (size_t)(end - begin) : sizeof bytes;
        ssize_t n = pread(fd, bytes, want, (off_t)begin);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return message_fail("cannot read '%s': %s", name, n < 0 ? strerror(errno) : "it is truncated");
        if (!hash_add(h, bytes, (size_t)n))
            return false;
        begin += (uint64_t)n;
        watch->on_bytes(watch->user, (uint64_t)n);
        if (watch->stopped(watch->user))
            return false;
    }
    return true;
}

/* The head from memory (n_head 0: none), the rest from the file. */
static bool hash_all(const model_file *f, const unsigned char *head, uint64_t n_head, int fd,
                     char out[HASH_SHA256_HEX + 1], const download_watch *watch)
{
    hash *h = hash_open(strlen(f->hash), f->size);
    if (!h)
        return false;
    char rest[HASH_SHA256_HEX + 1];
    bool good =
        (n_head == 0 || hash_add(h, head, (size_t)n_head)) && hash_range(h, fd, n_head, f->size, f->name, watch);
    return hash_end(h, good ? out : rest) && good;
}

bool download_hash_file(const char *path, const model_file *file, char out[HASH_SHA256_HEX + 1],
                        const download_watch *watch)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return message_fail("cannot read '%s': %s", path, strerror(errno));
    bool good = hash_all(file, NULL, 0, fd, out, watch);
    close(fd);
    return good;
}

/* Discards a file with a wrong hash. */
static bool discard(download *d, download_file *file, const char *found)
{
    char *path = join(d->dir, file->entry->name, PART_SUFFIX);
    if (path)
        unlink(path);
    free(path);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    forget(file);
    append_state(d, "drop %s\n", file->entry->name);
    return message_fail("'%s' has the hash %s, expected %s: it was damaged in transit or on the server and has been "
                        "discarded; pull again",
                        file->entry->name, found, file->entry->hash);
}

static bool complete_file(download *d, download_file *file)
{
    const model_file *f = file->entry;
    char *from = join(d->dir, f->name, PART_SUFFIX), *to = join(d->dir, f->name, "");
    bool good = from && to && write_at(d, file, 0, file->head, (size_t)file->n_head) &&
                (fsync(file->fd) == 0 || fail_on("flush", from, "")) &&
                (rename(from, to) == 0 || fail_on("rename", from, "")) && sync_dir(d->dir) &&
                append_state(d, "whole %" PRIu64 " %s %s\n", f->size, identity(d, f), f->name);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    file->whole = good;
    free(from);
    free(to);
    return good;
}

static bool verify(download *d, download_file *file, const download_watch *watch)
{
    char found[HASH_SHA256_HEX + 1] = "";
    const model_file *f = file->entry;
    if (file->fd < 0 && !open_file(d, file))
        return false;
    if (!f->hash[0])
        message_warn("the server gives no hash for '%s': only its size was checked", f->name);
    else if (!hash_all(f, file->head, file->n_head, file->fd, found, watch))
        return false;
    else if (strcmp(found, f->hash) != 0)
        return discard(d, file, found);
    return complete_file(d, file);
}

bool download_verify(download *d, const download_watch *watch)
{
    bool good = true;
    for (size_t i = 0; i < d->m->n && !watch->stopped(watch->user); i++)
        if (!d->files[i].whole)
            good = verify(d, &d->files[i], watch) && good;
    return good && !watch->stopped(watch->user);
}

/* ---- installation ---------------------------------------------------------------------------- */

static bool move_files(download *d, const char *dest)
{
    bool good = true;
    for (size_t i = 0; i < d->m->n && good; i++) {
        const char *name = d->m->files[i].name;
        char *from = join(d->dir, name, ""), *to = join(dest, name, "");
        good = from && to && (access(from, F_OK) != 0 || rename(from, to) == 0 || fail_on("rename", from, ""));
        free(from);
        free(to);
    }
    if (!good || !sync_dir(dest))
        return false;
    remove_state(d->dir);
    rmdir(d->dir);
    return true;
}

/* The state is removed last: without it, complete files would be fetched again. */
bool download_install(download *d, const char *dest)
{
    char *manifest_path = join(dest, MANIFEST_NAME, "");
    bool in_place = manifest_path && access(manifest_path, F_OK) == 0;
    free(manifest_path);
    if (!manifest_path)
        return false;
    if (in_place)
        return move_files(d, dest);
    if (!manifest_write(d->m, d->dir) || !sync_dir(d->dir))
        return false;
    if (rename(d->dir, dest) != 0)
        return message_fail("cannot rename '%s' to '%s': %s", d->dir, dest, strerror(errno));
    if (!sync_parent(dest))
        return false;
    remove_state(dest);
    return true;
}
