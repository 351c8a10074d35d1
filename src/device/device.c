/* Finds a device by name: the CPU is ours, all others are ggml's. */
#include "device/device.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/log.h"
#include "device/cpu.h"
#include "device/ggml_device.h"

/* Where each kind of device comes from. */
static const struct { const char *name, *packages; } kinds[] = {
    { "metal", "Homebrew's 'ggml' has it (Macs)" },
    { "vulkan", "Debian's 'libggml0-backend-vulkan' and a Vulkan driver give it" },
    { "cuda", "Debian's 'libggml0-backend-cuda' or a ggml built with GGML_CUDA has it" },
    { "hip", "Debian's 'libggml0-backend-hip' or a ggml built with GGML_HIP has it" },
    { "gpu", "Homebrew's 'ggml' has Metal, Debian's 'libggml0-backend-vulkan' has Vulkan" },
};

/* What to install for a device, NULL if nobody knows. */
static const char *packages_for(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strncasecmp(name, kinds[i].name, strlen(kinds[i].name)) == 0)
            return kinds[i].packages;
    return NULL;
}

/* The message ends with the way to such a device. */
static void add_packages(qasr_error *err, const char *packages)
{
    qasr_error first = *err;
    error_write(err, first.status, "%s; %s (docs/devices.md)", first.message, packages);
}

qasr_status device_open(device **out, const char *name, unsigned n_threads, device_precision precision, qasr_error *err)
{
    if (!name || strcasecmp(name, "cpu") == 0)
        return cpu_device_open(out, n_threads, precision, err);
    qasr_error own;
    const char *packages = packages_for(name);
    qasr_status status = ggml_device_open(out, name, n_threads, precision, &own);
    if (status == QASR_E_UNSUPPORTED && packages)
        add_packages(&own, packages);
    else if (status == QASR_E_UNSUPPORTED)
        own.status = status = QASR_E_INVALID;
    if (status != QASR_OK && err)
        *err = own;
    return status;
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void describe_cpu(device_info *out)
{
    *out = (device_info){ .name = "cpu", .backend = "qasr", .kind = "cpu", .flash_attention = true, .maps_files = true };
    snprintf(out->description, sizeof out->description, "CPU level %s", cpu_level_name(kernels_get(cpu_detect())->level));
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    out->total_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        out->reads[t] = true;
}

bool device_list(device_info *out, size_t i)
{
    if (i > 0)
        return ggml_device_list(out, i - 1);
    describe_cpu(out);
    return true;
}

void device_choose(char name[DEVICE_NAME_BYTES], uint64_t n_bytes)
{
    device_info info, first = { .kind = "cpu" };
    for (size_t i = 1; device_list(&info, i); i++) {
        if (strcmp(info.kind, "cpu") == 0)
            continue;
        if (info.free_bytes >= n_bytes) {
            memcpy(name, info.name, DEVICE_NAME_BYTES);
            return;
        }
        if (!first.name[0])
            first = info;
    }
    if (first.name[0])
        log_warning("device '%s' has %.1f GB free, model and cache may need %.1f GB: using the CPU", first.name,
                    (double)first.free_bytes / 1e9, (double)n_bytes / 1e9);
    snprintf(name, DEVICE_NAME_BYTES, "cpu");
}
