/* The register tile and the packing of its panels. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static guarded ga, gb, gc, gr, gs;

enum { LDC_EXTRA = 3 };

/* The tile and packing of one kind: cells hold one float32 or two bfloat16. */
typedef struct tile_kind {
    const gemm_kernels *g;
    unsigned parts;
} tile_kind;

static void fill_cells(float *cells, size_t n, int how, unsigned parts)
{
    if (parts == 1) {
        fill_floats(cells, n, how);
        return;
    }
    float *x = malloc(2 * n * sizeof *x);
    fill_floats(x, 2 * n, how);
    for (size_t i = 0; i < 2 * n; i++) {
        uint16_t h = bf16_from_f32(x[i]);
        memcpy((char *)cells + 2 * i, &h, sizeof h);
    }
    free(x);
}

static double cell_value(const float *cell, unsigned part, unsigned parts)
{
    uint16_t h[2];
    if (parts == 1)
        return (double)*cell;
    memcpy(h, cell, sizeof h);
    float x = f32_from_bf16(h[part]);
    return fabsf(x) < 0x1p-126f ? 0.0 : (double)x; /* subnormals count as 0 */
}

/* Packs rows of cells into guarded panels: a into ga, b into gb. */
static const float *pack_guarded(guarded *to, void (*pack)(float *, const float *, size_t, unsigned, size_t),
                                 unsigned width, const float *rows, size_t ld, unsigned n_rows, size_t k, bool at_start)
{
    float *panel = guarded_place(to, k * width * sizeof *panel, 64, at_start);
    pack(panel, rows, ld, n_rows, k);
    check_true(guarded_intact(to), "packing wrote outside the panel: width %u, %u rows, k %zu", width, n_rows, k);
    return panel;
}

/* Runs packed rows through one tile and compares with sums in double; c is [m][ldc]. */
static void check_tile(const tile_kind *t, size_t k, unsigned m, unsigned n, int accumulate, int how, bool at_start)
{
    const gemm_kernels *g = t->g;
    size_t lda = k + (m + k) % 3, ldb = k + (n * k) % 5, ldc = n + LDC_EXTRA, c_len = (m - 1) * ldc + n;
    float *rows_a = guarded_place(&gr, ((m - 1) * lda + k) * sizeof *rows_a, sizeof *rows_a, !at_start);
    float *rows_b = guarded_place(&gs, ((n - 1) * ldb + k) * sizeof *rows_b, sizeof *rows_b, at_start);
    fill_cells(rows_a, (m - 1) * lda + k, how, t->parts);
    fill_cells(rows_b, (n - 1) * ldb + k, FILL_RANDOM, t->parts);
    const float *a = pack_guarded(&ga, g->pack_a, g->mr, rows_a, lda, m, k, at_start);
    const float *b = pack_guarded(&gb, g->pack_b, g->nr, rows_b, ldb, n, k, at_start);
    float *c = guarded_place(&gc, c_len * sizeof *c, sizeof *c, at_start);
    float *start = malloc(c_len * sizeof *start);
    for (unsigned i = 0; accumulate && i < m; i++)
        fill_floats(c + i * ldc, n, FILL_RANDOM);
    memcpy(start, c, c_len * sizeof *start);
    g->tile(c, ldc, a, b, k, m, n, accumulate);
    for (unsigned i = 0; i < m; i++) {
        for (unsigned j = 0; j < n; j++) {
            double sum = accumulate ? start[i * ldc + j] : 0.0, size = fabs(sum);
            for (size_t u = 0; u < k; u++)
                for (unsigned p = 0; p < t->parts; p++) {
                    double product =
                        cell_value(rows_a + i * lda + u, p, t->parts) * cell_value(rows_b + j * ldb + u, p, t->parts);
                    sum += product;
                    size += fabs(product);
                }
            /* one accumulator: errors add up along k, those of subnormal sums too (bfloat16: they become 0) */
            double chain = 4 + (double)k / (t->parts == 1 ? 4 : 1), tiny = t->parts == 1 ? 0x1p-149 : 0x1p-125;
            double bound = chain * EPS * size + (double)(k + 1) * tiny;
            check_close(c[i * ldc + j], sum, bound, "c[%u][%u] of m %u n %u k %zu", i, j, m, n, k);
        }
        if (i + 1 < m)
            check_true(is_poison(c + i * ldc + n, LDC_EXTRA * sizeof *c), "wrote between rows, m %u n %u", m, n);
    }
    check_true(guarded_intact(&gc), "wrote outside c, m %u n %u k %zu", m, n, k);
    free(start);
}

/* An element has the same bits for any m and n of its tile, and for any split of k into calls. */
static void check_tile_split(const tile_kind *t)
{
    enum { K = 144, SPLIT = 48 };
    const gemm_kernels *g = t->g;
    float *rows = malloc((g->mr + g->nr) * K * sizeof *rows), *rows_b = rows + g->mr * K;
    fill_cells(rows, (g->mr + g->nr) * K, FILL_RANDOM, t->parts);
    const float *a = pack_guarded(&ga, g->pack_a, g->mr, rows, K, g->mr, K, false);
    const float *b = pack_guarded(&gb, g->pack_b, g->nr, rows_b, K, g->nr, K, false);
    float *all = calloc(g->mr * g->nr, sizeof *all), *some = calloc(g->mr * g->nr, sizeof *some);
    g->tile(all, g->nr, a, b, K, g->mr, g->nr, 0);
    for (unsigned m = 1; m <= g->mr; m++)
        for (unsigned n = 1; n <= g->nr; n++) {
            g->tile(some, g->nr, a, b, K, m, n, 0);
            for (unsigned i = 0; i < m; i++)
                check_true(memcmp(some + i * g->nr, all + i * g->nr, n * sizeof *all) == 0, "m %u n %u changes row %u",
                           m, n, i);
        }
    for (size_t k0 = 0; k0 < K; k0 += SPLIT) {
        a = pack_guarded(&ga, g->pack_a, g->mr, rows + k0, K, g->mr, SPLIT, false);
        b = pack_guarded(&gb, g->pack_b, g->nr, rows_b + k0, K, g->nr, SPLIT, false);
        g->tile(some, g->nr, a, b, SPLIT, g->mr, g->nr, k0 > 0);
    }
    check_true(memcmp(some, all, g->mr * g->nr * sizeof *all) == 0, "splitting k changes the sum");
    free(rows);
    free(all);
    free(some);
}

/* Panels of convolution weights are packed in advance, so their order is part of the contract. */
static void check_pack_b(const gemm_kernels *g, unsigned n_rows, size_t k, size_t ld, bool at_start)
{
    float *rows = guarded_place(&gr, ((n_rows - 1) * ld + k) * sizeof *rows, sizeof *rows, at_start);
    fill_floats(rows, (n_rows - 1) * ld + k, FILL_RANDOM);
    const float *panel = pack_guarded(&ga, g->pack_b, g->nr, rows, ld, n_rows, k, at_start);
    bool same = true;
    for (size_t i = 0; i < k; i++)
        for (unsigned r = 0; r < g->nr; r++)
            same &= panel[i * g->nr + r] == (r < n_rows ? rows[r * ld + i] : 0.0f);
    check_true(same, "wrong panel: %u rows, k %zu", n_rows, k);
}

static void check_tile_kind(const tile_kind *t)
{
    static const size_t ks[] = { 1, 2, 7, 8, 16, 33, 64, 257, 512 };
    const gemm_kernels *g = t->g;
    for (unsigned m = 1; m <= g->mr; m += m < 8 || m + 5 > g->mr ? 1 : 5)
        for (unsigned n = 1; n <= g->nr; n = n + 1 + n / 4 == g->nr + 1 ? g->nr : n + 1 + n / 4)
            for (size_t i = 0; i < ARRAY_LEN(ks); i++)
                check_tile(t, ks[i], m, n, (int)(i + n) % 2, (int)(random_u32() % FILL_COUNT), n % 2);
    for (unsigned n = g->nr - 17 % g->nr; n <= g->nr; n++)
        check_tile(t, 64, g->mr, n, 1, FILL_RANDOM, false);
    check_tile_split(t);
    for (unsigned n_rows = 1; n_rows <= g->nr; n_rows++)
        for (size_t kk = 1; kk < 70; kk += kk < 18 ? 1 : 13)
            check_pack_b(g, n_rows, kk, kk + (n_rows * kk) % 5, (n_rows + kk) % 2);
    verdict();
}

void check_gemm(const kernels *k, const kernels *lower)
{
    if (check_kernel("gemm", lower && k->gemm.tile == lower->gemm.tile))
        check_tile_kind(&(tile_kind){ &k->gemm, 1 });
    if (k->gemm_bf16.tile && check_kernel("gemm_bf16", lower && k->gemm_bf16.tile == lower->gemm_bf16.tile))
        check_tile_kind(&(tile_kind){ &k->gemm_bf16, 2 });
    guarded_free(&ga);
    guarded_free(&gb);
    guarded_free(&gc);
    guarded_free(&gr);
    guarded_free(&gs);
}

/* ---- bench ---- */

typedef struct gemm_bench {
    const gemm_kernels *g;
    float *a, *b, *c, *rows;
    size_t k;
} gemm_bench;

static void run_tile(void *arg)
{
    gemm_bench *b = arg;
    b->g->tile(b->c, b->g->nr, b->a, b->b, b->k, b->g->mr, b->g->nr, 1);
}

static void run_pack_a(void *arg)
{
    gemm_bench *b = arg;
    b->g->pack_a(b->a, b->rows, b->k, b->g->mr, b->k);
}

static void run_pack_b(void *arg)
{
    gemm_bench *b = arg;
    b->g->pack_b(b->b, b->rows, b->k, b->g->nr, b->k);
}

static void bench_kind(const char *what, const gemm_kernels *g, unsigned parts)
{
    for (size_t k = 256; k <= 512; k *= 2) {
        gemm_bench b = { .g = g, .k = k };
        float **buffers[] = { &b.a, &b.b, &b.c, &b.rows };
        size_t sizes[] = { k * g->mr, k * g->nr, g->mr * g->nr, k * (g->mr > g->nr ? g->mr : g->nr) };
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            *buffers[i] = aligned_alloc(64, (sizes[i] * sizeof(float) + 63) / 64 * 64);
            fill_cells(*buffers[i], sizes[i], i == 2 ? FILL_ZERO : FILL_RANDOM, parts);
        }
        const double mr = g->mr, nr = g->nr, steps = (double)k;
        const struct {
            const char *name;
            void (*run)(void *);
            double bytes, ops;
        } cases[] = {
            { "tile", run_tile, steps * (mr + nr) * sizeof(float), 2.0 * parts * mr * nr * steps },
            { "pack_a", run_pack_a, steps * mr * 2 * sizeof(float), 0 },
            { "pack_b", run_pack_b, steps * nr * 2 * sizeof(float), 0 },
        };
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            char name[64];
            snprintf(name, sizeof name, "%s %s %ux%u k %zu", what, cases[i].name, g->mr, g->nr, k * parts);
            bench(name, cases[i].run, &b, cases[i].bytes, cases[i].ops);
        }
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            free(*buffers[i]);
    }
}

void bench_gemm(const kernels *k)
{
    bench_kind("gemm", &k->gemm, 1);
    if (k->gemm_bf16.tile)
        bench_kind("gemm_bf16", &k->gemm_bf16, 2);
}
