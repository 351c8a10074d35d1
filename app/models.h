/* Models by name: published models, pulled models, and the choice of the model to use.
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
    const char *tokenizer_repo; /* repository with its tokenizer's files, in case they are missing; NULL: none */
    bool transcribes;           /* false: the aligner */
} known_model;

/* The i-th, NULL after the last. */
const known_model *models_known(size_t i);

/* A parsed "NAME" or "REPO", either with an optional "@REVISION". */
typedef struct model_spec {
    const known_model *known; /* NULL: not a published model */
    char repo[200];           /* "Qwen/Qwen3-ASR-0.6B" */
    char revision[100];       /* "main" */
    char dir_name[320];       /* its directory in the cache: "0.6b", "Org--Name", "0.6b@REVISION" */
} model_spec;

/* layout: NULL, "original" or "hf", the published variant to use. False if the text is neither the name of a published
 * model nor formatted like a repository; prints nothing. */
bool models_parse(model_spec *out, const char *text, const char *layout);

/* $XDG_CACHE_HOME/qasr/models or ~/.cache/qasr/models. NULL if neither variable is set (or without memory). Free it. */
char *models_cache_dir(void);

/* One directory of the cache. */
typedef struct model_entry {
    char *name, *path;
    bool partial;   /* an unfinished pull */
    manifest files; /* of a pulled model; repo NULL: not pulled, put there by hand */
    uint64_t bytes; /* on disk, all files */
    int64_t time;   /* when it was pulled, in nanoseconds: small models can arrive within the same second */
} model_entry;

typedef struct model_list {
    model_entry *list; /* by name */
    size_t n, cap;
} model_list;

/* An absent directory is an empty list. False on error (printed). */
bool models_list(model_list *out, const char *cache_dir);
void models_list_free(model_list *l);
/* The most recently pulled model that transcribes; NULL if there is none. */
const model_entry *models_newest(const model_list *l);

/* Finds the model to use. given: an existing path, or the name of a model in the cache; NULL: the value of
 * QASR_MODEL, interpreted the same way, else the most recently pulled model that transcribes. Free *path. Returns
 * EXIT_DONE, or the exit status after an error message. */
int models_resolve(const command *cmd, char **path, const char *given);

#endif
