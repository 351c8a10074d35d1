/* See fuzz.h. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

_Noreturn void fuzz_finding(const char *fact, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, fact);
    abort();
}

static void remove_folder(void)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') {
            char path[sizeof folder + sizeof e->d_name + 1];
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            unlink(path);
        }
    if (d)
        closedir(d);
    rmdir(folder);
}

const char *fuzz_folder(void)
{
    if (folder[0])
        return folder;
    /* in memory if the system allows it, since every input writes a file */
    snprintf(folder, sizeof folder, "%s/qasr-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    atexit(remove_folder);
    return folder;
}

const char *fuzz_file(const char *name, const void *data, size_t size)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    return path;
}

void fuzz_split(const uint8_t *data, size_t *size, const uint8_t **rest, size_t *n_rest)
{
    const uint8_t *zero = *size ? memchr(data, 0, *size) : NULL;
    const uint8_t *end = data + *size;
    *rest = zero ? zero + 1 : end;
    *n_rest = (size_t)(end - *rest);
    *size = (size_t)((zero ? zero : end) - data);
}
