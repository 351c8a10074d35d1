/* See data_path.h. */
#include "app/data_path.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* NULL if there is no such file. */
static char *find_in(const char *dir, const char *between, const char *name)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s%s/%s", dir, between, name);
    return n > 0 && (size_t)n < sizeof path ? realpath(path, NULL) : NULL;
}

/* The folder of the program; false where the system does not tell. */
static bool find_program_dir(char dir[PATH_MAX])
{
    const ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
    if (n <= 0)
        return false;
    dir[n] = 0;
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = 0;
    return slash != NULL;
}

char *data_path(const char *name)
{
    char dir[PATH_MAX];
    const char *variable = getenv("QASR_DATA_DIR");
    if (variable && *variable)
        return find_in(variable, "", name);
    char *path = find_program_dir(dir) ? find_in(dir, "/../share/qasr", name) : NULL;
    return path ? path : find_in(QASR_DATA_DIR, "", name);
}
