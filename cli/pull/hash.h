/* Hashes of files, as the hub gives them. */
#ifndef QASR_CLI_PULL_HASH_H
#define QASR_CLI_PULL_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/manifest.h"

/* Which hash is chosen by the number of its hexadecimal digits: HASH_SHA256_HEX of the content, or HASH_GIT_HEX as git
 * computes it for a file of that size. NULL on failure (printed). */
typedef struct hash hash;
hash *hash_open(size_t n_hex, uint64_t size);
bool hash_add(hash *h, const void *data, size_t n);
/* Hexadecimal digits into out; frees h. False on failure (printed). */
bool hash_end(hash *h, char out[HASH_SHA256_HEX + 1]);

#endif
