/* Linux lists available memory in /proc/meminfo, the control groups of a process in /proc/self/cgroup, and the limits
 * of a group and of the groups around it below /sys/fs/cgroup: version 2 as one tree, version 1 as one per resource. A
 * container may see its own group as the root of that tree while /proc names it by a longer path; looking into every
 * directory on the way to the root finds the limits in both cases. Other systems only tell the physical memory. */
#include "base/ram.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The files of one version. */
typedef struct group_files {
    const char *tree; /* directory of the tree */
    const char *limit, *usage;
    const char *cache_key; /* in memory.stat: pages of files that are given up first */
} group_files;

static const group_files version_1 = { "/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                       "total_inactive_file" };
static const group_files version_2 = { "", "memory.max", "memory.current", "inactive_file" };

static uint64_t lesser(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Finds the number behind a key at the start of a line of DIR/NAME: "MemAvailable:   16384 kB". False if there is none.
 */
static bool read_key(uint64_t *out, const char *dir, const char *name, const char *key)
{
    char path[PATH_MAX], line[256];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), " %" SCNu64, out) == 1;
    if (f)
        fclose(f);
    return found;
}

/* Applies the limit of one group. "max", or a number beyond the physical memory, as version 1 has it: no limit. */
static void apply_group(ram_info *ram, const group_files *g, const char *dir)
{
    uint64_t limit, used, cache = 0;
    if (!read_key(&limit, dir, g->limit, "") || limit == 0 ||
        limit >= (ram->total_bytes ? ram->total_bytes : (uint64_t)1 << 62))
        return;
    ram->total_bytes = limit;
    if (!read_key(&used, dir, g->usage, ""))
        return;
    read_key(&cache, dir, "memory.stat", g->cache_key);
    used -= lesser(cache, used);
    uint64_t left = used < limit ? limit - used : 1; /* 0 would be unknown */
    ram->available_bytes = ram->available_bytes ? lesser(left, ram->available_bytes) : left;
}

/* Applies the limits of a group, and of those around it. */
static void apply_groups(ram_info *ram, const group_files *g, const char *cgroup_dir, const char *group)
{
    char dir[PATH_MAX];
    int n = snprintf(dir, sizeof dir, "%s%s%s", cgroup_dir, g->tree, strcmp(group, "/") == 0 ? "" : group);
    size_t root = strlen(cgroup_dir) + strlen(g->tree);
    if (n < 0 || (size_t)n >= sizeof dir)
        return;
    for (;;) {
        apply_group(ram, g, dir);
        char *slash = strrchr(dir, '/');
        if (strlen(dir) <= root || !slash)
            return;
        *slash = 0;
    }
}

/* A line of /proc/self/cgroup is "0::/group" (version 2) or "4:memory,other:/group" (version 1). */
static void apply_line(ram_info *ram, const char *cgroup_dir, char *line)
{
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return;
    *group++ = 0;
    controllers++;
    group[strcspn(group, "\n")] = 0;
    if (!*controllers) {
        apply_groups(ram, &version_2, cgroup_dir, group);
        return;
    }
    for (char *rest, *name = strtok_r(controllers, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        if (strcmp(name, "memory") == 0)
            apply_groups(ram, &version_1, cgroup_dir, group);
}

ram_info ram_read(uint64_t total_bytes, const char *proc_dir, const char *cgroup_dir)
{
    char path[PATH_MAX], line[PATH_MAX];
    ram_info ram = { .total_bytes = total_bytes };
    uint64_t kib;
    if (read_key(&kib, proc_dir, "meminfo", "MemAvailable:") && kib <= UINT64_MAX / 1024)
        ram.available_bytes = kib * 1024;
    snprintf(path, sizeof path, "%s/self/cgroup", proc_dir);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        apply_line(&ram, cgroup_dir, line);
    if (f)
        fclose(f);
    return ram;
}

ram_info ram_detect(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return ram_read(pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0, "/proc", "/sys/fs/cgroup");
}
