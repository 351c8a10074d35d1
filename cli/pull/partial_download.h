/* A download on the disk: files that come in ranges, in any order, and may be gone on with after the process or the
 * machine has died. They are collected in a hidden directory beside the place where they are to be. In it a file that
 * is not whole is NAME.part; its first bytes are not written before its hash was found right, so that no reader ever
 * takes it for whole. */
#ifndef QASR_CLI_PULL_PARTIAL_DOWNLOAD_H
#define QASR_CLI_PULL_PARTIAL_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/manifest.h"
#include "cli/pull/byte_ranges.h"

typedef struct download_file {
    const model_file *file;
    bool whole;              /* verified, has its name */
    bool no_ranges;          /* the server gives it from the beginning only */
    bool head_there;         /* head is complete */
    uint64_t n_head;         /* bytes that are kept in memory: all of a small file */
    unsigned char *head;     /* [n_head] */
    int fd;                  /* -1: not open */
    int n_out;               /* ranges on their way */
    byte_ranges have, taken; /* positions after the head that are on the disk; those, and the ones on their way */
} download_file;

typedef struct download {
    const manifest *m;
    char *dir;           /* the hidden directory */
    int state_fd;        /* what is known of it, appended line by line; locked */
    download_file *list; /* [m->n] */
    int n_connections;
} download;

/* One range of a file: bytes [begin, end). */
typedef struct download_range {
    download_file *p;
    uint64_t begin, end;
} download_range;

/* Of the directory of a model: ".NAME.partial" beside it; name: of what is in dest itself. Free it. NULL without memory
 * (printed). */
char *download_dir(const char *dest);

/* Opens or makes the directory, finds out what is there already. in_place: NULL, or for each file of the manifest
 * whether it is whole at its final place. False on error (printed), also if another process is at it. */
bool download_open(download *ps, const manifest *m, const char *dest, const bool *in_place, int n_connections);
void download_close(download *ps); /* what is there stays there */

uint64_t download_done_bytes(const download *ps);

/* The next range to fetch; false if there is none (now: the head of a file comes last, alone). */
bool download_next(download *ps, download_range *out);
/* n bytes of a range, at a position of the file. False on error (printed). */
bool download_put(download *ps, const download_range *at, uint64_t position, const void *data, size_t n);
/* The range is over; [at->begin, reached) has come. Flushed to the disk first, then remembered. False on error
 * (printed). */
bool download_end_range(download *ps, const download_range *at, uint64_t reached);
/* The server does not give ranges of this file: it comes as a whole, once no range of it is on its way. False on error
 * (printed). */
bool download_no_ranges(download *ps, download_file *p);

typedef struct download_watch {
    void (*on_bytes)(void *user, uint64_t n); /* n more bytes were hashed */
    bool (*stopped)(void *user);
    void *user;
} download_watch;

/* Checks every file that has come by its hash and gives it its name. One that is wrong is thrown away, so that the next
 * pull fetches it again; the others are kept. False on error (printed). */
bool download_verify(download *ps, const download_watch *watch);
/* All files to their final place: as a new directory with its manifest, or one by one if dest is there. Removes the
 * hidden directory. False on error (printed). */
bool download_install(download *ps, const char *dest);

/* Hash of a file that is there; hex: HASH_SHA256_HEX or HASH_GIT_HEX digits are wanted. False on error (printed) or if
 * stopped. */
bool download_hash_file(const char *path, const model_file *file, char out[HASH_SHA256_HEX + 1],
                        const download_watch *watch);

#endif
