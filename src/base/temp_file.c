/* See temp_file.h. */
#include "base/temp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { N_RANDOM = 6, N_ENDING = sizeof ".XXXXXX.tmp" - 1, USUAL_NAME_MAX = 255, MAX_ATTEMPTS = 100, MAX_LINKS = 40 };

/* Letters and digits that differ between processes and from call to call; that no such file exists is checked. */
static void put_random(char *to, size_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t state = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + ((uint64_t)getpid() << 40);
    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005 + 1442695040888963407;
        to[i] = letters[(state >> 33) % (sizeof letters - 1)];
    }
}

/* The longest name that the folder of path takes, and the system in a path. */
static size_t longest_name(const char *path, size_t n_folder)
{
    char *folder = strndup(n_folder ? path : ".", n_folder ? n_folder : 1);
    long longest = folder ? pathconf(folder, _PC_NAME_MAX) : -1;
    free(folder);
    const size_t in_folder = longest > 0 ? (size_t)longest : USUAL_NAME_MAX;
    const size_t in_path = n_folder < PATH_MAX ? PATH_MAX - 1 - n_folder : 0;
    return in_folder < in_path ? in_folder : in_path;
}

/* Writes another temporary name each time. tmp has room for path and N_ENDING more. */
static void make_name(char *tmp, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const size_t n_folder = (size_t)(name - path), n_name = strlen(name), longest = longest_name(path, n_folder);
    size_t kept = longest > N_ENDING ? longest - N_ENDING : 0;
    memcpy(tmp, path, n_folder);
    tmp += n_folder;
    if (!kept) { /* the path is as long as a path may be */
        put_random(tmp, n_name < longest ? n_name : longest);
        tmp[n_name < longest ? n_name : longest] = 0;
        return;
    }
    kept = n_name < kept ? n_name : kept;
    while (kept < n_name && kept > 0 && ((unsigned char)name[kept] & 0xC0) == 0x80)
        kept--; /* no part of a character: some systems want UTF-8 */
    memcpy(tmp, name, kept);
    tmp[kept] = '.';
    put_random(tmp + kept + 1, N_RANDOM);
    strcpy(tmp + kept + 1 + N_RANDOM, ".tmp");
}

/* Without permission to give the file to the old group, its new group has no more rights than others. */
static bool take_over_owner(int fd, const struct stat *old)
{
    mode_t mode = old->st_mode & 0777;
    if (fchown(fd, old->st_uid, old->st_gid) != 0 && fchown(fd, (uid_t)-1, old->st_gid) != 0)
        mode = (mode & ~(mode_t)070) | (mode & (mode & 007) << 3);
    return fchmod(fd, mode) == 0;
}

int temp_file_create(char **tmp_path, const char *path)
{
    struct stat old;
    const bool replaces = stat(path, &old) == 0;
    int fd = -1;
    *tmp_path = malloc(strlen(path) + N_ENDING + 1);
    if (!*tmp_path)
        return -1;
    errno = EEXIST;
    for (int i = 0; i < MAX_ATTEMPTS && fd < 0 && errno == EEXIST; i++) {
        make_name(*tmp_path, path);
        fd = open(*tmp_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, replaces ? 0600 : 0666);
    }
    if (fd >= 0 && replaces && !take_over_owner(fd, &old)) {
        const int code = errno;
        close(fd);
        unlink(*tmp_path);
        errno = code;
        fd = -1;
    }
    if (fd >= 0)
        return fd;
    const int code = errno;
    free(*tmp_path);
    *tmp_path = NULL;
    errno = code;
    return -1;
}

/* The place that a link at path names, relative to the folder of the link. */
static char *read_link(const char *path)
{
    char place[PATH_MAX];
    const ssize_t n = readlink(path, place, sizeof place);
    const char *slash = strrchr(path, '/');
    const size_t n_folder = slash && place[0] != '/' ? (size_t)(slash + 1 - path) : 0;
    char *full = n < 0 ? NULL : malloc(n_folder + (size_t)n + 1);
    if (!full)
        return NULL;
    memcpy(full, path, n_folder);
    memcpy(full + n_folder, place, (size_t)n);
    full[n_folder + (size_t)n] = 0;
    return full;
}

char *temp_file_target(const char *path)
{
    struct stat st;
    char *target = strdup(path);
    for (int i = 0; target && lstat(target, &st) == 0 && S_ISLNK(st.st_mode); i++) {
        char *next = i < MAX_LINKS ? read_link(target) : NULL;
        if (i == MAX_LINKS)
            errno = ELOOP;
        free(target);
        target = next;
    }
    return target;
}
