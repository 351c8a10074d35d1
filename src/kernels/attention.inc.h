/* One head of attention. Included by the file of a level after gemm.inc.h.
 *
 * attention: keys are processed in blocks of KEYS, transposed on the stack to [head_dim][KEYS]. So the register tile
 * computes the scores (queries x keys, summed over head_dim from 0 upwards), and also the weighted values (queries x
 * head_dim, summed over keys). A block of keys serves up to GROUP queries before the next one is transposed. The state
 * of a query is the running maximum, the sum of exponentials and the weighted values, rescaled when a block raises the
 * maximum. Blocks start at key 0, and keys that a query does not see have weight exactly 0, so a query's result does
 * not depend on the other queries. Stack: at most 64 KB keys, 64 KB values (unless float32), 48 KB results.
 *
 * attention_step: with one or a few queries, transposing would cost more than the products. Keys are used as they are
 * in the cache, and the next block is prefetched meanwhile, since memory bandwidth is the limit. */

#include <stdbool.h>

enum { KEYS = 64, KEY_VECS = KEYS / VL, GROUP = 48 };

typedef struct attn_state {
    float max[GROUP], sum[GROUP];                        /* per query of the group */
    _Alignas(64) float acc[GROUP * ATTN_MAX_HEAD_DIM];   /* [GROUP][head_dim], not yet divided by sum */
    _Alignas(64) float keys[ATTN_MAX_HEAD_DIM * KEYS];   /* [head_dim][KEYS], 0 beyond the block's keys */
    _Alignas(64) float values[KEYS * ATTN_MAX_HEAD_DIM]; /* [KEYS][head_dim] */
} attn_state;

static inline size_t attn_visible(const attn_args *a, size_t i) /* keys that query i sees */
{
    return a->causal && a->first + i + 1 < a->n_kv ? a->first + i + 1 : a->n_kv;
}

/* VL elements from col on of a key or value row. */
static inline vf attn_load(const unsigned char *row, size_t col, quant_type type)
{
    if (type == QUANT_F16)
        return vf_load_f16((const uint16_t *)(const void *)row + col);
    if (type == QUANT_F32)
        return vf_load((const float *)(const void *)row + col);
    const block_q8_0 *block = (const block_q8_0 *)(const void *)row + col / QK;
    return vf_load_i8(block->qs + col % QK) * vf_set1_f16(block->d);
}

static inline const unsigned char *attn_row(const attn_args *a, const void *base, size_t row)
{
    return (const unsigned char *)base + row * a->kv_stride;
}

/* type is a constant at the call. */
static inline __attribute__((always_inline)) void attn_load_keys(const attn_args *a, attn_state *s, size_t start,
                                                                 size_t n, quant_type type)
{
    for (size_t j = 0; j < KEYS; j += VL)
        for (size_t d = 0; d < a->head_dim; d += VL) {
            vf r[VL];
            if (j + VL <= n) {
#pragma GCC unroll 16
                for (size_t u = 0; u < VL; u++)
                    r[u] = attn_load(attn_row(a, a->k, start + j + u), d, type);
            } else {
                for (size_t u = 0; u < VL; u++)
                    r[u] = j + u < n ? attn_load(attn_row(a, a->k, start + j + u), d, type) : vf_zero();
            }
            vf_transpose(r);
#pragma GCC unroll 16
            for (size_t u = 0; u < VL; u++)
                vf_store(s->keys + (d + u) * KEYS + j, r[u]);
        }
}

static inline __attribute__((always_inline)) void attn_load_values(const attn_args *a, attn_state *s, size_t start,
                                                                   size_t n, quant_type type)
{
    for (size_t j = 0; j < n; j++)
        for (size_t d = 0; d < a->head_dim; d += VL)
            vf_store(s->values + j * a->head_dim + d, attn_load(attn_row(a, a->v, start + j), d, type));
}

static void attn_load_block(const attn_args *a, attn_state *s, size_t start, size_t n)
{
    switch (a->kv_type) {
    case QUANT_F32: /* values are used in place */ attn_load_keys(a, s, start, n, QUANT_F32); break;
    case QUANT_F16:
        attn_load_keys(a, s, start, n, QUANT_F16);
        attn_load_values(a, s, start, n, QUANT_F16);
        break;
    default: attn_load_keys(a, s, start, n, QUANT_Q8_0); attn_load_values(a, s, start, n, QUANT_Q8_0);
    }
}

/* p[rows][KEYS] = scale * q . k for the block's keys */
static inline __attribute__((always_inline)) void attn_scores(const attn_args *a, const attn_state *s, float *p,
                                                              size_t first, unsigned rows)
{
    for (unsigned half = 0; half < KEY_VECS; half += TILE_VECS) {
        vf acc[TILE_ROWS][TILE_VECS];
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (unsigned v = 0; v < TILE_VECS; v++)
                acc[r][v] = vf_zero();
        tile_run(acc, a->q + first * a->ld_q, a->ld_q, 1, s->keys + half * VL, KEYS, a->head_dim, rows, TILE_VECS);
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (unsigned v = 0; v < TILE_VECS; v++)
                vf_store(p + r * KEYS + (half + v) * VL, acc[r][v] * vf_set1(a->scale));
    }
}

/* Replaces the scores of one query by exponentials (0 from n_seen on); returns the factor that rescales earlier sums.
 */
static inline float attn_softmax(float *p, ptrdiff_t n_seen, float *max, float *sum)
{
    vf x[KEY_VECS], top = vf_set1(*max);
#pragma GCC unroll 8
    for (int v = 0; v < KEY_VECS; v++) {
        x[v] = vf_cols_before(vf_load(p + v * VL), n_seen - v * VL, -INFINITY);
        top = vf_max(top, x[v]);
    }
    float new_max = vf_hmax(top);
    float factor = vf_first(vf_exp(vf_set1(*max - new_max)));
    vf total = vf_zero(), m = vf_set1(new_max);
#pragma GCC unroll 8
    for (int v = 0; v < KEY_VECS; v++) {
        x[v] = vf_exp(x[v] - m);
        vf_store(p + v * VL, x[v]);
        total += x[v];
    }
    *sum = *sum * factor + vf_sum(total);
    *max = new_max;
    return factor;
}

/* acc = factor * acc + p . values, columns col .. col + vecs * VL */
static inline __attribute__((always_inline)) void attn_weigh(float *acc, size_t head_dim, const float *factor,
                                                             const float *p, const float *values, size_t ld_values,
                                                             size_t n_keys, size_t col, unsigned rows, unsigned vecs)
{
    vf t[TILE_ROWS][TILE_VECS];
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < vecs; v++)
            t[r][v] = vf_load(acc + r * head_dim + col + v * VL) * vf_set1(factor[r]);
    tile_run(t, p, KEYS, 1, values + col, ld_values, n_keys, rows, vecs);
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < vecs; v++)
            vf_store(acc + r * head_dim + col + v * VL, t[r][v]);
}

/* A block of n keys from start, for queries [first, first + rows) of the group that begins at query group. */
static inline __attribute__((always_inline)) void attn_tile(const attn_args *a, attn_state *s, size_t group,
                                                            size_t first, size_t start, size_t n, unsigned rows)
{
    size_t query = group + first, seen = attn_visible(a, query + rows - 1);
    if (seen <= start)
        return;
    n = seen - start < n ? seen - start : n;
    _Alignas(64) float p[TILE_ROWS * KEYS];
    float factor[TILE_ROWS];
    attn_scores(a, s, p, query, rows);
    for (unsigned r = 0; r < rows; r++) {
        size_t end = attn_visible(a, query + r);
        ptrdiff_t n_seen = end <= start ? 0 : end - start < n ? (ptrdiff_t)(end - start) : (ptrdiff_t)n;
        factor[r] = attn_softmax(p + r * KEYS, n_seen, &s->max[first + r], &s->sum[first + r]);
    }
    bool in_place = a->kv_type == QUANT_F32;
    const float *values = in_place ? (const float *)(const void *)attn_row(a, a->v, start) : s->values;
    size_t ld = in_place ? a->kv_stride / sizeof(float) : a->head_dim, col = 0;
    float *acc = s->acc + first * a->head_dim;
    for (; col + TILE_COLS <= a->head_dim; col += TILE_COLS)
        attn_weigh(acc, a->head_dim, factor, p, values, ld, n, col, rows, TILE_VECS);
    for (; col < a->head_dim; col += VL)
        attn_weigh(acc, a->head_dim, factor, p, values, ld, n, col, rows, 1);
}

static void attn_block(const attn_args *a, attn_state *s, size_t group, size_t n_group, size_t start, size_t n)
{
    attn_load_block(a, s, start, n);
    size_t i = 0;
    for (; i + TILE_ROWS <= n_group; i += TILE_ROWS)
        attn_tile(a, s, group, i, start, n, TILE_ROWS);
    for (; i + 2 <= n_group; i += 2)
        attn_tile(a, s, group, i, start, n, 2);
    if (i < n_group)
        attn_tile(a, s, group, i, start, n, 1);
}

static void attn_group(const attn_args *a, attn_state *s, size_t group, size_t n_group)
{
    size_t n_seen = attn_visible(a, group + n_group - 1);
    for (size_t i = 0; i < n_group; i++) {
        s->max[i] = -INFINITY;
        s->sum[i] = 0.0f;
    }
    memset(s->acc, 0, n_group * a->head_dim * sizeof(float));
    for (size_t start = 0; start < n_seen; start += KEYS)
        attn_block(a, s, group, n_group, start, n_seen - start < KEYS ? n_seen - start : KEYS);
    for (size_t i = 0; i < n_group; i++) {
        vf inverse = vf_set1(1.0f / s->sum[i]);
        for (size_t d = 0; d < a->head_dim; d += VL)
            vf_store(a->out + (group + i) * a->ld_out + d, vf_load(s->acc + i * a->head_dim + d) * inverse);
    }
}

static void attention(const attn_args *a)
{
    attn_state s;
    for (size_t group = 0; group < a->n_q; group += GROUP)
        attn_group(a, &s, group, a->n_q - group < GROUP ? a->n_q - group : GROUP);
}

/* ---- few queries ---- */

enum { STEP_ROWS = 2, STEP_VECS = 4 };

typedef struct step_state {
    float max[STEP_ROWS], sum[STEP_ROWS];
    _Alignas(64) float acc[STEP_ROWS * ATTN_MAX_HEAD_DIM];
} step_state;

/* Prefetches to the L2 cache: L1 supports too few outstanding reads to saturate the memory. */
static inline void attn_fetch(const unsigned char *row, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch(row + at, 0, 2);
}

/* p[rows][KEYS] = scale * q . k for keys [start, start + n), one vector of scores at a time; prefetches the next
 * block's keys, and in the first block its values. rows (1 or 2) and type are constants at the call. */
static inline __attribute__((always_inline)) void step_scores(const attn_args *a, float *p, size_t first, size_t start,
                                                              size_t n, unsigned rows, quant_type type)
{
    const size_t keys = VL / rows;
    for (size_t j = 0; j < n; j += keys) {
        vf acc[VL];
#pragma GCC unroll 16
        for (size_t u = 0; u < keys; u++) {
            size_t at = start + (j + u < n ? j + u : n - 1); /* beyond n: repeat the last key; its score is unused */
            const unsigned char *key = attn_row(a, a->k, at);
            attn_fetch(key + KEYS * a->kv_stride, at + KEYS < a->n_kv ? a->kv_stride : 0);
            if (start == 0)
                attn_fetch(attn_row(a, a->v, at), a->kv_stride);
#pragma GCC unroll 2
            for (unsigned r = 0; r < rows; r++)
                acc[r * keys + u] = vf_zero();
            for (size_t d = 0; d < a->head_dim; d += VL) {
                vf x = attn_load(key, d, type);
#pragma GCC unroll 2
                for (unsigned r = 0; r < rows; r++)
                    acc[r * keys + u] = vf_fma(vf_load(a->q + (first + r) * a->ld_q + d), x, acc[r * keys + u]);
            }
        }
        float scores[VL];
        vf_store(scores, vf_sums(acc) * vf_set1(a->scale));
#pragma GCC unroll 2
        for (unsigned r = 0; r < rows; r++)
            memcpy(p + r * KEYS + j, scores + r * keys, keys * sizeof *p);
    }
}

/* acc[rows][head_dim] = factor * acc + p . values, columns col .. col + vecs * VL; prefetches the next block's values.
 */
static inline __attribute__((always_inline)) void step_weigh(const attn_args *a, float *acc, const float *factor,
                                                             const float *p, size_t start, size_t n, size_t col,
                                                             unsigned rows, unsigned vecs, quant_type type)
{
    vf t[STEP_ROWS][STEP_VECS];
#pragma GCC unroll 2
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (unsigned v = 0; v < vecs; v++)
            t[r][v] = vf_load(acc + r * a->head_dim + col + v * VL) * vf_set1(factor[r]);
    for (size_t j = 0; j < n; j++) {
        const unsigned char *value = attn_row(a, a->v, start + j);
        if (start + j + KEYS < a->n_kv && col == 0)
            attn_fetch(value + KEYS * a->kv_stride, a->kv_stride);
#pragma GCC unroll 4
        for (unsigned v = 0; v < vecs; v++) {
            vf x = attn_load(value, col + v * VL, type);
#pragma GCC unroll 2
            for (unsigned r = 0; r < rows; r++)
                t[r][v] = vf_fma(vf_set1(p[r * KEYS + j]), x, t[r][v]);
        }
    }
#pragma GCC unroll 2
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (unsigned v = 0; v < vecs; v++)
            vf_store(acc + r * a->head_dim + col + v * VL, t[r][v]);
}

static inline __attribute__((always_inline)) void step_rows(const attn_args *a, size_t first, unsigned rows,
                                                            quant_type type)
{
    step_state s;
    for (unsigned r = 0; r < rows; r++) {
        s.max[r] = -INFINITY;
        s.sum[r] = 0.0f;
        memset(s.acc + r * a->head_dim, 0, a->head_dim * sizeof(float));
    }
    for (size_t start = 0; start < a->n_kv; start += KEYS) {
        size_t n = a->n_kv - start < KEYS ? a->n_kv - start : KEYS, col = 0;
        _Alignas(64) float p[STEP_ROWS * KEYS] = { 0 };
        float factor[STEP_ROWS];
        step_scores(a, p, first, start, n, rows, type);
        for (unsigned r = 0; r < rows; r++)
            factor[r] = attn_softmax(p + r * KEYS, (ptrdiff_t)n, &s.max[r], &s.sum[r]);
        for (; col + STEP_VECS * VL <= a->head_dim; col += STEP_VECS * VL)
            step_weigh(a, s.acc, factor, p, start, n, col, rows, STEP_VECS, type);
        for (; col < a->head_dim; col += VL)
            step_weigh(a, s.acc, factor, p, start, n, col, rows, 1, type);
    }
    for (unsigned r = 0; r < rows; r++) {
        vf inverse = vf_set1(1.0f / s.sum[r]);
        for (size_t d = 0; d < a->head_dim; d += VL)
            vf_store(a->out + (first + r) * a->ld_out + d, vf_load(s.acc + r * a->head_dim + d) * inverse);
    }
}

static inline __attribute__((always_inline)) void step_all(const attn_args *a, quant_type type)
{
    size_t i = 0;
    for (; i + 2 <= a->n_q; i += 2)
        step_rows(a, i, 2, type);
    if (i < a->n_q)
        step_rows(a, i, 1, type);
}

static void attention_step(const attn_args *a)
{
    switch (a->kv_type) {
    case QUANT_F32: step_all(a, QUANT_F32); break;
    case QUANT_F16: step_all(a, QUANT_F16); break;
    default: step_all(a, QUANT_Q8_0);
    }
}
