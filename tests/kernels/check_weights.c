/* Dequantization, quantization of activations, and products of weight rows with them. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static guarded gw, gx, go;

enum { EVERY_HALF = 65536 }; /* as a length: covers all bit patterns of 16-bit types */

static bool same_bits_or_nan(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

static void check_dequantize(const kernels *k, quant_type t, size_t n, int how, bool at_start)
{
    const quant_info *q = quant_get(t);
    size_t align = t == QUANT_F32 ? 4 : 2;
    uint8_t *w = guarded_place(&gw, quant_row_bytes(q, n), align, at_start);
    float *out = guarded_place(&go, n * sizeof *out, sizeof *out, at_start), *expected = malloc(n * sizeof *expected);
    fill_blocks(t, w, n, how);
    for (size_t i = 0; i < n && n == EVERY_HALF; i++) {
        uint16_t h = (uint16_t)i;
        memcpy(w + 2 * i, &h, sizeof h);
    }
    k->dequantize[t](out, w, n);
    q->dequantize(expected, w, n);
    check_true(same_bits_or_nan(out, expected, n), "differs from the reference, n %zu, fill %d", n, how);
    check_true(guarded_intact(&go), "wrote outside, n %zu", n);
    free(expected);
}

/* The position of element i in a row of runs. */
static const int16_t *run_element(const act_run *runs, size_t i)
{
    size_t e = i % ACT_RUN, half = e % QK / 16, odd = e % 2;
    return &runs[i / ACT_RUN].v[e / 128][2 * odd + half][8 * (e % 128 / QK) + e % 16 / 2];
}

/* The definition of the form in kernels.h, one element at a time. */
static void reference_runs(act_run *out, const float *x, size_t n)
{
    memset(out, 0, (n + ACT_RUN - 1) / ACT_RUN * sizeof *out);
    for (size_t first = 0; first < n; first += ACT_RUN) {
        size_t m = n - first < ACT_RUN ? n - first : ACT_RUN;
        act_run *run = out + first / ACT_RUN;
        float top = 0;
        for (size_t i = 0; i < m; i++)
            top = fmaxf(top, fabsf(x[first + i]));
        if (top < ACT_MIN)
            continue;
        run->d = top / ACT_RUN_MAX;
        for (size_t i = 0; i < m; i++)
            *(int16_t *)(uintptr_t)run_element(out, first + i) = (int16_t)rintf(x[first + i] * (ACT_RUN_MAX / top));
        for (size_t i = 0; i < 2 * 2 * 16; i++) {
            const int16_t *a = run->v[i / 32][i / 16 % 2] + i % 16 * 2,
                          *b = run->v[i / 32][2 + i / 16 % 2] + i % 16 * 2;
            run->sum[i / 32][i / 16 % 2][i % 16] = a[0] + a[1] + b[0] + b[1];
        }
    }
}

/* The values of quantized activations. */
static void act_numbers(const kernels *k, quant_type t, double *out, const void *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const act_block *b = (const act_block *)x + i / QK;
        if (t <= QUANT_BF16)
            out[i] = ((const float *)x)[i];
        else if (k->act_form == ACT_RUNS)
            out[i] = (double)((const act_run *)x)[i / ACT_RUN].d * *run_element(x, i);
        else
            out[i] = (double)b->d * (256 * b->hi[i % QK] + b->lo[i % QK]);
    }
}

static bool same_act(const kernels *k, const void *a, const void *b, size_t n)
{
    if (k->act_form == ACT_BLOCKS)
        return memcmp(a, b, n / QK * sizeof(act_block)) == 0;
    for (size_t i = 0; i < (n + ACT_RUN - 1) / ACT_RUN; i++) /* without the padding of the struct */
        if (memcmp((const act_run *)a + i, (const act_run *)b + i, offsetof(act_run, d) + sizeof(float)) != 0)
            return false;
    return true;
}

static void check_quantize_act(const kernels *k, size_t n, int how, bool at_start)
{
    size_t bytes = kernels_act_bytes(k, QUANT_Q8_0, n);
    float *x = guarded_place(&gx, n * sizeof *x, sizeof *x, at_start);
    void *out = guarded_place(&go, bytes, k->act_form == ACT_RUNS ? 64 : 4, at_start),
         *expected = aligned_alloc(64, (bytes + 63) / 64 * 64);
    double *number = malloc(n * sizeof *number);
    fill_floats(x, n, how);
    if (how == FILL_RANDOM)
        for (size_t i = 0; i < n; i += 5) /* ties: multiples of half a step, for a maximum of 1 */
            x[i] = (float)((int)(random_u32() % 65278) - 32639) / 65278.0f;
    k->quantize_act(out, x, n);
    if (k->act_form == ACT_RUNS)
        reference_runs(expected, x, n);
    else
        kernels_get(CPU_SCALAR)->quantize_act(expected, x, n);
    check_true(same_act(k, out, expected, n), "differs from the reference, n %zu, fill %d", n, how);
    check_true(guarded_intact(&go), "wrote outside, n %zu", n);
    act_numbers(k, QUANT_Q8_0, number, out, n);
    for (size_t i = 0; i < n; i++) {
        float d = k->act_form == ACT_RUNS ? ((act_run *)out)[i / ACT_RUN].d : ((act_block *)out)[i / QK].d;
        check_close(number[i], x[i], d == 0.0f ? 0x1p-100 : 0.501 * d + 4 * EPS * fabsf(x[i]), "element %zu", i);
    }
    for (size_t i = 0; k->act_form == ACT_BLOCKS && i < n; i += 16) {
        const act_block *b = (const act_block *)out + i / QK;
        int32_t sum = 0;
        for (size_t u = i % QK; u < i % QK + 16; u++)
            sum += 256 * b->hi[u] + b->lo[u];
        check_true(sum == b->sum[i % QK / 16], "sum of elements from %zu", i);
    }
    free(number);
    free(expected);
}

void check_weights(const kernels *k, const kernels *lower)
{
    char name[48];
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        snprintf(name, sizeof name, "dequantize_%s", q->name);
        if (!check_kernel(name, lower && k->dequantize[t] == lower->dequantize[t]))
            continue;
        for (size_t blocks = 1; blocks < (q->block == 1 ? 300 : 12); blocks++)
            for (int how = 0; how < FILL_COUNT; how++)
                check_dequantize(k, (quant_type)t, blocks * q->block, how, (blocks + (size_t)how) % 2);
        if (t == QUANT_F16 || t == QUANT_BF16)
            check_dequantize(k, (quant_type)t, EVERY_HALF, FILL_RANDOM, false);
        verdict();
    }
    if (check_kernel("quantize_act", lower && k->quantize_act == lower->quantize_act)) {
        for (size_t blocks = 1; blocks < 40; blocks++)
            for (int how = 0; how < FILL_COUNT; how++)
                check_quantize_act(k, blocks * QK, how, blocks % 2);
        verdict();
    }
}

/* ---- gemv ---- */

/* The minima alone: dequantizes the blocks with all quants 0. */
static void minima(quant_type t, float *out, const uint8_t *blocks, size_t n)
{
    const quant_info *q = quant_get(t);
    unsigned keep = t == QUANT_Q4_1 || t == QUANT_Q5_1 ? 4 : 16; /* d, m, and the scales of superblocks */
    uint8_t zeroed[sizeof(block_q5_k)] = { 0 };
    for (size_t i = 0; i < n; i += q->block) {
        memcpy(zeroed, blocks + quant_row_bytes(q, i), keep);
        q->dequantize(out + i, zeroed, q->block);
    }
}

static void fill_act(const kernels *k, quant_type t, void *out, size_t n, int how)
{
    float *x = malloc(n * sizeof *x);
    fill_floats(x, n, how);
    if (t <= QUANT_BF16)
        memcpy(out, x, n * sizeof *x);
    else
        k->quantize_act(out, x, n);
    free(x);
}

typedef struct gemv_case {
    quant_type t;
    size_t n, k, m;
    int how_w, how_x;
    bool at_start;
} gemv_case;

/* Bound: 48 roundings of every |w x|, which covers chains of k / 16 sums for the shapes checked. */
static void compare_product(const kernels *k, const gemv_case *c, const float *out, size_t ld_out, const uint8_t *w,
                            const uint8_t *x)
{
    const quant_info *q = quant_get(c->t);
    float *value = malloc(c->k * sizeof *value), *min = calloc(c->k, sizeof *min);
    double *act = malloc(c->k * sizeof *act);
    for (size_t j = 0; j < c->m; j++) {
        act_numbers(k, c->t, act, x + j * kernels_act_bytes(k, c->t, c->k), c->k);
        for (size_t r = 0; r < c->n; r++) {
            const uint8_t *row = w + r * quant_row_bytes(q, c->k);
            q->dequantize(value, row, c->k);
            if (quant_has_min(c->t))
                minima(c->t, min, row, c->k);
            double sum = 0, size = 0;
            for (size_t i = 0; i < c->k; i++) {
                sum += value[i] * act[i];
                size += (fabs((double)value[i] - min[i]) + fabs(min[i])) * fabs(act[i]);
            }
            check_close(out[j * ld_out + r], sum, 48 * EPS * size + 1e-42,
                        "row %zu of %zu, act %zu of %zu, k %zu, fills %d %d", r, c->n, j, c->m, c->k, c->how_w,
                        c->how_x);
        }
    }
    free(value);
    free(min);
    free(act);
}

/* Each element has the same bits in a separate call. */
static void compare_split(const kernels *k, const gemv_case *c, const float *out, size_t ld_out, const uint8_t *w,
                          const uint8_t *x)
{
    size_t row_bytes = quant_row_bytes(quant_get(c->t), c->k), x_bytes = kernels_act_bytes(k, c->t, c->k);
    for (size_t j = 0; j < c->m; j++)
        for (size_t r = 0; r < c->n; r++) {
            float alone;
            k->gemv[c->t](&alone, 1, w + r * row_bytes, x + j * x_bytes, 1, c->k, 1);
            check_true(memcmp(&alone, out + j * ld_out + r, sizeof alone) == 0,
                       "row %zu of %zu, act %zu of %zu is another alone", r, c->n, j, c->m);
        }
}

static void check_product(const kernels *k, const gemv_case *c)
{
    enum { LD_EXTRA = 2 };
    size_t ld_out = c->n + LD_EXTRA, x_bytes = kernels_act_bytes(k, c->t, c->k);
    size_t out_len = (c->m - 1) * ld_out + c->n, align = c->t == QUANT_F32 ? 4 : 2;
    uint8_t *w = guarded_place(&gw, c->n * quant_row_bytes(quant_get(c->t), c->k), align, c->at_start);
    uint8_t *x = guarded_place(&gx, c->m * x_bytes, k->act_form == ACT_RUNS ? 64 : 4, c->at_start);
    float *out = guarded_place(&go, out_len * sizeof *out, sizeof *out, c->at_start);
    fill_blocks(c->t, w, c->n * c->k, c->how_w);
    for (size_t j = 0; j < c->m; j++)
        fill_act(k, c->t, x + j * x_bytes, c->k, c->how_x);
    k->gemv[c->t](out, ld_out, w, x, c->n, c->k, c->m);
    check_true(guarded_intact(&go), "wrote outside, n %zu k %zu m %zu", c->n, c->k, c->m);
    for (size_t j = 0; j + 1 < c->m; j++)
        check_true(is_poison(out + j * ld_out + c->n, LD_EXTRA * sizeof *out), "wrote between rows");
    compare_product(k, c, out, ld_out, w, x);
    compare_split(k, c, out, ld_out, w, x);
}

void check_gemv(const kernels *k, const kernels *lower)
{
    static const size_t ks[] = { 1, 2, 3, 4, 5, 7, 12 }, odd_ks[] = { 1, 3, 15, 16, 17, 33, 63, 64, 65, 129, 1000 };
    char name[48];
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        snprintf(name, sizeof name, "gemv_%s", q->name);
        if (!check_kernel(name, lower && k->gemv[t] == lower->gemv[t]))
            continue;
        size_t n_ks = q->block == 1 ? ARRAY_LEN(odd_ks) : ARRAY_LEN(ks);
        for (size_t i = 0; i < n_ks; i++)
            for (size_t m = 1; m <= GEMV_MAX_ROWS; m++)
                for (int fill = 0; fill < FILL_COUNT; fill++) {
                    size_t kk = q->block == 1 ? odd_ks[i] : ks[i] * q->block;
                    gemv_case c = {
                        (quant_type)t,   1 + random_u32() % 11, kk, m, fill, (int)(random_u32() % FILL_COUNT),
                        random_u32() % 2
                    };
                    check_product(k, &c);
                }
        check_product(k, &(gemv_case){ (quant_type)t, 9, 3072, 3, FILL_RANDOM, FILL_RANDOM, false });
        check_product(k, &(gemv_case){ (quant_type)t, 6, 6144, 1, FILL_SAME, FILL_SAME, false });
        verdict();
    }
    guarded_free(&gw);
    guarded_free(&gx);
    guarded_free(&go);
}

/* ---- timing ---- */

typedef struct weight_bench {
    const kernels *k;
    quant_type t;
    uint8_t *w;
    void *x;
    float *out;
    size_t n, kk, m;
} weight_bench;

static void run_gemv(void *arg)
{
    weight_bench *b = arg;
    b->k->gemv[b->t](b->out, b->n, b->w, b->x, b->n, b->kk, b->m);
}

static void run_dequantize(void *arg)
{
    weight_bench *b = arg;
    b->k->dequantize[b->t](b->out, b->w, b->n * b->kk);
}

static void run_quantize_act(void *arg)
{
    weight_bench *b = arg;
    b->k->quantize_act(b->x, b->out, b->kk);
}

static void bench_gemv(weight_bench *b, const char *where)
{
    char name[64];
    const quant_info *q = quant_get(b->t);
    double bytes = (double)(b->n * quant_row_bytes(q, b->kk));
    snprintf(name, sizeof name, "gemv_%s %zux%zu m %zu %s", q->name, b->n, b->kk, b->m, where);
    bench(name, run_gemv, b, bytes, 2.0 * (double)(b->n * b->kk * b->m));
}

void bench_weights(const kernels *k)
{
    enum { K = 1024, LARGE = 128 << 20 }; /* much larger than the last-level cache */
    weight_bench b = { .k = k, .kk = K };
    b.w = aligned_alloc(64, LARGE);
    b.out = aligned_alloc(64, 256 * K * sizeof(float));
    b.x = aligned_alloc(64, GEMV_MAX_ROWS * K * sizeof(float)); /* enough for every form */
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        size_t row = quant_row_bytes(q, K), block = 64 * row;
        b.t = (quant_type)t;
        fill_blocks(b.t, b.w, 64 * K, FILL_RANDOM);
        for (size_t at = block; at < LARGE; at += block) /* repeats a template: speed does not depend on values */
            memcpy(b.w + at, b.w, at + block <= LARGE ? block : LARGE - at);
        for (size_t j = 0; j < GEMV_MAX_ROWS; j++)
            fill_act(k, b.t, (uint8_t *)b.x + j * kernels_act_bytes(k, b.t, K), K, FILL_RANDOM);
        b.m = 1;
        b.n = (256 << 10) / row;
        bench_gemv(&b, "L2");
        b.n = LARGE / row < 200000 ? LARGE / row : 200000;
        bench_gemv(&b, "DRAM");
        b.n = (256 << 10) / row;
        b.m = 8;
        bench_gemv(&b, "L2");
        char name[48];
        b.n = 64;
        snprintf(name, sizeof name, "dequantize_%s", q->name);
        bench(name, run_dequantize, &b, (double)(b.n * (row + K * sizeof(float))), 0);
    }
    fill_floats(b.out, K, FILL_RANDOM);
    bench("quantize_act 1024", run_quantize_act, &b, K * (double)sizeof(float), 0);
    free(b.w);
    free(b.x);
    free(b.out);
}
