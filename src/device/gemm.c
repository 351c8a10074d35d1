/* See gemm.h. Three shapes of work:
 *  - few rows (decoding): activations are brought into the form the weight type wants, then every thread
 *    walks long contiguous runs of weight rows;
 *  - many rows (prefill, encoder): activations are packed once into panels [k][mr]; a task takes a block of
 *    weight rows, dequantizes and packs it slice by slice along k (it stays in L2), and runs the tile over
 *    all activation panels;
 *  - convolution: weights are packed beforehand; a task takes a block of output positions, gathers the
 *    patches of one kernel position at a time and runs the tile over all weight panels.
 * An output element is always summed by one thread in the same order along k. */
#include "device/gemm.h"

#include <string.h>

#include "base/mem.h"

enum {
    K_SLICE = 512,         /* columns of weights packed at a time: a multiple of every block length */
    N_BLOCK = 64,          /* weight rows of one task, at least one panel */
    CONV_BLOCK_PANELS = 8, /* activation panels of one convolution task */
    GEMV_CHUNK_BYTES = 256 * 1024 /* shorter runs of weights cost memory bandwidth */
};

qasr_status gemm_context_init(gemm_context *g, const kernels *k, pool *p, qasr_error *err)
{
    *g = (gemm_context){ .k = k, .pool = p };
    size_t n_block = size_round_up(N_BLOCK, k->gemm.nr);
    size_t linear_floats = 2 * n_block * K_SLICE;
    g->thread_floats = linear_floats;
    return mem_alloc((void **)&g->per_thread, pool_threads(p) * g->thread_floats, sizeof(float), err);
}

void gemm_context_free(gemm_context *g)
{
    mem_free(g->shared);
    mem_free(g->per_thread);
    *g = (gemm_context){ 0 };
}

static qasr_status reserve_shared(gemm_context *g, size_t bytes, qasr_error *err)
{
    if (bytes <= g->shared_bytes)
        return QASR_OK;
    mem_free(g->shared);
    g->shared = NULL;
    g->shared_bytes = 0;
    TRY(mem_alloc(&g->shared, bytes, 1, err));
    g->shared_bytes = bytes;
    return QASR_OK;
}

static qasr_status reserve_per_thread(gemm_context *g, size_t floats, qasr_error *err)
{
    floats = size_round_up(floats, MEM_ALIGN / sizeof(float));
    if (floats <= g->thread_floats)
        return QASR_OK;
    mem_free(g->per_thread);
    g->per_thread = NULL;
    g->thread_floats = 0;
    TRY(mem_alloc((void **)&g->per_thread, pool_threads(g->pool) * floats, sizeof(float), err));
    g->thread_floats = floats;
    return QASR_OK;
}

/* Bias and activation of a finished block of outputs. */
static void finish_block(const kernels *kn, float *out, size_t ld, size_t rows, size_t cols, const float *bias,
                         bool gelu)
{
    if (!bias && !gelu)
        return;
    for (size_t i = 0; i < rows; i++) {
        if (bias)
            kn->add(out + i * ld, bias, cols);
        if (gelu)
            kn->gelu(out + i * ld, cols);
    }
}

/* ---- few rows ------------------------------------------------------------------------------------ */

typedef struct gemv_job {
    const gemm_context *g;
    const gemm_part *parts;
    const float *x;
    size_t ld_x, m, k;
    const unsigned char *acts;                /* quantized rows, if any part wants them */
    size_t chunk_rows[8], first_task[8 + 1];  /* per part */
    size_t n_parts;
} gemv_job;

static void gemv_task(void *arg, size_t task, unsigned thread)
{
    const gemv_job *j = arg;
    const kernels *kn = j->g->k;
    size_t p = 0;
    while (task >= j->first_task[p + 1])
        p++;
    const gemm_part *part = &j->parts[p];
    size_t r0 = (task - j->first_task[p]) * j->chunk_rows[p];
    size_t n = part->n - r0 < j->chunk_rows[p] ? part->n - r0 : j->chunk_rows[p];
    const unsigned char *w = (const unsigned char *)part->w + r0 * quant_row_bytes(quant_get(part->type), j->k);
    const void *x = part->type <= QUANT_BF16 ? (const void *)j->x : j->acts;
    if (!part->accumulate) {
        kn->gemv[part->type](part->out + r0, part->ld_out, w, x, n, j->k, j->m);
        finish_block(kn, part->out + r0, part->ld_out, j->m, n, part->bias ? part->bias + r0 : NULL, part->gelu);
        return;
    }
    float sums[GEMV_MAX_ROWS * 64]; /* added to the old values piece by piece */
    for (size_t r = 0; r < n; r += 64) {
        size_t c = n - r < 64 ? n - r : 64;
        kn->gemv[part->type](sums, 64, w + r * quant_row_bytes(quant_get(part->type), j->k), x, c, j->k, j->m);
        finish_block(kn, sums, 64, j->m, c, part->bias ? part->bias + r0 + r : NULL, false);
        for (size_t i = 0; i < j->m; i++)
            kn->add(part->out + i * part->ld_out + r0 + r, sums + i * 64, c);
    }
}

static qasr_status gemv_run(gemm_context *g, const float *x, size_t ld_x, size_t m, size_t k, const gemm_part *parts,
                            size_t n_parts, qasr_error *err)
{
    gemv_job j = { .g = g, .parts = parts, .x = x, .ld_x = ld_x, .m = m, .k = k, .n_parts = n_parts };
    bool quantized = false, floating = false;
    for (size_t p = 0; p < n_parts; p++) {
        size_t row_bytes = quant_row_bytes(quant_get(parts[p].type), k);
        size_t per_thread = (parts[p].n + pool_threads(g->pool) - 1) / pool_threads(g->pool);
        size_t rows = GEMV_CHUNK_BYTES / (row_bytes ? row_bytes : 1);
        rows = rows < per_thread ? rows : per_thread;
        j.chunk_rows[p] = size_round_up(rows ? rows : 1, 16);
        j.first_task[p + 1] = j.first_task[p] + (parts[p].n + j.chunk_rows[p] - 1) / j.chunk_rows[p];
        *(parts[p].type <= QUANT_BF16 ? &floating : &quantized) = true;
    }
    size_t act_bytes = quantized ? size_round_up(m * act_row_bytes(QUANT_Q8_0, k), MEM_ALIGN) : 0;
    bool gather = floating && m > 1 && ld_x != k; /* gemv wants consecutive rows */
    TRY(reserve_shared(g, act_bytes + (gather ? m * k * sizeof(float) : 0), err));
    j.acts = g->shared;
    for (size_t i = 0; quantized && i < m; i++)
        g->k->quantize_act((act_block *)(void *)((unsigned char *)g->shared + i * act_row_bytes(QUANT_Q8_0, k)),
                           x + i * ld_x, k);
    if (gather) {
        float *rows = (float *)(void *)((unsigned char *)g->shared + act_bytes);
        for (size_t i = 0; i < m; i++)
            memcpy(rows + i * k, x + i * ld_x, k * sizeof(float));
        j.x = rows;
    }
    pool_run(g->pool, gemv_task, &j, j.first_task[n_parts]);
    return QASR_OK;
}

/* ---- many rows ----------------------------------------------------------------------------------- */

typedef struct gemm_job {
    const gemm_context *g;
    const gemm_part *parts;
    const float *x;
    size_t ld_x, m, k, n_block;
    float *panels; /* [ceil(m / mr)][k][mr] */
    size_t first_task[8 + 1];
} gemm_job;

static void pack_rows_task(void *arg, size_t task, unsigned thread)
{
    const gemm_job *j = arg;
    const gemm_f32 *gk = &j->g->k->gemm;
    size_t r0 = task * gk->mr, rows = j->m - r0 < gk->mr ? j->m - r0 : gk->mr;
    gk->pack(j->panels + r0 * j->k, gk->mr, j->x + r0 * j->ld_x, j->ld_x, (unsigned)rows, j->k);
}

/* Dequantizes columns [k0, k0 + kc) of weight rows into panels [kc][nr]. */
static void pack_weight_slice(const gemm_job *j, const gemm_part *part, size_t n0, size_t n, size_t k0, size_t kc,
                              float *rows, float *panels)
{
    const kernels *kn = j->g->k;
    const quant_info *q = quant_get(part->type);
    size_t row_bytes = quant_row_bytes(q, j->k), nr = kn->gemm.nr;
    for (size_t r = 0; r < n; r++)
        kn->dequantize[part->type](rows + r * kc,
                                   (const unsigned char *)part->w + (n0 + r) * row_bytes + quant_row_bytes(q, k0), kc);
    for (size_t r = 0; r < n; r += nr)
        kn->gemm.pack(panels + r * kc, (unsigned)nr, rows + r * kc, kc, (unsigned)(n - r < nr ? n - r : nr), kc);
}

static void gemm_task(void *arg, size_t task, unsigned thread)
{
    const gemm_job *j = arg;
    const kernels *kn = j->g->k;
    size_t mr = kn->gemm.mr, nr = kn->gemm.nr, p = 0;
    while (task >= j->first_task[p + 1])
        p++;
    const gemm_part *part = &j->parts[p];
    size_t n0 = (task - j->first_task[p]) * j->n_block;
    size_t n = part->n - n0 < j->n_block ? part->n - n0 : j->n_block;
    float *rows = j->g->per_thread + thread * j->g->thread_floats, *panels = rows + j->n_block * K_SLICE;
    for (size_t k0 = 0; k0 < j->k; k0 += K_SLICE) {
        size_t kc = j->k - k0 < K_SLICE ? j->k - k0 : K_SLICE;
        pack_weight_slice(j, part, n0, n, k0, kc, rows, panels);
        for (size_t c = 0; c < n; c += nr)
            for (size_t r = 0; r < j->m; r += mr)
                kn->gemm.tile(part->out + r * part->ld_out + n0 + c, part->ld_out, j->panels + r * j->k + k0 * mr,
                              panels + c * kc, kc, (unsigned)(j->m - r < mr ? j->m - r : mr),
                              (unsigned)(n - c < nr ? n - c : nr), k0 > 0 || part->accumulate);
    }
    finish_block(kn, part->out + n0, part->ld_out, j->m, n, part->bias ? part->bias + n0 : NULL, part->gelu);
}

qasr_status gemm_run(gemm_context *g, const float *x, size_t ld_x, size_t m, size_t k, const gemm_part *parts,
                     size_t n_parts, qasr_error *err)
{
    if (m <= GEMV_MAX_ROWS)
        return gemv_run(g, x, ld_x, m, k, parts, n_parts, err);
    gemm_job j = { .g = g, .parts = parts, .x = x, .ld_x = ld_x, .m = m, .k = k,
                   .n_block = size_round_up(N_BLOCK, g->k->gemm.nr) };
    for (size_t p = 0; p < n_parts; p++)
        j.first_task[p + 1] = j.first_task[p] + (parts[p].n + j.n_block - 1) / j.n_block;
    size_t n_panels = (m + g->k->gemm.mr - 1) / g->k->gemm.mr;
    TRY(reserve_shared(g, n_panels * g->k->gemm.mr * k * sizeof(float), err));
    j.panels = g->shared;
    pool_run(g->pool, pack_rows_task, &j, n_panels);
    pool_run(g->pool, gemm_task, &j, j.first_task[n_parts]);
    return QASR_OK;
}

/* ---- convolution --------------------------------------------------------------------------------- */

size_t conv_packed_floats(const kernels *k, size_t c_out, size_t c_in)
{
    return size_round_up(c_out, k->gemm.nr) * 9 * c_in;
}

typedef struct conv_pack_job {
    const gemm_context *g;
    float *packed;
    const void *w;
    quant_type type;
    size_t c_out, c_in;
} conv_pack_job;

/* One panel: nr output channels, [9 c_in][nr]. */
static void conv_pack_task(void *arg, size_t task, unsigned thread)
{
    const conv_pack_job *j = arg;
    const kernels *kn = j->g->k;
    size_t nr = kn->gemm.nr, k = 9 * j->c_in, o0 = task * nr;
    size_t row_bytes = quant_row_bytes(quant_get(j->type), k);
    float *panel = j->packed + o0 * k;
    for (size_t r = 0; r < nr; r++) {
        if (o0 + r >= j->c_out) {
            for (size_t i = 0; i < k; i++)
                panel[i * nr + r] = 0;
            continue;
        }
        const unsigned char *src = (const unsigned char *)j->w + (o0 + r) * row_bytes;
        float chunk[9 * 32]; /* 32 input channels, [c][3][3] */
        for (size_t c0 = 0; c0 < j->c_in; c0 += 32) {
            size_t n = j->c_in - c0 < 32 ? j->c_in - c0 : 32;
            kn->dequantize[j->type](chunk, src + quant_row_bytes(quant_get(j->type), 9 * c0), 9 * n);
            for (size_t c = 0; c < n; c++)
                for (size_t uv = 0; uv < 9; uv++)
                    panel[(uv * j->c_in + c0 + c) * nr + r] = chunk[c * 9 + uv];
        }
    }
}

void conv_pack_weights(gemm_context *g, float *packed, const void *w, quant_type type, size_t c_out, size_t c_in)
{
    conv_pack_job j = { g, packed, w, type, c_out, c_in };
    pool_run(g->pool, conv_pack_task, &j, (c_out + g->k->gemm.nr - 1) / g->k->gemm.nr);
}

typedef struct conv_job {
    const gemm_context *g;
    float *out;
    const float *in, *packed, *bias;
    size_t height, width, c_in, c_out, h_out, w_out, m;
} conv_job;

/* Input values under kernel position (u, v) for output position p: c_in floats, NULL in the padding. */
static const float *conv_tap(const conv_job *j, size_t p, size_t uv)
{
    size_t x = p % j->w_out, y = p / j->w_out % j->h_out, image = p / (j->w_out * j->h_out);
    size_t iy = 2 * y + uv / 3, ix = 2 * x + uv % 3; /* + 1: the padding */
    if (iy == 0 || ix == 0 || iy > j->height || ix > j->width)
        return NULL;
    return j->in + ((image * j->height + iy - 1) * j->width + ix - 1) * j->c_in;
}

/* Gathers kernel positions [uv, uv + n_uv) of rows output positions from p: [rows][n_uv * c_in]. */
static void conv_gather(const conv_job *j, float *rows, size_t p, size_t n_rows, size_t uv, size_t n_uv)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < n_uv; i++) {
            const float *tap = conv_tap(j, p + r, uv + i);
            float *dst = rows + (r * n_uv + i) * j->c_in;
            if (tap)
                memcpy(dst, tap, j->c_in * sizeof(float));
            else
                memset(dst, 0, j->c_in * sizeof(float));
        }
}

/* With few channels all nine kernel positions make one slice, else each is its own. */
static size_t conv_taps_per_slice(size_t c_in) { return c_in < 32 ? 9 : 1; }

static void conv_task(void *arg, size_t task, unsigned thread)
{
    const conv_job *j = arg;
    const kernels *kn = j->g->k;
    size_t mr = kn->gemm.mr, nr = kn->gemm.nr, k = 9 * j->c_in;
    size_t taps = conv_taps_per_slice(j->c_in), kc = taps * j->c_in;
    size_t p0 = task * mr * CONV_BLOCK_PANELS;
    size_t n_pos = j->m - p0 < mr * CONV_BLOCK_PANELS ? j->m - p0 : mr * CONV_BLOCK_PANELS;
    float *panels = j->g->per_thread + thread * j->g->thread_floats, *rows = panels + CONV_BLOCK_PANELS * mr * kc;
    for (size_t uv = 0; uv < 9; uv += taps) {
        for (size_t r = 0; r < n_pos; r += mr) {
            size_t n_rows = n_pos - r < mr ? n_pos - r : mr;
            conv_gather(j, rows, p0 + r, n_rows, uv, taps);
            kn->gemm.pack(panels + r * kc, (unsigned)mr, rows, kc, (unsigned)n_rows, kc);
        }
        for (size_t c = 0; c < j->c_out; c += nr)
            for (size_t r = 0; r < n_pos; r += mr)
                kn->gemm.tile(j->out + (p0 + r) * j->c_out + c, j->c_out, panels + r * kc,
                              j->packed + c * k + uv * j->c_in * nr, kc, (unsigned)(n_pos - r < mr ? n_pos - r : mr),
                              (unsigned)(j->c_out - c < nr ? j->c_out - c : nr), uv > 0);
    }
    finish_block(kn, j->out + p0 * j->c_out, j->c_out, n_pos, j->c_out, j->bias, true);
}

qasr_status conv_run(gemm_context *g, float *out, const float *in, const float *packed, const float *bias,
                     size_t n_images, size_t height, size_t width, size_t c_in, size_t c_out, qasr_error *err)
{
    conv_job j = { .g = g, .out = out, .in = in, .packed = packed, .bias = bias, .height = height, .width = width,
                   .c_in = c_in, .c_out = c_out, .h_out = (height + 1) / 2, .w_out = (width + 1) / 2 };
    j.m = n_images * j.h_out * j.w_out;
    size_t mr = g->k->gemm.mr, block = mr * CONV_BLOCK_PANELS, kc = conv_taps_per_slice(c_in) * c_in;
    TRY(reserve_per_thread(g, (CONV_BLOCK_PANELS + 1) * mr * kc, err));
    pool_run(g->pool, conv_task, &j, (j.m + block - 1) / block);
    return QASR_OK;
}
