/* One head of attention against softmax in double. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static guarded gq, gk, gv, go;

typedef struct attn_case {
    size_t n_q, n_kv, head_dim, first;
    int causal, kv_f16, how;
    float sharp; /* factor on q: large values make the softmax a maximum */
} attn_case;

static double kv_at(const attn_args *a, const void *base, size_t row, size_t d)
{
    size_t at = row * a->ld_kv + d;
    return a->kv_f16 ? f32_from_f16(((const uint16_t *)base)[at]) : ((const float *)base)[at];
}

static size_t visible(const attn_args *a, size_t i)
{
    return a->causal && a->first + i + 1 < a->n_kv ? a->first + i + 1 : a->n_kv;
}

/* Expected row i, and what an error of one rounding in every score may change it by. */
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

static void *place_kv(guarded *g, const attn_case *c, size_t ld, bool at_start)
{
    size_t len = (c->n_kv - 1) * ld + c->head_dim, bytes = c->kv_f16 ? 2 : 4;
    void *p = guarded_place(g, len * bytes, bytes, at_start);
    float *x = malloc(len * sizeof *x);
    fill_floats(x, len, c->how);
    for (size_t i = 0; i < len; i++) {
        if (c->kv_f16)
            ((uint16_t *)p)[i] = f16_from_f32(x[i]);
        else
            ((float *)p)[i] = x[i];
    }
    free(x);
    return p;
}

static void check_case(const kernels *k, const attn_case *c, bool at_start)
{
    attn_args a = { .ld_out = c->head_dim + 5, .ld_q = c->head_dim + 3, .ld_kv = c->head_dim + 1, .n_q = c->n_q,
                    .n_kv = c->n_kv, .head_dim = c->head_dim, .first = c->first, .causal = c->causal,
                    .kv_f16 = c->kv_f16, .scale = 1.0f / sqrtf((float)c->head_dim) };
    size_t q_len = (c->n_q - 1) * a.ld_q + c->head_dim, out_len = (c->n_q - 1) * a.ld_out + c->head_dim;
    float *q = guarded_place(&gq, q_len * sizeof *q, sizeof *q, at_start);
    fill_floats(q, q_len, FILL_RANDOM);
    for (size_t i = 0; i < q_len; i++)
        q[i] *= c->sharp;
    a.q = q;
    a.k = place_kv(&gk, c, a.ld_kv, at_start);
    a.v = place_kv(&gv, c, a.ld_kv, !at_start);
    a.out = guarded_place(&go, out_len * sizeof(float), sizeof(float), at_start);
    k->attention(&a);
    check_true(guarded_intact(&go), "wrote outside, %zu queries, %zu keys", c->n_q, c->n_kv);
    for (size_t i = 0; i < c->n_q; i++) {
        double expected[ATTN_MAX_HEAD_DIM], bound[ATTN_MAX_HEAD_DIM];
        reference_row(&a, i, expected, bound);
        for (size_t d = 0; d < c->head_dim; d++)
            check_close(a.out[i * a.ld_out + d], expected[d], bound[d], "row %zu of %zu, element %zu, %zu keys, head %zu", i,
                        c->n_q, d, c->n_kv, c->head_dim);
        if (i + 1 < c->n_q)
            check_true(is_poison(a.out + i * a.ld_out + c->head_dim, 5 * sizeof(float)), "wrote between rows");
        float alone[ATTN_MAX_HEAD_DIM]; /* the same row as a call of its own */
        attn_args one = a;
        one.n_q = 1;
        one.q = a.q + i * a.ld_q;
        one.first = a.first + i;
        one.out = alone;
        k->attention(&one);
        check_true(memcmp(alone, a.out + i * a.ld_out, c->head_dim * sizeof(float)) == 0,
                   "row %zu of %zu is another alone, %zu keys", i, c->n_q, c->n_kv);
    }
}

void check_attention(const kernels *k, const kernels *lower)
{
    static const attn_case cases[] = {
        { 1, 1, 16, 0, 0, 0, FILL_RANDOM, 1 },     { 1, 5, 64, 4, 1, 1, FILL_RANDOM, 1 },
        { 7, 63, 48, 0, 0, 0, FILL_RANDOM, 1 },    { 13, 64, 80, 51, 1, 0, FILL_RANDOM, 1 },
        { 49, 65, 64, 16, 1, 1, FILL_RANDOM, 1 },  { 104, 104, 64, 0, 0, 0, FILL_RANDOM, 1 },
        { 130, 200, 128, 70, 1, 1, FILL_RANDOM, 1 }, { 97, 97, 128, 0, 1, 0, FILL_RANDOM, 20 },
        { 5, 300, 256, 295, 1, 1, FILL_RANDOM, 1 }, { 2, 517, 128, 0, 0, 1, FILL_RANDOM, 50 },
        { 6, 130, 112, 0, 0, 0, FILL_ZERO, 1 },    { 6, 130, 32, 0, 0, 0, FILL_TINY, 1 },
        { 9, 140, 64, 100, 1, 0, FILL_SAME, 1 },   { 3, 70, 64, 0, 1, 1, FILL_OUTLIER, 1 },
        { 50, 20, 16, 0, 1, 0, FILL_RANDOM, 1 },
    };
    if (!check_kernel("attention", lower && k->attention == lower->attention))
        return;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int at_start = 0; at_start < 2; at_start++)
            check_case(k, &cases[i], at_start);
    verdict();
    guarded_free(&gq);
    guarded_free(&gk);
    guarded_free(&gv);
    guarded_free(&go);
}

typedef struct attn_bench {
    const kernels *k;
    attn_args a;
} attn_bench;

static void run_attention(void *arg)
{
    attn_bench *b = arg;
    b->k->attention(&b->a);
}

void bench_attention(const kernels *k)
{
    static const struct { const char *name; attn_case c; } benches[] = {
        { "attention prefill 405 f16", { 405, 405, 128, 0, 1, 1, 0, 1 } },
        { "attention prefill 405 f32", { 405, 405, 128, 0, 1, 0, 0, 1 } },
        { "attention encoder 104 f32", { 104, 104, 64, 0, 0, 0, 0, 1 } },
        { "attention decode 1x500 f16", { 1, 500, 128, 0, 0, 1, 0, 1 } },
        { "attention decode 2x500 f16", { 2, 500, 128, 0, 0, 1, 0, 1 } },
        { "attention decode 1x500 f32", { 1, 500, 128, 0, 0, 0, 0, 1 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(benches); i++) {
        const attn_case *c = &benches[i].c;
        attn_bench b = { .k = k, .a = { .ld_out = c->head_dim, .ld_q = c->head_dim, .ld_kv = c->head_dim, .n_q = c->n_q,
                         .n_kv = c->n_kv, .head_dim = c->head_dim, .causal = c->causal, .kv_f16 = c->kv_f16, .scale = 0.1f } };
        float *q = malloc(c->n_q * c->head_dim * sizeof *q);
        fill_floats(q, c->n_q * c->head_dim, FILL_RANDOM);
        b.a.q = q;
        b.a.out = malloc(c->n_q * c->head_dim * sizeof(float));
        b.a.k = place_kv(&gk, c, c->head_dim, false);
        b.a.v = place_kv(&gv, c, c->head_dim, false);
        double seen = 0;
        for (size_t r = 0; r < c->n_q; r++)
            seen += (double)visible(&b.a, r);
        bench(benches[i].name, run_attention, &b, (double)(2 * c->n_kv * c->head_dim * (c->kv_f16 ? 2 : 4)),
              4.0 * seen * (double)c->head_dim);
        free(q);
        free(b.a.out);
    }
    guarded_free(&gk);
    guarded_free(&gv);
}
