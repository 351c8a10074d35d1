/* Tokenizers for tests: the published vocabulary, the demo model's, and edited copies of the demo model's. */
#ifndef TESTS_TOKENIZER_FIXTURE_H
#define TESTS_TOKENIZER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "text/text.h"

static tokenizer *real, *demo;

static inline int open_tokenizers(void **state)
{
    qasr_error err;
    (void)state;
    if (tokenizer_open_dir(&real, TOKENIZER_DIR, &err) || tokenizer_open_dir(&demo, MODEL_DIR, &err)) {
        print_error("%s\n", err.message);
        return -1;
    }
    return 0;
}

static inline int free_tokenizers(void **state)
{
    (void)state;
    tokenizer_free(real);
    tokenizer_free(demo);
    return 0;
}

/* ---- edited copies ------------------------------------------------------------------------ */

enum { VOCAB, MERGES, CONFIG, N_FILES };
static const char *const file_name[N_FILES] = { "vocab.json", "merges.txt", "tokenizer_config.json" };

static inline void write_file(const char *dir, int which, const char *text, size_t n)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, file_name[which]);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

/* The text of a tokenizer file. Free it. */
static inline buf read_text(const char *dir, int which)
{
    qasr_error err;
    char *path;
    buf text;
    buf_init(&text, 1 << 24);
    assert_int_equal(file_path_join(&path, dir, file_name[which], &err), QASR_OK);
    assert_int_equal(file_read_all(&text, path, &err), QASR_OK);
    mem_free(path);
    return text;
}

/* Writes the demo model's file with the first occurrence of from replaced by to; from NULL: writes only to. */
static inline void write_edited(const char *dir, int which, const char *from, const char *to)
{
    qasr_error err;
    buf text = read_text(MODEL_DIR, which), edited;
    buf_init(&edited, 1 << 20);
    const char *found = from ? strstr(text.data, from) : text.data;
    if (!found)
        fail_msg("'%s' is not in %s", from ? from : "", file_name[which]);
    assert_int_equal(buf_add(&edited, text.data, (size_t)(found - text.data), &err), QASR_OK);
    assert_int_equal(buf_add_str(&edited, to, &err), QASR_OK);
    assert_int_equal(buf_add_str(&edited, from ? found + strlen(from) : "", &err), QASR_OK);
    write_file(dir, which, buf_str(&edited), edited.len);
    buf_free(&text);
    buf_free(&edited);
}

/* Makes a directory with the demo model's files. */
static inline void make_dir(char dir[64])
{
    snprintf(dir, 64, "/tmp/qasr-tokenizer-XXXXXX");
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < N_FILES; i++)
        write_edited(dir, i, "", "");
}

static inline void remove_dir(const char *dir)
{
    char path[300];
    for (int i = 0; i < N_FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, file_name[i]);
        unlink(path);
    }
    rmdir(dir);
}

#endif
