/* qasr info: shows the contents of a model directory, a .safetensors or a .gguf file. */
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json_util.h"
#include "app/message.h"
#include "app/metrics.h"
#include "app/models.h"
#include "cli/cmd.h"
#include "cli/shared_opts.h"
#include "qasr/qasr_tools.h"

typedef struct args {
    opt_files paths;
    int tensors, format;
} args;

static const opt opts[] = {
    { "path", 0, "PATH", "model directory, .safetensors or .gguf file, or the name of a pulled model", OPT_FILE,
      offsetof(args, paths) },
    { "tensors", 0, NULL, "list the tensors too", OPT_FLAG, offsetof(args, tensors) },
    TXT_JSON_OPT(0, offsetof(args, format)),
};

static void print_txt(const qasr_inspect *info, int tensors)
{
    char shape[100];
    const char *value;
    for (size_t i = 0; i < qasr_inspect_fact_count(info); i++) {
        const char *key = qasr_inspect_fact(info, i, &value);
        printf("%-24s %s\n", key, value);
    }
    for (size_t i = 0; tensors && i < qasr_inspect_tensor_count(info); i++) {
        const qasr_tensor_info *t = qasr_inspect_tensor(info, i);
        metrics_shape_text(shape, sizeof shape, t->n_dims, t->shape);
        printf("%s%-60s %-5s %-18s %-9s %12" PRIu64 "  %s\n", i ? "" : "\n", t->name, t->type, shape, t->part, t->bytes,
               t->file);
    }
}

static json_t *tensor_object(const qasr_tensor_info *t)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_text(t->name));
    json_object_set_new(o, "type", json_text(t->type));
    json_object_set_new(o, "shape", json_shape(t->n_dims, t->shape));
    json_object_set_new(o, "part", json_text(t->part));
    json_object_set_new(o, "bytes", json_integer((json_int_t)t->bytes));
    json_object_set_new(o, "file", json_text(t->file));
    return o;
}

static void print_json(const qasr_inspect *info, const char *path, int tensors)
{
    json_t *root = json_object(), *facts = json_object(), *list = json_array();
    const char *value;
    for (size_t i = 0; i < qasr_inspect_fact_count(info); i++) {
        const char *key = qasr_inspect_fact(info, i, &value);
        json_object_set_new(facts, key, json_text(value));
    }
    for (size_t i = 0; tensors && i < qasr_inspect_tensor_count(info); i++)
        json_array_append_new(list, tensor_object(qasr_inspect_tensor(info, i)));
    json_object_set_new(root, "path", json_text(path));
    json_object_set_new(root, "facts", facts);
    if (tensors)
        json_object_set(root, "tensors", list);
    json_decref(list);
    json_print(root, stdout);
    printf("\n");
    json_decref(root);
}

static int info_of(const char *path, const args *a)
{
    qasr_inspect *info = NULL;
    qasr_error err;
    if (qasr_inspect_open(&info, path, &err) != QASR_OK) {
        message_print(err.message);
        return EXIT_FAILED;
    }
    if (a->format == REPORT_JSON)
        print_json(info, path, a->tensors);
    else
        print_txt(info, a->tensors);
    qasr_inspect_close(info);
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    char *path = NULL;
    int status;
    opt_result parsed = opt_parse(&cmd_info, &a, argc, argv);
    if (parsed != OPT_PARSED)
        status = parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    else if (a.paths.n != 1)
        status = opt_usage_error(&cmd_info, "expected one path, got %zu", a.paths.n);
    else
        status = models_resolve(&cmd_info, &path, a.paths.names[0]);
    if (path)
        status = info_of(path, &a);
    free(path);
    opt_files_free(&a.paths);
    return status;
}

const command cmd_info = { "info",
                           "show the contents of a model directory, .safetensors or .gguf file",
                           "PATH [OPTIONS]",
                           "Describes a model without loading it: configuration, tokenizer, types and sizes of its "
                           "weights. Damaged or incomplete files are errors.\n",
                           opts,
                           sizeof opts / sizeof opts[0],
                           run,
                           (const opt_example[]){ { "Describe a model", "qasr info model" },
                                                  { "List its tensors", "qasr info model --tensors" },
                                                  { NULL, NULL } } };
