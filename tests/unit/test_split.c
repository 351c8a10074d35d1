/* activity, split: active audio, cuts of long audio, silent segments. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audio/activity.h"
#include "audio/split.h"
#include "base/mem.h"

enum { SECOND = AUDIO_RATE, MS = SECOND / 1000 };

static mel *tables;

static int create_tables(void **state) { return mel_create(&tables, NULL); }

static int free_tables(void **state)
{
    mel_free(tables);
    return 0;
}

/* ---- audio ---- */

static uint32_t seed;

static float noise(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed / 2147483648.0f;
}

static float *silence(size_t n)
{
    float *x = NULL;
    assert_int_equal(MEM_CALLOC(&x, n, NULL), QASR_OK);
    seed = 7;
    return x;
}

static void add_noise(float *x, size_t begin, size_t end, float size)
{
    for (size_t i = begin; i < end; i++)
        x[i] += size * noise();
}

/* Speech-like audio from begin to end: syllables of 160 ms, a 150 Hz voice with harmonics and some hiss, loudest in
 * the middle, with gaps of 40 ms between them. */
static void add_words(float *x, size_t begin, size_t end, float size)
{
    const size_t syllable = 200 * MS, sound = 160 * MS;
    for (size_t i = begin; i < end; i++) {
        size_t at = (i - begin) % syllable, which = (i - begin) / syllable;
        if (at >= sound)
            continue;
        double t = (double)i / SECOND, voice = 0;
        for (int k = 1; k <= 8; k++)
            voice += sin(2 * M_PI * 150 * k * (1 + 0.05 * (double)(which % 5)) * t) /
                     (k + 3 * fabs(k - 3.0 - (double)(which % 7)));
        x[i] += size * (float)sin(M_PI * (double)at / (double)sound) * ((float)voice + 0.1f * noise());
    }
}

/* Fills x [n] with words, with a pause of `pause` samples after every `every` samples. */
static void add_sentences(float *x, size_t n, size_t every, size_t pause, float size)
{
    for (size_t at = 0; at < n; at += every + pause)
        add_words(x, at, n - at < every ? n : at + every, size);
}

/* ---- cutting ---- */

enum { MAX_SEGMENTS = 500 };
typedef struct segments {
    size_t n, begin[MAX_SEGMENTS], end[MAX_SEGMENTS];
    bool silent[MAX_SEGMENTS];
    size_t omitted[MAX_SEGMENTS]; /* samples left out of its pauses */
} segments;

/* The log-mel values that a cut leaves behind give the features of its segment, which starts at x. */
static void assert_known_logs(const log_mel *logs, const split_segment *segment, const float *x)
{
    const size_t n = segment->n_samples, n_values = MEL_BINS * mel_frames(n);
    float *known = NULL, *computed = NULL;
    if (!logs->values || n < AUDIO_MIN_SAMPLES)
        return;
    assert_false(segment->silent);
    assert_true(logs->n_frames >= mel_frames(n));
    assert_int_equal(MEM_ALLOC(&known, n_values, NULL), QASR_OK);
    assert_int_equal(MEM_ALLOC(&computed, n_values, NULL), QASR_OK);
    assert_int_equal(mel_compute_known(tables, known, logs, x, n, NULL, NULL), QASR_OK);
    assert_int_equal(mel_compute(tables, computed, x, n, NULL, NULL), QASR_OK);
    assert_memory_equal(known, computed, n_values * sizeof *known);
    mem_free(known);
    mem_free(computed);
}

/* All segments of x [n]. Checks that exactly one window, as in a stream, gives the same cut as all remaining
 * samples. */
static void split(segments *to, const float *x, size_t n, double max_s, pool *p)
{
    const split_rule rule = split_rule_make(max_s, 30);
    to->n = 0;
    for (size_t start = 0; start < n;) {
        size_t left = n - start, seen = left < rule.window ? left : rule.window;
        split_segment all, part;
        log_mel logs;
        float *window = NULL; /* of exactly that size, so that sanitizers detect reads beyond it */
        assert_int_equal(MEM_ALLOC(&window, seen, NULL), QASR_OK);
        memcpy(window, x + start, seen * sizeof *x);
        assert_int_equal(split_next(&part, &logs, &rule, window, seen, start == 0, tables, p, NULL), QASR_OK);
        assert_known_logs(&logs, &part, window);
        log_mel_free(&logs);
        assert_int_equal(split_next(&all, &logs, &rule, x + start, left, start == 0, tables, NULL, NULL), QASR_OK);
        log_mel_free(&logs);
        mem_free(window);
        assert_int_equal(part.n_samples, all.n_samples);
        assert_int_equal(part.silent, all.silent);
        to->omitted[to->n] = timeline_omitted(&part.shortened);
        assert_int_equal(to->omitted[to->n], timeline_omitted(&all.shortened));
        assert_true(to->omitted[to->n] < part.n_samples && !(part.silent && to->omitted[to->n]));
        timeline_free(&part.shortened);
        timeline_free(&all.shortened);
        assert_true(part.n_samples > 0 && part.n_samples <= left);
        assert_true(part.silent || part.n_samples <= rule.max);
        assert_true(to->n < MAX_SEGMENTS);
        to->begin[to->n] = start;
        to->end[to->n] = start + part.n_samples;
        to->silent[to->n++] = part.silent;
        start += part.n_samples;
    }
}

/* No sample of x exceeds `size` within 20 ms of the cut. */
static void assert_quiet_cut(const float *x, size_t cut, float size)
{
    for (size_t i = cut - 20 * MS; i < cut + 20 * MS; i++)
        assert_true(fabsf(x[i]) <= size);
}

static void rules_follow_the_seconds(void **state)
{
    split_rule r = split_rule_make(0, 30);
    assert_int_equal(r.max, 40 * SECOND);
    assert_int_equal(r.max_pause, 32 * SECOND);
    assert_int_equal(r.whole, r.rest); /* audio too short to be cut at the end of a clip is not cut alone either */
    assert_true(r.aim < r.rest && r.rest < r.max && r.window >= 2 * r.rest);
    assert_false(r.verbatim);
    r = split_rule_make(0, 15); /* a model for shorter segments */
    assert_true(r.max == 20 * SECOND && r.aim == 15 * SECOND && r.whole == 16 * SECOND);
    r = split_rule_make(20, 30);
    assert_int_equal(r.max, 20 * SECOND);
    assert_int_equal(r.aim, 15 * SECOND);
    assert_true(r.whole == r.max && r.rest == r.max);
    assert_false(r.verbatim);
    r = split_rule_make(1200, 30);
    assert_int_equal(r.aim, 1195 * SECOND);
    assert_true(r.verbatim);
    r = split_rule_make(1e-9, 30);
    assert_int_equal(r.max, AUDIO_MIN_SAMPLES);
    assert_true(r.aim > 0 && r.aim < r.max);
    r = split_rule_make(1e300, 30);
    assert_true(r.window > r.max && r.max > (size_t)3600 * 24 * SECOND);
}

static void short_audio_is_one_segment(void **state)
{
    segments p;
    float *x = silence(50 * SECOND);
    static const size_t silent[] = { 2 * SECOND, 16 * SECOND, 32 * SECOND, 32 * SECOND + 1, 40 * SECOND + 1 },
                        short_ones[] = { 1, 2 * SECOND - 1 };
    for (size_t i = 0; i < ARRAY_LEN(silent); i++) {
        split(&p, x, silent[i], 0, NULL);
        assert_int_equal(p.n, 1);
        assert_true(p.silent[0]);
    }
    for (size_t i = 0; i < ARRAY_LEN(short_ones); i++) {
        split(&p, x, short_ones[i], 0, NULL);
        assert_int_equal(p.n, 1);
        assert_false(p.silent[0]);
    }
    split(&p, x, 20 * SECOND, 1200, NULL); /* verbatim, even if it is empty */
    assert_int_equal(p.n, 1);
    assert_false(p.silent[0]);
    add_sentences(x, 50 * SECOND, 3 * SECOND, SECOND / 2, 0.3f);
    split(&p, x, 32 * SECOND, 0, NULL);
    assert_int_equal(p.n, 1);
    split(&p, x, 33 * SECOND, 0, NULL);
    assert_int_equal(p.n, 2);
    assert_in_range(p.end[0], 10 * SECOND, 22 * SECOND); /* halved, rather than cut into a long and a tiny segment */
    split(&p, x, 50 * SECOND, 0, NULL);
    assert_int_equal(p.n, 2);
    split(&p, x, 28 * SECOND, 27, NULL);
    assert_int_equal(p.n, 2);
    mem_free(x);
}

static void cuts_fall_into_pauses(void **state)
{
    static const double limits[] = { 0, 8, 12, 20, 28, 60 };
    static const float noises[] = { 0, 0.002f, 0.02f };
    const size_t n = 75 * SECOND;
    segments p;
    for (size_t k = 0; k < sizeof noises / sizeof *noises; k++) {
        float *x = silence(n), *words = silence(n);
        add_sentences(words, n, 2700 * MS, 300 * MS, 0.3f);
        memcpy(x, words, n * sizeof *x);
        add_noise(x, 0, n, noises[k]);
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            split(&p, x, n, limits[i], NULL);
            assert_true(p.n >= 2);
            for (size_t c = 1; c < p.n; c++) {
                assert_false(p.silent[c]);
                assert_quiet_cut(words, p.begin[c], 0); /* the gaps between syllables are silent too, but shorter */
            }
        }
        mem_free(x);
        mem_free(words);
    }
}

typedef struct pause {
    size_t at, length;
} pause; /* in milliseconds */

/* The first cut, in ms, of n_ms of words with these pauses, which contain faint noise. */
static size_t first_cut(size_t n_ms, const pause *pauses, size_t n_pauses)
{
    segments p;
    float *x = silence(n_ms * MS);
    size_t at = 0;
    for (size_t i = 0; i < n_pauses; i++) {
        add_words(x, at, pauses[i].at * MS, 0.3f);
        at = (pauses[i].at + pauses[i].length) * MS;
        add_noise(x, pauses[i].at * MS, at, 0.003f); /* louder than the gaps between syllables */
    }
    add_words(x, at, n_ms * MS, 0.3f);
    split(&p, x, n_ms * MS, 0, NULL);
    mem_free(x);
    assert_true(p.n >= 2);
    return p.end[0] / MS;
}

static void a_long_pause_near_the_aim_is_preferred(void **state)
{
    static const pause pauses[] = {
        { 11000, 700 }, { 15000, 150 }, { 20000, 200 }
    }; /* the second is nearest to the preferred length, half of the audio */
    assert_in_range(first_cut(35000, pauses, 3), 11020, 11680);
    static const pause equal[] = { { 11000, 200 }, { 15000, 200 }, { 20000, 200 } };
    assert_in_range(first_cut(35000, equal, 3), 15000, 20200);
}

static void a_pause_within_reach_spares_the_word(void **state)
{
    static const pause early[] = { { 17000, 150 }, { 45000, 150 } }; /* the first segment can only end in the first */
    assert_in_range(first_cut(70000, early, 2), 17000, 17150);
    static const pause late[] = { { 38000, 150 } }; /* a longer segment rather than a cut in a word */
    assert_in_range(first_cut(70000, late, 1), 38000, 38150);
    static const pause both[] = { { 22000, 600 }, { 29000, 300 }, { 36000, 600 } };
    assert_in_range(first_cut(100000, both, 3), 29000, 29300);
}

static void without_pauses_the_quietest_place_is_taken(void **state)
{
    const size_t n = 60 * SECOND;
    segments p;
    float *x = silence(n);
    for (size_t i = 0; i < n; i++) { /* a continuous hum that fades for a tenth of a second */
        double away = fabs((double)i / SECOND - 28.05) / 0.05;
        x[i] = 0.3f * (float)(sin((double)i * 0.2) * (away < 1 ? 0.5 - 0.48 * cos(M_PI * away) : 1));
    }
    split(&p, x, n, 0, NULL);
    assert_in_range(p.end[0], 28 * SECOND, 28 * SECOND + 100 * MS);
    mem_free(x);
    x = silence(n);
    add_words(x, 0, n, 0.3f);
    split(&p, x, n, 0, NULL); /* cuts fall between syllables */
    for (size_t c = 1; c < p.n; c++)
        assert_true(p.begin[c] % (200 * MS) >= 140 * MS || p.begin[c] % (200 * MS) <= 20 * MS);
    mem_free(x);
}

/* ---- silence ---- */

/* 10 s of noise, 9 s of words with noise, 20 s of noise; offset is a DC offset. */
static void split_around_words(segments *p, float noise_size, float offset, float words)
{
    const size_t n = 39 * SECOND;
    float *x = silence(n);
    for (size_t i = 0; i < n; i++)
        x[i] = offset;
    add_noise(x, 0, n, noise_size);
    add_sentences(x + 10 * SECOND, 9 * SECOND, 3 * SECOND, 300 * MS, words);
    split(p, x, n, 0, NULL);
    mem_free(x);
}

static void long_silence_is_a_segment_of_its_own(void **state)
{
    static const struct {
        float noise, offset, words;
    } cases[] = { { 0, 0, 0.3f },     { 0.0001f, 0, 0.3f },     { 0.002f, 0, 0.3f }, { 0.003f, 0, 0.3f },
                  { 0, 0.01f, 0.3f }, { 0.0005f, 0.02f, 0.3f }, { 0, 0, 0.003f },    { 0.0001f, 0, 0.01f } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        segments p;
        split_around_words(&p, cases[i].noise, cases[i].offset, cases[i].words);
        assert_int_equal(p.n, 3);
        assert_true(p.silent[0] && !p.silent[1] && p.silent[2]);
        assert_in_range(p.end[0], 9500 * MS, 9900 * MS); /* some silence stays with the words */
        assert_in_range(p.end[1], 19100 * MS, 19600 * MS);
    }
}

/* Noise near the level up to which it is silence is silence as a whole, or not: its frames differ by a few dB. */
static void steady_noise_is_not_cut_into_slivers(void **state)
{
    size_t n_silent = 0, n_sound = 0;
    for (float noise_size = 0.005f; noise_size < 0.011f; noise_size += 0.0004f) {
        segments p;
        split_around_words(&p, noise_size, 0, 0.3f);
        if (p.silent[0]) { /* silence, words, silence */
            assert_true(p.n == 3 && !p.silent[1] && p.silent[2]);
            n_silent++;
        } else { /* noise and words in two segments of usual length */
            assert_true(p.n == 2 && !p.silent[1]);
            n_sound++;
        }
    }
    assert_true(n_silent > 2 && n_sound > 2);
}

static void nothing_that_might_be_speech_is_silence(void **state)
{
    static const struct {
        float noise, words;
    } cases[] = {
        { 0.1f, 0.3f }, { 0.03f, 0.3f }, /* noise of -25 and -35 dB may hide speech */
    };
    segments p;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        split_around_words(&p, cases[i].noise, 0, cases[i].words);
        for (size_t k = 0; k < p.n; k++)
            assert_false(p.silent[k]);
    }
    /* words 10 dB above noise that counts as silence, and faint words in digital silence */
    const size_t n = 100 * SECOND;
    float *x = silence(n);
    add_noise(x, 0, n, 0.002f);
    add_sentences(x, n, 3 * SECOND, SECOND, 0.006f);
    split(&p, x, n, 0, NULL);
    for (size_t k = 0; k < p.n; k++)
        assert_false(p.silent[k]);
    mem_free(x);
    x = silence(n);
    add_sentences(x, n, 3 * SECOND, SECOND, 0.002f);
    split(&p, x, n, 0, NULL);
    for (size_t k = 0; k < p.n; k++)
        assert_false(p.silent[k]);
    mem_free(x);
}

static void one_word_in_long_silence_is_found(void **state)
{
    const size_t n = 300 * SECOND, at = 171 * SECOND + 123 * MS;
    segments p;
    float *x = silence(n);
    add_noise(x, 0, n, 0.0005f);
    add_words(x, at, at + 400 * MS, 0.05f);
    split(&p, x, n, 0, NULL);
    size_t n_files = 0;
    for (size_t k = 0; k < p.n; k++) {
        if (p.silent[k])
            continue;
        n_files++;
        assert_true(p.begin[k] <= at - 200 * MS && p.end[k] >= at + 600 * MS);
        assert_true(p.end[k] - p.begin[k] < 3 * SECOND);
    }
    assert_int_equal(n_files, 1);
    mem_free(x);
}

/* ---- shortened pauses ---- */

/* Two stretches of words of 4 s with a pause between, noise all over or in the pause alone. */
static void split_around_pause(segments *p, double pause_s, float noise_size, bool all_over)
{
    const size_t words = 4 * SECOND, gap = (size_t)(pause_s * SECOND), n = 2 * words + gap;
    float *x = silence(n);
    add_noise(x, all_over ? 0 : words, all_over ? n : words + gap, noise_size);
    add_words(x, 0, words, 0.3f);
    add_words(x, words + gap, n, 0.3f);
    split(p, x, n, 0, NULL);
    mem_free(x);
}

static void pauses_are_shortened_to_two_seconds(void **state)
{
    static const struct {
        double pause_s;
        float noise;
        bool all_over;
    } cases[] = { { 2.6, 0, true },      { 3.8, 0, true },    { 3.8, 0.001f, true }, { 3.8, 0.03f, true },
                  { 3.8, 0.03f, false }, { 12, 0.03f, true }, { 20, 0.03f, false },  { 20, 0.1f, true } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        segments p;
        split_around_pause(&p, cases[i].pause_s, cases[i].noise, cases[i].all_over);
        assert_int_equal(p.n, 1);
        const double omitted = (double)p.omitted[0] / SECOND; /* found in steps of a quarter of a second */
        assert_true(omitted <= cases[i].pause_s - 1.7 && omitted >= cases[i].pause_s - 2.8);
    }
    segments p;
    split_around_pause(&p, 1.9, 0, true);
    assert_true(p.n == 1 && p.omitted[0] == 0);
}

static void a_changing_sound_is_not_shortened(void **state)
{
    const size_t n = 28 * SECOND;
    segments p;
    float *x = silence(n);
    add_noise(x, 0, n, 0.03f);
    add_words(x, 0, 4 * SECOND, 0.3f);
    add_words(x, 24 * SECOND, n, 0.3f);
    for (size_t at = 5 * SECOND; at < 23 * SECOND; at += 1500 * MS)
        add_words(x, at, at + 300 * MS, 0.1f); /* faint words in the noise, and never two seconds without */
    split(&p, x, n, 0, NULL);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.omitted[0], 0);
    mem_free(x);
    x = silence(n); /* a fading tone, which falls by 60 dB */
    for (size_t i = 0; i < n; i++)
        x[i] = 0.5f * (float)(sin((double)i * 0.3) * pow(10, -3.0 * (double)(i % (8 * SECOND)) / (8 * SECOND)));
    split(&p, x, n, 0, NULL);
    assert_int_equal(p.omitted[0], 0);
    mem_free(x);
}

static void times_survive_shortening(void **state)
{
    timeline t = { 0 }, rest;
    float pcm[20], kept[13];
    for (size_t i = 0; i < 20; i++)
        pcm[i] = (float)i;
    assert_int_equal(timeline_original(&t, 7), 7);
    assert_int_equal(timeline_omit(&t, 3, 4, NULL), QASR_OK); /* 3 to 6 are left out, */
    assert_int_equal(timeline_omit(&t, 8, 3, NULL), QASR_OK); /* and 12 to 14 */
    assert_int_equal(timeline_omitted(&t), 7);
    timeline_copy_kept(&t, kept, 13, pcm);
    for (size_t i = 0; i < 13; i++)
        assert_int_equal((size_t)kept[i], timeline_original(&t, i));
    assert_int_equal(kept[3], 7);
    assert_int_equal(kept[8], 15);
    assert_int_equal(timeline_cut(&t, &rest, 5, NULL), QASR_OK);
    assert_true(t.n == 1 && rest.n == 1);
    for (size_t i = 5; i < 13; i++)
        assert_int_equal(timeline_original(&rest, i - 5) + 9, (size_t)kept[i]); /* sample 5 was 9 */
    timeline_free(&rest);
    assert_int_equal(timeline_cut(&t, &rest, 3, NULL), QASR_OK); /* an omission at the cut belongs to the part before */
    assert_true(t.n == 1 && rest.n == 0);
    timeline_free(&t);
}

/* ---- all segments together ---- */

static void segments_are_the_whole_for_any_rule(void **state)
{
    static const double limits[] = { 0, 0.5, 2.5, 13.37, 30, 95 };
    const size_t n = 100 * SECOND + 77;
    segments p, again;
    pool *workers = NULL;
    assert_int_equal(pool_create(&workers, 3, NULL), QASR_OK);
    float *x = silence(n);
    for (size_t i = 0; i < n; i++)
        x[i] = noise() * (float)(1.01 + sin((double)i / 7000) * sin((double)i / 90000)) / 2;
    for (size_t i = 60 * SECOND; i < 70 * SECOND; i++)
        x[i] = 0;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        split(&p, x, n, limits[i], NULL);
        split(&again, x, n, limits[i], workers);
        assert_int_equal(p.n, again.n);
        for (size_t k = 0; k < p.n; k++)
            assert_true(p.end[k] == again.end[k] && p.silent[k] == again.silent[k]);
        assert_int_equal(p.end[p.n - 1], n);
    }
    mem_free(x);
    pool_free(workers);
}

static void halves_are_cut_in_the_middle(void **state)
{
    const size_t n = 20 * SECOND;
    size_t at = 0;
    float *x = silence(n);
    add_words(x, 0, 8 * SECOND, 0.3f);
    add_words(x, 8 * SECOND + 400 * MS, 17 * SECOND, 0.3f);
    add_words(x, 18 * SECOND, n, 0.3f); /* a longer pause, but far from the middle */
    assert_int_equal(split_halves(&at, x, n, tables, NULL, NULL), QASR_OK);
    assert_in_range(at, 8 * SECOND, 8 * SECOND + 400 * MS);
    memset(x, 0, n * sizeof *x);
    assert_int_equal(split_halves(&at, x, n, tables, NULL, NULL), QASR_OK);
    assert_in_range(at, 9 * SECOND, 11 * SECOND);
    mem_free(x);
}

/* ---- activity ---- */

static void look(activity *a, const float *x, size_t n)
{
    float *features = NULL;
    assert_int_equal(MEM_ALLOC(&features, MEL_BINS * mel_frames(n), NULL), QASR_OK);
    assert_int_equal(mel_compute(tables, features, x, n, NULL, NULL), QASR_OK);
    assert_int_equal(activity_find(a, features, mel_frames(n), NULL), QASR_OK);
    mem_free(features);
}

static void edges_are_those_of_the_words(void **state)
{
    static const float noises[] = { 0, 0.003f, 0.03f };
    const size_t n = 6 * SECOND;
    for (size_t i = 0; i < sizeof noises / sizeof *noises; i++) {
        activity a;
        size_t first, end;
        float *x = silence(n);
        add_noise(x, 0, n, noises[i]);
        look(&a, x, n);
        assert_int_equal(activity_edges(&a, &first, &end), 0); /* steady noise alone */
        assert_true(first == 0 && end == 0);
        activity_free(&a);
        add_words(x, 2 * SECOND, 4 * SECOND, 0.3f);
        x[5 * SECOND] = 0.9f; /* a click is not activity */
        look(&a, x, n);
        size_t n_active_frames = activity_edges(&a, &first, &end);
        assert_in_range(first, 192, 206);
        assert_in_range(end, 392, 406);
        assert_in_range(n_active_frames, 140, end - first); /* gaps between syllables may not be active */
        activity_free(&a);
        mem_free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_follow_the_seconds),
        cmocka_unit_test(short_audio_is_one_segment),
        cmocka_unit_test(cuts_fall_into_pauses),
        cmocka_unit_test(a_long_pause_near_the_aim_is_preferred),
        cmocka_unit_test(a_pause_within_reach_spares_the_word),
        cmocka_unit_test(without_pauses_the_quietest_place_is_taken),
        cmocka_unit_test(long_silence_is_a_segment_of_its_own),
        cmocka_unit_test(steady_noise_is_not_cut_into_slivers),
        cmocka_unit_test(nothing_that_might_be_speech_is_silence),
        cmocka_unit_test(one_word_in_long_silence_is_found),
        cmocka_unit_test(pauses_are_shortened_to_two_seconds),
        cmocka_unit_test(a_changing_sound_is_not_shortened),
        cmocka_unit_test(times_survive_shortening),
        cmocka_unit_test(segments_are_the_whole_for_any_rule),
        cmocka_unit_test(halves_are_cut_in_the_middle),
        cmocka_unit_test(edges_are_those_of_the_words),
    };
    return cmocka_run_group_tests(tests, create_tables, free_tables);
}
