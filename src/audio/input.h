/* The bytes of an input: a file as long as it was when it was opened, or a pipe that was read into memory. */
#ifndef QASR_AUDIO_INPUT_H
#define QASR_AUDIO_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

typedef struct input {
    const char *name; /* for messages */
    int fd;           /* of a regular file; below 0: the bytes are in memory */
    buf bytes;
    uint64_t size;
    int error; /* errno of the first read that failed; 0: none */
} input;

/* Opens path ("-": standard input), which must live as long as the input. An empty input is an error, as is a pipe of
 * more than 2 GiB. *in is to be closed after an error too. Errors: IO, FORMAT, NOMEM. */
qasr_status input_open(input *in, const char *path, qasr_error *err);
void input_close(input *in);
/* Up to n bytes from `at` on; fewer at the end, and where the file cannot be read (in->error). */
size_t input_read(input *in, uint64_t at, void *to, size_t n);
/* A descriptor on all the bytes, positioned at the first, that can seek: the caller's to close. Below 0: errno. */
int input_descriptor(const input *in);

/* A window for readers that walk through an input. */
enum { WINDOW_BYTES = 1 << 17 };
typedef struct window {
    input *in;
    uint64_t at, end; /* of the bytes that are held; end: nothing is read from there on */
    size_t n;
    unsigned char data[WINDOW_BYTES];
} window;

/* The n bytes at `at`, n <= WINDOW_BYTES / 2; NULL if they do not all lie before the end. Good until the next call. */
const unsigned char *window_get(window *w, uint64_t at, size_t n);
/* How many bytes from `at` on, up to `end`, are zero. */
uint64_t window_count_zeros(window *w, uint64_t at, uint64_t end);
/* Where the first of n_needle bytes stands in [at, end); `end` if nowhere. */
uint64_t window_find(window *w, uint64_t at, uint64_t end, const void *needle, size_t n_needle);

/* Numbers of n <= 8 bytes. */
static inline uint64_t read_little_endian(const unsigned char *p, size_t n)
{
    uint64_t value = 0;
    while (n-- > 0)
        value = value << 8 | p[n];
    return value;
}

static inline uint64_t read_big_endian(const unsigned char *p, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

#endif
