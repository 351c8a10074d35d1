/* See gemm.h. Three shapes of work:
 *  - few rows (decoding): activations are brought into the form the weight type wants, then every thread
 *    walks long contiguous runs of weight rows;
 *  - many rows (prefill, encoder): activations are packed once into panels [k][mr]; a task takes a block of
 *    weight rows, dequantizes and packs it slice by slice along k (it stays in L2), and runs the tile over
 *    all activation panels;
 *  - convolution: weights are packed beforehand; a task takes a block of output positions, gathers the
 *    patches of one kernel position at a time and runs the tile over all weight panels.
 * The last two come in two precisions: panel cells are float32 or pairs of bfloat16 (gemm_kernels).
 * An output element is always summed by one thread in the same order along k. */
#include "device/gemm.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

enum {
    K_SLICE = 512,         /* columns of weights packed at a time: a multiple of every block length */
    N_BLOCK = 64,          /* weight rows of one task, at least one panel */
    CONV_BLOCK = 48,       /* output positions of one convolution task, at least one panel */
    GEMV_UNIT_ROWS = 16,           /* weight rows that stay together */
    GEMV_PIECE_BYTES = 256 * 1024, /* of weights, the most that a thread takes at a time */
    LINEAR_PARTS = 8       /* parts of one call at the most */
};

/* Weight rows go by in units. Each thread has a lane, a contiguous run of them, and takes pieces from its front, smaller
 * ones towards the end; then it helps in the lanes of the others. So memory is read in few long streams and all
 * threads finish together. */
struct gemv_lane {
    _Alignas(64) atomic_size_t next; /* a cache line each */
    size_t end;
};

qasr_status gemm_context_init(gemm_context *g, const kernels *k, pool *p, bool fast, qasr_error *err)
{
    *g = (gemm_context){ .k = k, .pool = p, .use_bf16 = fast && k->gemm_bf16.tile };
    size_t n_block = size_round_up(N_BLOCK, k->gemm.nr > k->gemm_bf16.nr ? k->gemm.nr : k->gemm_bf16.nr);
    g->thread_floats = 2 * n_block * K_SLICE + K_SLICE; /* rows, panels, one dequantized row */
    TRY(MEM_CALLOC(&g->lanes, pool_threads(p), err));
    return mem_alloc((void **)&g->per_thread, pool_threads(p) * g->thread_floats, sizeof(float), err);
}

void gemm_context_free(gemm_context *g)
{
    mem_free(g->shared);
    mem_free(g->per_thread);
    mem_free(g->lanes);
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
    size_t m, k;
    const unsigned char *acts;            /* quantized rows, if any part wants them */
    size_t act_row;                       /* bytes of one */
    size_t first_unit[LINEAR_PARTS + 1];  /* per part */
    size_t n_parts, piece_units;
} gemv_job;

/* Activation rows [first, first + m), m <= GEMV_MAX_ROWS, times weight rows [r0, r0 + n) of a part. */
static void gemv_rows(const gemv_job *j, const gemm_part *part, size_t r0, size_t n, size_t first, size_t m)
{
    const kernels *kn = j->g->k;
    size_t row_bytes = quant_row_bytes(quant_get(part->type), j->k);
    const unsigned char *w = (const unsigned char *)part->w + r0 * row_bytes;
    const void *x = part->type <= QUANT_BF16 ? (const void *)(j->x + first * j->k) : j->acts + first * j->act_row;
    float *out = part->out + first * part->ld_out + r0;
    const float *bias = part->bias ? part->bias + r0 : NULL;
    if (!part->accumulate) {
        kn->gemv[part->type](out, part->ld_out, w, x, n, j->k, m);
        finish_block(kn, out, part->ld_out, m, n, bias, part->gelu);
        return;
    }
    float sums[GEMV_MAX_ROWS * 64]; /* added to the old values piece by piece */
    for (size_t r = 0; r < n; r += 64) {
        size_t c = n - r < 64 ? n - r : 64;
        kn->gemv[part->type](sums, 64, w + r * row_bytes, x, c, j->k, m);
        finish_block(kn, sums, 64, m, c, bias ? bias + r : NULL, false);
        for (size_t i = 0; i < m; i++)
            kn->add(out + i * part->ld_out + r, sums + i * 64, c);
    }
}

static void gemv_units(const gemv_job *j, size_t unit, size_t end)
{
    for (size_t p = 0; p < j->n_parts; p++) {
        size_t first = j->first_unit[p], last = j->first_unit[p + 1];
        size_t u0 = unit > first ? unit : first, u1 = end < last ? end : last;
        if (u0 >= u1)
            continue;
        size_t r0 = (u0 - first) * GEMV_UNIT_ROWS, r1 = (u1 - first) * GEMV_UNIT_ROWS;
        size_t n = (r1 < j->parts[p].n ? r1 : j->parts[p].n) - r0;
        for (size_t i = 0; i < j->m; i += GEMV_MAX_ROWS) /* the weights stay in the cache meanwhile */
            gemv_rows(j, &j->parts[p], r0, n, i, j->m - i < GEMV_MAX_ROWS ? j->m - i : GEMV_MAX_ROWS);
    }
}

/* The next piece [*unit, *end) of a lane: a quarter of what is left, within limits. */
static bool gemv_claim(struct gemv_lane *lane, size_t piece_units, size_t *unit, size_t *end)
{
    size_t next = atomic_load_explicit(&lane->next, memory_order_relaxed), n;
    do {
        if (next >= lane->end)
            return false;
        n = (lane->end - next) / 4;
        n = n > piece_units ? piece_units : n ? n : 1;
    } while (!atomic_compare_exchange_weak_explicit(&lane->next, &next, next + n, memory_order_relaxed, memory_order_relaxed));
    *unit = next;
    *end = next + n;
    return true;
}

static void gemv_task(void *arg, size_t task, unsigned thread)
{
    const gemv_job *j = arg;
    size_t n_lanes = pool_threads(j->g->pool), unit, end;
    for (size_t i = 0; i < n_lanes; i++)
        while (gemv_claim(&j->g->lanes[(task + i) % n_lanes], j->piece_units, &unit, &end))
            gemv_units(j, unit, end);
}

qasr_status gemv_run(gemm_context *g, const float *x, size_t ld_x, size_t m, size_t k, const gemm_part *parts,
                     size_t n_parts, qasr_error *err)
{
    gemv_job j = { .g = g, .parts = parts, .x = x, .m = m, .k = k, .n_parts = n_parts };
    bool quantized = false, floating = false;
    size_t bytes = 0;
    for (size_t p = 0; p < n_parts; p++) {
        j.first_unit[p + 1] = j.first_unit[p] + (parts[p].n + GEMV_UNIT_ROWS - 1) / GEMV_UNIT_ROWS;
        bytes += parts[p].n * quant_row_bytes(quant_get(parts[p].type), k);
        *(parts[p].type <= QUANT_BF16 ? &floating : &quantized) = true;
    }
    size_t n_units = j.first_unit[n_parts], n_lanes = pool_threads(g->pool);
    j.piece_units = bytes ? n_units * GEMV_PIECE_BYTES / bytes + 1 : 1;
    for (size_t i = 0; i < n_lanes; i++) {
        atomic_store_explicit(&g->lanes[i].next, n_units * i / n_lanes, memory_order_relaxed);
        g->lanes[i].end = n_units * (i + 1) / n_lanes;
    }
    size_t act_row = kernels_act_bytes(g->k, QUANT_Q8_0, k), act_bytes = quantized ? size_round_up(m * act_row, MEM_ALIGN) : 0;
    bool gather = floating && m > 1 && ld_x != k; /* gemv wants consecutive rows */
    TRY(reserve_shared(g, act_bytes + (gather ? m * k * sizeof(float) : 0), err));
    j.acts = g->shared;
    j.act_row = act_row;
    for (size_t i = 0; quantized && i < m; i++)
        g->k->quantize_act((unsigned char *)g->shared + i * act_row, x + i * ld_x, k);
    if (gather) {
        float *rows = (float *)(void *)((unsigned char *)g->shared + act_bytes);
        for (size_t i = 0; i < m; i++)
            memcpy(rows + i * k, x + i * ld_x, k * sizeof(float));
        j.x = rows;
    }
    pool_run(g->pool, gemv_task, &j, n_lanes < n_units ? n_lanes : n_units);
    return QASR_OK;
}

/* ---- many rows ----------------------------------------------------------------------------------- */

typedef struct gemm_job {
    const gemm_context *g;
    const gemm_kernels *t;
    const gemm_part *parts;
    const float *x;
    size_t ld_x, m, k, n_block;
    unsigned pack; /* elements per panel cell: 1 float32 or 2 bfloat16 */
    float *panels; /* [ceil(m / mr)][k / pack][mr] cells */
    size_t first_task[LINEAR_PARTS + 1];
} gemm_job;

/* bfloat16 loses nothing of bf16 weights and little of quantized ones; wider types keep their precision. */
static bool part_uses_bf16(const gemm_context *g, quant_type type, size_t k)
{
    return g->use_bf16 && k % 2 == 0 && type != QUANT_F32 && type != QUANT_F16;
}

quant_type gemm_product_type(const gemm_context *g, quant_type type, size_t k)
{
    return part_uses_bf16(g, type, k) ? QUANT_BF16 : QUANT_F32;
}

static const gemm_kernels *tile_kernels(const kernels *kn, unsigned pack) { return pack == 2 ? &kn->gemm_bf16 : &kn->gemm; }

/* Rows of float32 -> a panel of activations; scratch holds rows * k bfloat16 when pack is 2. */
static void pack_activations(const kernels *kn, float *panel, const float *rows, size_t ld, size_t n_rows, size_t k,
                             unsigned pack, float *scratch)
{
    if (pack == 2) {
        for (size_t r = 0; r < n_rows; r++)
            kn->bf16_from_f32((uint16_t *)(void *)(scratch + r * (k / 2)), rows + r * ld, k);
        rows = scratch;
        ld = k / 2;
    }
    tile_kernels(kn, pack)->pack_a(panel, rows, ld, (unsigned)n_rows, k / pack);
}

static void pack_rows_task(void *arg, size_t task, unsigned thread)
{
    const gemm_job *j = arg;
    const kernels *kn = j->g->k;
    size_t mr = j->t->mr, r0 = task * mr, rows = j->m - r0 < mr ? j->m - r0 : mr;
    float *panel = j->panels + r0 * (j->k / j->pack), *scratch = j->g->per_thread + thread * j->g->thread_floats;
    for (size_t k0 = 0; k0 < j->k; k0 += K_SLICE) {
        size_t kc = j->k - k0 < K_SLICE ? j->k - k0 : K_SLICE;
        pack_activations(kn, panel + k0 / j->pack * mr, j->x + r0 * j->ld_x + k0, j->ld_x, rows, kc, j->pack, scratch);
    }
}

/* Columns [k0, k0 + kc) of weight rows -> panels [kc / pack][nr]. */
static void pack_weight_slice(const gemm_job *j, const gemm_part *part, size_t n0, size_t n, size_t k0, size_t kc,
                              float *rows, float *row, float *panels)
{
    const kernels *kn = j->g->k;
    const quant_info *q = quant_get(part->type);
    size_t row_bytes = quant_row_bytes(q, j->k), nr = j->t->nr, cells = kc / j->pack;
    const unsigned char *w = (const unsigned char *)part->w + n0 * row_bytes + quant_row_bytes(q, k0);
    for (size_t r = 0; r < n; r++) {
        uint16_t *half_row = (uint16_t *)(void *)(rows + r * cells);
        if (j->pack == 2 && part->type == QUANT_BF16) {
            memcpy(half_row, w + r * row_bytes, kc * sizeof *half_row);
            continue;
        }
        kn->dequantize[part->type](j->pack == 2 ? row : rows + r * cells, w + r * row_bytes, kc);
        if (j->pack == 2)
            kn->bf16_from_f32(half_row, row, kc);
    }
    for (size_t r = 0; r < n; r += nr)
        j->t->pack_b(panels + r * cells, rows + r * cells, cells, (unsigned)(n - r < nr ? n - r : nr), cells);
}

static void gemm_task(void *arg, size_t task, unsigned thread)
{
    const gemm_job *j = arg;
    const kernels *kn = j->g->k;
    size_t mr = j->t->mr, nr = j->t->nr, p = 0;
    while (task >= j->first_task[p + 1])
        p++;
    const gemm_part *part = &j->parts[p];
    size_t n0 = (task - j->first_task[p]) * j->n_block;
    size_t n = part->n - n0 < j->n_block ? part->n - n0 : j->n_block;
    float *rows = j->g->per_thread + thread * j->g->thread_floats, *panels = rows + j->n_block * K_SLICE;
    for (size_t k0 = 0; k0 < j->k; k0 += K_SLICE) {
        size_t kc = j->k - k0 < K_SLICE ? j->k - k0 : K_SLICE, cells = kc / j->pack;
        pack_weight_slice(j, part, n0, n, k0, kc, rows, panels + j->n_block * K_SLICE, panels);
        for (size_t c = 0; c < n; c += nr)
            for (size_t r = 0; r < j->m; r += mr)
                j->t->tile(
                    part->out + r * part->ld_out + n0 + c, part->ld_out, j->panels + r * (j->k / j->pack) + k0 / j->pack * mr,
                    panels + c * cells, cells, (unsigned)(j->m - r < mr ? j->m - r : mr),
                    (unsigned)(n - c < nr ? n - c : nr), k0 > 0 || part->accumulate);
    }
    finish_block(kn, part->out + n0, part->ld_out, j->m, n, part->bias ? part->bias + n0 : NULL, part->gelu);
}

/* Parts that want the same precision. */
static qasr_status gemm_run_parts(gemm_context *g, const float *x, size_t ld_x, size_t m, size_t k, const gemm_part *parts,
                                  size_t n_parts, bool bf16, qasr_error *err)
{
    gemm_part own[LINEAR_PARTS];
    gemm_job j = { .g = g, .t = tile_kernels(g->k, bf16 ? 2 : 1), .parts = own, .x = x, .ld_x = ld_x, .m = m, .k = k,
                   .pack = bf16 ? 2 : 1 };
    j.n_block = size_round_up(N_BLOCK, j.t->nr);
    size_t n = 0, n_panels = (m + j.t->mr - 1) / j.t->mr;
    for (size_t p = 0; p < n_parts; p++)
        if (part_uses_bf16(g, parts[p].type, k) == bf16) {
            own[n] = parts[p];
            j.first_task[n + 1] = j.first_task[n] + (parts[p].n + j.n_block - 1) / j.n_block;
            n++;
        }
    if (n == 0)
        return QASR_OK;
    TRY(reserve_shared(g, n_panels * j.t->mr * (k / j.pack) * sizeof(float), err));
    j.panels = g->shared;
    pool_run(g->pool, pack_rows_task, &j, n_panels);
    pool_run(g->pool, gemm_task, &j, j.first_task[n]);
    return QASR_OK;
}

qasr_status gemm_run(gemm_context *g, const float *x, size_t ld_x, size_t m, size_t k, const gemm_part *parts,
                     size_t n_parts, qasr_error *err)
{
    if (m <= GEMV_MAX_ROWS)
        return gemv_run(g, x, ld_x, m, k, parts, n_parts, err);
    if (g->use_bf16)
        TRY(gemm_run_parts(g, x, ld_x, m, k, parts, n_parts, true, err));
    return gemm_run_parts(g, x, ld_x, m, k, parts, n_parts, false, err);
}

/* ---- convolution --------------------------------------------------------------------------------- */

/* With few channels all nine kernel positions make one slice, else each is its own. */
static size_t conv_taps_per_slice(size_t c_in) { return c_in < 32 ? 9 : 1; }

quant_type conv_pack_type(const gemm_context *g, quant_type type, size_t c_in)
{
    return part_uses_bf16(g, type, conv_taps_per_slice(c_in) * c_in) ? QUANT_BF16 : QUANT_F32;
}

size_t conv_packed_bytes(const gemm_context *g, quant_type packed_type, size_t c_out, size_t c_in)
{
    return size_round_up(c_out, tile_kernels(g->k, packed_type == QUANT_BF16 ? 2 : 1)->nr) * 9 * c_in * quant_get(packed_type)->bytes;
}

typedef struct conv_pack_job {
    const gemm_context *g;
    const gemm_kernels *t;
    void *packed;
    quant_type packed_type;
    const void *w;
    quant_type type;
    size_t c_out, c_in;
} conv_pack_job;

static void put_cell(const conv_pack_job *j, size_t panel0, size_t r, size_t i, float value)
{
    size_t nr = j->t->nr;
    if (j->packed_type == QUANT_BF16)
        ((uint16_t *)j->packed)[panel0 + (i / 2 * nr + r) * 2 + i % 2] = bf16_from_f32(value);
    else
        ((float *)j->packed)[panel0 + i * nr + r] = value;
}

/* One panel: nr output channels. */
static void conv_pack_task(void *arg, size_t task, unsigned thread)
{
    const conv_pack_job *j = arg;
    size_t nr = j->t->nr, k = 9 * j->c_in, o0 = task * nr;
    const quant_info *q = quant_get(j->type);
    for (size_t r = 0; r < nr; r++) {
        if (o0 + r >= j->c_out) {
            for (size_t i = 0; i < k; i++)
                put_cell(j, o0 * k, r, i, 0);
            continue;
        }
        const unsigned char *src = (const unsigned char *)j->w + (o0 + r) * quant_row_bytes(q, k);
        float chunk[9 * 32]; /* 32 input channels, [c][3][3] */
        for (size_t c0 = 0; c0 < j->c_in; c0 += 32) {
            size_t n = j->c_in - c0 < 32 ? j->c_in - c0 : 32;
            j->g->k->dequantize[j->type](chunk, src + quant_row_bytes(q, 9 * c0), 9 * n);
            for (size_t i = 0; i < 9 * n; i++)
                put_cell(j, o0 * k, r, i % 9 * j->c_in + c0 + i / 9, chunk[i]);
        }
    }
}

void conv_pack_weights(gemm_context *g, void *packed, quant_type packed_type, const void *w, quant_type type, size_t c_out,
                       size_t c_in)
{
    conv_pack_job j = { g, tile_kernels(g->k, packed_type == QUANT_BF16 ? 2 : 1), packed, packed_type, w, type, c_out, c_in };
    pool_run(g->pool, conv_pack_task, &j, (c_out + j.t->nr - 1) / j.t->nr);
}

typedef struct conv_job {
    const gemm_context *g;
    const gemm_kernels *t;
    float *out;
    const float *in, *bias, *packed; /* packed: cells */
    unsigned pack;
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

static void conv_task(void *arg, size_t task, unsigned thread)
{
    const conv_job *j = arg;
    const kernels *kn = j->g->k;
    size_t mr = j->t->mr, nr = j->t->nr, k = 9 * j->c_in;
    size_t taps = conv_taps_per_slice(j->c_in), kc = taps * j->c_in, cells = kc / j->pack;
    size_t block = size_round_up(CONV_BLOCK, mr), p0 = task * block, n_pos = j->m - p0 < block ? j->m - p0 : block;
    float *panels = j->g->per_thread + thread * j->g->thread_floats;
    float *rows = panels + block * kc, *scratch = rows + mr * kc;
    for (size_t uv = 0; uv < 9; uv += taps) {
        for (size_t r = 0; r < n_pos; r += mr) {
            size_t n_rows = n_pos - r < mr ? n_pos - r : mr;
            conv_gather(j, rows, p0 + r, n_rows, uv, taps);
            pack_activations(kn, panels + r * cells, rows, kc, n_rows, kc, j->pack, scratch);
        }
        for (size_t c = 0; c < j->c_out; c += nr)
            for (size_t r = 0; r < n_pos; r += mr)
                j->t->tile(
                    j->out + (p0 + r) * j->c_out + c, j->c_out, panels + r * cells,
                    j->packed + (c * k + uv * j->c_in * nr) / j->pack, cells,
                    (unsigned)(n_pos - r < mr ? n_pos - r : mr), (unsigned)(j->c_out - c < nr ? j->c_out - c : nr), uv > 0);
    }
    finish_block(kn, j->out + p0 * j->c_out, j->c_out, n_pos, j->c_out, j->bias, true);
}

qasr_status conv_run(gemm_context *g, float *out, const float *in, const void *packed, quant_type packed_type,
                     const float *bias, size_t n_images, size_t height, size_t width, size_t c_in, size_t c_out,
                     qasr_error *err)
{
    conv_job j = { .g = g, .out = out, .in = in, .packed = packed, .pack = packed_type == QUANT_BF16 ? 2 : 1, .bias = bias,
                   .height = height, .width = width, .c_in = c_in, .c_out = c_out, .h_out = (height + 1) / 2,
                   .w_out = (width + 1) / 2 };
    j.m = n_images * j.h_out * j.w_out;
    j.t = tile_kernels(g->k, j.pack);
    size_t mr = j.t->mr, block = size_round_up(CONV_BLOCK, mr), kc = conv_taps_per_slice(c_in) * c_in;
    TRY(reserve_per_thread(g, (block + 2 * mr) * kc, err));
    pool_run(g->pool, conv_task, &j, (j.m + block - 1) / block);
    return QASR_OK;
}
