/* The register tile and the packing of its panels. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static guarded ga, gb, gc, gr;

enum { LDC_EXTRA = 3 };

/* A kind of tile: cells of one float32 or of two bfloat16. */
typedef struct tile_kind {
    void (*tile)(float *c, size_t ldc, const float *a, const float *b, size_t steps, unsigned m, unsigned n, int accumulate);
    unsigned mr, nr, parts;
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

/* One tile against sums in double; out is [m][ldc]. */
static void check_tile(const tile_kind *g, size_t k, unsigned m, unsigned n, int accumulate, int how, bool at_start)
{
    float *a = guarded_place(&ga, k * g->mr * sizeof *a, 64, at_start);
    float *b = guarded_place(&gb, k * g->nr * sizeof *b, 64, at_start);
    size_t ldc = n + LDC_EXTRA, c_len = (m - 1) * ldc + n;
    float *c = guarded_place(&gc, c_len * sizeof *c, sizeof *c, at_start);
    fill_cells(a, k * g->mr, how, g->parts);
    fill_cells(b, k * g->nr, FILL_RANDOM, g->parts);
    float *start = malloc(c_len * sizeof *start);
    for (unsigned i = 0; accumulate && i < m; i++)
        fill_floats(c + i * ldc, n, FILL_RANDOM);
    memcpy(start, c, c_len * sizeof *start);
    g->tile(c, ldc, a, b, k, m, n, accumulate);
    for (unsigned i = 0; i < m; i++) {
        for (unsigned j = 0; j < n; j++) {
            double sum = accumulate ? start[i * ldc + j] : 0.0, size = fabs(sum);
            for (size_t u = 0; u < k; u++)
                for (unsigned p = 0; p < g->parts; p++) {
                    double product = cell_value(a + u * g->mr + i, p, g->parts) * cell_value(b + u * g->nr + j, p, g->parts);
                    sum += product;
                    size += fabs(product);
                }
            /* one accumulator: errors add up along k, those of subnormal sums too (bfloat16: they become 0) */
            double chain = 4 + (double)(k * g->parts) / 4, tiny = g->parts == 1 ? 0x1p-149 : 0x1p-125;
            double bound = chain * EPS * size + (double)(k + 1) * tiny;
            check_close(c[i * ldc + j], sum, bound, "c[%u][%u] of m %u n %u k %zu", i, j, m, n, k);
        }
        if (i + 1 < m)
            check_true(is_poison(c + i * ldc + n, LDC_EXTRA * sizeof *c), "wrote between rows, m %u n %u", m, n);
    }
    check_true(guarded_intact(&gc), "wrote outside c, m %u n %u k %zu", m, n, k);
    free(start);
}

/* An element has the same bits whatever m and n are computed with it. */
static void check_tile_split(const tile_kind *g)
{
    enum { K = 129 };
    float *a = guarded_place(&ga, K * g->mr * sizeof *a, 64, false);
    float *b = guarded_place(&gb, K * g->nr * sizeof *b, 64, false);
    fill_cells(a, K * g->mr, FILL_RANDOM, g->parts);
    fill_cells(b, K * g->nr, FILL_RANDOM, g->parts);
    float *all = calloc(g->mr * g->nr, sizeof *all), *some = calloc(g->mr * g->nr, sizeof *some);
    g->tile(all, g->nr, a, b, K, g->mr, g->nr, 0);
    for (unsigned m = 1; m <= g->mr; m++)
        for (unsigned n = 1; n <= g->nr; n++) {
            g->tile(some, g->nr, a, b, K, m, n, 0);
            for (unsigned i = 0; i < m; i++)
                check_true(memcmp(some + i * g->nr, all + i * g->nr, n * sizeof *all) == 0, "m %u n %u changes row %u", m, n,
                           i);
        }
    /* k in two calls with accumulate is the same sum too */
    size_t split = K / 3;
    g->tile(some, g->nr, a, b, split, g->mr, g->nr, 0);
    g->tile(some, g->nr, a + split * g->mr, b + split * g->nr, K - split, g->mr, g->nr, 1);
    if ((split * g->mr * sizeof *a) % 64 == 0)
        check_true(memcmp(some, all, g->mr * g->nr * sizeof *all) == 0, "splitting k changes the sum");
    free(all);
    free(some);
}

static void check_pack(const gemm_kernels *g, unsigned width, unsigned n_rows, size_t k, size_t ld, bool at_start)
{
    float *rows = guarded_place(&gr, ((n_rows - 1) * ld + k) * sizeof *rows, sizeof *rows, at_start);
    float *panel = guarded_place(&ga, k * width * sizeof *panel, 64, at_start);
    fill_floats(rows, (n_rows - 1) * ld + k, FILL_RANDOM);
    g->pack(panel, width, rows, ld, n_rows, k);
    bool same = true;
    for (size_t i = 0; i < k; i++)
        for (unsigned r = 0; r < width; r++)
            same &= panel[i * width + r] == (r < n_rows ? rows[r * ld + i] : 0.0f);
    check_true(same, "wrong panel: width %u, %u rows, k %zu", width, n_rows, k);
    check_true(guarded_intact(&ga), "wrote outside the panel: width %u, %u rows, k %zu", width, n_rows, k);
}

static void check_tile_kind(const tile_kind *g)
{
    static const size_t ks[] = { 1, 2, 7, 8, 64, 257, 512 };
    for (unsigned m = 1; m <= g->mr; m++)
        for (unsigned n = 1; n <= g->nr; n = n + 1 + n / 4 == g->nr + 1 ? g->nr : n + 1 + n / 4)
            for (size_t i = 0; i < ARRAY_LEN(ks); i++)
                check_tile(g, ks[i], m, n, (int)(i + n) % 2, (int)(random_u32() % FILL_COUNT), n % 2);
    for (unsigned n = g->nr - 17 % g->nr; n <= g->nr; n++)
        check_tile(g, 64, g->mr, n, 1, FILL_RANDOM, false);
    check_tile_split(g);
    verdict();
}

void check_gemm(const kernels *k, const kernels *lower)
{
    const gemm_kernels *g = &k->gemm;
    if (check_kernel("gemm_tile", lower && g->tile == lower->gemm.tile))
        check_tile_kind(&(tile_kind){ g->tile, g->mr, g->nr, 1 });
    if (g->tile_bf16 && check_kernel("gemm_tile_bf16", lower && g->tile_bf16 == lower->gemm.tile_bf16))
        check_tile_kind(&(tile_kind){ g->tile_bf16, g->mr, g->nr, 2 });
    if (check_kernel("gemm_pack", lower && g->pack == lower->gemm.pack)) {
        const unsigned widths[] = { g->mr, g->nr };
        for (size_t w = 0; w < 2; w++)
            for (unsigned n_rows = 1; n_rows <= widths[w]; n_rows++)
                for (size_t kk = 1; kk < 70; kk += kk < 18 ? 1 : 13)
                    check_pack(g, widths[w], n_rows, kk, kk + (n_rows * kk) % 5, (n_rows + kk) % 2);
        verdict();
    }
    guarded_free(&ga);
    guarded_free(&gb);
    guarded_free(&gc);
    guarded_free(&gr);
}

typedef struct gemm_bench {
    const gemm_kernels *g;
    float *a, *b, *c;
    size_t k;
    unsigned width;
} gemm_bench;

static void run_tile(void *arg)
{
    gemm_bench *b = arg;
    b->g->tile(b->c, b->g->nr, b->a, b->b, b->k, b->g->mr, b->g->nr, 1);
}

static void run_tile_bf16(void *arg)
{
    gemm_bench *b = arg;
    b->g->tile_bf16(b->c, b->g->nr, b->a, b->b, b->k, b->g->mr, b->g->nr, 1);
}

static void run_pack(void *arg)
{
    gemm_bench *b = arg;
    b->g->pack(b->b, b->width, b->c, b->k, b->width, b->k);
}

void bench_gemm(const kernels *k)
{
    const gemm_kernels *g = &k->gemm;
    for (size_t kk = 256; kk <= 1024; kk *= 2) {
        gemm_bench b = { .g = g, .k = kk };
        b.a = aligned_alloc(64, kk * g->mr * sizeof(float));
        b.b = aligned_alloc(64, kk * g->nr * sizeof(float));
        b.c = aligned_alloc(64, kk * g->nr * sizeof(float));
        fill_floats(b.a, kk * g->mr, FILL_RANDOM);
        fill_floats(b.b, kk * g->nr, FILL_RANDOM);
        fill_floats(b.c, kk * g->nr, FILL_ZERO);
        char name[48];
        snprintf(name, sizeof name, "gemm_tile %ux%u k %zu", g->mr, g->nr, kk);
        bench(name, run_tile, &b, (double)(kk * (g->mr + g->nr) * sizeof(float)), 2.0 * g->mr * g->nr * (double)kk);
        if (g->tile_bf16) {
            fill_cells(b.a, kk * g->mr, FILL_RANDOM, 2);
            fill_cells(b.b, kk * g->nr, FILL_RANDOM, 2);
            snprintf(name, sizeof name, "gemm_tile_bf16 %ux%u k %zu", g->mr, g->nr, 2 * kk);
            bench(name, run_tile_bf16, &b, (double)(kk * (g->mr + g->nr) * sizeof(float)), 4.0 * g->mr * g->nr * (double)kk);
        }
        const unsigned widths[] = { g->mr, g->nr };
        for (size_t w = 0; w < 2; w++) {
            b.width = widths[w];
            snprintf(name, sizeof name, "gemm_pack %u rows k %zu", b.width, kk);
            bench(name, run_pack, &b, (double)(kk * b.width * 2 * sizeof(float)), 0);
        }
        free(b.a);
        free(b.b);
        free(b.c);
    }
}
