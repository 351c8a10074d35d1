/* The contents of a model: names, sizes, hashes and sources of its files. Built from the hub's listing, and stored
 * beside the files as MANIFEST_NAME, whose presence marks a directory as completely pulled. */
#ifndef QASR_APP_MANIFEST_H
#define QASR_APP_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_NAME "qasr-pull.json"

enum { HASH_SHA256_HEX = 64, HASH_GIT_HEX = 40 /* SHA-1 of a git blob */ };

typedef struct model_file {
    char *name; /* a plain name, see manifest_name_is_plain */
    uint64_t size;
    char hash[HASH_SHA256_HEX + 1]; /* hexadecimal, lower case; the length tells which kind; "": none known */
    char *source;                   /* path below the endpoint: "Qwen/Qwen3-ASR-0.6B/resolve/COMMIT/config.json" */
} model_file;

typedef struct manifest {
    char *repo, *revision; /* as asked for: "Qwen/Qwen3-ASR-0.6B", "main" */
    char *commit;          /* what the revision resolved to; "" if the server did not say */
    model_file *files;
    size_t n, cap;
} manifest;

/* Strings are copied. False without memory (printed). */
bool manifest_init(manifest *m, const char *repo, const char *revision, const char *commit);
bool manifest_add(manifest *m, const char *name, uint64_t size, const char *hash, const char *source);
void manifest_free(manifest *m);
const model_file *manifest_find(const manifest *m, const char *name);
uint64_t manifest_size(const manifest *m); /* bytes of all files */

/* Letters, digits and "._-+", not starting with a dot: the names that a model's files may have. */
bool manifest_name_is_plain(const char *name);
/* A hash of 64 or 40 hexadecimal digits; lower case into hex. */
bool manifest_set_hash(char hex[HASH_SHA256_HEX + 1], const char *text);
/* Plausible sizes: below 2^48. */
bool manifest_size_is_sane(int64_t size);

/* Reads DIR/MANIFEST_NAME. False if it is missing or invalid; prints nothing. */
bool manifest_read(manifest *m, const char *dir);
/* Writes it and flushes it to disk. False on error (printed). */
bool manifest_write(const manifest *m, const char *dir);

#endif
