/* See file_lock.h. flock, not fcntl: the latter's locks end as soon as any descriptor of the file is closed. */
#include "app/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/message.h"

/* False if the name belongs to another file by now: the run that had the lock has replaced or removed it. */
static bool is_current(int fd, const char *path)
{
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

bool file_lock_take(int *fd, const char *path, const char *command, const char *name)
{
    for (;; file_lock_release(fd)) {
        *fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (*fd < 0)
            return message_fail("cannot write '%s': %s", path, strerror(errno));
        int answer;
        do
            answer = flock(*fd, LOCK_EX | LOCK_NB);
        while (answer != 0 && errno == EINTR);
        if (answer != 0 && errno == EWOULDBLOCK) {
            file_lock_release(fd);
            return message_fail("another run of qasr is using '%s'; wait until it finishes", name);
        }
        if (answer != 0)
            message_warn("cannot lock '%s' (%s): do not start another %s that uses it", name, strerror(errno), command);
        if (answer != 0 || is_current(*fd, path))
            return true;
    }
}

void file_lock_release(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
