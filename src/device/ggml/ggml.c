/* A ggml device: operations are recorded; when the recording ends, its graph is looked up or built (ggml_graph.c), and
 * run. Every token of an answer repeats the same recording, so decoding builds one graph per 256 positions. */
#include <math.h>
#include <string.h>

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include "base/log.h"
#include "base/mem.h"
#include "device/ggml/ggml_device.h"
#include "device/ggml/ggml_find.h"
#include "device/ggml/ggml_graph.h"
#include "device/ggml/ggml_weights.h"
#include "device/token_score.h"

enum { MAX_GRAPHS = 16, KV_STEP = 256 };

/* The token_scores operation of this recording, at most one. */
typedef struct pending_scores {
    bool wanted;
    dmat out, x, ids;
} pending_scores;

typedef struct ggml_device {
    device base;
    pool *pool;
    ggml_memory memory;
    graph_target target;
    graph *graphs[MAX_GRAPHS]; /* most recently used first */
    size_t n_graphs;
    recording now;
    pending_scores scores;
    device_mem *factors; /* divisors of the RoPE angles, for factors_dim and factors_theta */
    size_t factors_dim;
    double factors_theta;
    qasr_status status; /* first failure since begin */
    qasr_error error;
} ggml_device;

static ggml_device *ggml_dev(device *d) { return (ggml_device *)d; }

static pool *ggml_dev_host_pool(device *d) { return ggml_dev(d)->pool; }

static uint64_t ggml_dev_memory(const device *d)
{
    const ggml_device *g = (const ggml_device *)d;
    return g->memory.peak + ggml_gallocr_get_buffer_size(g->target.temporaries, 0);
}

/* ---- graphs ------------------------------------------------------------------------------------------ */

static void drop_graph(ggml_device *g, size_t i)
{
    graph_free(g->graphs[i]);
    memmove(&g->graphs[i], &g->graphs[i + 1], (--g->n_graphs - i) * sizeof *g->graphs);
}

static void to_front(ggml_device *g, size_t i)
{
    graph *found = g->graphs[i];
    memmove(&g->graphs[1], &g->graphs[0], i * sizeof *g->graphs);
    g->graphs[0] = found;
}

/* Moves the graph of the recording to the front; builds it if necessary. */
static qasr_status find_graph(ggml_device *g, qasr_error *err)
{
    for (size_t i = 0; i < g->n_graphs; i++)
        if (record_equal(graph_recording(g->graphs[i]), &g->now)) {
            to_front(g, i);
            return QASR_OK;
        }
    graph *built;
    bool moved = false;
    if (g->n_graphs == MAX_GRAPHS)
        drop_graph(g, MAX_GRAPHS - 1);
    qasr_status status = graph_build(&built, &g->target, &g->now, &moved, err);
    while (g->n_graphs && (moved || status != QASR_OK)) /* after a failure the temporaries may have moved too */
        drop_graph(g, g->n_graphs - 1);
    TRY(status);
    g->graphs[g->n_graphs++] = built;
    to_front(g, g->n_graphs - 1);
    return QASR_OK;
}

static void ggml_dev_begin(device *d)
{
    ggml_device *g = ggml_dev(d);
    record_clear(&g->now);
    g->scores.wanted = false;
    g->status = QASR_OK;
}

static qasr_status score_rows(ggml_device *g, qasr_error *err);

static qasr_status ggml_dev_end(device *d, qasr_error *err)
{
    ggml_device *g = ggml_dev(d);
    if (g->status == QASR_OK && g->now.status != QASR_OK)
        g->status = error_set(&g->error, g->now.status, "out of memory after recording %zu operations", g->now.n_ops);
    if (g->status == QASR_OK && g->now.n_ops) {
        g->status = find_graph(g, &g->error);
        if (g->status == QASR_OK)
            g->status = graph_run(g->graphs[0], &g->target, &g->error);
    }
    if (g->status == QASR_OK && g->scores.wanted)
        g->status = score_rows(g, &g->error);
    if (g->status != QASR_OK && err)
        *err = g->error;
    return g->status;
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static qasr_status ggml_dev_alloc(device *d, device_mem **out, size_t bytes, qasr_error *err)
{
    return memory_alloc(&ggml_dev(d)->memory, out, bytes, err);
}

static void ggml_dev_mem_free(device *d, device_mem *mem)
{
    ggml_device *g = ggml_dev(d);
    for (size_t i = g->n_graphs; i-- > 0;)
        if (graph_uses(g->graphs[i], mem))
            drop_graph(g, i);
    memory_free(&g->memory, mem);
}

static qasr_status ggml_dev_create_weights(device *d, device_weights **out, qasr_error *err)
{
    return ggml_dev_weights_create(out, d->ops, ggml_dev(d)->target.device, err);
}

static bool ggml_dev_weights_fit(const device_weights *w, const device *d)
{
    return ((const ggml_weights *)w)->memory.device == ((const ggml_device *)d)->target.device;
}

static qasr_status ggml_dev_write(device *d, const dmat *dst, const void *src, qasr_error *err)
{
    return memory_write(dst, src, err);
}

static qasr_status ggml_dev_read(device *d, void *dst, const dmat *src, qasr_error *err)
{
    memory_read(dst, src);
    return QASR_OK;
}

/* ---- recording --------------------------------------------------------------------------------------- */

static recording *record(device *d, op_kind kind)
{
    recording *r = &ggml_dev(d)->now;
    record_op(r, kind);
    return r;
}

static void ggml_dev_copy(device *d, const dmat *out, const dmat *x)
{
    assert(out->rows == x->rows && out->cols == x->cols);
    recording *r = record(d, OP_COPY);
    record_view(r, out);
    record_view(r, x);
}

static void ggml_dev_embed(device *d, const dmat *out, const dmat *table, const dmat *ids)
{
    assert(out->rows == ids->rows && out->cols == table->cols);
    recording *r = record(d, OP_EMBED);
    record_view(r, out);
    record_view(r, table);
    record_view(r, ids);
}

static void ggml_dev_linear(device *d, const dmat *x, const row_norm *norm, const linear_part *parts, size_t n_parts,
                            bool alone)
{
    recording *r = record(d, OP_LINEAR);
    record_view(r, x);
    record_view(r, norm ? &norm->w : NULL);
    record_view(r, norm ? &norm->b : NULL);
    record_float(r, norm ? norm->eps : 0);
    for (size_t i = 0; i < n_parts; i++) {
        const linear_part *p = &parts[i];
        assert(p->w.cols == x->cols && p->out.rows == x->rows && p->out.cols == p->w.rows);
        record_view(r, &p->out);
        record_view(r, &p->w);
        record_view(r, &p->bias);
        record_view(r, p->act == ACT_SWIGLU ? &p->up : NULL);
        record_number(r, p->act);
        record_number(r, p->accumulate);
    }
}

/* Back ends choose the format themselves. */
static product_type ggml_dev_product_type(device *d, quant_type type, size_t k) { return PRODUCT_F32; }

static void ggml_dev_rms_norm(device *d, const dmat *out, const dmat *x, const dmat *w, float eps)
{
    recording *r = record(d, OP_RMS_NORM);
    record_view(r, out);
    record_view(r, x);
    record_view(r, w);
    record_float(r, eps);
}

static void ggml_dev_layer_norm(device *d, const dmat *out, const dmat *x, const dmat *w, const dmat *b, float eps)
{
    recording *r = record(d, OP_LAYER_NORM);
    record_view(r, out);
    record_view(r, x);
    record_view(r, w);
    record_view(r, b);
    record_float(r, eps);
}

static void ggml_dev_add_cyclic(device *d, const dmat *x, const dmat *table)
{
    recording *r = record(d, OP_ADD_CYCLIC);
    record_view(r, x);
    record_view(r, table);
}

static dmat ggml_dev_conv_packed(device *d, quant_type type, size_t c_out, size_t c_in)
{
    return dmat_make(NULL, 0, QUANT_F32, 1, 9 * c_in * c_out);
}

/* Runs at once, as it reads from the file. */
static void ggml_dev_conv_pack(device *d, const dmat *packed, const dmat *w, size_t c_in)
{
    ggml_device *g = ggml_dev(d);
    float *values;
    if (g->status == QASR_OK)
        g->status = MEM_ALLOC(&values, packed->cols, &g->error);
    if (g->status != QASR_OK)
        return;
    quant_get(w->mem->stored_type)->dequantize(values, w->mem->stored, packed->cols);
    g->status = memory_write(packed, values, &g->error);
    mem_free(values);
}

static void record_shape(recording *r, const conv_shape *s)
{
    const size_t sizes[] = { s->n_images, s->height, s->width, s->c_in, s->c_out };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        record_number(r, sizes[i]);
}

static void ggml_dev_conv2d_gelu(device *d, const dmat *out, const dmat *x, const dmat *packed, const dmat *bias,
                                 const conv_shape *s)
{
    assert(out->rows == s->n_images * ((s->height + 1) / 2) * ((s->width + 1) / 2));
    recording *r = record(d, OP_CONV);
    record_view(r, out);
    record_view(r, x);
    record_view(r, packed);
    record_view(r, bias);
    record_shape(r, s);
}

static void ggml_dev_conv_to_rows(device *d, const dmat *out, const dmat *x, const conv_shape *s)
{
    recording *r = record(d, OP_CONV_TO_ROWS);
    record_view(r, out);
    record_view(r, x);
    record_shape(r, s);
}

static void ggml_dev_attention_windows(device *d, const dmat *out, const dmat *q, const dmat *k, const dmat *v,
                                       const attn_heads *heads, size_t window)
{
    recording *r = record(d, OP_ATTENTION_WINDOWS);
    record_view(r, out);
    record_view(r, q);
    record_view(r, k);
    record_view(r, v);
    record_number(r, heads->head_dim);
    record_float(r, heads->scale);
    record_number(r, window);
}

/* The slots of rows are known when recording and are part of the graph. */
static void record_caches(recording *r, const kv_view *kv)
{
    const dmat *slot = &kv->slot;
    const int32_t *slots = slot->mem ? memory_ints(slot->mem, slot->offset, slot->rows) : NULL;
    assert(!slot->mem || slots);
    for (size_t i = 0; i < (slots ? slot->rows : 1); i++) {
        record_view(r, &kv->k[slots ? slots[i] : 0]);
        record_view(r, &kv->v[slots ? slots[i] : 0]);
    }
}

/* theta^(2i / head_dim) for each pair i, in device memory. */
static dmat rope_factors(ggml_device *g, size_t head_dim, double theta)
{
    dmat m = dmat_make(g->factors, 0, QUANT_F32, 1, head_dim / 2);
    if (g->status != QASR_OK || (g->factors && g->factors_dim == head_dim && g->factors_theta == theta))
        return m;
    float *values = NULL;
    if (g->factors)
        ggml_dev_mem_free(&g->base, g->factors);
    g->factors = NULL;
    g->status = memory_alloc(&g->memory, &g->factors, head_dim / 2 * sizeof *values, &g->error);
    if (g->status == QASR_OK)
        g->status = MEM_ALLOC(&values, head_dim / 2, &g->error);
    if (g->status == QASR_OK) {
        for (size_t i = 0; i < head_dim / 2; i++)
            values[i] = (float)pow(theta, 2.0 * (double)i / (double)head_dim);
        m.mem = g->factors;
        g->status = memory_write(&m, values, &g->error);
        g->factors_dim = head_dim;
        g->factors_theta = theta;
    }
    mem_free(values);
    return m;
}

static void ggml_dev_rope_and_cache(device *d, const dmat *q, const dmat *k, const dmat *v, const qk_rope *rope,
                                    const kv_view *kv)
{
    assert(rope->theta > 0 && kv->pos.rows == q->rows && k->rows == q->rows && v->rows == q->rows &&
           (!kv->slot.mem || kv->slot.rows == q->rows));
    dmat factors = rope_factors(ggml_dev(d), rope->rope.cols, rope->theta);
    recording *r = record(d, OP_ROPE_AND_CACHE);
    record_view(r, q);
    record_view(r, k);
    record_view(r, v);
    record_view(r, &rope->q_norm);
    record_view(r, &rope->k_norm);
    record_view(r, &kv->pos);
    record_view(r, &factors);
    record_caches(r, kv);
    record_float(r, rope->eps);
}

static void ggml_dev_attention_cached(device *d, const dmat *out, const dmat *q, const kv_view *kv,
                                      const attn_heads *heads, size_t n_kv)
{
    recording *r = record(d, OP_ATTENTION_CACHED);
    record_view(r, out);
    record_view(r, q);
    record_view(r, &kv->pos);
    record_caches(r, kv);
    record_number(r, heads->head_dim);
    record_number(r, heads->n_kv_heads);
    record_float(r, heads->scale);
    record_number(r, size_round_up(n_kv, KV_STEP));
}

static void ggml_dev_argmax(device *d, const dmat *ids, const dmat *x)
{
    assert(ids->rows == x->rows && x->cols > 0);
    recording *r = record(d, OP_ARGMAX);
    record_view(r, ids);
    record_view(r, x);
}

/* The host computes scores after the graph has run. */
static void ggml_dev_token_scores(device *d, const dmat *out, const dmat *x, const dmat *ids)
{
    ggml_device *g = ggml_dev(d);
    assert(out->rows == x->rows && out->cols == 2 && ids->rows == x->rows);
    g->scores = (pending_scores){ true, *out, *x, *ids };
}

static qasr_status score_rows(ggml_device *g, qasr_error *err)
{
    const pending_scores *p = &g->scores;
    float *x, score[2];
    TRY(MEM_ALLOC(&x, p->x.cols, err));
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < p->x.rows && status == QASR_OK; i++) {
        int32_t id;
        dmat out = dmat_rows(p->out, i, 1), logits = dmat_rows(p->x, i, 1), chosen = dmat_rows(p->ids, i, 1);
        memory_read(x, &logits);
        memory_read(&id, &chosen);
        token_score(score, x, p->x.cols, id);
        status = memory_write(&out, score, err);
    }
    mem_free(x);
    return status;
}

static void ggml_dev_linear_argmax(device *d, const dmat *ids, const dmat *x, const dmat *w, const dmat *scratch)
{
    ggml_dev_linear(d, x, NULL, &(linear_part){ .out = *scratch, .w = *w }, 1, true);
    ggml_dev_argmax(d, ids, scratch);
}

/* Calibration runs on the CPU, whatever the device is. */
static void refuse_statistics(device *d)
{
    ggml_device *g = ggml_dev(d);
    if (g->status == QASR_OK)
        g->status = error_set(&g->error, QASR_E_UNSUPPORTED,
                              "device '%s' does not support activation statistics: use the CPU", d->name);
}

static void ggml_dev_add_squares(device *d, const dmat *sums, const dmat *x) { refuse_statistics(d); }
static void ggml_dev_add_products(device *d, const dmat *triangle, const dmat *x) { refuse_statistics(d); }
static void ggml_dev_add_cross_products(device *d, const dmat *square, const dmat *x, const dmat *y)
{
    refuse_statistics(d);
}

/* ---- opening ----------------------------------------------------------------------------------------- */

static void ggml_dev_close(device *d)
{
    ggml_device *g = ggml_dev(d);
    while (g->n_graphs)
        drop_graph(g, g->n_graphs - 1);
    if (g->factors)
        memory_free(&g->memory, g->factors);
    if (g->target.temporaries)
        ggml_gallocr_free(g->target.temporaries);
    if (g->target.backend)
        ggml_backend_free(g->target.backend);
    record_free(&g->now);
    pool_free(g->pool);
    mem_free(g);
}

static const device_ops ggml_ops = {
    .close = ggml_dev_close,
    .host_pool = ggml_dev_host_pool,
    .alloc = ggml_dev_alloc,
    .mem_free = ggml_dev_mem_free,
    .weights_create = ggml_dev_create_weights,
    .weights_free = ggml_dev_weights_free,
    .weights_fit = ggml_dev_weights_fit,
    .weights_alloc = ggml_dev_weights_alloc,
    .weights_map = ggml_dev_weights_map,
    .weights_memory = ggml_dev_weights_memory,
    .write = ggml_dev_write,
    .read = ggml_dev_read,
    .begin = ggml_dev_begin,
    .end = ggml_dev_end,
    .copy = ggml_dev_copy,
    .embed = ggml_dev_embed,
    .linear = ggml_dev_linear,
    .product_type = ggml_dev_product_type,
    .rms_norm = ggml_dev_rms_norm,
    .layer_norm = ggml_dev_layer_norm,
    .add_cyclic = ggml_dev_add_cyclic,
    .conv_packed = ggml_dev_conv_packed,
    .conv_pack = ggml_dev_conv_pack,
    .conv2d_gelu = ggml_dev_conv2d_gelu,
    .conv_to_rows = ggml_dev_conv_to_rows,
    .attention_windows = ggml_dev_attention_windows,
    .rope_and_cache = ggml_dev_rope_and_cache,
    .attention_cached = ggml_dev_attention_cached,
    .argmax = ggml_dev_argmax,
    .linear_argmax = ggml_dev_linear_argmax,
    .token_scores = ggml_dev_token_scores,
    .add_squares = ggml_dev_add_squares,
    .add_products = ggml_dev_add_products,
    .add_cross_products = ggml_dev_add_cross_products,
    .memory = ggml_dev_memory,
};

/* By default ggml's own CPU back end uses half of all processors. */
static void set_threads(const graph_target *t, unsigned n)
{
    ggml_backend_set_n_threads_t set = (ggml_backend_set_n_threads_t)ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(t->device), "ggml_backend_set_n_threads");
    if (set)
        set(t->backend, (int)n);
}

static qasr_status start(ggml_device *g, unsigned n_threads, qasr_error *err)
{
    graph_target *t = &g->target;
    TRY(pool_create(&g->pool, n_threads, err));
    t->backend = ggml_backend_dev_init(t->device, NULL);
    if (!t->backend)
        return error_set(err, QASR_E_DEVICE,
                         "cannot start device '%s' (%s): is its driver installed, and is it in use?", g->base.name,
                         ggml_backend_dev_description(t->device));
    set_threads(t, pool_threads(g->pool));
    t->temporaries = ggml_gallocr_new(ggml_backend_dev_buffer_type(t->device));
    if (!t->temporaries)
        return error_set(err, QASR_E_NOMEM, "out of memory while starting device '%s'", g->base.name);
    return QASR_OK;
}

static qasr_status ggml_dev_open(device **out, const char *name, unsigned n_threads, device_precision precision,
                                 qasr_error *err)
{
    struct ggml_backend_device *found;
    device_info info;
    TRY(find_device(&found, name, err));
    find_describe(&info, found);
    ggml_device *g;
    TRY(MEM_CALLOC(&g, 1, err));
    g->base = (device){ .ops = &ggml_ops, .kv_step = KV_STEP, .kv_together = true };
    memcpy(g->base.name, info.name, sizeof info.name);
    g->memory.device = g->target.device = found;
    g->target.exact = precision == DEVICE_EXACT;
    qasr_status status = start(g, n_threads, err);
    if (status != QASR_OK) {
        ggml_dev_close(&g->base);
        return status;
    }
    *out = &g->base;
    return QASR_OK;
}

const device_driver ggml_driver = { ggml_dev_open, find_list };
