/* See gemm.h. There are three kinds of products:
 *  - few rows (decoding): activations are converted to the form that the weight type needs, then each thread walks long
 *    contiguous runs of weight rows;
 *  - many rows (prefill, encoder): activations are packed once into panels [k][mr]. A task takes a block of weight
 * rows, dequantizes and packs it slice by slice along k (slices stay in L2), and runs the tile over all activation
 * panels;
 *  - convolution: weights are packed beforehand. A task takes a block of output positions, gathers the patches of one
 *    kernel position at a time, and runs the tile over all weight panels.
 * The last two have two precisions: panel cells are float32 or pairs of bfloat16 (gemm_kernels). Many rows have a
 * third: bytes with a scale for each 32 (gemm_int8_kernels), where weights are unpacked from blocks directly to bytes.
 * An output element is always summed by one thread, in the same order along k. */
#include "device/cpu/gemm.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

enum {
    K_SLICE = 512,               /* columns of weights packed at a time: a multiple of every block length */
    K_SLICE_INT8 = 1024,         /* the same as bytes */
    N_BLOCK = 64,                /* weight rows of one task, at least one panel */
    CONV_BLOCK = 48,             /* output positions of one convolution task, at least one panel */
    GEMV_UNIT_ROWS = 16,         /* weight rows of a unit */
    GEMV_RUN_BYTES = 256 * 1024, /* most bytes of weights that a thread takes at a time */
    LINEAR_PARTS = 8             /* most parts of one call */
};

/* Weight rows are scheduled in units. Each thread has a lane, a contiguous range of units, and takes runs from its
 * front, smaller ones towards the end; then it helps with the lanes of other threads. So memory is read in few long
 * streams and all threads finish together. */
struct gemv_lane {
    _Alignas(64) atomic_size_t next; /* one cache line per lane */
    size_t end;
};

qasr_status gemm_context_init(gemm_context *g, const kernels *k, pool *p, bool fast, qasr_error *err)
{
    *g = (gemm_context){
        .k = k, .pool = p, .use_bf16 = fast && k->gemm_bf16.tile, .use_int8 = fast && k->gemm_int8.tile
    };
    const unsigned widths[] = { k->gemm.nr, k->gemm_bf16.nr, k->gemm_int8.nr };
    size_t n_block = 0;
    for (size_t i = 0; i < 3; i++)
        if (widths[i] && n_block < size_round_up(N_BLOCK, widths[i]))
            n_block = size_round_up(N_BLOCK, widths[i]);
    g->slice_floats = size_round_up(2 * n_block * K_SLICE + K_SLICE,
                                    MEM_ALIGN / sizeof(float)); /* rows, panels, one dequantized row */
    g->thread_floats = g->slice_floats;
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

/* Row i of the input: in place, or normalized into to [k]. */
static const float *input_row(const kernels *kn, const gemm_input *in, size_t i, float *to)
{
    const float *x = in->x + i * in->ld;
    if (!in->norm_w)
        return x;
    if (in->norm_b)
        kn->layer_norm(to, x, in->norm_w, in->norm_b, in->k, in->eps);
    else
        kn->rms_norm(to, x, in->norm_w, in->k, in->eps);
    return to;
}

/* ---- few rows ------------------------------------------------------------------------------------ */

typedef struct gemv_job {
    const gemm_context *g;
    const gemm_part *parts;
    const float *x;
    size_t m, k;
    const unsigned char *acts;           /* quantized rows, if any part needs them */
    size_t act_row;                      /* bytes of a quantized row */
    size_t first_unit[LINEAR_PARTS + 1]; /* per part */
    size_t n_parts, run_units;
} gemv_job;

enum { GEMV_CHUNK = 64 }; /* weight rows per chunk of temporary sums */

/* Weight rows [r0, r0 + n) times activation rows [first, first + m), m <= GEMV_MAX_ROWS. */
static void gemv_matrix(const gemv_job *j, float *out, size_t ld_out, const void *w, quant_type type, size_t r0,
                        size_t n, size_t first, size_t m)
{
    const void *x = type <= QUANT_BF16 ? (const void *)(j->x + first * j->k) : j->acts + first * j->act_row;
    const unsigned char *rows = (const unsigned char *)w + r0 * quant_row_bytes(quant_get(type), j->k);
    j->g->k->gemv[type](out, ld_out, rows, x, n, j->k, m);
}

/* Products that are combined with the contents of out: added, or as the second factor of a gated pair. */
static void gemv_combine(const gemv_job *j, const gemm_part *part, size_t r0, size_t n, size_t first, size_t m)
{
    const kernels *kn = j->g->k;
    float sums[GEMV_MAX_ROWS * GEMV_CHUNK];
    for (size_t r = r0; r < r0 + n; r += GEMV_CHUNK) {
        size_t c = r0 + n - r < GEMV_CHUNK ? r0 + n - r : GEMV_CHUNK;
        gemv_matrix(j, sums, GEMV_CHUNK, part->up ? part->up : part->w, part->up ? part->up_type : part->type, r, c,
                    first, m);
        finish_block(kn, sums, GEMV_CHUNK, m, c, part->bias ? part->bias + r : NULL, false);
        for (size_t i = 0; i < m; i++) {
            float *out = part->out + (first + i) * part->ld_out + r;
            if (part->up)
                kn->silu_mul(out, sums + i * GEMV_CHUNK, c);
            else
                kn->add(out, sums + i * GEMV_CHUNK, c);
        }
    }
}

/* Activation rows [first, first + m), m <= GEMV_MAX_ROWS, times weight rows [r0, r0 + n) of a part. */
static void gemv_rows(const gemv_job *j, const gemm_part *part, size_t r0, size_t n, size_t first, size_t m)
{
    float *out = part->out + first * part->ld_out + r0;
    if (!part->accumulate) {
        gemv_matrix(j, out, part->ld_out, part->w, part->type, r0, n, first, m);
        finish_block(j->g->k, out, part->ld_out, m, n, part->bias ? part->bias + r0 : NULL, part->gelu);
    }
    if (part->accumulate || part->up)
        gemv_combine(j, part, r0, n, first, m);
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
        for (size_t i = 0; i < j->m; i += GEMV_MAX_ROWS) /* the weights stay in the cache */
            gemv_rows(j, &j->parts[p], r0, n, i, j->m - i < GEMV_MAX_ROWS ? j->m - i : GEMV_MAX_ROWS);
    }
}

/* The next run [*unit, *end) of a lane: a quarter of the rest, but at least 1 and at most run_units. */
static bool gemv_claim(struct gemv_lane *lane, size_t run_units, size_t *unit, size_t *end)
{
    size_t next = atomic_load_explicit(&lane->next, memory_order_relaxed), n;
    do {
        if (next >= lane->end)
            return false;
        n = (lane->end - next) / 4;
        n = n > run_units ? run_units : n ? n : 1;
    } while (!atomic_compare_exchange_weak_explicit(&lane->next, &next, next + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    *unit = next;
    *end = next + n;
    return true;
}

static void gemv_task(void *arg, size_t task, unsigned thread)
{
    const gemv_job *j = arg;
    size_t n_lanes = pool_threads(j->g->pool), unit, end;
    for (size_t i = 0; i < n_lanes; i++)
        while (gemv_claim(&j->g->lanes[(task + i) % n_lanes], j->run_units, &unit, &end))
            gemv_units(j, unit, end);
}

/* The forms of activations that the parts of a product need. */
typedef struct gemv_forms {
    bool quantized, floating;
} gemv_forms;

static void note_form(gemv_forms *f, quant_type type) { *(type <= QUANT_BF16 ? &f->floating : &f->quantized) = true; }

static size_t part_row_bytes(const gemm_part *p, size_t k)
{
    return quant_row_bytes(quant_get(p->type), k) + (p->up ? quant_row_bytes(quant_get(p->up_type), k) : 0);
}

/* Prepares activations in the required forms. Floating: in place if rows are contiguous and not normalized, else as
 * copies. Quantized: as fixed point. */
static qasr_status prepare_activations(gemv_job *j, gemm_context *g, const gemm_input *in, gemv_forms forms,
                                       qasr_error *err)
{
    size_t act_row = kernels_act_bytes(g->k, QUANT_Q8_0, in->k),
           act_bytes = forms.quantized ? size_round_up(in->m * act_row, MEM_ALIGN) : 0;
    bool gather = forms.floating && (in->norm_w || (in->m > 1 && in->ld != in->k));
    size_t n_copies = gather ? in->m : in->norm_w ? 1 : 0;
    TRY(reserve_shared(g, act_bytes + n_copies * in->k * sizeof(float), err));
    unsigned char *acts = g->shared;
    float *copies = n_copies ? (float *)(void *)(acts + act_bytes) : NULL; /* acts may be NULL without copies */
    for (size_t i = 0; i < in->m; i++) {
        float *copy = gather ? copies + i * in->k : copies;
        const float *row = input_row(g->k, in, i, copy);
        if (forms.quantized)
            g->k->quantize_act(acts + i * act_row, row, in->k);
        if (gather && row != copy)
            memcpy(copy, row, in->k * sizeof(float));
    }
    j->x = gather ? copies : in->x;
    j->acts = acts;
    j->act_row = act_row;
    return QASR_OK;
}

qasr_status gemv_run(gemm_context *g, const gemm_input *in, const gemm_part *parts, size_t n_parts, qasr_error *err)
{
    gemv_job j = { .g = g, .parts = parts, .m = in->m, .k = in->k, .n_parts = n_parts };
    gemv_forms forms = { false, false };
    size_t bytes = 0;
    for (size_t p = 0; p < n_parts; p++) {
        j.first_unit[p + 1] = j.first_unit[p] + (parts[p].n + GEMV_UNIT_ROWS - 1) / GEMV_UNIT_ROWS;
        bytes += parts[p].n * part_row_bytes(&parts[p], in->k);
        note_form(&forms, parts[p].type);
        if (parts[p].up)
            note_form(&forms, parts[p].up_type);
    }
    size_t n_units = j.first_unit[n_parts], n_lanes = pool_threads(g->pool);
    j.run_units = bytes ? n_units * GEMV_RUN_BYTES / bytes + 1 : 1;
    for (size_t i = 0; i < n_lanes; i++) {
        atomic_store_explicit(&g->lanes[i].next, n_units * i / n_lanes, memory_order_relaxed);
        g->lanes[i].end = n_units * (i + 1) / n_lanes;
    }
    TRY(prepare_activations(&j, g, in, forms, err));
    pool_run(g->pool, gemv_task, &j, n_lanes < n_units ? n_lanes : n_units);
    return QASR_OK;
}

/* ---- many rows ----------------------------------------------------------------------------------- */

typedef struct gemm_job {
    const gemm_context *g;
    product_type product;
    const gemm_kernels *t; /* NULL for int8 */
    const gemm_part *parts;
    const gemm_input *in;
    size_t m, k, mr, nr, n_block, k_slice;
    size_t own_floats; /* part of a thread's scratch for slices; normalized rows or spare blocks follow it */
    size_t first_task[LINEAR_PARTS + 1];
} gemm_job;

static bool bf16_loses_little(quant_type type) { return type != QUANT_F32 && type != QUANT_F16; }

/* Rounding activations to bytes has an error like that of 8-bit weights: small compared with that of 4-bit and 5-bit
 * weights (docs/numerics.md). */
static bool int8_loses_little(quant_type type)
{
    return type == QUANT_Q4_0 || type == QUANT_Q4_1 || type == QUANT_Q4_K || type == QUANT_Q5_0 || type == QUANT_Q5_1 ||
           type == QUANT_Q5_K || type == QUANT_IQ4_NL;
}

/* The codebook of IQ4_NL needs 8 bits. */
static bool int8_tile_takes(const kernels *kn, quant_type type)
{
    return kn->gemm_int8.bits >= (type == QUANT_IQ4_NL ? 8 : 5);
}

/* Without int8, which convolutions do not have. */
static product_type float_product_type(const gemm_context *g, quant_type type, size_t k)
{
    return g->use_bf16 && k % 2 == 0 && bf16_loses_little(type) ? PRODUCT_BF16 : PRODUCT_F32;
}

product_type gemm_product_type(const gemm_context *g, quant_type type, size_t k)
{
    return g->use_int8 && int8_loses_little(type) && int8_tile_takes(g->k, type) ? PRODUCT_INT8
                                                                                 : float_product_type(g, type, k);
}

static const gemm_kernels *tile_kernels(const kernels *kn, product_type product)
{
    return product == PRODUCT_BF16 ? &kn->gemm_bf16 : &kn->gemm;
}

/* Elements in a panel cell. */
static unsigned cell_elements(product_type product) { return product == PRODUCT_BF16 ? 2 : 1; }

/* Floats that k elements of a row occupy in a panel of activations. */
static size_t act_floats(product_type product, size_t k)
{
    return product == PRODUCT_INT8 ? k / QK * (sizeof(act8_block) / sizeof(float)) : k / cell_elements(product);
}

/* Packs float32 rows into a panel of activations. For PRODUCT_BF16, scratch holds n_rows * k bfloat16. */
static void pack_activations(const kernels *kn, float *panel, const float *rows, size_t ld, size_t n_rows, size_t k,
                             product_type product, float *scratch)
{
    if (product == PRODUCT_BF16) {
        for (size_t r = 0; r < n_rows; r++)
            kn->bf16_from_f32((uint16_t *)(void *)(scratch + r * (k / 2)), rows + r * ld, k);
        rows = scratch;
        ld = k / 2;
    }
    tile_kernels(kn, product)->pack_a(panel, rows, ld, (unsigned)n_rows, k / cell_elements(product));
}

static void pack_activations_int8(const kernels *kn, act8_block *panel, const float *rows, size_t ld, size_t n_rows,
                                  size_t k)
{
    size_t mr = kn->gemm_int8.mr;
    for (size_t r = 0; r < mr; r++) {
        if (r < n_rows)
            kn->quantize_act8(panel + r, mr, rows + r * ld, k);
        else
            for (size_t i = 0; i < k / QK; i++)
                panel[i * mr + r] = (act8_block){ 0 };
    }
}

static float *act_panel(const gemm_job *j, size_t row, size_t k0)
{
    return (float *)j->g->shared + act_floats(j->product, j->k) * row + act_floats(j->product, k0) * j->mr;
}

/* A thread's scratch for slices, and the scratch after it (own_floats). */
static float *slice_scratch(const gemm_job *j, unsigned thread)
{
    return j->g->per_thread + thread * j->g->thread_floats;
}
static float *spare_scratch(const gemm_job *j, unsigned thread) { return slice_scratch(j, thread) + j->own_floats; }

static void pack_rows_task(void *arg, size_t task, unsigned thread)
{
    const gemm_job *j = arg;
    size_t r0 = task * j->mr, rows = j->m - r0 < j->mr ? j->m - r0 : j->mr, ld = j->in->norm_w ? j->k : j->in->ld;
    float *scratch = slice_scratch(j, thread), *normed = spare_scratch(j, thread);
    for (size_t r = 0; j->in->norm_w && r < rows; r++)
        input_row(j->g->k, j->in, r0 + r, normed + r * j->k);
    for (size_t k0 = 0; k0 < j->k; k0 += j->k_slice) {
        size_t kc = j->k - k0 < j->k_slice ? j->k - k0 : j->k_slice;
        const float *x = (j->in->norm_w ? normed : j->in->x + r0 * ld) + k0;
        if (j->product == PRODUCT_INT8)
            pack_activations_int8(j->g->k, (act8_block *)(void *)act_panel(j, r0, k0), x, ld, rows, kc);
        else
            pack_activations(j->g->k, act_panel(j, r0, k0), x, ld, rows, kc, j->product, scratch);
    }
}

/* The part of a matrix that a thread multiplies at a time: weight rows [n0, n0 + n), columns [k0, k0 + kc). */
typedef struct weight_slice {
    const void *w;
    quant_type type;
    size_t n0, n, k0, kc;
    float *out; /* [m, n], row stride ld_out */
    size_t ld_out;
    bool accumulate; /* add to out */
} weight_slice;

static const unsigned char *slice_row(const gemm_job *j, const weight_slice *s, size_t r)
{
    const quant_info *q = quant_get(s->type);
    return (const unsigned char *)s->w + (s->n0 + r) * quant_row_bytes(q, j->k) + quant_row_bytes(q, s->k0);
}

/* The output tile at row r and column c. */
typedef struct tile_output {
    float *c;
    unsigned m, n;
    int accumulate;
} tile_output;

static tile_output output_at(const gemm_job *j, const weight_slice *s, size_t r, size_t c)
{
    return (tile_output){ s->out + r * s->ld_out + c, (unsigned)(j->m - r < j->mr ? j->m - r : j->mr),
                          (unsigned)(s->n - c < j->nr ? s->n - c : j->nr), s->k0 > 0 || s->accumulate };
}

/* Converts weights to float32 or bfloat16 rows, packs panels [kc cells][nr], runs the tiles. */
static void multiply_slice(const gemm_job *j, const weight_slice *s, float *scratch)
{
    const kernels *kn = j->g->k;
    size_t cells = s->kc / cell_elements(j->product);
    float *rows = scratch, *panels = rows + j->n_block * K_SLICE, *row = panels + j->n_block * K_SLICE;
    for (size_t r = 0; r < s->n; r++) {
        const unsigned char *w = slice_row(j, s, r);
        float *to = rows + r * cells;
        if (j->product == PRODUCT_F32) {
            kn->dequantize[s->type](to, w, s->kc);
        } else if (s->type == QUANT_BF16) {
            memcpy(to, w, s->kc * sizeof(uint16_t));
        } else {
            kn->dequantize[s->type](row, w, s->kc);
            kn->bf16_from_f32((uint16_t *)(void *)to, row, s->kc);
        }
    }
    for (size_t c = 0; c < s->n; c += j->nr)
        j->t->pack_b(panels + c * cells, rows + c * cells, cells, (unsigned)(s->n - c < j->nr ? s->n - c : j->nr),
                     cells);
    for (size_t c = 0; c < s->n; c += j->nr)
        for (size_t r = 0; r < j->m; r += j->mr) {
            tile_output o = output_at(j, s, r, c);
            j->t->tile(o.c, s->ld_out, act_panel(j, r, s->k0), panels + c * cells, cells, o.m, o.n, o.accumulate);
        }
}

/* Unpacks weights to bytes and scales, packs panels, runs the tiles. Scratch: bytes by rows, bytes by panels, scales
 * and minima [panel][block][nr], in total little more than half of what multiply_slice needs. */
static void multiply_slice_int8(const gemm_job *j, const weight_slice *s, float *scratch)
{
    const kernels *kn = j->g->k;
    size_t nr = j->nr, blocks = s->kc / QK, cells = s->kc / sizeof(float);
    float *panels = scratch + j->n_block * (K_SLICE_INT8 / sizeof(float));
    float *scale = panels + j->n_block * (K_SLICE_INT8 / sizeof(float)),
          *min = scale + j->n_block * (K_SLICE_INT8 / QK);
    int8_t *rows = (int8_t *)(void *)scratch;
    for (size_t r = 0; r < s->n; r++) {
        size_t at = r / nr * nr * blocks + r % nr;
        kn->unpack_int8[s->type](rows + r * s->kc, scale + at, min + at, nr, slice_row(j, s, r), s->kc);
    }
    for (size_t c = 0; c < s->n; c += nr) {
        int8_panel b = { panels + c * cells, scale + c * blocks, quant_has_min(s->type) ? min + c * blocks : NULL };
        kn->gemm_int8.pack_b(panels + c * cells, rows + c * s->kc, s->kc, (unsigned)(s->n - c < nr ? s->n - c : nr),
                             blocks, b.min != NULL);
        for (size_t r = 0; r < j->m; r += j->mr) {
            tile_output o = output_at(j, s, r, c);
            kn->gemm_int8.tile(o.c, s->ld_out, (const act8_block *)(const void *)act_panel(j, r, s->k0), &b, blocks,
                               o.m, o.n, o.accumulate);
        }
    }
}

/* All columns of the slice's rows. */
static void multiply_rows(const gemm_job *j, weight_slice s, float *scratch)
{
    for (s.k0 = 0; s.k0 < j->k; s.k0 += j->k_slice) {
        s.kc = j->k - s.k0 < j->k_slice ? j->k - s.k0 : j->k_slice;
        if (j->product == PRODUCT_INT8)
            multiply_slice_int8(j, &s, scratch);
        else
            multiply_slice(j, &s, scratch);
    }
}

/* Computes the second factor of a gated pair in spare [m, n_block] and combines it with the block of out while that is
 * in the cache. */
static void multiply_up(const gemm_job *j, const gemm_part *part, const weight_slice *gate, float *scratch,
                        float *spare)
{
    weight_slice s = *gate;
    s.w = part->up;
    s.type = part->up_type;
    s.out = spare;
    s.ld_out = j->n_block;
    multiply_rows(j, s, scratch);
    for (size_t i = 0; i < j->m; i++)
        j->g->k->silu_mul(gate->out + i * gate->ld_out, spare + i * s.ld_out, s.n);
}

static void gemm_task(void *arg, size_t task, unsigned thread)
{
    const gemm_job *j = arg;
    size_t p = 0;
    while (task >= j->first_task[p + 1])
        p++;
    const gemm_part *part = &j->parts[p];
    size_t n0 = (task - j->first_task[p]) * j->n_block;
    weight_slice s = { .w = part->w,
                       .type = part->type,
                       .n0 = n0,
                       .n = part->n - n0 < j->n_block ? part->n - n0 : j->n_block,
                       .out = part->out + n0,
                       .ld_out = part->ld_out,
                       .accumulate = part->accumulate };
    multiply_rows(j, s, slice_scratch(j, thread));
    if (part->up)
        multiply_up(j, part, &s, slice_scratch(j, thread), spare_scratch(j, thread));
    finish_block(j->g->k, s.out, s.ld_out, j->m, s.n, part->bias ? part->bias + n0 : NULL, part->gelu);
}

/* A gated pair uses the more precise of the formats of its two matrices. */
static product_type part_product(const gemm_context *g, const gemm_part *p, size_t k)
{
    product_type own = gemm_product_type(g, p->type, k), up = p->up ? gemm_product_type(g, p->up_type, k) : own;
    return own < up ? own : up;
}

/* Reserves each thread's scratch for slices, and for normalized rows or a block of the second factor. */
static qasr_status reserve_scratch(gemm_context *g, gemm_job *j, size_t n, qasr_error *err)
{
    bool gated = false;
    for (size_t p = 0; p < n; p++)
        gated = gated || j->parts[p].up;
    size_t normed = j->in->norm_w ? j->mr * j->k : 0, block = gated ? j->m * j->n_block : 0;
    return reserve_per_thread(g, j->own_floats + (normed > block ? normed : block), err);
}

/* Runs the parts that use this format. */
static qasr_status gemm_run_parts(gemm_context *g, const gemm_input *in, const gemm_part *parts, size_t n_parts,
                                  product_type product, qasr_error *err)
{
    gemm_part own[LINEAR_PARTS];
    gemm_job j = {
        .g = g, .product = product, .parts = own, .in = in, .m = in->m, .k = in->k, .own_floats = g->slice_floats
    };
    if (product != PRODUCT_INT8)
        j.t = tile_kernels(g->k, product);
    j.mr = j.t ? j.t->mr : g->k->gemm_int8.mr; /* 0 without such a tile; then no part uses it */
    j.nr = j.t ? j.t->nr : g->k->gemm_int8.nr;
    size_t n = 0;
    for (size_t p = 0; p < n_parts; p++)
        if (part_product(g, &parts[p], j.k) == product)
            own[n++] = parts[p];
    if (n == 0)
        return QASR_OK;
    j.n_block = size_round_up(N_BLOCK, j.nr);
    j.k_slice = product == PRODUCT_INT8 ? K_SLICE_INT8 : K_SLICE;
    for (size_t p = 0; p < n; p++)
        j.first_task[p + 1] = j.first_task[p] + (own[p].n + j.n_block - 1) / j.n_block;
    size_t n_panels = (j.m + j.mr - 1) / j.mr;
    TRY(reserve_shared(g, n_panels * j.mr * act_floats(product, j.k) * sizeof(float), err));
    TRY(reserve_scratch(g, &j, n, err));
    pool_run(g->pool, pack_rows_task, &j, n_panels);
    pool_run(g->pool, gemm_task, &j, j.first_task[n]);
    return QASR_OK;
}

qasr_status gemm_run(gemm_context *g, const gemm_input *in, const gemm_part *parts, size_t n_parts, qasr_error *err)
{
    if (in->m <= GEMV_MAX_ROWS)
        return gemv_run(g, in, parts, n_parts, err);
    for (product_type product = 0; product < PRODUCT_TYPES; product++)
        TRY(gemm_run_parts(g, in, parts, n_parts, product, err));
    return QASR_OK;
}

/* ---- convolution --------------------------------------------------------------------------------- */

/* With few channels all nine kernel positions form one slice, else each forms one. */
static size_t conv_taps_per_slice(size_t c_in) { return c_in < 32 ? 9 : 1; }

static product_type packed_product(quant_type packed) { return packed == QUANT_BF16 ? PRODUCT_BF16 : PRODUCT_F32; }

quant_type conv_pack_type(const gemm_context *g, quant_type type, size_t c_in)
{
    return float_product_type(g, type, conv_taps_per_slice(c_in) * c_in) == PRODUCT_BF16 ? QUANT_BF16 : QUANT_F32;
}

size_t conv_packed_bytes(const gemm_context *g, quant_type packed_type, size_t c_out, size_t c_in)
{
    return size_round_up(c_out, tile_kernels(g->k, packed_product(packed_type))->nr) * 9 * c_in *
           quant_get(packed_type)->bytes;
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

void conv_pack_weights(gemm_context *g, void *packed, quant_type packed_type, const void *w, quant_type type,
                       size_t c_out, size_t c_in)
{
    conv_pack_job j = { g, tile_kernels(g->k, packed_product(packed_type)), packed, packed_type, w, type, c_out, c_in };
    pool_run(g->pool, conv_pack_task, &j, (c_out + j.t->nr - 1) / j.t->nr);
}

typedef struct conv_job {
    const gemm_context *g;
    const gemm_kernels *t;
    float *out;
    const float *in, *bias, *packed; /* packed: cells */
    product_type product;
    size_t height, width, c_in, c_out, h_out, w_out, m;
} conv_job;

/* Input values under kernel position (u, v) for output position p: c_in floats, NULL in the padding. */
static const float *conv_tap(const conv_job *j, size_t p, size_t uv)
{
    size_t x = p % j->w_out, y = p / j->w_out % j->h_out, image = p / (j->w_out * j->h_out);
    size_t iy = 2 * y + uv / 3, ix = 2 * x + uv % 3; /* includes the padding of 1 */
    if (iy == 0 || ix == 0 || iy > j->height || ix > j->width)
        return NULL;
    return j->in + ((image * j->height + iy - 1) * j->width + ix - 1) * j->c_in;
}

/* Gathers kernel positions [uv, uv + n_uv) of output positions [p, p + n_rows): rows [n_rows][n_uv * c_in]. */
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
    size_t taps = conv_taps_per_slice(j->c_in), kc = taps * j->c_in, pack = cell_elements(j->product),
           cells = kc / pack;
    size_t block = size_round_up(CONV_BLOCK, mr), p0 = task * block, n_pos = j->m - p0 < block ? j->m - p0 : block;
    float *panels = j->g->per_thread + thread * j->g->thread_floats;
    float *rows = panels + block * kc, *scratch = rows + mr * kc;
    for (size_t uv = 0; uv < 9; uv += taps) {
        for (size_t r = 0; r < n_pos; r += mr) {
            size_t n_rows = n_pos - r < mr ? n_pos - r : mr;
            conv_gather(j, rows, p0 + r, n_rows, uv, taps);
            pack_activations(kn, panels + r * cells, rows, kc, n_rows, kc, j->product, scratch);
        }
        for (size_t c = 0; c < j->c_out; c += nr)
            for (size_t r = 0; r < n_pos; r += mr)
                j->t->tile(j->out + (p0 + r) * j->c_out + c, j->c_out, panels + r * cells,
                           j->packed + (c * k + uv * j->c_in * nr) / pack, cells,
                           (unsigned)(n_pos - r < mr ? n_pos - r : mr),
                           (unsigned)(j->c_out - c < nr ? j->c_out - c : nr), uv > 0);
    }
    finish_block(kn, j->out + p0 * j->c_out, j->c_out, n_pos, j->c_out, j->bias, true);
}

qasr_status conv_run(gemm_context *g, float *out, const float *in, const void *packed, quant_type packed_type,
                     const float *bias, size_t n_images, size_t height, size_t width, size_t c_in, size_t c_out,
                     qasr_error *err)
{
    conv_job j = { .g = g,
                   .out = out,
                   .in = in,
                   .packed = packed,
                   .product = packed_product(packed_type),
                   .bias = bias,
                   .height = height,
                   .width = width,
                   .c_in = c_in,
                   .c_out = c_out,
                   .h_out = (height + 1) / 2,
                   .w_out = (width + 1) / 2 };
    j.m = n_images * j.h_out * j.w_out;
    j.t = tile_kernels(g->k, j.product);
    size_t mr = j.t->mr, block = size_round_up(CONV_BLOCK, mr), kc = conv_taps_per_slice(c_in) * c_in;
    TRY(reserve_per_thread(g, (block + 2 * mr) * kc, err));
    pool_run(g->pool, conv_task, &j, (j.m + block - 1) / block);
    return QASR_OK;
}
