/* Named tensors in mapped files, and the metadata that comes with them.
 *
 * A weights object holds one or more mapped files of one container (safetensors or GGUF). Tensors point
 * into the mappings; nothing is copied. Every number of a file is checked against the mapping's size
 * before it is used. */
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
    const char *canonical; /* in the original checkpoint's naming ("thinker.model.norm.weight"); equal to
                              name when the file's layout does not know it */
    quant_type type;
    unsigned n_dims;
    uint64_t shape[WEIGHTS_MAX_DIMS]; /* slowest first (GGUF's order reversed); 1 beyond n_dims */
    uint64_t n_values, n_bytes;
    const void *data;  /* n_bytes, mapped; 2-byte aligned at best */
    unsigned file;     /* index for weights_file_* */
} wtensor;

/* ---- names ---- */
/* How a file names the tensors. llama.cpp's covers both of its files, text model and mmproj. */
typedef enum names_layout {
    NAMES_ORIGINAL, NAMES_HF, NAMES_LLAMA, NAMES_STT /* transcribe.cpp */, NAMES_CRISP, NAMES_LAYOUTS
} names_layout;

const char *names_layout_name(names_layout layout); /* "original", "hf", "llama.cpp", ... */
/* Name in a layout -> original name, into out (size bytes). Names that the layout does not know are copied. False if the
 * result does not fit. */
bool names_canonical(char *out, size_t size, const char *name, names_layout from);
/* Original name -> name in a layout. False if the layout has none for it or it does not fit. */
bool names_in_layout(char *out, size_t size, const char *canonical, names_layout to);
/* The same for messages: out, or canonical itself when that would be false. */
const char *names_shown(char *out, size_t size, const char *canonical, names_layout to);
/* architecture: general.architecture of a GGUF file, or "". When that says nothing, the layout that knows most of the
 * names; original if none knows any. */
names_layout names_detect(const char *architecture, const wtensor *tensors, size_t n);

typedef enum weights_container { WEIGHTS_SAFETENSORS, WEIGHTS_GGUF } weights_container;

typedef struct weights weights;

/* path: a directory (model.safetensors, else model.safetensors.index.json, else model-*-of-*.safetensors
 * sorted), a .safetensors file or a .safetensors.index.json. With an index every tensor is looked up in
 * the file that weight_map names. Element types other than BF16, F16, F32 are refused by name unless the
 * tensor is never asked for: they are listed with a warning and left out.
 * Errors: IO (missing shard...), FORMAT, NOMEM. */
qasr_status weights_open_safetensors(weights **out, const char *path, qasr_error *err);
/* GGUF version 2 or 3, little endian. Errors: IO, FORMAT, UNSUPPORTED (type, version), NOMEM. */
qasr_status weights_open_gguf(weights **out, const char *path, qasr_error *err);
/* By content: GGUF magic or safetensors. */
qasr_status weights_open(weights **out, const char *path, qasr_error *err);
qasr_status weights_is_gguf(bool *out, const char *path, qasr_error *err); /* a file that begins as one. Errors: IO, NOMEM */
void weights_close(weights *w); /* NULL is fine */

/* Reads the data of these tensors of w into memory; their data pointers stay what they are, and the files are not touched
 * for them any more. Errors: IO (also when a file has become shorter or is another one since w was opened), NOMEM. */
qasr_status weights_copy(weights *w, const wtensor *const *tensors, size_t n, qasr_error *err);
/* Locks the data of these tensors of w in memory until w is closed. Adds to *n_bytes what that takes. *refused: why the
 * system did not do it for all (an errno), left alone if it did. Error: NOMEM. */
qasr_status weights_lock(const weights *w, const wtensor *const *tensors, size_t n, uint64_t *n_bytes, int *refused,
                         qasr_error *err);

weights_container weights_kind(const weights *w);
names_layout weights_layout(const weights *w); /* of all its files together */
size_t weights_count(const weights *w);
const wtensor *weights_at(const weights *w, size_t index); /* in file order */
/* By canonical name; NULL if there is none. */
const wtensor *weights_find(const weights *w, const char *canonical);

size_t weights_file_count(const weights *w);
const char *weights_file_path(const weights *w, unsigned file);
const file_map *weights_file_map(const weights *w, unsigned file);

/* ---- metadata: GGUF key-values, or safetensors' __metadata__ strings ---- */
typedef enum wmeta_type {
    WMETA_U8, WMETA_I8, WMETA_U16, WMETA_I16, WMETA_U32, WMETA_I32, WMETA_F32, WMETA_BOOL, WMETA_STRING,
    WMETA_ARRAY, WMETA_U64, WMETA_I64, WMETA_F64
} wmeta_type; /* numbered as in GGUF */

typedef struct wmeta {
    const char *key;
    wmeta_type type;
    union { uint64_t u; int64_t i; double f; bool b; } as; /* integers widened to u or i, floats to f */
    const char *str;      /* strings: NUL-terminated copy */
    size_t str_len;
    wmeta_type elem_type; /* arrays */
    uint64_t n_elems;
    const unsigned char *elems; /* arrays: raw bytes in the mapping */
    uint64_t elems_bytes;
} wmeta;

size_t weights_meta_count(const weights *w);
const wmeta *weights_meta_at(const weights *w, size_t index);
const wmeta *weights_meta_find(const weights *w, const char *key);
/* A string's value; "" if the key is not there or no string. */
const char *weights_meta_string(const weights *w, const char *key);
/* Walks a string array: *pos starts at 0; returns false at the end. The string is not NUL-terminated. */
bool wmeta_next_string(const wmeta *m, uint64_t *pos, const char **s, size_t *len);

/* ---- GGUF writer, version 3 ---- */
typedef struct gguf_writer gguf_writer;

/* path NULL: nothing is written; the writer is for gguf_writer_measure alone. */
qasr_status gguf_writer_create(gguf_writer **out, const char *path, bool force, qasr_error *err);
/* Metadata, before the header is written. Keys must be unique and not empty. */
qasr_status gguf_writer_meta_str(gguf_writer *g, const char *key, const char *value, qasr_error *err);
qasr_status gguf_writer_meta_u32(gguf_writer *g, const char *key, uint32_t value, qasr_error *err);
qasr_status gguf_writer_meta_f32(gguf_writer *g, const char *key, float value, qasr_error *err);
qasr_status gguf_writer_meta_bool(gguf_writer *g, const char *key, bool value, qasr_error *err);
qasr_status gguf_writer_meta_i32s(gguf_writer *g, const char *key, const int32_t *values, size_t n, qasr_error *err);
/* Announces an array of n strings, which have to follow before the next key, one by one. */
qasr_status gguf_writer_meta_strings(gguf_writer *g, const char *key, size_t n, qasr_error *err);
qasr_status gguf_writer_next_string(gguf_writer *g, const char *s, size_t len, qasr_error *err);
/* A key of another GGUF file as it stands there. */
qasr_status gguf_writer_meta_copy(gguf_writer *g, const wmeta *m, qasr_error *err);
/* Declares the next tensor; shape is slowest first. Trailing GGUF dimensions of 1 are left out as ggml
 * does. *index numbers tensors from 0. Errors: INVALID (duplicate, name over 63 bytes, row not a multiple
 * of the block). */
qasr_status gguf_writer_add(gguf_writer *g, const char *name, quant_type type, unsigned n_dims,
                            const uint64_t *shape, size_t *index, qasr_error *err);
/* The size that the file has in the end, as far as keys and tensors are declared. */
qasr_status gguf_writer_measure(const gguf_writer *g, uint64_t *file_bytes, qasr_error *err);
/* Fixes offsets and writes header, metadata and tensor list. */
qasr_status gguf_writer_begin_data(gguf_writer *g, qasr_error *err);
/* Bytes [offset, offset + n) of a tensor's data; safe from several threads at once. */
qasr_status gguf_writer_put(gguf_writer *g, size_t index, uint64_t offset, const void *data, size_t n, qasr_error *err);
/* Pads the last tensor, commits the file (fsync, rename). *file_bytes may be NULL. */
qasr_status gguf_writer_commit(gguf_writer *g, uint64_t *file_bytes, qasr_error *err);
void gguf_writer_free(gguf_writer *g); /* before commit: removes the temporary file; NULL is fine */

/* ---- safetensors writer: small float32 files (tensor dumps) ---- */
typedef struct st_entry { const char *name; unsigned n_dims; uint64_t shape[WEIGHTS_MAX_DIMS]; const float *data; } st_entry;
qasr_status safetensors_write_f32(const char *path, const st_entry *entries, size_t n, qasr_error *err);

#endif
