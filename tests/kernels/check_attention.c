/* One head of attention, both kernels, against softmax in double. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static guarded gq, gk, gv, go;

typedef void (*attention_fn)(const attn_args *a);

typedef struct attn_case {
    size_t n_q, n_kv, head_dim, first;
    int causal;
    quant_type kv_type;
    int how;
    float sharp; /* factor on q: with large values softmax becomes a maximum */
} attn_case;

static double kv_at(const attn_args *a, const void *base, size_t row, size_t d)
{
    const unsigned char *p = (const unsigned char *)base + row * a->kv_stride;
    if (a->kv_type == QUANT_Q8_0) {
        const block_q8_0 *block = (const block_q8_0 *)(const void *)p + d / QK;
        return (double)f32_from_f16(block->d) * block->qs[d % QK];
    }
    return a->kv_type == QUANT_F16 ? f32_from_f16(((const uint16_t *)(const void *)p)[d])
                                   : ((const float *)(const void *)p)[d];
}

static size_t visible(const attn_args *a, size_t i)
{
    return a->causal && a->first + i + 1 < a->n_kv ? a->first + i + 1 : a->n_kv;
}

/* Expected row i, and how much one rounding in every score may change it. */
static void reference_row(const attn_args *a, size_t i, double *out, double *bound)
{
    size_t seen = visible(a, i);
    double *score = malloc(seen * sizeof *score), top = -INFINITY, size = 0, sum = 0;
    for (size_t j = 0; j < seen; j++) {
        double s = 0, abs_sum = 0;
        for (size_t d = 0; d < a->head_dim; d++) {
            s += (double)a->q[i * a->ld_q + d] * kv_at(a, a->k, j, d);
            abs_sum += fabs((double)a->q[i * a->ld_q + d] * kv_at(a, a->k, j, d));
        }
        score[j] = s * a->scale;
        top = fmax(top, score[j]);
        size = fmax(size, abs_sum * a->scale);
    }
    for (size_t j = 0; j < seen; j++)
        sum += score[j] = exp(score[j] - top);
    for (size_t d = 0; d < a->head_dim; d++) {
        double value = 0, abs_value = 0;
        for (size_t j = 0; j < seen; j++) {
            value += score[j] / sum * kv_at(a, a->v, j, d);
            abs_value += score[j] / sum * fabs(kv_at(a, a->v, j, d));
        }
        out[d] = value;
        bound[d] = (32 + 16 * size) * EPS * abs_value + 1e-40;
    }
    free(score);
}

/* Alignment of rows of a type. */
static size_t kv_align(quant_type type) { return type == QUANT_F32 ? 4 : 2; }

static void *place_kv(guarded *g, const attn_case *c, size_t stride, bool at_start)
{
    const quant_info *q = quant_get(c->kv_type);
    unsigned char *p =
        guarded_place(g, (c->n_kv - 1) * stride + quant_row_bytes(q, c->head_dim), kv_align(c->kv_type), at_start);
    float *x = malloc(c->head_dim * sizeof *x);
    for (size_t i = 0; i < c->n_kv; i++) {
        fill_floats(x, c->head_dim, c->how);
        q->quantize(p + i * stride, x, c->head_dim);
    }
    free(x);
    return p;
}

/* gcc 12 for ARM crashes when it vectorizes code inlined here. */
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("no-tree-vectorize")))
#endif
static void
check_case(attention_fn run, const attn_case *c, bool at_start)
{
    attn_args a = { .ld_out = c->head_dim + 5,
                    .ld_q = c->head_dim + 3,
                    .n_q = c->n_q,
                    .kv_type = c->kv_type,
                    .kv_stride = quant_row_bytes(quant_get(c->kv_type), c->head_dim) + kv_align(c->kv_type),
                    .n_kv = c->n_kv,
                    .head_dim = c->head_dim,
                    .first = c->first,
                    .causal = c->causal,
                    .scale = 1.0f / sqrtf((float)c->head_dim) };
    size_t q_len = (c->n_q - 1) * a.ld_q + c->head_dim, out_len = (c->n_q - 1) * a.ld_out + c->head_dim;
    float *q = guarded_place(&gq, q_len * sizeof *q, sizeof *q, at_start);
    fill_floats(q, q_len, FILL_RANDOM);
    for (size_t i = 0; i < q_len; i++)
        q[i] *= c->sharp;
    a.q = q;
    a.k = place_kv(&gk, c, a.kv_stride, at_start);
    a.v = place_kv(&gv, c, a.kv_stride, !at_start);
    a.out = guarded_place(&go, out_len * sizeof(float), sizeof(float), at_start);
    run(&a);
    check_true(guarded_intact(&go), "wrote outside, %zu queries, %zu keys", c->n_q, c->n_kv);
    for (size_t i = 0; i < c->n_q; i++) {
        double expected[ATTN_MAX_HEAD_DIM], bound[ATTN_MAX_HEAD_DIM];
        reference_row(&a, i, expected, bound);
        for (size_t d = 0; d < c->head_dim; d++)
            check_close(a.out[i * a.ld_out + d], expected[d], bound[d],
                        "row %zu of %zu, element %zu, %zu keys, head %zu", i, c->n_q, d, c->n_kv, c->head_dim);
        if (i + 1 < c->n_q)
            check_true(is_poison(a.out + i * a.ld_out + c->head_dim, 5 * sizeof(float)), "wrote between rows");
        float alone[ATTN_MAX_HEAD_DIM]; /* the same row in a separate call */
        attn_args one = a;
        one.n_q = 1;
        one.q = a.q + i * a.ld_q;
        one.first = a.first + i;
        one.out = alone;
        run(&one);
        check_true(memcmp(alone, a.out + i * a.ld_out, c->head_dim * sizeof(float)) == 0,
                   "row %zu of %zu is another alone, %zu keys", i, c->n_q, c->n_kv);
    }
}

static void check_cases(attention_fn run, const attn_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int at_start = 0; at_start < 2; at_start++)
            check_case(run, &cases[i], at_start);
    verdict();
    guarded_free(&gq);
    guarded_free(&gk);
    guarded_free(&gv);
    guarded_free(&go);
}

void check_attention(const kernels *k, const kernels *lower)
{
    static const attn_case cases[] = {
        { 1, 1, 16, 0, 0, QUANT_F32, FILL_RANDOM, 1 },       { 1, 5, 64, 4, 1, QUANT_F16, FILL_RANDOM, 1 },
        { 7, 63, 48, 0, 0, QUANT_F32, FILL_RANDOM, 1 },      { 13, 64, 80, 51, 1, QUANT_F32, FILL_RANDOM, 1 },
        { 49, 65, 64, 16, 1, QUANT_F16, FILL_RANDOM, 1 },    { 104, 104, 64, 0, 0, QUANT_F32, FILL_RANDOM, 1 },
        { 130, 200, 128, 70, 1, QUANT_F16, FILL_RANDOM, 1 }, { 97, 97, 128, 0, 1, QUANT_F32, FILL_RANDOM, 20 },
        { 5, 300, 256, 295, 1, QUANT_F16, FILL_RANDOM, 1 },  { 2, 517, 128, 0, 0, QUANT_F16, FILL_RANDOM, 50 },
        { 6, 130, 112, 0, 0, QUANT_F32, FILL_ZERO, 1 },      { 6, 130, 32, 0, 0, QUANT_F32, FILL_TINY, 1 },
        { 9, 140, 64, 100, 1, QUANT_F32, FILL_SAME, 1 },     { 3, 70, 64, 0, 1, QUANT_F16, FILL_OUTLIER, 1 },
        { 50, 20, 16, 0, 1, QUANT_F32, FILL_RANDOM, 1 },     { 70, 200, 128, 130, 1, QUANT_Q8_0, FILL_RANDOM, 1 },
        { 4, 67, 96, 0, 0, QUANT_Q8_0, FILL_RANDOM, 20 },
    };
    static const attn_case step_cases[] = {
        { 1, 1, 16, 0, 0, QUANT_F32, FILL_RANDOM, 1 },     { 2, 5, 64, 0, 0, QUANT_F16, FILL_RANDOM, 1 },
        { 3, 63, 48, 0, 0, QUANT_F16, FILL_RANDOM, 1 },    { 2, 64, 128, 0, 0, QUANT_F16, FILL_RANDOM, 1 },
        { 8, 65, 128, 0, 0, QUANT_F32, FILL_RANDOM, 1 },   { 1, 300, 256, 0, 0, QUANT_F16, FILL_RANDOM, 1 },
        { 2, 517, 128, 0, 0, QUANT_F16, FILL_RANDOM, 50 }, { 5, 130, 112, 0, 0, QUANT_F32, FILL_ZERO, 1 },
        { 2, 140, 80, 0, 0, QUANT_F32, FILL_SAME, 1 },     { 3, 70, 64, 0, 0, QUANT_F16, FILL_OUTLIER, 1 },
        { 2, 129, 32, 0, 0, QUANT_Q8_0, FILL_RANDOM, 1 },  { 3, 450, 128, 0, 0, QUANT_Q8_0, FILL_RANDOM, 20 },
        { 1, 130, 32, 0, 0, QUANT_F32, FILL_TINY, 1 },
    };
    if (check_kernel("attention", lower && k->attention == lower->attention))
        check_cases(k->attention, cases, ARRAY_LEN(cases));
    if (check_kernel("attention_step", lower && k->attention_step == lower->attention_step))
        check_cases(k->attention_step, step_cases, ARRAY_LEN(step_cases));
}

typedef struct attn_bench {
    attention_fn run;
    attn_args a;
} attn_bench;

static void run_attention(void *arg)
{
    attn_bench *b = arg;
    b->run(&b->a);
}

void bench_attention(const kernels *k)
{
    const struct {
        const char *name;
        attention_fn run;
        attn_case c;
    } benches[] = {
        { "attention prefill 405 f16", k->attention, { 405, 405, 128, 0, 1, QUANT_F16, 0, 1 } },
        { "attention prefill 405 f32", k->attention, { 405, 405, 128, 0, 1, QUANT_F32, 0, 1 } },
        { "attention prefill 405 q8_0", k->attention, { 405, 405, 128, 0, 1, QUANT_Q8_0, 0, 1 } },
        { "attention encoder 104 f32", k->attention, { 104, 104, 64, 0, 0, QUANT_F32, 0, 1 } },
        { "attention_step 1x500 f16", k->attention_step, { 1, 500, 128, 0, 0, QUANT_F16, 0, 1 } },
        { "attention_step 2x500 f16", k->attention_step, { 2, 500, 128, 0, 0, QUANT_F16, 0, 1 } },
        { "attention_step 2x500 f32", k->attention_step, { 2, 500, 128, 0, 0, QUANT_F32, 0, 1 } },
        { "attention_step 2x500 q8_0", k->attention_step, { 2, 500, 128, 0, 0, QUANT_Q8_0, 0, 1 } },
        { "attention      2x500 f16", k->attention, { 2, 500, 128, 0, 0, QUANT_F16, 0, 1 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(benches); i++) {
        const attn_case *c = &benches[i].c;
        size_t stride = quant_row_bytes(quant_get(c->kv_type), c->head_dim);
        attn_bench b = { .run = benches[i].run,
                         .a = { .ld_out = c->head_dim,
                                .ld_q = c->head_dim,
                                .kv_stride = stride,
                                .n_q = c->n_q,
                                .n_kv = c->n_kv,
                                .head_dim = c->head_dim,
                                .causal = c->causal,
                                .kv_type = c->kv_type,
                                .scale = 0.1f } };
        float *q = malloc(c->n_q * c->head_dim * sizeof *q);
        fill_floats(q, c->n_q * c->head_dim, FILL_RANDOM);
        b.a.q = q;
        b.a.out = malloc(c->n_q * c->head_dim * sizeof(float));
        b.a.k = place_kv(&gk, c, stride, false);
        b.a.v = place_kv(&gv, c, stride, false);
        double seen = 0;
        for (size_t r = 0; r < c->n_q; r++)
            seen += (double)visible(&b.a, r);
        bench(benches[i].name, run_attention, &b, (double)(2 * c->n_kv * stride), 4.0 * seen * (double)c->head_dim);
        free(q);
        free(b.a.out);
    }
    guarded_free(&gk);
    guarded_free(&gv);
}
