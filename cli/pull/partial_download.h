/* A download on the disk: files that come in pieces, in any order, and may be gone on with after the process or the machine
 * has died. They are collected in a hidden directory beside the place where they are to be. In it a file that is not whole
 * is NAME.part; its first bytes are not written before its hash was found right, so that no reader ever takes it for
 * whole. */
#ifndef QASR_CLI_PULL_PARTIAL_DOWNLOAD_H
#define QASR_CLI_PULL_PARTIAL_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/manifest.h"
#include "cli/pull/byte_ranges.h"

typedef struct part {
    const model_file *file;
    bool whole;          /* verified, has its name */
    bool no_ranges;      /* the server gives it from the beginning only */
    bool head_there;     /* head is complete */
    uint64_t n_head;     /* bytes that are kept in memory: all of a small file */
    unsigned char *head; /* [n_head] */
    int fd;              /* -1: not open */
    int n_out;           /* pieces on their way */
    spans have, taken;   /* positions after the head that are on the disk; those, and the ones on their way */
} part;

typedef struct parts {
    const manifest *m;
    char *dir;           /* the hidden directory */
    int state_fd;        /* what is known of it, appended line by line; locked */
    part *list;          /* [m->n] */
    int n_connections;
} parts;

/* One piece of a file: bytes [begin, end). */
typedef struct piece {
    part *p;
    uint64_t begin, end;
} piece;

/* Of the directory of a model: ".NAME.partial" beside it; name: of what is in dest itself. Free it. NULL without memory
 * (printed). */
char *parts_dir(const char *dest);

/* Opens or makes the directory, finds out what is there already. in_place: NULL, or for each file of the manifest whether it is
 * whole at its final place. False on error (printed), also if another process is at it. */
bool parts_open(parts *ps, const manifest *m, const char *dest, const bool *in_place, int n_connections);
void parts_close(parts *ps); /* what is there stays there */

uint64_t parts_done_bytes(const parts *ps);

/* The next piece to fetch; false if there is none (now: the head of a file comes last, alone). */
bool parts_next(parts *ps, piece *out);
/* n bytes of a piece, at a position of the file. False on error (printed). */
bool parts_put(parts *ps, const piece *at, uint64_t position, const void *data, size_t n);
/* The piece is over; [at->begin, reached) has come. Flushed to the disk first, then remembered. False on error (printed). */
bool parts_end_piece(parts *ps, const piece *at, uint64_t reached);
/* The server does not give pieces of this file: it comes as a whole, once no piece of it is on its way. False on error
 * (printed). */
bool parts_no_ranges(parts *ps, part *p);

typedef struct parts_watch {
    void (*on_bytes)(void *user, uint64_t n); /* n more bytes were hashed */
    bool (*stopped)(void *user);
    void *user;
} parts_watch;

/* Checks every file that has come by its hash and gives it its name. One that is wrong is thrown away, so that the next pull
 * fetches it again; the others are kept. False on error (printed). */
bool parts_verify(parts *ps, const parts_watch *watch);
/* All files to their final place: as a new directory with its manifest, or one by one if dest is there. Removes the hidden
 * directory. False on error (printed). */
bool parts_install(parts *ps, const char *dest);

/* Hash of a file that is there; hex: HASH_SHA256_HEX or HASH_GIT_HEX digits are wanted. False on error (printed) or if stopped. */
bool parts_hash_file(const char *path, const model_file *file, char out[HASH_SHA256_HEX + 1], const parts_watch *watch);

#endif
