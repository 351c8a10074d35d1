/* How the readers fill a weights object. Private to src/weights. */
#ifndef QASR_WEIGHTS_CONTAINER_H
#define QASR_WEIGHTS_CONTAINER_H

#include "weights/weights.h"

/* Both containers are little endian and are read in place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "only little-endian machines");

typedef struct wfile {
    char *path;
    file_map map;
} wfile;

/* An entry of a sorted list of names: unlike a hash table, no input makes it slow, and equal names are adjacent. */
typedef struct name_ref {
    const char *name;
    size_t index;
} name_ref;

typedef struct text_chunk text_chunk; /* block of the string pool */

struct weights {
    weights_container kind;
    names_layout layout;
    wfile *files;
    size_t n_files, cap_files;
    wtensor *tensors;
    size_t n_tensors, cap_tensors;
    wmeta *meta;
    size_t n_meta, cap_meta;
    name_ref *by_name, *by_key; /* [n_tensors] by canonical name, [n_meta] */
    text_chunk *text;
};

qasr_status weights_create(weights **out, weights_container kind, qasr_error *err);
/* Maps a file; *index is the value for wtensor.file. */
qasr_status weights_add_file(weights *w, const char *path, unsigned *index, qasr_error *err);
/* Copies len bytes into the pool, NUL-terminated; lives as long as w. */
qasr_status weights_add_text(weights *w, const char *s, size_t len, const char **out, qasr_error *err);
/* Copies *t; its name is in the pool, canonical is set by weights_finish. */
qasr_status weights_add_tensor(weights *w, const wtensor *t, qasr_error *err);
qasr_status weights_add_meta(weights *w, const wmeta *m, qasr_error *err);
/* Called after the last tensor and key: detects the layout of the names, sets the canonical names, builds the indices
 * and refuses names that occur twice. */
qasr_status weights_finish(weights *w, qasr_error *err);

/* Fills n_values and n_bytes from type, n_dims and shape. NULL, or what is wrong with the shape. */
const char *wtensor_measure(wtensor *t);

#endif
