/* Loads ggml's back ends, once per process, and finds devices by name. */
#include "device/ggml/ggml_find.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ggml-backend.h>
#include <ggml.h>

#include "base/buf.h"
#include "base/log.h"
#include "device/ggml/ggml_graph.h"
#include "device/ggml/ggml_weights.h"

/* ---- loading ----------------------------------------------------------------------------------------- */

/* ggml logs lines in parts. Errors are logged at debug level only, since the failing function reports them. */
static void forward_log(enum ggml_log_level level, const char *text, void *user)
{
    static _Thread_local char line[512];
    static _Thread_local size_t n;
    for (; *text; text++) {
        if (*text != '\n' && n < sizeof line - 1) {
            line[n++] = *text;
            continue;
        }
        line[n] = '\0';
        if (n)
            log_debug("ggml: %s", line);
        n = 0;
    }
}

static void load(void)
{
    ggml_log_set(forward_log, NULL);
    ggml_backend_load_all();
}

static void load_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
}

const char *ggml_device_version(void) { return ggml_version(); }

/* ---- devices ----------------------------------------------------------------------------------------- */

static const char *backend_name(ggml_backend_dev_t d) { return ggml_backend_reg_name(ggml_backend_dev_backend_reg(d)); }

/* Accelerators (BLAS) support only a few operations and need ggml's CPU back end. */
static bool works_alone(ggml_backend_dev_t d)
{
    enum ggml_backend_dev_type type = ggml_backend_dev_type(d);
    return type == GGML_BACKEND_DEVICE_TYPE_CPU || type == GGML_BACKEND_DEVICE_TYPE_GPU ||
           type == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

static bool is_gpu(ggml_backend_dev_t d)
{
    return works_alone(d) && ggml_backend_dev_type(d) != GGML_BACKEND_DEVICE_TYPE_CPU;
}

/* ggml's CPU must not be mistaken for ours. */
static bool is_ggml_cpu(ggml_backend_dev_t d) { return strcmp(backend_name(d), "CPU") == 0; }
static const char *public_name(ggml_backend_dev_t d) { return is_ggml_cpu(d) ? "ggml-cpu" : ggml_backend_dev_name(d); }

void find_describe(device_info *out, struct ggml_backend_device *d)
{
    struct ggml_backend_dev_props props;
    ggml_backend_dev_get_props(d, &props);
    *out = (device_info){ .free_bytes = props.memory_free,
                          .total_bytes = props.memory_total,
                          .maps_files = props.caps.buffer_from_host_ptr };
    snprintf(out->name, sizeof out->name, "%s", public_name(d));
    snprintf(out->description, sizeof out->description, "%s", props.description ? props.description : "");
    snprintf(out->backend, sizeof out->backend, "%s", backend_name(d));
    out->kind = props.type == GGML_BACKEND_DEVICE_TYPE_CPU    ? "cpu"
                : props.type == GGML_BACKEND_DEVICE_TYPE_IGPU ? "igpu"
                                                              : "gpu";
    out->flash_attention = graph_has_flash_attention(d, 128, QUANT_F16);
    for (quant_type t = 0; t < QUANT_TYPE_COUNT; t++)
        out->reads[t] = weights_read_type(d, t, 1024);
}

bool find_list(device_info *out, size_t index)
{
    load_once();
    for (size_t i = 0; i < ggml_backend_dev_count(); i++)
        if (works_alone(ggml_backend_dev_get(i)) && index-- == 0) {
            find_describe(out, ggml_backend_dev_get(i));
            return true;
        }
    return false;
}

/* ---- names ------------------------------------------------------------------------------------------- */

/* User-visible names of back ends, and ggml's names for them. */
static const struct {
    const char *name, *backend[2];
} kinds[] = {
    { "metal", { "MTL", "Metal" } },
    { "hip", { "ROCm", "HIP" } },
};

static bool same(const char *a, const char *b, size_t n) { return b && strlen(b) == n && strncasecmp(a, b, n) == 0; }

static bool has_name(ggml_backend_dev_t d, const char *name, size_t n)
{
    if (same(name, "gpu", n))
        return is_gpu(d);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (size_t k = 0; k < 2; k++)
            if (same(name, kinds[i].name, n) && same(kinds[i].backend[k], backend_name(d), strlen(kinds[i].backend[k])))
                return true;
    return same(name, public_name(d), n) || (!is_ggml_cpu(d) && same(name, backend_name(d), n));
}

static qasr_status not_found(const char *name, qasr_error *err)
{
    buf list;
    qasr_status status = QASR_OK;
    buf_init(&list, 4096);
    for (size_t i = 0; i < ggml_backend_dev_count() && status == QASR_OK; i++)
        if (works_alone(ggml_backend_dev_get(i)))
            status = buf_printf(&list, NULL, ", %s", public_name(ggml_backend_dev_get(i)));
    error_write(err, QASR_E_UNSUPPORTED, "device '%s' not found; available: cpu%s", name, buf_str(&list));
    buf_free(&list);
    return QASR_E_UNSUPPORTED;
}

qasr_status find_device(struct ggml_backend_device **out, const char *name, qasr_error *err)
{
    const char *colon = strrchr(name, ':');
    char *end = NULL;
    unsigned long wanted = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (colon && (colon[1] < '0' || colon[1] > '9' || *end))
        colon = NULL; /* part of a name */
    size_t n = colon ? (size_t)(colon - name) : strlen(name), seen = 0;
    load_once();
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t d = ggml_backend_dev_get(i);
        if (works_alone(d) && has_name(d, name, n) && seen++ == (colon ? wanted : 0)) {
            *out = d;
            return QASR_OK;
        }
    }
    return not_found(name, err);
}
