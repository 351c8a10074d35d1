/* Named tensors in mapped files, and their metadata.
 *
 * A weights object holds one or more mapped files of one container (safetensors or GGUF). Tensors point into the
 * mappings; nothing is copied. Every number in a file is checked against the size of the mapping before use. */
#ifndef QASR_WEIGHTS_WEIGHTS_H
#define QASR_WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "quant/quant.h"

enum { WEIGHTS_MAX_DIMS = 4 };

typedef struct wtensor {
    const char *name;      /* as in the file */
    const char *canonical; /* name in the original checkpoint ("thinker.model.norm.weight"); equal to name if the file's
                              layout does not know it */
    quant_type type;
    unsigned n_dims;
    uint64_t shape[WEIGHTS_MAX_DIMS]; /* slowest first (GGUF's order reversed); 1 beyond n_dims */
    uint64_t n_values, n_bytes;
    const void *data; /* n_bytes, mapped; 2-byte aligned at best */
    unsigned file;    /* index for weights_file_* */
} wtensor;

/* ---- names ---- */
enum { NAMES_MAX_BYTES = 160 }; /* buffer size for a canonical name of the network, or for its name in a layout */

/* Naming scheme of a file's tensors. llama.cpp's covers both of its files, text model and mmproj. */
typedef enum names_layout {
    NAMES_ORIGINAL,
    NAMES_HF,
    NAMES_LLAMA,
    NAMES_STT /* transcribe.cpp */,
    NAMES_CRISP,
    NAMES_LAYOUTS
} names_layout;

const char *names_layout_name(names_layout layout); /* "original", "hf", "llama.cpp", ... */
/* Name in a layout -> original name, written to out [size]. Names unknown to the layout are copied. False if the result
 * does not fit. */
bool names_canonical(char *out, size_t size, const char *name, names_layout from);
/* Original name -> name in a layout. False if the layout has none or it does not fit. */
bool names_in_layout(char *out, size_t size, const char *canonical, names_layout to);
/* The same for messages: returns out, or canonical if the layout has no name for it. */
const char *names_shown(char *out, size_t size, const char *canonical, names_layout to);
/* Detects the layout. architecture: general.architecture of a GGUF file, or "". If that is not decisive, the layout
 * that knows most of the names; original if none knows any. */
names_layout names_detect(const char *architecture, const wtensor *tensors, size_t n);

typedef enum weights_container { WEIGHTS_SAFETENSORS, WEIGHTS_GGUF } weights_container;

typedef struct weights weights;

void weights_close(weights *w); /* NULL is fine */

/* Reads the data of these tensors of w into memory. Their data pointers stay valid, and the files are not accessed for
 * them any more. Errors: IO (also if a file was truncated or replaced after w was opened), NOMEM. */
qasr_status weights_copy(weights *w, const wtensor *const *tensors, size_t n, qasr_error *err);
/* Locks the data of these tensors of w in memory until w is closed. Adds their size to *n_bytes. *refused: the errno if
 * the system refused some of them, else unchanged. Error: NOMEM. */
qasr_status weights_lock(const weights *w, const wtensor *const *tensors, size_t n, uint64_t *n_bytes, int *refused,
                         qasr_error *err);

weights_container weights_kind(const weights *w);
names_layout weights_layout(const weights *w); /* common to all its files */
size_t weights_count(const weights *w);
const wtensor *weights_at(const weights *w, size_t index); /* in file order */
/* By canonical name; NULL if there is none. */
const wtensor *weights_find(const weights *w, const char *canonical);

size_t weights_file_count(const weights *w);
const char *weights_file_path(const weights *w, unsigned file);
const file_map *weights_file_map(const weights *w, unsigned file);

/* ---- metadata: GGUF key-values, or safetensors' __metadata__ strings ---- */
typedef enum wmeta_type {
    WMETA_U8,
    WMETA_I8,
    WMETA_U16,
    WMETA_I16,
    WMETA_U32,
    WMETA_I32,
    WMETA_F32,
    WMETA_BOOL,
    WMETA_STRING,
    WMETA_ARRAY,
    WMETA_U64,
    WMETA_I64,
    WMETA_F64
} wmeta_type; /* numbered as in GGUF */

typedef struct wmeta {
    const char *key;
    wmeta_type type;
    union {
        uint64_t u;
        int64_t i;
        double f;
        bool b;
    } as;            /* integers widened to u or i, floats to f */
    const char *str; /* strings: NUL-terminated copy */
    size_t str_len;
    wmeta_type elem_type; /* arrays */
    uint64_t n_elems;
    const unsigned char *elems; /* arrays: raw bytes in the mapping */
    uint64_t elems_bytes;
} wmeta;

size_t weights_meta_count(const weights *w);
const wmeta *weights_meta_at(const weights *w, size_t index);
const wmeta *weights_meta_find(const weights *w, const char *key);
/* A string's value; "" if the key is missing or not a string. */
const char *weights_meta_string(const weights *w, const char *key);
/* Walks a string array: *pos starts at 0; returns false at the end. The string is not NUL-terminated. */
bool wmeta_next_string(const wmeta *m, uint64_t *pos, const char **s, size_t *len);

#endif
