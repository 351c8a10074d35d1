/* See input.h. */
#include "audio/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { MAX_PIPE_BYTES = INT32_MAX };

static qasr_status is_empty(const input *in, qasr_error *err)
{
    return error_set(err, QASR_E_FORMAT, "'%s' is empty, expected an audio file", in->name);
}

/* Pipes and terminals cannot seek, but decoders must: everything is taken into memory first. */
static qasr_status read_pipe(input *in, int fd, qasr_error *err)
{
    TRY(file_read_to_end(&in->bytes, fd, in->name, "; save it as a file first", err));
    in->size = in->bytes.len;
    return in->size > 0 ? QASR_OK : is_empty(in, err);
}

/* Takes the descriptor of a regular file. */
static qasr_status open_file(input *in, const char *path, qasr_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", path);
    qasr_status status = QASR_OK;
    if (fstat(fd, &st) != 0)
        status = error_set_errno(err, "cannot examine '%s'", in->name);
    else if (S_ISDIR(st.st_mode))
        status = error_set(err, QASR_E_IO, "cannot read '%s': it is a directory, expected an audio file", in->name);
    else if (!S_ISREG(st.st_mode))
        status = read_pipe(in, fd, err);
    else if (st.st_size == 0)
        status = is_empty(in, err);
    else {
        in->fd = fd;
        in->size = (uint64_t)st.st_size;
        return QASR_OK;
    }
    close(fd);
    return status;
}

qasr_status input_open(input *in, const char *path, qasr_error *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    *in = (input){ .name = is_stdin ? "standard input" : path, .fd = -1 };
    buf_init(&in->bytes, MAX_PIPE_BYTES);
    return is_stdin ? read_pipe(in, STDIN_FILENO, err) : open_file(in, path, err);
}

void input_close(input *in)
{
    if (in->fd >= 0)
        close(in->fd);
    buf_free(&in->bytes);
    in->fd = -1;
}

size_t input_read(input *in, uint64_t at, void *to, size_t n)
{
    if (at >= in->size)
        return 0;
    n = n < in->size - at ? n : (size_t)(in->size - at);
    if (in->fd < 0) {
        memcpy(to, in->bytes.data + at, n);
        return n;
    }
    size_t done = 0;
    while (done < n) {
        const ssize_t got = pread(in->fd, (char *)to + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && !in->error)
            in->error = errno;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

int input_descriptor(const input *in)
{
    int fd = -1;
    if (in->fd >= 0) { /* opened anew where the system can: a duplicate would share its position with us */
        char name[32];
        snprintf(name, sizeof name, "/dev/fd/%d", in->fd);
        fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            fd = fcntl(in->fd, F_DUPFD_CLOEXEC, 0);
        if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0) {
            close(fd);
            fd = -1;
        }
        return fd;
    }
    FILE *f = tmpfile();
    if (f && fwrite(in->bytes.data, 1, in->bytes.len, f) == in->bytes.len && fflush(f) == 0 &&
        fseek(f, 0, SEEK_SET) == 0)
        fd = fcntl(fileno(f), F_DUPFD_CLOEXEC, 0);
    if (f)
        fclose(f);
    return fd;
}

/* ---- windows ----------------------------------------------------------------------------- */

const unsigned char *window_get(window *w, uint64_t at, size_t n)
{
    if (at > w->end || n > w->end - at)
        return NULL;
    if (at < w->at || at - w->at > w->n || n > w->n - (size_t)(at - w->at)) {
        const uint64_t left = w->end - at;
        w->at = at;
        w->n = input_read(w->in, at, w->data, left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES);
        if (n > w->n)
            return NULL;
    }
    return w->data + (at - w->at);
}

/* The bytes from `at` up to `end` that one window holds; 0: none. */
static size_t window_part(window *w, uint64_t at, uint64_t end, const unsigned char **part)
{
    size_t n = end - at < WINDOW_BYTES / 2 ? (size_t)(end - at) : WINDOW_BYTES / 2;
    *part = n > 0 ? window_get(w, at, n) : NULL;
    return *part ? n : 0;
}

uint64_t window_count_zeros(window *w, uint64_t at, uint64_t end)
{
    const uint64_t begin = at;
    const unsigned char *p;
    for (size_t n; at < end && (n = window_part(w, at, end, &p)) > 0; at += n)
        for (size_t i = 0; i < n; i++)
            if (p[i])
                return at + i - begin;
    return at - begin;
}

uint64_t window_find(window *w, uint64_t at, uint64_t end, const void *needle, size_t n_needle)
{
    const unsigned char *p;
    for (size_t n; at < end && end - at >= n_needle && (n = window_part(w, at, end, &p)) >= n_needle;
         at += n - n_needle + 1) {
        const unsigned char *found = memmem(p, n, needle, n_needle);
        if (found)
            return at + (uint64_t)(found - p);
    }
    return end;
}
