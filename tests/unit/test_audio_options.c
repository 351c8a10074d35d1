/* qasr_audio_options: parts of files, channels, headerless samples, files decoded by another program;
 * qasr_audio_probe. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "audio/audio.h"
#include "base/mem.h"

enum { RATE = 44100, N = 5 * RATE };

static char dir[] = "/tmp/test_audio_options.XXXXXX";
static char warning[1024]; /* the last one */
static float *stereo;      /* [N, 2], multiples of 2^-15 */

static void keep_warning(void *user, qasr_log_level level, const char *message)
{
    if (level == QASR_LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", message);
}

/* A path in the test's folder; valid for the next 31 calls. */
static const char *path_of(const char *name)
{
    static char paths[32][128];
    static size_t next;
    char *path = paths[next++ % 32];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static int set_up(void **state)
{
    if (!mkdtemp(dir))
        return -1;
    qasr_log_set(keep_warning, NULL);
    stereo = malloc(2 * N * sizeof *stereo);
    for (size_t i = 0; i < N; i++) {
        stereo[2 * i] = (float)round(9000 * sin((double)i / 17) + 3000 * sin((double)i * (double)i / 1e6)) / 32768;
        stereo[2 * i + 1] = (float)round(5000 * sin((double)i / 41)) / 32768;
    }
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    free(stereo);
    qasr_log_set(NULL, NULL);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command);
}

static void write_sound(const char *path, int format, int rate, int channels, const float *x, size_t n)
{
    SF_INFO info = { .samplerate = rate, .channels = channels, .format = format };
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    assert_non_null(f);
    for (size_t i = 0; i < n; i += 4096) { /* the Vorbis encoder puts a whole write on the stack */
        const sf_count_t m = (sf_count_t)(n - i < 4096 ? n - i : 4096);
        assert_int_equal(sf_writef_float(f, x + i * (size_t)channels, m), m);
    }
    sf_close(f);
}

static const char *stereo_wav(void)
{
    const char *path = path_of("stereo.wav");
    if (access(path, R_OK) != 0)
        write_sound(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, RATE, 2, stereo, N);
    return path;
}

/* Loads the file, and checks that reading it as a stream gives the same. Free with qasr_audio_free. */
static float *load(const char *path, const qasr_audio_options *opt, size_t *n)
{
    qasr_error err;
    float *x = NULL, *y;
    audio_stream *a = NULL;
    qasr_audio_options own;
    *n = 0;
    if (qasr_audio_load_part(&x, n, path, opt, &err) != QASR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(audio_read_options(&own, opt, &err), QASR_OK);
    assert_int_equal(audio_stream_open(&a, path, &own, &err), QASR_OK);
    y = malloc((*n + 1000) * sizeof *y);
    size_t n_stream = 0, got = 1;
    while (got > 0) {
        assert_int_equal(
            audio_stream_read(a, y + n_stream, 777 < *n + 1000 - n_stream ? 777 : *n + 1000 - n_stream, &got, &err),
            QASR_OK);
        n_stream += got;
    }
    assert_int_equal(n_stream, *n);
    assert_memory_equal(x, y, *n * sizeof *x);
    audio_stream_close(a);
    free(y);
    return x;
}

static void expect_same(const char *path_a, const qasr_audio_options *a, const char *path_b,
                        const qasr_audio_options *b)
{
    size_t n_a, n_b;
    float *x = load(path_a, a, &n_a), *y = load(path_b, b, &n_b);
    assert_int_equal(n_a, n_b);
    assert_memory_equal(x, y, n_a * sizeof *x);
    qasr_audio_free(x);
    qasr_audio_free(y);
}

static void expect_error(const char *path, const qasr_audio_options *opt, qasr_status status, const char *part)
{
    qasr_error err = { 0 };
    float *x = NULL;
    size_t n;
    assert_int_equal(qasr_audio_load_part(&x, &n, path, opt, &err), status);
    assert_null(x);
    if (!strstr(err.message, part))
        fail_msg("'%s' is not in: %s", part, err.message);
}

/* ---- parts and channels ---------------------------------------------------------------------- */

/* A part of a file gives the same samples as a file with only that part. */
static void test_parts(void **state)
{
    static const double parts[][2] = {
        { 0, 1 }, { 1.5, 2.25 }, { 3, 0 }, { 0.00001, 0.00002 }, { 4.9, 100 }, { 0, 0 }
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
        opt.start_s = parts[i][0];
        opt.duration_s = parts[i][1];
        size_t first = (size_t)llround(parts[i][0] * RATE),
               n = parts[i][1] > 0 ? (size_t)llround(parts[i][1] * RATE) : N;
        n = n < N - first ? n : N - first;
        write_sound(path_of("part.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, RATE, 2, stereo + 2 * first, n);
        expect_same(stereo_wav(), &opt, path_of("part.wav"), NULL);
        qasr_audio_info info = QASR_AUDIO_INFO_INIT;
        assert_int_equal(qasr_audio_probe(&info, stereo_wav(), &opt, NULL), QASR_OK);
        assert_true(info.rate == RATE && info.channels == 2 && fabs(info.duration_s - (double)n / RATE) < 1e-9);
    }
}

static void test_part_after_the_end(void **state)
{
    qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    opt.start_s = 6;
    size_t n;
    qasr_audio_free(load(stereo_wav(), &opt, &n));
    assert_int_equal(n, 0);
    opt.start_s = 1e300;
    qasr_audio_free(load(stereo_wav(), &opt, &n));
    assert_int_equal(n, 0);
    assert_string_equal(warning, "");
}

/* Longer than a stream's buffer, so it is decoded twice. */
static void test_long_part(void **state)
{
    enum { SECONDS = 300, LOW_RATE = 4000 };
    float *x = malloc((size_t)SECONDS * LOW_RATE * sizeof *x);
    for (size_t i = 0; i < (size_t)SECONDS * LOW_RATE; i++)
        x[i] = (float)round(20000 * sin((double)i / 3 + (double)i * (double)i / 1e9)) / 32768;
    write_sound(path_of("long.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, LOW_RATE, 1, x, (size_t)SECONDS * LOW_RATE);
    write_sound(path_of("long-part.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, LOW_RATE, 1, x + 10 * LOW_RATE,
                (size_t)200 * LOW_RATE);
    free(x);
    qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    opt.start_s = 10;
    opt.duration_s = 200;
    expect_same(path_of("long.wav"), &opt, path_of("long-part.wav"), NULL);
}

static void test_channels(void **state)
{
    float *one = malloc(N * sizeof *one);
    for (int c = 0; c < 2; c++) {
        for (size_t i = 0; i < N; i++)
            one[i] = stereo[2 * i + (size_t)c];
        write_sound(path_of("one.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, RATE, 1, one, N);
        qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
        opt.channel = c + 1;
        expect_same(stereo_wav(), &opt, path_of("one.wav"), NULL);
    }
    free(one);
    qasr_audio_options third = QASR_AUDIO_OPTIONS_INIT;
    third.channel = 3;
    expect_error(stereo_wav(), &third, QASR_E_FORMAT, "stereo.wav' has 2 channels, there is no channel 3");
}

static void test_senseless_options(void **state)
{
    static const struct {
        double start_s, duration_s;
        int channel;
        const char *raw, *part;
    } cases[] = {
        { -1, 0, 0, NULL, "start (-1 s)" },
        { NAN, 0, 0, NULL, "start" },
        { INFINITY, 0, 0, NULL, "start" },
        { 0, -0.1, 0, NULL, "duration" },
        { 0, NAN, 0, NULL, "duration" },
        { 0, 0, -1, NULL, "channel -1" },
        { 0, 0, 257, NULL, "channel 257" },
        { 0, 0, 0, "", "raw samples ''" },
        { 0, 0, 0, "s16le", "FORMAT:RATE:CHANNELS" },
        { 0, 0, 0, "s16le:16000", "raw" },
        { 0, 0, 0, "s16le:16000:", "raw" },
        { 0, 0, 0, "s16le:16000:0", "raw" },
        { 0, 0, 0, "s16le:999:1", "raw" },
        { 0, 0, 0, "s16le:768001:1", "raw" },
        { 0, 0, 0, "s16le:16000:257", "raw" },
        { 0, 0, 0, "s16:16000:1", "s16le" },
        { 0, 0, 0, "s16lee:16000:1", "raw" },
        { 0, 0, 0, "s16le: 16000:1", "raw" },
        { 0, 0, 0, "s16le:+8000:1", "raw" },
        { 0, 0, 0, "s16le:16000:1:", "raw" },
        { 0, 0, 0, "s16le:99999999999999999999:1", "raw" },
        { 0, 0, 0, ":16000:1", "raw" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_audio_options opt = { sizeof opt,       cases[i].start_s, cases[i].duration_s,
                                   cases[i].channel, cases[i].raw,     NULL };
        expect_error(stereo_wav(), &opt, QASR_E_INVALID, cases[i].part);
        assert_int_equal(qasr_audio_check(&opt, NULL), QASR_E_INVALID);
    }
    assert_int_equal(qasr_audio_check(NULL, NULL), QASR_OK);
    assert_int_equal(qasr_audio_check(&(qasr_audio_options){ 0 }, NULL), QASR_E_INVALID);
}

/* ---- containers and raw samples ------------------------------------------------------------------ */

/* Lossless files of the same samples give the same floats. */
static void test_lossless_containers(void **state)
{
    static const struct {
        const char *name;
        int format;
    } files[] = {
        { "a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16 },  { "a.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16 },
        { "a.au", SF_FORMAT_AU | SF_FORMAT_PCM_16 },      { "a.caf", SF_FORMAT_CAF | SF_FORMAT_PCM_24 },
        { "a.w64", SF_FORMAT_W64 | SF_FORMAT_PCM_16 },    { "a.rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_16 },
        { "float.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT }, { "a.caf", SF_FORMAT_CAF | SF_FORMAT_ALAC_16 },
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        write_sound(path_of(files[i].name), files[i].format, RATE, 2, stereo, N);
        expect_same(stereo_wav(), NULL, path_of(files[i].name), NULL);
    }
}

static void test_raw(void **state)
{
    static const struct {
        const char *raw;
        int format;
    } files[] = {
        { "s16le:44100:2", SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE }, { "s16be:44100:2", SF_FORMAT_PCM_16 | SF_ENDIAN_BIG },
        { "s24le:44100:2", SF_FORMAT_PCM_24 | SF_ENDIAN_LITTLE }, { "s24be:44100:2", SF_FORMAT_PCM_24 | SF_ENDIAN_BIG },
        { "s32le:44100:2", SF_FORMAT_PCM_32 | SF_ENDIAN_LITTLE }, { "s32be:44100:2", SF_FORMAT_PCM_32 | SF_ENDIAN_BIG },
        { "f32le:44100:2", SF_FORMAT_FLOAT | SF_ENDIAN_LITTLE },  { "f32be:44100:2", SF_FORMAT_FLOAT | SF_ENDIAN_BIG },
        { "f64le:44100:2", SF_FORMAT_DOUBLE | SF_ENDIAN_LITTLE }, { "f64be:44100:2", SF_FORMAT_DOUBLE | SF_ENDIAN_BIG },
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
        opt.raw = files[i].raw;
        write_sound(path_of("a.raw"), SF_FORMAT_RAW | files[i].format, RATE, 2, stereo, N);
        expect_same(stereo_wav(), NULL, path_of("a.raw"), &opt);
    }
    qasr_audio_options opt =
        QASR_AUDIO_OPTIONS_INIT; /* header bytes count as samples, and an incomplete last frame is dropped */
    opt.raw = "s16le:16000:1";
    FILE *f = fopen(path_of("odd.wav"), "wb");
    fwrite("RIFFabcWAVE", 1, 11, f);
    fclose(f);
    size_t n;
    float *x = load(path_of("odd.wav"), &opt, &n);
    assert_int_equal(n, 5);
    assert_true(x[0] == ('R' + 256 * 'I') / 32768.0F);
    qasr_audio_free(x);
}

/* 8-bit formats, compared with libsndfile's reading of a file with a header. */
static void test_raw_of_eight_bits(void **state)
{
    static const struct {
        const char *raw;
        int format, container;
    } files[] = {
        { "u8:44100:2", SF_FORMAT_PCM_U8, SF_FORMAT_WAV },
        { "s8:44100:2", SF_FORMAT_PCM_S8, SF_FORMAT_AIFF },
        { "ulaw:44100:2", SF_FORMAT_ULAW, SF_FORMAT_AU },
        { "alaw:44100:2", SF_FORMAT_ALAW, SF_FORMAT_AU },
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
        opt.raw = files[i].raw;
        write_sound(path_of("b.raw"), SF_FORMAT_RAW | files[i].format, RATE, 2, stereo, N);
        write_sound(path_of("b.headed"), files[i].container | files[i].format, RATE, 2, stereo, N);
        expect_same(path_of("b.headed"), NULL, path_of("b.raw"), &opt);
    }
}

/* ---- other programs -------------------------------------------------------------------------------- */

/* A replacement for ffmpeg that runs the script; its standard input is the file to decode. */
static qasr_audio_options with_program(const char *script)
{
    static char program[128];
    snprintf(program, sizeof program, "%s", path_of("decoder.sh"));
    FILE *f = fopen(program, "w");
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    chmod(program, 0755);
    qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    opt.ffmpeg = program;
    return opt;
}

static void no_child_is_left(void) { assert_true(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); }

/* A file that libsndfile cannot read: a word, then an AU file. */
static const char *strange_file(const char *name)
{
    char buffer[4096];
    write_sound(path_of("inside.au"), SF_FORMAT_AU | SF_FORMAT_FLOAT | SF_ENDIAN_BIG, RATE, 2, stereo, N);
    FILE *in = fopen(path_of("inside.au"), "rb"), *out = fopen(path_of(name), "wb");
    fwrite("strange", 1, 7, out);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, in)) > 0;)
        fwrite(buffer, 1, n, out);
    fclose(in);
    fclose(out);
    return path_of(name);
}

static const char unpack[] = "tail -c +8";

static void test_program(void **state)
{
    qasr_audio_options opt = with_program(unpack);
    expect_same(stereo_wav(), NULL, strange_file("plain.m4a"), &opt);
    expect_same(stereo_wav(), NULL, strange_file("-i $(touch x) 'a b'.m4a"), &opt);
    assert_string_equal(warning, "");
    opt.start_s = 1;
    opt.duration_s = 2; /* the program is stopped */
    qasr_audio_options part = opt;
    part.ffmpeg = NULL;
    expect_same(stereo_wav(), &part, path_of("plain.m4a"), &opt);
    qasr_audio_info info = QASR_AUDIO_INFO_INIT;
    assert_int_equal(qasr_audio_probe(&info, path_of("plain.m4a"), &opt, NULL), QASR_OK);
    assert_true(info.channels == 2 && info.rate == RATE && info.duration_s < 0);
    no_child_is_left();
}

/* The same bytes from a pipe: the program gets them as a seekable file. */
static void test_program_on_a_pipe(void **state)
{
    qasr_audio_options opt = with_program("test -f /dev/stdin || exit 1; tail -c +8");
    int ends[2], saved = dup(STDIN_FILENO);
    const char *path = strange_file("piped.m4a");
    assert_int_equal(pipe(ends), 0);
    pid_t writer = fork();
    if (writer == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execlp("cat", "cat", path, (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    float *x = NULL, *y;
    size_t n = 0, n_file;
    qasr_error err;
    if (qasr_audio_load_part(&x, &n, "-", &opt, &err) != QASR_OK)
        fail_msg("%s", err.message);
    dup2(saved, STDIN_FILENO);
    close(saved);
    waitpid(writer, NULL, 0);
    y = load(stereo_wav(), NULL, &n_file);
    assert_int_equal(n, n_file);
    assert_memory_equal(x, y, n * sizeof *x);
    qasr_audio_free(x);
    qasr_audio_free(y);
}

static void test_program_fails(void **state)
{
    const char *path = strange_file("fails.m4a");
    qasr_audio_options opt = with_program("echo '[mov @ 0x7] bad news' >&2; exit 1");
    expect_error(path, &opt, QASR_E_FORMAT, "decoder.sh: bad news");
    opt = with_program("echo 'file:/dev/stdin: Invalid data' >&2; exit 1");
    expect_error(path, &opt, QASR_E_FORMAT, "decoder.sh: Invalid data");
    opt = with_program("exit 0");
    expect_error(path, &opt, QASR_E_FORMAT, "it gives no audio");
    opt = with_program("yes garbage"); /* more than a pipe holds */
    expect_error(path, &opt, QASR_E_FORMAT, "it gives no audio");
    opt = with_program("tail -c +8 | head -c 24; echo late >&2; exit 1"); /* a header, then nothing */
    expect_error(path, &opt, QASR_E_FORMAT, "late");
    opt.ffmpeg = "no-such-program-anywhere";
    expect_error(path, &opt, QASR_E_FORMAT,
                 "the program 'no-such-program-anywhere', which is to be run for such files, was not found");
    opt.ffmpeg = dir;
    expect_error(path, &opt, QASR_E_IO, "cannot run");
    opt.ffmpeg = NULL;
    expect_error(path, &opt, QASR_E_FORMAT, "convert it first, for example with: ffmpeg -i FILE");
    assert_string_equal(warning, "");
    no_child_is_left();
    opt = with_program("tail -c +8 | head -c 400000; echo 'cut off' >&2; exit 1");
    size_t n;
    float *x = NULL;
    assert_int_equal(qasr_audio_load_part(&x, &n, path, &opt, NULL), QASR_OK);
    assert_true(n > 10000);
    assert_non_null(strstr(warning, "fails.m4a' is damaged from 0.00 to 1.13 s: "));
    assert_non_null(strstr(warning, ": cut off"));
    warning[0] = 0;
    qasr_audio_free(x);
    no_child_is_left();
}

/* The caller ignores SIGCHLD, as some services do: no exit statuses, the messages decide. */
static void test_program_without_status(void **state)
{
    void (*usual)(int) = signal(SIGCHLD, SIG_IGN);
    qasr_audio_options opt = with_program(unpack);
    expect_same(stereo_wav(), NULL, strange_file("status.m4a"), &opt);
    assert_string_equal(warning, "");
    opt = with_program("tail -c +8; echo '[error] a broken packet' >&2; exit 1");
    expect_same(stereo_wav(), NULL, path_of("status.m4a"), &opt);
    assert_non_null(strstr(warning, "a broken packet"));
    warning[0] = 0;
    signal(SIGCHLD, usual);
    no_child_is_left();
}

/* Files that libsndfile reads are not passed to the program. */
static void test_program_is_not_needed(void **state)
{
    qasr_audio_options opt = with_program("echo unwanted >&2; exit 1");
    expect_same(stereo_wav(), NULL, stereo_wav(), &opt);
    expect_error(path_of("missing.m4a"), &opt, QASR_E_IO, "No such file");
    expect_error(dir, &opt, QASR_E_IO, "it is a directory");
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static void test_no_memory(void **state)
{
    qasr_audio_options opt = with_program(unpack);
    const char *paths[] = { stereo_wav(), strange_file("memory.m4a") };
    for (size_t i = 0; i < 2; i++) {
        bool done = false;
        for (size_t after = 0; !done; after++) {
            float *x = NULL;
            size_t n;
            mem_fail_after(after);
            qasr_status status = qasr_audio_load_part(&x, &n, paths[i], &opt, NULL);
            mem_fail_after(SIZE_MAX);
            done = status == QASR_OK;
            assert_true(done || (status == QASR_E_NOMEM && !x));
            qasr_audio_free(x);
            assert_true(after < 1000);
        }
    }
    no_child_is_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_part_after_the_end),
        cmocka_unit_test(test_long_part),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_senseless_options),
        cmocka_unit_test(test_lossless_containers),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_raw_of_eight_bits),
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_program_on_a_pipe),
        cmocka_unit_test(test_program_fails),
        cmocka_unit_test(test_program_without_status),
        cmocka_unit_test(test_program_is_not_needed),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("audio_options", tests, set_up, tear_down);
}
