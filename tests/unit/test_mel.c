/* mel: check values of the model specification, a plain double-precision implementation, edges, threads. */
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

static mel *tables;

static int create_tables(void **state) { return mel_create(&tables, NULL); }

static int free_tables(void **state)
{
    mel_free(tables);
    return 0;
}

static float *new_floats(size_t n)
{
    float *x = NULL;
    assert_int_equal(MEM_ALLOC(&x, n, NULL), QASR_OK);
    return x;
}

/* Features of pcm [n]: *n_frames and the result [MEL_BINS, *n_frames]. Free it. */
static float *features(const float *pcm, size_t n, pool *p, size_t *n_frames)
{
    *n_frames = mel_frames(n);
    float *out = new_floats(MEL_BINS * *n_frames + 1);
    out[MEL_BINS * *n_frames] = 12345; /* guard */
    assert_int_equal(mel_compute(tables, out, pcm, n, p, NULL), QASR_OK);
    assert_true(out[MEL_BINS * *n_frames] == 12345);
    return out;
}

static float *two_tones(size_t n)
{
    float *x = new_floats(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(0.5 * sin(2 * M_PI * 440 * (double)i / 16000) + 0.25 * sin(2 * M_PI * 3000 * (double)i / 16000));
    return x;
}

/* Noise whose loudness varies over five decades, from a fixed sequence. */
static float *noise(size_t n, uint32_t seed)
{
    float *x = new_floats(n);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(((double)(seed >> 8) / (1 << 24) - 0.5) * pow(10, -5.0 * (double)(i / 700 % 6) / 5));
    }
    return x;
}

/* ---- plain implementation in double -------------------------------------------------------- */

static double plain_mel_to_hz(double m) { return m < 15 ? 200 * m / 3 : 1000 * exp((m - 15) * log(6.4) / 27); }

static double plain_weight(int m, int k)
{
    const double top = 45.245640471924965, f = 40.0 * k;
    double e0 = plain_mel_to_hz(top * m / 129), e1 = plain_mel_to_hz(top * (m + 1) / 129),
           e2 = plain_mel_to_hz(top * (m + 2) / 129);
    return fmax(0, fmin((f - e0) / (e1 - e0), (e2 - f) / (e2 - e1))) * 2 / (e2 - e0);
}

static void plain_power(double power[201], const float *x, size_t n, size_t t)
{
    double frame[400];
    for (int i = 0; i < 400; i++) {
        int64_t at = (int64_t)(160 * t) + i - 200;
        at = at < 0 ? -at : at >= (int64_t)n ? 2 * ((int64_t)n - 1) - at : at;
        frame[i] = x[at] * (0.5 - 0.5 * cos(2 * M_PI * i / 400));
    }
    for (int k = 0; k <= 200; k++) {
        double re = 0, im = 0;
        for (int i = 0; i < 400; i++) {
            re += frame[i] * cos(2 * M_PI * (i * k % 400) / 400);
            im -= frame[i] * sin(2 * M_PI * (i * k % 400) / 400);
        }
        power[k] = re * re + im * im;
    }
}

static double *plain_features(const float *x, size_t n)
{
    const size_t n_frames = n / 160;
    double *out = NULL, max_log = -10;
    assert_int_equal(MEM_ALLOC(&out, 128 * n_frames, NULL), QASR_OK);
    for (size_t t = 0; t < n_frames; t++) {
        double power[201];
        plain_power(power, x, n, t);
        for (int m = 0; m < 128; m++) {
            double sum = 0;
            for (int k = 0; k <= 200; k++)
                sum += (float)plain_weight(m, k) * power[k];
            double value = log10(fmax(sum, 1e-10));
            out[(size_t)m * n_frames + t] = value;
            max_log = fmax(max_log, value);
        }
    }
    for (size_t i = 0; i < 128 * n_frames; i++)
        out[i] = (fmax(out[i], max_log - 8) + 4) / 4;
    return out;
}

static void assert_matches_plain(const float *x, size_t n)
{
    size_t n_frames;
    float *got = features(x, n, NULL, &n_frames);
    double *want = plain_features(x, n), worst = 0;
    for (size_t i = 0; i < MEL_BINS * n_frames; i++)
        worst = fmax(worst, fabs(got[i] - want[i]));
    assert_true(worst < 1e-5);
    mem_free(want);
    mem_free(got);
}

/* ---- tests --------------------------------------------------------------------------------- */

/* The plain implementation and the module have the specified filter weights: a windowed cosine on bin k has power
 * 100^2 in bin k, a quarter of that in bins k - 1 and k + 1 and none elsewhere, so the weights determine the value of
 * each filter. Near 0 Hz the mirrored line interferes; not compared there. */
static void filters_have_the_specified_weights(void **state)
{
    static const struct {
        int row, bin;
        double weight;
    } checks[] = {
        { 0, 1, 0.012373986 },     { 1, 1, 0.030392565 },     { 10, 6, 0.011289184 },    { 10, 7, 0.001084802 },
        { 40, 24, 0.040376365 },   { 64, 42, 0.006749683 },   { 64, 43, 0.018091518 },   { 100, 100, 0.002578351 },
        { 100, 101, 0.006775829 }, { 100, 102, 0.009409416 }, { 100, 103, 0.005311946 }, { 100, 104, 0.001214476 },
        { 127, 191, 0.000475695 }, { 127, 195, 0.005041602 }, { 127, 199, 0.001114280 },
    };
    double sum = 0;
    int n_weights = 0;
    for (int m = 0; m < 128; m++)
        for (int k = 0; k <= 200; k++)
            if (plain_weight(m, k) > 0) {
                sum += plain_weight(m, k);
                n_weights++;
            }
    assert_int_equal(n_weights, 394);
    assert_float_equal(sum, 3.190985529, 1e-8);
    enum { N = 1600, MIDDLE = 5 };
    float *x = new_floats(N);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        const int row = checks[i].row, bin = checks[i].bin;
        assert_float_equal(plain_weight(row, bin), checks[i].weight, 1e-9);
        for (int j = 0; j < N; j++)
            x[j] = (float)cos(2 * M_PI * bin * j / 400);
        size_t n_frames;
        float *got = features(x, N, NULL, &n_frames);
        double power = 0, scale = 200.0 * 200.0 / 4;
        for (int d = -1; d <= 1; d++)
            power += plain_weight(row, bin + d) * scale * (d == 0 ? 1 : 0.25);
        if (bin > 1)
            assert_float_equal(got[(size_t)row * n_frames + MIDDLE], (log10(power) + 4) / 4, 2e-6);
        mem_free(got);
    }
    mem_free(x);
}

typedef struct mel_row {
    size_t t;
    double value[10];
} mel_row;

static void assert_table(const float *got, size_t n_frames, const mel_row *rows, size_t n_rows)
{
    static const size_t columns[10] = { 0, 5, 18, 19, 40, 71, 72, 73, 100, 127 };
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < 10; c++)
            assert_float_equal(got[columns[c] * n_frames + rows[r].t], rows[r].value[c], 1.5e-5);
}

static void assert_statistics(const float *got, size_t n, double max_log, double smallest, double mean)
{
    double high = -1e9, low = 1e9, sum = 0;
    for (size_t i = 0; i < n; i++) {
        high = fmax(high, got[i]);
        low = fmin(low, got[i]);
        sum += got[i];
    }
    assert_float_equal(high * 4 - 4, max_log, 2e-6);
    assert_float_equal(low, smallest, 1e-6);
    assert_float_equal(sum / (double)n, mean, 1e-6);
}

static void two_tones_give_the_specified_table(void **state)
{
    static const mel_row rows[] = {
        { 0, { 0.92094, 0.94180, 0.76578, 1.31539, 0.67834, 0.40984, 0.43796, 0.46710, 0.50646, 0.26117 } },
        { 1, { 0.40900, 0.42350, 1.48261, 1.27923, 0.17050, -0.09768, -0.06964, -0.03873, -0.00403, -0.24891 } },
        { 50, { -0.51465, -0.51465, 1.48535, 1.27524, -0.51465, -0.51465, -0.51465, -0.51465, -0.51465, -0.51465 } },
        { 99, { 0.40730, 0.42487, 1.48261, 1.27889, 0.21710, -0.48203, -0.49785, -0.46173, -0.16119, -0.38622 } },
    };
    float *x = two_tones(16000);
    size_t n_frames;
    float *got = features(x, 16000, NULL, &n_frames);
    assert_int_equal(n_frames, 100);
    assert_table(got, n_frames, rows, ARRAY_LEN(rows));
    assert_statistics(got, MEL_BINS * n_frames, 1.941416, -0.514646, -0.383465);
    mem_free(got);
    mem_free(x);
}

static void speech_gives_the_specified_table(void **state)
{
    static const mel_row rows[] = {
        { 500, { 0.20219, 0.39115, 0.34111, 0.36957, -0.04603, -0.16836, -0.25148, -0.28777, -0.50631, -0.50631 } },
        { 800, { 0.05083, 0.31070, 0.41739, 0.27665, -0.50631, -0.06537, -0.17929, -0.27112, -0.38220, -0.50631 } },
        { 1098, { 0.13318, 0.42677, 0.72310, 0.72349, 0.64732, 0.42543, 0.37847, 0.36131, -0.05077, -0.50631 } },
        { 1099, { 0.08393, 0.38470, 0.59619, 0.50813, 0.80286, 0.35970, 0.30502, 0.21765, -0.14132, -0.50631 } },
        { 0, { -.50631, -.50631, -.50631, -.50631, -.50631, -.50631, -.50631, -.50631, -.50631, -.50631 } },
        { 2, { -.50631, -.50631, -.50631, -.50631, -.50631, -.50631, -.50631, -.50631, -.50631, -.50631 } },
    };
    float *x = NULL;
    size_t n = 0, n_frames;
    assert_int_equal(audio_load(&x, &n, TEST_DATA "/audio/jfk.wav", &(qasr_audio_options)QASR_AUDIO_OPTIONS_INIT, NULL),
                     QASR_OK);
    assert_int_equal(n, 176000);
    float *got = features(x, n, NULL, &n_frames);
    assert_int_equal(n_frames, 1100);
    assert_table(got, n_frames, rows, ARRAY_LEN(rows));
    assert_statistics(got, MEL_BINS * n_frames, 1.974769, -0.506308, 0.106977);
    mem_free(got);
    mem_free(x);
}

static void every_length_matches_the_definition(void **state)
{
    static const size_t lengths[] = { 201,  202,  239,  240,  319,  320,  321,  400,   1279, 1280,
                                      1281, 1439, 1440, 1500, 4000, 7999, 8000, 10240, 10400 };
    float *x = noise(10400, 7);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        /* separate memory, so that a sanitizer detects reads beyond the end */
        float *exact = new_floats(lengths[i]);
        memcpy(exact, x, lengths[i] * sizeof *x);
        assert_matches_plain(exact, lengths[i]);
        mem_free(exact);
    }
    mem_free(x);
}

static void silence_is_flat(void **state)
{
    float *x = NULL;
    assert_int_equal(MEM_CALLOC(&x, 8000, NULL), QASR_OK);
    size_t n_frames;
    float *got = features(x, 8000, NULL, &n_frames);
    for (size_t i = 0; i < MEL_BINS * n_frames; i++)
        assert_true(got[i] == -1.5f);
    mem_free(got);
    mem_free(x);
}

/* A silent frame must be exactly at the floor even if it shares a transform with a loud one. */
static void loud_frames_do_not_leak_into_silent_ones(void **state)
{
    float *x = NULL;
    assert_int_equal(MEM_CALLOC(&x, 3200, NULL), QASR_OK);
    for (size_t i = 0; i < 160; i++)
        x[i] = i % 2 ? 1 : -1;
    size_t n_frames;
    float *got = features(x, 3200, NULL, &n_frames);
    float high = -1e9f;
    for (size_t i = 0; i < MEL_BINS * n_frames; i++)
        high = fmaxf(high, got[i]);
    for (size_t m = 0; m < MEL_BINS; m++)
        for (size_t t = 3; t < n_frames; t++)
            assert_float_equal(got[m * n_frames + t], high - 2, 1e-6);
    mem_free(got);
    mem_free(x);
}

static void huge_samples_stay_finite(void **state)
{
    float *x = noise(3200, 3);
    for (size_t i = 0; i < 3200; i++)
        x[i] *= 1e38f;
    size_t n_frames;
    float *got = features(x, 3200, NULL, &n_frames);
    for (size_t i = 0; i < MEL_BINS * n_frames; i++)
        assert_true(isfinite(got[i]));
    mem_free(got);
    mem_free(x);
}

static void threads_do_not_change_a_bit(void **state)
{
    const size_t n = 16000 * 7 + 123;
    float *x = noise(n, 11);
    size_t n_frames;
    float *want = features(x, n, NULL, &n_frames);
    for (unsigned threads = 1; threads <= 5; threads++) {
        pool *p = NULL;
        assert_int_equal(pool_create(&p, threads, NULL), QASR_OK);
        float *got = features(x, n, p, &n_frames);
        assert_memory_equal(got, want, MEL_BINS * n_frames * sizeof *got);
        mem_free(got);
        pool_free(p);
    }
    mem_free(want);
    mem_free(x);
}

/* Segments of every length around the groups of frames, and a loud end that only the whole audio has. */
static void known_logs_give_the_same_bits(void **state)
{
    const size_t n_whole = 20000;
    float *x = noise(n_whole, 5);
    for (size_t i = n_whole - 2000; i < n_whole; i++)
        x[i] *= 1000;
    pool *p = NULL;
    assert_int_equal(pool_create(&p, 3, NULL), QASR_OK);
    log_mel known;
    assert_int_equal(mel_compute_logs(tables, &known, x, n_whole, p, NULL), QASR_OK);
    assert_int_equal(known.n_frames, mel_frames(n_whole));
    for (size_t n = 201; n <= n_whole; n += n < 3200 ? 1 : n + 1237 < n_whole ? 1237 : n_whole - n ? n_whole - n : 1) {
        size_t n_frames;
        float *want = features(x, n, NULL, &n_frames), *got = new_floats(MEL_BINS * n_frames);
        assert_int_equal(mel_compute_known(tables, got, &known, x, n, p, NULL), QASR_OK);
        assert_memory_equal(got, want, MEL_BINS * n_frames * sizeof *got);
        mem_free(want);
        mem_free(got);
    }
    log_mel_free(&known);
    assert_null(known.values);
    pool_free(p);
    mem_free(x);
}

static void errors_are_reported(void **state)
{
    qasr_error err;
    float x[201] = { 0 }, out[MEL_BINS];
    log_mel logs = { 0 };
    assert_int_equal(mel_compute(tables, out, x, 200, NULL, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "200 samples"));
    assert_int_equal(mel_compute(tables, out, x, 0, NULL, &err), QASR_E_INVALID);
    mem_fail_after(0);
    assert_int_equal(mel_compute(tables, out, x, 201, NULL, &err), QASR_E_NOMEM);
    for (size_t i = 0; i < 2; i++) {
        mem_fail_after(i);
        assert_int_equal(mel_compute_logs(tables, &logs, x, 201, NULL, &err), QASR_E_NOMEM);
        assert_null(logs.values);
    }
    mem_fail_after(0);
    mel *m = NULL;
    assert_int_equal(mel_create(&m, &err), QASR_E_NOMEM);
    mem_fail_after(SIZE_MAX);
    assert_null(m);
    mel_free(NULL);
}

static void tables_can_be_had_as_floats(void **state)
{
    float *filters = new_floats(MEL_BINS * MEL_SPECTRUM), window[MEL_FFT];
    mel_get_filters(tables, filters);
    mel_get_window(tables, window);
    for (int m = 0; m < MEL_BINS; m++)
        for (int k = 0; k < MEL_SPECTRUM; k++)
            assert_true(fabs(filters[m * MEL_SPECTRUM + k] - plain_weight(m, k)) <= 1e-7 * plain_weight(m, k));
    for (int i = 0; i < MEL_FFT; i++)
        assert_true(fabs(window[i] - (0.5 - 0.5 * cos(2 * M_PI * i / MEL_FFT))) <= 1e-7);
    mem_free(filters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_have_the_specified_weights),
        cmocka_unit_test(tables_can_be_had_as_floats),
        cmocka_unit_test(two_tones_give_the_specified_table),
        cmocka_unit_test(speech_gives_the_specified_table),
        cmocka_unit_test(every_length_matches_the_definition),
        cmocka_unit_test(silence_is_flat),
        cmocka_unit_test(loud_frames_do_not_leak_into_silent_ones),
        cmocka_unit_test(huge_samples_stay_finite),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(known_logs_give_the_same_bits),
        cmocka_unit_test(errors_are_reported),
    };
    return cmocka_run_group_tests(tests, create_tables, free_tables);
}
