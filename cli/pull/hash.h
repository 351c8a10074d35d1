/* Hashes of files, in the kinds that the hub uses. */
#ifndef QASR_CLI_PULL_HASH_H
#define QASR_CLI_PULL_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/manifest.h"

/* n_hex chooses the hash by its number of hexadecimal digits: HASH_SHA256_HEX for SHA-256 of the content, HASH_GIT_HEX
 * for the blob id that git gives to a file of that size. NULL on failure (printed). */
typedef struct hash hash;
hash *hash_open(size_t n_hex, uint64_t size);
bool hash_add(hash *h, const void *data, size_t n);
/* Hexadecimal digits into out; frees h. False on failure (printed). */
bool hash_end(hash *h, char out[HASH_SHA256_HEX + 1]);

#endif
