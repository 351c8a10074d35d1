/* qasr devices: lists compute devices under the names that --device takes. */
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/json_util.h"
#include "cli/cmd.h"
#include "cli/shared_opts.h"
#include "qasr/qasr_tools.h"

typedef struct args {
    int format;
} args;

static const opt opts[] = {
    TXT_JSON_OPT('f', offsetof(args, format)),
};

static const char *yes_no(int x) { return x ? "yes" : "no"; }

static void print_txt(const qasr_device_info *d)
{
    printf("%s\n    %s, %s, through %s\n", d->name, d->description, d->kind, d->backend);
    if (d->total_bytes && d->free_bytes)
        printf("    memory: %.1f GB, %.1f GB free\n", (double)d->total_bytes / 1e9, (double)d->free_bytes / 1e9);
    else if (d->total_bytes)
        printf("    memory: %.1f GB\n", (double)d->total_bytes / 1e9);
    printf("    flash attention: %s; weights used from mapped files: %s\n", yes_no(d->flash_attention),
           yes_no(d->maps_files));
    printf("    types: %s\n", d->types);
}

static json_t *device_object(const qasr_device_info *d)
{
    json_t *o = json_object(), *types = json_array();
    json_object_set_new(o, "name", json_text(d->name));
    json_object_set_new(o, "description", json_text(d->description));
    json_object_set_new(o, "kind", json_text(d->kind));
    json_object_set_new(o, "backend", json_text(d->backend));
    json_object_set_new(o, "free_bytes", json_integer((json_int_t)d->free_bytes));
    json_object_set_new(o, "total_bytes", json_integer((json_int_t)d->total_bytes));
    json_object_set_new(o, "flash_attention", json_boolean(d->flash_attention));
    json_object_set_new(o, "maps_files", json_boolean(d->maps_files));
    for (const char *p = d->types; *p; p += strcspn(p, " "), p += *p == ' ')
        json_array_append_new(types, json_stringn(p, strcspn(p, " ")));
    json_object_set_new(o, "types", types);
    return o;
}

static void print_all_json(void)
{
    json_t *list = json_array();
    qasr_device_info d = QASR_DEVICE_INFO_INIT;
    for (size_t i = 0; qasr_device_get(&d, i, NULL) == QASR_OK; i++)
        json_array_append_new(list, device_object(&d));
    json_print(list, stdout);
    printf("\n");
    json_decref(list);
}

static void print_all_txt(void)
{
    qasr_device_info d = QASR_DEVICE_INFO_INIT;
    size_t n = 0;
    while (qasr_device_get(&d, n, NULL) == QASR_OK) {
        print_txt(&d);
        n++;
    }
    if (!qasr_ggml_version())
        printf("\nThis program was built without ggml, which provides GPU devices; see docs/devices.md.\n");
    else if (n <= 2)
        printf("\nggml %s found no GPU; docs/devices.md lists the packages with its backends.\n", qasr_ggml_version());
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    opt_result parsed = opt_parse(&cmd_devices, &a, argc, argv);
    if (parsed != OPT_PARSED)
        return parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    if (a.format == REPORT_JSON)
        print_all_json();
    else
        print_all_txt();
    return EXIT_DONE;
}

const command cmd_devices = {
    "devices",
    "list the devices that --device takes",
    "[OPTIONS]",
    "Shows the devices on which models can run, with their memory. Besides the names listed, --device takes:\n"
    "auto: the first GPU with enough memory for the model and its KV cache, else the CPU.\n" DEVICE_KINDS
    ": the first device of that kind; with ':1' appended, the "
    "second.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){ { "List the devices", "qasr devices" }, { NULL, NULL } }
};
