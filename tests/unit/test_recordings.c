/* Recordings as they are found: joined, with wrong lengths in their headers, damaged, under wrong names, with tracks
 * and late sound. Held against the clean clips that they were made from: A, B, C are en-000, en-001, en-002. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "audio/audio.h"
#include "base/mem.h"

#define FIELD TEST_DATA "/field/"

static char warnings[4096];

static void keep_log(void *user, qasr_log_level level, const char *message)
{
    const size_t n = strlen(warnings);
    if (level == QASR_LOG_WARNING)
        snprintf(warnings + n, sizeof warnings - n, "%s\n", message);
}

typedef struct sound {
    float *x;
    size_t n;
    audio_damage damages[8];
    size_t n_damages;
} sound;

static sound read_sound(const char *path, const qasr_audio_options *opt)
{
    sound s = { 0 };
    audio_stream *a;
    qasr_error err;
    size_t n_read;
    const audio_damage *d;
    warnings[0] = 0;
    if (audio_stream_open(&a, path, opt, &err) != QASR_OK)
        fail_msg("%s", err.message);
    s.n = (size_t)audio_stream_length(a);
    assert_int_equal(MEM_ALLOC(&s.x, s.n, NULL), QASR_OK);
    assert_int_equal(audio_stream_read(a, s.x, s.n, &n_read, &err), QASR_OK);
    assert_int_equal(n_read, s.n);
    while (s.n_damages < ARRAY_LEN(s.damages) && (d = audio_stream_damage(a, s.n_damages)))
        s.damages[s.n_damages++] = *d;
    assert_int_equal(s.n_damages > 0, warnings[0] && (strstr(warnings, "damaged") || strstr(warnings, "ends early") ||
                                                      strstr(warnings, "far beyond") || strstr(warnings, "opposite")));
    audio_stream_close(a);
    return s;
}

static sound read_field(const char *name)
{
    char path[512];
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    snprintf(path, sizeof path, FIELD "%s", name);
    return read_sound(path, &opt);
}

static sound clean(size_t i)
{
    char path[512];
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    snprintf(path, sizeof path, TEST_DATA "/golden/clips/en-%03zu.flac", i);
    return read_sound(path, &opt);
}

/* The first n_clips clips one after the other. */
static sound clean_row(size_t first, size_t n_clips)
{
    sound all = { 0 };
    assert_int_equal(MEM_ALLOC(&all.x, 1000000, NULL), QASR_OK);
    for (size_t i = 0; i < n_clips; i++) {
        sound one = clean(first + i);
        memcpy(all.x + all.n, one.x, one.n * sizeof *one.x);
        all.n += one.n;
        mem_free(one.x);
    }
    return all;
}

static void assert_starts_with(const sound *got, const sound *want, size_t n)
{
    assert_true(got->n >= n && want->n >= n);
    assert_memory_equal(got->x, want->x, n * sizeof *got->x);
}

/* Correlation of n samples of both, the first of which is delayed. */
static double correlation(const float *x, const float *y, size_t n)
{
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        xy += (double)x[i] * y[i];
        xx += (double)x[i] * x[i];
        yy += (double)y[i] * y[i];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

/* got has want [n] from `at` on, give or take max_delay samples and what a codec does. */
static void assert_like(const char *name, const sound *got, size_t at, const sound *want, size_t n, size_t max_delay)
{
    double best = 0;
    n = n < want->n ? n : want->n;
    for (size_t delay = 0; delay <= max_delay && at + delay + n <= got->n + max_delay; delay++) {
        const size_t m = at + delay + n <= got->n ? n : got->n - at - delay;
        best = fmax(best, correlation(got->x + at + delay, want->x, m));
    }
    if (best < 0.9)
        fail_msg("%s: correlation %.3f at %zu", name, best, at);
}

/* ---- lengths in headers -------------------------------------------------------------------------- */

static void lossless_files_are_read_whole(void **state)
{
    static const struct {
        const char *name;
        size_t first, n_clips, n_samples;
    } files[] = {
        { "flac-total-too-small.flac", 0, 1, 60504 },
        { "joined.flac", 1, 2, 106410 },
        { "joined.oga", 0, 2, 108414 },
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        sound want = clean_row(files[i].first, files[i].n_clips), got = read_field(files[i].name);
        assert_int_equal(got.n, files[i].n_samples);
        assert_starts_with(&got, &want, got.n);
        assert_string_equal(warnings, "");
        mem_free(want.x);
        mem_free(got.x);
    }
}

/* Files that hold exactly the clip, with all that headers may have around it: tests/tools/recordings.py. */
static void odd_headers_change_nothing(void **state)
{
    sound want = clean(0);
    DIR *folder = opendir(RECORDINGS_DIR "/whole");
    const struct dirent *entry;
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    size_t n_files = 0;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        if (*entry->d_name == '.')
            continue;
        char path[512];
        snprintf(path, sizeof path, RECORDINGS_DIR "/whole/%.100s", entry->d_name);
        sound got = read_sound(path, &opt);
        if (got.n != want.n || memcmp(got.x, want.x, want.n * sizeof *want.x) != 0 || *warnings)
            fail_msg("%s: %zu samples, expected %zu, not the same; %s", entry->d_name, got.n, want.n, warnings);
        mem_free(got.x);
        n_files++;
    }
    assert_true(n_files >= 60);
    closedir(folder);
    mem_free(want.x);
}

static void silence_in_blocks_takes_its_time(void **state)
{
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    sound want = clean(0), got = read_sound(RECORDINGS_DIR "/silence.voc", &opt);
    const size_t behind = want.n + (size_t)(16000 * 62e-6 * AUDIO_RATE);
    assert_int_equal(got.n, behind + want.n);
    assert_starts_with(&got, &want, want.n);
    assert_memory_equal(got.x + behind, want.x, want.n * sizeof *want.x);
    assert_string_equal(warnings, "");
    mem_free(want.x);
    mem_free(got.x);
}

static void chained_and_joined_streams_are_read_whole(void **state)
{
    static const char *const names[] = { "joined.ogg", "joined-cbr.mp3" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        sound got = read_field(names[i]);
        size_t at = 0;
        for (size_t k = 0; k < 3; k++) {
            sound want = clean(k);
            assert_like(names[i], &got, at, &want, want.n, 0);
            at += want.n;
            mem_free(want.x);
        }
        assert_int_equal(got.n, at);
        assert_string_equal(warnings, "");
        mem_free(got.x);
    }
}

static void mpeg_frames_are_counted_not_believed(void **state)
{
    static const struct {
        const char *name;
        size_t n_samples, delay;
    } files[] = { { "xing-too-small.mp3", 61103, 0 },
                  { "ffmpeg-pipe-cbr.mp3", 62208, 1200 },
                  { "vbr-no-xing.mp3", 62208, 1200 } };
    sound want = clean(0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        sound got = read_field(files[i].name);
        assert_int_equal(got.n, files[i].n_samples);
        assert_like(files[i].name, &got, 0, &want, 58000, files[i].delay);
        assert_string_equal(warnings, "");
        mem_free(got.x);
    }
    mem_free(want.x);
}

/* ---- damage ------------------------------------------------------------------------------------------ */

static void decoding_continues_behind_damage(void **state)
{
    static const char *const names[] = { "mp3-600-bad-bytes.mp3", "mp3-4000-zeros.mp3" };
    sound want = clean(0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        sound got = read_field(names[i]);
        assert_int_equal(got.n, want.n);
        assert_int_equal(got.n_damages, 1);
        const audio_damage *d = &got.damages[0];
        assert_true(d->from_s > 1.8 && d->to_s > d->from_s && d->to_s < 2.0 && !d->is_end);
        assert_non_null(strstr(warnings, names[i]));
        assert_non_null(strstr(warnings, "is damaged from 1.87 to 1.91 s: MPEG frames"));
        const size_t behind = (size_t)(2.2 * AUDIO_RATE);
        assert_true(correlation(got.x, want.x, (size_t)(1.8 * AUDIO_RATE)) > 0.9);
        assert_true(correlation(got.x + behind, want.x + behind, want.n - behind) > 0.9);
        mem_free(got.x);
    }
    mem_free(want.x);
}

static char dir[] = "/tmp/test_recordings.XXXXXX";

static void write_file(const char *path, const unsigned char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static unsigned char *read_file(const char *path, size_t *n)
{
    unsigned char *bytes = malloc(1 << 22);
    FILE *f = fopen(path, "rb");
    *n = fread(bytes, 1, 1 << 22, f);
    fclose(f);
    return bytes;
}

/* A sweep of 8 s, of which no part is like another. */
static void write_sweep(const char *path, int format, int rate)
{
    enum { STEP = 1000 };
    float x[STEP];
    SF_INFO info = { .samplerate = rate, .channels = 1, .format = format };
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    for (int i = 0; i < 8 * rate; i += STEP) {
        for (int k = 0; k < STEP; k++) {
            const double t = (double)(i + k) / rate;
            x[k] = (float)(0.3 * sin(2 * M_PI * (200 * t + 100 * t * t)));
        }
        sf_writef_float(f, x, STEP);
    }
    sf_close(f);
}

/* A file with the sweep in it: its name to path [size], its samples to *whole; returns its bytes [*n], to be freed. */
static unsigned char *make_sweep(char *path, size_t size, const char *name, int format, int rate, sound *whole,
                                 size_t *n)
{
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    snprintf(path, size, "%s/%s", dir, name);
    write_sweep(path, format, rate);
    *whole = read_sound(path, &opt);
    return read_file(path, n);
}

/* What is behind damage is where it was: streams with numbers or time stamps lose no time. */
static void what_is_lost_keeps_its_time(void **state)
{
    static const struct {
        const char *name;
        int format, rate;
    } files[] = { { "a.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100 },
                  { "b.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000 },
                  { "c.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 44100 },
                  { "d.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 16000 } };
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[128];
        size_t n;
        sound whole;
        unsigned char *bytes = make_sweep(path, sizeof path, files[i].name, files[i].format, files[i].rate, &whole, &n);
        for (size_t k = 0; k < 40; k++)
            bytes[n / 2 + k] ^= 0x5A;
        write_file(path, bytes, n);
        sound got = read_sound(path, &opt);
        assert_int_equal(got.n, whole.n);
        assert_true(got.n_damages >= 1 && got.damages[0].from_s > 1 && got.damages[0].to_s < 7 &&
                    got.damages[0].to_s > got.damages[0].from_s);
        const size_t from = (size_t)(got.damages[0].from_s * AUDIO_RATE),
                     to = (size_t)(got.damages[0].to_s * AUDIO_RATE);
        assert_true(correlation(got.x, whole.x, from - 2000) > 0.999);
        if (correlation(got.x + to + 4000, whole.x + to + 4000, whole.n - to - 8000) < 0.99)
            fail_msg("%s: what is behind %.2f s is out of time", files[i].name, got.damages[0].to_s);
        free(bytes);
        mem_free(got.x);
        mem_free(whole.x);
        unlink(path);
    }
}

static uint32_t ogg_checksum(const unsigned char *p, size_t n)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint32_t)p[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80000000 ? crc << 1 ^ 0x04C11DB7 : crc << 1;
    }
    return crc;
}

/* Adds to the time stamps of the pages from the first one that begins at `from` or behind. */
static void shift_time_stamps(unsigned char *bytes, size_t n, size_t from, int64_t shift)
{
    for (size_t at = 0, size; at + 27 <= n; at += size) {
        unsigned char *p = bytes + at;
        int64_t granule;
        size = 27 + p[26];
        for (size_t i = 0; i < p[26]; i++)
            size += p[27 + i];
        memcpy(&granule, p + 6, sizeof granule); /* little-endian, as the machines that run this */
        if (at < from || granule < 0)
            continue;
        granule += shift;
        memcpy(p + 6, &granule, sizeof granule);
        memset(p + 22, 0, 4);
        const uint32_t crc = ogg_checksum(p, size);
        memcpy(p + 22, &crc, sizeof crc);
    }
}

/* Where time stamps jump ahead there is silence, as in a player; where they go back the sound goes on, with a word. */
static void time_stamps_that_jump_make_gaps(void **state)
{
    static const struct {
        const char *name;
        int format, rate, jump_s;
    } files[] = { { "a.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 2 },
                  { "b.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, -1 },
                  { "c.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100, 2 },
                  { "d.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100, -3 } };
    enum { SLACK = 1600 };
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[128];
        size_t n;
        sound whole;
        unsigned char *bytes = make_sweep(path, sizeof path, files[i].name, files[i].format, files[i].rate, &whole, &n);
        shift_time_stamps(bytes, n, n / 2, (int64_t)files[i].jump_s * files[i].rate);
        write_file(path, bytes, n);
        sound got = read_sound(path, &opt);
        const size_t gap = files[i].jump_s > 0 ? (size_t)files[i].jump_s * AUDIO_RATE : 0;
        assert_int_equal(got.n_damages, files[i].jump_s < 0);
        assert_true(got.n + SLACK > whole.n + gap && got.n < whole.n + gap + SLACK);
        const size_t quarter = whole.n / 4, late = whole.n - quarter;
        assert_true(correlation(got.x, whole.x, quarter) > 0.999);
        double best = 0; /* what is lost with the first block behind a jump moves what follows */
        for (size_t delay = 0; delay < SLACK; delay++)
            best = fmax(best, correlation(got.x + late + gap - delay, whole.x + late, quarter - SLACK));
        if (best < 0.9)
            fail_msg("%s: what is behind the jump is out of time", files[i].name);
        free(bytes);
        mem_free(got.x);
        mem_free(whole.x);
        unlink(path);
    }
}

/* Heads of pages that overlap do not take the square of their number. */
static void many_wrong_pages_take_no_time(void **state)
{
    enum { HEAD = 27, N_HEADS = 600000 };
    unsigned char head[HEAD] = "OggS", *bytes = malloc((size_t)HEAD * N_HEADS);
    char path[128];
    qasr_error err;
    audio_stream *a = NULL;
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    memset(head + 5, 0xFF, HEAD - 5);
    for (size_t i = 0; i < N_HEADS; i++)
        memcpy(bytes + i * HEAD, head, HEAD);
    snprintf(path, sizeof path, "%s/heads.ogg", dir);
    write_file(path, bytes, (size_t)HEAD * N_HEADS);
    const clock_t begin = clock();
    assert_int_equal(audio_stream_open(&a, path, &opt, &err), QASR_E_FORMAT);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20); /* it would be minutes */
    free(bytes);
    unlink(path);
}

static void tags_alone_are_no_sound(void **state)
{
    qasr_error err;
    audio_stream *a = NULL;
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    assert_int_equal(audio_stream_open(&a, FIELD "only-id3.mp3", &opt, &err), QASR_E_FORMAT);
    assert_non_null(strstr(err.message, "only-id3.mp3': it has no audio"));
}

/* ---- levels -------------------------------------------------------------------------------------------- */

static void a_giant_sample_does_not_blank_the_rest(void **state)
{
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    sound want = clean(0), got = read_sound(RECORDINGS_DIR "/one-sample-1e4.wav", &opt);
    assert_int_equal(got.n, 40000);
    size_t n_other = 0;
    for (size_t i = 0; i < got.n; i++)
        n_other += got.x[i] != want.x[i];
    assert_int_equal(n_other, 1);
    assert_non_null(strstr(warnings, "has samples of up to 10000 at 1.25 s"));
    assert_int_equal(got.n_damages, 1);
    assert_true(got.damages[0].from_s == 1.25 && got.damages[0].to_s == 1.25);
    mem_free(want.x);
    mem_free(got.x);
}

static void opposite_channels_do_not_cancel(void **state)
{
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    sound want = clean(0), got = read_sound(RECORDINGS_DIR "/opposite-phase.wav", &opt);
    assert_int_equal(got.n, 48000);
    assert_true(fabs(correlation(got.x, want.x, got.n)) > 0.999);
    assert_non_null(strstr(warnings, "channels in opposite phase in 3.0 s from 0.00 s on"));
    assert_int_equal(got.n_damages, 1);
    assert_true(got.damages[0].from_s == 0 && got.damages[0].to_s == 3);
    mem_free(want.x);
    mem_free(got.x);
}

/* The clip, as floats: gain * x + offset. */
static void write_changed(const char *path, const sound *clip, float gain, float offset)
{
    SF_INFO info = { .samplerate = AUDIO_RATE, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT };
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    for (size_t i = 0; i < clip->n; i++) {
        const float x = gain * clip->x[i] + offset;
        sf_writef_float(f, &x, 1);
    }
    sf_close(f);
}

static void a_dc_offset_does_not_drown_the_rest(void **state)
{
    static const struct {
        float gain, offset;
        const char *warning;
    } cases[] = { { 1, 0.3F, "has a DC offset of 0.3," },
                  { 1, -3, "has a DC offset of -3," },
                  { 0.01F, 0.9F, "has a DC offset of 0.9," },
                  { 1, 0.02F, "" },
                  { 1e-2F, 0, "" },
                  { 3e-3F, 0, "is faint, -63 dBFS at the most" },
                  { 1e-4F, 0, "" } };
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    char path[128];
    snprintf(path, sizeof path, "%s/offset.wav", dir);
    sound want = clean(0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_changed(path, &want, cases[i].gain, cases[i].offset);
        sound got = read_sound(path, &opt);
        const bool is_removed = strstr(cases[i].warning, "DC");
        double sum = 0;
        assert_int_equal(got.n, want.n);
        for (size_t k = 0; k < got.n; k++)
            sum += (double)got.x[k];
        assert_true(fabs(sum / (double)got.n - (is_removed ? 0 : (double)cases[i].offset)) < 1e-3);
        assert_true(correlation(got.x, want.x, want.n) > (is_removed || cases[i].offset == 0 ? 0.999 : 0.8));
        if (*cases[i].warning ? !strstr(warnings, cases[i].warning) : *warnings != 0)
            fail_msg("%g %g: %s", (double)cases[i].gain, (double)cases[i].offset, warnings);
        assert_int_equal(got.n_damages, 0);
        mem_free(got.x);
    }
    mem_free(want.x);
    unlink(path);
}

/* ---- files that grow ----------------------------------------------------------------------------------- */

static void files_are_read_as_far_as_they_went(void **state)
{
    enum { SECONDS = 130, LOW_RATE = 1000 };
    char path[128];
    float block[1000] = { 0.25F };
    SF_INFO info = { .samplerate = LOW_RATE, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16 };
    snprintf(path, sizeof path, "%s/grows.wav", dir);
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    for (int i = 0; i < SECONDS; i++)
        sf_writef_float(f, block, LOW_RATE);
    sf_close(f);
    audio_stream *a;
    qasr_error err;
    const qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    assert_int_equal(audio_stream_open(&a, path, &opt, &err), QASR_OK);
    FILE *more = fopen(path, "ab");
    fwrite(block, 1, sizeof block, more);
    fclose(more);
    float pcm[4096];
    size_t n = 0, n_read = 1;
    for (; n_read > 0; n += n_read)
        if (audio_stream_read(a, pcm, ARRAY_LEN(pcm), &n_read, &err) != QASR_OK)
            fail_msg("%s", err.message);
    assert_int_equal(n, SECONDS * AUDIO_RATE);
    audio_stream_close(a);
    unlink(path);
}

/* ---- what ffmpeg decodes --------------------------------------------------------------------------------- */

static sound read_by_ffmpeg(const char *name, const char *track)
{
    char path[512];
    qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    opt.ffmpeg = "ffmpeg";
    opt.track = track;
    snprintf(path, sizeof path, FIELD "%s", name);
    return read_sound(path, &opt);
}

static void need_ffmpeg(void)
{
    if (system("command -v ffmpeg >/dev/null") != 0)
        skip();
}

static void sound_that_begins_late_is_late(void **state)
{
    static const char *const names[] = { "sound-starts-4s.mp4", "sound-starts-4s.mkv", "mp4-named.mp3" };
    need_ffmpeg();
    sound want = clean(0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        sound got = read_by_ffmpeg(names[i], NULL);
        const size_t at = (size_t)(3.9 * AUDIO_RATE);
        for (size_t k = 0; k < at; k++)
            assert_true(fabsf(got.x[k]) < 0.01F);
        assert_like(names[i], &got, at, &want, 50000, 3000);
        assert_string_equal(warnings, "");
        mem_free(got.x);
    }
    mem_free(want.x);
}

static void tracks_can_be_chosen(void **state)
{
    static const struct {
        const char *track;
        size_t clip;
    } cases[] = { { NULL, 0 },  { "1", 1 },  { "2", 0 },        { "fre", 1 },  { "fr", 1 },
                  { "fra", 1 }, { "EN", 0 }, { "Français", 1 }, { "en-GB", 0 } };
    need_ffmpeg();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        sound want = clean(cases[i].clip), got = read_by_ffmpeg("two-tracks.mkv", cases[i].track);
        assert_like("two-tracks.mkv", &got, 0, &want, 40000, 2000);
        assert_int_equal(!cases[i].track, /* a choice that nobody made is reported */
                         strstr(warnings, "two-tracks.mkv' has 2 audio tracks: 1 (fre), 2 (eng); using track 2") !=
                             NULL);
        mem_free(want.x);
        mem_free(got.x);
    }
    static const char *const missing[] = { "3", "de" };
    for (size_t i = 0; i < ARRAY_LEN(missing); i++) {
        qasr_error err;
        audio_stream *a = NULL;
        qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
        opt.ffmpeg = "ffmpeg";
        opt.track = missing[i];
        assert_int_equal(audio_stream_open(&a, FIELD "two-tracks.mkv", &opt, &err), QASR_E_FORMAT);
        if (!strstr(err.message, "two-tracks.mkv' has no track"))
            fail_msg("%s", err.message);
    }
}

static void a_file_with_one_track_has_no_second(void **state)
{
    qasr_error err;
    audio_stream *a = NULL;
    qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    opt.track = "2";
    assert_int_equal(audio_stream_open(&a, FIELD "joined.flac", &opt, &err), QASR_E_FORMAT);
    assert_non_null(strstr(err.message, "has one track, there is no track 2"));
    opt.track = "eng";
    sound got = read_sound(FIELD "joined.flac", &opt);
    mem_free(got.x);
    static const char *const wrong[] = { "", "0", "1a", "-1", "12345", "a", "englisch" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        opt.track = wrong[i];
        assert_int_equal(qasr_audio_check(&opt, &err), QASR_E_INVALID);
    }
}

static void extensions_are_listed(void **state)
{
    static const char *const some[] = { "wav", "flac", "mp3",  "ts",  "mts", "m2ts", "avi", "wmv",
                                        "mpg", "mpeg", "ac3",  "mp2", "wv",  "spx",  "amr", "3gp",
                                        "mka", "weba", "mpga", "ape", "gsm", "vob" };
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        bool found = false;
        for (size_t k = 0; qasr_audio_extension(k); k++)
            found = found || strcmp(qasr_audio_extension(k), some[i]) == 0;
        assert_true(found);
    }
}

static int set_up(void **state)
{
    qasr_log_set(keep_log, NULL);
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    qasr_log_set(NULL, NULL);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_files_are_read_whole),
        cmocka_unit_test(odd_headers_change_nothing),
        cmocka_unit_test(silence_in_blocks_takes_its_time),
        cmocka_unit_test(chained_and_joined_streams_are_read_whole),
        cmocka_unit_test(mpeg_frames_are_counted_not_believed),
        cmocka_unit_test(decoding_continues_behind_damage),
        cmocka_unit_test(what_is_lost_keeps_its_time),
        cmocka_unit_test(time_stamps_that_jump_make_gaps),
        cmocka_unit_test(many_wrong_pages_take_no_time),
        cmocka_unit_test(tags_alone_are_no_sound),
        cmocka_unit_test(a_giant_sample_does_not_blank_the_rest),
        cmocka_unit_test(opposite_channels_do_not_cancel),
        cmocka_unit_test(a_dc_offset_does_not_drown_the_rest),
        cmocka_unit_test(files_are_read_as_far_as_they_went),
        cmocka_unit_test(sound_that_begins_late_is_late),
        cmocka_unit_test(tracks_can_be_chosen),
        cmocka_unit_test(a_file_with_one_track_has_no_second),
        cmocka_unit_test(extensions_are_listed),
    };
    return cmocka_run_group_tests_name("recordings", tests, set_up, tear_down);
}
