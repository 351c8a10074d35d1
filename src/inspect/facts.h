/* The list of facts about a model, and the functions that add them: key = value lines about the contents of files,
 * cleaned for display. Numbers have the units of the file formats. */
#ifndef QASR_INSPECT_FACTS_H
#define QASR_INSPECT_FACTS_H

#include <stdbool.h>

#include "base/buf.h"
#include "weights/weights.h"

struct json_t; /* jansson.h */

enum {
    FACTS_MAX_TEXT = 96,   /* bytes shown of a string from a file */
    FACTS_MAX_BYTES = 4096 /* of a value */
};

typedef struct fact {
    char *key, *value;
} fact;

typedef struct facts {
    fact *list; /* [n] */
    size_t n, cap;
} facts;

void facts_free(facts *f); /* zeroed is fine */

/* Adds a fact; the value is formatted. Error: NOMEM. */
qasr_status facts_add(facts *f, qasr_error *err, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds the fact "not readable: ..." for a file that could not be read. NOMEM is returned as an error instead. */
qasr_status facts_add_unreadable(facts *f, const char *key, const qasr_error *why, qasr_error *err);
/* Appends text from a file: control characters as '?', cut at a character after FACTS_MAX_TEXT bytes. Error: NOMEM. */
qasr_status facts_clean(buf *out, const char *s, size_t len, qasr_error *err);

/* facts_metadata.c: each metadata key as "meta.KEY". Error: NOMEM. */
qasr_status facts_add_metadata(facts *f, const weights *w, qasr_error *err);

/* facts_weights.c: layout, container, tensors, parameters by part, types. Error: NOMEM. */
qasr_status facts_add_weights(facts *f, const weights *w, qasr_error *err);
/* Name of the layout of a file's tensor names, as "hf"; "unknown" if it is none of those known. */
const char *facts_layout(const weights *w);
/* Part of the model that a tensor belongs to, by its canonical name. */
const char *facts_part(const char *canonical);

/* facts_config.c: sizes of the model and languages, from config.json or from the metadata of another layout; tokenizer
 * of a GGUF file. Error: NOMEM. */
qasr_status facts_add_config(facts *f, const struct json_t *root, qasr_error *err);
qasr_status facts_add_gguf_config(facts *f, const weights *w, qasr_error *err);

#endif
