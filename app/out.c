/* Checked output: a lost byte becomes an error message and exit status 1. */
#include "app/out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/message.h"
#include "app/protect.h"
#include "base/temp_file.h"

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

/* Preserves errno. */
static void close_and_remove(int fd, const char *path)
{
    int code = errno;
    if (fd >= 0)
        close(fd);
    unlink(path);
    errno = code;
}

/* Detects errors before the work starts that would otherwise occur after it. Permissions do not tell whether a file
 * can be created, so one is. */
static bool writable(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : 0;
        return errno == 0 && access(path, W_OK) == 0;
    }
    char *target = errno == ENOENT ? temp_file_target(path) : NULL, *tmp = NULL;
    int fd = target ? temp_file_create(&tmp, target) : -1;
    if (fd >= 0)
        close_and_remove(fd, tmp);
    const int code = errno;
    free(tmp);
    free(target);
    errno = code;
    return fd >= 0;
}

bool out_can_write(const char *path) { return out_is_stdout(path) || writable(path) || fail(path); }

bool out_check(const char *path)
{
    if (out_is_stdout(path))
        return true;
    if (!out_can_write(path))
        return false;
    if (protect_is_audio_name(path))
        return message_fail("cannot write '%s': its extension is that of an audio or video file; choose one of a text "
                            "file, such as .txt or .json",
                            path);
    const char *kept = protect_content(path);
    return !kept || message_fail("cannot write '%s': it is %s; choose another name", path, kept);
}

bool out_is_stdout(const char *path) { return !path || strcmp(path, "-") == 0; }

bool out_is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* True if a and b exist and are one file. */
static bool is_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool out_is_same(const char *path, const char *other)
{
    if (out_is_stdout(path) || out_is_stdout(other) || out_is_special(path))
        return false;
    const char *name = strrchr(path, '/'), *other_name = strrchr(other, '/');
    if (is_same(path, other) || strcmp(path, other) == 0)
        return true;
    if (strcmp(name ? name + 1 : path, other_name ? other_name + 1 : other) != 0)
        return false;
    char *folder = name ? strndup(path, (size_t)(name + 1 - path)) : strdup(".");
    char *other_folder = other_name ? strndup(other, (size_t)(other_name + 1 - other)) : strdup(".");
    const bool same = folder && other_folder && is_same(folder, other_folder);
    free(folder);
    free(other_folder);
    return same;
}

bool out_has_content(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

bool out_open(out *o, const char *path)
{
    *o = (out){ 0 };
    if (!out_check(path))
        return false;
    if (out_is_stdout(path)) {
        o->f = stdout;
        return true;
    }
    o->path = path;
    o->f = open_memstream(&o->text, &o->size);
    return o->f ? true : fail(path);
}

bool out_open_lines(out *o, const char *path, size_t keep_bytes)
{
    *o = (out){ .path = path, .as_it_comes = true };
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

static bool replace_file(const out *o)
{
    char *target = temp_file_target(o->path), *tmp = NULL;
    int fd = target ? temp_file_create(&tmp, target) : -1;
    bool good = fd >= 0 && write_all(fd, o->text, o->size) && fsync(fd) == 0;
    if (good) {
        good = close(fd) == 0 && rename(tmp, target) == 0;
        fd = -1;
    }
    if (tmp && !good)
        close_and_remove(fd, tmp);
    const int code = errno;
    free(tmp);
    free(target);
    errno = code;
    return good;
}

/* Devices and pipes; and files that the system does not let us replace, though we may write to them: in a folder that
 * is not ours, or mounted on their own. */
static bool write_in_place(const out *o)
{
    int fd = open(o->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool written = write_all(fd, o->text, o->size);
    int code = errno;
    bool closed = close(fd) == 0;
    if (!written)
        errno = code;
    return written && closed;
}

static bool cannot_replace(int code) { return code == EACCES || code == EPERM || code == EBUSY || code == EXDEV; }

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
    const bool is_special = out_is_special(o->path);
    if (whole && !is_special)
        whole = replace_file(o) || (cannot_replace(errno) && write_in_place(o));
    else if (whole)
        whole = write_in_place(o);
    if (!whole)
        fail(o->path);
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
