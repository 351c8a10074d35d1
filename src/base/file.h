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
    uint64_t device, inode; /* identity of the file */
    bool releasable;        /* everything is mapped from the file, so pages that file_map_release drops can be reread */
} file_map;

/* Bytes [begin, end) of a file. */
typedef struct file_range {
    size_t begin, end;
} file_range;

/* Maps a regular file. Errors: IO (missing, a directory, not readable), NOMEM. */
qasr_status file_map_open(file_map *m, const char *path, qasr_error *err);
void file_map_close(file_map *m);
size_t file_page_bytes(void);
/* Replaces parts of a mapping with anonymous memory (huge pages where available) at the same addresses, and reads the
 * same content into it from path. Ranges begin at a page boundary and end at one or at the end of the file; everything
 * else stays mapped. Errors: IO (not readable, replaced by another file, or shorter than before), NOMEM; the ranges are
 * then partly undefined, and the mapping can only be closed. */
qasr_status file_map_copy(file_map *m, const char *path, const file_range *ranges, size_t n, qasr_error *err);
/* Locks a range in memory until the mapping is closed; reads pages that are not resident yet. Returns 0 or an errno. */
int file_map_lock(const file_map *m, file_range range);
/* Tells the operating system that [offset, offset + n) is not needed soon, so that it frees the memory. Does nothing
 * unless the mapping is releasable. */
void file_map_release(const file_map *m, size_t offset, size_t n);

/* Reads from a descriptor (a file or a pipe) to its end. More than out->max bytes is an error (FORMAT), whose message
 * ends with advice ("; ..." or ""). name is for messages. */
qasr_status file_read_to_end(buf *out, int fd, const char *name, const char *advice, qasr_error *err);
/* Reads a whole file into out. More than out->max bytes is an error (FORMAT). */
qasr_status file_read_all(buf *out, const char *path, qasr_error *err);
/* Error FORMAT if the content [n] of a file is a git-lfs pointer, which stands for the file in a clone made without
 * git-lfs. */
qasr_status file_refuse_lfs_pointer(const void *content, size_t n, const char *path, qasr_error *err);
bool file_exists(const char *path);
bool file_is_dir(const char *path);
/* dir + "/" + name; name alone if it is absolute. Free with mem_free. */
qasr_status file_path_join(char **out, const char *dir, const char *name, qasr_error *err);
/* Names of the directory entries that match a shell pattern ("*.gguf"), sorted. Free with file_names_free, also after
 * an error. Errors: IO, NOMEM. */
typedef struct file_names {
    char **names;
    size_t n, cap;
} file_names;
qasr_status file_list(file_names *out, const char *dir, const char *pattern, qasr_error *err);
void file_names_free(file_names *list);
/* Everything before the last component of a path, including the slash; "." if that is empty. Free with mem_free. */
qasr_status file_parent(char **out, const char *path, qasr_error *err);
/* Last component of a path. */
const char *file_base_name(const char *path);
/* The same after resolving links and dots, so that "." has a name too. Free with mem_free. */
qasr_status file_resolved_name(char **out, const char *path, qasr_error *err);

/* Atomic output: writes go to a temporary file beside the target; commit does fsync and rename. */
typedef struct file_writer {
    int fd;
    char *path, *tmp_path; /* tmp_path from temp_file_create */
    int slot;              /* of tmp_path in the list of unfinished files (unfinished.h) */
    bool overwrite;
} file_writer;

/* An existing target is an error unless overwrite is set (INVALID, "... exists"). A target
 * that is not a regular file is always an error (INVALID): the rename would replace it instead of writing to it. A
 * replaced file keeps its mode and owner. Other errors: IO, NOMEM. Finish the writer with commit or abort. */
qasr_status file_writer_open(file_writer *w, const char *path, bool overwrite, qasr_error *err);
/* Writes n bytes at an offset; several threads may call it at once. */
qasr_status file_writer_put(file_writer *w, uint64_t offset, const void *data, size_t n, qasr_error *err);
/* fsync, rename to the target, fsync of the directory. Without overwrite the target must still not exist: of several
 * writers only one succeeds (others: INVALID, as above). Removes the temporary file on failure. */
qasr_status file_writer_commit(file_writer *w, qasr_error *err);
/* Removes the temporary file; harmless after commit or on a zeroed struct. */
void file_writer_abort(file_writer *w);

#endif
