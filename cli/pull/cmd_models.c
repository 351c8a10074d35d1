/* qasr models: lists the models in the cache, and the default one. */
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/columns.h"
#include "app/json_util.h"
#include "app/message.h"
#include "app/models.h"
#include "cli/cmd.h"
#include "cli/shared_opts.h"

typedef struct args {
    int format;
} args;

static const opt opts[] = {
    TXT_JSON_OPT(0, offsetof(args, format)),
};

/* ---- text ------------------------------------------------------------------------------------ */

static void print_entry(const model_entry *e, int width)
{
    columns_pad(e->name, width);
    printf(" %10.1f  ", (double)e->bytes / 1e6);
    if (e->partial)
        printf("%-8s  incomplete; pull it again to resume\n", "");
    else
        printf("%-8.8s  %s\n", e->files.repo ? e->files.commit : "", e->files.repo ? e->files.repo : "not pulled");
}

static void print_default(const model_list *l)
{
    const char *variable = getenv("QASR_MODEL");
    const model_entry *e = models_newest(l);
    if (variable && *variable)
        printf("without --model: '%s' (QASR_MODEL)\n", variable);
    else if (e)
        printf("without --model: %s\n", e->name);
}

static void print_txt(const model_list *l, const char *cache_dir)
{
    int width = columns_of("model");
    for (size_t i = 0; i < l->n; i++)
        width = columns_of(l->list[i].name) > width ? columns_of(l->list[i].name) : width;
    if (l->n == 0) {
        printf("no models in '%s'; get one with: qasr pull 0.6b\n", cache_dir);
        return;
    }
    printf("models in '%s':\n\n%-*s %10s  %-8s  %s\n", cache_dir, width, "model", "MB", "commit", "from");
    for (size_t i = 0; i < l->n; i++)
        print_entry(&l->list[i], width);
    printf("\n");
    print_default(l);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *entry_object(const model_entry *e, bool is_default)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_text(e->name));
    json_object_set_new(o, "path", json_text(e->path));
    json_object_set_new(o, "whole", json_boolean(!e->partial));
    json_object_set_new(o, "default", json_boolean(is_default));
    json_object_set_new(o, "bytes", json_integer((json_int_t)e->bytes));
    json_object_set_new(o, "repo", e->files.repo ? json_text(e->files.repo) : json_null());
    json_object_set_new(o, "revision", e->files.repo ? json_text(e->files.revision) : json_null());
    json_object_set_new(o, "commit", e->files.repo ? json_text(e->files.commit) : json_null());
    return o;
}

static void print_json(const model_list *l, const char *cache_dir)
{
    json_t *root = json_object(), *list = json_array();
    const model_entry *best = models_newest(l);
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(list, entry_object(&l->list[i], &l->list[i] == best));
    json_object_set_new(root, "directory", json_text(cache_dir));
    json_object_set_new(root, "models", list);
    json_print(root, stdout);
    printf("\n");
    json_decref(root);
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool list_models(const args *a)
{
    model_list l = { 0 };
    char *cache_dir = models_cache_dir();
    bool good = cache_dir || message_fail("no directory for models: neither XDG_CACHE_HOME nor HOME is set");
    good = good && models_list(&l, cache_dir);
    if (good && a->format == REPORT_JSON)
        print_json(&l, cache_dir);
    else if (good)
        print_txt(&l, cache_dir);
    models_list_free(&l);
    free(cache_dir);
    return good;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    opt_result parsed = opt_parse(&cmd_models, &a, argc, argv);
    if (parsed != OPT_PARSED)
        return parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    return list_models(&a) ? EXIT_DONE : EXIT_FAILED;
}

const command cmd_models = {
    "models",
    "list pulled models",
    "[OPTIONS]",
    "Shows the models that 'qasr pull' has fetched. Each is a directory in XDG_CACHE_HOME/qasr/models "
    "(~/.cache/qasr/models); remove it to delete the model.\n"
    "Commands take models by name: --model 0.6b. Without --model they use QASR_MODEL, else the most recently pulled "
    "one.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){ { "List the models", "qasr models" }, { NULL, NULL } }
};
