/* Screened arg maxima against whole products: always the same index, wherever it says that it has found one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "device/cpu/argmax_screen.h"
#include "device/device.h"
#include "device/registry.h"

enum { N = 5000, K = 256 };

static uint32_t seed;
static gemm_context g;

static float next_random(void) /* about normal */
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        seed = seed * 1664525u + 1013904223u;
        sum += (float)(int32_t)seed / 2147483648.0f;
    }
    return sum;
}

static int set_up(void **state)
{
    pool *p;
    seed = 4711;
    assert_int_equal(pool_create(&p, 3, NULL), QASR_OK);
    assert_int_equal(gemm_context_init(&g, kernels_get(cpu_detect()), p, true, NULL), QASR_OK);
    return 0;
}

static int tear_down(void **state)
{
    pool *p = g.pool;
    gemm_context_free(&g);
    pool_free(p);
    return 0;
}

/* [N, K] random rows; those in ties[] are made equal. */
static void *make_matrix(quant_type type, float **values, const size_t *ties, size_t n_ties)
{
    float *x = malloc(N * K * sizeof *x);
    for (size_t i = 0; i < N * K; i++)
        x[i] = next_random();
    for (size_t i = 1; i < n_ties; i++)
        memcpy(x + ties[i] * K, x + ties[0] * K, K * sizeof *x);
    void *w = aligned_alloc(64, size_round_up(N * quant_row_bytes(quant_get(type), K), 64));
    quant_get(type)->quantize(w, x, N * K);
    *values = x;
    return w;
}

static int32_t whole_argmax(const void *w, quant_type type, const float *x, float *logits)
{
    gemm_part part = { .out = logits, .ld_out = N, .n = N, .w = w, .type = type };
    assert_int_equal(gemm_run(&g, &(gemm_input){ .x = x, .ld = K, .m = 1, .k = K }, &part, 1, NULL), QASR_OK);
    for (size_t r = 0; r < N; r++)
        if (!isfinite(logits[r]))
            return -1;
    return (int32_t)g.k->argmax(logits, N);
}

/* A vector that is near a row: noise against the row's own length. */
static void make_vector(float x[K], const float *row, float noise)
{
    for (size_t i = 0; i < K; i++)
        x[i] = row[i] + noise * next_random();
}

static void index_is_that_of_the_whole_product(void **state)
{
    static const quant_type types[] = { QUANT_BF16, QUANT_F16, QUANT_F32 };
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        float *values, x[K], *logits = malloc(N * sizeof *logits);
        void *w = make_matrix(types[t], &values, (const size_t[]){ 4000, 77, 78 }, 3);
        argmax_screen *s = NULL;
        assert_true(argmax_screen_is_smaller(types[t]));
        assert_int_equal(argmax_screen_create(&s, &g, NULL, w, types[t], N, K, NULL), QASR_OK);
        size_t n_found = 0;
        for (size_t i = 0; i < 300; i++) {
            size_t near = i < 3 ? 78 : (size_t)seed % N;
            make_vector(x, values + near * K, 0.01f * (float)i);
            int32_t want = whole_argmax(w, types[t], x, logits), got = -2;
            bool found;
            assert_int_equal(argmax_screen_run(s, &g, x, &got, &found, NULL), QASR_OK);
            if (found)
                assert_int_equal(got, want);
            n_found += found;
            if (i < 3) { /* three rows are the same: the first one wins */
                assert_true(found);
                assert_int_equal(got, 77);
            }
            if (i < 20) {
                assert_true(found);
                assert_true(argmax_screen_would_help(&g, w, types[t], N, K, x, logits));
            }
        }
        assert_true(n_found >= 60);
        assert_true(n_found < 300); /* the last ones are more noise than row */
        argmax_screen_free(s);
        free(w), free(values), free(logits);
    }
}

static void alike_rows_are_left_to_the_whole_product(void **state)
{
    float *values, x[K], *logits = malloc(N * sizeof *logits);
    void *w = make_matrix(QUANT_BF16, &values, NULL, 0);
    argmax_screen *s = NULL;
    assert_int_equal(argmax_screen_create(&s, &g, NULL, w, QUANT_BF16, N, K, NULL), QASR_OK);
    for (size_t i = 0; i < K; i++)
        x[i] = next_random();
    int32_t got = -2;
    bool found = true;
    assert_int_equal(argmax_screen_run(s, &g, x, &got, &found, NULL), QASR_OK);
    assert_false(found);
    assert_int_equal(got, -2);
    whole_argmax(w, QUANT_BF16, x, logits);
    assert_false(argmax_screen_would_help(&g, w, QUANT_BF16, N, K, x, logits));
    argmax_screen_free(s);
    free(w), free(values), free(logits);
}

static void damaged_rows_are_seen(void **state)
{
    static const uint16_t damage[] = { 0x7fc0, 0x7f80, 0xff80 }; /* NaN and infinities */
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        float *values, x[K];
        uint16_t *w = make_matrix(QUANT_BF16, &values, NULL, 0);
        argmax_screen *s = NULL;
        w[3000 * K + 17] = damage[i];
        assert_int_equal(argmax_screen_create(&s, &g, NULL, w, QUANT_BF16, N, K, NULL), QASR_OK);
        make_vector(x, values + 5 * K, 0.1f);
        int32_t got = -2;
        bool found;
        assert_int_equal(argmax_screen_run(s, &g, x, &got, &found, NULL), QASR_OK);
        assert_true(found);
        assert_int_equal(got, -1);
        argmax_screen_free(s);
        free(w), free(values);
    }
}

static void small_types_need_no_screen(void **state)
{
    assert_false(argmax_screen_is_smaller(QUANT_Q8_0));
    assert_false(argmax_screen_is_smaller(QUANT_Q4_0));
    assert_false(argmax_screen_is_smaller(QUANT_Q4_K));
    assert_false(argmax_screen_is_smaller(QUANT_Q5_0));
}

/* Through the device: every step of a long run of arg maxima, before and after it begins to screen. */
static void operation_gives_the_same_index(void **state)
{
    enum { STEPS = 60 };
    float *values, *logits = malloc(N * sizeof *logits), x[K];
    void *w = make_matrix(QUANT_BF16, &values, NULL, 0);
    device *d;
    device_mem *mem;
    dmat mw;
    file_map map = { .data = w, .size = N * quant_row_bytes(quant_get(QUANT_BF16), K) };
    assert_int_equal(device_open(&d, "cpu", 2, DEVICE_FAST, NULL), QASR_OK);
    assert_int_equal(device_map_weight(d, &mw, &map, w, QUANT_BF16, N, K, NULL), QASR_OK);
    assert_int_equal(device_alloc(d, &mem, (K + N + 64) * sizeof(float), NULL), QASR_OK);
    dmat mx = dmat_make(mem, 0, QUANT_F32, 1, K), scratch = dmat_make(mem, K * sizeof(float), QUANT_F32, 1, N);
    dmat id = dmat_make(mem, (K + N) * sizeof(float), DTYPE_I32, 1, 1);
    for (size_t i = 0; i < STEPS; i++) {
        int32_t got;
        make_vector(x, values + i * 31 * K, i % 4 == 3 ? 3.0f : 0.2f);
        assert_int_equal(device_write(d, mx, x, NULL), QASR_OK);
        device_begin(d);
        op_linear_argmax(d, id, mx, mw, scratch);
        assert_int_equal(device_end(d, NULL), QASR_OK);
        assert_int_equal(device_read(d, &got, id, NULL), QASR_OK);
        assert_int_equal(got, whole_argmax(w, QUANT_BF16, x, logits));
    }
    device_mem_free(d, mem);
    device_close(d);
    free(w), free(values), free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_is_that_of_the_whole_product),
        cmocka_unit_test(alike_rows_are_left_to_the_whole_product),
        cmocka_unit_test(damaged_rows_are_seen),
        cmocka_unit_test(small_types_need_no_screen),
        cmocka_unit_test(operation_gives_the_same_index),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
