/* Every operation on a ggml device against the CPU device in float32: same inputs, results within the tolerance of
 * the device's arithmetic (docs/numerics.md). Argument: the device; skipped on machines without it. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/mem.h"
#include "device/device.h"
#include "device/registry.h"
#include "qasr/qasr.h"

static const char *device_name;
static uint32_t seed;

static float next_random(void) /* -1 .. 1 */
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed / 2147483648.0f;
}

static float *random_host(size_t n, float scale)
{
    float *x = malloc((n ? n : 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = scale * next_random();
    return x;
}

/* ---- a case on one device ----------------------------------------------------------------------------- */

enum { MAX_BLOCKS = 96, MAX_VALUES = 1 << 20 };

/* The device that a case runs on, its allocations and results. */
typedef struct bench {
    device *d;
    device_weights *weights;
    device_mem *blocks[MAX_BLOCKS];
    size_t n_blocks;
    void *kept[MAX_BLOCKS]; /* host memory of the weights */
    size_t n_kept;
    float *found; /* [n_found] */
    size_t n_found;
} bench;

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

static dmat new_mat(bench *b, dtype type, size_t rows, size_t cols, const void *host)
{
    qasr_error err;
    assert_true(b->n_blocks < MAX_BLOCKS);
    must(device_alloc(b->d, &b->blocks[b->n_blocks], rows * dmat_row_bytes(type, cols) + 64, &err), &err);
    dmat m = dmat_make(b->blocks[b->n_blocks++], 0, type, rows, cols);
    if (host)
        must(device_write(b->d, m, host, &err), &err);
    return m;
}

static dmat random_mat(bench *b, size_t rows, size_t cols, float scale)
{
    float *x = random_host(rows * cols, scale);
    dmat m = new_mat(b, QUANT_F32, rows, cols, x);
    free(x);
    return m;
}

/* A matrix of cols columns inside a wider one. */
static dmat strided_mat(bench *b, size_t rows, size_t cols)
{
    float *x = random_host(rows * cols, 1);
    dmat m = new_mat(b, QUANT_F32, rows, cols + 32, NULL);
    m.cols = cols;
    assert_int_equal(device_write(b->d, m, x, NULL), QASR_OK);
    free(x);
    return m;
}

static dmat new_ints(bench *b, const int32_t *values, size_t n) { return new_mat(b, DTYPE_I32, n, 1, values); }

/* A weight in host memory, mapped as from a file. */
static dmat new_weight(bench *b, quant_type type, size_t rows, size_t cols)
{
    qasr_error err;
    dmat m;
    size_t bytes = dmat_row_bytes(type, cols);
    unsigned char *stored = malloc(rows * bytes);
    float *x = random_host(cols, 0.5f);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < cols; i++)
            x[i] = 0.5f * next_random();
        quant_get(type)->quantize(stored + r * bytes, x, cols);
    }
    free(x);
    assert_true(b->n_kept < MAX_BLOCKS);
    b->kept[b->n_kept++] = stored;
    const file_map map = { stored, rows * bytes };
    must(device_weights_map(b->weights, &m, &map, stored, type, rows, cols, &err), &err);
    return m;
}

static void finish(bench *b)
{
    qasr_error err;
    must(device_end(b->d, &err), &err);
}

/* Appends a matrix to the results of the case. */
static void keep(bench *b, dmat m)
{
    assert_true(b->n_found + m.rows * m.cols <= MAX_VALUES);
    assert_int_equal(device_read(b->d, b->found + b->n_found, m, NULL), QASR_OK);
    if (m.type == DTYPE_I32)
        for (size_t i = 0; i < m.rows; i++) {
            int32_t id;
            memcpy(&id, &b->found[b->n_found + i], sizeof id);
            b->found[b->n_found + i] = (float)id;
        }
    b->n_found += m.rows * m.cols;
}

/* ---- comparison of both devices ------------------------------------------------------------------------ */

typedef void (*case_fn)(bench *b, const void *arg);

static void run_on(bench *b, const char *name, case_fn fn, const void *arg)
{
    qasr_error err;
    must(device_open(&b->d, name, 2, DEVICE_EXACT, &err), &err);
    must(device_weights_create(&b->weights, b->d, &err), &err);
    b->found = malloc(MAX_VALUES * sizeof *b->found);
    seed = 12345;
    fn(b, arg);
    while (b->n_blocks)
        device_mem_free(b->d, b->blocks[--b->n_blocks]);
    device_close(b->d);
    device_weights_free(b->weights);
    while (b->n_kept)
        free(b->kept[--b->n_kept]);
}

/* No value may differ by more than tolerance times the largest magnitude. */
static void compare(case_fn fn, const void *arg, double tolerance, const char *what)
{
    bench cpu = { 0 }, other = { 0 };
    run_on(&cpu, "cpu", fn, arg);
    run_on(&other, device_name, fn, arg);
    double size = 0, worst = 0;
    assert_true(cpu.n_found > 0 && cpu.n_found == other.n_found);
    for (size_t i = 0; i < cpu.n_found; i++) {
        double difference = fabs((double)cpu.found[i] - (double)other.found[i]);
        size = fmax(size, fabs((double)cpu.found[i]));
        worst = difference > worst || isnan(difference) ? difference : worst;
    }
    if (!(worst <= tolerance * size))
        fail_msg("%s: differs by %g of %g, tolerance %g", what, worst, size, tolerance);
    free(cpu.found), free(other.found);
}

/* Backends may round activations to 8 bits with quantized weights, and to 16 bits with others. */
static double product_tolerance(quant_type t) { return t == QUANT_F32 ? 1e-3 : t <= QUANT_BF16 ? 8e-3 : 3e-2; }

/* Keys, values and attention weights in 16 bits. */
static const double attention_tolerance = 4e-3;

typedef struct product_case {
    quant_type type, up;
    size_t m, n, k;
    activation act;
    bool bias, accumulate, strided;
    int norm; /* 0: none, 1: RMS, 2: layer */
} product_case;

static void run_product(bench *b, const void *arg)
{
    const product_case *c = arg;
    dmat x = c->strided ? strided_mat(b, c->m, c->k) : random_mat(b, c->m, c->k, 1);
    row_norm norm = { 0 };
    if (c->norm)
        norm = (row_norm){ random_mat(b, 1, c->k, 1), c->norm == 2 ? random_mat(b, 1, c->k, 1) : (dmat){ 0 }, 1e-5f };
    linear_part parts[2] = { { .out = random_mat(b, c->m, c->n, 1),
                               .w = new_weight(b, c->type, c->n, c->k),
                               .act = c->act,
                               .accumulate = c->accumulate },
                             { .out = random_mat(b, c->m, c->n + 3, 1), .w = new_weight(b, c->type, c->n + 3, c->k) } };
    if (c->bias)
        parts[0].bias = random_mat(b, 1, c->n, 1);
    if (c->act == ACT_SWIGLU)
        parts[0].up = new_weight(b, c->up, c->n, c->k);
    device_begin(b->d);
    op_norm_linear(b->d, x, c->norm ? &norm : NULL, parts, 2, false);
    finish(b);
    keep(b, parts[0].out);
    keep(b, parts[1].out);
}

static void products_match_for_every_type(void **state)
{
    static const size_t rows[] = { 1, 5, 40 };
    for (quant_type type = 0; type < QUANT_TYPE_COUNT; type++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            product_case plain = { type, type, rows[i], 70, 512, ACT_NONE, i == 1, i == 2, false, 0 };
            product_case gelu = { type, type, rows[i], 64, 256, ACT_GELU, true, false, i == 1, 2 };
            product_case gated = { type, QUANT_Q8_0, rows[i], 96, 256, ACT_SWIGLU, false, false, false, 1 };
            compare(run_product, &plain, product_tolerance(type), quant_get(type)->name);
            compare(run_product, &gelu, product_tolerance(type), quant_get(type)->name);
            compare(run_product, &gated, 3e-2, quant_get(type)->name);
        }
}

static void run_embed(bench *b, const void *arg)
{
    static const int32_t ids[] = { 3, 0, 99, 3, 50 };
    dmat table = new_weight(b, *(const quant_type *)arg, 100, 512), out = random_mat(b, 5, 512, 1);
    dmat list = new_ints(b, ids, 5);
    device_begin(b->d);
    op_embed(b->d, out, table, list);
    finish(b);
    keep(b, out);
}

/* A lookup involves no arithmetic. */
static void embeddings_match_for_every_type(void **state)
{
    for (quant_type t = 0; t < QUANT_TYPE_COUNT; t++) {
        compare(run_embed, &t, t == QUANT_Q6_K || t == QUANT_Q4_K || t == QUANT_Q5_K ? 1e-3 : 1e-6, quant_get(t)->name);
    }
}

static void run_rows(bench *b, const void *arg)
{
    dmat x = random_mat(b, 29, 64, 3), y = random_mat(b, 29, 64, 1), w = random_mat(b, 1, 64, 1),
         bias = random_mat(b, 1, 64, 1);
    dmat table = random_mat(b, 13, 64, 1), short_table = random_mat(b, 40, 64, 1), z = random_mat(b, 29, 64, 1);
    device_begin(b->d);
    op_rms_norm(b->d, y, x, w, 1e-6f);
    op_layer_norm(b->d, x, x, w, bias, 1e-5f); /* in place */
    op_add_cyclic(b->d, x, table);
    op_add_cyclic(b->d, y, short_table);
    op_copy(b->d, dmat_rows(z, 3, 7), dmat_rows(x, 20, 7));
    finish(b);
    keep(b, x);
    keep(b, y);
    keep(b, z);
}

static void row_operations_match(void **state) { compare(run_rows, NULL, 1e-5, "rows"); }

static void run_conv(bench *b, const void *arg)
{
    const conv_shape *s = arg;
    size_t ho = (s->height + 1) / 2, wo = (s->width + 1) / 2;
    dmat w = new_weight(b, QUANT_BF16, s->c_out, 9 * s->c_in),
         shape = device_conv_packed(b->d, QUANT_BF16, s->c_out, s->c_in);
    dmat packed = new_mat(b, shape.type, 1, shape.cols, NULL),
         x = random_mat(b, s->n_images * s->height * s->width, s->c_in, 1);
    dmat out = new_mat(b, QUANT_F32, s->n_images * ho * wo, s->c_out, NULL), bias = random_mat(b, 1, s->c_out, 1);
    dmat rows = new_mat(b, QUANT_F32, s->n_images * wo, s->c_out * ho, NULL);
    device_begin(b->d);
    op_conv_pack(b->d, packed, w, s->c_in);
    op_conv2d_gelu(b->d, out, x, packed, bias, *s);
    op_conv_to_rows(b->d, rows, out, (conv_shape){ s->n_images, ho, wo, s->c_out, s->c_out });
    finish(b);
    keep(b, out);
    keep(b, rows);
}

static void convolutions_match(void **state)
{
    static const conv_shape shapes[] = {
        { 2, 16, 13, 1, 40 }, { 1, 128, 100, 1, 16 }, { 3, 9, 25, 40, 70 }, { 1, 1, 1, 33, 1 }
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        compare(run_conv, &shapes[i], 2e-3, "convolution");
}

typedef struct window_case {
    size_t n, window, head_dim;
} window_case;

static void run_windows(bench *b, const void *arg)
{
    const window_case *c = arg;
    size_t d = 3 * c->head_dim;
    dmat q = random_mat(b, c->n, d, 2), k = random_mat(b, c->n, d, 2), v = random_mat(b, c->n, d, 1),
         out = random_mat(b, c->n, d, 1);
    device_begin(b->d);
    op_attention_windows(b->d, out, q, k, v, (attn_heads){ 3, 3, c->head_dim, 0.125f }, c->window);
    finish(b);
    keep(b, out);
}

static void window_attention_matches(void **state)
{
    static const window_case cases[] = {
        { 130, 104, 64 }, { 104, 104, 64 }, { 7, 104, 64 }, { 150, 150, 64 }, { 33, 10, 64 }, { 61, 20, 48 }
    }; /* 48: a head size that few kernels support */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char what[64];
        snprintf(what, sizeof what, "%zu rows in windows of %zu, heads of %zu", cases[i].n, cases[i].window,
                 cases[i].head_dim);
        compare(run_windows, &cases[i], attention_tolerance, what);
    }
}

/* Operations that a backend lacks are composed from others or done on the host. Pretends that it lacks the named
 * ones. */
static void avoiding(const char *words) { assert_int_equal(setenv("QASR_GGML_AVOID", words, 1), 0); }

/* Angles for both devices: a table for the CPU, theta for ggml. */
static qk_rope new_rope(bench *b, size_t n_positions, size_t hd)
{
    const double theta = 1e6;
    float *rope = malloc(n_positions * hd * sizeof *rope);
    for (size_t p = 0; p < n_positions; p++)
        for (size_t i = 0; i < hd / 2; i++) {
            float angle = (float)p * (float)(1 / pow(theta, 2.0 * (double)i / (double)hd));
            rope[p * hd + i] = cosf(angle);
            rope[p * hd + hd / 2 + i] = sinf(angle);
        }
    qk_rope t = { random_mat(b, 1, hd, 2), random_mat(b, 1, hd, 2), new_mat(b, QUANT_F32, n_positions, hd, rope), 1e-6f,
                  theta };
    free(rope);
    return t;
}

enum { HEADS = 4, KV = 2, HD = 128, CAPACITY = 576 };

/* A prompt in two blocks, then single tokens, also across the multiple of positions that a graph is built for. */
static void run_cached(bench *b, const void *arg)
{
    enum { N = 300 };
    static const size_t ends[] = { 70, 250, 251, 252, 253, 254, 255, 256, 257, 258 };
    quant_type type = *(const quant_type *)arg;
    qk_rope rope = new_rope(b, N, HD);
    dmat q = random_mat(b, N, HEADS * HD, 1), k = random_mat(b, N, KV * HD, 1), v = random_mat(b, N, KV * HD, 1);
    dmat out = random_mat(b, N, HEADS * HD, 1), x = new_mat(b, QUANT_F32, N, HEADS * HD, NULL);
    dmat kc = new_mat(b, type, KV * CAPACITY, HD, NULL), vc = new_mat(b, type, KV * CAPACITY, HD, NULL);
    dmat pos = new_mat(b, DTYPE_I32, N, 1, NULL);
    int32_t at[N];
    for (size_t s = 0, first = 0; s < ARRAY_LEN(ends); first = ends[s++]) {
        size_t n = ends[s] - first;
        for (size_t i = 0; i < n; i++)
            at[i] = (int32_t)(first + i);
        assert_int_equal(device_write(b->d, dmat_rows(pos, 0, n), at, NULL), QASR_OK);
        /* reuses the same memory, as in decoding */
        dmat now = dmat_rows(x, 0, n), kn = dmat_rows(k, 0, n), vn = dmat_rows(v, 0, n);
        kv_view kv = { &kc, &vc, 1, .pos = dmat_rows(pos, 0, n) };
        device_begin(b->d);
        op_copy(b->d, now, dmat_rows(q, first, n));
        op_rope_and_cache(b->d, now, kn, vn, &rope, &kv);
        op_attention_cached(b->d, dmat_rows(out, 0, n), now, &kv, (attn_heads){ HEADS, KV, HD, 0.088388f }, ends[s]);
        finish(b);
        keep(b, dmat_rows(out, 0, n));
        keep(b, now);
    }
}

static void cached_attention_matches(void **state)
{
    static const quant_type types[] = { QUANT_F32, QUANT_F16, QUANT_Q8_0 };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        compare(run_cached, &types[i], types[i] == QUANT_Q8_0 ? 1e-2 : attention_tolerance, quant_get(types[i])->name);
}

static void attention_is_composed_where_it_is_missing(void **state)
{
    const quant_type types[] = { QUANT_F32, QUANT_F16, QUANT_Q8_0 };
    const window_case windows = { 130, 52, 64 };
    avoiding("FLASH_ATTN_EXT");
    compare(run_windows, &windows, attention_tolerance, "windows");
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        compare(run_cached, &types[i], types[i] == QUANT_Q8_0 ? 1e-2 : attention_tolerance, quant_get(types[i])->name);
    avoiding("");
}

static void types_are_converted_and_rows_looked_up_where_that_is_missing(void **state)
{
    quant_type type = QUANT_Q4_0;
    product_case c = { type, type, 5, 70, 512, ACT_NONE, true, false, false, 0 };
    avoiding("GET_ROWS");
    compare(run_embed, &type, 1e-6, "embedding by the host");
    avoiding("get_rows,q4_0");
    compare(run_product, &c, 8e-3, "q4_0 as f16");
    avoiding("q4_0,f16");
    compare(run_product, &c, 1e-3, "q4_0 as f32");
    compare(run_embed, &type, 1e-6, "embedding as f32");
    avoiding("");
}

static void an_operation_that_is_missing_is_named(void **state)
{
    bench b = { 0 };
    qasr_error err;
    must(device_open(&b.d, device_name, 1, DEVICE_FAST, &err), &err);
    dmat x = random_mat(&b, 3, 8, 1), w = random_mat(&b, 1, 8, 1);
    avoiding("RMS_NORM");
    device_begin(b.d);
    op_rms_norm(b.d, x, x, w, 1e-6f);
    assert_int_equal(device_end(b.d, &err), QASR_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "RMS_NORM"));
    avoiding("");
    device_begin(b.d); /* the failure is over */
    op_rms_norm(b.d, x, x, w, 1e-6f);
    must(device_end(b.d, &err), &err);
    while (b.n_blocks)
        device_mem_free(b.d, b.blocks[--b.n_blocks]);
    device_close(b.d);
}

enum { SLOTS = 5, STEPS = 4, SLOT_POSITIONS = 200 };

static dmat random_cache(bench *b, quant_type type, size_t rows)
{
    float *values = random_host(rows * HD, 1);
    unsigned char *stored = malloc(rows * HD * sizeof(float));
    for (size_t r = 0; r < rows; r++)
        quant_get(type)->quantize(stored + r * dmat_row_bytes(type, HD), values + r * HD, HD);
    dmat m = new_mat(b, type, rows, HD, stored);
    free(values), free(stored);
    return m;
}

typedef struct slots_case {
    quant_type type;
    bool together;                  /* the caches are consecutive parts of one block */
    int32_t rows[STEPS][SLOTS + 1]; /* slots of a step, -1 after the last */
} slots_case;

static void run_slots(bench *b, const void *arg)
{
    static const int32_t begin[SLOTS] = { 0, 5, 130, 64, 190 };
    const slots_case *c = arg;
    quant_type type = c->type;
    dmat kc[SLOTS], vc[SLOTS];
    size_t each = KV * (SLOT_POSITIONS + 60);
    dmat all = c->together ? random_cache(b, type, 2 * SLOTS * each) : (dmat){ 0 };
    for (size_t i = 0; i < SLOTS; i++) {
        size_t rows = KV * (size_t)(begin[i] + STEPS + 60);
        kc[i] = c->together ? dmat_rows(all, 2 * i * each, each) : random_cache(b, type, rows);
        vc[i] = c->together ? dmat_rows(all, (2 * i + 1) * each, each) : random_cache(b, type, rows);
    }
    qk_rope rope = new_rope(b, SLOT_POSITIONS, HD);
    dmat q = random_mat(b, SLOTS, HEADS * HD, 2), k = random_mat(b, SLOTS, KV * HD, 1),
         out = random_mat(b, SLOTS, HEADS * HD, 1);
    dmat pos = new_mat(b, DTYPE_I32, SLOTS, 1, NULL), slot = new_mat(b, DTYPE_I32, SLOTS, 1, NULL);
    attn_heads heads = { HEADS, KV, HD, 0.088388f };
    for (size_t s = 0; s < STEPS; s++) {
        size_t n = 0;
        int32_t positions[SLOTS];
        for (; c->rows[s][n] >= 0; n++)
            positions[n] = begin[c->rows[s][n]] + (int32_t)s;
        dmat ns = dmat_rows(slot, 0, n), np = dmat_rows(pos, 0, n), nq = dmat_rows(q, 0, n), nk = dmat_rows(k, 0, n);
        assert_int_equal(device_write(b->d, ns, c->rows[s], NULL), QASR_OK);
        assert_int_equal(device_write(b->d, np, positions, NULL), QASR_OK);
        device_begin(b->d);
        kv_view kv = { kc, vc, SLOTS, ns, np };
        op_rope_and_cache(b->d, nq, nk, nk, &rope, &kv);
        op_attention_cached(b->d, dmat_rows(out, 0, n), nq, &kv, heads, SLOT_POSITIONS);
        finish(b);
        keep(b, dmat_rows(out, 0, n));
    }
}

static void slots_attend_to_their_own_caches(void **state)
{
    static const quant_type types[] = { QUANT_F32, QUANT_F16, QUANT_Q8_0 };
    slots_case c = { .rows = { { 0, 2, 4, 1, 3, -1 }, { 1, -1 }, { 2, 4, 1, -1 }, { 0, 1, 3, 4, -1 } } };
    for (size_t i = 0; i < 2 * ARRAY_LEN(types); i++) {
        c.type = types[i / 2];
        c.together = i % 2;
        compare(run_slots, &c, c.type == QUANT_Q8_0 ? 1e-2 : attention_tolerance, quant_get(c.type)->name);
    }
}

/* Slots per step: all, two contiguous runs, one, several out of order. */
static void caches_of_one_block_are_taken_together(void **state)
{
    static const quant_type types[] = { QUANT_F32, QUANT_F16, QUANT_Q8_0 };
    static const char *const without[] = { "", "FLASH_ATTN_EXT" };
    slots_case c = { .together = true,
                     .rows = { { 0, 1, 2, 3, 4, -1 }, { 0, 1, 3, 4, -1 }, { 2, -1 }, { 4, 3, 0, 2, -1 } } };
    for (size_t i = 0; i < 2 * ARRAY_LEN(types); i++) {
        c.type = types[i / 2];
        avoiding(without[i % 2]);
        compare(run_slots, &c, c.type == QUANT_Q8_0 ? 1e-2 : attention_tolerance, quant_get(c.type)->name);
    }
    avoiding("");
}

static void run_argmax(bench *b, const void *arg)
{
    enum { ROWS = 1536 }; /* processed in several parts */
    dmat x = random_mat(b, 6, 256, 1), w = new_weight(b, QUANT_Q8_0, ROWS, 256), scratch = random_mat(b, 6, ROWS, 1);
    float *long_rows = random_host(8 * ROWS, 1);
    for (size_t i = 0; i < 5; i++)
        long_rows[i * ROWS + 300 * i] = 99;
    if (*(const bool *)arg) /* between parts with equal maxima the first wins; within a part backends differ */
        long_rows[ROWS - 1] = long_rows[256 * 3] = 99;
    long_rows[5 * ROWS + 700] = NAN, long_rows[6 * ROWS] = -INFINITY, long_rows[8 * ROWS - 1] = INFINITY;
    dmat many = new_mat(b, QUANT_F32, 8, ROWS, long_rows), of_many = new_mat(b, DTYPE_I32, 8, 1, NULL);
    free(long_rows);
    dmat best = new_mat(b, DTYPE_I32, 6, 1, NULL), given = new_mat(b, DTYPE_I32, 4, 1, NULL);
    float rows[4][3] = { { NAN, NAN, NAN }, { 1, INFINITY, 2 }, { 1, 3, 2 }, { 4, -INFINITY, NAN } };
    dmat bad = new_mat(b, QUANT_F32, 4, 3, rows);
    device_begin(b->d);
    op_linear_argmax(b->d, best, x, w, scratch);
    op_argmax(b->d, given, bad);
    op_argmax(b->d, of_many, many);
    finish(b);
    keep(b, of_many);
    keep(b, best);
    keep(b, given);
}

static void arg_max_matches_and_reports_what_is_not_finite(void **state)
{
    compare(run_argmax, &(bool){ true }, 0, "arg max");
    avoiding("GET_ROWS");
    compare(run_argmax, &(bool){ false }, 0, "arg max of whole rows");
    avoiding("");
}

/* A reused graph sees current values; freed memory that was allocated again is not mistaken for the old block. */
static void run_again(bench *b, const void *arg)
{
    for (int round = 0; round < 3; round++) {
        dmat x = random_mat(b, 8, 64, 1), w = random_mat(b, 1, 64, 1), y = random_mat(b, 8, 64, 1);
        for (int run = 0; run < 3; run++) {
            float *fresh = random_host(8 * 64, 2);
            assert_int_equal(device_write(b->d, x, fresh, NULL), QASR_OK);
            free(fresh);
            device_begin(b->d);
            op_rms_norm(b->d, y, x, w, 1e-6f);
            op_copy(b->d, x, y);
            finish(b);
            keep(b, x);
        }
        while (b->n_blocks)
            device_mem_free(b->d, b->blocks[--b->n_blocks]);
    }
}

static void graphs_are_used_again_and_forgotten(void **state) { compare(run_again, NULL, 1e-5, "again"); }

/* More kinds of recordings than graphs are cached, of growing size, so that temporaries move. */
static void run_many(bench *b, const void *arg)
{
    dmat w = new_weight(b, QUANT_F32, 64, 128), x = random_mat(b, 60, 128, 1), out = random_mat(b, 60, 64, 1);
    row_norm norm = { random_mat(b, 1, 128, 1), { 0 }, 1e-5f };
    for (int round = 0; round < 2; round++)
        for (size_t m = 1; m <= 60; m += 2) {
            device_begin(b->d);
            op_norm_linear(b->d, dmat_rows(x, 0, m), &norm,
                           &(linear_part){ .out = dmat_rows(out, 0, m), .w = w, .accumulate = true }, 1, false);
            finish(b);
            keep(b, dmat_rows(out, 0, m));
        }
}

static void old_graphs_make_room(void **state) { compare(run_many, NULL, 2e-3, "many"); }

static void statistics_are_refused_in_words(void **state)
{
    bench b = { 0 };
    qasr_error err;
    must(device_open(&b.d, device_name, 1, DEVICE_FAST, &err), &err);
    dmat sums = random_mat(&b, 1, 8, 1), x = random_mat(&b, 3, 8, 1);
    device_begin(b.d);
    op_add_squares(b.d, sums, x);
    assert_int_equal(device_end(b.d, &err), QASR_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "use the CPU"));
    device_begin(b.d); /* the failure is over */
    op_copy(b.d, dmat_rows(x, 0, 1), sums);
    assert_int_equal(device_end(b.d, &err), QASR_OK);
    while (b.n_blocks)
        device_mem_free(b.d, b.blocks[--b.n_blocks]);
    device_close(b.d);
}

static void memory_is_counted(void **state)
{
    bench b = { 0 };
    qasr_error err;
    must(device_open(&b.d, device_name, 1, DEVICE_FAST, &err), &err);
    uint64_t before = device_memory(b.d);
    device_mem *mem;
    must(device_alloc(b.d, &mem, 1 << 20, &err), &err);
    assert_true(device_memory(b.d) >= before + (1 << 20));
    device_mem_free(b.d, mem);
    assert_true(device_memory(b.d) >= before + (1 << 20)); /* the peak */
    device_close(b.d);
}

/* ---- sessions ----------------------------------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    qasr_session *s;
    const float *pcm;
    size_t n_samples;
    qasr_result *result;
    qasr_status status;
    qasr_error err;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    w->status = qasr_transcribe(&w->result, w->s, w->pcm, w->n_samples, NULL, &w->err);
    return NULL;
}

/* Two sessions of a model in two threads: the second shares the weights of the first and outlives it. */
static void sessions_share_the_weights(void **state)
{
    qasr_error err;
    qasr_model *model;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    so.device = device_name;
    so.n_threads = 1;
    so.batch = 1;
    float *pcm;
    worker w[2] = { { 0 } };
    must(qasr_model_open(&model, MODEL_DIR, NULL, &err), &err);
    must(qasr_audio_load(&pcm, &w[0].n_samples, TEST_DATA "/golden/clips/en-001.flac", &err), &err);
    for (size_t i = 0; i < 2; i++) {
        must(qasr_session_open(&w[i].s, model, &so, &err), &err);
        w[i].pcm = pcm;
        w[i].n_samples = w[0].n_samples;
    }
    uint64_t weights = qasr_session_device_bytes(w[0].s), none = qasr_session_device_bytes(w[1].s);
    assert_true(weights > 0 && none < weights);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    for (size_t i = 0; i < 2; i++)
        pthread_join(w[i].thread, NULL);
    for (size_t i = 0; i < 2; i++)
        must(w[i].status, &w[i].err);
    assert_true(strlen(qasr_result_text(w[0].result)) > 10);
    assert_string_equal(qasr_result_text(w[0].result), qasr_result_text(w[1].result));
    /* scratch and caches are equal in size; the weights are counted once */
    assert_int_equal(qasr_session_device_bytes(w[0].s) - qasr_session_device_bytes(w[1].s), weights - none);

    qasr_session_close(w[0].s);
    qasr_result *again;
    must(qasr_transcribe(&again, w[1].s, pcm, w[1].n_samples, NULL, &err), &err);
    assert_string_equal(qasr_result_text(again), qasr_result_text(w[0].result));
    qasr_result_free(again);
    qasr_session_close(w[1].s);
    for (size_t i = 0; i < 2; i++)
        qasr_result_free(w[i].result);
    qasr_audio_free(pcm);
    qasr_model_close(model);
}

static char warning[512];
static void keep_warning(void *user, qasr_log_level level, const char *message)
{
    if (level == QASR_LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", message);
}

/* A GPU is chosen if everything fits; otherwise the log says why not. */
static void a_gpu_is_chosen_if_it_has_room(void **state)
{
    device_info info = { 0 };
    char name[DEVICE_NAME_BYTES];
    size_t i = 1;
    while (device_list(&info, i) && strcmp(info.kind, "cpu") == 0)
        i++;
    bool has_gpu = device_list(&info, i);
    device_choose(name, 1);
    assert_string_equal(name, has_gpu ? info.name : "cpu");
    warning[0] = '\0';
    qasr_log_set(keep_warning, NULL);
    device_choose(name, (uint64_t)1 << 60);
    qasr_log_set(NULL, NULL);
    assert_string_equal(name, "cpu");
    assert_true(!has_gpu == !strstr(warning, "using the CPU"));
}

/* The listed names open their devices, and numbers select among several. */
static void names_are_those_of_the_list(void **state)
{
    device_info info;
    device *opened;
    qasr_error err;
    for (size_t i = 1; device_list(&info, i); i++) {
        must(device_open(&opened, info.name, 1, DEVICE_FAST, &err), &err);
        assert_string_equal(opened->name, info.name);
        device_close(opened);
    }
    assert_int_equal(device_open(&opened, "vulkan:9", 1, DEVICE_FAST, &err), QASR_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "libggml0-backend-vulkan"));
}

static bool is_here(const char *name)
{
    device_info info;
    for (size_t i = 1; device_list(&info, i); i++)
        if (strcasecmp(info.name, name) == 0 || strcasecmp(info.backend, name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    device_name = argv[1];
    if (!is_here(device_name)) {
        printf("1..0 # SKIP no device '%s'\n", device_name);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_match_for_every_type),
        cmocka_unit_test(embeddings_match_for_every_type),
        cmocka_unit_test(row_operations_match),
        cmocka_unit_test(convolutions_match),
        cmocka_unit_test(window_attention_matches),
        cmocka_unit_test(cached_attention_matches),
        cmocka_unit_test(slots_attend_to_their_own_caches),
        cmocka_unit_test(caches_of_one_block_are_taken_together),
        cmocka_unit_test(arg_max_matches_and_reports_what_is_not_finite),
        cmocka_unit_test(attention_is_composed_where_it_is_missing),
        cmocka_unit_test(types_are_converted_and_rows_looked_up_where_that_is_missing),
        cmocka_unit_test(an_operation_that_is_missing_is_named),
        cmocka_unit_test(graphs_are_used_again_and_forgotten),
        cmocka_unit_test(old_graphs_make_room),
        cmocka_unit_test(a_gpu_is_chosen_if_it_has_room),
        cmocka_unit_test(names_are_those_of_the_list),
        cmocka_unit_test(statistics_are_refused_in_words),
        cmocka_unit_test(memory_is_counted),
        cmocka_unit_test(sessions_share_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
