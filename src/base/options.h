/* Reads the caller's option structs and fills its result structs. A program built for an older or newer version of the
 * library may pass a shorter or longer struct than this one knows. */
#ifndef QASR_BASE_OPTIONS_H
#define QASR_BASE_OPTIONS_H

#include <stddef.h>
#include <string.h>

#include "base/error.h"

/* own: a struct of own_size bytes with the defaults. The first member of own and given is size_t struct_size. Copies
 * the part that both versions know over the defaults; given NULL keeps the defaults. */
static inline qasr_status options_read(void *own, size_t own_size, const void *given, const char *init_macro,
                                       qasr_error *err)
{
    if (!given)
        return QASR_OK;
    size_t n;
    memcpy(&n, given, sizeof n);
    if (n < sizeof n)
        return error_set(err, QASR_E_INVALID, "option struct has struct_size %zu: initialize it with %s", n,
                         init_macro);
    memcpy(own, given, n < own_size ? n : own_size);
    memcpy(own, &own_size, sizeof own_size);
    return QASR_OK;
}

/* Copies the part of a result that fits the caller's struct of given_size bytes. */
static inline void options_write(void *given, size_t given_size, const void *own, size_t own_size)
{
    memcpy(given, own, given_size < own_size ? given_size : own_size);
}

#endif
