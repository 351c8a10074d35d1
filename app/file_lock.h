/* A lock on a file that grows during a run, so that no other run writes to it. */
#ifndef QASR_APP_FILE_LOCK_H
#define QASR_APP_FILE_LOCK_H

#include <stdbool.h>

/* Opens a file, which is created if missing, for reading and appending, and locks it until the descriptor *fd is closed
 * or the process ends, however that happens. If the file system has no locks, warns and goes on. False if the file
 * cannot be opened or another process has locked it, in which case the message says that "another COMMAND is using
 * 'NAME'" (both printed); *fd is then -1. */
bool file_lock_take(int *fd, const char *path, const char *command, const char *name);
/* Closes the descriptor unless it is negative. */
void file_lock_release(int *fd);

#endif
