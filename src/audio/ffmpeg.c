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
 * address. Times are those of a player: silence in front of sound that begins late, and in gaps. Messages have their
 * level in front. */
enum { MAP_AT = 12 };
static const char *const arguments[] = { "ffmpeg",
                                         "-nostdin",
                                         "-hide_banner",
                                         "-nostats",
                                         "-v",
                                         "level+info",
                                         "-protocol_whitelist",
                                         "file,pipe",
                                         "-err_detect",
                                         "crccheck",
                                         "-i",
                                         "file:/dev/stdin",
                                         "-map",
                                         NULL,
                                         "-vn",
                                         "-af",
                                         "aresample=async=1:first_pts=0",
                                         "-c:a",
                                         "pcm_f32be",
                                         "-f",
                                         "au",
                                         "pipe:1",
                                         NULL };

/* In a process group of its own: Ctrl-C is for the caller, which ends the child itself. Signals that the caller may
 * ignore do what they do by default. */
static int spawn(pid_t *pid, const char *program, size_t track, int in, int out, int messages)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t usual;
    char map[32];
    char *argv[ARRAY_LEN(arguments)];
    snprintf(map, sizeof map, "0:a:%zu", track);
    for (size_t i = 0; i < ARRAY_LEN(arguments); i++)
        argv[i] = (char *)(uintptr_t)arguments[i];
    argv[MAP_AT + 1] = map;
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
    sigaddset(&usual, SIGCHLD);
    code = posix_spawnattr_setsigdefault(&attributes, &usual);
    if (code == 0)
        code = posix_spawnattr_setpgroup(&attributes, 0);
    if (code == 0)
        code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const int from[] = { in, out, messages };
    for (int fd = 0; code == 0 && fd < 3; fd++)
        code = posix_spawn_file_actions_adddup2(&files, from[fd], fd);
    if (code == 0)
        code = posix_spawnp(pid, program, &files, &attributes, argv, environ);
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

bool ffmpeg_start(ffmpeg *f, const char *program, int in, size_t track)
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
    code = out >= 0 && f->fd >= 0 && message_fd >= 0 && own_in >= 0
               ? spawn(&f->pid, program, track, own_in, out, message_fd)
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

/* ---- its output ---------------------------------------------------------------------------- */

/* All n bytes, if there are as many. */
static size_t read_output(const ffmpeg *f, void *to, size_t n)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t got = read(f->fd, (char *)to + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool ffmpeg_read_header(ffmpeg *f)
{
    enum { HEADER = 24, FLOATS = 6 };
    unsigned char p[HEADER], skipped[256];
    if (read_output(f, p, HEADER) < HEADER || memcmp(p, ".snd", 4) != 0 || big_endian(p + 12) != FLOATS)
        return false;
    for (uint32_t left = big_endian(p + 4); left > HEADER;) {
        const uint32_t n = left - HEADER < sizeof skipped ? left - HEADER : sizeof skipped;
        if (read_output(f, skipped, n) < n)
            return false;
        left -= n;
    }
    f->rate = (int)(big_endian(p + 16) & INT32_MAX);
    f->channels = (int)(big_endian(p + 20) & INT32_MAX);
    return true;
}

size_t ffmpeg_read(ffmpeg *f, float *frames, size_t n)
{
    const size_t channels = (size_t)f->channels;
    unsigned char *bytes = (unsigned char *)frames;
    n = read_output(f, bytes, n * channels * sizeof *frames) / (channels * sizeof *frames);
    for (size_t i = 0; i < n * channels; i++) {
        const uint32_t bits = big_endian(bytes + i * sizeof bits);
        memcpy(&frames[i], &bits, sizeof bits);
    }
    return n;
}

/* ---- its messages -------------------------------------------------------------------------- */

/* A line such as "[mov,mp4 @ 0x55d0] [error] text" in parts; level and context are "" if it has none. */
typedef struct message {
    char line[512], context[32], level[16];
    const char *text;
} message;

/* The next line that is not empty, from *at on, which moves behind it; lines that are too long are passed over. The
 * program may still be writing, and shares the position of the descriptor: so that is left alone. */
static bool next_line(char *line, size_t size, int fd, off_t *at)
{
    ssize_t n;
    for (bool is_rest = false; (n = pread(fd, line, size - 1, *at)) > 0;) {
        line[n] = 0;
        const size_t length = strcspn(line, "\r\n");
        const bool has_end = line[length] != 0;
        line[length] = 0;
        *at += (off_t)(length + has_end);
        if (has_end && length > 0 && !is_rest)
            return true;
        is_rest = !has_end;
    }
    return false;
}

static bool next_message(const ffmpeg *f, off_t *at, message *m)
{
    if (!f->messages || !next_line(m->line, sizeof m->line, fileno(f->messages), at))
        return false;
    *m->context = *m->level = 0;
    m->text = m->line;
    for (const char *end; *m->text == '[' && (end = strstr(m->text, "] ")); m->text = end + 2) {
        const char *owner = strstr(m->text, " @ ");
        if (owner && owner < end)
            snprintf(m->context, sizeof m->context, "%.*s", (int)(owner - m->text - 1), m->text + 1);
        else
            snprintf(m->level, sizeof m->level, "%.*s", (int)(end - m->text - 1), m->text + 1);
    }
    return true;
}

/* "Stream #0:1[0x2](eng): Audio: aac (LC), 48000 Hz, stereo (default)" */
static void read_stream(const char *text, ffmpeg_tracks *t)
{
    const char *sound = strstr(text, ": Audio: "), *picture = strstr(text, ": Video: ");
    if (picture && t->n_pictures < FFMPEG_MAX_CODECS) {
        picture += strlen(": Video: ");
        snprintf(t->pictures[t->n_pictures++], sizeof t->pictures[0], "%.*s", (int)strcspn(picture, " ,("), picture);
    }
    if (!sound || t->n == FFMPEG_MAX_TRACKS)
        return;
    const char *language = memchr(text, '(', (size_t)(sound - text));
    if (language && strncmp(language, "(und)", 5) != 0)
        snprintf(t->tracks[t->n].language, sizeof t->tracks[0].language, "%.*s", (int)strcspn(language + 1, ")"),
                 language + 1);
    t->tracks[t->n++].is_default = strstr(sound, "(default)") != NULL;
}

void ffmpeg_list_tracks(const ffmpeg *f, ffmpeg_tracks *t)
{
    message m;
    off_t at = 0;
    *t = (ffmpeg_tracks){ 0 };
    while (next_message(f, &at, &m) && strncmp(m.text, "Output #", 8) != 0 &&
           strncmp(m.text, "Stream mapping", 14) != 0) {
        const char *stream = strstr(m.text, "Stream #0:");
        if (stream)
            read_stream(stream, t);
    }
}

/* An error that has to do with the sound. What other programs write has no level. */
static bool is_error(const message *m, const ffmpeg_tracks *t)
{
    static const char *const levels[] = { "", "error", "fatal", "panic" };
    bool is = false;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        is = is || strcmp(m->level, levels[i]) == 0;
    for (size_t i = 0; i < t->n_pictures; i++)
        is = is && strcmp(m->context, t->pictures[i]) != 0;
    return is && !strstr(m->text, "Last message repeated");
}

/* The last error, without the prefix "file:/dev/stdin: ". That there is no sound comes with advice about
 * options that the user has not given. */
static void last_error(const ffmpeg *f, char *text, size_t size)
{
    static const char input[] = "file:/dev/stdin: ", no_stream[] = "matches no streams";
    ffmpeg_tracks t;
    message m;
    off_t at = 0;
    *text = 0;
    ffmpeg_list_tracks(f, &t);
    while (next_message(f, &at, &m)) {
        if (!is_error(&m, &t))
            continue;
        const bool no_sound = strstr(m.text, no_stream) != NULL;
        if (strncmp(m.text, input, sizeof input - 1) == 0)
            m.text += sizeof input - 1;
        snprintf(text, size, "%s", no_sound ? "it has no audio" : m.text);
        if (no_sound)
            return;
    }
}

/* Waits for the child. False if its status is lost: the caller ignores SIGCHLD, or waits for all of its children. */
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
    const bool was_started = f->pid > 0, has_status = was_started && wait_for(f->pid, &how);
    f->pid = 0;
    last_error(f, text, size);
    if (!has_status)
        return was_started && !*text; /* a failure has a message */
    return WIFEXITED(how) && WEXITSTATUS(how) == 0;
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
