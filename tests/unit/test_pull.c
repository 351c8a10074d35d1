/* Parts of 'qasr pull': sets of ranges against a plain array, a damaged state file, tokens and addresses. The whole
 * command is tested against a server (tests/cli/cases/pull*.sh). */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/message.h"
#include "app/progress.h"
#include "cli/cmd.h"
#include "cli/pull/hub.h"
#include "cli/pull/partial_download.h"

/* ---- replaced messages ----------------------------------------------------------------- */

static char said[1024];

bool message_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(said, sizeof said, fmt, ap);
    va_end(ap);
    return false;
}

void message_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(said, sizeof said, fmt, ap);
    va_end(ap);
}

/* ---- ranges ---------------------------------------------------------------------------------- */

enum { N = 200 };

static void assert_same(const byte_ranges *s, const bool there[N])
{
    uint64_t size = 0;
    for (size_t i = 0; i < s->n; i++) {
        assert_true(s->list[i].begin < s->list[i].end && s->list[i].end <= N);
        assert_true(i == 0 || s->list[i - 1].end < s->list[i].begin); /* in order, not even touching */
        for (uint64_t at = s->list[i].begin; at < s->list[i].end; at++)
            assert_true(there[at]);
    }
    for (size_t i = 0; i < N; i++)
        size += there[i];
    assert_int_equal(byte_ranges_size(s), size);
}

static void assert_gap(const byte_ranges *s, const bool there[N], uint64_t begin, uint64_t end)
{
    byte_range gap;
    uint64_t at = begin, to;
    while (at < end && there[at])
        at++;
    for (to = at; to < end && !there[to];)
        to++;
    assert_int_equal(byte_ranges_gap(s, begin, end, &gap), at < end);
    if (at < end) {
        assert_int_equal(gap.begin, at);
        assert_int_equal(gap.end, to);
    }
}

static void ranges(void **state)
{
    byte_ranges s = { 0 };
    bool there[N] = { false };
    srand(1);
    for (int i = 0; i < 5000; i++) {
        uint64_t begin = (uint64_t)rand() % N, end = begin + (uint64_t)rand() % 20;
        bool add = rand() % 2;
        end = end > N ? N : end;
        assert_true(add ? byte_ranges_add(&s, begin, end) : byte_ranges_remove(&s, begin, end));
        for (uint64_t at = begin; at < end; at++)
            there[at] = add;
        assert_same(&s, there);
        begin = (uint64_t)rand() % N;
        assert_gap(&s, there, begin, begin + (uint64_t)rand() % (N + 1 - begin));
        if (i % 500 == 499) {
            byte_ranges_remove(&s, 0, N);
            memset(there, 0, sizeof there);
            assert_int_equal(s.n, 0);
        }
    }
    assert_true(byte_ranges_add(&s, 10, 5)); /* end before begin: adds nothing */
    assert_true(byte_ranges_add(&s, UINT64_MAX - 1, UINT64_MAX));
    assert_int_equal(s.list[s.n - 1].end, UINT64_MAX);
    byte_ranges_free(&s);
}

/* ---- download state ---------------------------------------------------------------------------- */

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
enum { SIZE = 5000000 };

typedef struct place {
    char dir[64], dest[80], partial[100], file[150];
    manifest m;
} place;

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void make_place(place *p)
{
    strcpy(p->dir, "/tmp/qasr-test-pull-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->dest, sizeof p->dest, "%s/m", p->dir);
    snprintf(p->partial, sizeof p->partial, "%s/.m.partial", p->dir);
    assert_int_equal(mkdir(p->partial, 0777), 0);
    snprintf(p->file, sizeof p->file, "%s/w.part", p->partial);
    write_text(p->file, "");
    assert_int_equal(truncate(p->file, SIZE), 0);
    assert_true(manifest_init(&p->m, "Org/Name", "main", ""));
    assert_true(manifest_add(&p->m, "w", SIZE, HASH_A, "Org/Name/resolve/main/w"));
}

static void remove_place(place *p)
{
    char line[100];
    snprintf(line, sizeof line, "rm -rf '%s'", p->dir);
    assert_int_equal(system(line), 0);
    manifest_free(&p->m);
}

/* Bytes that count as downloaded with a state file of this text. */
static uint64_t believed(place *p, const char *text)
{
    char path[150];
    download d;
    snprintf(path, sizeof path, "%s/.qasr-pull-state", p->partial);
    write_text(path, text);
    assert_true(download_open(&d, &p->m, p->dest, NULL, 4));
    uint64_t n = download_done_bytes(&d);
    download_close(&d);
    return n;
}

static void damaged_state(void **state)
{
    place p;
    make_place(&p);
    const struct {
        const char *text;
        uint64_t n;
    } cases[] = {
        { "", 0 },
        { "have 4096 5096 5000000 " HASH_A " w\n", 1000 },
        { "have 4096 5096 5000000 " HASH_A " w\nhave 5000 6096 5000000 " HASH_A " w\n", 2000 },
        { "have 4096 5096 5000000 " HASH_A " w\nhave 10000 50000 5000000 " HASH_A " w", 1000 }, /* truncated line */
        { "have 4096 5096 5000000 " HASH_A " w\nhave 10000 500\nhave 10000 10001 5000000 " HASH_A " w\n", 1001 },
        { "have 4096 5096 5000000 " HASH_B " w\n", 0 }, /* another version of the file */
        { "have 4096 5096 5000001 " HASH_A " w\n", 0 },
        { "have 4096 5096 5000000 " HASH_A " v\n", 0 },
        { "have 0 5096 5000000 " HASH_A " w\n", 0 }, /* the head is never on disk */
        { "have 4096 5000001 5000000 " HASH_A " w\n", 0 },
        { "have 5096 4096 5000000 " HASH_A " w\n", 0 },
        { "have -1 5096 5000000 " HASH_A " w\n", 0 },
        { "have 4096 99999999999999999999999 5000000 " HASH_A " w\n", 0 },
        { "have 4096 5096 5000000 " HASH_A " w more\n", 0 },
        { "whole 5000000 " HASH_A " w\n", 0 }, /* the file is missing */
        { "have 4096 5096 5000000 " HASH_A " w\ndrop w\n", 0 },
        { "have 4096 5096 5000000 " HASH_A " w\ndrop w\nhave 4096 4097 5000000 " HASH_A " w\n", 1 },
        { "\n\n \nnonsense\nwhole\ndrop\nhave\n", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(believed(&p, cases[i].text), cases[i].n);
    assert_int_equal(truncate(p.file, SIZE - 1), 0); /* no longer matches the state */
    assert_int_equal(believed(&p, cases[1].text), 0);
    unlink(p.file);
    assert_int_equal(believed(&p, cases[1].text), 0);
    remove_place(&p);
}

/* Ranges cover a file exactly once, the head comes last and alone, and only what has arrived is recorded. */
static void download_ranges(void **state)
{
    place p;
    download d;
    download_range at, held[8];
    make_place(&p);
    believed(&p, "");
    assert_true(download_open(&d, &p.m, p.dest, NULL, 4));
    static unsigned char zeros[1 << 20];
    uint64_t expected = 4096;
    int n = 0;
    while (download_next(&d, &at)) {
        assert_int_equal(at.begin, expected);
        assert_true(at.end > at.begin && at.end - at.begin <= sizeof zeros && n < 8);
        expected = at.end;
        held[n++] = at;
    }
    assert_int_equal(expected, SIZE);
    for (int i = 0; i < n; i++) {
        uint64_t size = held[i].end - held[i].begin, came = i == 1 ? size / 2 : size;
        assert_true(download_write(&d, &held[i], held[i].begin, zeros, came));
        assert_true(download_end_range(&d, &held[i], held[i].begin + came));
    }
    assert_true(download_next(&d, &at)); /* the half that did not arrive */
    assert_int_equal(at.begin, held[1].begin + (held[1].end - held[1].begin) / 2);
    assert_int_equal(at.end, held[1].end);
    download_range none;
    assert_false(download_next(&d, &none));
    assert_true(download_write(&d, &at, at.begin, zeros, at.end - at.begin));
    assert_true(download_end_range(&d, &at, at.end));
    assert_true(download_next(&d, &at));
    assert_int_equal(at.begin, 0);
    assert_int_equal(at.end, 4096);
    assert_true(download_write(&d, &at, 0, "head", 4));
    assert_true(download_end_range(&d, &at, 4)); /* interrupted: fetched again as a whole */
    assert_int_equal(download_done_bytes(&d), SIZE - 4096);
    char on_disk[5] = "????";
    FILE *f = fopen(p.file, "r");
    assert_non_null(f);
    assert_int_equal(fread(on_disk, 1, 4, f), 4);
    fclose(f);
    assert_memory_equal(on_disk, "\0\0\0\0", 4); /* not before the hash is verified */
    assert_true(download_next(&d, &at));
    assert_int_equal(at.end - at.begin, 4096);
    download_close(&d);
    assert_true(download_open(&d, &p.m, p.dest, NULL, 1));
    assert_int_equal(download_done_bytes(&d), SIZE - 4096);
    download_close(&d);
    remove_place(&p);
}

/* ---- addresses and tokens --------------------------------------------------------------------------- */

static void assert_endpoint(const char *given, const char *expected)
{
    char *endpoint = hub_endpoint(given);
    assert_string_equal(endpoint, expected);
    free(endpoint);
}

static void endpoints(void **state)
{
    unsetenv("HF_ENDPOINT");
    assert_endpoint(NULL, "https://huggingface.co");
    assert_endpoint("https://mirror.example/hub//", "https://mirror.example/hub");
    setenv("HF_ENDPOINT", "http://localhost:80/", 1);
    assert_endpoint(NULL, "http://localhost:80");
    assert_endpoint("https://x", "https://x");
    const char *const wrong[] = { "",         "x",           "ftp://x",           "https://",
                                  "http:///", "https://a b", "https://user:pw@x", "https://x?y" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_null(hub_endpoint(wrong[i]));
    unsetenv("HF_ENDPOINT");
}

static void assert_token(const char *endpoint, const char *expected)
{
    char *token;
    assert_true(hub_token(&token, endpoint));
    if (expected)
        assert_string_equal(token, expected);
    else
        assert_null(token);
    free(token);
}

static void tokens(void **state)
{
    char *token, path[100];
    place p;
    make_place(&p);
    snprintf(path, sizeof path, "%s/token", p.dir);
    write_text(path, "hf_stored\n");
    setenv("HF_HOME", p.dir, 1);
    unsetenv("HF_TOKEN_PATH");
    unsetenv("HF_TOKEN");
    assert_token("https://huggingface.co", "hf_stored");
    assert_token("https://mirror.example", NULL); /* only for the public hub */
    setenv("HF_TOKEN", " hf_given\n", 1);
    assert_token("https://huggingface.co", "hf_given");
    assert_token("https://mirror.example", "hf_given");
    assert_token("http://mirror.example", NULL); /* not encrypted */
    assert_token("http://localhost.example", NULL);
    assert_token("http://127.0.0.1:8000/x", "hf_given");
    assert_token("http://localhost", "hf_given");
    setenv("HF_TOKEN", "two\r\nX-Header: lines", 1);
    assert_false(hub_token(&token, "https://huggingface.co"));
    unsetenv("HF_TOKEN");
    snprintf(path, sizeof path, "%s/none", p.dir);
    setenv("HF_TOKEN_PATH", path, 1);
    assert_token("https://huggingface.co", NULL);
    unsetenv("HF_TOKEN_PATH");
    unsetenv("HF_HOME");
    remove_place(&p);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void names(void **state)
{
    const struct {
        const char *text, *layout, *repo, *revision, *dir;
    } good[] = {
        { "0.6B", NULL, "Qwen/Qwen3-ASR-0.6B", "main", "0.6b" },
        { "1.7b", "hf", "Qwen/Qwen3-ASR-1.7B-hf", "main", "1.7b-hf" },
        { "0.6b-hf", "hf", "Qwen/Qwen3-ASR-0.6B-hf", "main", "0.6b-hf" },
        { "aligner@v1/2", "original", "Qwen/Qwen3-ForcedAligner-0.6B", "v1/2", "aligner@v1--2" },
        { "qwen/qwen3-asr-0.6b", NULL, "Qwen/Qwen3-ASR-0.6B", "main", "0.6b" },
        { "Org/Na.me_x", NULL, "Org/Na.me_x", "main", "Org--Na.me_x" },
    };
    const char *const wrong[] = { "",     "@",    "0.6b@", "x",      "/x",     "x/",      "a/b/c",
                                  "../x", "a/..", "a/.b",  "a/b@..", "a/b@/x", "a/b@x y", "a/b?x" };
    model_spec spec;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(models_parse(&spec, good[i].text, good[i].layout));
        assert_string_equal(spec.repo, good[i].repo);
        assert_string_equal(spec.revision, good[i].revision);
        assert_string_equal(spec.dir_name, good[i].dir);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(models_parse(&spec, wrong[i], NULL));
    char *longer = calloc(1, 10001);
    memset(longer, 'a', 10000);
    memcpy(longer + 100, "/", 1);
    assert_false(models_parse(&spec, longer, NULL));
    memcpy(longer + 110, "@", 1);
    assert_false(models_parse(&spec, longer, NULL));
    free(longer);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(ranges),          cmocka_unit_test(damaged_state),
                                        cmocka_unit_test(download_ranges), cmocka_unit_test(endpoints),
                                        cmocka_unit_test(tokens),          cmocka_unit_test(names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
