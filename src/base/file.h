/* Files: read-only mappings, whole small files, and output that appears whole or not at all. */
#ifndef QASR_BASE_FILE_H
#define QASR_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

typedef struct file_map {
    const unsigned char *data; /* NULL when size is 0 */
    size_t size;
    uint64_t device, inode; /* which file it is */
    bool releasable;        /* all of it is mapped: what file_map_release drops comes back from the file */
} file_map;

/* Bytes [begin, end) of a file. */
typedef struct file_range {
    size_t begin, end;
} file_range;

/* Maps a regular file. Errors: IO (missing, a directory, not readable), NOMEM. */
qasr_status file_map_open(file_map *m, const char *path, qasr_error *err);
void file_map_close(file_map *m);
size_t file_page_bytes(void);
/* Replaces parts of a mapping by memory of the process (of huge pages where the system has them), at the same addresses
 * and with the same content, which is read from path. Ranges begin at a page and end at one or with the file; what is
 * not in them stays mapped. Errors: IO (not readable, another file by now, shorter than it was), NOMEM; then parts of
 * the ranges are undefined, and the mapping is good for closing only. */
qasr_status file_map_copy(file_map *m, const char *path, const file_range *ranges, size_t n, qasr_error *err);
/* Locks a range in memory, reading what is not there yet, until the mapping is closed. 0, or why the system does not do
 * it (an errno). */
int file_map_lock(const file_map *m, file_range range);
/* Tells the kernel that [offset, offset + n) will not be needed soon; memory goes down. Nothing unless releasable. */
void file_map_release(const file_map *m, size_t offset, size_t n);

/* Reads from a descriptor to its end, also from a pipe; more than out->max bytes is an error (FORMAT), whose message
 * ends with the advice ("; ..." or ""). name is for messages. */
qasr_status file_read_to_end(buf *out, int fd, const char *name, const char *advice, qasr_error *err);
/* Reads a whole file into out; more than out->max bytes is an error (FORMAT). */
qasr_status file_read_all(buf *out, const char *path, qasr_error *err);
bool file_exists(const char *path);
bool file_is_dir(const char *path);
/* dir + "/" + name (name alone when absolute). Free with mem_free. */
qasr_status file_path_join(char **out, const char *dir, const char *name, qasr_error *err);
/* Names of the entries of a directory that fit a shell pattern ("*.gguf"), sorted; free with file_names_free, also
 * after an error. Errors: IO, NOMEM. */
typedef struct file_names {
    char **names;
    size_t n, cap;
} file_names;
qasr_status file_list(file_names *out, const char *dir, const char *pattern, qasr_error *err);
void file_names_free(file_names *list);
/* Everything before the last component of a path, with the slash; "." if there is nothing. Free with mem_free. */
qasr_status file_parent(char **out, const char *path, qasr_error *err);
/* Last component of a path. */
const char *file_base_name(const char *path);
/* The same after links and dots are resolved ("." has a name too). Free with mem_free. */
qasr_status file_resolved_name(char **out, const char *path, qasr_error *err);

/* Atomic output: writes go to a temporary file beside the target; commit does fsync and rename. */
typedef struct file_writer {
    int fd;
    char *path, *tmp_path;
} file_writer;

/* Without force an existing target is an error (INVALID, "... exists; use --force to replace it"); so is, with and
 * without, a target that is no regular file: it would be replaced, not written to.
 * Errors: IO. The writer must be ended by commit or abort. */
qasr_status file_writer_open(file_writer *w, const char *path, bool overwrite, qasr_error *err);
/* Writes n bytes at an offset; safe from several threads at once. */
qasr_status file_writer_put(file_writer *w, uint64_t offset, const void *data, size_t n, qasr_error *err);
/* fsync, rename over the target, fsync of the directory. On failure the temporary file is removed. */
qasr_status file_writer_commit(file_writer *w, qasr_error *err);
/* Removes the temporary file; harmless after commit or on a zeroed struct. */
void file_writer_abort(file_writer *w);

#endif
