/* int8 products: quantization of activations, unpacking of weights, and the register tile. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static guarded gx, gw, gq, gscale, gmin, ga, gc;

/* ---- activations ---- */

static void check_quantize_act8(const kernels *k, size_t n, size_t stride, int how, bool at_start)
{
    float *x = guarded_place(&gx, n * sizeof *x, sizeof *x, at_start);
    size_t len = ((n / QK - 1) * stride + 1) * sizeof(act8_block);
    act8_block *out = guarded_place(&ga, len, 4, at_start), *expected = malloc(len);
    fill_floats(x, n, how);
    if (how == FILL_RANDOM)
        for (size_t i = 0; i < n; i += 5) /* ties: multiples of half a step, for a maximum of 1 */
            x[i] = (float)((int)(random_u32() % 255) - 127) / 254.0f;
    memcpy(expected, out, len);
    k->quantize_act8(out, stride, x, n);
    kernels_get(CPU_SCALAR)->quantize_act8(expected, stride, x, n);
    check_true(memcmp(out, expected, len) == 0, "differs from the reference, n %zu, fill %d", n, how);
    check_true(guarded_intact(&ga), "wrote outside, n %zu", n);
    for (size_t b = 0; b < n / QK; b++) {
        const act8_block *block = out + b * stride;
        int32_t sum = 0;
        for (size_t i = 0; i < QK; i++) {
            float value = x[b * QK + i];
            double bound = block->d == 0.0f ? 0x1p-100 : 0.501 * block->d + 4 * EPS * fabsf(value);
            check_close((double)block->d * block->q[i], value, bound, "element %zu", b * QK + i);
            sum += block->q[i];
        }
        check_true(block->start == -128 * sum && block->d_sum == block->d * (float)sum, "sums of block %zu", b);
    }
    free(expected);
}

/* ---- weights ---- */

static void check_unpack(const kernels *k, quant_type t, size_t n, size_t stride, int how, bool at_start)
{
    const quant_info *info = quant_get(t);
    size_t scales = (n / QK - 1) * stride + 1;
    uint8_t *w = guarded_place(&gw, quant_row_bytes(info, n), 2, at_start);
    int8_t *q = guarded_place(&gq, n, 1, at_start);
    float *scale = guarded_place(&gscale, scales * sizeof *scale, sizeof *scale, at_start),
          *value = malloc(n * sizeof *value);
    float *min = guarded_place(&gmin, scales * sizeof *min, sizeof *min, at_start);
    fill_blocks(t, w, n, how);
    k->unpack_int8[t](q, scale, quant_has_min(t) ? min : NULL, stride, w, n);
    info->dequantize(value, w, n);
    for (size_t i = 0; i < n; i++) {
        float v = (float)q[i] * scale[i / QK * stride];
        if (quant_has_min(t))
            v += min[i / QK * stride];
        check_close(v, value[i], 1e-300, "element %zu of %zu, fill %d", i, n, how);
    }
    for (size_t i = 0; i < scales; i++)
        check_true(i % stride == 0 || (is_poison(scale + i, sizeof *scale) && is_poison(min + i, sizeof *min)),
                   "scale %zu", i);
    check_true(guarded_intact(&gq) && guarded_intact(&gscale) && guarded_intact(&gmin), "wrote outside, n %zu", n);
    free(value);
}

/* ---- the tile ---- */

typedef struct tile_case {
    const gemm_int8_kernels *g;
    size_t blocks;
    unsigned m, n;
    bool accumulate, with_min, at_start;
    bool whole; /* all values are integers: the result must be exact */
    int how;
} tile_case;

typedef struct tile_data {
    const act8_block *a;
    int8_panel b;
    int8_t *rows; /* [nr][blocks * QK]: what b.q was packed from */
} tile_data;

static void fill_weights(const gemm_int8_kernels *g, int8_t *rows, size_t n, bool with_min)
{
    int lowest = with_min ? 0 : -(1 << (g->bits - 1)),
        highest = with_min && g->bits < 8 ? (1 << g->bits) - 1 : (1 << (g->bits - 1)) - 1;
    const int extremes[] = { lowest, highest, highest - 1, 0 };
    for (size_t i = 0; i < n; i++) {
        uint32_t r = random_u32();
        rows[i] = (int8_t)(r % 4 == 0 ? extremes[r / 4 % ARRAY_LEN(extremes)]
                                      : lowest + (int)(r >> 8) % (highest - lowest + 1));
    }
    for (size_t i = 0; i < n; i++) /* whole blocks of extremes, which have the largest sums */
        if (i / QK % 5 == 2)
            rows[i] = (int8_t)(i / QK % 2 ? lowest : highest);
}

/* Scales or minima of the first c->n columns; the others stay poisoned. */
static const float *place_scales(guarded *to, const tile_case *c, int largest)
{
    float *scale = guarded_place(to, c->blocks * c->g->nr * sizeof *scale, sizeof *scale, c->at_start);
    for (size_t i = 0; i < c->blocks * c->g->nr; i++)
        if (i % c->g->nr < c->n)
            scale[i] = c->whole ? (float)((int)(random_u32() % (2 * (unsigned)largest + 1)) - largest) : random_float();
    return scale;
}

static const act8_block *place_activations(const kernels *k, const tile_case *c)
{
    size_t mr = c->g->mr, n = c->blocks * QK;
    act8_block *a = guarded_place(&ga, c->blocks * mr * sizeof *a, 4, c->at_start);
    memset(a, 0, c->blocks * mr * sizeof *a);
    float *x = malloc(n * sizeof *x);
    for (unsigned r = 0; r < c->m; r++) {
        fill_floats(x, n, c->how);
        for (size_t i = 0; c->whole && i < n; i++)
            x[i] = i % QK == r || i / QK % 3 == 1 ? 127.0f : (float)((int)(random_u32() % 255) - 127);
        k->quantize_act8(a + r, mr, x, n);
    }
    free(x);
    return a;
}

static tile_data place_data(const kernels *k, const tile_case *c)
{
    size_t n = c->blocks * QK, cells = n / 4 * c->g->nr;
    tile_data d = { .a = place_activations(k, c), .rows = calloc(c->g->nr * n, 1) };
    fill_weights(c->g, d.rows, c->n * n, c->with_min);
    float *q = guarded_place(&gq, cells * sizeof *q, 64, c->at_start);
    c->g->pack_b(q, d.rows, n, c->n, c->blocks, c->with_min);
    check_true(guarded_intact(&gq), "packing wrote outside the panel: %u rows, %zu blocks", c->n, c->blocks);
    d.b = (int8_panel){ q, place_scales(&gscale, c, 1), c->with_min ? place_scales(&gmin, c, 3) : NULL };
    return d;
}

/* Expected element and the bound of float32 roundings: two per block product, one per sum. */
static void expect(const tile_case *c, const tile_data *d, unsigned i, unsigned j, double *sum, double *bound)
{
    double size = fabs(*sum);
    for (size_t b = 0; b < c->blocks; b++) {
        const act8_block *a = d->a + b * c->g->mr + i;
        int32_t whole = 0, total = 0;
        for (size_t u = 0; u < QK; u++) {
            whole += a->q[u] * d->rows[(j * c->blocks + b) * QK + u];
            total += a->q[u];
        }
        double product = (double)whole * d->b.scale[b * c->g->nr + j] * a->d;
        double least = c->with_min ? (double)d->b.min[b * c->g->nr + j] * a->d * total : 0;
        *sum += product + least;
        size += fabs(product) + fabs(least);
    }
    *bound = c->whole ? 1e-300 : (4 + 2 * (double)c->blocks) * EPS * size + 0x1p-120;
}

static void check_tile(const kernels *k, const tile_case *c)
{
    enum { LDC_EXTRA = 3 };
    size_t ldc = c->n + LDC_EXTRA, len = (c->m - 1) * ldc + c->n;
    tile_data d = place_data(k, c);
    float *out = guarded_place(&gc, len * sizeof *out, sizeof *out, c->at_start), *start = malloc(len * sizeof *start);
    for (unsigned i = 0; c->accumulate && i < c->m; i++)
        for (unsigned j = 0; j < c->n; j++)
            out[i * ldc + j] = c->whole ? (float)(random_u32() % 1000) : random_float();
    memcpy(start, out, len * sizeof *start);
    c->g->tile(out, ldc, d.a, &d.b, c->blocks, c->m, c->n, c->accumulate);
    for (unsigned i = 0; i < c->m; i++) {
        for (unsigned j = 0; j < c->n; j++) {
            double sum = c->accumulate ? start[i * ldc + j] : 0.0, bound;
            expect(c, &d, i, j, &sum, &bound);
            check_close(out[i * ldc + j], sum, bound, "c[%u][%u] of m %u n %u blocks %zu%s", i, j, c->m, c->n,
                        c->blocks, c->whole ? ", integers" : "");
        }
        if (i + 1 < c->m)
            check_true(is_poison(out + i * ldc + c->n, LDC_EXTRA * sizeof *out), "wrote between rows, m %u n %u", c->m,
                       c->n);
    }
    check_true(guarded_intact(&gc), "wrote outside c, m %u n %u blocks %zu", c->m, c->n, c->blocks);
    free(start);
    free(d.rows);
}

/* An element has the same bits for any m and n of its tile, and for any split of k into calls. */
static void check_tile_split(const kernels *k, bool with_min)
{
    enum { BLOCKS = 9, FIRST = 4 };
    const gemm_int8_kernels *g = &k->gemm_int8;
    tile_case c = { .g = g, .blocks = BLOCKS, .m = g->mr, .n = g->nr, .with_min = with_min };
    tile_data d = place_data(k, &c);
    float *all = calloc(g->mr * g->nr, sizeof *all), *some = calloc(g->mr * g->nr, sizeof *some);
    g->tile(all, g->nr, d.a, &d.b, BLOCKS, g->mr, g->nr, 0);
    for (unsigned m = 1; m <= g->mr; m++)
        for (unsigned n = 1; n <= g->nr; n++) {
            g->tile(some, g->nr, d.a, &d.b, BLOCKS, m, n, 0);
            for (unsigned i = 0; i < m; i++)
                check_true(memcmp(some + i * g->nr, all + i * g->nr, n * sizeof *all) == 0, "m %u n %u changes row %u",
                           m, n, i);
        }
    int8_panel rest = d.b;
    float *q = aligned_alloc(64, BLOCKS * QK * g->nr);
    g->tile(some, g->nr, d.a, &d.b, FIRST, g->mr, g->nr, 0);
    g->pack_b(q, d.rows + FIRST * QK, BLOCKS * QK, g->nr, BLOCKS - FIRST, with_min);
    rest.q = q;
    rest.scale += FIRST * g->nr;
    rest.min = with_min ? rest.min + FIRST * g->nr : NULL;
    g->tile(some, g->nr, d.a + FIRST * g->mr, &rest, BLOCKS - FIRST, g->mr, g->nr, 1);
    check_true(memcmp(some, all, g->mr * g->nr * sizeof *all) == 0, "splitting k changes the sum");
    free(q);
    free(all);
    free(some);
    free(d.rows);
}

static void check_all_tiles(const kernels *k)
{
    static const size_t sizes[] = { 1, 2, 3, 8, 16 };
    const gemm_int8_kernels *g = &k->gemm_int8;
    for (unsigned m = 1; m <= g->mr; m++)
        for (unsigned n = 1; n <= g->nr; n = n + 1 + n / 4 > g->nr && n < g->nr ? g->nr : n + 1 + n / 4)
            for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
                for (int kind = 0; kind < 4; kind++)
                    check_tile(k, &(tile_case){ .g = g,
                                                .blocks = sizes[i],
                                                .m = m,
                                                .n = n,
                                                .accumulate = (i + n) % 2,
                                                .with_min = kind % 2,
                                                .whole = kind / 2,
                                                .at_start = n % 2,
                                                .how = (int)(random_u32() % FILL_COUNT) });
    check_tile_split(k, false);
    check_tile_split(k, true);
}

void check_int8(const kernels *k, const kernels *lower)
{
    char name[48];
    if (check_kernel("quantize_act8", lower && k->quantize_act8 == lower->quantize_act8)) {
        for (size_t blocks = 1; blocks < 40; blocks++)
            for (int how = 0; how < FILL_COUNT; how++)
                check_quantize_act8(k, blocks * QK, 1 + blocks % 7, how, blocks % 2);
        verdict();
    }
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        snprintf(name, sizeof name, "unpack_int8_%s", quant_get((quant_type)t)->name);
        if (!k->unpack_int8[t] || !check_kernel(name, lower && k->unpack_int8[t] == lower->unpack_int8[t]))
            continue;
        for (size_t blocks = 1; blocks < 12; blocks++)
            for (int how = 0; how < FILL_COUNT; how++)
                check_unpack(k, (quant_type)t, blocks * quant_get((quant_type)t)->block, 1 + blocks % 4, how,
                             blocks % 2);
        verdict();
    }
    if (k->gemm_int8.tile && check_kernel("gemm_int8", lower && k->gemm_int8.tile == lower->gemm_int8.tile)) {
        check_all_tiles(k);
        verdict();
    }
    guarded *all[] = { &gx, &gw, &gq, &gscale, &gmin, &ga, &gc };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        guarded_free(all[i]);
}

/* ---- bench ---- */

enum { BENCH_BLOCKS = 16 };

typedef struct int8_bench {
    const kernels *k;
    quant_type t;
    act8_block *a;
    int8_panel b;
    float *c, *q, *scale, *min, *x;
    int8_t *rows;
    uint8_t *w;
} int8_bench;

static void run_tile(void *arg)
{
    int8_bench *b = arg;
    b->k->gemm_int8.tile(b->c, b->k->gemm_int8.nr, b->a, &b->b, BENCH_BLOCKS, b->k->gemm_int8.mr, b->k->gemm_int8.nr,
                         1);
}

static void run_quantize(void *arg)
{
    int8_bench *b = arg;
    for (unsigned r = 0; r < b->k->gemm_int8.mr; r++)
        b->k->quantize_act8(b->a + r, b->k->gemm_int8.mr, b->x, BENCH_BLOCKS * QK);
}

static void run_unpack_and_pack(void *arg)
{
    int8_bench *b = arg;
    const size_t n = BENCH_BLOCKS * QK, nr = b->k->gemm_int8.nr, row_bytes = quant_row_bytes(quant_get(b->t), n);
    for (unsigned r = 0; r < nr; r++)
        b->k->unpack_int8[b->t](b->rows + r * n, b->scale + r, b->min + r, nr, b->w + r * row_bytes, n);
    b->k->gemm_int8.pack_b(b->q, b->rows, n, (unsigned)nr, BENCH_BLOCKS, quant_has_min(b->t));
}

void bench_int8(const kernels *k)
{
    const gemm_int8_kernels *g = &k->gemm_int8;
    if (!g->tile)
        return;
    const size_t n = BENCH_BLOCKS * QK;
    int8_bench b = { .k = k,
                     .a = calloc(BENCH_BLOCKS * g->mr, sizeof(act8_block)),
                     .c = calloc(g->mr * g->nr, sizeof(float)),
                     .q = aligned_alloc(64, n * g->nr),
                     .scale = calloc(BENCH_BLOCKS * g->nr, sizeof(float)),
                     .min = calloc(BENCH_BLOCKS * g->nr, sizeof(float)),
                     .x = malloc(n * sizeof(float)),
                     .rows = malloc(n * g->nr),
                     .w = malloc(n * g->nr * sizeof(float)) };
    char name[64];
    fill_floats(b.x, n, FILL_RANDOM);
    run_quantize(&b);
    for (int with_min = 0; with_min < 2; with_min++) {
        fill_weights(g, b.rows, n * g->nr, with_min);
        g->pack_b(b.q, b.rows, n, g->nr, BENCH_BLOCKS, with_min);
        b.b = (int8_panel){ b.q, b.scale, with_min ? b.min : NULL };
        snprintf(name, sizeof name, "gemm_int8 tile %ux%u k %zu%s", g->mr, g->nr, n, with_min ? " with minima" : "");
        bench(name, run_tile, &b, (double)n * (g->mr + g->nr), 2.0 * (double)n * g->mr * g->nr);
    }
    snprintf(name, sizeof name, "quantize_act8 %ux%zu", g->mr, n);
    bench(name, run_quantize, &b, (double)n * g->mr * sizeof(float), 0);
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        if (k->unpack_int8[t]) {
            b.t = (quant_type)t;
            fill_blocks(b.t, b.w, n * g->nr, FILL_RANDOM);
            snprintf(name, sizeof name, "int8 unpack and pack_b %s", quant_get(b.t)->name);
            bench(name, run_unpack_and_pack, &b, (double)n * g->nr, 0);
        }
    void *all[] = { b.a, b.c, b.q, b.scale, b.min, b.x, b.rows, b.w };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        free(all[i]);
}
