/* split: where long audio is cut. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audio/audio.h"
#include "base/mem.h"

enum { SECOND = AUDIO_RATE };

/* n samples of a 1-kHz tone: no sample is 0 (phase), 16 samples a period. */
static float *tone(size_t n)
{
    float *x = NULL;
    assert_int_equal(MEM_ALLOC(&x, n, NULL), QASR_OK);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(0.5 * sin(2 * M_PI * ((double)(i % 16) + 0.5) / 16));
    return x;
}

static void fill(float *x, size_t begin, size_t end, float value)
{
    for (size_t i = begin; i < end; i++)
        x[i] = value;
}

enum { MAX_CUTS = 2000 };

/* Starts of all pieces but the first. The rule looks at all that is left; a stream that shows it no more than it says it
 * needs gives the same. */
static size_t split(size_t cuts[MAX_CUTS], const float *x, size_t n, size_t max_samples)
{
    size_t n_cuts = 0;
    for (size_t start = 0; start < n;) {
        size_t left = n - start, ahead = max_samples + AUDIO_CUT_AHEAD;
        size_t length = audio_piece_length(x + start, left, max_samples);
        float *window = NULL; /* of exactly that size, so that reading beyond it shows */
        assert_int_equal(MEM_ALLOC(&window, left < ahead ? left : ahead, NULL), QASR_OK);
        memcpy(window, x + start, (left < ahead ? left : ahead) * sizeof *x);
        assert_int_equal(audio_piece_length(window, left < ahead ? left : ahead, max_samples), length);
        mem_free(window);
        assert_true(length > 0 && length <= left);
        start += length;
        assert_true(n_cuts < MAX_CUTS);
        if (start < n)
            cuts[n_cuts++] = start;
    }
    return n_cuts;
}

/* The only cut of x [n]. */
static size_t single_cut(const float *x, size_t n, size_t max_samples)
{
    size_t cuts[MAX_CUTS];
    assert_int_equal(split(cuts, x, n, max_samples), 1);
    return cuts[0];
}

static void short_audio_is_not_cut(void **state)
{
    float *x = tone(1000);
    assert_int_equal(audio_piece_length(x, 1000, 1000), 1000);
    assert_int_equal(audio_piece_length(x, 999, 1000), 999);
    assert_int_equal(audio_piece_length(NULL, 0, 1000), 0);
    mem_free(x);
}

static void cut_falls_into_the_gap(void **state)
{
    const size_t n = 30 * SECOND, max = 20 * SECOND;
    float *x = tone(n);
    size_t gap = 22 * SECOND + 77;
    fill(x, gap, gap + 1600, 0); /* exactly one window */
    assert_int_equal(single_cut(x, n, max), gap);
    fill(x, gap, gap + 1600, 0.01f);
    x[gap + 1234] = -0.001f; /* by size, not by value */
    x[gap + 1235] = -0.3f;
    assert_int_equal(single_cut(x, n, max), gap + 1234);
    mem_free(x);
}

static void first_of_equal_places_wins(void **state)
{
    const size_t n = 30 * SECOND, max = 20 * SECOND;
    float *x = tone(n);
    fill(x, 17 * SECOND, 17 * SECOND + 1600, 0);
    fill(x, 23 * SECOND, 23 * SECOND + 4000, 0);
    assert_int_equal(single_cut(x, n, max), 17 * SECOND);
    fill(x, 0, n, 0); /* silence without end: the first place of the search range */
    assert_int_equal(single_cut(x, n, max), 15 * SECOND);
    fill(x, 0, n, 0.25f);
    assert_int_equal(single_cut(x, n, max), 15 * SECOND);
    mem_free(x);
}

static void search_is_limited_to_five_seconds(void **state)
{
    const size_t n = 30 * SECOND, max = 20 * SECOND;
    float *x = tone(n);
    fill(x, 15 * SECOND - 1600, 15 * SECOND, 0); /* just before the range */
    fill(x, 25 * SECOND, 25 * SECOND + 1600, 0); /* just behind */
    fill(x, 20 * SECOND, 20 * SECOND + 1600, 0.05f);
    assert_int_equal(single_cut(x, n, max), 20 * SECOND);
    fill(x, 25 * SECOND - 1600, 25 * SECOND, 0); /* the last window that lies inside */
    assert_int_equal(single_cut(x, n, max), 25 * SECOND - 1600);
    mem_free(x);
}

static void total_just_above_the_maximum(void **state)
{
    const size_t max = 20 * SECOND, n = max + 1;
    float *x = tone(n);
    fill(x, n - 1600, n, 0); /* the last window of the range ends with the audio */
    assert_int_equal(single_cut(x, n, max), n - 1600);
    fill(x, n - 1600, n, 0.01f);
    x[n - 1] = 0; /* the latest cut there can be leaves one sample */
    assert_int_equal(single_cut(x, n, max), n - 1);
    mem_free(x);
}

static void short_ranges_are_cut_at_the_maximum(void **state)
{
    float *x = tone(1600);
    x[5] = 0;
    assert_int_equal(single_cut(x, 1600, 1000), 1000); /* no room for more than one window */
    mem_free(x);
    x = tone(1601);
    fill(x, 0, 1601, 0.5f);
    x[700] = 0.1f;
    assert_int_equal(single_cut(x, 1601, 1000), 700);
    mem_free(x);
}

static void tiny_pieces_have_at_least_one_sample(void **state)
{
    enum { N = 1700 };
    float *x = NULL;
    assert_int_equal(MEM_CALLOC(&x, N, NULL), QASR_OK);
    size_t cuts[MAX_CUTS];
    assert_int_equal(split(cuts, x, N, 1), N - 1);
    for (size_t i = 0; i < N - 1; i++)
        assert_int_equal(cuts[i], i + 1);
    mem_free(x);
}

static void pieces_follow_each_other(void **state)
{
    const size_t n = 95 * SECOND, max = 20 * SECOND;
    float *x = tone(n);
    /* wanted at 20, 38, 60 and 84 s: nothing is quiet near the last */
    fill(x, 18 * SECOND, 18 * SECOND + 1600, 0);
    fill(x, 40 * SECOND, 40 * SECOND + 1600, 0);
    fill(x, 64 * SECOND, 64 * SECOND + 1600, 0);
    size_t cuts[MAX_CUTS];
    assert_int_equal(split(cuts, x, n, max), 4);
    assert_int_equal(cuts[0], 18 * SECOND);
    assert_int_equal(cuts[1], 40 * SECOND);
    assert_int_equal(cuts[2], 64 * SECOND);
    assert_true(cuts[3] >= 79 * SECOND && cuts[3] < 89 * SECOND);
    assert_true(n - cuts[3] <= max);
    mem_free(x);
}

/* Noise of changing loudness, many lengths: what is far behind a cut does not move it. */
static void what_lies_far_ahead_does_not_matter(void **state)
{
    const size_t n = 100 * SECOND;
    uint32_t seed = 7;
    float *x = tone(n);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed / 2147483648.0f * (float)(1.01 + sin((double)i / 7000) * sin((double)i / 90000));
    }
    size_t cuts[MAX_CUTS];
    for (size_t max = 3 * SECOND; max < 60 * SECOND; max += 2 * SECOND + 377)
        assert_true(split(cuts, x, n - max % 1000, max) >= n / (max + AUDIO_CUT_AHEAD));
    mem_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_audio_is_not_cut),
        cmocka_unit_test(cut_falls_into_the_gap),
        cmocka_unit_test(first_of_equal_places_wins),
        cmocka_unit_test(search_is_limited_to_five_seconds),
        cmocka_unit_test(total_just_above_the_maximum),
        cmocka_unit_test(short_ranges_are_cut_at_the_maximum),
        cmocka_unit_test(tiny_pieces_have_at_least_one_sample),
        cmocka_unit_test(pieces_follow_each_other),
        cmocka_unit_test(what_lies_far_ahead_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
