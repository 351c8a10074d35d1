/* One function per operation of device.h, which appends its nodes to a graph. The result node of an operation is placed
 * in the memory of its output matrix, where the next operation expects it; intermediate nodes share a buffer of
 * temporaries. ggml lists the fastest dimension first: a matrix [rows, cols] is a tensor {cols, rows}. */
#include "device/ggml/ggml_graph.h"

#include <math.h>
#include <string.h>

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include "base/mem.h"
#include "device/ggml/ggml_memory.h"
#include "device/ggml/ggml_quirks.h"

typedef struct ggml_tensor tensor;

/* A tensor that the host fills before each run. */
typedef struct fill {
    tensor *t;
    view ints, table; /* mask: positions, without table; embedding rows: ids and table */
} fill;

/* An argmax of rows. Each row is split into parts that are searched in parallel; the host compares the winners. */
typedef struct choice {
    tensor *best;  /* [parts * rows], index within the part */
    tensor *found; /* F32: the elements there (if there are several parts), then a number per part: 0 if all elements
                      are finite */
    view ids;
    size_t parts, part;
} choice;

struct graph {
    recording recording;
    struct ggml_context *context;
    struct ggml_cgraph *nodes;
    fill *fills;
    choice *choices;
    size_t n_fills, n_choices;
    void *host; /* scratch for the largest fill or choice */
    size_t host_bytes;
};

typedef struct builder {
    const graph_target *target;
    graph *g;
    struct ggml_context *c;
    qasr_status status;
    qasr_error *err;
} builder;

/* ---- tensors ----------------------------------------------------------------------------------------- */

/* Some back ends have both 32-bit and 16-bit accumulators. The names of the functions depend on the ggml version. */
static void accumulate_in_f32(tensor *t)
{
#ifdef HAVE_GGML_PREC_SET_ACC
    ggml_prec_set_acc(t, GGML_PREC_F32);
#else
    if (t->op == GGML_OP_FLASH_ATTN_EXT)
        ggml_flash_attn_ext_set_prec(t, GGML_PREC_F32);
    else
        ggml_mul_mat_set_prec(t, GGML_PREC_F32);
#endif
}

static enum ggml_type type_of(const view *v) { return (enum ggml_type)memory_ggml_type(v->type); }

static size_t row_bytes(const view *v) { return dmat_row_bytes(v->type, v->cols); }

static void append(builder *b, tensor *t) { ggml_build_forward_expand(b->g->nodes, t); }

/* Places t in v's memory, from byte skip on. The block is added to the graph because ggml counts the users of its
 * nodes. */
static void lie_in(builder *b, tensor *t, const view *v, size_t skip)
{
    append(b, v->mem->whole);
    t->view_src = v->mem->whole;
    t->view_offs = v->offset + skip;
    ggml_backend_view_init(t);
}

/* v's memory from byte skip on, with any dimensions; nb[0] follows from the type. */
static tensor *leaf(builder *b, const view *v, size_t skip, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3,
                    size_t nb1, size_t nb2, size_t nb3)
{
    tensor *t = ggml_new_tensor_4d(b->c, type_of(v), ne0, ne1, ne2, ne3);
    t->nb[1] = nb1;
    t->nb[2] = nb2;
    t->nb[3] = nb3;
    lie_in(b, t, v, skip);
    return t;
}

static tensor *matrix(builder *b, const view *v)
{
    if (v->mem->stored)
        return v->mem->whole;
    size_t all = v->rows * v->stride;
    return leaf(b, v, 0, (int64_t)v->cols, (int64_t)v->rows, 1, 1, v->stride, all, all);
}

/* Rows [first, first + n) of v as {head_dim, heads, n}. */
static tensor *heads_of(builder *b, const view *v, size_t head_dim, size_t first, size_t n)
{
    size_t heads = v->cols / head_dim;
    return leaf(b, v, first * v->stride, (int64_t)head_dim, (int64_t)heads, (int64_t)n, 1, head_dim * sizeof(float),
                v->stride, n * v->stride);
}

/* Stores the operation's result t in v. t may have any shape with the elements of v in order. */
static void put(builder *b, const view *v, tensor *t)
{
    assert(ggml_is_contiguous(t) && ggml_nbytes(t) == v->rows * row_bytes(v) && !t->view_src && t->type == type_of(v));
    if (v->rows > 1 && v->stride != row_bytes(v)) {
        append(b, ggml_cpy(b->c, ggml_reshape_2d(b->c, t, (int64_t)v->cols, (int64_t)v->rows), matrix(b, v)));
        return;
    }
    lie_in(b, t, v, 0);
    append(b, t);
}

static tensor *new_input(builder *b, enum ggml_type type, size_t ne0, size_t ne1, view ints, view table)
{
    graph *g = b->g;
    tensor *t = ggml_new_tensor_2d(b->c, type, (int64_t)ne0, (int64_t)ne1);
    ggml_set_input(t);
    g->fills[g->n_fills++] = (fill){ t, ints, table };
    g->host_bytes = ggml_nbytes(t) > g->host_bytes ? ggml_nbytes(t) : g->host_bytes;
    return t;
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static void build_copy(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    append(b, ggml_cpy(b->c, matrix(b, &v[1]), matrix(b, &v[0])));
}

/* Some back ends cannot look up rows of some types. Then the host does it from the file. */
static void build_embed(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    const view *out = &v[0], *table = &v[1], *ids = &v[2];
    tensor *rows = ggml_get_rows(b->c, matrix(b, table),
                                 leaf(b, ids, 0, (int64_t)ids->rows, 1, 1, 1, ids->rows * sizeof(int32_t),
                                      ids->rows * sizeof(int32_t), ids->rows * sizeof(int32_t)));
    if (quirks_supports(b->target->device, rows) || !table->mem->stored)
        put(b, out, rows);
    else
        append(b, ggml_cpy(b->c, new_input(b, GGML_TYPE_F32, out->cols, out->rows, *ids, *table), matrix(b, out)));
}

static tensor *normed(builder *b, tensor *x, const view *w, const view *bias, float eps)
{
    bool layer = bias && bias->mem;
    tensor *y = layer ? ggml_norm(b->c, x, eps) : ggml_rms_norm(b->c, x, eps);
    y = ggml_mul(b->c, y, matrix(b, w));
    return layer ? ggml_add(b->c, y, matrix(b, bias)) : y;
}

static void build_rms_norm(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    put(b, &v[0], normed(b, matrix(b, &v[1]), &v[2], NULL, record_to_float(n[0])));
}

static void build_layer_norm(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    put(b, &v[0], normed(b, matrix(b, &v[1]), &v[2], &v[3], record_to_float(n[0])));
}

/* Adds rows [0, period) of table to each of times consecutive groups of period rows of x, from row first on. */
static void add_table(builder *b, const view *x, const view *table, size_t first, size_t period, size_t times)
{
    size_t cols = x->cols, once = period * x->stride;
    view part = { x->mem, x->id, x->offset + first * x->stride, period * times, cols, x->stride, x->type };
    tensor *to = leaf(b, &part, 0, (int64_t)cols, (int64_t)period, (int64_t)times, 1, x->stride, once, once * times);
    tensor *add = leaf(b, table, 0, (int64_t)cols, (int64_t)period, 1, 1, table->stride, period * table->stride,
                       period * table->stride);
    put(b, &part, ggml_add(b->c, to, add));
}

static void build_add_cyclic(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    size_t period = v[1].rows, whole = v[0].rows / period, rest = v[0].rows % period;
    if (whole)
        add_table(b, &v[0], &v[1], 0, period, whole);
    if (rest)
        add_table(b, &v[0], &v[1], whole * period, rest, 1);
}

/* ---- products ---------------------------------------------------------------------------------------- */

static tensor *product(builder *b, const view *w, tensor *x)
{
    tensor *t = ggml_mul_mat(b->c, matrix(b, w), x);
    if (b->target->exact)
        accumulate_in_f32(t);
    return t;
}

/* v: x, norm w, norm b, then out, w, bias, up of each part; n: eps, then activation and accumulate of each part. */
static void build_linear(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    tensor *x = matrix(b, &v[0]);
    if (v[1].mem)
        x = normed(b, x, &v[1], &v[2], record_to_float(n[0]));
    for (size_t i = 0; 3 + 4 * i < n_views; i++) {
        const view *out = &v[3 + 4 * i], *w = out + 1, *bias = out + 2, *up = out + 3;
        activation act = (activation)n[1 + 2 * i];
        tensor *y = product(b, w, x);
        if (bias->mem)
            y = ggml_add(b->c, y, matrix(b, bias));
        if (act == ACT_SWIGLU)
            y = ggml_swiglu_split(b->c, y, product(b, up, x));
        else if (act == ACT_GELU)
            y = ggml_gelu_erf(b->c, y);
        if (n[2 + 2 * i])
            y = ggml_add(b->c, y, matrix(b, out));
        put(b, out, y);
    }
}

/* Back ends search a row with one thread group: for the 151,936 logits of a token that took a fifth of its time. A part
 * must have at least as many columns as a group has threads, because if all elements are minus infinity, the index may
 * be that of any thread. */
static size_t parts_of(size_t cols)
{
    enum { MAX_PARTS = 256, MIN_COLUMNS = 256 };
    size_t parts = cols / MIN_COLUMNS < MAX_PARTS ? cols / MIN_COLUMNS : MAX_PARTS;
    while (parts > 1 && cols % parts != 0)
        parts--;
    return parts > 1 ? parts : 1;
}

/* Element ids[i] of row i of x, as one row. */
static tensor *elements(builder *b, tensor *x, tensor *ids)
{
    tensor *columns = ggml_reshape_3d(b->c, x, 1, x->ne[0], x->ne[1]);
    return ggml_reshape_1d(b->c, ggml_get_rows(b->c, columns, ggml_reshape_2d(b->c, ids, 1, x->ne[1])), x->ne[1]);
}

static tensor *rows_of_parts(builder *b, const view *x, size_t parts)
{
    size_t part = x->cols / parts, all = parts * x->rows, bytes = part * sizeof(float);
    return leaf(b, x, 0, (int64_t)part, (int64_t)all, 1, 1, bytes, bytes * all, bytes * all);
}

/* ggml's argmax is undefined for a part with an element that is not finite, so these are detected separately. */
static void build_argmax(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    graph *g = b->g;
    const view *x = &v[1];
    assert(x->stride == row_bytes(x) && x->cols > 0);
    size_t parts = parts_of(x->cols);
    tensor *rows = rows_of_parts(b, x, parts), *best = ggml_argmax(b->c, rows), *values = elements(b, rows, best);
    if (!quirks_supports(b->target->device, values->src[0])) {
        parts = 1;
        rows = rows_of_parts(b, x, parts);
        best = ggml_argmax(b->c, rows);
    }
    size_t all = parts * x->rows;
    tensor *found = ggml_reshape_1d(b->c, ggml_sum_rows(b->c, ggml_scale(b->c, rows, 0)), (int64_t)all);
    if (parts > 1)
        found = ggml_concat(b->c, values, found, 0);
    ggml_set_output(best);
    ggml_set_output(found);
    append(b, best);
    append(b, found);
    g->choices[g->n_choices++] = (choice){ best, found, v[0], parts, x->cols / parts };
    size_t host_bytes = all * (sizeof(int32_t) + 2 * sizeof(float)) + x->rows * sizeof(int32_t);
    g->host_bytes = host_bytes > g->host_bytes ? host_bytes : g->host_bytes;
}

/* ---- convolution ------------------------------------------------------------------------------------- */

/* Each pixel's patch becomes a row, in the order of the weights in the file; the product is channels-last again. */
static void build_conv(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    const view *out = &v[0], *x = &v[1], *packed = &v[2], *bias = &v[3];
    int64_t images = (int64_t)n[0], height = (int64_t)n[1], width = (int64_t)n[2], c_in = (int64_t)n[3],
            c_out = (int64_t)n[4];
    size_t pixel = (size_t)c_in * sizeof(float), line = pixel * (size_t)width, image = line * (size_t)height;
    tensor *channels_last = leaf(b, x, 0, c_in, width, height, images, pixel, line, image);
    tensor *planes = ggml_cont(b->c, ggml_permute(b->c, channels_last, 2, 0, 1, 3));
    size_t w_row = (size_t)c_in * 9 * sizeof(float), w_all = w_row * (size_t)c_out;
    tensor *w = leaf(b, packed, 0, 9 * c_in, c_out, 1, 1, w_row, w_all, w_all);
    tensor *w4 = leaf(b, packed, 0, 3, 3, c_in, c_out, 3 * sizeof(float), 9 * sizeof(float), w_row); /* for its shape */
    tensor *patches = ggml_im2col(b->c, w4, planes, 2, 2, 1, 1, 1, 1, true, GGML_TYPE_F32);
    tensor *y = ggml_mul_mat(b->c, w, ggml_reshape_2d(b->c, patches, 9 * c_in, (int64_t)out->rows));
    put(b, out, ggml_gelu_erf(b->c, ggml_add(b->c, y, matrix(b, bias))));
}

static void build_conv_to_rows(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    int64_t images = (int64_t)n[0], height = (int64_t)n[1], width = (int64_t)n[2], channels = (int64_t)n[3];
    size_t pixel = (size_t)channels * sizeof(float), line = pixel * (size_t)width;
    tensor *x = leaf(b, &v[1], 0, channels, width, height, images, pixel, line, line * (size_t)height);
    put(b, &v[0], ggml_cont(b->c, ggml_permute(b->c, x, 1, 2, 0, 3)));
}

/* ---- attention --------------------------------------------------------------------------------------- */

/* Quantized keys or values {hd, n_kv, kv heads, many} as float32. Some back ends multiply or convert a part of each
 * head incorrectly although they claim to support it, so the whole cache is converted. */
static tensor *widened(builder *b, const tensor *v)
{
    tensor *all = ggml_new_tensor_4d(b->c, v->type, v->ne[0], (int64_t)(v->nb[2] / v->nb[1]), v->ne[2], v->ne[3]);
    all->nb[3] = v->nb[3];
    all->view_src = v->view_src;
    all->view_offs = v->view_offs;
    ggml_backend_view_init(all);
    tensor *wide = ggml_cast(b->c, all, GGML_TYPE_F32);
    return ggml_view_4d(b->c, wide, v->ne[0], v->ne[1], v->ne[2], v->ne[3], wide->nb[1], wide->nb[2], wide->nb[3], 0);
}

/* softmax(scale q k^T + mask) v as separate operations, with the scores in memory. */
static tensor *compose_attention(builder *b, tensor *q, tensor *k, tensor *v, tensor *mask, float scale)
{
    k = ggml_is_quantized(k->type) ? widened(b, k) : k;
    v = ggml_is_quantized(v->type) ? widened(b, v) : v;
    tensor *scores = ggml_mul_mat(b->c, k, q);
    accumulate_in_f32(scores);
    scores = ggml_soft_max_ext(b->c, scores, mask, scale, 0);
    tensor *y = ggml_mul_mat(b->c, ggml_cont(b->c, ggml_permute(b->c, v, 1, 0, 2, 3)), scores);
    return ggml_cont(b->c, ggml_permute(b->c, y, 0, 2, 1, 3));
}

/* q {hd, n_q, heads, many}, k and v {hd, n_kv, kv heads, many} -> {hd, heads, n_q, many}. With narrow, float32 keys and
 * values are converted to float16 if the back end requires that and precision allows it. */
static tensor *attention(builder *b, tensor *q, tensor *k, tensor *v, tensor *mask, float scale, bool narrow)
{
    for (int half = 0; half < 2; half++) {
        if (half && (!narrow || k->type != GGML_TYPE_F32 || b->target->exact))
            break;
        tensor *hk = half ? ggml_cast(b->c, k, GGML_TYPE_F16) : k, *hv = half ? ggml_cast(b->c, v, GGML_TYPE_F16) : v;
        tensor *t = ggml_flash_attn_ext(b->c, q, hk, hv, mask, scale, 0, 0);
        accumulate_in_f32(t);
        if (quirks_supports(b->target->device, t))
            return t;
    }
    return compose_attention(b, q, k, v, mask, scale);
}

/* Rows [first, first + length times) of v as {head_dim, length, heads, times}. */
static tensor *windows_of(builder *b, const view *v, size_t head_dim, size_t first, size_t length, size_t times)
{
    size_t once = length * v->stride;
    return leaf(b, v, first * v->stride, (int64_t)head_dim, (int64_t)length, (int64_t)(v->cols / head_dim),
                (int64_t)times, v->stride, head_dim * sizeof(float), once);
}

static view rows_of(const view *v, size_t first, size_t n)
{
    view part = *v;
    part.offset += first * v->stride;
    part.rows = n;
    return part;
}

static void attend_windows(builder *b, const view *v, size_t hd, float scale, size_t first, size_t length, size_t times)
{
    tensor *q = windows_of(b, &v[1], hd, first, length, times);
    tensor *k = windows_of(b, &v[2], hd, first, length, times),
           *values = windows_of(b, &v[3], hd, first, length, times);
    view out = rows_of(&v[0], first, length * times);
    put(b, &out, attention(b, q, k, values, NULL, scale, true));
}

/* v: out, q, k, v; n: head_dim, scale, window. */
static void build_attention_windows(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    size_t window = n[2] < v->rows ? n[2] : v->rows, whole = v->rows / window, rest = v->rows % window;
    attend_windows(b, v, n[0], record_to_float(n[1]), 0, window, whole);
    if (rest)
        attend_windows(b, v, n[0], record_to_float(n[1]), whole * window, rest, 1);
}

/* The angle of pair i is position / factors[i]. */
static tensor *rotated(builder *b, tensor *x, const view *norm, tensor *pos, tensor *factors, float eps)
{
    x = ggml_mul(b->c, ggml_rms_norm(b->c, x, eps), matrix(b, norm));
    return ggml_rope_ext(b->c, x, pos, factors, (int)x->ne[0], GGML_ROPE_TYPE_NEOX, 0, 1, 1, 0, 1, 0, 0);
}

/* Caches that one operation can process: of the same size and equally spaced in one block. */
typedef struct cache_run {
    const view *caches; /* keys and values alternate */
    size_t n, distance; /* distance in bytes; irrelevant if n is 1 */
    size_t kv_heads, capacity;
} cache_run;

static bool follows(const view *cache, const view *one_before, size_t distance)
{
    return cache->id == one_before->id && cache->rows == one_before->rows && cache->offset > one_before->offset &&
           cache->offset - one_before->offset == distance;
}

/* The longest run at the beginning of n_left pairs. */
static cache_run run_of(builder *b, const view *caches, size_t n_left, size_t kv_heads)
{
    cache_run r = { caches, 1, 0, kv_heads, caches->rows / kv_heads };
    quant_type type = caches->type;
    if (n_left > 1 && quant_get(type)->block > 1 && !graph_has_flash_attention(b->target->device, caches->cols, type))
        return r; /* see widened() */
    r.distance = n_left > 1 ? caches[2].offset - caches[0].offset : 0;
    while (r.n < n_left && follows(&caches[2 * r.n], &caches[2 * r.n - 2], r.distance) &&
           follows(&caches[2 * r.n + 1], &caches[2 * r.n - 1], r.distance))
        r.n++;
    return r;
}

/* The keys (which = 0) or values (1) of a run of caches: {hd, n_kv, kv heads, n}. */
static tensor *caches_of(builder *b, const cache_run *r, int which, size_t n_kv)
{
    const view *cache = &r->caches[which];
    size_t head = r->capacity * cache->stride;
    return leaf(b, cache, 0, (int64_t)cache->cols, (int64_t)n_kv, (int64_t)r->kv_heads, (int64_t)r->n, cache->stride,
                head, r->n > 1 ? r->distance : head * r->kv_heads);
}

/* {n, 1, times} of consecutive rows of pos. */
static tensor *positions(builder *b, const view *pos, size_t first, size_t n, size_t times)
{
    size_t once = n * sizeof(int32_t);
    return leaf(b, pos, first * sizeof(int32_t), (int64_t)n, 1, (int64_t)times, 1, once, once, once * times);
}

/* Writes rows of x {hd, kv heads, rows} to the caches of a run, from row first on: each rows per cache. */
static void store(builder *b, const cache_run *r, int which, tensor *x, size_t first, size_t each, tensor *rows)
{
    tensor *part = ggml_view_4d(b->c, x, x->ne[0], (int64_t)each, x->ne[1], (int64_t)r->n, x->nb[2], x->nb[1],
                                each * x->nb[2], first * x->nb[2]);
    append(b, ggml_set_rows(b->c, caches_of(b, r, which, r->capacity), part, rows));
}

/* v: q, k, v, norms of q and k, pos, factors, then key and value cache: one pair for all rows or one per row; n: eps.
 */
static void build_rope_and_cache(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    const view *q = &v[0], *k = &v[1], *values = &v[2], *pos = &v[5], *caches = &v[7];
    size_t hd = v[3].cols, kv_heads = k->cols / hd, n_caches = (n_views - 7) / 2, each = q->rows / n_caches;
    tensor *at = positions(b, pos, 0, pos->rows, 1), *factors = matrix(b, &v[6]);
    put(b, q, rotated(b, heads_of(b, q, hd, 0, q->rows), &v[3], at, factors, record_to_float(n[0])));
    tensor *keys = rotated(b, heads_of(b, k, hd, 0, k->rows), &v[4], at, factors, record_to_float(n[0]));
    tensor *stored = heads_of(b, values, hd, 0, values->rows);
    for (size_t i = 0; i < n_caches;) {
        cache_run r = run_of(b, caches + 2 * i, n_caches - i, kv_heads);
        tensor *rows = positions(b, pos, i * each, each, r.n);
        store(b, &r, 0, keys, i * each, each, rows);
        store(b, &r, 1, stored, i * each, each, rows);
        i += r.n;
    }
}

/* The mask: 0 if key j is not after the row's position, else minus infinity. All layers share it. */
static tensor *mask_for(builder *b, view pos, size_t n_kv)
{
    graph *g = b->g;
    for (size_t i = 0; i < g->n_fills; i++) {
        const fill *f = &g->fills[i];
        if (f->t->type == GGML_TYPE_F16 && f->ints.id == pos.id && f->ints.offset == pos.offset &&
            f->ints.rows == pos.rows && f->t->ne[0] == (int64_t)n_kv)
            return f->t;
    }
    return new_input(b, GGML_TYPE_F16, n_kv, pos.rows, pos, (view){ 0 });
}

/* v: out, q, pos, then caches as above; n: head_dim, kv heads, scale, n_kv. */
static void build_attention_cached(builder *b, const view *v, size_t n_views, const uint64_t *n)
{
    const view *q = &v[1], *pos = &v[2], *caches = &v[3];
    size_t hd = n[0], kv_heads = n[1], n_caches = (n_views - 3) / 2, each = q->rows / n_caches;
    for (size_t i = 0; i < n_caches;) {
        cache_run r = run_of(b, caches + 2 * i, n_caches - i, kv_heads);
        size_t n_kv = n[3] < r.capacity ? n[3] : r.capacity, rows = each * r.n;
        tensor *queries = windows_of(b, q, hd, i * each, each, r.n);
        tensor *mask = ggml_reshape_4d(b->c, mask_for(b, rows_of(pos, i * each, rows), n_kv), (int64_t)n_kv,
                                       (int64_t)each, 1, (int64_t)r.n);
        view out = rows_of(&v[0], i * each, rows);
        put(b, &out,
            attention(b, queries, caches_of(b, &r, 0, n_kv), caches_of(b, &r, 1, n_kv), mask, record_to_float(n[2]),
                      false)); /* a float32 cache may hold more than float16 can */
        i += r.n;
    }
}

bool graph_has_flash_attention(struct ggml_backend_device *on, size_t head_dim, quant_type kv_type)
{
    struct ggml_context *c = ggml_init((struct ggml_init_params){ 8 * ggml_tensor_overhead(), NULL, true });
    if (!c)
        return false;
    enum ggml_type type = (enum ggml_type)quant_get(kv_type)->ggml_id;
    tensor *q = ggml_new_tensor_3d(c, GGML_TYPE_F32, (int64_t)head_dim, 1, 16),
           *k = ggml_new_tensor_3d(c, type, (int64_t)head_dim, 256, 8);
    tensor *mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, 256, 1);
    bool has = quirks_supports(on, ggml_flash_attn_ext(c, q, k, ggml_dup_tensor(c, k), mask, 1, 0, 0));
    ggml_free(c);
    return has;
}

/* ---- graphs ------------------------------------------------------------------------------------------ */

static void (*const build[OP_KINDS])(builder *b, const view *v, size_t n_views, const uint64_t *n) = {
    [OP_COPY] = build_copy,
    [OP_EMBED] = build_embed,
    [OP_LINEAR] = build_linear,
    [OP_RMS_NORM] = build_rms_norm,
    [OP_LAYER_NORM] = build_layer_norm,
    [OP_ADD_CYCLIC] = build_add_cyclic,
    [OP_CONV] = build_conv,
    [OP_CONV_TO_ROWS] = build_conv_to_rows,
    [OP_ATTENTION_WINDOWS] = build_attention_windows,
    [OP_ROPE_AND_CACHE] = build_rope_and_cache,
    [OP_ATTENTION_CACHED] = build_attention_cached,
    [OP_ARGMAX] = build_argmax,
};

/* No operation creates more tensors than this, or more inputs than it has views. */
static size_t tensors_at_most(const recording *r) { return 24 * r->n_ops + 16 * r->n_views; }

static qasr_status check_support(const graph *g, const graph_target *t, qasr_error *err)
{
    for (int i = 0; i < ggml_graph_n_nodes(g->nodes); i++) {
        const tensor *node = ggml_graph_node(g->nodes, i);
        if (!quirks_supports(t->device, node))
            return error_set(err, QASR_E_UNSUPPORTED, "device '%s' cannot compute %s of %s and %s: use the CPU",
                             ggml_backend_dev_name(t->device), ggml_op_desc(node),
                             node->src[0] ? ggml_type_name(node->src[0]->type) : "-",
                             node->src[1] ? ggml_type_name(node->src[1]->type) : "-");
    }
    return QASR_OK;
}

static qasr_status create(graph *g, const graph_target *t, const recording *r, bool *moved, qasr_error *err)
{
    size_t n = tensors_at_most(r);
    TRY(record_copy(&g->recording, r, err));
    TRY(MEM_ALLOC(&g->fills, r->n_views, err));
    TRY(MEM_ALLOC(&g->choices, r->n_ops, err));
    g->context = ggml_init(
        (struct ggml_init_params){ n * ggml_tensor_overhead() + ggml_graph_overhead_custom(n, false), NULL, true });
    if (!g->context)
        return error_set(err, QASR_E_NOMEM, "out of memory for a graph of %zu operations", r->n_ops);
    g->nodes = ggml_new_graph_custom(g->context, n, false);
    builder b = { t, g, g->context, QASR_OK, err };
    for (size_t i = 0, v = 0, k = 0; i < r->n_ops; i++) {
        build[r->ops[i].kind](&b, r->views + v, r->ops[i].n_views, r->numbers + k);
        v += r->ops[i].n_views;
        k += r->ops[i].n_numbers;
    }
    TRY(check_support(g, t, err));
    TRY(mem_alloc(&g->host, g->host_bytes, 1, err));
    size_t before = ggml_gallocr_get_buffer_size(t->temporaries, 0);
    if (!ggml_gallocr_alloc_graph(t->temporaries, g->nodes))
        return error_set(err, QASR_E_NOMEM,
                         "device '%s' has no memory left for temporaries: use a smaller batch, shorter segments, a "
                         "smaller model or the CPU",
                         ggml_backend_dev_name(t->device));
    *moved = ggml_gallocr_get_buffer_size(t->temporaries, 0) != before;
    return QASR_OK;
}

qasr_status graph_build(graph **out, const graph_target *t, const recording *r, bool *moved, qasr_error *err)
{
    graph *g;
    TRY(MEM_CALLOC(&g, 1, err));
    qasr_status status = create(g, t, r, moved, err);
    if (status != QASR_OK) {
        graph_free(g);
        return status;
    }
    *out = g;
    return QASR_OK;
}

void graph_free(graph *g)
{
    if (!g)
        return;
    ggml_free(g->context);
    record_free(&g->recording);
    mem_free(g->fills);
    mem_free(g->choices);
    mem_free(g->host);
    mem_free(g);
}

const recording *graph_recording(const graph *g) { return &g->recording; }

bool graph_uses(const graph *g, const device_mem *mem)
{
    for (size_t i = 0; i < g->recording.n_views; i++)
        if (g->recording.views[i].id == mem->id)
            return true;
    return false;
}

/* ---- running ----------------------------------------------------------------------------------------- */

static void fill_mask(const fill *f, const int32_t *pos, uint16_t *host)
{
    const uint16_t minus_infinity = 0xFC00;
    for (int64_t i = 0; i < f->t->ne[1]; i++)
        for (int64_t j = 0; j < f->t->ne[0]; j++)
            host[i * f->t->ne[0] + j] = j <= pos[i] ? 0 : minus_infinity;
}

static void fill_rows(const fill *f, const int32_t *ids, float *host)
{
    const device_mem *table = f->table.mem;
    const quant_info *q = quant_get(table->stored_type);
    size_t cols = f->table.cols;
    for (int64_t i = 0; i < f->t->ne[1]; i++)
        q->dequantize(host + (size_t)i * cols,
                      (const unsigned char *)table->stored + (size_t)ids[i] * quant_row_bytes(q, cols), cols);
}

static void fill_inputs(graph *g)
{
    for (size_t i = 0; i < g->n_fills; i++) {
        const fill *f = &g->fills[i];
        const int32_t *ints = memory_ints(f->ints.mem, f->ints.offset, f->ints.rows);
        assert(ints);
        if (f->table.mem)
            fill_rows(f, ints, g->host);
        else
            fill_mask(f, ints, g->host);
        ggml_backend_tensor_set(f->t, g->host, 0, ggml_nbytes(f->t));
    }
}

/* Index of the largest element, the first on ties; -1 if an element of the row is not finite. */
static int32_t winner(const choice *c, const int32_t *best, const float *values, const float *sums)
{
    size_t first = 0;
    for (size_t i = 0; i < c->parts; i++) {
        if (!(sums[i] == 0))
            return -1;
        if (values[i] > values[first])
            first = i;
    }
    return (int32_t)(first * c->part) + best[first];
}

static qasr_status choose(const choice *c, void *host, qasr_error *err)
{
    size_t all = c->parts * c->ids.rows;
    int32_t *best = host, *ids = best + all;
    float *found = (float *)(void *)(ids + c->ids.rows);
    ggml_backend_tensor_get(c->best, best, 0, all * sizeof *best);
    ggml_backend_tensor_get(c->found, found, 0, ggml_nbytes(c->found));
    const float *sums = found + (c->parts > 1 ? all : 0);
    for (size_t r = 0; r < c->ids.rows; r++) {
        size_t at = r * c->parts;
        ids[r] = winner(c, best + at, found + at, sums + at);
    }
    const dmat to = { c->ids.mem, c->ids.offset, c->ids.rows, c->ids.cols, c->ids.stride, c->ids.type };
    return memory_write(&to, ids, err);
}

qasr_status graph_run(graph *g, const graph_target *t, qasr_error *err)
{
    fill_inputs(g);
    enum ggml_status status = ggml_backend_graph_compute(t->backend, g->nodes);
    if (status != GGML_STATUS_SUCCESS)
        return error_set(err, status == GGML_STATUS_ALLOC_FAILED ? QASR_E_NOMEM : QASR_E_DEVICE,
                         "device '%s' failed: %s", ggml_backend_dev_name(t->device), ggml_status_to_string(status));
    for (size_t i = 0; i < g->n_choices; i++)
        TRY(choose(&g->choices[i], g->host, err));
    return QASR_OK;
}
