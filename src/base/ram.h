/* Memory of the machine, or of the control group (container) that the process runs in, whichever is less. */
#ifndef QASR_BASE_RAM_H
#define QASR_BASE_RAM_H

#include <stdint.h>

typedef struct ram_info {
    uint64_t total_bytes;     /* 0: unknown */
    uint64_t available_bytes; /* what can be allocated without swapping; 0: unknown */
} ram_info;

ram_info ram_detect(void);
/* The same from other places than /proc and /sys/fs/cgroup. total_bytes: physical memory, which is not in a file. */
ram_info ram_read(uint64_t total_bytes, const char *proc_dir, const char *cgroup_dir);

#endif
