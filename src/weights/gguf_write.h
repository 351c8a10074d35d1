/* Writes GGUF files, version 3. */
#ifndef QASR_WEIGHTS_GGUF_WRITE_H
#define QASR_WEIGHTS_GGUF_WRITE_H

#include "weights/weights.h"

typedef struct gguf_writer gguf_writer;

/* path NULL: nothing is written; such a writer is only for gguf_writer_measure. */
qasr_status gguf_writer_create(gguf_writer **out, const char *path, bool overwrite, qasr_error *err);
/* Adds metadata, before the header is written. Keys must be unique and not empty. */
qasr_status gguf_writer_meta_str(gguf_writer *g, const char *key, const char *value, qasr_error *err);
qasr_status gguf_writer_meta_u32(gguf_writer *g, const char *key, uint32_t value, qasr_error *err);
qasr_status gguf_writer_meta_f32(gguf_writer *g, const char *key, float value, qasr_error *err);
qasr_status gguf_writer_meta_bool(gguf_writer *g, const char *key, bool value, qasr_error *err);
qasr_status gguf_writer_meta_i32s(gguf_writer *g, const char *key, const int32_t *values, size_t n, qasr_error *err);
/* Starts an array of n strings, which must follow one by one before the next key. */
qasr_status gguf_writer_meta_strings(gguf_writer *g, const char *key, size_t n, qasr_error *err);
qasr_status gguf_writer_next_string(gguf_writer *g, const char *s, size_t len, qasr_error *err);
/* Copies a key of another GGUF file. */
qasr_status gguf_writer_meta_copy(gguf_writer *g, const wmeta *m, qasr_error *err);
/* Declares the next tensor; shape is slowest first. Trailing GGUF dimensions of 1 are omitted, as in ggml. *index
 * numbers tensors from 0. Errors: INVALID (duplicate, name over 63 bytes, row not a multiple of the block). */
qasr_status gguf_writer_add(gguf_writer *g, const char *name, quant_type type, unsigned n_dims, const uint64_t *shape,
                            size_t *index, qasr_error *err);
/* The final size of the file with the keys and tensors declared so far. */
qasr_status gguf_writer_measure(const gguf_writer *g, uint64_t *file_bytes, qasr_error *err);
/* Fixes offsets and writes header, metadata and tensor list. */
qasr_status gguf_writer_begin_data(gguf_writer *g, qasr_error *err);
/* Writes bytes [offset, offset + n) of a tensor's data; safe from several threads at once. */
qasr_status gguf_writer_put(gguf_writer *g, size_t index, uint64_t offset, const void *data, size_t n, qasr_error *err);
/* Gives a key another value after the header was written, of the type it has. Errors: INVALID, IO. */
qasr_status gguf_writer_replace_u32(gguf_writer *g, const char *key, uint32_t value, qasr_error *err);
qasr_status gguf_writer_replace_f32(gguf_writer *g, const char *key, float value, qasr_error *err);
qasr_status gguf_writer_replace_bool(gguf_writer *g, const char *key, bool value, qasr_error *err);
/* After the data of all tensors: makes the temporary file a complete one, to be looked at before it gets its name.
 * *path: the temporary file, the writer's. Keys can still be replaced. Errors: INVALID (data is missing), IO. */
qasr_status gguf_writer_finish(gguf_writer *g, const char **path, qasr_error *err);
/* Finishes and commits the file (fsync, rename). *file_bytes may be NULL. */
qasr_status gguf_writer_commit(gguf_writer *g, uint64_t *file_bytes, qasr_error *err);
void gguf_writer_free(gguf_writer *g); /* before commit: removes the temporary file; NULL is fine */

#endif
