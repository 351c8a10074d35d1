/* The CPU device against plain loops in double: products with every weight type at decode and prefill sizes,
 * convolution, attention, KV cache, argmax; and the same bits for any number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "device/device.h"
#include "device/registry.h"
#include "kernels/kernels.h"

static uint32_t seed = 12345;

static float next_random(void) /* -1 .. 1 */
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed / 2147483648.0f;
}

/* A device, and matrices with host copies. */
static device *d;
static device_weights *weights;
static device_mem *blocks[64];
static size_t n_blocks;
static device_precision precision;

static void open_device(unsigned n_threads)
{
    qasr_error err;
    assert_int_equal(device_open(&d, "cpu", n_threads, precision, &err), QASR_OK);
    assert_int_equal(device_weights_create(&weights, d, &err), QASR_OK);
    n_blocks = 0;
    seed = 12345;
}

static void close_device(void)
{
    while (n_blocks)
        device_mem_free(d, blocks[--n_blocks]);
    device_close(d);
    device_weights_free(weights);
}

static dmat new_mat(dtype type, size_t rows, size_t cols, const void *host)
{
    assert_true(n_blocks < ARRAY_LEN(blocks));
    assert_int_equal(device_alloc(d, &blocks[n_blocks], rows * dmat_row_bytes(type, cols) + 64, NULL), QASR_OK);
    dmat m = dmat_make(blocks[n_blocks++], 0, type, rows, cols);
    if (host)
        assert_int_equal(device_write(d, m, host, NULL), QASR_OK);
    return m;
}

static float *random_host(size_t n, float scale)
{
    float *x = malloc((n ? n : 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = scale * next_random();
    return x;
}

static float *fetch(dmat m)
{
    float *x = malloc(m.rows * m.cols * sizeof *x);
    assert_int_equal(device_read(d, x, m, NULL), QASR_OK);
    return x;
}

static double gelu(double x) { return 0.5 * x * (1 + erf(x / sqrt(2))); }

/* Weights of a type, stored and dequantized. Read-only types get random bytes with small scales. */
static unsigned char *random_weights(quant_type t, size_t rows, size_t cols, float **values)
{
    const quant_info *q = quant_get(t);
    size_t row_bytes = quant_row_bytes(q, cols);
    unsigned char *bytes = malloc(rows * row_bytes);
    *values = random_host(rows * cols, 0.5f);
    for (size_t r = 0; r < rows; r++) {
        if (q->quantize) {
            q->quantize(bytes + r * row_bytes, *values + r * cols, cols);
        } else {
            uint16_t small = f16_from_f32(0.02f);
            for (size_t i = 0; i < row_bytes; i++)
                bytes[r * row_bytes + i] = (unsigned char)(next_random() * 127 + 128);
            for (size_t b = 0; b < cols / q->block; b++) { /* both types start their blocks with d and m */
                memcpy(bytes + r * row_bytes + b * q->bytes, &small, 2);
                memcpy(bytes + r * row_bytes + b * q->bytes + 2, &small, 2);
            }
        }
        q->dequantize(*values + r * cols, bytes + r * row_bytes, cols);
    }
    return bytes;
}

/* Bound on the error of x . w from int8 activations: for each 32 elements half a 127th of the largest activation,
 * times the sum of the weights' magnitudes. */
static double int8_bound(const float *x, const float *w, size_t k)
{
    double bound = 0;
    for (size_t b = 0; b < k; b += QK) {
        double top = 0, sum = 0;
        for (size_t i = b; i < b + QK; i++) {
            top = fmax(top, fabs((double)x[i]));
            sum += fabs((double)w[i]);
        }
        bound += 0.501 / 127 * top * sum;
    }
    return bound;
}

static void check_linear(quant_type t, size_t m, size_t n, size_t k, bool bias, activation act, bool accumulate)
{
    float *values, *x = random_host(m * k, 1), *b = random_host(n, 1), *old = random_host(m * n, 1);
    unsigned char *w = random_weights(t, n, k, &values);
    file_map map = { w, n * quant_row_bytes(quant_get(t), k) };
    dmat mw, mx = new_mat(QUANT_F32, m, k, x), mb = bias ? new_mat(QUANT_F32, 1, n, b) : (dmat){ 0 };
    dmat out = new_mat(QUANT_F32, m, n, old);
    assert_int_equal(device_weights_map(weights, &mw, &map, w, t, n, k, NULL), QASR_OK);
    device_begin(d);
    op_linear(d, mx, &(linear_part){ out, mw, mb, act, accumulate }, 1);
    assert_int_equal(device_end(d, NULL), QASR_OK);
    float *got = fetch(out);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (size_t c = 0; c < k; c++) {
                sum += (double)x[i * k + c] * (double)values[j * k + c];
                size += fabs((double)x[i * k + c] * (double)values[j * k + c]);
            }
            sum += (bias ? (double)b[j] : 0) + (accumulate ? (double)old[i * n + j] : 0);
            sum = act == ACT_GELU ? gelu(sum) : sum;
            /* rounding of a float32 sum, and 16-bit activations for quantized types */
            double bound = 2e-6 * (size + 1) + (t > QUANT_BF16 ? 4e-5 * size : 0);
            product_type product = m > 8 ? device_product_type(d, t, k) : PRODUCT_F32;
            if (product == PRODUCT_BF16) /* both factors are rounded */
                bound += 0x1p-7 * size;
            if (product == PRODUCT_INT8)
                bound += int8_bound(x + i * k, values + j * k, k);
            if (!(fabs((double)got[i * n + j] - sum) <= bound))
                fail_msg("%s %zux%zux%zu (%zu,%zu): %g, expected %g +- %g", quant_get(t)->name, m, n, k, i, j,
                         (double)got[i * n + j], sum, bound);
        }
    free(got), free(x), free(b), free(old), free(values), free(w);
}

/* Only these types may use int8 products, and only at the default precision. */
static void product_types_follow_the_precision(void **state)
{
    static const bool has_4_or_5_bits[QUANT_TYPE_COUNT] = {
        [QUANT_Q4_0] = true, [QUANT_Q4_1] = true, [QUANT_Q5_0] = true,
        [QUANT_Q5_1] = true, [QUANT_Q4_K] = true, [QUANT_Q5_K] = true
    };
    for (int exact = 0; exact < 2; exact++) {
        precision = exact ? DEVICE_EXACT : DEVICE_FAST;
        open_device(1);
        const product_type bf16 = device_product_type(d, QUANT_BF16, 1024),
                           int8 = device_product_type(d, QUANT_Q4_0, 1024);
        assert_true(bf16 == PRODUCT_F32 || (!exact && bf16 == PRODUCT_BF16));
        assert_true(int8 == bf16 || (!exact && int8 == PRODUCT_INT8));
        for (quant_type t = 0; t < QUANT_TYPE_COUNT; t++) {
            product_type expected = t <= QUANT_F16 ? PRODUCT_F32 : has_4_or_5_bits[t] ? int8 : bf16;
            if (t == QUANT_IQ4_NL && kernels_get(cpu_detect())->gemm_int8.bits == 8)
                expected = int8;
            assert_int_equal(device_product_type(d, t, 1024), expected);
        }
        close_device();
    }
}

static void products_match_for_every_type(void **state)
{
    static const size_t rows[] = { 1, 2, 5, 8, 9, 37 };
    precision = *state ? DEVICE_EXACT : DEVICE_FAST;
    for (quant_type t = 0; t < QUANT_TYPE_COUNT; t++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            open_device(3);
            size_t block = quant_get(t)->block;
            check_linear(t, rows[i], 70, block == 1 ? 100 : 2 * block, true, ACT_GELU, false);
            check_linear(t, rows[i], 129, 768, i % 2, ACT_NONE, true);
            check_linear(t, rows[i], 1, block == 1 ? 1 : block, false, ACT_NONE, false);
            close_device();
        }
}

static void several_parts_share_their_input(void **state)
{
    enum { PARTS = 4 }; /* each may use another kind of product */
    static const quant_type types[PARTS] = { QUANT_Q8_0, QUANT_F16, QUANT_Q4_1, QUANT_Q4_0 };
    precision = DEVICE_FAST;
    open_device(2);
    size_t k = 256, n[PARTS] = { 40, 300, 16, 70 };
    for (size_t m = 1; m <= 20; m += 19) {
        float *x = random_host(m * k, 1);
        dmat mx = new_mat(QUANT_F32, m, k, x), none = { 0 };
        linear_part parts[PARTS];
        dmat alone[PARTS];
        unsigned char *w[PARTS];
        float *values;
        for (size_t i = 0; i < PARTS; i++) {
            w[i] = random_weights(types[i], n[i], k, &values);
            free(values);
            file_map map = { w[i], n[i] * quant_row_bytes(quant_get(types[i]), k) };
            parts[i] = (linear_part){ new_mat(QUANT_F32, m, n[i], NULL), none, none, ACT_NONE, false };
            alone[i] = new_mat(QUANT_F32, m, n[i], NULL);
            assert_int_equal(device_weights_map(weights, &parts[i].w, &map, w[i], types[i], n[i], k, NULL), QASR_OK);
        }
        device_begin(d);
        op_linear(d, mx, parts, PARTS);
        for (size_t i = 0; i < PARTS; i++)
            op_linear(d, mx, &(linear_part){ alone[i], parts[i].w, none, ACT_NONE, false }, 1);
        assert_int_equal(device_end(d, NULL), QASR_OK);
        for (size_t i = 0; i < PARTS; i++) {
            float *a = fetch(parts[i].out), *b = fetch(alone[i]);
            assert_memory_equal(a, b, m * n[i] * sizeof *a);
            free(a), free(b), free(w[i]);
        }
        free(x);
    }
    close_device();
}

static double silu(double x) { return x / (1 + exp(-x)); }

/* silu(x gate^T) * (x up^T); with alone, each row also has the bits it has alone. */
static void check_swiglu(quant_type gate_type, quant_type up_type, size_t m, size_t n, size_t k, bool alone)
{
    float *gate, *up, *x = random_host(m * k, 1);
    unsigned char *w_gate = random_weights(gate_type, n, k, &gate), *w_up = random_weights(up_type, n, k, &up);
    file_map gate_map = { w_gate, n * quant_row_bytes(quant_get(gate_type), k) };
    file_map up_map = { w_up, n * quant_row_bytes(quant_get(up_type), k) };
    dmat mx = new_mat(QUANT_F32, m, k, x), out = new_mat(QUANT_F32, m, n, NULL),
         single = new_mat(QUANT_F32, m, n, NULL);
    linear_part part = { .out = out, .act = ACT_SWIGLU }, own = part;
    assert_int_equal(device_weights_map(weights, &part.w, &gate_map, w_gate, gate_type, n, k, NULL), QASR_OK);
    assert_int_equal(device_weights_map(weights, &part.up, &up_map, w_up, up_type, n, k, NULL), QASR_OK);
    device_begin(d);
    op_norm_linear(d, mx, NULL, &part, 1, alone);
    for (size_t i = 0; alone && i < m; i++) {
        own = part;
        own.out = dmat_rows(single, i, 1);
        op_linear(d, dmat_rows(mx, i, 1), &own, 1);
    }
    assert_int_equal(device_end(d, NULL), QASR_OK);
    float *got = fetch(out), *b = fetch(single);
    if (alone)
        assert_memory_equal(got, b, m * n * sizeof *got);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double g = 0, u = 0, g_size = 0, u_size = 0;
            for (size_t c = 0; c < k; c++) {
                double a = (double)x[i * k + c], g1 = a * (double)gate[j * k + c], u1 = a * (double)up[j * k + c];
                g += g1, u += u1, g_size += fabs(g1), u_size += fabs(u1);
            }
            double step = m > 8 && !alone ? 0x1p-7 : 5e-5, g_bound = step * g_size, u_bound = step * u_size;
            if (m > 8 && !alone && precision == DEVICE_FAST) {
                g_bound += int8_bound(x + i * k, gate + j * k, k);
                u_bound += int8_bound(x + i * k, up + j * k, k);
            }
            /* silu' is below 1.1, silu(g) below |g| + 0.3 */
            double bound = 1.1 * g_bound * (fabs(u) + u_bound) + (fabs(g) + 0.3) * u_bound + 1e-6;
            if (!(fabs((double)got[i * n + j] - silu(g) * u) <= bound))
                fail_msg("%s, %s %zux%zux%zu (%zu,%zu): %g, expected %g +- %g", quant_get(gate_type)->name,
                         quant_get(up_type)->name, m, n, k, i, j, (double)got[i * n + j], silu(g) * u, bound);
        }
    free(got), free(b), free(x), free(gate), free(up), free(w_gate), free(w_up);
}

static void gated_pairs_match(void **state)
{
    static const quant_type pairs[][2] = { { QUANT_F32, QUANT_F32 },   { QUANT_BF16, QUANT_BF16 },
                                           { QUANT_Q8_0, QUANT_Q8_0 }, { QUANT_Q4_0, QUANT_Q4_0 },
                                           { QUANT_Q4_0, QUANT_Q6_K }, { QUANT_F16, QUANT_Q4_K } };
    static const size_t rows[] = { 1, 3, 8, 9, 100 };
    for (size_t exact = 0; exact < 2; exact++)
        for (size_t t = 0; t < ARRAY_LEN(pairs); t++)
            for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                precision = exact ? DEVICE_EXACT : DEVICE_FAST;
                open_device(3);
                check_swiglu(pairs[t][0], pairs[t][1], rows[i], 200, 512, i % 2);
                close_device();
            }
}

/* A norm fused into a product gives the bits of a separate norm. */
static void check_normed(quant_type t, size_t m, bool layer, bool alone)
{
    enum { K = 768, N = 70 };
    float *values, *x = random_host(m * K, 3), *w = random_host(K, 1), *b = random_host(K, 1);
    unsigned char *stored = random_weights(t, N, K, &values);
    file_map map = { stored, N * quant_row_bytes(quant_get(t), K) };
    dmat wide = new_mat(QUANT_F32, m, K + 32, NULL), mx = wide, y = new_mat(QUANT_F32, m, K, NULL);
    mx.cols = K;
    assert_int_equal(device_write(d, mx, x, NULL), QASR_OK);
    row_norm norm = { new_mat(QUANT_F32, 1, K, w), layer ? new_mat(QUANT_F32, 1, K, b) : (dmat){ 0 }, 1e-5f };
    linear_part part = { .out = new_mat(QUANT_F32, m, N, NULL) }, after = { .out = new_mat(QUANT_F32, m, N, NULL) };
    assert_int_equal(device_weights_map(weights, &part.w, &map, stored, t, N, K, NULL), QASR_OK);
    after.w = part.w;
    device_begin(d);
    op_norm_linear(d, mx, &norm, &part, 1, alone);
    if (layer)
        op_layer_norm(d, y, mx, norm.w, norm.b, norm.eps);
    else
        op_rms_norm(d, y, mx, norm.w, norm.eps);
    op_norm_linear(d, y, NULL, &after, 1, alone);
    assert_int_equal(device_end(d, NULL), QASR_OK);
    float *got = fetch(part.out), *want = fetch(after.out);
    assert_memory_equal(got, want, m * N * sizeof *got);
    free(got), free(want), free(x), free(w), free(b), free(values), free(stored);
}

static void norms_on_the_way_change_nothing(void **state)
{
    static const quant_type types[] = { QUANT_F32, QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0 };
    static const size_t rows[] = { 1, 2, 8, 9, 75 };
    precision = DEVICE_FAST;
    for (size_t t = 0; t < ARRAY_LEN(types); t++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            for (int how = 0; how < 4; how++) {
                open_device(2);
                check_normed(types[t], rows[i], how & 1, how & 2);
                close_device();
            }
}

/* Rows of different sequences: each has the bits it has alone, whatever their number. */
static void check_alone(quant_type t, size_t m, size_t n, size_t k, activation act, bool accumulate)
{
    float *values, *x = random_host(m * k, 1), *b = random_host(n, 1), *old = random_host(m * n, 1);
    unsigned char *w = random_weights(t, n, k, &values);
    file_map map = { w, n * quant_row_bytes(quant_get(t), k) };
    dmat mw, wide = new_mat(QUANT_F32, m, k + 32, NULL), mb = new_mat(QUANT_F32, 1, n, b);
    dmat mx = wide, together = new_mat(QUANT_F32, m, n, old), single = new_mat(QUANT_F32, m, n, old);
    mx.cols = k; /* rows need not be contiguous */
    assert_int_equal(device_write(d, mx, x, NULL), QASR_OK);
    assert_int_equal(device_weights_map(weights, &mw, &map, w, t, n, k, NULL), QASR_OK);
    device_begin(d);
    op_norm_linear(d, mx, NULL, &(linear_part){ together, mw, mb, act, accumulate }, 1, true);
    for (size_t i = 0; i < m; i++)
        op_linear(d, dmat_rows(mx, i, 1), &(linear_part){ dmat_rows(single, i, 1), mw, mb, act, accumulate }, 1);
    assert_int_equal(device_end(d, NULL), QASR_OK);
    float *a = fetch(together), *c = fetch(single);
    if (memcmp(a, c, m * n * sizeof *a) != 0)
        fail_msg("%s: %zu rows together and alone differ (%zu x %zu)", quant_get(t)->name, m, n, k);
    free(a), free(c), free(x), free(b), free(old), free(values), free(w);
}

static void rows_together_have_the_bits_they_have_alone(void **state)
{
    static const size_t rows[] = { 1, 3, 8, 11, 17, 64 };
    for (quant_type t = 0; t < QUANT_TYPE_COUNT; t++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            open_device(3);
            size_t block = quant_get(t)->block;
            check_alone(t, rows[i], 70, block == 1 ? 100 : 2 * block, ACT_GELU, false);
            check_alone(t, rows[i], 300, 768, ACT_NONE, true);
            close_device();
        }
}

static void check_conv(size_t n_images, size_t h, size_t w, size_t c_in, size_t c_out)
{
    size_t ho = (h + 1) / 2, wo = (w + 1) / 2;
    float *x = random_host(n_images * h * w * c_in, 1), *b = random_host(c_out, 1), *values;
    unsigned char *stored = random_weights(QUANT_BF16, c_out, 9 * c_in, &values);
    file_map map = { stored, c_out * 9 * c_in * 2 };
    dmat mw, shape = device_conv_packed(d, QUANT_BF16, c_out, c_in), packed = new_mat(shape.type, 1, shape.cols, NULL);
    dmat out = new_mat(QUANT_F32, n_images * ho * wo, c_out, NULL),
         rows = new_mat(QUANT_F32, n_images * wo, c_out * ho, NULL);
    assert_int_equal(device_weights_map(weights, &mw, &map, stored, QUANT_BF16, c_out, 9 * c_in, NULL), QASR_OK);
    device_begin(d);
    op_conv_pack(d, packed, mw, c_in);
    op_conv2d_gelu(d, out, new_mat(QUANT_F32, n_images * h * w, c_in, x), packed, new_mat(QUANT_F32, 1, c_out, b),
                   (conv_shape){ n_images, h, w, c_in, c_out });
    op_conv_to_rows(d, rows, out, (conv_shape){ n_images, ho, wo, c_out, c_out });
    assert_int_equal(device_end(d, NULL), QASR_OK);
    float *got = fetch(out), *flat = fetch(rows);
    for (size_t i = 0; i < n_images; i++)
        for (size_t y = 0; y < ho; y++)
            for (size_t t = 0; t < wo; t++)
                for (size_t o = 0; o < c_out; o++) {
                    double sum = (double)b[o], size = 1;
                    for (size_t c = 0; c < c_in; c++)
                        for (size_t u = 0; u < 3; u++)
                            for (size_t v = 0; v < 3; v++) {
                                size_t iy = 2 * y + u - 1, ix = 2 * t + v - 1; /* wraps around below 0 */
                                if (iy >= h || ix >= w)
                                    continue;
                                double product = (double)x[((i * h + iy) * w + ix) * c_in + c] *
                                                 (double)values[(o * c_in + c) * 9 + u * 3 + v];
                                sum += product;
                                size += fabs(product);
                            }
                    float value = got[((i * ho + y) * wo + t) * c_out + o];
                    assert_float_equal(value, gelu(sum), precision == DEVICE_FAST ? 0x1p-8 * size : 2e-5);
                    assert_float_equal(value, flat[(i * wo + t) * c_out * ho + o * ho + y], 0);
                }
    free(got), free(flat), free(x), free(b), free(values), free(stored);
}

static void convolution_matches(void **state)
{
    precision = *state ? DEVICE_EXACT : DEVICE_FAST;
    open_device(3);
    check_conv(2, 16, 13, 1, 40);
    check_conv(1, 128, 100, 1, 16);
    check_conv(3, 9, 25, 40, 70);
    check_conv(1, 1, 1, 33, 1);
    close_device();
}

/* softmax(scale q k^T) v for one row over keys [0, n). */
static void attend(double *out, const float *q, const float *k, const float *v, size_t ld, size_t n, size_t hd,
                   double scale)
{
    double *p = malloc(n * sizeof *p), max = -1e300, sum = 0;
    for (size_t j = 0; j < n; j++) {
        p[j] = 0;
        for (size_t c = 0; c < hd; c++)
            p[j] += (double)q[c] * (double)k[j * ld + c];
        p[j] *= scale;
        max = p[j] > max ? p[j] : max;
    }
    for (size_t j = 0; j < n; j++)
        sum += p[j] = exp(p[j] - max);
    for (size_t c = 0; c < hd; c++) {
        out[c] = 0;
        for (size_t j = 0; j < n; j++)
            out[c] += p[j] / sum * (double)v[j * ld + c];
    }
    free(p);
}

static void window_attention_matches(void **state)
{
    enum { HEADS = 3, HD = 64, D = HEADS * HD };
    static const size_t cases[][2] = { { 130, 104 }, { 104, 104 }, { 7, 104 }, { 150, 150 }, { 33, 10 } };
    for (size_t t = 0; t < ARRAY_LEN(cases); t++) {
        open_device(2);
        size_t n = cases[t][0], window = cases[t][1];
        float *q = random_host(n * D, 2), *k = random_host(n * D, 2), *v = random_host(n * D, 1);
        dmat out = new_mat(QUANT_F32, n, D, NULL);
        device_begin(d);
        op_attention_windows(d, out, new_mat(QUANT_F32, n, D, q), new_mat(QUANT_F32, n, D, k),
                             new_mat(QUANT_F32, n, D, v), (attn_heads){ HEADS, HEADS, HD, 0.125f }, window);
        assert_int_equal(device_end(d, NULL), QASR_OK);
        float *got = fetch(out);
        for (size_t i = 0; i < n; i++)
            for (size_t h = 0; h < HEADS; h++) {
                size_t w0 = i / window * window, w1 = w0 + window < n ? w0 + window : n;
                double want[HD];
                attend(want, q + i * D + h * HD, k + w0 * D + h * HD, v + w0 * D + h * HD, D, w1 - w0, HD, 0.125);
                for (size_t c = 0; c < HD; c++)
                    assert_float_equal(got[i * D + h * HD + c], want[c], 2e-5);
            }
        free(got), free(q), free(k), free(v);
        close_device();
    }
}

/* RoPE angles and norm weights for queries and keys, with host copies. */
typedef struct rope_case {
    qk_rope rope;
    float *q_norm, *k_norm, *angles;
} rope_case;

static rope_case new_rope(size_t n_positions, size_t hd)
{
    rope_case t = { .q_norm = random_host(hd, 2),
                    .k_norm = random_host(hd, 2),
                    .angles = malloc(n_positions * hd * sizeof(float)) };
    for (size_t p = 0; p < n_positions; p++)
        for (size_t i = 0; i < hd / 2; i++) {
            t.angles[p * hd + i] = cosf((float)p * 0.3f + (float)i);
            t.angles[p * hd + hd / 2 + i] = sinf((float)p * 0.3f + (float)i);
        }
    t.rope = (qk_rope){ new_mat(QUANT_F32, 1, hd, t.q_norm), new_mat(QUANT_F32, 1, hd, t.k_norm),
                        new_mat(QUANT_F32, n_positions, hd, t.angles), 1e-6f };
    return t;
}

static void free_rope(rope_case *t) { free(t->q_norm), free(t->k_norm), free(t->angles); }

/* The heads of a row at a position: norm, then RoPE on halves. */
static void rope_host(float *x, size_t cols, size_t hd, const float *norm, const float *angles)
{
    for (size_t h = 0; h < cols; h += hd) {
        double sum = 0;
        for (size_t c = 0; c < hd; c++)
            sum += (double)x[h + c] * (double)x[h + c];
        for (size_t c = 0; c < hd / 2; c++) {
            double r = 1 / sqrt(sum / (double)hd + 1e-6), co = (double)angles[c], si = (double)angles[hd / 2 + c];
            double a = (double)x[h + c] * r * (double)norm[c],
                   b = (double)x[h + c + hd / 2] * r * (double)norm[c + hd / 2];
            x[h + c] = (float)(a * co - b * si);
            x[h + c + hd / 2] = (float)(b * co + a * si);
        }
    }
}

/* As in the decoder: the prompt in blocks, then single tokens. */
static void cached_attention_matches(void **state)
{
    enum { HEADS = 4, KV = 2, HD = 128, N = 150, CAPACITY = 192 };
    for (int f16 = 0; f16 < 2; f16++) {
        open_device(2);
        float *q = random_host(N * HEADS * HD, 1), *k = random_host(N * KV * HD, 1), *v = random_host(N * KV * HD, 1);
        quant_type type = f16 ? QUANT_F16 : QUANT_F32;
        dmat out = new_mat(QUANT_F32, N, HEADS * HD, NULL), mq = new_mat(QUANT_F32, N, HEADS * HD, q);
        dmat mk = new_mat(QUANT_F32, N, KV * HD, k), mv = new_mat(QUANT_F32, N, KV * HD, v);
        dmat kc = new_mat(type, KV * CAPACITY, HD, NULL), vc = new_mat(type, KV * CAPACITY, HD, NULL);
        rope_case t = new_rope(N, HD);
        int32_t positions[N];
        for (int i = 0; i < N; i++)
            positions[i] = i;
        dmat pos = new_mat(DTYPE_I32, N, 1, positions);
        static const size_t ends[] = { 70, 147, 148, 149, 150 };
        for (size_t s = 0, first = 0; s < ARRAY_LEN(ends); first = ends[s++]) {
            size_t n = ends[s] - first;
            device_begin(d);
            kv_view kv = { &kc, &vc, 1, .pos = dmat_rows(pos, first, n) };
            op_rope_and_cache(d, dmat_rows(mq, first, n), dmat_rows(mk, first, n), dmat_rows(mv, first, n), &t.rope,
                              &kv);
            op_attention_cached(d, dmat_rows(out, first, n), dmat_rows(mq, first, n), &kv,
                                (attn_heads){ HEADS, KV, HD, 0.088388f }, ends[s]);
            assert_int_equal(device_end(d, NULL), QASR_OK);
        }
        float *got = fetch(out), *rotated = fetch(mq), *k_left = fetch(mk);
        assert_memory_equal(k_left, k, sizeof(float) * N * KV * HD);
        for (size_t i = 0; i < N; i++) {
            rope_host(q + i * HEADS * HD, HEADS * HD, HD, t.q_norm, t.angles + i * HD);
            rope_host(k + i * KV * HD, KV * HD, HD, t.k_norm, t.angles + i * HD);
            for (size_t c = 0; c < HEADS * HD; c++)
                assert_float_equal(rotated[i * HEADS * HD + c], q[i * HEADS * HD + c], 1e-5);
        }
        for (size_t i = 0; i < N; i++)
            for (size_t h = 0; h < HEADS; h++) {
                double want[HD];
                attend(want, q + (i * HEADS + h) * HD, k + h / 2 * HD, v + h / 2 * HD, KV * HD, i + 1, HD, 0.088388);
                for (size_t c = 0; c < HD; c++)
                    assert_float_equal(got[(i * HEADS + h) * HD + c], want[c], f16 ? 4e-3 : 2e-5);
            }
        free(got), free(rotated), free(k_left), free(q), free(k), free(v);
        free_rope(&t);
        close_device();
    }
}

/* Whatever the type of the cache, since the type is what the peak is compared with. Rows keep larger peaks. */
static void stored_rows_report_their_peak(void **state)
{
    enum { KV = 2, HD = 64, N = 9 };
    static const quant_type types[] = { QUANT_F16, QUANT_F32, QUANT_Q8_0 };
    for (size_t type = 0; type < ARRAY_LEN(types); type++) {
        open_device(2);
        float *k = random_host(N * KV * HD, 1), *v = random_host(N * KV * HD, 1), before[N * KV_PEAKS] = { 0 };
        v[1 * KV * HD + 70] = -70000;
        v[2 * KV * HD] = 1e9f;
        v[3 * KV * HD + 127] = NAN;
        v[4 * KV * HD + 3] = -INFINITY;
        k[5 * KV * HD + 100] = NAN;
        before[6 * KV_PEAKS + KV_PEAK_LARGEST] = 1e6f;
        before[7 * KV_PEAKS + KV_PEAK_BAD] = 1;
        dmat mq = new_mat(QUANT_F32, N, KV * HD, k), mk = new_mat(QUANT_F32, N, KV * HD, k),
             mv = new_mat(QUANT_F32, N, KV * HD, v), peak = new_mat(QUANT_F32, N, KV_PEAKS, before);
        dmat kc = new_mat(types[type], KV * N, HD, NULL), vc = new_mat(types[type], KV * N, HD, NULL);
        rope_case t = new_rope(N, HD);
        int32_t positions[N];
        for (int i = 0; i < N; i++)
            positions[i] = i;
        kv_view kv = { &kc, &vc, 1, .pos = new_mat(DTYPE_I32, N, 1, positions), .peak = peak };
        device_begin(d);
        op_rope_and_cache(d, mq, mk, mv, &t.rope, &kv);
        assert_int_equal(device_end(d, NULL), QASR_OK);
        float *got = fetch(peak), *rotated = fetch(mq);
        for (size_t i = 0; i < N; i++) {
            float want = before[i * KV_PEAKS + KV_PEAK_LARGEST];
            for (size_t c = 0; c < KV * HD && (i < 3 || i > 5); c++) /* queries equal keys, but for their norm */
                want = fmaxf(want, fabsf(v[i * KV * HD + c]));
            bool bad = (i >= 3 && i <= 5) || i == 7;
            assert_true(got[i * KV_PEAKS + KV_PEAK_BAD] == (float)bad);
            assert_true(got[i * KV_PEAKS + KV_PEAK_LARGEST] >= want && got[i * KV_PEAKS + KV_PEAK_LARGEST] < want + 50);
        }
        free(got), free(rotated), free(k), free(v);
        free_rope(&t);
        close_device();
    }
}

/* Decoding steps with sequences in several slots, in any order, against a separate cache per slot and steps of one
 * row. */
static void check_slots(quant_type type, unsigned n_threads)
{
    enum { SLOTS = 11, HEADS = 4, KV = 2, HD = 64, STEPS = 3 };
    static const int32_t begin[SLOTS] = { 0, 5, 63, 64, 1, 130, 7, 90, 2, 127, 33 };
    open_device(n_threads);
    dmat kc[2][SLOTS], vc[2][SLOTS]; /* two sets of caches of different capacities */
    for (size_t i = 0; i < SLOTS; i++) {
        size_t capacity = (size_t)begin[i] + STEPS + i;
        float *values = random_host(KV * capacity * HD, 1);
        uint16_t *stored = malloc(KV * capacity * HD * sizeof(float));
        for (size_t r = 0; r < KV * capacity; r++)
            quant_get(type)->quantize((char *)stored + r * dmat_row_bytes(type, HD), values + r * HD, HD);
        for (int copy = 0; copy < 2; copy++) {
            kc[copy][i] = new_mat(type, KV * capacity, HD, stored);
            vc[copy][i] = new_mat(type, KV * capacity, HD, stored);
        }
        free(values), free(stored);
    }
    attn_heads heads = { HEADS, KV, HD, 0.125f };
    float *q = random_host(SLOTS * HEADS * HD, 2), *k = random_host(SLOTS * KV * HD, 1);
    dmat mq = new_mat(QUANT_F32, SLOTS, HEADS * HD, q), mk = new_mat(QUANT_F32, SLOTS, KV * HD, k);
    dmat mq2 = new_mat(QUANT_F32, SLOTS, HEADS * HD, q);
    rope_case t = new_rope(200, HD);
    dmat out = new_mat(QUANT_F32, SLOTS, HEADS * HD, NULL), alone = new_mat(QUANT_F32, SLOTS, HEADS * HD, NULL);
    dmat pos = new_mat(DTYPE_I32, SLOTS, 1, NULL), slot = new_mat(DTYPE_I32, SLOTS, 1, NULL);
    static const size_t active[STEPS] = { 11, 1, 8 };
    for (size_t s = 0; s < STEPS; s++) {
        size_t n = active[s];
        int32_t slots[SLOTS], positions[SLOTS];
        for (size_t i = 0; i < n; i++) {
            slots[i] = (int32_t)((i * 7 + s) % SLOTS);
            positions[i] = begin[slots[i]] + (int32_t)s;
        }
        dmat nslot = dmat_rows(slot, 0, n), npos = dmat_rows(pos, 0, n), nq = dmat_rows(mq, 0, n),
             nk = dmat_rows(mk, 0, n);
        assert_int_equal(device_write(d, nslot, slots, NULL), QASR_OK);
        assert_int_equal(device_write(d, npos, positions, NULL), QASR_OK);
        device_begin(d);
        kv_view kv = { kc[0], vc[0], SLOTS, nslot, npos };
        op_rope_and_cache(d, nq, nk, nk, &t.rope, &kv);
        op_attention_cached(d, dmat_rows(out, 0, n), nq, &kv, heads, 200);
        for (size_t i = 0; i < n; i++) {
            kv_view own = { &kc[1][slots[i]], &vc[1][slots[i]], 1, .pos = dmat_rows(pos, i, 1) };
            op_rope_and_cache(d, dmat_rows(mq2, i, 1), dmat_rows(mk, i, 1), dmat_rows(mk, i, 1), &t.rope, &own);
            op_attention_cached(d, dmat_rows(alone, i, 1), dmat_rows(mq2, i, 1), &own, heads, (size_t)positions[i] + 1);
        }
        assert_int_equal(device_end(d, NULL), QASR_OK);
        float *a = fetch(out), *b = fetch(alone);
        assert_memory_equal(a, b, n * HEADS * HD * sizeof *a);
        free(a), free(b);
    }
    free(q), free(k);
    free_rope(&t);
    close_device();
}

static void slots_attend_to_their_own_caches(void **state)
{
    static const quant_type types[] = { QUANT_F32, QUANT_F16, QUANT_Q8_0 };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        for (unsigned n_threads = 1; n_threads <= 5; n_threads += 2)
            check_slots(types[i], n_threads);
}

static void small_operations_match(void **state)
{
    open_device(2);
    enum { N = 11, COLS = 64 };
    float *x = random_host(N * COLS, 3), *w = random_host(COLS, 1), *table = random_host(3 * COLS, 1);
    int32_t ids[N];
    for (int i = 0; i < N; i++)
        ids[i] = i % 3;
    dmat mx = new_mat(QUANT_F32, N, COLS, x), added = new_mat(QUANT_F32, N, COLS, x),
         mt = new_mat(QUANT_F32, 3, COLS, table);
    dmat norm = new_mat(QUANT_F32, N, COLS, NULL), emb = new_mat(QUANT_F32, N, COLS, NULL);
    dmat copy = new_mat(QUANT_F32, N, COLS, NULL), scaled = new_mat(QUANT_F32, N, COLS, x),
         zero = new_mat(QUANT_F32, N, COLS, x);
    dmat best = new_mat(DTYPE_I32, N, 1, NULL);
    device_begin(d);
    op_rms_norm(d, norm, mx, new_mat(QUANT_F32, 1, COLS, w), 1e-6f);
    op_add_cyclic(d, added, mt);
    op_embed(d, emb, mt, new_mat(DTYPE_I32, N, 1, ids));
    op_copy(d, copy, mx);
    op_scale(d, scaled, scaled, -0.25f);
    op_subtract(d, scaled, scaled, mx);
    op_clear(d, zero);
    op_argmax(d, best, mx);
    assert_int_equal(device_end(d, NULL), QASR_OK);
    float *g_norm = fetch(norm), *g_add = fetch(added), *g_emb = fetch(emb), *g_copy = fetch(copy),
          *g_scaled = fetch(scaled), *g_zero = fetch(zero);
    int32_t g_best[N];
    device_read(d, g_best, best, NULL);
    assert_memory_equal(g_copy, x, sizeof(float) * N * COLS);
    for (size_t i = 0; i < N; i++) {
        double sum = 0;
        size_t arg = 0;
        for (size_t c = 0; c < COLS; c++) {
            sum += (double)x[i * COLS + c] * (double)x[i * COLS + c];
            arg = x[i * COLS + c] > x[i * COLS + arg] ? c : arg;
        }
        assert_int_equal(g_best[i], arg);
        for (size_t c = 0; c < COLS; c++) {
            double v = (double)x[i * COLS + c];
            assert_float_equal(g_norm[i * COLS + c], v / sqrt(sum / COLS + 1e-6) * (double)w[c], 1e-5);
            assert_float_equal(g_add[i * COLS + c], x[i * COLS + c] + table[i % 3 * COLS + c], 1e-6);
            assert_float_equal(g_emb[i * COLS + c], table[i % 3 * COLS + c], 0);
            assert_float_equal(g_scaled[i * COLS + c], -v / 4 - v, 1e-6);
            assert_float_equal(g_zero[i * COLS + c], 0, 0);
        }
    }
    free(g_norm), free(g_add), free(g_emb), free(g_copy), free(g_scaled), free(g_zero), free(x), free(w), free(table);
    close_device();
}

/* Squares and triangle of rows [m, n] inside wider rows, and products with the columns 5 to the right, accumulated
 * in calls of `split` rows; read back to the host. */
static float *run_moments(const float *x, size_t m, size_t n, size_t split, unsigned n_threads)
{
    enum { MORE = 5 };
    size_t n_triangle = n * (n + 1) / 2;
    open_device(n_threads);
    float *start = random_host(n + n_triangle + n * n, 1);
    dmat rows = new_mat(QUANT_F32, m, n + MORE, x);
    rows.cols = n; /* the stride is unchanged */
    dmat sums = new_mat(QUANT_F32, 1, n, start), triangle = new_mat(QUANT_F32, 1, n_triangle, start + n);
    dmat square = new_mat(QUANT_F32, n, n, start + n + n_triangle), others = rows;
    others.offset += MORE * sizeof(float);
    device_begin(d);
    for (size_t r = 0; r < m; r += split) {
        dmat part = dmat_rows(rows, r, m - r < split ? m - r : split);
        op_add_squares(d, sums, part);
        op_add_products(d, triangle, part);
        op_add_cross_products(d, square, part, dmat_rows(others, r, part.rows));
    }
    assert_int_equal(device_end(d, NULL), QASR_OK);
    assert_int_equal(device_read(d, start, sums, NULL), QASR_OK);
    assert_int_equal(device_read(d, start + n, triangle, NULL), QASR_OK);
    assert_int_equal(device_read(d, start + n + n_triangle, square, NULL), QASR_OK);
    close_device();
    return start;
}

static void moments_match_sums_in_double(void **state)
{
    static const size_t cases[][3] = { { 1, 1, 1 },       { 3, 7, 2 },     { 128, 64, 128 },
                                       { 150, 133, 128 }, { 37, 200, 37 }, { 17, 65, 16 } };
    for (size_t t = 0; t < ARRAY_LEN(cases); t++) {
        size_t m = cases[t][0], n = cases[t][1], ld = n + 5;
        seed = 7;
        float *x = random_host(m * ld, 3);
        float *got = run_moments(x, m, n, cases[t][2], 1), *again = run_moments(x, m, n, cases[t][2], 3);
        seed = 12345; /* as in open_device */
        size_t n_triangle = n * (n + 1) / 2;
        float *start = random_host(n + n_triangle + n * n, 1);
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k <= i; k++) {
                size_t at = n + i * (i + 1) / 2 + k;
                double sum = 0, size = 1;
                for (size_t r = 0; r < m; r++) {
                    double product = (double)x[r * ld + i] * (double)x[r * ld + k];
                    sum += product;
                    size += fabs(product);
                }
                assert_float_equal(got[at], (double)start[at] + sum, 2e-6 * size);
                if (i == k)
                    assert_float_equal(got[i], (double)start[i] + sum, 2e-7 * size);
            }
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < n; k++) {
                size_t at = n + n_triangle + i * n + k;
                double sum = 0, size = 1;
                for (size_t r = 0; r < m; r++) {
                    double product = (double)x[r * ld + i] * (double)x[r * ld + k + 5];
                    sum += product;
                    size += fabs(product);
                }
                assert_float_equal(got[at], (double)start[at] + sum, 2e-6 * size);
            }
        assert_memory_equal(got, again, (n + n_triangle + n * n) * sizeof *got);
        free(x), free(got), free(again), free(start);
    }
}

static void logits_that_are_not_finite_are_reported(void **state)
{
    open_device(1);
    float rows[4][3] = { { NAN, NAN, NAN }, { 1, INFINITY, 2 }, { 1, 3, 2 }, { 4, -INFINITY, NAN } };
    dmat ids = new_mat(DTYPE_I32, 4, 1, NULL);
    int32_t got[4];
    device_begin(d);
    op_argmax(d, ids, new_mat(QUANT_F32, 4, 3, rows));
    assert_int_equal(device_end(d, NULL), QASR_OK);
    device_read(d, got, ids, NULL);
    assert_int_equal(got[0], -1);
    assert_int_equal(got[1], -1);
    assert_int_equal(got[2], 1);
    assert_int_equal(got[3], -1);
    close_device();
}

/* Logits of several kinds: all equal, widely spread, almost equal, one dominant, one very low. */
static void scores_of_chosen_tokens(void **state)
{
    enum { N = 6, COLS = 5000 };
    open_device(3);
    float *x = random_host(N * COLS, 3), got[2 * N];
    int32_t ids[N];
    for (size_t i = 0; i < N; i++) {
        for (size_t c = 0; c < COLS; c++)
            x[i * COLS + c] *= i == 0 ? 0 : i == 1 ? 40.0f : i == 2 ? 1e-3f : 3.0f;
        if (i == 3)
            x[i * COLS + 7] = 90;
        if (i == 4)
            x[i * COLS + 9] = -1e30f;
        ids[i] = 0;
        for (size_t c = 1; c < COLS; c++)
            ids[i] = x[i * COLS + c] > x[i * COLS + (size_t)ids[i]] ? (int32_t)c : ids[i];
    }
    ids[5] = -1; /* no token was chosen */
    dmat best = new_mat(DTYPE_I32, N, 1, ids), scores = new_mat(QUANT_F32, N, 2, NULL);
    device_begin(d);
    op_token_scores(d, scores, new_mat(QUANT_F32, N, COLS, x), best);
    assert_int_equal(device_end(d, NULL), QASR_OK);
    device_read(d, got, scores, NULL);
    for (size_t i = 0; i + 1 < N; i++) {
        double sum = 0, entropy = 0;
        for (size_t c = 0; c < COLS; c++)
            sum += exp((double)x[i * COLS + c] - (double)x[i * COLS + (size_t)ids[i]]);
        for (size_t c = 0; c < COLS; c++) {
            double p = exp((double)x[i * COLS + c] - (double)x[i * COLS + (size_t)ids[i]]) / sum;
            entropy -= p > 0 ? p * log(p) : 0;
        }
        assert_true(fabs((double)got[2 * i] + log(sum)) < 1e-5);
        assert_true(fabs((double)got[2 * i + 1] - entropy) < 1e-4);
    }
    assert_true(isnan(got[2 * (N - 1)]) && isnan(got[2 * N - 1]));
    free(x);
    close_device();
}

/* One product of each shape and a convolution with n threads; bits are compared between thread counts. */
static float *run_with_threads(unsigned n_threads, size_t *n)
{
    open_device(n_threads);
    enum { K = 768, ROWS = 500 };
    static const size_t m[] = { 1, 6, 50 };
    float *all = malloc(sizeof(float) * 57 * ROWS);
    *n = 0;
    for (size_t t = 0; t < 3; t++) {
        float *values, *x = random_host(m[t] * K, 1);
        unsigned char *w = random_weights(QUANT_Q8_0, ROWS, K, &values);
        file_map map = { w, ROWS * quant_row_bytes(quant_get(QUANT_Q8_0), K) };
        dmat mw, out = new_mat(QUANT_F32, m[t], ROWS, NULL);
        assert_int_equal(device_weights_map(weights, &mw, &map, w, QUANT_Q8_0, ROWS, K, NULL), QASR_OK);
        device_begin(d);
        op_linear(d, new_mat(QUANT_F32, m[t], K, x), &(linear_part){ out, mw, { 0 }, ACT_NONE, false }, 1);
        assert_int_equal(device_end(d, NULL), QASR_OK);
        float *got = fetch(out);
        memcpy(all + *n, got, m[t] * ROWS * sizeof(float));
        *n += m[t] * ROWS;
        free(got), free(x), free(values), free(w);
    }
    close_device();
    return all;
}

static void threads_do_not_change_results(void **state)
{
    size_t n;
    float *one = run_with_threads(1, &n);
    for (unsigned t = 2; t <= 5; t++) {
        float *more = run_with_threads(t, &n);
        assert_memory_equal(one, more, n * sizeof *one);
        free(more);
    }
    free(one);
}

static void unknown_devices_are_refused(void **state)
{
    qasr_error err;
    device *none = NULL;
    assert_int_equal(device_open(&none, "abacus", 1, DEVICE_FAST, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "'abacus'"));
    assert_null(none);
}

static void too_much_is_for_the_cpu(void **state)
{
    char name[DEVICE_NAME_BYTES] = "none";
    device_info first;
    device_choose(name, UINT64_MAX);
    assert_string_equal(name, "cpu");
    assert_true(device_list(&first, 0));
    assert_string_equal(first.name, "cpu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_types_follow_the_precision),
        cmocka_unit_test(scores_of_chosen_tokens),
        cmocka_unit_test(products_match_for_every_type),
        cmocka_unit_test_prestate(products_match_for_every_type, "exact"),
        cmocka_unit_test(convolution_matches),
        cmocka_unit_test_prestate(convolution_matches, "exact"),
        cmocka_unit_test(several_parts_share_their_input),
        cmocka_unit_test(window_attention_matches),
        cmocka_unit_test(cached_attention_matches),
        cmocka_unit_test(stored_rows_report_their_peak),
        cmocka_unit_test(small_operations_match),
        cmocka_unit_test(moments_match_sums_in_double),
        cmocka_unit_test(gated_pairs_match),
        cmocka_unit_test(norms_on_the_way_change_nothing),
        cmocka_unit_test(rows_together_have_the_bits_they_have_alone),
        cmocka_unit_test(slots_attend_to_their_own_caches),
        cmocka_unit_test(logits_that_are_not_finite_are_reported),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(unknown_devices_are_refused),
        cmocka_unit_test(too_much_is_for_the_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
