/* How the library reads an option struct of the caller, and fills a result struct: an old program may pass a shorter
 * struct, a newer one a longer struct than this library knows. */
#ifndef QASR_BASE_OPTIONS_H
#define QASR_BASE_OPTIONS_H

#include <stddef.h>
#include <string.h>

#include "base/error.h"

/* own: a struct of own_size bytes that holds the defaults; its first member is size_t struct_size, like
 * that of given. Copies the part that both know over the defaults; given NULL leaves them. */
static inline qasr_status options_read(void *own, size_t own_size, const void *given, const char *init_macro,
                                       qasr_error *err)
{
    if (!given)
        return QASR_OK;
    size_t n;
    memcpy(&n, given, sizeof n);
    if (n < sizeof n)
        return error_set(err, QASR_E_INVALID, "option struct has struct_size %zu: start it from %s", n, init_macro);
    memcpy(own, given, n < own_size ? n : own_size);
    memcpy(own, &own_size, sizeof own_size);
    return QASR_OK;
}

/* The other way: the part of a result that the caller's struct of given_size bytes has room for. */
static inline void options_write(void *given, size_t given_size, const void *own, size_t own_size)
{
    memcpy(given, own, given_size < own_size ? given_size : own_size);
}

#endif
