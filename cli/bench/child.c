/* See child.h. */
#include "cli/bench/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/message.h"
#include "app/signals.h"

static volatile sig_atomic_t interrupted;
static volatile pid_t running; /* 0: none; changed only while the signals are blocked */

static void on_signal(int number)
{
    int code = errno;
    (void)number;
    interrupted = 1;
    if (running > 0)
        kill(running, SIGTERM);
    errno = code;
}

void child_catch_signals(void) { signals_catch(on_signal, 0); }
bool child_interrupted(void) { return interrupted != 0; }

static void block_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < SIGNALS_N_ENDING; i++)
        sigaddset(&set, signals_ending[i]);
    sigprocmask(how, &set, NULL);
}

static _Noreturn void run_child(child_fn fn, const void *arg, int fd)
{
    signals_catch(SIG_DFL, 0);
    block_signals(SIG_UNBLOCK);
    FILE *f = fdopen(fd, "wb");
    bool good = f && fn(arg, f);
    good = f && fclose(f) == 0 && good;
    _exit(good ? 0 : 1); /* the parent flushes its own buffered output */
}

/* All bytes up to the end; NULL without memory or on a failed read. */
static char *read_all(int fd, size_t *size)
{
    size_t room = 4096;
    char *data = malloc(room);
    *size = 0;
    while (data) {
        ssize_t n = read(fd, data + *size, room - *size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                return data;
            break;
        }
        *size += (size_t)n;
        if (*size < room)
            continue;
        char *more = realloc(data, room *= 2);
        if (!more)
            break;
        data = more;
    }
    free(data);
    return NULL;
}

/* Exit status, as from waitpid, of a child that has closed its end of the pipe and is about to exit. */
static int wait_for(pid_t pid)
{
    int status = 1;
    block_signals(SIG_BLOCK); /* once it is reaped, its pid must not be signalled any more */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    running = 0;
    block_signals(SIG_UNBLOCK);
    return status;
}

/* Returns the read end of the pipe, -1 on failure. */
static int start(child_fn fn, const void *arg)
{
    int fd[2];
    if (interrupted || pipe(fd) != 0)
        return -1;
    block_signals(SIG_BLOCK);
    pid_t pid = interrupted ? -1 : fork();
    if (pid == 0) {
        close(fd[0]);
        run_child(fn, arg, fd[1]);
    }
    running = pid > 0 ? pid : 0;
    block_signals(SIG_UNBLOCK);
    close(fd[1]);
    if (pid > 0)
        return fd[0];
    close(fd[0]);
    return -1;
}

bool child_run(child_fn fn, const void *arg, char **data, size_t *size)
{
    int fd = start(fn, arg);
    if (fd < 0)
        return interrupted ? false : message_fail("cannot start a process: %s", strerror(errno));
    pid_t pid = running;
    *data = read_all(fd, size);
    bool read_well = *data != NULL;
    close(fd);
    int status = wait_for(pid);
    if (read_well && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    free(*data);
    *data = NULL;
    if (WIFSIGNALED(status) && !interrupted) {
        message_fail("a run was killed by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                     WTERMSIG(status) == SIGKILL ? ": out of memory?" : "");
    } else if (!read_well && !interrupted) {
        message_print("out of memory");
    }
    return false;
}

bool child_run_fixed(child_fn fn, const void *arg, void *result, size_t size)
{
    char *data;
    size_t n;
    if (!child_run(fn, arg, &data, &n))
        return false;
    bool whole = n == size;
    if (whole && size > 0)
        memcpy(result, data, size);
    if (!whole)
        message_print("a run ended without a result");
    free(data);
    return whole;
}
