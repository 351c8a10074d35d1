/* Checked output: a lost byte becomes an error message and exit status 1. */
#include "app/out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/message.h"

static bool fail(const char *path) { return message_fail("cannot write '%s': %s", path, strerror(errno)); }

/* Asks the pipe itself: the errno of the failed write may be gone by now. */
static bool reader_is_gone(void)
{
    struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

bool out_flush_stdout(void)
{
    static bool reported;
    bool lost = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) == 0 && !lost)
        return true;
    int code = errno;
    if (!reported && !reader_is_gone()) /* a reader that closed the pipe wants neither output nor a message */
        message_fail("cannot write standard output%s%s", code ? ": " : "", code ? strerror(code) : "");
    reported = true;
    return false;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The directory part of a path, "." if there is none; at most size bytes. */
static bool parent_of(char *dir, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (n >= size) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(dir, slash ? path : ".", n);
    dir[n] = 0;
    return true;
}

/* Detects errors before the work starts that would otherwise occur after it. */
static bool writable(const char *path)
{
    char dir[PATH_MAX];
    struct stat st;
    if (stat(path, &st) == 0) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : 0;
        return errno == 0 && access(path, W_OK) == 0;
    }
    if (errno != ENOENT || !parent_of(dir, sizeof dir, path))
        return false;
    return access(dir, W_OK | X_OK) == 0;
}

bool out_is_input(const char *path, const char *input)
{
    struct stat target, in;
    return path && stat(path, &target) == 0 && S_ISREG(target.st_mode) && stat(input, &in) == 0 &&
           in.st_dev == target.st_dev && in.st_ino == target.st_ino;
}

bool out_has_content(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

bool out_open(out *o, const char *path)
{
    *o = (out){ 0 };
    if (!path || strcmp(path, "-") == 0) {
        o->f = stdout;
        return true;
    }
    if (!writable(path))
        return fail(path);
    o->path = path;
    o->f = open_memstream(&o->text, &o->size);
    return o->f ? true : fail(path);
}

bool out_open_lines(out *o, const char *path, size_t keep_bytes)
{
    *o = (out){ .path = path, .as_it_comes = true };
    if (!writable(path))
        return fail(path);
    o->f = fopen(path, keep_bytes ? "r+" : "w");
    if (o->f && keep_bytes && (ftruncate(fileno(o->f), (off_t)keep_bytes) != 0 || fseek(o->f, 0, SEEK_END) != 0)) {
        int code = errno;
        fclose(o->f);
        errno = code;
        o->f = NULL;
    }
    return o->f ? true : fail(path);
}

bool out_show(out *o)
{
    if (!o->path)
        return out_flush_stdout();
    if (o->as_it_comes && !o->failed && (fflush(o->f) != 0 || ferror(o->f)))
        o->failed = !fail(o->path);
    return !o->failed;
}

static bool close_lines(out *o)
{
    struct stat st;
    bool good = out_show(o) &&
                (fstat(fileno(o->f), &st) != 0 || !S_ISREG(st.st_mode) || fsync(fileno(o->f)) == 0 || fail(o->path));
    out_abort(o);
    return good;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* Preserves errno. */
static void close_and_remove(int fd, const char *path)
{
    int code = errno;
    if (fd >= 0)
        close(fd);
    unlink(path);
    errno = code;
}

static bool replace_file(const out *o, const char *target)
{
    char tmp[PATH_MAX + 16];
    snprintf(tmp, sizeof tmp, "%s.XXXXXX", target);
    int fd = mkstemp(tmp);
    if (fd < 0)
        return false;
    mode_t mask = umask(0);
    umask(mask);
    if (!write_all(fd, o->text, o->size) || fchmod(fd, 0666 & ~mask) != 0 || fsync(fd) != 0) {
        close_and_remove(fd, tmp);
        return false;
    }
    if (close(fd) != 0 || rename(tmp, target) != 0) {
        close_and_remove(-1, tmp);
        return false;
    }
    return true;
}

static bool write_special(const out *o)
{
    int fd = open(o->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool written = write_all(fd, o->text, o->size);
    int code = errno;
    bool closed = close(fd) == 0;
    if (!written)
        errno = code;
    return written && closed;
}

bool out_commit(out *o)
{
    if (!o->path)
        return out_flush_stdout();
    if (o->as_it_comes)
        return close_lines(o);
    bool whole = ferror(o->f) == 0;
    whole = fclose(o->f) == 0 && whole;
    o->f = NULL;
    if (!whole)
        errno = ENOMEM;
    struct stat st;
    char *target = NULL; /* the target of a link, so that the link survives */
    bool exists = stat(o->path, &st) == 0;
    if (whole && exists && !S_ISREG(st.st_mode))
        whole = write_special(o);
    else if (whole && exists && (target = realpath(o->path, NULL)))
        whole = replace_file(o, target);
    else if (whole)
        whole = replace_file(o, o->path);
    if (!whole)
        fail(o->path);
    free(target);
    out_abort(o);
    return whole;
}

void out_abort(out *o)
{
    if (o->path && o->f)
        fclose(o->f);
    free(o->text);
    *o = (out){ 0 };
}
