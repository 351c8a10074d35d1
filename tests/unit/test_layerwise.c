/* The layerwise pass along the demo model's stages: its exact network gives the sums of calibration files, its
 * rounded network those of a model with the rounded weights; sums over both networks; layerwise quantization. */
#include <math.h>

#include "base/file.h"
#include "device/registry.h"
#include "qasr/qasr_tools.h"
#include "quantize/calibration_file.h"
#include "quantize/input_moments.h"
#include "quantize/layerwise.h"
#include "weights/open.h"
#include "weights_fixture.h"

#define CLIP(name) TEST_DATA "/golden/clips/" name ".flac"
static const char *const clips[] = { CLIP("ru-002"), CLIP("en-001"), CLIP("short-200ms") };
enum { N_CLIPS = ARRAY_LEN(clips) };

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

static layerwise *open_layerwise(const char *path, const char *const *audio, size_t n)
{
    qasr_error err;
    layerwise *t;
    layerwise_options opt = { .model = path, .audio = audio, .n_audio = n, .n_threads = 2 };
    must(layerwise_create(&t, &opt, &err), &err);
    return t;
}

static layerwise_moments moments(layerwise *t)
{
    qasr_error err;
    layerwise_moments m;
    must(layerwise_get_moments(t, &m, &err), &err);
    return m;
}

/* a and b [n, n] agree relative to their diagonals; the products of a may be centred, so its means are added. */
static void same_products(const char *name, const layerwise_moments *a, const float *b,
                          const layerwise_moments *b_means, double tolerance)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < a->n; j++) {
            double x = (double)a->products[i * a->n + j] + (a->mean ? a->mean[i] * a->mean[j] : 0);
            double y = (double)b[i * a->n + j] + (b_means && b_means->mean ? b_means->mean[i] * b_means->mean[j] : 0);
            double size = sqrt(fabs((double)b[i * a->n + i] * (double)b[j * a->n + j])) +
                          (a->mean ? fabs(a->mean[i] * a->mean[j]) : 0);
            if (!(fabs(x - y) <= tolerance * size))
                fail_msg("%s: product %zu, %zu is %.9g, expected %.9g", name, i, j, x, y);
        }
}

/* ---- the exact network ---- */

static void exact_version_is_what_calibration_sees(void **state)
{
    static const char *const audio[] = { CLIP("ru-002"), MODEL_DIR "/eval/long/en-long-12s.flac",
                                         MODEL_DIR "/eval/long/ru-long-31s.flac", CLIP("short-200ms") };
    qasr_error err;
    qasr_calibrate_options opt = QASR_CALIBRATE_OPTIONS_INIT;
    calibration *c;
    opt.model = MODEL_DIR;
    opt.audio = audio;
    opt.n_audio = ARRAY_LEN(audio);
    opt.output = scratch_path("c.gguf");
    opt.covariance = 1;
    must(qasr_calibrate(&opt, NULL, &err), &err);
    must(calibration_open(&c, scratch_path("c.gguf"), &err), &err);

    layerwise *t = open_layerwise(MODEL_DIR, audio, ARRAY_LEN(audio));
    stage s;
    size_t n = 0;
    for (; layerwise_stage(t, &s); n++, must(layerwise_step(t, &err), &err)) {
        layerwise_moments m = moments(t);
        const char *name = s.refs[0]->tensor->canonical;
        float *wanted = malloc(m.n * m.n * sizeof *wanted);
        bool found;
        must(calibration_covariance(c, name, m.n, wanted, &found, &err), &err);
        assert_true(found);
        assert_null(m.drift);
        assert_int_equal(m.mean != NULL, s.biases[0] != NULL);
        same_products(name, &m, wanted, NULL, 2e-4);
        free(wanted);
        layerwise_moments_free(&m);
    }
    assert_int_equal(n, 6 * 4 + 3 + 6 * 4);
    layerwise_moments head;
    float *wanted = malloc(256 * 256 * sizeof *wanted);
    bool found;
    must(layerwise_get_head_moments(t, &head, &err), &err);
    must(calibration_covariance(c, "thinker.model.embed_tokens.weight", head.n, wanted, &found, &err), &err);
    same_products("head", &head, wanted, NULL, 1e-6);
    free(wanted);
    layerwise_moments_free(&head);
    layerwise_free(t);
    calibration_close(c);
}

/* ---- the rounded network ---- */

static void put_from(layerwise *to, const stage *from)
{
    qasr_error err;
    for (size_t k = 0; k < from->n; k++) {
        const wtensor *w = from->refs[k]->tensor;
        must(layerwise_put(to, k, w->type, w->data, &err), &err);
        if (!from->biases[k])
            continue;
        const wtensor *b = from->bias_refs[k]->tensor;
        float *bias = malloc(b->n_values * sizeof *bias);
        quant_get(b->type)->dequantize(bias, b->data, b->n_values);
        must(layerwise_put_bias(to, k, bias, &err), &err);
        free(bias);
    }
}

/* Puts another model's matrices one after the other: the rounded network must become that model. */
static void rounded_version_is_the_model_of_the_rounded_weights(void **state)
{
    qasr_error err;
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    opt.input = MODEL_DIR;
    opt.output = scratch_path("other.gguf");
    opt.scope = "all";
    opt.qtype = "q8_0";
    must(qasr_quantize(&opt, NULL, &err), &err);

    layerwise *exact = open_layerwise(MODEL_DIR, clips, N_CLIPS), *other = open_layerwise(opt.output, clips, N_CLIPS);
    weights *file;
    stage s, from;
    double largest = 0; /* difference from the exact network: the test must be able to detect one */
    must(weights_open(&file, opt.output, &err), &err);
    const wtensor *table = weights_find(file, "thinker.model.embed_tokens.weight");
    must(layerwise_put_embedding(exact, table->type, table->data, &err), &err);
    for (bool first = true; layerwise_stage(exact, &s); first = false) {
        assert_true(layerwise_stage(other, &from));
        layerwise_moments a = moments(exact), b = moments(other);
        same_products(s.refs[0]->tensor->canonical, &a, b.products, &b, 1e-3);
        assert_int_equal(a.drift != NULL, !first);
        for (size_t i = 0; a.mean && i < a.n; i++) {
            assert_true(fabs(a.mean[i] - b.mean[i]) <=
                        1e-3 * (fabs(b.mean[i]) + sqrt(fabs((double)b.products[i * b.n + i]))));
            largest = fmax(largest, fabs(a.mean[i] - a.exact_mean[i]));
        }
        layerwise_moments_free(&a);
        layerwise_moments_free(&b);
        put_from(exact, &from);
        must(layerwise_step(exact, &err), &err);
        must(layerwise_step(other, &err), &err);
    }
    assert_false(layerwise_stage(other, &from));
    assert_true(largest > 1e-3);
    weights_close(file);
    layerwise_free(exact);
    layerwise_free(other);
}

/* ---- sums of both networks ---- */

static double weight_of(size_t row, net_rows rows) /* as in docs/format.md */
{
    return row >= rows.choices_begin ? 4 : row >= rows.audio_begin && row < rows.audio_end ? 1 : 1.0 / 16;
}

static void sums_of_two_versions(void **state)
{
    enum { ROWS = 300, COLS = 7, CALLS = 2 };
    static const net_rows kinds[] = {
        { 9, 250, 280 }, { 0, ROWS, ROWS }, { 0, 0, 0 }, { 0, 0, 100 }, { 20, 300, 290 }
    };
    static float x[ROWS][COLS], exact[ROWS][COLS];
    device *d;
    device_mem *mem, *sums_mem;
    assert_int_equal(device_open(&d, "cpu", 2, DEVICE_EXACT, NULL), QASR_OK);
    assert_int_equal(device_alloc(d, &mem, 2 * sizeof x, NULL), QASR_OK);
    assert_int_equal(device_alloc(d, &sums_mem,
                                  (size_t)input_moments_bytes(COLS, MOMENTS_SQUARES | MOMENTS_PRODUCTS | MOMENTS_DRIFT),
                                  NULL),
                     QASR_OK);
    dmat dx = dmat_make(mem, 0, QUANT_F32, ROWS, COLS), de = dmat_make(mem, sizeof x, QUANT_F32, ROWS, COLS);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t c = 0; c < COLS; c++) {
            x[i][c] = sinf((float)(i * 3 + c * c * 7));
            exact[i][c] = x[i][c] + 0.25f * cosf((float)(i * 5 + c));
        }
    assert_int_equal(device_write(d, dx, x, NULL), QASR_OK);
    assert_int_equal(device_write(d, de, exact, NULL), QASR_OK);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        input_moments g;
        size_t used = 0;
        double weight = 0, weight_squares = 0, drift[COLS][COLS] = { 0 }, products[COLS][COLS] = { 0 };
        float got[COLS][COLS], triangle[COLS * (COLS + 1) / 2], squares[COLS];
        input_moments_place(&g, sums_mem, &used, COLS, MOMENTS_SQUARES | MOMENTS_PRODUCTS | MOMENTS_DRIFT);
        device_begin(d);
        input_moments_clear(&g, d);
        for (size_t call = 0; call < CALLS; call++)
            input_moments_add(&g, d, dx, de, kinds[k]);
        input_moments_flush(&g, d);
        assert_int_equal(device_end(d, NULL), QASR_OK);
        device_read(d, got, g.drift, NULL);
        device_read(d, triangle, g.triangle, NULL);
        device_read(d, squares, g.squares, NULL);
        for (size_t i = 0; i < ROWS; i++) {
            double w = CALLS * weight_of(i, kinds[k]);
            weight += w;
            weight_squares += w * weight_of(i, kinds[k]);
            for (size_t a = 0; a < COLS; a++)
                for (size_t b = 0; b < COLS; b++) {
                    drift[a][b] += w * ((double)exact[i][a] - (double)x[i][a]) * (double)x[i][b];
                    products[a][b] += w * (double)x[i][a] * (double)x[i][b];
                }
        }
        assert_float_equal(g.weight, weight, 1e-9);
        assert_float_equal(g.weight_squares, weight_squares, 1e-9);
        assert_int_equal(g.n_rows, CALLS * ROWS);
        for (size_t a = 0; a < COLS; a++) {
            assert_float_equal(squares[a], products[a][a], 1e-5 * weight);
            for (size_t b = 0; b < COLS; b++) {
                assert_float_equal(got[a][b], drift[a][b], 1e-5 * weight);
                if (b <= a)
                    assert_float_equal(triangle[a * (a + 1) / 2 + b], products[a][b], 1e-5 * weight);
            }
        }
    }
    device_mem_free(d, mem);
    device_mem_free(d, sums_mem);
    device_close(d);
}

/* ---- quantization ---- */

static qasr_quantize_options quantize_options(const char *name)
{
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    opt.input = MODEL_DIR;
    opt.output = scratch_path(name);
    opt.qtype = opt.encoder_qtype = "q4_0";
    opt.scope = "all";
    opt.calibration_audio = clips;
    opt.n_calibration_audio = 2;
    return opt;
}

static void quantize_fails(const qasr_quantize_options *opt, qasr_status status, const char *part)
{
    qasr_error err = { 0 };
    assert_int_equal(qasr_quantize(opt, NULL, &err), status);
    if (!strstr(err.message, part))
        fail_msg("'%s' does not contain '%s'", err.message, part);
    assert_int_equal(scratch_list(false), 0);
}

static int cancel_at(void *user, uint64_t done, uint64_t total, const char *what)
{
    assert_true(done <= total);
    return ++*(int *)user == 3; /* after the second clip */
}

static void what_cannot_be_done_leaves_no_file(void **state)
{
    int calls = 0;
    qasr_quantize_options opt = quantize_options("q.gguf");
    opt.on_progress = cancel_at;
    opt.user = &calls;
    quantize_fails(&opt, QASR_E_CANCELLED, "quantization was cancelled");
    assert_int_equal(calls, 3);
    opt = quantize_options("q.gguf");
    opt.calibration = "c.gguf";
    quantize_fails(&opt, QASR_E_INVALID, "pass only one");
    opt = quantize_options("q.gguf");
    const char *missing[] = { clips[0], "missing.wav" };
    opt.calibration_audio = missing;
    quantize_fails(&opt, QASR_E_IO, "missing.wav");
    opt = quantize_options("q.gguf");
    opt.qtype = opt.encoder_qtype = "bf16";
    quantize_fails(&opt, QASR_E_INVALID, "nothing to calibrate");
}

static void failing_allocations_are_errors(void **state)
{
    qasr_error err;
    qasr_quantize_options opt = quantize_options("q.gguf");
    opt.n_calibration_audio = 1;
    opt.n_threads = 1;
    size_t n = 0;
    qasr_status status = QASR_E_NOMEM;
    for (; status != QASR_OK; n += 1 + n / 4) { /* densely at first */
        assert_true(n < 100000);
        mem_fail_after(n);
        status = qasr_quantize(&opt, NULL, &err);
        mem_fail_after(SIZE_MAX);
        assert_true(status == QASR_OK || status == QASR_E_NOMEM);
        assert_int_equal(scratch_list(false), status == QASR_OK);
    }
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_two_versions),
        cmocka_unit_test_setup_teardown(exact_version_is_what_calibration_sees, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(rounded_version_is_the_model_of_the_rounded_weights, scratch_make,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(what_cannot_be_done_leaves_no_file, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(failing_allocations_are_errors, scratch_make, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
