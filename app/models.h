/* Models by name: the published ones that names stand for, those that were pulled, and which one a command is to use.
 */
#ifndef QASR_APP_MODELS_H
#define QASR_APP_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/manifest.h"
#include "app/opt.h"

/* A published model. */
typedef struct known_model {
    const char *name, *repo;
    const char *tokenizer_repo; /* where its tokenizer's files are, should they be missing; NULL: nowhere else */
    bool transcribes;           /* false: the aligner */
} known_model;

/* The i-th, NULL after the last. */
const known_model *models_known(size_t i);

/* "NAME", "REPO", or one of them with "@REVISION", taken apart. */
typedef struct model_spec {
    const known_model *known; /* NULL: not one of the published */
    char repo[200];           /* "Qwen/Qwen3-ASR-0.6B" */
    char revision[100];       /* "main" */
    char dir_name[320];       /* its directory in the cache: "0.6b", "Org--Name", "0.6b@REVISION" */
} model_spec;

/* Layout: NULL, "original" or "hf", the published variant to take. False if the text is neither the name of a published
 * model nor has the form of a repository; nothing is printed. */
bool models_parse(model_spec *out, const char *text, const char *layout);

/* $XDG_CACHE_HOME/qasr/models or ~/.cache/qasr/models. NULL if neither variable is set (or without memory). Free it. */
char *models_cache_dir(void);

/* One directory of the cache. */
typedef struct model_entry {
    char *name, *path;
    bool partial;   /* a pull that has not ended */
    manifest files; /* of a pulled model; repo NULL: something else, put there by hand */
    uint64_t bytes; /* on disk, all files */
    int64_t time;   /* when it came, in nanoseconds: pulls of small models follow each other within a second */
} model_entry;

typedef struct model_list {
    model_entry *list; /* by name */
    size_t n, cap;
} model_list;

/* No directory: no models. False on error (printed). */
bool models_list(model_list *out, const char *cache_dir);
void models_list_free(model_list *l);
/* The pulled model that transcribes and came last; NULL if there is none. */
const model_entry *models_newest(const model_list *l);

/* Finds the model that a command is to use. given: what the user said: a path that exists, or the name of a model in
 * the cache. NULL: what QASR_MODEL says in the same way, else the only or the newest pulled model that transcribes.
 * *path is to be freed. EXIT_DONE, or the exit status after a line on stderr. */
int models_resolve(const command *cmd, char **path, const char *given);

#endif
