/* base: error text, memory, buffers, atomic files, the thread pool. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/ram.h"
#include "base/unfinished.h"

static void error_text_is_one_clean_line(void **state)
{
    qasr_error err;
    assert_int_equal(error_set(&err, QASR_E_FORMAT, "bad '%s'", "a\nb\tc"), QASR_E_FORMAT);
    assert_string_equal(err.message, "bad 'a?b?c'");
    assert_int_equal(error_set(NULL, QASR_E_IO, "nobody listens"), QASR_E_IO);
    char longtext[2000];
    for (size_t i = 0; i + 1 < sizeof longtext; i += 2)
        memcpy(longtext + i, "\xc3\xa9", 2);
    longtext[sizeof longtext - 2] = 0;
    error_set(&err, QASR_E_FORMAT, "x%s", longtext);
    size_t n = strlen(err.message);
    assert_true(n < sizeof err.message);
    assert_int_equal((unsigned char)err.message[n - 1], 0xa9); /* not cut inside a character */
    errno = ENOENT;
    assert_int_equal(error_set_errno(&err, "cannot open '%s'", "f"), QASR_E_IO);
    assert_string_equal(err.message, "cannot open 'f': No such file or directory");
}

static void keep_line(void *user, qasr_log_level level, const char *message)
{
    snprintf(user, 100, "%d %s", level, message);
}

static void log_lines_are_clean_too(void **state)
{
    char line[100] = "";
    log_warning("nobody hears '%s'", "this");
    qasr_log_set(keep_line, line);
    log_warning("tensor '%s'", "a\nb");
    qasr_log_set(NULL, NULL);
    assert_string_equal(line, "1 tensor 'a?b'");
}

static void memory_sizes_are_checked(void **state)
{
    qasr_error err;
    void *p = NULL;
    assert_int_equal(mem_alloc(&p, SIZE_MAX / 2, 4, &err), QASR_E_NOMEM);
    assert_int_equal(mem_alloc(&p, SIZE_MAX - 3, 1, &err), QASR_E_NOMEM);
    assert_null(p);
    assert_int_equal(mem_alloc(&p, 3, 5, &err), QASR_OK);
    assert_int_equal((uintptr_t)p % MEM_ALIGN, 0);
    mem_free(p);
    mem_fail_after(1);
    assert_int_equal(mem_alloc(&p, 1, 1, &err), QASR_OK);
    mem_free(p);
    assert_int_equal(mem_alloc(&p, 1, 1, &err), QASR_E_NOMEM);
    assert_int_equal(mem_alloc(&p, 1, 1, &err), QASR_E_NOMEM);
    mem_fail_after(SIZE_MAX);
}

static void buffers_have_a_maximum(void **state)
{
    qasr_error err;
    buf b;
    buf_init(&b, 10);
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_add_str(&b, "hello", &err), QASR_OK);
    assert_int_equal(buf_printf(&b, &err, "%d", 12345), QASR_OK);
    assert_string_equal(buf_str(&b), "hello12345");
    assert_int_equal(buf_add(&b, "x", 1, &err), QASR_E_NOMEM);
    assert_int_equal(buf_printf(&b, &err, "y"), QASR_E_NOMEM);
    assert_int_equal(b.len, 10);
    char *s;
    assert_int_equal(buf_take(&b, &s, &err), QASR_OK);
    assert_string_equal(s, "hello12345");
    mem_free(s);
    assert_int_equal(buf_take(&b, &s, &err), QASR_OK);
    assert_string_equal(s, "");
    mem_free(s);
}

static void reading_to_the_end_has_a_maximum(void **state)
{
    static const struct {
        size_t max;
        const char *advice, *message;
    } cases[] = {
        { 100000, "", NULL },
        { 200000, "; shorten it", NULL },
        { 99999, "; shorten it", "'a file' is too large: more than 99999 bytes; shorten it" },
    };
    char *bytes = malloc(100000);
    for (size_t i = 0; i < 100000; i++)
        bytes[i] = (char)(i * 7 % 251);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_error err;
        buf b;
        FILE *f = tmpfile();
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, 100000, f), 100000);
        rewind(f);
        buf_init(&b, cases[i].max);
        qasr_status status = file_read_to_end(&b, fileno(f), "a file", cases[i].advice, &err);
        assert_int_equal(status, cases[i].message ? QASR_E_FORMAT : QASR_OK);
        if (cases[i].message)
            assert_string_equal(err.message, cases[i].message);
        else
            assert_int_equal(b.len, 100000);
        assert_memory_equal(buf_str(&b), bytes, b.len);
        fclose(f);
        buf_free(&b);
    }
    free(bytes);
    qasr_error err;
    buf b;
    buf_init(&b, 10);
    assert_int_equal(file_read_to_end(&b, -1, "nothing", "", &err), QASR_E_IO);
    assert_string_equal(err.message, "cannot read 'nothing': Bad file descriptor");
}

static void output_appears_whole_or_not_at_all(void **state)
{
    qasr_error err;
    char dir[] = "/tmp/qasr-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path;
    assert_int_equal(file_path_join(&path, dir, "out", &err), QASR_OK);
    file_writer w;
    assert_int_equal(file_writer_open(&w, path, false, &err), QASR_OK);
    assert_int_equal(file_writer_put(&w, 3, "def", 3, &err), QASR_OK);
    assert_int_equal(file_writer_put(&w, 0, "abc", 3, &err), QASR_OK);
    assert_false(file_exists(path));
    assert_int_equal(file_writer_commit(&w, &err), QASR_OK);
    file_map m;
    assert_int_equal(file_map_open(&m, path, &err), QASR_OK);
    assert_int_equal(m.size, 6);
    assert_memory_equal(m.data, "abcdef", 6);
    file_map_close(&m);
    assert_int_equal(file_writer_open(&w, path, false, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "' exists"));
    assert_int_equal(file_writer_open(&w, path, true, &err), QASR_OK);
    assert_int_equal(file_writer_put(&w, 0, "zzz", 3, &err), QASR_OK);
    file_writer_abort(&w);
    assert_int_equal(file_map_open(&m, path, &err), QASR_OK);
    assert_memory_equal(m.data, "abcdef", 6);
    file_map_close(&m);
    buf b;
    buf_init(&b, 5);
    assert_int_equal(file_read_all(&b, path, &err), QASR_E_FORMAT);
    buf_free(&b);
    assert_int_equal(file_writer_open(&w, dir, true, &err), QASR_E_INVALID);
    assert_int_equal(file_map_open(&m, dir, &err), QASR_E_IO);
    unlink(path);
    assert_int_equal(file_map_open(&m, path, &err), QASR_E_IO);
    struct stat st;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_writer_open(&w, path, true, &err), QASR_E_INVALID);
    assert_true(stat(path, &st) == 0 && S_ISFIFO(st.st_mode));
    assert_int_equal(file_map_open(&m, path, &err), QASR_E_IO); /* and does not block waiting for a writer */
    unlink(path);
    assert_int_equal(rmdir(dir), 0);                                      /* empty: no temporary file is left */
    assert_int_equal(file_writer_open(&w, path, false, &err), QASR_E_IO); /* no such directory */
    mem_free(path);
}

/* Names of any length; a replaced file keeps its mode, and a link stays. */
static void output_replaces_a_file_in_its_place(void **state)
{
    qasr_error err;
    struct stat st;
    file_writer w;
    char dir[] = "/tmp/qasr-test-XXXXXX", name[256], *path, *link;
    assert_non_null(mkdtemp(dir));
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(file_path_join(&path, dir, name, &err), QASR_OK);
    assert_int_equal(file_path_join(&link, dir, "link", &err), QASR_OK);
    assert_int_equal(symlink(name, link), 0);
    for (int i = 0; i < 2; i++) { /* a link to nothing yet, then to a file */
        assert_int_equal(file_writer_open(&w, link, i > 0, &err), QASR_OK);
        assert_int_equal(file_writer_put(&w, 0, "abc", 3, &err), QASR_OK);
        assert_int_equal(file_writer_commit(&w, &err), QASR_OK);
        assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
        assert_true(lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 3);
        if (i > 0)
            assert_int_equal(st.st_mode & 0777, 0604);
        assert_int_equal(chmod(path, 0604), 0);
    }
    unlink(link);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
    mem_free(link);
    mem_free(path);
}

/* A name in a new folder of its own; free with remove_place. */
typedef struct place {
    char dir[32];
    char *path;
} place;

static void make_place(place *p)
{
    strcpy(p->dir, "/tmp/qasr-test-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    assert_int_equal(file_path_join(&p->path, p->dir, "out", NULL), QASR_OK);
}

/* The folder must be empty but for the file: no temporary file is left. */
static void remove_place(place *p)
{
    unlink(p->path);
    assert_int_equal(rmdir(p->dir), 0);
    mem_free(p->path);
}

/* Two writers find the name free; the second to finish must not replace the file of the first. */
static void the_first_writer_wins(void **state)
{
    (void)state;
    qasr_error err;
    place p;
    make_place(&p);
    file_writer w[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_writer_open(&w[i], p.path, false, &err), QASR_OK);
        assert_int_equal(file_writer_put(&w[i], 0, i ? "second" : "first", 5, &err), QASR_OK);
    }
    assert_int_equal(file_writer_commit(&w[0], &err), QASR_OK);
    assert_int_equal(file_writer_commit(&w[1], &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "exists"));
    file_map m;
    assert_int_equal(file_map_open(&m, p.path, &err), QASR_OK);
    assert_memory_equal(m.data, "first", 5);
    file_map_close(&m);
    remove_place(&p);
}

/* What a signal handler does: temporary files of open writers go, finished files stay. */
static void unfinished_files_are_removed(void **state)
{
    (void)state;
    qasr_error err;
    place p;
    make_place(&p);
    file_writer w[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(file_writer_open(&w[i], p.path, true, &err), QASR_OK);
    assert_int_equal(file_writer_commit(&w[0], &err), QASR_OK);
    file_writer_abort(&w[1]);
    char *tmp_path = w[2].tmp_path;
    assert_true(file_exists(tmp_path));
    unfinished_remove_all();
    assert_false(file_exists(tmp_path));
    assert_true(file_exists(p.path));
    file_writer_abort(&w[2]);
    free(tmp_path); /* the writer leaves it to the handler */
    remove_place(&p);
}

typedef struct counts {
    atomic_int seen[1000];
    atomic_int bad_thread;
    unsigned n_threads;
} counts;

static void directories_are_listed_in_order(void **state)
{
    static const char *const names[] = { "b.gguf", "a.gguf", "a.gguf.part", "mmproj-a.gguf", ".gguf" };
    char dir[] = "/tmp/qasr-list-XXXXXX";
    qasr_error err;
    file_names list;
    assert_non_null(mkdtemp(dir));
    for (int remove = 0; remove < 2; remove++) {
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            char *path;
            assert_int_equal(file_path_join(&path, dir, names[i], &err), QASR_OK);
            FILE *f = remove ? NULL : fopen(path, "w");
            assert_int_equal(remove ? unlink(path) : fclose(f), 0);
            mem_free(path);
        }
        assert_int_equal(file_list(&list, dir, "*a.gguf", &err), QASR_OK);
        assert_int_equal(list.n, remove ? 0 : 2);
        if (!remove) {
            assert_string_equal(list.names[0], "a.gguf");
            assert_string_equal(list.names[1], "mmproj-a.gguf");
        }
        file_names_free(&list);
    }
    rmdir(dir);
    assert_int_equal(file_list(&list, dir, "*", &err), QASR_E_IO);
    file_names_free(&list);
}

static void parents_are_directories(void **state)
{
    static const char *const pairs[][2] = {
        { "a.gguf", "." }, { "m/a.gguf", "m/" }, { "/a", "/" }, { "../x/y/a", "../x/y/" }
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        char *dir;
        assert_int_equal(file_parent(&dir, pairs[i][0], NULL), QASR_OK);
        assert_string_equal(dir, pairs[i][1]);
        mem_free(dir);
    }
}

static void count_task(void *arg, size_t task, unsigned thread)
{
    counts *c = arg;
    atomic_fetch_add(&c->seen[task], 1);
    if (thread >= c->n_threads)
        atomic_store(&c->bad_thread, 1);
}

static void pool_runs_every_task_once(void **state)
{
    qasr_error err;
    static const unsigned counts_of_threads[] = { 1, 2, 3, 5, 40 };
    for (size_t t = 0; t < ARRAY_LEN(counts_of_threads); t++) {
        unsigned n = counts_of_threads[t];
        pool *p;
        assert_int_equal(pool_create(&p, n, &err), QASR_OK);
        assert_int_equal(pool_threads(p), n);
        for (int round = 0; round < 300; round++) {
            static counts c;
            memset(&c, 0, sizeof c);
            c.n_threads = n;
            size_t n_tasks = (size_t)(round * 7 % 1000);
            pool_run(p, count_task, &c, n_tasks);
            for (size_t i = 0; i < 1000; i++)
                assert_int_equal(c.seen[i], i < n_tasks);
            assert_int_equal(c.bad_thread, 0);
            if (round % 100 == 0)
                usleep(2000); /* lets the workers fall asleep */
        }
        pool_free(p);
    }
    pool_free(NULL);
    assert_true(pool_default_threads() >= 1);
}

static void cpu_level_can_be_masked(void **state)
{
    unsetenv("QASR_CPU");
    cpu_level top = cpu_detect();
    assert_int_equal(top, cpu_detect_machine());
    for (int i = 0; i < CPU_LEVEL_COUNT; i++) {
        setenv("QASR_CPU", cpu_level_name((cpu_level)i), 1);
        assert_null(cpu_env_invalid());
        int expected = i < (int)top ? i : (int)top;
        assert_true(cpu_has_level((cpu_level)i) == (i == expected) || !strcmp(cpu_level_name((cpu_level)i), "avxvnni"));
        if (!cpu_has_level((cpu_level)expected)) /* the CPU lacks avxvnni */
            expected--;
        assert_int_equal(cpu_detect(), expected);
        assert_non_null(strstr(cpu_level_choices(), cpu_level_name((cpu_level)i)));
    }
    static const char *const foreign[] = {
        "pentium",
#if defined(__x86_64__)
        "neon",
        "dotprod",
        "i8mm",
#elif defined(__aarch64__)
        "avx2",
        "avxvnni",
        "avx512",
        "avx512vnni",
#endif
    };
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) { /* not a level, or a level of another architecture */
        setenv("QASR_CPU", foreign[i], 1);
        assert_string_equal(cpu_env_invalid(), foreign[i]);
        assert_int_equal(cpu_detect(), top);
    }
    unsetenv("QASR_CPU");
}

/* ---- memory of the machine ---- */

typedef struct fake_file {
    const char *path, *content;
} fake_file;

/* With the directories that they need. */
static void write_files(const char *root, const fake_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", root, files[i].path);
        for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
            *slash = 0;
            mkdir(path, 0700);
            *slash = '/';
        }
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(files[i].content, f);
        fclose(f);
    }
}

/* With their directories, and root. */
static void remove_files(const char *root, const fake_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", root, files[i].path);
        unlink(path);
        for (char *slash; (slash = strrchr(path, '/')) > path + strlen(root);) {
            *slash = 0;
            rmdir(path);
        }
    }
    rmdir(root);
}

static ram_info read_fake(uint64_t total_bytes, const fake_file *files, size_t n)
{
    char root[] = "/tmp/qasr-test-XXXXXX", proc[64], cgroup[64];
    assert_non_null(mkdtemp(root));
    write_files(root, files, n);
    snprintf(proc, sizeof proc, "%s/proc", root);
    snprintf(cgroup, sizeof cgroup, "%s/cgroup", root);
    ram_info ram = ram_read(total_bytes, proc, cgroup);
    remove_files(root, files, n);
    return ram;
}

#define MEMINFO "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"
static const uint64_t gb = 1000000000, physical = UINT64_C(16000000) * 1024, available = UINT64_C(8000000) * 1024;

static void memory_is_that_of_the_container(void **state)
{
    const fake_file bare[] = { { "proc/meminfo", MEMINFO }, { "proc/self/cgroup", "0::/user.slice\n" } };
    ram_info ram = read_fake(physical, bare, ARRAY_LEN(bare));
    assert_int_equal(ram.total_bytes, physical);
    assert_int_equal(ram.available_bytes, available);

    const fake_file none[] = { { "proc/other", "" } }; /* not Linux */
    ram = read_fake(physical, none, ARRAY_LEN(none));
    assert_int_equal(ram.total_bytes, physical);
    assert_int_equal(ram.available_bytes, 0);

    /* version 2: the tightest group on the way to the root counts; inactive pages of files can be given up */
    const fake_file second[] = { { "proc/meminfo", MEMINFO },
                                 { "proc/self/cgroup", "0::/a/b\n" },
                                 { "cgroup/a/b/memory.max", "max\n" },
                                 { "cgroup/a/memory.max", "4000000000\n" },
                                 { "cgroup/a/memory.current", "3000000000\n" },
                                 { "cgroup/a/memory.stat", "anon 5\ninactive_file 1500000000\n" } };
    ram = read_fake(physical, second, ARRAY_LEN(second));
    assert_int_equal(ram.total_bytes, 4 * gb);
    assert_int_equal(ram.available_bytes, 2.5 * (double)gb);

    /* version 1 in a container: the group's path in /proc does not exist, the root has the limit */
    const fake_file first[] = { { "proc/meminfo", MEMINFO },
                                { "proc/self/cgroup", "5:cpu,cpuacct:/x\n4:freezer,memory:/docker/0123\n0::/\n" },
                                { "cgroup/memory/memory.limit_in_bytes", "2000000000\n" },
                                { "cgroup/memory/memory.usage_in_bytes", "2000000001\n" },
                                { "cgroup/memory/memory.stat", "total_inactive_file 0\n" } };
    ram = read_fake(physical, first, ARRAY_LEN(first));
    assert_int_equal(ram.total_bytes, 2 * gb);
    assert_int_equal(ram.available_bytes, 1); /* nothing, but known */

    const fake_file unlimited[] = { { "proc/meminfo", MEMINFO },
                                    { "proc/self/cgroup", "4:memory:/\n" },
                                    { "cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n" } };
    ram = read_fake(0, unlimited, ARRAY_LEN(unlimited));
    assert_int_equal(ram.total_bytes, 0);
    assert_int_equal(ram.available_bytes, available);
}

static void memory_of_this_machine(void **state)
{
    const ram_info ram = ram_detect();
    assert_true(ram.total_bytes > 64 << 20);
    assert_true(ram.available_bytes <= ram.total_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_text_is_one_clean_line),
        cmocka_unit_test(log_lines_are_clean_too),
        cmocka_unit_test(memory_sizes_are_checked),
        cmocka_unit_test(buffers_have_a_maximum),
        cmocka_unit_test(output_appears_whole_or_not_at_all),
        cmocka_unit_test(the_first_writer_wins),
        cmocka_unit_test(unfinished_files_are_removed),
        cmocka_unit_test(output_replaces_a_file_in_its_place),
        cmocka_unit_test(reading_to_the_end_has_a_maximum),
        cmocka_unit_test(directories_are_listed_in_order),
        cmocka_unit_test(parents_are_directories),
        cmocka_unit_test(pool_runs_every_task_once),
        cmocka_unit_test(cpu_level_can_be_masked),
        cmocka_unit_test(memory_is_that_of_the_container),
        cmocka_unit_test(memory_of_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
