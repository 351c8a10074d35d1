/* Runs a target on every file of some folders, and on mutations of each, which are the same on every machine.
 * replay_TARGET MUTATIONS FOLDER... A finding ends the run; the last line of standard error names the input, which
 * 'replay_TARGET FILE [MUTATION]' runs alone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20, SEEDS_MAX = 512, EDITS_MAX = 4 };

typedef struct input {
    uint8_t *bytes; /* [INPUT_MAX] */
    size_t n;
} input;

/* ---- mutations ------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = *state ^ *state >> 33;
    return x * 0xFF51AFD7ED558CCDu >> 16;
}

static size_t below(uint64_t *state, size_t n) { return n ? (size_t)(next_random(state) % n) : 0; }

static void flip_bit(input *in, uint64_t *random)
{
    if (in->n)
        in->bytes[below(random, in->n)] ^= (uint8_t)(1u << below(random, 8));
}

static void set_byte(input *in, uint64_t *random)
{
    if (in->n)
        in->bytes[below(random, in->n)] = (uint8_t)next_random(random);
}

/* Overwrites bytes with a boundary value, since readers most often fail on lengths and offsets. */
static void set_number(input *in, uint64_t *random)
{
    static const uint64_t numbers[] = { 0,
                                        1,
                                        2,
                                        0x7F,
                                        0x80,
                                        0xFF,
                                        0x100,
                                        0x7FFF,
                                        0xFFFF,
                                        0x7FFFFFFF,
                                        0x80000000,
                                        0xFFFFFFFF,
                                        0x100000000,
                                        0x7FFFFFFFFFFFFFFF,
                                        0x8000000000000000,
                                        0xFFFFFFFFFFFFFFFF };
    uint64_t value = numbers[below(random, sizeof numbers / sizeof numbers[0])];
    size_t width = (size_t)1 << below(random, 4);
    if (in->n >= width)
        memcpy(in->bytes + below(random, in->n - width + 1), &value, width);
}

static void cut_end(input *in, uint64_t *random) { in->n = below(random, in->n + 1); }

static void remove_block(input *in, uint64_t *random)
{
    size_t from = below(random, in->n + 1), n = below(random, (in->n - from < 64 ? in->n - from : 64) + 1);
    memmove(in->bytes + from, in->bytes + from + n, in->n - from - n);
    in->n -= n;
}

static void repeat_block(input *in, uint64_t *random)
{
    size_t from = below(random, in->n + 1), n = below(random, (in->n - from < 64 ? in->n - from : 64) + 1);
    if (n > INPUT_MAX - in->n)
        return;
    memmove(in->bytes + from + n, in->bytes + from, in->n - from);
    in->n += n;
}

/* Mutation 0 is the unchanged seed. */
static void mutate(input *in, size_t mutation)
{
    static void (*const edits[])(input *, uint64_t *) = { flip_bit,   flip_bit, set_byte,     set_number,
                                                          set_number, cut_end,  remove_block, repeat_block };
    uint64_t random = mutation * 0x9E3779B97F4A7C15u;
    for (size_t n = mutation ? 1 + below(&random, EDITS_MAX) : 0; n > 0; n--)
        edits[below(&random, sizeof edits / sizeof edits[0])](in, &random);
}

/* Runs a copy of exactly the input's size, so that sanitizers detect reads beyond the end. */
static void run_copy(const input *in)
{
    uint8_t *copy = malloc(in->n ? in->n : 1);
    if (!copy)
        exit(1);
    memcpy(copy, in->bytes, in->n);
    LLVMFuzzerTestOneInput(copy, in->n);
    free(copy);
}

/* ---- seeds ------------------------------------------------------------------------------------- */

static void load(input *in, const char *path)
{
    FILE *f = fopen(path, "rb");
    in->n = f ? fread(in->bytes, 1, INPUT_MAX, f) : 0;
    if (!f || ferror(f)) {
        perror(path);
        exit(1);
    }
    fclose(f);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static size_t list(char **paths, size_t n, const char *folder)
{
    DIR *d = opendir(folder);
    size_t first = n;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        if (n == SEEDS_MAX || asprintf(&paths[n++], "%s/%s", folder, e->d_name) < 0) {
            fprintf(stderr, "too many files in '%s'\n", folder);
            exit(1);
        }
    }
    if (d)
        closedir(d);
    qsort(paths + first, n - first, sizeof *paths, compare);
    return n;
}

/* ---- runs --------------------------------------------------------------------------------------- */

/* The child's current input, shared with the parent, which reports it after a crash. */
typedef struct place {
    size_t seed, mutation, n_run;
} place;

static void run_all(place *at, char **paths, size_t n, size_t n_mutations)
{
    input in = { .bytes = malloc(INPUT_MAX) };
    if (!in.bytes)
        exit(1);
    for (at->seed = 0; at->seed < n; at->seed++)
        for (at->mutation = 0; at->mutation <= n_mutations; at->mutation++, at->n_run++) {
            load(&in, paths[at->seed]);
            mutate(&in, at->mutation);
            run_copy(&in);
        }
    free(in.bytes);
}

static int run_one(const char *path, size_t mutation)
{
    input in = { .bytes = malloc(INPUT_MAX) };
    load(&in, path);
    mutate(&in, mutation);
    run_copy(&in);
    free(in.bytes);
    return 0;
}

/* Runs in a child process, so that the parent can name the input after a crash. */
static int run_folders(size_t n_mutations, char **folders)
{
    static char *paths[SEEDS_MAX];
    size_t n = 0;
    int status = 0;
    for (; *folders; folders++)
        n = list(paths, n, *folders);
    place *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (n == 0 || at == MAP_FAILED) {
        fprintf(stderr, "no input files\n");
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        run_all(at, paths, n, n_mutations);
        exit(0);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (good)
        printf("%zu inputs\n", at->n_run);
    else if (at->seed < n)
        fprintf(stderr, "\nfinding: '%s' %zu\n", paths[at->seed], at->mutation);
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct stat st;
    if (argc >= 2 && stat(argv[1], &st) == 0 && S_ISREG(st.st_mode))
        return run_one(argv[1], argc > 2 ? strtoul(argv[2], NULL, 10) : 0);
    if (argc < 3) {
        fprintf(stderr, "usage: %s MUTATIONS FOLDER... | FILE [MUTATION]\n", argv[0]);
        return 2;
    }
    return run_folders(strtoul(argv[1], NULL, 10), argv + 2);
}
