/* Names of temporary files that a dying process should remove. */
#ifndef QASR_BASE_UNFINISHED_H
#define QASR_BASE_UNFINISHED_H

#include <stdbool.h>

/* Lists a file. Its name must stay valid until unfinished_drop. Returns its slot; -1: the list is full, and a dying
 * process leaves the file behind. */
int unfinished_add(char *path);
/* Takes a file off the list again; slot -1 is fine. False: unfinished_remove_all has just taken the name and may still
 * be reading it, so it must not be freed. */
bool unfinished_drop(int slot, char *path);
/* Removes all listed files. Async-signal-safe. */
void unfinished_remove_all(void);

#endif
