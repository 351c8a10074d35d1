/* Screened argmax against the full product: the same index whenever screening reports that it found one. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "device/cpu/cpu_weights.h"
#include "device/layout.h"
#include "device/registry.h"

enum { N = 5000, K = 256 };

static uint32_t seed;
static gemm_context g;
static float approx[N]; /* scratch */

static float next_random(void) /* roughly Gaussian */
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

/* Random rows [N, K]; the rows in ties are equal. */
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

/* A row plus noise. */
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
            assert_int_equal(argmax_screen_run(s, &g, x, approx, &got, &found, NULL), QASR_OK);
            if (found)
                assert_int_equal(got, want);
            n_found += found;
            if (i < 3) { /* three rows are equal: the first wins */
                assert_true(found);
                assert_int_equal(got, 77);
            }
            if (i < 20) {
                assert_true(found);
                assert_true(argmax_screen_would_help(&g, w, types[t], N, K, x, logits));
            }
        }
        assert_true(n_found >= 60);
        assert_true(n_found < 300); /* the last vectors are mostly noise */
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
    assert_int_equal(argmax_screen_run(s, &g, x, approx, &got, &found, NULL), QASR_OK);
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
        assert_int_equal(argmax_screen_run(s, &g, x, approx, &got, &found, NULL), QASR_OK);
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

/* A device handle that runs many argmax operations, before and after screening starts. */
enum { STEPS = 60 };
typedef struct runner {
    pthread_t thread;
    device *d;
    dmat w;
    const float *x; /* [STEPS, K] */
    int32_t found[STEPS];
    qasr_status status;
} runner;

static void *run_steps(void *arg)
{
    runner *r = arg;
    device_mem *mem;
    dmat x, logits, id;
    const dmat_part parts[] = { { &x, QUANT_F32, 1, K }, { &logits, QUANT_F32, 1, N }, { &id, DTYPE_I32, 1, 1 } };
    r->status = dmat_alloc(r->d, &mem, parts, ARRAY_LEN(parts), NULL);
    for (size_t i = 0; i < STEPS && r->status == QASR_OK; i++) {
        device_write(r->d, x, r->x + i * K, NULL);
        device_begin(r->d);
        op_linear_argmax(r->d, id, x, r->w, logits);
        r->status = device_end(r->d, NULL);
        device_read(r->d, &r->found[i], id, NULL);
    }
    device_mem_free(r->d, mem);
    device_close(r->d);
    return NULL;
}

/* Handles in separate threads share the weights and the screening copy, which outlives the first handle to close. */
static void handles_give_the_index_of_the_whole_product(void **state)
{
    float *values, *logits = malloc(N * sizeof *logits), *x = malloc(STEPS * K * sizeof *x);
    void *w = make_matrix(QUANT_BF16, &values, NULL, 0);
    device_weights *weights;
    runner r[3] = { { 0 } };
    file_map map = { .data = w, .size = N * quant_row_bytes(quant_get(QUANT_BF16), K) };
    for (size_t i = 0; i < STEPS; i++)
        make_vector(x + i * K, values + i * 31 * K, i % 4 == 3 ? 3.0f : 0.2f);
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        assert_int_equal(device_open(&r[i].d, "cpu", 1, DEVICE_FAST, NULL), QASR_OK);
        if (i == 0)
            assert_int_equal(device_weights_create(&weights, r[i].d, NULL), QASR_OK);
        assert_true(device_weights_fit(weights, r[i].d));
        assert_int_equal(device_weights_map(weights, &r[i].w, &map, w, QUANT_BF16, N, K, NULL), QASR_OK);
        r[i].x = x;
    }
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        assert_int_equal(pthread_create(&r[i].thread, NULL, run_steps, &r[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        pthread_join(r[i].thread, NULL);
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        assert_int_equal(r[i].status, QASR_OK);
        for (size_t k = 0; k < STEPS; k++)
            assert_int_equal(r[i].found[k], whole_argmax(w, QUANT_BF16, x + k * K, logits));
    }
    device_weights_free(weights);
    free(w), free(values), free(logits), free(x);
}

/* All share one copy until the last has released it; meanwhile another matrix of the file gets none. */
static void the_copy_is_shared(void **state)
{
    float *values;
    void *w = make_matrix(QUANT_BF16, &values, NULL, 0);
    device_weights *weights;
    dmat whole, half;
    file_map map = { .data = w, .size = N * quant_row_bytes(quant_get(QUANT_BF16), K) };
    assert_int_equal(cpu_weights_create(&weights, NULL, &g, NULL), QASR_OK);
    assert_int_equal(cpu_weights_map(weights, &whole, &map, w, QUANT_BF16, N, K, NULL), QASR_OK);
    half = dmat_rows(whole, N / 2, N / 2);
    const argmax_screen *first = cpu_screen_acquire(&whole, &g);
    assert_non_null(first);
    assert_ptr_equal(cpu_screen_acquire(&whole, &g), first);
    assert_null(cpu_screen_acquire(&half, &g));
    cpu_screen_release(whole.mem);
    assert_null(cpu_screen_acquire(&half, &g));
    cpu_screen_release(whole.mem);
    assert_non_null(cpu_screen_acquire(&half, &g));
    cpu_screen_release(half.mem);
    cpu_weights_free(weights);
    free(w), free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_is_that_of_the_whole_product),
        cmocka_unit_test(alike_rows_are_left_to_the_whole_product),
        cmocka_unit_test(damaged_rows_are_seen),
        cmocka_unit_test(small_types_need_no_screen),
        cmocka_unit_test(handles_give_the_index_of_the_whole_product),
        cmocka_unit_test(the_copy_is_shared),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
