/* Shared by the tests of both containers: a scratch folder, files from bytes, and checks that hold for any weights
 * object, even from a hostile file. */
#ifndef TESTS_WEIGHTS_FIXTURE_H
#define TESTS_WEIGHTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "weights/gguf_read.h"
#include "weights/gguf_write.h"
#include "weights/open.h"
#include "weights/safetensors.h"
#include "weights/safetensors_write.h"
#include "weights/weights.h"

static char scratch[64]; /* folder of the running test */

static inline int scratch_make(void **state)
{
    (void)state;
    snprintf(scratch, sizeof scratch, "/tmp/qasr-test-XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

/* The number of entries; remove: also deletes them. */
static inline size_t scratch_list(bool remove_all)
{
    size_t n = 0;
    DIR *d = opendir(scratch);
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            n++;
            if (remove_all)
                unlinkat(dirfd(d), e->d_name, 0);
        }
    closedir(d);
    return n;
}

static inline int scratch_remove(void **state)
{
    (void)state;
    mem_fail_after(SIZE_MAX);
    scratch_list(true);
    return rmdir(scratch);
}

/* Path in the scratch folder; valid for the next three calls. */
static inline const char *scratch_path(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline void write_bytes(const char *name, const void *data, size_t n)
{
    unlink(scratch_path(name)); /* rewriting an old file in place can wait for the disk */
    FILE *f = fopen(scratch_path(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void assert_message(const qasr_error *err, const char *part)
{
    if (!strstr(err->message, part) || strchr(err->message, '\n') || strlen(err->message) < 20)
        fail_msg("message is \"%s\", expected it to say \"%s\"", err->message, part);
}

/* Opens a file that must be refused with this status and this text in the message. */
static inline void assert_refused(const char *path, qasr_status status, const char *part)
{
    weights *w = NULL;
    qasr_error err = { 0 };
    qasr_status got = weights_open(&w, path, &err);
    if (got != status)
        fail_msg("status %d (\"%s\"), expected %d with \"%s\"", (int)got, err.message, (int)status, part);
    assert_null(w);
    assert_int_equal(err.status, status);
    assert_message(&err, part);
}

static inline weights *assert_opens(const char *path)
{
    weights *w = NULL;
    qasr_error err = { 0 };
    if (weights_open(&w, path, &err) != QASR_OK)
        fail_msg("'%s' does not open: %s", path, err.message);
    return w;
}

/* Sizes are consistent, all data and arrays are inside the mappings, every name is found. */
static inline void assert_sound(const weights *w)
{
    for (size_t i = 0; i < weights_count(w); i++) {
        const wtensor *t = weights_at(w, i);
        const file_map *m = weights_file_map(w, t->file);
        uintptr_t begin = (uintptr_t)m->data, data = (uintptr_t)t->data;
        assert_true(data >= begin && data - begin <= m->size && t->n_bytes <= m->size - (data - begin));
        uint64_t n = 1;
        for (unsigned d = 0; d < WEIGHTS_MAX_DIMS; d++)
            n *= t->shape[d];
        const quant_info *q = quant_get(t->type);
        assert_true(n == t->n_values && n % q->block == 0 && n / q->block * q->bytes == t->n_bytes);
        assert_ptr_equal(weights_find(w, t->canonical), t);
    }
    for (size_t i = 0; i < weights_meta_count(w); i++) {
        const wmeta *m = weights_meta_at(w, i);
        assert_ptr_equal(weights_meta_find(w, m->key), m);
        const char *s;
        size_t len;
        uint64_t n = 0;
        for (uint64_t pos = 0; wmeta_next_string(m, &pos, &s, &len); n++)
            assert_true((const unsigned char *)s + len <= m->elems + m->elems_bytes);
        if (m->type == WMETA_ARRAY && m->elem_type == WMETA_STRING)
            assert_int_equal(n, m->n_elems);
    }
}

/* The file either opens to consistent weights or fails with a message. */
static inline bool try_bytes(const char *name, const void *data, size_t n)
{
    write_bytes(name, data, n);
    weights *w = NULL;
    qasr_error err = { 0 };
    qasr_status status = weights_open(&w, scratch_path(name), &err);
    if (status == QASR_OK)
        assert_sound(w);
    else
        assert_true(!w && err.status == status && strlen(err.message) > 10);
    weights_close(w);
    return status == QASR_OK;
}

static inline uint64_t next_random(uint64_t *state) /* xorshift64 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Flips 1 to 4 bits, each in the first `within` bytes, `rounds` times; returns how often the file opened. */
static inline size_t try_bit_flips(const char *name, const void *data, size_t n, size_t within, size_t rounds)
{
    uint64_t seed = 0x9E3779B97F4A7C15u;
    size_t opened = 0;
    unsigned char *copy = malloc(n);
    assert_non_null(copy);
    for (size_t i = 0; i < rounds; i++) {
        memcpy(copy, data, n);
        for (uint64_t flips = 1 + next_random(&seed) % 4; flips > 0; flips--) {
            uint64_t bit = next_random(&seed) % (within * 8);
            copy[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        opened += try_bytes(name, copy, n);
    }
    free(copy);
    return opened;
}

/* Every allocation fails once: NOMEM each time, and success in the end. */
static inline void try_allocation_failures(const char *path)
{
    for (size_t n = 0;; n++) {
        weights *w = NULL;
        qasr_error err = { 0 };
        mem_fail_after(n);
        qasr_status status = weights_open(&w, path, &err);
        mem_fail_after(SIZE_MAX);
        weights_close(w);
        if (status == QASR_OK) {
            assert_true(n > 3);
            return;
        }
        assert_int_equal(status, QASR_E_NOMEM);
        assert_null(w);
    }
}

#endif
