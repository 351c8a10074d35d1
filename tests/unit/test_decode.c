/* decode: formats, channels, rates, hostile and damaged files, pipes. The inputs are written by the test with
 * libsndfile, or by hand where libsndfile would refuse to write them. */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "audio/audio.h"
#include "audio/ending.h"
#include "base/mem.h"

static const qasr_audio_options all = QASR_AUDIO_OPTIONS_INIT;

/* ---- fixtures ------------------------------------------------------------------------------ */

static char dir[] = "/tmp/test_decode.XXXXXX";
static char fixture_path[64];
static char warning[1024]; /* the last one */

static void keep_warning(void *user, qasr_log_level level, const char *message)
{
    if (level == QASR_LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", message);
}

static int make_dir(void **state)
{
    if (!mkdtemp(dir))
        return -1;
    qasr_log_set(keep_warning, NULL);
    return 0;
}

static int remove_dir(void **state)
{
    qasr_log_set(NULL, NULL);
    return rmdir(dir);
}

static int clear_warning(void **state)
{
    warning[0] = 0;
    return 0;
}

static int remove_fixture(void **state)
{
    unlink(fixture_path);
    return 0;
}

/* One fixture exists at a time; it is removed after each test. */
static const char *fixture(const char *name)
{
    unlink(fixture_path);
    snprintf(fixture_path, sizeof fixture_path, "%s/%s", dir, name);
    return fixture_path;
}

/* Writes n frames of x [n, channels]. */
static void write_sound(const char *path, int format, int rate, int channels, const float *x, size_t n)
{
    SF_INFO info = { .samplerate = rate, .channels = channels, .format = format };
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    assert_non_null(f);
    sf_command(f, SFC_SET_CLIPPING, NULL, SF_TRUE);
    for (size_t i = 0; i < n; i += 4096) { /* the Vorbis encoder puts on the stack what it gets at once */
        const sf_count_t m = (sf_count_t)(n - i < 4096 ? n - i : 4096);
        assert_int_equal(sf_writef_float(f, x + i * (size_t)channels, m), m);
    }
    sf_close(f);
}

static void write_bytes(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The bytes of a file, to be freed. */
static unsigned char *read_bytes(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    unsigned char *data = NULL;
    assert_int_equal(MEM_ALLOC(&data, 1 << 20, NULL), QASR_OK);
    *n = fread(data, 1, 1 << 20, f);
    fclose(f);
    return data;
}

static float *tone(size_t n, int rate, double hz, double amplitude)
{
    float *x = NULL;
    assert_int_equal(MEM_ALLOC(&x, n, NULL), QASR_OK);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(amplitude * sin(2 * M_PI * hz * (double)i / rate));
    return x;
}

/* 440 Hz, quiet enough that no codec overshoots 1 at the ends, which would scale the whole file. */
static void write_tone(const char *path, int format, int rate, size_t n)
{
    float *x = tone(n, rate, 440, 0.25);
    write_sound(path, format, rate, 1, x, n);
    mem_free(x);
}

/* What a stream gives in blocks of changing size, until it ends; to be freed. */
static float *read_stream(audio_stream *a, size_t *n)
{
    static const size_t blocks[] = { 1, 777, 16000, 100001 };
    float *x = NULL;
    size_t size = 1 << 22;
    assert_int_equal(MEM_ALLOC(&x, size, NULL), QASR_OK);
    *n = 0;
    for (size_t i = 0, n_read;; i++, *n += n_read) {
        const size_t want = blocks[i % ARRAY_LEN(blocks)];
        qasr_error err = { 0 };
        assert_true(*n + want <= size);
        if (audio_stream_read(a, x + *n, want, &n_read, &err) != QASR_OK)
            fail_msg("%s", err.message);
        assert_true(n_read <= want);
        if (n_read < want) {
            *n += n_read;
            assert_int_equal(audio_stream_read(a, x, 1, &n_read, &err), QASR_OK);
            assert_int_equal(n_read, 0); /* it stays at its end */
            return x;
        }
    }
}

static void assert_stream_gives(const char *path, const float *want, size_t n_want)
{
    qasr_error err = { 0 };
    audio_stream *a = NULL;
    size_t n = 0;
    if (audio_stream_open(&a, path, &all, &err) != QASR_OK)
        fail_msg("%s", err.message);
    float *got = read_stream(a, &n);
    assert_int_equal(n, n_want);
    if (n)
        assert_memory_equal(got, want, n * sizeof *got);
    audio_stream_close(a);
    mem_free(got);
}

/* Whatever can be loaded gives the same bits as a stream. */
static float *load(const char *path, size_t *n)
{
    qasr_error err = { 0 };
    float *pcm = NULL;
    if (audio_load(&pcm, n, path, &all, &err) != QASR_OK)
        fail_msg("%s", err.message);
    assert_non_null(pcm);
    if (*n < 3000000)
        assert_stream_gives(path, pcm, *n);
    return pcm;
}

static void assert_fails(const char *path, qasr_status status, const char *part_of_message)
{
    qasr_error err = { 0 };
    float *pcm = NULL;
    size_t n = 77;
    assert_int_equal(audio_load(&pcm, &n, path, &all, &err), status);
    assert_null(pcm);
    assert_int_equal(n, 77);
    if (!strstr(err.message, part_of_message))
        fail_msg("'%s' is not in '%s'", part_of_message, err.message);
    qasr_error same = { 0 };
    audio_stream *a = NULL;
    assert_int_equal(audio_stream_open(&a, path, &all, &same), status);
    assert_null(a);
    assert_string_equal(same.message, err.message);
}

/* Largest difference between x [n] and the same tone, computed at 16 kHz, in [skip, n - skip). */
static double tone_error(const float *x, size_t n, size_t skip, double hz, double amplitude)
{
    double worst = 0;
    for (size_t i = skip; i + skip < n; i++)
        worst = fmax(worst, fabs(x[i] - amplitude * sin(2 * M_PI * hz * (double)i / AUDIO_RATE)));
    return worst;
}

/* ---- formats ------------------------------------------------------------------------------- */

static void formats_give_the_same_samples(void **state)
{
    static const struct {
        const char *name;
        int format;
        double tolerance; /* a step of the format (libsndfile writes 1.0 as 32767), or what the codec loses */
    } cases[] = {
        { "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1.1 / 32768 },
        { "b.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_24, 1.1 / 8388608 + 1e-7 },
        { "c.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_32, 1e-7 },
        { "d.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 1.0 / 128 },
        { "e.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1e-7 },
        { "f.wav", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 1e-7 },
        { "g.wav", SF_FORMAT_WAV | SF_FORMAT_ULAW, 0.02 },
        { "h.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 1.1 / 32768 },
        { "i.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 0.05 },
        { "j.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 0.05 },
        { "k.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 1.1 / 32768 },
        { "l.au", SF_FORMAT_AU | SF_FORMAT_PCM_16, 1.1 / 32768 },
        { "m.caf", SF_FORMAT_CAF | SF_FORMAT_PCM_16, 1.1 / 32768 },
        { "n.w64", SF_FORMAT_W64 | SF_FORMAT_PCM_16, 1.1 / 32768 },
        { "no extension", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 1.1 / 8388608 + 1e-7 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *path = fixture(cases[i].name);
        write_tone(path, cases[i].format, AUDIO_RATE, 16000);
        size_t n;
        float *x = load(path, &n);
        assert_int_equal(n, 16000);
        double worst = tone_error(x, n, 2000, 440, 0.25); /* codecs blur the ends */
        if (worst > cases[i].tolerance)
            fail_msg("%s: error %g above %g", cases[i].name, worst, cases[i].tolerance);
        mem_free(x);
    }
    assert_string_equal(warning, "");
}

/* Full scale of 16 bits is -32768 / 32768; the reference divides by 2^15 as well. */
static void integers_are_divided_by_a_power_of_two(void **state)
{
    const float in[3] = { -1, 0.5f, 1.0f / 32768 };
    const char *path = fixture("a.wav");
    SF_INFO info = { .samplerate = AUDIO_RATE, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16 };
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    assert_int_equal(sf_write_short(f, (const short[]){ -32768, 16384, 1 }, 3), 3);
    sf_close(f);
    size_t n;
    float *x = load(path, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(x, in, sizeof in);
    mem_free(x);
}

static void channels_are_averaged(void **state)
{
    enum { N = 70000 }; /* several chunks */
    float *x = NULL;
    assert_int_equal(MEM_ALLOC(&x, N * 6, NULL), QASR_OK);
    for (int channels = 2; channels <= 6; channels += 2) {
        for (size_t i = 0; i < N; i++)
            for (int c = 0; c < channels; c++)
                x[i * (size_t)channels + (size_t)c] = (float)(i % 1000) / 4096 + (c % 2 ? -0.25f : 0.5f);
        const char *path = fixture("a.wav");
        write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, AUDIO_RATE, channels, x, N);
        size_t n;
        float *got = load(path, &n);
        assert_int_equal(n, N);
        for (size_t i = 0; i < N; i++)
            assert_float_equal(got[i], (double)(i % 1000) / 4096 + 0.125, 1e-7);
        mem_free(got);
    }
    mem_free(x);
}

/* ---- resampling ---------------------------------------------------------------------------- */

static void tones_keep_amplitude_and_phase(void **state)
{
    static const int rates[] = { 1000, 8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000, 192000 };
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        const int rate = rates[i];
        const double hz = rate > 2000 ? 1000 : 100;
        const size_t n_in = (size_t)rate * 2 + 1;
        float *x = tone(n_in, rate, hz, 0.5);
        const char *path = fixture("a.wav");
        write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, rate, 1, x, n_in);
        mem_free(x);
        size_t n;
        x = load(path, &n);
        assert_int_equal(n, (n_in * 16000 + (size_t)rate - 1) / (size_t)rate);
        assert_true(tone_error(x, n, 1600, hz, 0.5) < 2e-5);
        mem_free(x);
    }
}

static void tones_above_the_new_nyquist_are_removed(void **state)
{
    static const double hz[] = { 8500, 9000, 12000, 15900, 16100, 20000 };
    for (size_t i = 0; i < ARRAY_LEN(hz); i++) {
        float *x = tone(44100, 44100, hz[i], 0.9);
        const char *path = fixture("a.wav");
        write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100, 1, x, 44100);
        mem_free(x);
        size_t n;
        x = load(path, &n);
        assert_int_equal(n, 16000);
        assert_true(tone_error(x, n, 1600, 0, 0) < 1e-5); /* 100 dB */
        mem_free(x);
    }
    float *x = tone(44100, 44100, 7000, 0.5); /* the pass band reaches to 0.91 of 8 kHz */
    const char *path = fixture("b.wav");
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100, 1, x, 44100);
    mem_free(x);
    size_t n;
    x = load(path, &n);
    assert_true(tone_error(x, n, 1600, 7000, 0.5) < 1e-3);
    mem_free(x);
}

static void output_length_is_rounded_up(void **state)
{
    static const struct {
        int rate;
        size_t n_in, n_out;
    } cases[] = {
        { 44100, 0, 0 },   { 44100, 1, 1 },       { 44100, 441, 160 }, { 44100, 442, 161 },
        { 8000, 80, 160 }, { 48000, 480, 160 },   { 48000, 481, 161 }, { 16000, 160, 160 },
        { 1000, 1, 16 },   { 768000, 7680, 160 }, { 11025, 3, 5 },     { 44100, 200001, 72563 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *path = fixture("a.wav");
        write_tone(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, cases[i].rate, cases[i].n_in);
        size_t n;
        float *x = load(path, &n);
        assert_int_equal(n, cases[i].n_out);
        for (size_t j = 0; j < n; j++)
            assert_true(fabsf(x[j]) <= 1);
        mem_free(x);
    }
}

static void channels_are_averaged_before_resampling(void **state)
{
    enum { N = 44100 };
    float *x = NULL, *left = tone(N, 44100, 1000, 0.8), *right = tone(N, 44100, 300, 0.4);
    assert_int_equal(MEM_ALLOC(&x, N * 2, NULL), QASR_OK);
    for (size_t i = 0; i < N; i++) {
        x[2 * i] = left[i] + right[i];
        x[2 * i + 1] = -right[i];
    }
    const char *path = fixture("a.wav");
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100, 2, x, N);
    size_t n;
    float *got = load(path, &n);
    assert_true(tone_error(got, n, 1600, 1000, 0.4) < 2e-5);
    mem_free(got);
    mem_free(right);
    mem_free(left);
    mem_free(x);
}

/* ---- range ---------------------------------------------------------------------------------- */

static void only_loud_files_are_scaled(void **state)
{
    const float loud[] = { 0.5f, -4, 2, 0 }, scaled[] = { 0.125f, -1, 0.5f, 0 }, quiet[] = { 0.001f, -0.002f, 1, -1 };
    size_t n;
    const char *path = fixture("a.wav");
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, AUDIO_RATE, 1, loud, 4);
    float *x = load(path, &n);
    assert_int_equal(n, 4);
    assert_memory_equal(x, scaled, sizeof scaled);
    mem_free(x);
    path = fixture("b.wav");
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, AUDIO_RATE, 1, quiet, 4);
    x = load(path, &n);
    assert_memory_equal(x, quiet, sizeof quiet);
    mem_free(x);
}

static void samples_that_are_not_finite_are_refused(void **state)
{
    const float bad[] = { NAN, INFINITY, -INFINITY };
    float x[2000] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        x[2 * 777 + 1] = bad[i];
        const char *path = fixture("a.wav");
        write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, i ? 44100 : AUDIO_RATE, 2, x, 1000);
        assert_fails(path, QASR_E_FORMAT, "not a finite number in frame 777");
    }
    for (size_t i = 0; i < ARRAY_LEN(x); i++) /* finite, but the filter's overshoot is not */
        x[i] = i / 100 % 2 ? 3.4e38f : -3.4e38f;
    const char *path = fixture("b.wav");
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100, 1, x, 2000);
    assert_fails(path, QASR_E_FORMAT, "too large to resample");
}

/* ---- short, damaged, hostile ---------------------------------------------------------------- */

static void short_files_are_fine(void **state)
{
    size_t n;
    const char *path = fixture("a.wav");
    write_tone(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, AUDIO_RATE, 0);
    mem_free(load(path, &n));
    assert_int_equal(n, 0);
    path = fixture("b.flac");
    write_tone(path, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, AUDIO_RATE, 160);
    mem_free(load(path, &n));
    assert_int_equal(n, 160);
    assert_string_equal(warning, "");
}

static void truncated_files_give_what_is_there(void **state)
{
    static const struct {
        const char *name;
        int format;
    } cases[] = {
        { "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16 },
        { "b.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16 },
        { "c.au", SF_FORMAT_AU | SF_FORMAT_PCM_16 },
        { "d.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *path = fixture(cases[i].name);
        write_tone(path, cases[i].format, AUDIO_RATE, 32000);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size / 2), 0);
        warning[0] = 0;
        size_t n;
        float *x = load(path, &n);
        assert_in_range(n, 8000, 16000);
        assert_true(tone_error(x, n, 0, 440, 0.25) < 1e-4);
        if (!strstr(warning, "ends early") || !strstr(warning, cases[i].name))
            fail_msg("%s: warning '%s'", cases[i].name, warning);
        mem_free(x);
    }
}

/* An Ogg file that lost its end cannot be positioned in; libsndfile then gives no samples and no error. */
static void nothing_readable_is_an_error(void **state)
{
    const char *path = fixture("a.ogg");
    write_tone(path, SF_FORMAT_OGG | SF_FORMAT_VORBIS, AUDIO_RATE, 64000);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2 + 1), 0);
    qasr_error err;
    float *x = NULL;
    size_t n = 0;
    SF_INFO info = { 0 };
    SNDFILE *file = sf_open(path, SFM_READ, &info);
    sf_close(file);
    if (audio_load(&x, &n, path, &all, &err) == QASR_OK)
        assert_true(n > 0 || (file && info.frames == 0)); /* 1.2.2: without a whole page it is an empty file */
    else
        assert_int_equal(err.status, QASR_E_FORMAT);
    mem_free(x);
}

/* Little-endian 32 bits at an offset of a file. */
static void patch_u32(const char *path, long offset, uint32_t value)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    for (int i = 0; i < 4; i++)
        fputc((int)(value >> 8 * i & 0xFF), f);
    fclose(f);
}

enum { WAV_CHANNELS = 22, WAV_RATE = 24, WAV_DATA_BYTES = 40 }; /* offsets in the plain 44-byte header */

static void claims_of_headers_are_not_believed(void **state)
{
    const char *path = fixture("a.wav");
    size_t n;
    write_tone(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, AUDIO_RATE, 1000);
    patch_u32(path, 4, 0xFFFFFFFF); /* as programs do that write into a pipe */
    patch_u32(path, WAV_DATA_BYTES, 0xFFFFFFFF);
    mem_free(load(path, &n));
    assert_int_equal(n, 1000);
    assert_string_equal(warning, "");
    patch_u32(path, WAV_DATA_BYTES, 0x70000000);
    mem_free(load(path, &n));
    assert_int_equal(n, 1000);
    assert_non_null(strstr(warning, "ends early"));

    path = fixture("b.flac"); /* STREAMINFO: 36 bits of frame count end at byte 26 */
    write_tone(path, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, AUDIO_RATE, 1000);
    size_t n_bytes;
    unsigned char *flac = read_bytes(path, &n_bytes);
    assert_memory_equal(flac, "fLaC", 4);
    flac[21] |= 0x0F;
    memset(flac + 22, 0xFF, 4);
    write_bytes(path, flac, n_bytes);
    warning[0] = 0;
    mem_free(load(path, &n));
    assert_int_equal(n, 1000);
    assert_non_null(strstr(warning, "found 1000 of 68719476735 frames"));
    flac[21] &= 0xF0; /* 0: unknown, as from a pipe */
    memset(flac + 22, 0, 4);
    write_bytes(path, flac, n_bytes);
    warning[0] = 0;
    mem_free(load(path, &n));
    assert_int_equal(n, 1000);
    assert_string_equal(warning, "");
    mem_free(flac);
}

static void absurd_rates_and_channels_are_refused(void **state)
{
    const char *path = fixture("a.wav");
    static const struct {
        uint32_t rate;
        const char *message;
    } rates[] = { { 999, "sample rate of 999 Hz, expected 1000 to 768000" },
                  { 768001, "sample rate of 768001 Hz" },
                  { 0x7FFFFFFF, "sample rate of 2147483647 Hz" } };
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        write_tone(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, AUDIO_RATE, 1000);
        patch_u32(path, WAV_RATE, rates[i].rate);
        assert_fails(path, QASR_E_FORMAT, rates[i].message);
    }
    write_tone(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, AUDIO_RATE, 1000);
    patch_u32(path, WAV_RATE, 0);
    assert_fails(path, QASR_E_FORMAT, "a.wav");
    float x[300] = { 0 };
    path = fixture("b.wav");
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, AUDIO_RATE, 257, x, 1);
    assert_fails(path, QASR_E_FORMAT, "257 channels, expected 1 to 256");
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, AUDIO_RATE, 256, x, 1);
    size_t n;
    mem_free(load(path, &n));
    assert_int_equal(n, 1);
}

static void files_that_are_no_audio_are_refused(void **state)
{
    assert_fails("/nonexistent/a.wav", QASR_E_IO, "cannot open '/nonexistent/a.wav': No such file or directory");
    assert_fails(dir, QASR_E_IO, "it is a directory");
    assert_fails("", QASR_E_IO, "cannot open ''");
    const char *path = fixture("a.wav");
    write_bytes(path, "", 0);
    assert_fails(path, QASR_E_FORMAT, "is empty");
    unsigned char garbage[5000];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof garbage; i++) {
        seed = seed * 1664525u + 1013904223u;
        garbage[i] = (unsigned char)(seed >> 24);
    }
    write_bytes(path, garbage, sizeof garbage);
    assert_fails(path, QASR_E_FORMAT, "a.wav': ");
    assert_fails(path, QASR_E_FORMAT, "ffmpeg -i FILE -ar 16000 -ac 1 out.wav");
    write_bytes(path, "RIFF", 4);
    assert_fails(path, QASR_E_FORMAT, "cannot decode");
}

/* Whatever a damaged header says, the outcome is samples or a message. */
static void damaged_headers_do_no_harm(void **state)
{
    static const struct {
        const char *name;
        int format;
    } cases[] = { { "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16 },
                  { "b.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16 },
                  { "c.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16 },
                  { "d.caf", SF_FORMAT_CAF | SF_FORMAT_PCM_16 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *path = fixture(cases[i].name);
        write_tone(path, cases[i].format, AUDIO_RATE, 1000);
        size_t n_bytes;
        unsigned char *bytes = read_bytes(path, &n_bytes);
        for (size_t at = 0; at < 64 && at < n_bytes; at++) {
            const unsigned char kept = bytes[at];
            bytes[at] = (unsigned char)~kept;
            write_bytes(path, bytes, n_bytes);
            bytes[at] = kept;
            qasr_error err = { 0 };
            float *x = NULL;
            size_t n = 0;
            if (audio_load(&x, &n, path, &all, &err) == QASR_OK)
                for (size_t j = 0; j < n; j++)
                    assert_true(fabsf(x[j]) <= 1);
            else
                assert_int_not_equal(strlen(err.message), 0);
            mem_free(x);
        }
        mem_free(bytes);
    }
}

static void failing_allocations_are_reported(void **state)
{
    const char *path = fixture("a.wav");
    write_tone(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 44100, 30000);
    qasr_error err;
    float *x = NULL;
    size_t n = 0, n_failed = 0;
    for (;; n_failed++) {
        mem_fail_after(n_failed);
        qasr_status status = audio_load(&x, &n, path, &all, &err);
        mem_fail_after(SIZE_MAX);
        if (status == QASR_OK)
            break;
        assert_int_equal(status, QASR_E_NOMEM);
        assert_null(x);
    }
    assert_true(n_failed >= 3);
    mem_free(x);
}

/* ---- pipes ---------------------------------------------------------------------------------- */

typedef struct feed {
    int fd;
    const unsigned char *data;
    size_t n;
} feed;

static void *run_feed(void *arg)
{
    feed *f = arg;
    size_t done = 0;
    while (done < f->n) {
        ssize_t n = write(f->fd, f->data + done, f->n - done < 5000 ? f->n - done : 5000);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    close(f->fd);
    return NULL;
}

/* audio_load with data [n] coming through a pipe on standard input, or, if by_name, through /dev/fd. */
static qasr_status load_through_pipe(float **x, size_t *n_samples, const void *data, size_t n, bool by_name,
                                     qasr_error *err)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    feed f = { ends[1], data, n };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_feed, &f), 0);
    qasr_status status;
    if (by_name) {
        char name[32];
        snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
        status = audio_load(x, n_samples, name, &all, err);
    } else {
        int saved = dup(STDIN_FILENO);
        assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
        status = audio_load(x, n_samples, "-", &all, err);
        if (saved >= 0) {
            dup2(saved, STDIN_FILENO);
            close(saved);
        }
    }
    pthread_join(thread, NULL);
    close(ends[0]);
    return status;
}

static void pipes_are_read_like_files(void **state)
{
    static const struct {
        const char *name;
        int format, rate;
    } cases[] = { { "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000 },
                  { "b.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100 },
                  { "c.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 48000 },
                  { "d.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *path = fixture(cases[i].name);
        write_tone(path, cases[i].format, cases[i].rate, 100000); /* above what a pipe holds */
        size_t n_bytes, n_want;
        unsigned char *bytes = read_bytes(path, &n_bytes);
        float *want = load(path, &n_want);
        for (int by_name = 0; by_name < 2; by_name++) {
            float *got = NULL;
            size_t n_got = 0;
            assert_int_equal(load_through_pipe(&got, &n_got, bytes, n_bytes, by_name, NULL), QASR_OK);
            assert_int_equal(n_got, n_want);
            assert_memory_equal(got, want, n_want * sizeof *want);
            mem_free(got);
        }
        mem_free(want);
        mem_free(bytes);
    }
}

static void bad_pipes_are_refused(void **state)
{
    qasr_error err;
    float *x = NULL;
    size_t n = 0;
    assert_int_equal(load_through_pipe(&x, &n, "", 0, false, &err), QASR_E_FORMAT);
    assert_string_equal(err.message, "'standard input' is empty, expected an audio file");
    assert_int_equal(load_through_pipe(&x, &n, "hello, world", 12, false, &err), QASR_E_FORMAT);
    assert_non_null(strstr(err.message, "cannot decode 'standard input': "));
    int saved = dup(STDIN_FILENO), null = open(dir, O_RDONLY);
    assert_int_equal(dup2(null, STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(audio_load(&x, &n, "-", &all, &err), QASR_E_IO); /* a directory as standard input */
    close(null);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    }
    assert_null(x);
}

/* ---- long files ----------------------------------------------------------------------------- */

enum { LONG_S = 125 }; /* more than a stream keeps */

/* A tone that is loud at the very end. */
static float *late_peak(size_t n, int rate)
{
    float *x = tone(n, rate, 100, 0.25);
    for (size_t i = n - (size_t)rate / 20; i < n; i++)
        x[i] *= 7;
    return x;
}

static void long_streams_are_decoded_twice(void **state)
{
    static const struct {
        const char *name;
        int format, rate;
    } cases[] = {
        { "a.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 16000 },  { "b.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1000 },
        { "c.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100 },  { "d.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 11025 },
        { "e.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 22050 }, { "f.ogg", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000 }
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const size_t n = (size_t)(LONG_S * cases[i].rate) + 11;
        const char *path = fixture(cases[i].name);
        float *x = late_peak(n, cases[i].rate);
        write_sound(path, cases[i].format, cases[i].rate, 1, x, n);
        mem_free(x);
        size_t n_want;
        float *want = load(path, &n_want), peak = 0; /* compares */
        assert_true(n_want > 120 * AUDIO_RATE);
        for (size_t k = 0; k < n_want; k++)
            peak = fmaxf(peak, fabsf(want[k]));
        assert_true(peak <= 1);
        if (cases[i].format == (SF_FORMAT_WAV | SF_FORMAT_FLOAT))
            assert_true(peak == 1 && fabsf(want[40]) < 0.2f);
        mem_free(want);
    }
}

static qasr_status stream_from_stdin(audio_stream **a, const void *data, size_t n)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    feed f = { ends[1], data, n };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_feed, &f), 0);
    int saved = dup(STDIN_FILENO);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    qasr_status status = audio_stream_open(a, "-", &all, NULL);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    }
    pthread_join(thread, NULL);
    close(ends[0]);
    return status;
}

static void long_pipes_are_streams_too(void **state)
{
    const char *path = fixture("a.wav");
    const size_t n = 1000 * LONG_S;
    float *x = late_peak(n, 1000);
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1000, 1, x, n);
    mem_free(x);
    size_t n_bytes, n_want, n_got;
    unsigned char *bytes = read_bytes(path, &n_bytes);
    float *want = load(path, &n_want);
    audio_stream *a = NULL;
    assert_int_equal(stream_from_stdin(&a, bytes, n_bytes), QASR_OK);
    float *got = read_stream(a, &n_got);
    assert_int_equal(n_got, n_want);
    assert_memory_equal(got, want, n_want * sizeof *want);
    audio_stream_close(a);
    mem_free(got);
    mem_free(want);
    mem_free(bytes);
}

/* The damage is told once, when the stream is opened; what comes later is what was seen then, or an error. */
static void a_file_that_changes_is_noticed(void **state)
{
    const char *path = fixture("a.wav");
    const int rate = 1000;
    const size_t n = (size_t)(LONG_S * rate);
    float *x = late_peak(n, rate), samples[4096];
    qasr_error err;
    audio_stream *a = NULL;
    size_t n_read = 0;
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, rate, 1, x, n);
    assert_int_equal(truncate(path, (off_t)(n * sizeof *x) - 400), 0);
    assert_int_equal(audio_stream_open(&a, path, &all, NULL), QASR_OK);
    assert_non_null(strstr(warning, "ends early"));
    warning[0] = 0;
    assert_int_equal(truncate(path, (off_t)(n * sizeof *x) / 2), 0); /* it is open: reading meets the new end */
    qasr_status status = QASR_OK;
    size_t total = 0;
    do {
        status = audio_stream_read(a, samples, ARRAY_LEN(samples), &n_read, &err);
        total += n_read;
    } while (status == QASR_OK && n_read == ARRAY_LEN(samples));
    assert_int_equal(status, QASR_E_IO);
    assert_non_null(strstr(err.message, "a.wav' has changed while it was read"));
    assert_true(total > 50 * AUDIO_RATE);
    assert_string_equal(warning, "");
    audio_stream_close(a);
    mem_free(x);
}

static void failing_allocations_of_streams_are_reported(void **state)
{
    const char *path = fixture("a.wav");
    float *x = late_peak(1000 * LONG_S, 1000), samples[1000];
    write_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1000, 1, x, 1000 * LONG_S);
    mem_free(x);
    size_t n_failed = 0;
    for (qasr_status status = QASR_E_NOMEM; status != QASR_OK; n_failed++) {
        qasr_error err;
        audio_stream *a = NULL;
        size_t n_read = ARRAY_LEN(samples);
        mem_fail_after(n_failed);
        status = audio_stream_open(&a, path, &all, &err);
        while (status == QASR_OK && n_read == ARRAY_LEN(samples))
            status = audio_stream_read(a, samples, ARRAY_LEN(samples), &n_read, &err);
        mem_fail_after(SIZE_MAX);
        if (status != QASR_OK)
            assert_int_equal(status, QASR_E_NOMEM);
        audio_stream_close(a);
    }
    assert_true(n_failed > 5);
}

static void put_number(unsigned char *to, uint64_t n, bool big)
{
    for (int i = 0; i < 8; i++)
        to[big ? 7 - i : i] = (unsigned char)(n >> 8 * i);
}

/* Of a file of these bytes. */
static bool misses_its_end(unsigned char *bytes, size_t n)
{
    input in = { .name = "bytes", .fd = -1, .bytes = { .data = (char *)bytes, .len = n }, .size = n };
    window *w = NULL;
    assert_int_equal(MEM_ALLOC(&w, 1, NULL), QASR_OK);
    *w = (window){ .in = &in, .end = n };
    const bool missing = ending_is_missing(w);
    mem_free(w);
    return missing;
}

/* Containers that decoders read to any end: of a file of 4000 bytes. */
static void missing_ends_are_found(void **state)
{
    unsigned char b[4000] = "caff";
    static const struct {
        uint64_t n;
        bool missing;
    } caf[] = { { 3936, false }, { 3937, true }, { UINT64_MAX, false }, { 0, false } },
      w64[] = { { 4000, false }, { 4007, false }, { 4008, true }, { UINT64_MAX, false }, { 0, false } };
    assert_false(misses_its_end(b, 3));
    assert_false(misses_its_end((unsigned char[]){ "fLaC..." }, 8));
    put_number(b + 8 + 4, 32, true); /* a chunk of 32 bytes, then one up to the end */
    for (size_t i = 0; i < ARRAY_LEN(caf); i++) {
        put_number(b + 52 + 4, caf[i].n, true);
        assert_int_equal(misses_its_end(b, sizeof b), caf[i].missing);
    }
    memcpy(b, "riff", 4);
    for (size_t i = 0; i < ARRAY_LEN(w64); i++) {
        put_number(b + 16, w64[i].n, false);
        assert_int_equal(misses_its_end(b, sizeof b), w64[i].missing);
    }
    assert_false(misses_its_end(b, 10));
    memcpy(b, "RF64....WAVEds64", 16);
    put_number(b + 20, 3992, false);
    assert_false(misses_its_end(b, sizeof b));
    put_number(b + 20, 3994, false);
    assert_true(misses_its_end(b, sizeof b));
    /* MP4: a box of 24 bytes, one of 64-bit length; Matroska: a header of 3 bytes, a segment */
    memset(b, 0, sizeof b);
    memcpy(b,
           "\0\0\0\x18"
           "ftypM4A ",
           12);
    memcpy(b + 24, "\0\0\0\1mdat", 8);
    put_number(b + 32, 3976, true);
    assert_false(misses_its_end(b, sizeof b));
    put_number(b + 32, 3977, true);
    assert_true(misses_its_end(b, sizeof b));
    memset(b, 0, sizeof b);
    memcpy(b, "\x1A\x45\xDF\xA3\x83...\x18\x53\x80\x67\x4F\x92", 14);
    assert_false(misses_its_end(b, sizeof b));
    b[13] = 0x93; /* 3987 bytes */
    assert_true(misses_its_end(b, sizeof b));
    memcpy(b + 12, "\x7F\xFF", 2); /* unknown */
    assert_false(misses_its_end(b, sizeof b));
    /* Ogg: a last page of two segments, 255 and 7 bytes */
    unsigned char *page = b + sizeof b - (27 + 2 + 262);
    memset(b, 0, sizeof b);
    memcpy(b, "OggS", 4);
    assert_true(misses_its_end(b, sizeof b)); /* its end is no page */
    memcpy(page, "OggS", 4);
    page[26] = 2, page[27] = 255, page[28] = 7;
    assert_true(misses_its_end(b, sizeof b));
    page[5] = 4;
    assert_false(misses_its_end(b, sizeof b));
    assert_true(misses_its_end(b, sizeof b - 1));
    page[26] = 255; /* more segments than there are bytes */
    assert_true(misses_its_end(b, sizeof b));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, clear_warning, remove_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(formats_give_the_same_samples),
        TEST(integers_are_divided_by_a_power_of_two),
        TEST(channels_are_averaged),
        TEST(tones_keep_amplitude_and_phase),
        TEST(tones_above_the_new_nyquist_are_removed),
        TEST(output_length_is_rounded_up),
        TEST(channels_are_averaged_before_resampling),
        TEST(only_loud_files_are_scaled),
        TEST(samples_that_are_not_finite_are_refused),
        TEST(short_files_are_fine),
        TEST(truncated_files_give_what_is_there),
        TEST(missing_ends_are_found),
        TEST(nothing_readable_is_an_error),
        TEST(claims_of_headers_are_not_believed),
        TEST(absurd_rates_and_channels_are_refused),
        TEST(files_that_are_no_audio_are_refused),
        TEST(damaged_headers_do_no_harm),
        TEST(failing_allocations_are_reported),
        TEST(pipes_are_read_like_files),
        TEST(bad_pipes_are_refused),
        TEST(long_streams_are_decoded_twice),
        TEST(long_pipes_are_streams_too),
        TEST(a_file_that_changes_is_noticed),
        TEST(failing_allocations_of_streams_are_reported),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
