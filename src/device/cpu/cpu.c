/* The CPU device: operations run at once, in host memory, with rows or heads spread over the pool. Weights are used in
 * place in the mapped file. Matrix products are in gemm.c, attention of one head is a kernel; the other operations move
 * little memory. */
#include "device/cpu/cpu.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/ram.h"
#include "device/cpu/cpu_weights.h"
#include "device/cpu/gemm.h"
#include "device/cpu/moments.h"
#include "device/token_score.h"

/* Screening for the matrix of op_linear_argmax: tried once the matrix has been used often enough to pay for the copy,
 * turned off for good if it does not help. */
typedef struct screening {
    const argmax_screen *copy;
    device_mem *mem;   /* of that matrix */
    const void *w;     /* that matrix */
    unsigned n_whole;  /* whole products so far */
    unsigned n_missed; /* consecutive failures to find the index */
    bool off;
} screening;

typedef struct cpu_device {
    device base;
    const kernels *k;
    pool *pool;
    gemm_context gemm;
    moments_context moments;
    screening screening;
    qasr_status status; /* first failure since begin */
    qasr_error error;
} cpu_device;

static cpu_device *cpu(device *d) { return (cpu_device *)d; }

static inline float *f32_row(const dmat *m, size_t row)
{
    assert(m->type == QUANT_F32);
    return (float *)(void *)(m->mem->data + m->offset + row * m->stride);
}

static inline int32_t *i32_row(const dmat *m, size_t row)
{
    assert(m->type == DTYPE_I32);
    return (int32_t *)(void *)(m->mem->data + m->offset + row * m->stride);
}

static inline unsigned char *row_bytes(const dmat *m, size_t row) { return m->mem->data + m->offset + row * m->stride; }
static inline size_t ld_f32(const dmat *m) { return m->stride / sizeof(float); }

static pool *cpu_host_pool(device *d) { return cpu(d)->pool; }

/* ---- memory -------------------------------------------------------------------------------------- */

static qasr_status cpu_alloc(device *d, device_mem **out, size_t bytes, qasr_error *err)
{
    return cpu_mem_alloc(out, bytes, err);
}

static void cpu_free(device *d, device_mem *mem) { cpu_mem_free(mem); }

static qasr_status cpu_create_weights(device *d, device_weights **out, qasr_error *err)
{
    return cpu_weights_create(out, d->ops, &cpu(d)->gemm, err);
}

static bool cpu_weights_fit(const device_weights *weights, const device *d)
{
    const cpu_weights *w = (const cpu_weights *)weights;
    const gemm_context *g = &((const cpu_device *)d)->gemm;
    return w->k == g->k && w->use_bf16 == g->use_bf16;
}

static qasr_status cpu_write(device *d, const dmat *dst, const void *src, qasr_error *err)
{
    size_t bytes = dmat_row_bytes(dst->type, dst->cols);
    for (size_t i = 0; i < dst->rows; i++)
        memcpy(row_bytes(dst, i), (const unsigned char *)src + i * bytes, bytes);
    return QASR_OK;
}

static qasr_status cpu_read(device *d, void *dst, const dmat *src, qasr_error *err)
{
    size_t bytes = dmat_row_bytes(src->type, src->cols);
    for (size_t i = 0; i < src->rows; i++)
        memcpy((unsigned char *)dst + i * bytes, row_bytes(src, i), bytes);
    return QASR_OK;
}

static void cpu_begin(device *d) { cpu(d)->status = QASR_OK; }

static qasr_status cpu_end(device *d, qasr_error *err)
{
    if (cpu(d)->status != QASR_OK && err)
        *err = cpu(d)->error;
    return cpu(d)->status;
}

static void record_error(cpu_device *c, qasr_status status)
{
    if (c->status == QASR_OK)
        c->status = status;
}

/* ---- row-wise operations -------------------------------------------------------------------------- */

typedef struct rows_run {
    void (*row)(void *arg, size_t i);
    void *arg;
    size_t n_rows, rows_per_task;
} rows_run;

static void rows_task(void *arg, size_t task, unsigned thread)
{
    const rows_run *r = arg;
    size_t begin = task * r->rows_per_task;
    size_t end = begin + r->rows_per_task < r->n_rows ? begin + r->rows_per_task : r->n_rows;
    for (size_t i = begin; i < end; i++)
        r->row(r->arg, i);
}

/* row(arg, i) for each i < n. Few rows run on the calling thread: waking other threads would cost more than the work.
 */
static void run_rows(device *d, void (*row)(void *arg, size_t i), void *arg, size_t n)
{
    enum { FEW_ROWS = 4, TASKS_PER_THREAD = 4 };
    cpu_device *c = cpu(d);
    if (c->status != QASR_OK || n == 0)
        return;
    size_t tasks = n <= FEW_ROWS ? 1 : TASKS_PER_THREAD * pool_threads(c->pool), per_task = (n + tasks - 1) / tasks;
    pool_run(c->pool, rows_task, &(rows_run){ row, arg, n, per_task }, (n + per_task - 1) / per_task);
}

typedef struct row_job {
    const cpu_device *c;
    const dmat *out, *x, *w, *b, *pos;
    float eps, factor;
} row_job;

static void copy_row(void *arg, size_t i)
{
    const row_job *j = arg;
    memcpy(f32_row(j->out, i), f32_row(j->x, i), j->x->cols * sizeof(float));
}

static void cpu_copy(device *d, const dmat *out, const dmat *x)
{
    assert(out->rows == x->rows && out->cols == x->cols);
    run_rows(d, copy_row, &(row_job){ .c = cpu(d), .out = out, .x = x }, x->rows);
}

static void clear_row(void *arg, size_t i)
{
    const row_job *j = arg;
    memset(f32_row(j->out, i), 0, j->out->cols * sizeof(float));
}

static void cpu_clear(device *d, const dmat *out) { run_rows(d, clear_row, &(row_job){ .out = out }, out->rows); }

static void scale_row(void *arg, size_t i)
{
    const row_job *j = arg;
    float *out = f32_row(j->out, i);
    const float *x = f32_row(j->x, i);
    for (size_t c = 0; c < j->x->cols; c++)
        out[c] = j->factor * x[c];
}

static void cpu_scale(device *d, const dmat *out, const dmat *x, float factor)
{
    assert(out->rows == x->rows && out->cols == x->cols);
    run_rows(d, scale_row, &(row_job){ .out = out, .x = x, .factor = factor }, x->rows);
}

static void subtract_row(void *arg, size_t i)
{
    const row_job *j = arg;
    float *out = f32_row(j->out, i);
    const float *x = f32_row(j->x, i), *y = f32_row(j->w, i);
    for (size_t c = 0; c < j->x->cols; c++)
        out[c] = x[c] - y[c];
}

static void cpu_subtract(device *d, const dmat *out, const dmat *x, const dmat *y)
{
    assert(out->rows == x->rows && out->cols == x->cols && y->rows == x->rows && y->cols == x->cols);
    run_rows(d, subtract_row, &(row_job){ .out = out, .x = x, .w = y }, x->rows);
}

static void embed_row(void *arg, size_t i)
{
    const row_job *j = arg;
    int32_t id = *i32_row(j->pos, i);
    assert(id >= 0 && (size_t)id < j->w->rows);
    j->c->k->dequantize[j->w->type](f32_row(j->out, i), row_bytes(j->w, (size_t)id), j->w->cols);
}

static void cpu_embed(device *d, const dmat *out, const dmat *table, const dmat *ids)
{
    assert(out->rows == ids->rows && out->cols == table->cols);
    run_rows(d, embed_row, &(row_job){ .c = cpu(d), .out = out, .w = table, .pos = ids }, out->rows);
}

static void rms_norm_row(void *arg, size_t i)
{
    const row_job *j = arg;
    j->c->k->rms_norm(f32_row(j->out, i), f32_row(j->x, i), f32_row(j->w, 0), j->x->cols, j->eps);
}

static void cpu_rms_norm(device *d, const dmat *out, const dmat *x, const dmat *w, float eps)
{
    assert(out->rows == x->rows && out->cols == x->cols && w->cols == x->cols);
    run_rows(d, rms_norm_row, &(row_job){ .c = cpu(d), .out = out, .x = x, .w = w, .eps = eps }, x->rows);
}

static void layer_norm_row(void *arg, size_t i)
{
    const row_job *j = arg;
    j->c->k->layer_norm(f32_row(j->out, i), f32_row(j->x, i), f32_row(j->w, 0), f32_row(j->b, 0), j->x->cols, j->eps);
}

static void cpu_layer_norm(device *d, const dmat *out, const dmat *x, const dmat *w, const dmat *b, float eps)
{
    assert(out->rows == x->rows && out->cols == x->cols && w->cols == x->cols && b->cols == x->cols);
    run_rows(d, layer_norm_row, &(row_job){ .c = cpu(d), .out = out, .x = x, .w = w, .b = b, .eps = eps }, x->rows);
}

static void add_cyclic_row(void *arg, size_t i)
{
    const row_job *j = arg;
    j->c->k->add(f32_row(j->x, i), f32_row(j->w, i % j->w->rows), j->x->cols);
}

static void cpu_add_cyclic(device *d, const dmat *x, const dmat *table)
{
    assert(x->cols == table->cols);
    run_rows(d, add_cyclic_row, &(row_job){ .c = cpu(d), .x = x, .w = table }, x->rows);
}

typedef struct rope_job {
    const cpu_device *c;
    const dmat *q, *k, *v;
    const qk_rope *rope;
    const kv_view *kv;
    size_t head_dim;
} rope_job;

/* One head's part of a row. */
static void rope_head(const rope_job *j, float *out, const float *x, const dmat *norm, const float *angles)
{
    j->c->k->rms_norm(out, x, f32_row(norm, 0), j->head_dim, j->rope->eps);
    j->c->k->rope(out, angles, angles + j->head_dim / 2, j->head_dim / 2);
}

static void raise_peak(const rope_job *j, float *peak, const float *x)
{
    float largest = j->c->k->max_abs(x, j->head_dim);
    if (!isfinite(largest))
        peak[KV_PEAK_BAD] = 1;
    else if (largest > peak[KV_PEAK_LARGEST])
        peak[KV_PEAK_LARGEST] = largest;
}

static void cache_head(const rope_job *j, const dmat *cache, size_t head, size_t pos, const float *x)
{
    size_t capacity = cache->rows / (j->k->cols / j->head_dim);
    void *row = row_bytes(cache, head * capacity + pos);
    assert(pos < capacity);
    if (cache->type == QUANT_F16)
        j->c->k->f16_from_f32(row, x, j->head_dim);
    else if (cache->type == QUANT_F32)
        memcpy(row, x, j->head_dim * sizeof(float));
    else
        quant_get(cache->type)->quantize(row, x, j->head_dim);
}

/* The slot of row i. */
static size_t slot_of(const kv_view *kv, size_t i)
{
    size_t slot = kv->slot.mem ? (size_t)*i32_row(&kv->slot, i) : 0;
    assert(slot < kv->n_slots);
    return slot;
}

static void rope_row(void *arg, size_t i)
{
    const rope_job *j = arg;
    size_t hd = j->head_dim, pos = (size_t)*i32_row(&j->kv->pos, i), slot = slot_of(j->kv, i);
    const float *angles = f32_row(&j->rope->rope, pos), *k = f32_row(j->k, i), *v = f32_row(j->v, i);
    float unwanted[KV_PEAKS] = { 0 }, *peak = j->kv->peak.mem ? f32_row(&j->kv->peak, i) : unwanted;
    float *q = f32_row(j->q, i), rotated[ATTN_MAX_HEAD_DIM];
    for (size_t h = 0; h * hd < j->q->cols; h++)
        rope_head(j, q + h * hd, q + h * hd, &j->rope->q_norm, angles);
    for (size_t h = 0; h * hd < j->k->cols; h++) {
        rope_head(j, rotated, k + h * hd, &j->rope->k_norm, angles);
        cache_head(j, &j->kv->k[slot], h, pos, rotated);
        cache_head(j, &j->kv->v[slot], h, pos, v + h * hd);
        raise_peak(j, peak, rotated);
        raise_peak(j, peak, v + h * hd);
    }
}

static void check_cache(const dmat *cache, size_t head_dim)
{
    assert(cache->cols == head_dim);
    assert(cache->type == QUANT_F16 || cache->type == QUANT_F32 || cache->type == QUANT_Q8_0);
}

static void cpu_rope_and_cache(device *d, const dmat *q, const dmat *k, const dmat *v, const qk_rope *rope,
                               const kv_view *kv)
{
    size_t hd = rope->rope.cols;
    assert(hd <= ATTN_MAX_HEAD_DIM && q->cols % hd == 0 && k->cols % hd == 0 && v->cols == k->cols);
    assert(rope->q_norm.cols == hd && rope->k_norm.cols == hd && kv->pos.rows == q->rows && k->rows == q->rows &&
           v->rows == q->rows);
    assert(!kv->slot.mem || kv->slot.rows == q->rows);
    assert(!kv->peak.mem || (kv->peak.rows == q->rows && kv->peak.cols == KV_PEAKS));
    for (size_t i = 0; i < (kv->slot.mem ? q->rows : 1); i++) {
        check_cache(&kv->k[slot_of(kv, i)], hd);
        check_cache(&kv->v[slot_of(kv, i)], hd);
    }
    run_rows(d, rope_row, &(rope_job){ cpu(d), q, k, v, rope, kv, hd }, q->rows);
}

/* ---- products ------------------------------------------------------------------------------------- */

static void cpu_linear(device *d, const dmat *x, const row_norm *norm, const linear_part *parts, size_t n_parts,
                       bool alone)
{
    cpu_device *c = cpu(d);
    if (c->status != QASR_OK)
        return;
    assert(n_parts >= 1 && n_parts <= LINEAR_MAX_PARTS);
    gemm_part g[LINEAR_MAX_PARTS];
    for (size_t i = 0; i < n_parts; i++) {
        const linear_part *p = &parts[i];
        assert(p->w.cols == x->cols && p->out.rows == x->rows && p->out.cols == p->w.rows);
        assert(!(p->accumulate && p->act != ACT_NONE));
        assert(p->act != ACT_SWIGLU || (p->up.rows == p->w.rows && p->up.cols == p->w.cols && !p->bias.mem));
        g[i] = (gemm_part){ .out = f32_row(&p->out, 0),
                            .ld_out = ld_f32(&p->out),
                            .n = p->w.rows,
                            .w = row_bytes(&p->w, 0),
                            .type = p->w.type,
                            .bias = p->bias.mem ? f32_row(&p->bias, 0) : NULL,
                            .gelu = p->act == ACT_GELU,
                            .accumulate = p->accumulate };
        if (p->act == ACT_SWIGLU) {
            g[i].up = row_bytes(&p->up, 0);
            g[i].up_type = p->up.type;
        }
    }
    gemm_input in = { .x = f32_row(x, 0), .ld = ld_f32(x), .m = x->rows, .k = x->cols };
    if (norm) {
        assert(norm->w.cols == x->cols);
        in.norm_w = f32_row(&norm->w, 0);
        in.norm_b = norm->b.mem ? f32_row(&norm->b, 0) : NULL;
        in.eps = norm->eps;
    }
    record_error(c, (alone ? gemv_run : gemm_run)(&c->gemm, &in, g, n_parts, &c->error));
}

static product_type cpu_product_type(device *d, quant_type type, size_t k)
{
    return gemm_product_type(&cpu(d)->gemm, type, k);
}

static dmat cpu_conv_packed(device *d, quant_type type, size_t c_out, size_t c_in)
{
    quant_type packed = conv_pack_type(&cpu(d)->gemm, type, c_in);
    size_t bytes = conv_packed_bytes(&cpu(d)->gemm, packed, c_out, c_in);
    return dmat_make(NULL, 0, packed, 1, bytes / quant_get(packed)->bytes);
}

static void cpu_conv_pack(device *d, const dmat *packed, const dmat *w, size_t c_in)
{
    if (cpu(d)->status != QASR_OK)
        return;
    assert(w->cols == 9 * c_in);
    conv_pack_weights(&cpu(d)->gemm, row_bytes(packed, 0), packed->type, row_bytes(w, 0), w->type, w->rows, c_in);
}

static void cpu_conv2d_gelu(device *d, const dmat *out, const dmat *x, const dmat *packed, const dmat *bias,
                            const conv_shape *s)
{
    cpu_device *c = cpu(d);
    if (c->status != QASR_OK)
        return;
    assert(x->rows == s->n_images * s->height * s->width && x->cols == s->c_in && out->cols == s->c_out);
    assert(out->rows == s->n_images * ((s->height + 1) / 2) * ((s->width + 1) / 2));
    record_error(c, conv_run(&c->gemm, f32_row(out, 0), f32_row(x, 0), row_bytes(packed, 0), packed->type,
                             f32_row(bias, 0), s->n_images, s->height, s->width, s->c_in, s->c_out, &c->error));
}

typedef struct flatten_job {
    const dmat *out, *x;
    const conv_shape *s;
} flatten_job;

static void flatten_task(void *arg, size_t row, unsigned thread)
{
    const flatten_job *j = arg;
    const conv_shape *s = j->s;
    size_t image = row / s->width, t = row % s->width;
    float *out = f32_row(j->out, row);
    for (size_t f = 0; f < s->height; f++) {
        const float *x = f32_row(j->x, (image * s->height + f) * s->width + t);
        for (size_t c = 0; c < s->c_in; c++)
            out[c * s->height + f] = x[c];
    }
}

static void cpu_conv_to_rows(device *d, const dmat *out, const dmat *x, const conv_shape *s)
{
    if (cpu(d)->status != QASR_OK)
        return;
    assert(out->rows == s->n_images * s->width && out->cols == s->c_in * s->height);
    pool_run(cpu(d)->pool, flatten_task, &(flatten_job){ out, x, s }, out->rows);
}

/* ---- attention ------------------------------------------------------------------------------------ */

enum { ATTN_QUERY_BLOCK = 64 };

typedef struct attn_job {
    const cpu_device *c;
    const dmat *out, *q, *k, *v; /* k and v of windows */
    const kv_view *kv;           /* cached */
    const attn_heads *heads;
    size_t window, blocks_per_window, first;
    unsigned char order[DEVICE_MAX_SLOTS]; /* rows of several slots, the longest first */
} attn_job;

static void windows_task(void *arg, size_t task, unsigned thread)
{
    const attn_job *j = arg;
    size_t head = task % j->heads->n_heads, block = task / j->heads->n_heads;
    size_t w0 = block / j->blocks_per_window * j->window, q0 = w0 + block % j->blocks_per_window * ATTN_QUERY_BLOCK;
    size_t w1 = j->q->rows - w0 < j->window ? j->q->rows : w0 + j->window;
    if (q0 >= w1)
        return;
    size_t col = head * j->heads->head_dim;
    attn_args a = { .out = f32_row(j->out, q0) + col,
                    .q = f32_row(j->q, q0) + col,
                    .k = f32_row(j->k, w0) + col,
                    .v = f32_row(j->v, w0) + col,
                    .ld_out = ld_f32(j->out),
                    .ld_q = ld_f32(j->q),
                    .kv_stride = j->k->stride,
                    .kv_type = QUANT_F32,
                    .n_q = w1 - q0 < ATTN_QUERY_BLOCK ? w1 - q0 : ATTN_QUERY_BLOCK,
                    .n_kv = w1 - w0,
                    .head_dim = j->heads->head_dim,
                    .scale = j->heads->scale };
    j->c->k->attention(&a);
}

static void cpu_attention_windows(device *d, const dmat *out, const dmat *q, const dmat *k, const dmat *v,
                                  const attn_heads *heads, size_t window)
{
    cpu_device *c = cpu(d);
    if (c->status != QASR_OK)
        return;
    assert(k->stride == v->stride && heads->n_heads * heads->head_dim == q->cols && window > 0);
    attn_job j = { .c = c,
                   .out = out,
                   .q = q,
                   .k = k,
                   .v = v,
                   .heads = heads,
                   .window = window,
                   .blocks_per_window = (window + ATTN_QUERY_BLOCK - 1) / ATTN_QUERY_BLOCK };
    size_t n_windows = (q->rows + window - 1) / window;
    pool_run(c->pool, windows_task, &j, n_windows * j.blocks_per_window * heads->n_heads);
}

static attn_args cached_args(const attn_job *j, size_t slot, size_t kv_head)
{
    const attn_heads *heads = j->heads;
    const dmat *k = &j->kv->k[slot], *v = &j->kv->v[slot];
    size_t row = kv_head * (k->rows / heads->n_kv_heads);
    return (attn_args){ .k = row_bytes(k, row),
                        .v = row_bytes(v, row),
                        .kv_stride = k->stride,
                        .kv_type = k->type,
                        .head_dim = heads->head_dim,
                        .scale = heads->scale };
}

/* One query head, a block of rows. */
static void cached_task(void *arg, size_t task, unsigned thread)
{
    const attn_job *j = arg;
    size_t n_blocks = (j->q->rows + ATTN_QUERY_BLOCK - 1) / ATTN_QUERY_BLOCK;
    size_t head = task / n_blocks, q0 = (n_blocks - 1 - task % n_blocks) * ATTN_QUERY_BLOCK; /* longest first */
    size_t n_q = j->q->rows - q0 < ATTN_QUERY_BLOCK ? j->q->rows - q0 : ATTN_QUERY_BLOCK;
    attn_args a = cached_args(j, 0, head / (j->heads->n_heads / j->heads->n_kv_heads));
    a.out = f32_row(j->out, q0) + head * j->heads->head_dim;
    a.q = f32_row(j->q, q0) + head * j->heads->head_dim;
    a.ld_out = ld_f32(j->out);
    a.ld_q = ld_f32(j->q);
    a.n_q = n_q;
    a.first = j->first + q0;
    a.n_kv = j->first + q0 + n_q;
    a.causal = 1;
    j->c->k->attention(&a);
}

/* Decoding: the query heads of row i that share a key/value head are the rows of one call. */
static void attend_step(const attn_job *j, size_t i, size_t kv_head)
{
    size_t group = j->heads->n_heads / j->heads->n_kv_heads, hd = j->heads->head_dim;
    attn_args a = cached_args(j, slot_of(j->kv, i), kv_head);
    a.out = f32_row(j->out, i) + kv_head * group * hd;
    a.q = f32_row(j->q, i) + kv_head * group * hd;
    a.ld_out = a.ld_q = hd;
    a.n_q = group;
    a.n_kv = (size_t)*i32_row(&j->kv->pos, i) + 1;
    j->c->k->attention_step(&a);
}

static void step_task(void *arg, size_t task, unsigned thread)
{
    const attn_job *j = arg;
    attend_step(j, j->order[task / j->heads->n_kv_heads], task % j->heads->n_kv_heads);
}

/* Long sequences first, so that no thread starts one when the others are finished. */
static void order_rows(attn_job *j)
{
    const dmat *pos = &j->kv->pos;
    for (size_t i = 0; i < j->q->rows; i++) {
        size_t at = i;
        for (; at > 0 && *i32_row(pos, j->order[at - 1]) < *i32_row(pos, i); at--)
            j->order[at] = j->order[at - 1];
        j->order[at] = (unsigned char)i;
    }
}

static void cpu_attention_cached(device *d, const dmat *out, const dmat *q, const kv_view *kv, const attn_heads *heads,
                                 size_t n_kv)
{
    cpu_device *c = cpu(d);
    if (c->status != QASR_OK)
        return;
    attn_job j = { .c = c, .out = out, .q = q, .kv = kv, .heads = heads, .first = (size_t)*i32_row(&kv->pos, 0) };
    assert(heads->n_heads * heads->head_dim == q->cols && kv->pos.rows == q->rows);
    if (kv->slot.mem || q->rows == 1) {
        assert(q->rows <= DEVICE_MAX_SLOTS);
        for (size_t i = 0; i < q->rows; i++)
            assert((size_t)*i32_row(&kv->pos, i) < n_kv &&
                   (size_t)*i32_row(&kv->pos, i) < kv->k[slot_of(kv, i)].rows / heads->n_kv_heads);
        order_rows(&j);
        pool_run(c->pool, step_task, &j, q->rows * heads->n_kv_heads);
    } else {
        assert((size_t)*i32_row(&kv->pos, q->rows - 1) == j.first + q->rows - 1 && j.first + q->rows <= n_kv);
        assert(n_kv <= kv->k->rows / heads->n_kv_heads);
        pool_run(c->pool, cached_task, &j, heads->n_heads * ((q->rows + ATTN_QUERY_BLOCK - 1) / ATTN_QUERY_BLOCK));
    }
}

/* ---- argmax --------------------------------------------------------------------------------------- */

static void argmax_row(void *arg, size_t i)
{
    const row_job *j = arg;
    const float *x = f32_row(j->x, i);
    /* a single damaged row of the output head gives a single NaN, which argmax ignores */
    *i32_row(j->out, i) = isfinite(j->c->k->max_abs(x, j->x->cols)) ? (int32_t)j->c->k->argmax(x, j->x->cols) : -1;
}

static void cpu_argmax(device *d, const dmat *ids, const dmat *x)
{
    assert(ids->rows == x->rows && x->cols > 0);
    run_rows(d, argmax_row, &(row_job){ .c = cpu(d), .out = ids, .x = x }, x->rows);
}

static void token_scores_row(void *arg, size_t i)
{
    const row_job *j = arg;
    token_score(f32_row(j->out, i), f32_row(j->x, i), j->x->cols, *i32_row(j->pos, i));
}

static void cpu_token_scores(device *d, const dmat *out, const dmat *x, const dmat *ids)
{
    assert(out->rows == x->rows && out->cols == 2 && ids->rows == x->rows);
    run_rows(d, token_scores_row, &(row_job){ .c = cpu(d), .out = out, .x = x, .pos = ids }, x->rows);
}

/* The copy does not pay off for a few tokens. */
enum { SCREEN_AFTER = 16, SCREEN_MAX_MISSED = 8 };

static void try_screening(cpu_device *c, const dmat *x, const dmat *w, const dmat *logits)
{
    screening *s = &c->screening;
    if (s->off || s->copy || ++s->n_whole < SCREEN_AFTER)
        return;
    s->mem = w->mem;
    s->w = row_bytes(w, 0);
    if (w->mem->file && argmax_screen_is_smaller(w->type) && w->cols % QK == 0 &&
        argmax_screen_would_help(&c->gemm, s->w, w->type, w->rows, w->cols, f32_row(x, 0), f32_row(logits, 0)))
        s->copy = cpu_screen_acquire(w, &c->gemm);
    s->off = !s->copy;
}

static void stop_screening(cpu_device *c)
{
    screening *s = &c->screening;
    if (s->copy)
        cpu_screen_release(s->mem);
    s->copy = NULL;
    s->off = true;
}

static void cpu_linear_argmax(device *d, const dmat *ids, const dmat *x, const dmat *w, const dmat *scratch)
{
    cpu_device *c = cpu(d);
    screening *s = &c->screening;
    if (c->status == QASR_OK && s->copy && x->rows == 1 && s->w == row_bytes(w, 0)) {
        bool found = false;
        record_error(c, argmax_screen_run(s->copy, &c->gemm, f32_row(x, 0), f32_row(scratch, 0), i32_row(ids, 0),
                                          &found, &c->error));
        s->n_missed = found ? 0 : s->n_missed + 1;
        if (found)
            return;
        if (s->n_missed == SCREEN_MAX_MISSED)
            stop_screening(c);
    }
    cpu_linear(d, x, NULL, &(linear_part){ .out = *scratch, .w = *w }, 1, true);
    cpu_argmax(d, ids, scratch);
    if (c->status == QASR_OK && x->rows == 1)
        try_screening(c, x, w, scratch);
}

/* ---- statistics ----------------------------------------------------------------------------------- */

static void cpu_add_squares(device *d, const dmat *sums, const dmat *x)
{
    cpu_device *c = cpu(d);
    assert(sums->rows == 1 && sums->cols == x->cols);
    if (c->status == QASR_OK)
        moments_add_squares(&c->moments, f32_row(sums, 0), f32_row(x, 0), ld_f32(x), x->rows, x->cols);
}

static void cpu_add_products(device *d, const dmat *triangle, const dmat *x)
{
    cpu_device *c = cpu(d);
    assert(triangle->rows == 1 && triangle->cols == x->cols * (x->cols + 1) / 2);
    if (c->status == QASR_OK)
        record_error(c, moments_add_products(&c->moments, f32_row(triangle, 0), f32_row(x, 0), ld_f32(x), x->rows,
                                             x->cols, &c->error));
}

static void cpu_add_cross_products(device *d, const dmat *square, const dmat *x, const dmat *y)
{
    cpu_device *c = cpu(d);
    assert(square->rows == x->cols && square->cols == x->cols && ld_f32(square) == x->cols && y->cols == x->cols &&
           y->rows == x->rows);
    if (c->status == QASR_OK)
        record_error(c, moments_add_cross_products(&c->moments, f32_row(square, 0), f32_row(x, 0), ld_f32(x),
                                                   f32_row(y, 0), ld_f32(y), x->rows, x->cols, &c->error));
}

/* ---- opening -------------------------------------------------------------------------------------- */

static void cpu_close(device *d)
{
    cpu_device *c = cpu(d);
    stop_screening(c);
    gemm_context_free(&c->gemm);
    moments_context_free(&c->moments);
    pool_free(c->pool);
    mem_free(c);
}

static uint64_t cpu_memory(const device *d) { return 0; }
static uint64_t cpu_weights_memory(const device_weights *w) { return 0; }

static const device_ops cpu_ops = {
    .close = cpu_close,
    .host_pool = cpu_host_pool,
    .alloc = cpu_alloc,
    .mem_free = cpu_free,
    .weights_create = cpu_create_weights,
    .weights_free = cpu_weights_free,
    .weights_fit = cpu_weights_fit,
    .weights_alloc = cpu_weights_alloc,
    .weights_map = cpu_weights_map,
    .weights_memory = cpu_weights_memory,
    .write = cpu_write,
    .read = cpu_read,
    .begin = cpu_begin,
    .end = cpu_end,
    .copy = cpu_copy,
    .clear = cpu_clear,
    .scale = cpu_scale,
    .subtract = cpu_subtract,
    .embed = cpu_embed,
    .linear = cpu_linear,
    .product_type = cpu_product_type,
    .rms_norm = cpu_rms_norm,
    .layer_norm = cpu_layer_norm,
    .add_cyclic = cpu_add_cyclic,
    .conv_packed = cpu_conv_packed,
    .conv_pack = cpu_conv_pack,
    .conv2d_gelu = cpu_conv2d_gelu,
    .conv_to_rows = cpu_conv_to_rows,
    .attention_windows = cpu_attention_windows,
    .rope_and_cache = cpu_rope_and_cache,
    .attention_cached = cpu_attention_cached,
    .argmax = cpu_argmax,
    .linear_argmax = cpu_linear_argmax,
    .token_scores = cpu_token_scores,
    .add_squares = cpu_add_squares,
    .add_products = cpu_add_products,
    .add_cross_products = cpu_add_cross_products,
    .memory = cpu_memory,
};

/* ---- driver -------------------------------------------------------------------------------------- */

static qasr_status cpu_open(device **out, const char *name, unsigned n_threads, device_precision precision,
                            qasr_error *err)
{
    if (strcasecmp(name, "cpu") != 0)
        return error_set(err, QASR_E_UNSUPPORTED, "the CPU has no device '%s'", name);
    cpu_device *c;
    TRY(MEM_CALLOC(&c, 1, err));
    c->base = (device){ &cpu_ops, "cpu", 64 };
    c->k = kernels_get(cpu_detect());
    qasr_status status = pool_create(&c->pool, n_threads, err);
    c->moments = (moments_context){ .k = c->k, .pool = c->pool };
    if (status == QASR_OK)
        status = gemm_context_init(&c->gemm, c->k, c->pool, precision == DEVICE_FAST, err);
    if (status != QASR_OK) {
        cpu_close(&c->base);
        return status;
    }
    *out = &c->base;
    return QASR_OK;
}

static bool cpu_list(device_info *out, size_t i)
{
    if (i > 0)
        return false;
    *out =
        (device_info){ .name = "cpu", .backend = "qasr", .kind = "cpu", .flash_attention = true, .maps_files = true };
    snprintf(out->description, sizeof out->description, "CPU level %s",
             cpu_level_name(kernels_get(cpu_detect())->level));
    const ram_info ram = ram_detect();
    out->total_bytes = ram.total_bytes;
    out->free_bytes = ram.available_bytes;
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        out->reads[t] = true;
    return true;
}

const device_driver cpu_driver = { cpu_open, cpu_list };
