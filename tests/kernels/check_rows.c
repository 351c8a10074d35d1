/* Norms, activation functions, RoPE, maxima, conversion to half. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static guarded g[4];

static float *place(int i, size_t n, bool at_start)
{
    return guarded_place(&g[i], n * sizeof(float), sizeof(float), at_start);
}

static float *place_filled(int i, size_t n, int how, bool at_start)
{
    float *x = place(i, n, at_start);
    fill_floats(x, n, how);
    return x;
}

static void rms_norm_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *x = place_filled(0, n, how, at_start), *w = place_filled(1, n, FILL_RANDOM, at_start),
          *out = place(2, n, at_start);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    double scale = 1 / sqrt(sum / (double)n + 1e-6f);
    k->rms_norm(out, x, w, n, 1e-6f);
    for (size_t i = 0; i < n; i++)
        check_close(out[i], x[i] * scale * w[i], 16 * EPS * fabs(x[i] * scale * w[i]) + 1e-44,
                    "element %zu of %zu, fill %d", i, n, how);
    check_true(guarded_intact(&g[2]), "wrote outside, n %zu", n);
    k->rms_norm(x, x, w, n, 1e-6f);
    check_true(memcmp(x, out, n * sizeof *x) == 0, "in place differs, n %zu", n);
}

static void layer_norm_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *x = place_filled(0, n, how, at_start), *w = place_filled(1, n, FILL_RANDOM, at_start);
    float *b = place_filled(3, n, FILL_RANDOM, at_start), *out = place(2, n, at_start);
    double sum = 0, squares = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
        size = fmax(size, fabsf(x[i]));
    }
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    double scale = 1 / sqrt(squares / (double)n + 1e-5f);
    k->layer_norm(out, x, w, b, n, 1e-5f);
    for (size_t i = 0; i < n; i++) {
        double value = (x[i] - mean) * scale * w[i];
        double bound = 16 * EPS * (fabs(value) + fabs(w[i]) * scale * size + fabs(b[i])) + 1e-44;
        check_close(out[i], value + b[i], bound, "element %zu of %zu, fill %d", i, n, how);
    }
    check_true(guarded_intact(&g[2]), "wrote outside, n %zu", n);
}

static void gelu_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *x = place_filled(0, n, how, at_start), *old = malloc(n * sizeof *old);
    for (size_t i = 0; i < n && how == FILL_RANDOM; i++)
        x[i] *= 12.0f;
    memcpy(old, x, n * sizeof *x);
    k->gelu(x, n);
    for (size_t i = 0; i < n; i++)
        check_close(x[i], 0.5 * old[i] * (1 + erf(old[i] / sqrt(2.0))), 1e-6 * (fabs(old[i]) + 1), "gelu(%g)", old[i]);
    check_true(guarded_intact(&g[0]), "wrote outside, n %zu", n);
    free(old);
}

static void silu_mul_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *x = place_filled(0, n, how, at_start), *up = place_filled(1, n, FILL_RANDOM, at_start);
    float *old = malloc(n * sizeof *old);
    for (size_t i = 0; i < n && how == FILL_RANDOM; i++)
        x[i] *= 100.0f;
    memcpy(old, x, n * sizeof *x);
    k->silu_mul(x, up, n);
    for (size_t i = 0; i < n; i++) {
        double value = old[i] / (1 + exp(-(double)old[i])) * up[i];
        double bound = 16 * EPS * fabs(value) + 1e-38 * fabs(old[i]) + 1e-44; /* e^-x is limited to finite values */
        check_close(x[i], value, bound, "silu(%g) * %g", old[i], up[i]);
    }
    check_true(guarded_intact(&g[0]), "wrote outside, n %zu", n);
    free(old);
}

static void add_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *y = place_filled(0, n, how, at_start), *x = place_filled(1, n, FILL_RANDOM, at_start);
    float *old = malloc(n * sizeof *old);
    memcpy(old, y, n * sizeof *y);
    k->add(y, x, n);
    for (size_t i = 0; i < n; i++)
        check_true(y[i] == old[i] + x[i], "element %zu of %zu", i, n);
    check_true(guarded_intact(&g[0]), "wrote outside, n %zu", n);
    free(old);
}

static void rope_case(const kernels *k, size_t half, int how, bool at_start)
{
    float *x = place_filled(0, 2 * half, how, at_start), *c = place(1, half, at_start), *s = place(2, half, at_start);
    float *old = malloc(2 * half * sizeof *old);
    for (size_t i = 0; i < half; i++) {
        float angle = random_float() * 4;
        c[i] = cosf(angle);
        s[i] = sinf(angle);
    }
    memcpy(old, x, 2 * half * sizeof *x);
    k->rope(x, c, s, half);
    for (size_t i = 0; i < half; i++) {
        double a = old[i], b = old[half + i], bound = 4 * EPS * (fabs(a) + fabs(b)) + 1e-44;
        check_close(x[i], a * c[i] - b * s[i], bound, "element %zu of %zu", i, half);
        check_close(x[half + i], b * c[i] + a * s[i], bound, "second element %zu of %zu", i, half);
    }
    check_true(guarded_intact(&g[0]), "wrote outside, half %zu", half);
    free(old);
}

static size_t plain_argmax(const float *x, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (best == n || x[i] > x[best]))
            best = i;
    return best == n ? 0 : best;
}

static void argmax_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *x = place_filled(0, n, how, at_start);
    check_true(k->argmax(x, n) == plain_argmax(x, n), "n %zu, fill %d", n, how);
    static const float odd[] = { NAN, -INFINITY, 3.0f, 3.0f, INFINITY };
    for (size_t kinds = 1; kinds <= ARRAY_LEN(odd); kinds++) { /* only NaN; NaN and -inf; ties; ... */
        for (size_t i = 0; i < n; i++)
            x[i] = odd[random_u32() % kinds];
        check_true(k->argmax(x, n) == plain_argmax(x, n), "n %zu with NaN, ties, infinity (%zu)", n, kinds);
    }
}

static void f16_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *x = place_filled(0, n, how, at_start);
    uint16_t *out = guarded_place(&g[1], n * sizeof *out, sizeof *out, at_start);
    for (size_t i = 0; i < n && how != FILL_LARGE;
         i++) { /* any bits, or values near the range of halves, including ties */
        uint32_t bits = how == FILL_SAME ? random_u32() : 0x33000000 + random_u32() % 0x14800000 / 0x1000 * 0x1000;
        memcpy(x + i, &bits, sizeof bits);
    }
    k->f16_from_f32(out, x, n);
    for (size_t i = 0; i < n; i++) {
        uint16_t h = f16_from_f32(x[i]);
        bool both_nan = isnan(x[i]) && (out[i] & 0x7fff) > 0x7c00;
        check_true(out[i] == h || both_nan, "%a gives %04x, expected %04x", x[i], out[i], h);
    }
    check_true(guarded_intact(&g[1]), "wrote outside, n %zu", n);
}

static void bf16_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *x = place_filled(0, n, how, at_start);
    uint16_t *out = guarded_place(&g[1], n * sizeof *out, sizeof *out, at_start);
    for (size_t i = 0; i < n && how == FILL_SAME; i++) { /* any bits, including ties */
        uint32_t bits = i % 2 ? random_u32() : random_u32() / 0x8000 * 0x8000;
        memcpy(x + i, &bits, sizeof bits);
    }
    k->bf16_from_f32(out, x, n);
    for (size_t i = 0; i < n; i++) {
        uint16_t h = bf16_from_f32(x[i]);
        bool both_nan = isnan(x[i]) && (out[i] & 0x7fff) > 0x7f80;
        bool flushed = fabsf(x[i]) < 0x1p-126f && (out[i] & 0x7fff) == 0;
        check_true(out[i] == h || both_nan || flushed, "%a gives %04x, expected %04x", x[i], out[i], h);
    }
    check_true(guarded_intact(&g[1]), "wrote outside, n %zu", n);
}

static void max_abs_case(const kernels *k, size_t n, int how, bool at_start)
{
    float *x = place_filled(0, n, how, at_start), top = 0;
    for (size_t i = 0; i < n; i++)
        top = fmaxf(top, fabsf(x[i]));
    check_true(k->max_abs(x, n) == top, "n %zu, fill %d", n, how);
    static const float odd[] = { NAN, INFINITY, -INFINITY };
    x[random_u32() % n] = odd[random_u32() % ARRAY_LEN(odd)];
    check_true(k->max_abs(x, n) == INFINITY, "n %zu with an element that is not finite", n);
}

/* m and n vary with k, so that all tile shapes occur. */
static void dots_case(const kernels *k, size_t len, int how, bool at_start)
{
    size_t m = 1 + len % 9, n = 1 + len % 7, ld_a = len + len % 3, ld_b = len + len % 2, ld_out = n + 2;
    float *a = place_filled(0, (m - 1) * ld_a + len, how, at_start),
          *b = place_filled(1, (n - 1) * ld_b + len, FILL_RANDOM, at_start);
    float *out = place(2, (m - 1) * ld_out + n, at_start);
    k->dots(out, ld_out, a, ld_a, b, ld_b, m, n, len);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (size_t c = 0; c < len; c++) {
                sum += (double)a[i * ld_a + c] * b[j * ld_b + c];
                size += fabs((double)a[i * ld_a + c] * b[j * ld_b + c]);
            }
            check_close(out[i * ld_out + j], sum, (8 + (double)len / 4) * EPS * size + 1e-44,
                        "%zu, %zu of %zu x %zu, k %zu", i, j, m, n, len);
            float alone;
            k->dots(&alone, 1, a + i * ld_a, ld_a, b + j * ld_b, ld_b, 1, 1, len);
            check_true(memcmp(&alone, &out[i * ld_out + j], sizeof alone) == 0, "%zu, %zu is another alone, k %zu", i,
                       j, len);
        }
    check_true(guarded_intact(&g[2]), "wrote outside, %zu x %zu, k %zu", m, n, len);
    k->dots(out, ld_out, a, ld_a, b, ld_b, m, n, 0);
    check_true(out[0] == 0 && out[(m - 1) * ld_out + n - 1] == 0, "a sum of nothing is not 0");
}

typedef struct row_kernel {
    const char *name;
    void (*run_case)(const kernels *, size_t n, int how, bool at_start);
    size_t member; /* offset of the pointer in the table */
} row_kernel;

static const row_kernel rows[] = {
    { "rms_norm", rms_norm_case, offsetof(kernels, rms_norm) },
    { "layer_norm", layer_norm_case, offsetof(kernels, layer_norm) },
    { "gelu", gelu_case, offsetof(kernels, gelu) },
    { "silu_mul", silu_mul_case, offsetof(kernels, silu_mul) },
    { "add", add_case, offsetof(kernels, add) },
    { "rope", rope_case, offsetof(kernels, rope) },
    { "argmax", argmax_case, offsetof(kernels, argmax) },
    { "f16_from_f32", f16_case, offsetof(kernels, f16_from_f32) },
    { "bf16_from_f32", bf16_case, offsetof(kernels, bf16_from_f32) },
    { "max_abs", max_abs_case, offsetof(kernels, max_abs) },
    { "dots", dots_case, offsetof(kernels, dots) },
};

static bool same_pointer(const kernels *a, const kernels *b, size_t member)
{
    return memcmp((const char *)a + member, (const char *)b + member, sizeof(void (*)(void))) == 0;
}

void check_rows(const kernels *k, const kernels *lower)
{
    static const size_t longer[] = { 127, 128, 129, 1000, 1024, 3001 };
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        if (!check_kernel(rows[r].name, lower && same_pointer(k, lower, rows[r].member)))
            continue;
        for (int how = 0; how < FILL_COUNT; how++) {
            for (size_t n = 1; n <= 70; n++)
                rows[r].run_case(k, n, how, n % 2);
            for (size_t i = 0; i < ARRAY_LEN(longer); i++)
                rows[r].run_case(k, longer[i], how, false);
        }
        verdict();
    }
    for (int i = 0; i < 4; i++)
        guarded_free(&g[i]);
}

/* ---- timing ---- */

enum { N = 3072, VOCABULARY = 151936 };

typedef struct row_bench {
    const kernels *k;
    float *x, *y, *z, *w;
    size_t sink;
} row_bench;

static void run_rms_norm(void *p)
{
    row_bench *b = p;
    b->k->rms_norm(b->y, b->x, b->w, N, 1e-6f);
}
static void run_layer_norm(void *p)
{
    row_bench *b = p;
    b->k->layer_norm(b->y, b->x, b->w, b->z, N, 1e-6f);
}
static void run_gelu(void *p)
{
    row_bench *b = p;
    b->k->gelu(b->y, N);
}
static void run_silu_mul(void *p)
{
    row_bench *b = p;
    b->k->silu_mul(b->y, b->w, N);
}
static void run_add(void *p)
{
    row_bench *b = p;
    b->k->add(b->y, b->w, N);
}
static void run_rope(void *p)
{
    row_bench *b = p;
    b->k->rope(b->y, b->w, b->z, N / 2);
}
static void run_argmax(void *p)
{
    row_bench *b = p;
    b->sink += b->k->argmax(b->x, VOCABULARY);
}
static void run_f16(void *p)
{
    row_bench *b = p;
    b->k->f16_from_f32((uint16_t *)b->y, b->x, N);
}
static void run_dots(void *p)
{
    row_bench *b = p;
    b->k->dots(b->y, 16, b->x, N, b->x, N, 16, 16, N);
}
static void run_max_abs(void *p)
{
    row_bench *b = p;
    b->sink += b->k->max_abs(b->x, N) > 0.5f;
}

void bench_rows(const kernels *k)
{
    static const struct {
        const char *name;
        void (*run)(void *);
        double bytes;
    } benches[] = {
        { "rms_norm 3072", run_rms_norm, 12.0 * N },
        { "layer_norm 3072", run_layer_norm, 16.0 * N },
        { "gelu 3072", run_gelu, 8.0 * N },
        { "silu_mul 3072", run_silu_mul, 12.0 * N },
        { "add 3072", run_add, 12.0 * N },
        { "rope 3072", run_rope, 12.0 * N },
        { "argmax 151936", run_argmax, 4.0 * VOCABULARY },
        { "f16_from_f32 3072", run_f16, 6.0 * N },
        { "max_abs 3072", run_max_abs, 4.0 * N },
    };
    row_bench b = { .k = k };
    b.x = malloc(VOCABULARY * sizeof(float));
    b.y = malloc(N * sizeof(float));
    b.z = malloc(N * sizeof(float));
    b.w = malloc(N * sizeof(float));
    fill_floats(b.x, VOCABULARY, FILL_RANDOM);
    for (size_t i = 0; i < ARRAY_LEN(benches); i++) {
        fill_floats(b.y, N, FILL_RANDOM);
        fill_floats(b.z, N, FILL_RANDOM);
        fill_floats(b.w, N, FILL_RANDOM);
        bench(benches[i].name, benches[i].run, &b, benches[i].bytes, 0);
    }
    bench("dots 16x16x3072", run_dots, &b, 8.0 * 16 * N, 2.0 * 16 * 16 * N);
    free(b.x);
    free(b.y);
    free(b.z);
    free(b.w);
}
