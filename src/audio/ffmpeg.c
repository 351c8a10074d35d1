/* See ffmpeg.h. The sound comes as an AU stream: a header of 24 bytes that may leave the length open, then floats. It
 * keeps its own rate and channels, so that it takes the same way from here as any other file. */
#include "audio/ffmpeg.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Standard input is named as a file, not as a pipe: so it can be read back and forth, as most containers must be, and
 * what the file is called plays no part. Nothing but local files may be opened: a playlist in a file could name any
 * address. */
static char *const arguments[] = {
    "ffmpeg", "-nostdin", "-v",  "error", "-protocol_whitelist", "file,pipe", "-i", "file:/dev/stdin",
    "-map",   "0:a:0",    "-vn", "-c:a",  "pcm_f32be",           "-f",        "au", "pipe:1",
    NULL
};

/* In a process group of its own: Ctrl-C is for the caller, which ends the child itself. Signals that the caller may
 * ignore do what they do by default. */
static int spawn(pid_t *pid, const char *program, int in, int out, int messages)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t usual;
    int code = posix_spawn_file_actions_init(&files);
    if (code != 0)
        return code;
    code = posix_spawnattr_init(&attributes);
    if (code != 0) {
        posix_spawn_file_actions_destroy(&files);
        return code;
    }
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGXFSZ);
    code = posix_spawnattr_setsigdefault(&attributes, &usual);
    if (code == 0)
        code = posix_spawnattr_setpgroup(&attributes, 0);
    if (code == 0)
        code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const int from[] = { in, out, messages };
    for (int fd = 0; code == 0 && fd < 3; fd++)
        code = posix_spawn_file_actions_adddup2(&files, from[fd], fd);
    if (code == 0)
        code = posix_spawnp(pid, program, &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

/* A descriptor that the child does not get, above the three that adddup2 fills. The given one is closed. */
static int private_descriptor(int fd)
{
    int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int code = errno;
    if (fd >= 0)
        close(fd);
    errno = code;
    return moved;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void close_output(ffmpeg *f)
{
    if (f->fd > 0)
        close(f->fd);
    f->fd = 0;
}

bool ffmpeg_start(ffmpeg *f, const char *program, int in)
{
    int ends[2], code;
    *f = (ffmpeg){ 0 };
    if (pipe(ends) != 0)
        return false;
    int out = private_descriptor(ends[1]);
    f->fd = private_descriptor(ends[0]);
    FILE *messages = tmpfile();
    int message_fd = messages ? fcntl(fileno(messages), F_DUPFD_CLOEXEC, 3) : -1;
    int own_in = fcntl(in, F_DUPFD_CLOEXEC, 3);
    code = out >= 0 && f->fd >= 0 && message_fd >= 0 && own_in >= 0 ? spawn(&f->pid, program, own_in, out, message_fd)
                                                                    : errno;
    close_if_open(out);
    close_if_open(message_fd);
    close_if_open(own_in);
    f->messages = messages;
    if (code == 0)
        return true;
    f->pid = 0;
    ffmpeg_end(f);
    errno = code;
    return false;
}

/* The last line that is not empty, without what it begins with to say who speaks: "[mov @ 0x...] ", "file:/dev/stdin:
 * ". That there is no sound comes with advice about options that the user has not given. */
static void last_line(FILE *messages, char *text, size_t size)
{
    static const char input[] = "file:/dev/stdin: ", no_stream[] = "matches no streams";
    char line[512];
    *text = 0;
    if (!messages || fseek(messages, 0, SEEK_SET) != 0)
        return;
    while (fgets(line, sizeof line, messages)) {
        line[strcspn(line, "\r\n")] = 0;
        if (!*line)
            continue;
        char *rest = *line == '[' ? strstr(line, "] ") : NULL;
        rest = rest ? rest + 2 : line;
        if (strncmp(rest, input, sizeof input - 1) == 0)
            rest += sizeof input - 1;
        snprintf(text, size, "%s", strstr(rest, no_stream) ? "there is no sound in it" : rest);
        if (strstr(rest, no_stream))
            return;
    }
}

static bool wait_for(pid_t pid, int *how)
{
    pid_t answer;
    do
        answer = waitpid(pid, how, 0);
    while (answer < 0 && errno == EINTR);
    return answer == pid;
}

bool ffmpeg_finish(ffmpeg *f, char *text, size_t size)
{
    int how = 0;
    close_output(f);
    bool good = f->pid > 0 && wait_for(f->pid, &how) && WIFEXITED(how) && WEXITSTATUS(how) == 0;
    f->pid = 0;
    last_line(f->messages, text, size);
    return good;
}

void ffmpeg_end(ffmpeg *f)
{
    int how;
    close_output(f);
    if (f->pid > 0) {
        kill(f->pid, SIGKILL);
        wait_for(f->pid, &how);
    }
    if (f->messages)
        fclose(f->messages);
    *f = (ffmpeg){ 0 };
}
