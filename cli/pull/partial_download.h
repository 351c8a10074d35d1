/* A download on disk: files that arrive in ranges, in any order, and can be resumed after a crash of the process or the
 * machine. They are collected in a hidden directory beside their destination. An incomplete file is called NAME.part
 * there; its first bytes are only written after its hash was verified, so that no reader can mistake it for a complete
 * file. */
#ifndef QASR_CLI_PULL_PARTIAL_DOWNLOAD_H
#define QASR_CLI_PULL_PARTIAL_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/manifest.h"
#include "cli/pull/byte_ranges.h"

typedef struct download_file {
    const model_file *entry;
    bool whole;              /* verified, has its name */
    bool no_ranges;          /* the server does not support ranges for it */
    bool has_head;           /* head has arrived */
    uint64_t n_head;         /* bytes kept in memory: all of a small file */
    unsigned char *head;     /* [n_head] */
    int fd;                  /* -1: not open */
    int n_active;            /* ranges being fetched */
    byte_ranges have, taken; /* positions after the head that are on disk; those, and the ones being fetched */
} download_file;

typedef struct download {
    const manifest *m;
    char *dir;            /* the hidden directory */
    int state_fd;         /* the state file, which lines are appended to; locked */
    download_file *files; /* [m->n] */
    int n_connections;
} download;

/* One range of a file: bytes [begin, end). */
typedef struct download_range {
    download_file *file;
    uint64_t begin, end;
} download_range;

/* The hidden directory for dest: ".NAME.partial" beside it. Free it. NULL without memory (printed). */
char *download_dir(const char *dest);

/* Opens or creates the directory, and finds what has already arrived. in_place: NULL, or for each file of the manifest
 * whether it is complete at its destination. False on error (printed), also if another process uses the directory. */
bool download_open(download *d, const manifest *m, const char *dest, const bool *in_place, int n_connections);
void download_close(download *d); /* keeps what has arrived */

uint64_t download_done_bytes(const download *d);

/* The next range to fetch; false if there is none at the moment (the head of a file comes last, alone). */
bool download_next(download *d, download_range *out);
/* Stores n bytes of a range, at a position of the file. False on error (printed). */
bool download_write(download *d, const download_range *at, uint64_t position, const void *data, size_t n);
/* Ends a range of which [at->begin, reached) has arrived: flushes it to disk, then records it. False on error
 * (printed). */
bool download_end_range(download *d, const download_range *at, uint64_t reached);
/* Records that the server does not support ranges of this file: it is fetched as a whole, once none of its ranges is
 * being fetched. False on error (printed). */
bool download_no_ranges(download *d, download_file *file);

typedef struct download_watch {
    void (*on_bytes)(void *user, uint64_t n); /* n more bytes were hashed */
    bool (*stopped)(void *user);
    void *user;
} download_watch;

/* Verifies the hash of every file that has arrived, and gives it its name. A damaged file is discarded, so that the
 * next pull fetches it again; the others are kept. False on error (printed). */
bool download_verify(download *d, const download_watch *watch);
/* Moves all files to their destination: as a new directory with its manifest, or one by one if dest exists. Removes the
 * hidden directory. False on error (printed). */
bool download_install(download *d, const char *dest);

/* Hash of an existing file, of the same kind as file->hash. False on error (printed) or if stopped. */
bool download_hash_file(const char *path, const model_file *file, char out[HASH_SHA256_HEX + 1],
                        const download_watch *watch);

#endif
