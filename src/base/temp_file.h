/* Temporary files that become other files by a rename. POSIX only, and errors are in errno, so that programs use it as
 * well as the library. */
#ifndef QASR_BASE_TEMP_FILE_H
#define QASR_BASE_TEMP_FILE_H

/* Creates an empty file in the folder of path. It has the name of path with an ending, shortened where the file system
 * would not take it: whatever name path has, the temporary one is possible. Its mode and owner are those of the file at
 * path if that exists, as far as the system permits, else those of any new file. Returns a descriptor that is open for
 * writing, and its name in *tmp_path, to be released with free; -1 on failure. */
int temp_file_create(char **tmp_path, const char *path);
/* The file to replace instead of path, so that a symbolic link stays: what it leads to, which need not exist, or path
 * itself if it is none. To be released with free; NULL on failure. */
char *temp_file_target(const char *path);

#endif
