/* The list is an array of atomic pointers, so that a signal handler can read it at any time. */
#include "base/unfinished.h"

#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "base/error.h"

static _Atomic(char *) listed[64]; /* NULL: a free slot */

int unfinished_add(char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&listed[i], &none, path))
            return (int)i;
    }
    return -1;
}

bool unfinished_drop(int slot, char *path)
{
    return slot < 0 || atomic_compare_exchange_strong(&listed[slot], &path, NULL);
}

void unfinished_remove_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
        char *path = atomic_exchange(&listed[i], NULL);
        if (path)
            unlink(path);
    }
}
