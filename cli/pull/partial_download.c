/* Files that come in ranges. What has come is remembered in a text file of lines that are only ever appended, each
 * after the bytes it speaks of were flushed:
 *
 *     have BEGIN END SIZE HASH NAME    these bytes are in NAME.part
 *     whole SIZE HASH NAME             NAME is there, and its hash was right
 *     drop NAME                        forget all of that
 *
 * Size and hash say which file it is: after it has changed on the server, what is there of the old one does not count.
 * A line without an end was being written when the process died. */
#include "cli/pull/partial_download.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/message.h"
#include "cli/pull/hash.h"

#define STATE_NAME ".qasr-pull-state"
#define PART_SUFFIX ".part"

enum {
    SMALL_BYTES = 1 << 20, /* files up to this size are kept in memory until they are verified */
    HEAD_BYTES = 4096,     /* of larger ones this much: no format that we read makes sense without it */
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
    bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* some file systems know no such thing */
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

__attribute__((format(printf, 2, 3))) static bool append_state(const download *ps, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0 && n < (int)sizeof line && write(ps->state_fd, line, (size_t)n) == n)
        return true;
    return fail_on("write", ps->dir, STATE_NAME);
}

/* What tells a file from another one of that name. */
static const char *identity(const download *ps, const model_file *f)
{
    return f->hash[0] ? f->hash : ps->m->commit[0] ? ps->m->commit : "-";
}

static void forget(download_file *p)
{
    byte_ranges_free(&p->have);
    byte_ranges_free(&p->taken);
    p->whole = p->head_there = false;
}

static download_file *find_part(const download *ps, const char *name)
{
    for (size_t i = 0; i < ps->m->n; i++)
        if (strcmp(ps->m->files[i].name, name) == 0)
            return &ps->list[i];
    return NULL;
}

static bool read_number(uint64_t *out, const char *text)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0;
}

/* A line that makes no sense is passed over: what it wanted to say is fetched again. */
static void take_line(download *ps, char *line)
{
    char *words[7];
    size_t n = 0;
    for (char *save, *w = strtok_r(line, " ", &save); w && n < 7; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    download_file *p = n > 1 ? find_part(ps, words[n - 1]) : NULL;
    uint64_t begin, end, size;
    if (!p || strcmp(words[0], n == 2 ? "drop" : n == 4 ? "whole" : n == 6 ? "have" : "") != 0)
        return;
    if (n == 2) {
        forget(p);
        return;
    }
    if (!read_number(&size, words[n - 3]) || size != p->file->size || strcmp(words[n - 2], identity(ps, p->file)) != 0)
        return;
    if (n == 4)
        p->whole = true;
    else if (read_number(&begin, words[1]) && read_number(&end, words[2]) && begin < end && end <= size &&
             begin >= p->n_head)
        byte_ranges_add(&p->have, begin, end); /* without memory: fetched again */
}

static bool read_state(download *ps)
{
    char *line = NULL;
    size_t size = 0;
    int fd = dup(ps->state_fd);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f) {
        if (fd >= 0)
            close(fd);
        return fail_on("read", ps->dir, STATE_NAME);
    }
    bool torn = false;
    for (ssize_t n; (n = getline(&line, &size, f)) > 0;) {
        torn = line[n - 1] != '\n';
        line[n - 1] = 0;
        if (!torn)
            take_line(ps, line);
    }
    free(line);
    fclose(f);
    return !torn || append_state(ps, "\n");
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool make_parents(const char *path)
{
    char *copy = strdup(path);
    bool good = copy != NULL || out_of_memory();
    for (char *c = copy; good && c && *c; c++)
        if (*c == '/' && c > copy) {
            *c = 0;
            good = mkdir(copy, 0777) == 0 || errno == EEXIST || fail_on("make the directory", copy, "");
            *c = '/';
        }
    free(copy);
    return good;
}

static bool lock_state(download *ps)
{
    char *path = join(ps->dir, STATE_NAME, "");
    if (!path)
        return false;
    ps->state_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    free(path);
    if (ps->state_fd < 0)
        return fail_on("write", ps->dir, STATE_NAME);
    if (flock(ps->state_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return message_fail("another qasr pull is at work in '%s'; wait for its end", ps->dir);
    return fail_on("lock", ps->dir, STATE_NAME);
}

/* Files that no longer belong to the model. */
static void remove_strangers(const download *ps)
{
    DIR *dir = opendir(ps->dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[sizeof e->d_name];
        size_t n = strlen(e->d_name), ending = sizeof PART_SUFFIX - 1;
        bool is_part = n > ending && strcmp(e->d_name + n - ending, PART_SUFFIX) == 0;
        snprintf(name, sizeof name, "%.*s", (int)(is_part ? n - ending : n), e->d_name);
        if (e->d_name[0] != '.' && !find_part(ps, name))
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* False if the named file is no regular file of that size. */
static bool has_size(const char *dir, const char *name, const char *ending, uint64_t size)
{
    struct stat st;
    char *path = join(dir, name, ending);
    bool good = path && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
    free(path);
    return good;
}

/* Holds what the state says against what is there. */
static bool check_part(download *ps, download_file *p)
{
    const model_file *f = p->file;
    bool wrong = p->whole ? !has_size(ps->dir, f->name, "", f->size)
                          : p->have.n && !has_size(ps->dir, f->name, PART_SUFFIX, f->size);
    if (wrong) {
        forget(p);
        if (!append_state(ps, "drop %s\n", f->name))
            return false;
    }
    for (size_t i = 0; i < p->have.n; i++)
        if (!byte_ranges_add(&p->taken, p->have.list[i].begin, p->have.list[i].end))
            return out_of_memory();
    return true;
}

static bool make_parts(download *ps)
{
    ps->list = calloc(ps->m->n + 1, sizeof *ps->list);
    for (size_t i = 0; ps->list && i < ps->m->n; i++) {
        download_file *p = &ps->list[i];
        uint64_t size = ps->m->files[i].size;
        *p = (download_file){ .file = &ps->m->files[i], .fd = -1, .n_head = size <= SMALL_BYTES ? size : HEAD_BYTES };
        p->head_there = size == 0;
        p->head = malloc((size_t)p->n_head + 1);
        if (!p->head)
            return out_of_memory();
    }
    return ps->list || out_of_memory();
}

bool download_open(download *ps, const manifest *m, const char *dest, const bool *in_place, int n_connections)
{
    *ps = (download){ .m = m, .state_fd = -1, .n_connections = n_connections, .dir = download_dir(dest) };
    if (!ps->dir || !make_parts(ps) || !make_parents(ps->dir))
        return false;
    if (mkdir(ps->dir, 0777) != 0 && errno != EEXIST)
        return fail_on("make the directory", ps->dir, "");
    if (!lock_state(ps) || !read_state(ps))
        return false;
    remove_strangers(ps);
    for (size_t i = 0; i < m->n; i++) {
        if (!check_part(ps, &ps->list[i]))
            return false;
        if (in_place && in_place[i])
            ps->list[i].whole = true;
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

void download_close(download *ps)
{
    struct stat st;
    if (ps->state_fd >= 0 && fstat(ps->state_fd, &st) == 0 && st.st_size == 0) {
        remove_state(ps->dir); /* nothing has come: leave nothing behind */
        rmdir(ps->dir);
    }
    for (size_t i = 0; ps->list && i < ps->m->n; i++) {
        download_file *p = &ps->list[i];
        if (p->fd >= 0)
            close(p->fd);
        free(p->head);
        forget(p);
    }
    if (ps->state_fd >= 0)
        close(ps->state_fd);
    free(ps->list);
    free(ps->dir);
    *ps = (download){ .state_fd = -1 };
}

uint64_t download_done_bytes(const download *ps)
{
    uint64_t n = 0;
    for (size_t i = 0; i < ps->m->n; i++) {
        const download_file *p = &ps->list[i];
        n += p->whole ? p->file->size : byte_ranges_size(&p->have) + (p->head_there ? p->n_head : 0);
    }
    return n;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static bool body_there(const download_file *p)
{
    byte_range gap;
    return !byte_ranges_gap(&p->have, p->n_head, p->file->size, &gap);
}

static uint64_t range_size(const download *ps, uint64_t file_size)
{
    uint64_t n = file_size / (4 * (uint64_t)ps->n_connections);
    return n < MIN_RANGE ? MIN_RANGE : n > MAX_RANGE ? MAX_RANGE : n;
}

static bool next_of(const download *ps, download_file *p, byte_range *out)
{
    if (p->whole || (p->head_there && body_there(p)))
        return false;
    if (p->no_ranges) {
        *out = (byte_range){ 0, p->file->size };
        return p->n_out == 0;
    }
    if (byte_ranges_gap(&p->taken, p->n_head, p->file->size, out)) {
        uint64_t n = range_size(ps, p->file->size);
        out->end = out->end - out->begin > n ? out->begin + n : out->end;
        return true;
    }
    *out = (byte_range){ 0, p->n_head };
    return p->n_out == 0;
}

bool download_next(download *ps, download_range *out)
{
    byte_range s;
    for (size_t i = 0; i < ps->m->n; i++) {
        download_file *p = &ps->list[i];
        if (!next_of(ps, p, &s))
            continue;
        *out = (download_range){ p, s.begin, s.end };
        p->n_out++;
        return byte_ranges_add(&p->taken, s.begin, s.end) || out_of_memory();
    }
    return false;
}

static bool open_part(const download *ps, download_file *p)
{
    char *path = join(ps->dir, p->file->name, PART_SUFFIX);
    if (!path)
        return false;
    p->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (p->have.n ? 0 : O_TRUNC), 0666);
    bool good = p->fd >= 0 && ftruncate(p->fd, (off_t)p->file->size) == 0;
    if (!good)
        fail_on("write", path, "");
    free(path);
    return good;
}

static bool write_at(const download *ps, download_file *p, uint64_t position, const unsigned char *data, size_t n)
{
    if (p->fd < 0 && !open_part(ps, p))
        return false;
    while (n > 0) {
        ssize_t done = pwrite(p->fd, data, n, (off_t)position);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_on("write", ps->dir, p->file->name);
        data += done;
        position += (uint64_t)done;
        n -= (size_t)done;
    }
    return true;
}

bool download_put(download *ps, const download_range *at, uint64_t position, const void *data, size_t n)
{
    download_file *p = at->p;
    const unsigned char *bytes = data;
    size_t in_head = position >= p->n_head ? 0 : p->n_head - position < n ? (size_t)(p->n_head - position) : n;
    if (in_head)
        memcpy(p->head + position, bytes, in_head);
    return n == in_head || write_at(ps, p, position + in_head, bytes + in_head, n - in_head);
}

bool download_end_range(download *ps, const download_range *at, uint64_t reached)
{
    download_file *p = at->p;
    uint64_t begin = at->begin > p->n_head ? at->begin : p->n_head;
    if (at->begin == 0 && reached >= p->n_head)
        p->head_there = true;
    p->n_out--;
    if (!byte_ranges_remove(&p->taken, reached, at->end))
        return out_of_memory();
    if (begin >= reached)
        return true;
    if (fsync(p->fd) != 0)
        return fail_on("flush", ps->dir, p->file->name);
    return (byte_ranges_add(&p->have, begin, reached) || out_of_memory()) &&
           append_state(ps, "have %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s\n", begin, reached, p->file->size,
                        identity(ps, p->file), p->file->name);
}

bool download_no_ranges(download *ps, download_file *p)
{
    if (p->no_ranges)
        return true;
    forget(p); /* what was there comes again */
    p->no_ranges = true;
    return append_state(ps, "drop %s\n", p->file->name);
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
            return message_fail("cannot read '%s': %s", name, n < 0 ? strerror(errno) : "it ends too early");
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

/* Wrong bytes are of no use. */
static bool throw_away(download *ps, download_file *p, const char *found)
{
    char *path = join(ps->dir, p->file->name, PART_SUFFIX);
    if (path)
        unlink(path);
    free(path);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    forget(p);
    append_state(ps, "drop %s\n", p->file->name);
    return message_fail(
        "'%s' has the hash %s, expected %s: it was damaged on its way or on the server, and is thrown away; pull again",
        p->file->name, found, p->file->hash);
}

static bool name_part(download *ps, download_file *p)
{
    const model_file *f = p->file;
    char *from = join(ps->dir, f->name, PART_SUFFIX), *to = join(ps->dir, f->name, "");
    bool good = from && to && write_at(ps, p, 0, p->head, (size_t)p->n_head) &&
                (fsync(p->fd) == 0 || fail_on("flush", from, "")) &&
                (rename(from, to) == 0 || fail_on("rename", from, "")) && sync_dir(ps->dir) &&
                append_state(ps, "whole %" PRIu64 " %s %s\n", f->size, identity(ps, f), f->name);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->whole = good;
    free(from);
    free(to);
    return good;
}

static bool verify(download *ps, download_file *p, const download_watch *watch)
{
    char found[HASH_SHA256_HEX + 1] = "";
    const model_file *f = p->file;
    if (p->fd < 0 && !open_part(ps, p))
        return false;
    if (!f->hash[0])
        message_warn("the server names no hash of '%s': only its size was checked", f->name);
    else if (!hash_all(f, p->head, p->n_head, p->fd, found, watch))
        return false;
    else if (strcmp(found, f->hash) != 0)
        return throw_away(ps, p, found);
    return name_part(ps, p);
}

bool download_verify(download *ps, const download_watch *watch)
{
    bool good = true;
    for (size_t i = 0; i < ps->m->n && !watch->stopped(watch->user); i++)
        if (!ps->list[i].whole)
            good = verify(ps, &ps->list[i], watch) && good;
    return good && !watch->stopped(watch->user);
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool move_files(download *ps, const char *dest)
{
    bool good = true;
    for (size_t i = 0; i < ps->m->n && good; i++) {
        const char *name = ps->m->files[i].name;
        char *from = join(ps->dir, name, ""), *to = join(dest, name, "");
        good = from && to && (access(from, F_OK) != 0 || rename(from, to) == 0 || fail_on("rename", from, ""));
        free(from);
        free(to);
    }
    if (!good || !sync_dir(dest))
        return false;
    remove_state(ps->dir);
    rmdir(ps->dir);
    return true;
}

/* The state goes last: without it nothing would be known of files that are whole. */
bool download_install(download *ps, const char *dest)
{
    char *there = join(dest, MANIFEST_NAME, "");
    bool in_place = there && access(there, F_OK) == 0;
    free(there);
    if (!there)
        return false;
    if (in_place)
        return move_files(ps, dest);
    if (!manifest_write(ps->m, ps->dir) || !sync_dir(ps->dir))
        return false;
    if (rename(ps->dir, dest) != 0)
        return message_fail("cannot rename '%s' to '%s': %s", ps->dir, dest, strerror(errno));
    if (!sync_parent(dest))
        return false;
    remove_state(dest);
    return true;
}
