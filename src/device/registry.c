/* See registry.h. */
#include "device/registry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "device/cpu/cpu.h"
#include "device/ggml/ggml_device.h"

/* The packages that provide each kind of device. */
static const struct {
    const char *name, *packages;
} kinds[] = {
    { "metal", "install Homebrew's 'ggml' (macOS only)" },
    { "vulkan", "install Debian's 'libggml0-backend-vulkan' and a Vulkan driver" },
    { "cuda", "install Debian's 'libggml0-backend-cuda' or a ggml built with GGML_CUDA" },
    { "hip", "install Debian's 'libggml0-backend-hip' or a ggml built with GGML_HIP" },
    { "gpu", "install Homebrew's 'ggml' (Metal) or Debian's 'libggml0-backend-vulkan' (Vulkan)" },
};

/* The packages to install for a device, NULL if unknown. */
static const char *packages_for(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strncasecmp(name, kinds[i].name, strlen(kinds[i].name)) == 0)
            return kinds[i].packages;
    return NULL;
}

/* Appends the packages to install to the message. */
static void add_packages(qasr_error *err, const char *packages)
{
    qasr_error first = *err;
    error_write(err, first.status, "%s; %s (docs/devices.md)", first.message, packages);
}

/* In the order in which device_open tries them. */
static const device_driver *const drivers[] = { &cpu_driver, &ggml_driver };

qasr_status device_open(device **out, const char *name, unsigned n_threads, device_precision precision, qasr_error *err)
{
    name = name ? name : "cpu";
    qasr_error own;
    const char *packages = packages_for(name);
    if (packages && !ggml_device_version())
        packages = "install ggml and one of its back ends, then build qasr again";
    qasr_status status = QASR_E_UNSUPPORTED;
    for (size_t i = 0; i < ARRAY_LEN(drivers) && status == QASR_E_UNSUPPORTED; i++)
        status = drivers[i]->open(out, name, n_threads, precision, &own);
    if (status == QASR_E_UNSUPPORTED && packages)
        add_packages(&own, packages);
    else if (status == QASR_E_UNSUPPORTED)
        own.status = status = QASR_E_INVALID;
    if (status != QASR_OK && err)
        *err = own;
    return status;
}

bool device_list(device_info *out, size_t i)
{
    for (size_t d = 0; d < ARRAY_LEN(drivers); d++) {
        size_t n = 0;
        while (n <= i && drivers[d]->list(out, n))
            n++;
        if (n > i)
            return true;
        i -= n;
    }
    return false;
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
        log_warning("device '%s' has %.1f GB free, but model and KV cache may need %.1f GB: using the CPU", first.name,
                    (double)first.free_bytes / 1e9, (double)n_bytes / 1e9);
    snprintf(name, DEVICE_NAME_BYTES, "cpu");
}
