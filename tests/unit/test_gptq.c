/* GPTQ: the factor reproduces the Hessian, the output error shrinks, results do not depend on other rows or threads,
 * Hessians that cannot be factored are damped, invalid ones are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "quantize/gptq.h"

enum { N = 512, N_ROWS = 24, N_INPUTS = 2000 };

static uint64_t seed = 7;

static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return ((double)(seed >> 33) + 0.5) * 0x1p-31;
}

static float gaussian(void) { return (float)(sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform())); }

/* Mean x x^T of inputs dominated by a few directions, like activations. */
static float *make_moments(size_t n)
{
    enum { RANK = 24 };
    float *direction = malloc(RANK * n * sizeof *direction), *x = malloc(n * sizeof *x), *h;
    assert_int_equal(MEM_CALLOC(&h, n * n, NULL), QASR_OK);
    for (size_t i = 0; i < RANK * n; i++)
        direction[i] = gaussian();
    for (size_t s = 0; s < N_INPUTS; s++) {
        for (size_t i = 0; i < n; i++)
            x[i] = 0.3f * gaussian();
        for (size_t d = 0; d < RANK; d++) {
            float size = gaussian() * 2 / (float)(1 + d);
            for (size_t i = 0; i < n; i++)
                x[i] += size * direction[d * n + i];
        }
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                h[i * n + j] += x[i] * x[j] / N_INPUTS;
    }
    free(x);
    free(direction);
    return h;
}

static float *copy_moments(const float *h, size_t n)
{
    float *copy;
    assert_int_equal(MEM_ALLOC(&copy, n * n, NULL), QASR_OK);
    memcpy(copy, h, n * n * sizeof *h);
    return copy;
}

/* Sum over rows of e H e^T, e = w - dequantized blocks. */
static double output_error(const void *blocks, quant_type type, const float *w, const float *h)
{
    const quant_info *q = quant_get(type);
    float *e = malloc(N * sizeof *e);
    double sum = 0;
    for (size_t r = 0; r < N_ROWS; r++) {
        q->dequantize(e, (const unsigned char *)blocks + r * quant_row_bytes(q, N), N);
        for (size_t i = 0; i < N; i++)
            e[i] = w[r * N + i] - e[i];
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++)
                sum += (double)e[i] * (double)h[i * N + j] * (double)e[j];
    }
    free(e);
    return sum;
}

static void compensate(void *blocks, const hessian *m, quant_type type, const float *w, size_t rows_at_a_time)
{
    float *scratch = malloc(gptq_scratch(N) * sizeof *scratch);
    size_t row_bytes = quant_row_bytes(quant_get(type), N);
    for (size_t r = 0; r < N_ROWS; r += rows_at_a_time)
        gptq_rows(m, (unsigned char *)blocks + r * row_bytes, type, w + r * N,
                  N_ROWS - r < rows_at_a_time ? N_ROWS - r : rows_at_a_time, scratch);
    free(scratch);
}

static void test_factor_gives_moments_back(void **state)
{
    const size_t sizes[] = { 1, 31, 64, 65, 200 };
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        float *h = make_moments(n);
        double mean = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)h[i * n + i] / (double)n;
        hessian m;
        assert_int_equal(hessian_create(&m, NULL, copy_moments(h, n), n, 0.01, "t", NULL), QASR_OK);
        assert_true(m.damping == 0.01);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++) {
                double sum = 0;
                for (size_t k = 0; k <= i; k++)
                    sum += (double)m.factor[k * n + i] * (double)m.factor[k * n + j];
                double expected = (double)h[i * n + j] + (i == j ? 0.01 * mean : 0);
                assert_true(fabs(sum - expected) < 1e-4 * mean);
            }
        hessian_free(&m);
        mem_free(h);
    }
}

/* x H x^T, with damping. */
static void test_energy(void **state)
{
    const size_t sizes[] = { 1, 31, 64, 65, 200 };
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        float *h = make_moments(n), *x = malloc(3 * n * sizeof *x);
        double mean = 0, expected = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)h[i * n + i] / (double)n;
        for (size_t i = 0; i < 3 * n; i++)
            x[i] = gaussian();
        for (size_t r = 0; r < 3; r++)
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++)
                    expected += (double)x[r * n + i] * ((double)h[i * n + j] + (i == j ? 0.1 * mean : 0)) *
                                (double)x[r * n + j];
        hessian m;
        assert_int_equal(hessian_create(&m, NULL, h, n, 0.1, "t", NULL), QASR_OK);
        assert_true(fabs(hessian_energy(&m, x, 3) - expected) < 1e-4 * expected);
        hessian_free(&m);
        free(x);
    }
}

/* The remaining output error, relative to that of the weighted search for scales alone. */
static void test_outputs_get_better(void **state)
{
    float *h = make_moments(N), *w = malloc(N_ROWS * N * sizeof *w), *importance = malloc(N * sizeof *importance);
    for (size_t i = 0; i < N_ROWS * N; i++)
        w[i] = 0.05f * gaussian();
    for (size_t i = 0; i < N; i++)
        importance[i] = h[i * N + i];
    hessian m;
    assert_int_equal(hessian_create(&m, NULL, copy_moments(h, N), N, 0.01, "t", NULL), QASR_OK);
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        if (q->block == 1)
            continue;
        size_t row_bytes = quant_row_bytes(q, N), bytes = N_ROWS * row_bytes;
        unsigned char *plain = malloc(bytes), *made = malloc(bytes), *again = malloc(bytes);
        for (size_t r = 0; r < N_ROWS; r++)
            q->quantize_weighted(plain + r * row_bytes, w + r * N, importance, N);
        compensate(made, &m, (quant_type)t, w, GPTQ_ROWS);
        compensate(again, &m, (quant_type)t, w, 5);
        assert_memory_equal(made, again, bytes);
        double before = output_error(plain, (quant_type)t, w, h), after = output_error(made, (quant_type)t, w, h);
        print_message("%s: output error %.3g, compensated %.3g of it\n", q->name, before, after / before);
        assert_true(after < 0.1 * before);
        free(again);
        free(made);
        free(plain);
    }
    hessian_free(&m);
    free(importance);
    free(w);
    mem_free(h);
}

/* The rounding error of a giant weight must not be moved to ordinary ones: every weight stays within its block's
 * largest magnitude of where it was, and a rounding error. */
static void test_giant_weights_stay_alone(void **state)
{
    float *h = make_moments(N), *w = malloc(N_ROWS * N * sizeof *w), *stored = malloc(N * sizeof *stored);
    hessian m;
    assert_int_equal(hessian_create(&m, NULL, h, N, 0.01, "t", NULL), QASR_OK);
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        if (q->block == 1)
            continue;
        size_t row_bytes = quant_row_bytes(q, N);
        unsigned char *blocks = malloc(N_ROWS * row_bytes);
        for (size_t i = 0; i < N_ROWS * N; i++)
            w[i] = 0.05f * gaussian();
        for (size_t r = 0; r < N_ROWS; r++)
            w[r * N + 37 * r % N] = q->largest * (r % 2 ? 0.9f : -1) / (float)(1 + r / 4);
        compensate(blocks, &m, (quant_type)t, w, GPTQ_ROWS);
        for (size_t r = 0; r < N_ROWS; r++) {
            q->dequantize(stored, blocks + r * row_bytes, N);
            for (size_t b = 0; b < N; b += q->block) {
                float largest = 0, worst = 0;
                for (size_t i = b; i < b + q->block; i++) {
                    largest = fmaxf(largest, fabsf(w[r * N + i]));
                    worst = fmaxf(worst, fabsf(stored[i] - w[r * N + i]));
                }
                if (!(worst < 1.3f * largest))
                    fail_msg("%s: row %zu, block at %zu of magnitude %g: error %g", q->name, r, b, largest, worst);
            }
        }
        free(blocks);
    }
    hessian_free(&m);
    free(stored), free(w);
}

/* The inputs y differ from x, the inputs of the exact matrix: stored rows must be near w + w C H^-1, so (stored - w)
 * H is near w C. */
static void test_drift_is_made_up_for(void **state)
{
    float *h = make_moments(N), *cross, *w = malloc(N_ROWS * N * sizeof *w), *stored = malloc(N * sizeof *stored);
    double mean = 0, wanted = 0, left = 0;
    assert_int_equal(MEM_ALLOC(&cross, N * N, NULL), QASR_OK);
    for (size_t i = 0; i < N_ROWS * N; i++)
        w[i] = 0.05f * gaussian();
    for (size_t i = 0; i < N; i++)
        mean += (double)h[i * N + i] / N;
    for (size_t i = 0; i < N; i++) /* x_i - y_i = 0.2 y_(i + 1): not a symmetric matrix */
        for (size_t j = 0; j < N; j++)
            cross[i * N + j] = 0.2f * h[(i + 1) % N * N + j];
    float *c = copy_moments(cross, N), *again = copy_moments(cross, N);
    hessian m, three;
    pool *p;
    assert_int_equal(pool_create(&p, 3, NULL), QASR_OK);
    assert_int_equal(hessian_create(&m, NULL, copy_moments(h, N), N, 0.01, "t", NULL), QASR_OK);
    assert_int_equal(hessian_create(&three, p, copy_moments(h, N), N, 0.01, "t", NULL), QASR_OK);
    hessian_set_drift(&m, NULL, cross);
    hessian_set_drift(&three, p, again);
    assert_memory_equal(m.drift, three.drift, N * N * sizeof *m.drift);
    const quant_info *q = quant_get(QUANT_Q8_0);
    unsigned char *blocks = malloc(N_ROWS * quant_row_bytes(q, N));
    compensate(blocks, &m, QUANT_Q8_0, w, GPTQ_ROWS);
    for (size_t r = 0; r < N_ROWS; r++) {
        q->dequantize(stored, blocks + r * quant_row_bytes(q, N), N);
        for (size_t j = 0; j < N; j++) {
            double change = 0.01 * mean * ((double)stored[j] - (double)w[r * N + j]), want = 0;
            for (size_t i = 0; i < N; i++) {
                change += ((double)stored[i] - (double)w[r * N + i]) * (double)h[i * N + j];
                want += (double)w[r * N + i] * (double)c[i * N + j];
            }
            wanted += want * want;
            left += (change - want) * (change - want);
        }
    }
    print_message("left of the drift: %.3g\n", left / wanted);
    assert_true(left < 1e-3 * wanted);
    hessian_free(&m);
    hessian_free(&three);
    pool_free(p);
    free(blocks), free(stored), free(w);
    mem_free(h), mem_free(c);
}

static void test_threads_change_nothing(void **state)
{
    float *h = make_moments(300);
    hessian one, three;
    pool *p;
    assert_int_equal(pool_create(&p, 3, NULL), QASR_OK);
    assert_int_equal(hessian_create(&one, NULL, copy_moments(h, 300), 300, 0.1, "t", NULL), QASR_OK);
    assert_int_equal(hessian_create(&three, p, h, 300, 0.1, "t", NULL), QASR_OK);
    assert_memory_equal(one.factor, three.factor, 300 * 300 * sizeof(float));
    hessian_free(&one);
    hessian_free(&three);
    pool_free(p);
}

static void test_degenerate_moments(void **state)
{
    enum { SMALL = 64 };
    float *zero, *single;
    hessian m;
    assert_int_equal(MEM_CALLOC(&zero, SMALL * SMALL, NULL), QASR_OK);
    assert_int_equal(hessian_create(&m, NULL, zero, SMALL, 0.1, "t", NULL), QASR_OK);
    for (size_t i = 0; i < SMALL; i++)
        for (size_t j = i; j < SMALL; j++)
            assert_true(m.factor[i * SMALL + j] == (i == j));
    hessian_free(&m);
    /* not what products of real inputs give: -1 beside two ones would need squares of at least 1 */
    assert_int_equal(MEM_CALLOC(&single, SMALL * SMALL, NULL), QASR_OK);
    for (size_t i = 0; i < SMALL; i++)
        single[i * SMALL + i] = 1;
    single[1] = single[SMALL] = -3;
    assert_int_equal(hessian_create(&m, NULL, single, SMALL, 0.01, "t", NULL), QASR_OK);
    assert_true(m.damping > 0.01 && isfinite(m.factor[0]));
    hessian_free(&m);
}

static void test_hostile_moments(void **state)
{
    const float bad[] = { -1, INFINITY, NAN };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        for (size_t at = 0; at < 2; at++) {
            float *h;
            hessian m;
            qasr_error err;
            assert_int_equal(MEM_CALLOC(&h, 4, NULL), QASR_OK);
            h[0] = h[3] = 1;
            h[at] = bad[i];
            if (at == 1 && bad[i] == -1) {
                mem_free(h);
                continue;
            }
            assert_int_equal(hessian_create(&m, NULL, h, 2, 0.1, "blk", &err), QASR_E_FORMAT);
            assert_non_null(strstr(err.message, "'blk'"));
            assert_null(m.factor);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factor_gives_moments_back), cmocka_unit_test(test_energy),
        cmocka_unit_test(test_outputs_get_better),        cmocka_unit_test(test_giant_weights_stay_alone),
        cmocka_unit_test(test_threads_change_nothing),    cmocka_unit_test(test_degenerate_moments),
        cmocka_unit_test(test_hostile_moments),           cmocka_unit_test(test_drift_is_made_up_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
