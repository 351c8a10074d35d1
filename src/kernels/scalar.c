/* The reference: every kernel as specified in kernels.h, in plain C without contraction. It runs on machines without a
 * better level; tests/kernels compares the other levels with it. Sums use double where the contract leaves the order
 * open. */
#include <math.h>
#include <string.h>

#include "kernels/levels.h"

/* ---- rows of numbers ---- */

static void rms_norm(float *out, const float *x, const float *w, size_t n, float eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    float scale = 1.0f / sqrtf((float)(sum / (double)n) + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * scale * w[i];
}

static void layer_norm(float *out, const float *x, const float *w, const float *b, size_t n, float eps)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    float mean = (float)(sum / (double)n);
    for (size_t i = 0; i < n; i++)
        squares += (double)(x[i] - mean) * (x[i] - mean);
    float scale = 1.0f / sqrtf((float)(squares / (double)n) + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = (x[i] - mean) * scale * w[i] + b[i];
}

static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
}

static void silu_mul(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void add(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void rope(float *x, const float *cos, const float *sin, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float a = x[i], b = x[half + i];
        x[i] = a * cos[i] - b * sin[i];
        x[half + i] = b * cos[i] + a * sin[i];
    }
}

static size_t argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i])))
            best = i;
    return best;
}

static void f16_row_from_f32(uint16_t *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f16_from_f32(x[i]);
}

static void bf16_row_from_f32(uint16_t *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_from_f32(x[i]);
}

static float max_abs(const float *x, size_t n)
{
    float top = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return INFINITY;
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    }
    return top;
}

static void dots(float *out, size_t ld_out, const float *a, size_t ld_a, const float *b, size_t ld_b, size_t m,
                 size_t n, size_t k)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t c = 0; c < k; c++)
                sum += (double)a[i * ld_a + c] * (double)b[j * ld_b + c];
            out[i * ld_out + j] = (float)sum;
        }
}

/* ---- weights ---- */

static void screen_row(void *out, const float *x, size_t n, float *norm2, float *error2)
{
    double norm = 0, error = 0;
    for (block_q4_0 *block = out; n > 0; n -= QK, x += QK, block++) {
        float top = max_abs(x, QK) / 7.5f;
        block->d = f16_from_f32(top);
        float step = f32_from_f16(block->d), inverse = step > 0 ? 1 / step : 0;
        memset(block->qs, 0, sizeof block->qs);
        for (size_t i = 0; i < QK; i++) {
            float q = rintf(x[i] * inverse);
            q = q >= -8 ? q < 7 ? q : 7 : -8; /* NaN: -8 */
            norm += (double)x[i] * x[i];
            error += (double)(x[i] - q * step) * (x[i] - q * step);
            block->qs[i % (QK / 2)] |= (uint8_t)((int)(q + 8) << (i < QK / 2 ? 0 : 4));
        }
    }
    *norm2 = (float)norm;
    *error2 = (float)error;
}

static void quantize_act_block(act_block *out, const float *x)
{
    float top = 0;
    for (int i = 0; i < QK; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    *out = (act_block){ 0 };
    if (!(top >= ACT_MIN))
        return;
    float inverse = ACT_MAX / top;
    out->d = top / ACT_MAX;
    for (int i = 0; i < QK; i++) {
        int v = (int)lrintf(x[i] * inverse);
        int hi = (v + 128) >> 8;
        out->hi[i] = (int8_t)hi;
        out->lo[i] = (int8_t)(v - 256 * hi);
        out->sum[i / 16] += v;
    }
}

static void quantize_act(void *out, const float *x, size_t n)
{
    act_block *block = out;
    for (size_t i = 0; i < n; i += QK)
        quantize_act_block(block++, x + i);
}

static void quantize_act8_block(act8_block *out, const float *x)
{
    float top = 0;
    for (int i = 0; i < QK; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    *out = (act8_block){ 0 };
    if (!(top >= ACT_MIN))
        return;
    float inverse = 127.0f / top;
    int32_t sum = 0;
    out->d = top / 127.0f;
    for (int i = 0; i < QK; i++) {
        out->q[i] = (int8_t)lrintf(x[i] * inverse);
        sum += out->q[i];
    }
    out->d_sum = out->d * (float)sum;
    out->start = -128 * sum;
}

static void quantize_act8(act8_block *out, size_t stride, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += QK, out += stride)
        quantize_act8_block(out, x + i);
}

static void unpack_int8_q8_0(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += QK, p += sizeof(block_q8_0), q += QK, scale += stride) {
        block_q8_0 b;
        memcpy(&b, p, sizeof b);
        *scale = f32_from_f16(b.d);
        memcpy(q, b.qs, QK);
    }
}

/* 16 bytes of nibbles, the low ones first, with the 32 fifth bits, minus an offset. */
static void unpack_nibbles(int8_t q[QK], const uint8_t *nibbles, uint32_t fifth, int offset)
{
    for (int i = 0; i < QK; i++) {
        int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
        q[i] = (int8_t)((low | (int)(fifth >> i & 1) << 4) - offset);
    }
}

static void unpack_int8_q4_0(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += QK, p += sizeof(block_q4_0), q += QK, scale += stride) {
        block_q4_0 b;
        memcpy(&b, p, sizeof b);
        *scale = f32_from_f16(b.d);
        unpack_nibbles(q, b.qs, 0, 8);
    }
}

static void unpack_int8_iq4_nl(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += QK, p += sizeof(block_iq4_nl), q += QK, scale += stride) {
        block_iq4_nl b;
        memcpy(&b, p, sizeof b);
        *scale = f32_from_f16(b.d);
        for (int j = 0; j < QK; j++)
            q[j] = quant_iq4_nl[j < 16 ? b.qs[j] & 15 : b.qs[j - 16] >> 4];
    }
}

static void unpack_int8_q4_1(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += QK, p += sizeof(block_q4_1), q += QK, scale += stride, min += stride) {
        block_q4_1 b;
        memcpy(&b, p, sizeof b);
        *scale = f32_from_f16(b.d);
        *min = f32_from_f16(b.m);
        unpack_nibbles(q, b.qs, 0, 0);
    }
}

static void unpack_int8_q5_0(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += QK, p += sizeof(block_q5_0), q += QK, scale += stride) {
        block_q5_0 b;
        memcpy(&b, p, sizeof b);
        uint32_t fifth;
        memcpy(&fifth, b.qh, sizeof fifth);
        *scale = f32_from_f16(b.d);
        unpack_nibbles(q, b.qs, fifth, 16);
    }
}

static void unpack_int8_q5_1(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += QK, p += sizeof(block_q5_1), q += QK, scale += stride, min += stride) {
        block_q5_1 b;
        memcpy(&b, p, sizeof b);
        uint32_t fifth;
        memcpy(&fifth, b.qh, sizeof fifth);
        *scale = f32_from_f16(b.d);
        *min = f32_from_f16(b.m);
        unpack_nibbles(q, b.qs, fifth, 0);
    }
}

/* Group j (0 .. 7) of a superblock: 32 nibbles of qs and bit j of qh (NULL for Q4_K). */
static void unpack_k_group(int8_t q[QK], float *scale, float *min, float d, float d_min, const uint8_t scales[12],
                           const uint8_t *qs, const uint8_t *qh, unsigned j)
{
    uint8_t sc, m;
    quant_k_scale_min(scales, j, &sc, &m);
    *scale = d * sc;
    *min = -(d_min * m);
    for (unsigned i = 0; i < QK; i++) {
        int low = j % 2 ? qs[QK * (j / 2) + i] >> 4 : qs[QK * (j / 2) + i] & 15;
        q[i] = (int8_t)(low | (qh ? (qh[i] >> j & 1) << 4 : 0));
    }
}

static void unpack_int8_q4_k(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += QK_K, p += sizeof(block_q4_k)) {
        block_q4_k b;
        memcpy(&b, p, sizeof b);
        for (unsigned j = 0; j < QK_K / QK; j++, q += QK, scale += stride, min += stride)
            unpack_k_group(q, scale, min, f32_from_f16(b.d), f32_from_f16(b.dmin), b.scales, b.qs, NULL, j);
    }
}

static void unpack_int8_q5_k(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += QK_K, p += sizeof(block_q5_k)) {
        block_q5_k b;
        memcpy(&b, p, sizeof b);
        for (unsigned j = 0; j < QK_K / QK; j++, q += QK, scale += stride, min += stride)
            unpack_k_group(q, scale, min, f32_from_f16(b.d), f32_from_f16(b.dmin), b.scales, b.qs, b.qh, j);
    }
}

/* Sum of w[u] * x[i + u], u < n; n is at most the block length of the weights. */
static double dot_part(const float *w, const void *x, size_t i, size_t n, int x_is_float)
{
    double sum = 0;
    if (x_is_float) {
        const float *f = (const float *)x + i;
        for (size_t u = 0; u < n; u++)
            sum += (double)w[u] * f[u];
        return sum;
    }
    for (size_t u = 0; u < n; u++) {
        const act_block *b = (const act_block *)x + (i + u) / QK;
        size_t e = (i + u) % QK;
        sum += (double)w[u] * b->d * (256 * b->hi[e] + b->lo[e]);
    }
    return sum;
}

static void gemv(quant_type type, float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)
{
    const quant_info *q = quant_get(type);
    size_t x_bytes = type <= QUANT_BF16 ? k * sizeof(float) : k / QK * sizeof(act_block),
           row_bytes = quant_row_bytes(q, k);
    for (size_t r = 0; r < n; r++) {
        const char *row = (const char *)w + r * row_bytes;
        double sum[GEMV_MAX_ROWS] = { 0 };
        for (size_t i = 0; i < k; i += q->block) {
            float value[QK_K];
            q->dequantize(value, row + quant_row_bytes(q, i), q->block);
            for (size_t j = 0; j < m; j++)
                sum[j] += dot_part(value, (const char *)x + j * x_bytes, i, q->block, type <= QUANT_BF16);
        }
        for (size_t j = 0; j < m; j++)
            out[j * ld_out + r] = (float)sum[j];
    }
}

#define GEMV(name, type)                                                                                               \
    static void name(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)            \
    {                                                                                                                  \
        gemv(type, out, ld_out, w, x, n, k, m);                                                                        \
    }
GEMV(gemv_f32, QUANT_F32)
GEMV(gemv_f16, QUANT_F16)
GEMV(gemv_bf16, QUANT_BF16)
GEMV(gemv_q8_0, QUANT_Q8_0)
GEMV(gemv_q4_0, QUANT_Q4_0)
GEMV(gemv_q4_1, QUANT_Q4_1)
GEMV(gemv_q5_0, QUANT_Q5_0)
GEMV(gemv_q5_1, QUANT_Q5_1)
GEMV(gemv_q6_k, QUANT_Q6_K)
GEMV(gemv_q4_k, QUANT_Q4_K)
GEMV(gemv_q5_k, QUANT_Q5_K)
GEMV(gemv_iq4_nl, QUANT_IQ4_NL)

/* ---- blocked products ---- */

enum { TILE_ROWS = 4, TILE_COLS = 8 };

static void gemm_tile(float *c, size_t ldc, const float *a, const float *b, size_t k, unsigned m, unsigned n,
                      int accumulate)
{
    float acc[TILE_ROWS][TILE_COLS] = { 0 };
    for (unsigned r = 0; accumulate && r < m; r++)
        for (unsigned j = 0; j < n; j++)
            acc[r][j] = c[r * ldc + j];
    for (size_t i = 0; i < k; i++)
        for (unsigned r = 0; r < TILE_ROWS; r++)
            for (unsigned j = 0; j < TILE_COLS; j++)
                acc[r][j] += a[i * TILE_ROWS + r] * b[i * TILE_COLS + j];
    for (unsigned r = 0; r < m; r++)
        for (unsigned j = 0; j < n; j++)
            c[r * ldc + j] = acc[r][j];
}

static void gemm_pack(float *panel, unsigned width, const float *rows, size_t ld, unsigned n_rows, size_t steps)
{
    for (size_t i = 0; i < steps; i++)
        for (unsigned r = 0; r < width; r++)
            panel[i * width + r] = r < n_rows ? rows[r * ld + i] : 0.0f;
}

static void gemm_pack_a(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps)
{
    gemm_pack(panel, TILE_ROWS, rows, ld, n_rows, steps);
}

static void gemm_pack_b(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps)
{
    gemm_pack(panel, TILE_COLS, rows, ld, n_rows, steps);
}

enum { KEYS = 64 };

/* Element col of a key or value row. */
static float kv_element(const attn_args *a, const void *base, size_t row, size_t col)
{
    const unsigned char *p = (const unsigned char *)base + row * a->kv_stride;
    if (a->kv_type == QUANT_F16)
        return f32_from_f16(((const uint16_t *)(const void *)p)[col]);
    if (a->kv_type == QUANT_F32)
        return ((const float *)(const void *)p)[col];
    const block_q8_0 *block = (const block_q8_0 *)(const void *)p + col / QK;
    return f32_from_f16(block->d) * block->qs[col % QK];
}

typedef struct attn_row {
    double max, sum;
    double acc[ATTN_MAX_HEAD_DIM]; /* weighted values, not yet divided by sum */
} attn_row;

/* Keys start .. start + n, n <= KEYS, for query i. */
static void attn_keys(const attn_args *a, attn_row *s, size_t i, size_t start, size_t n)
{
    double p[KEYS], max = s->max;
    for (size_t j = 0; j < n; j++) {
        p[j] = 0;
        for (size_t d = 0; d < a->head_dim; d++)
            p[j] += (double)a->q[i * a->ld_q + d] * kv_element(a, a->k, start + j, d);
        p[j] *= a->scale;
        max = p[j] > max ? p[j] : max;
    }
    double factor = exp(s->max - max);
    s->max = max;
    s->sum *= factor;
    for (size_t d = 0; d < a->head_dim; d++)
        s->acc[d] *= factor;
    for (size_t j = 0; j < n; j++) {
        double weight = exp(p[j] - max);
        s->sum += weight;
        for (size_t d = 0; d < a->head_dim; d++)
            s->acc[d] += weight * kv_element(a, a->v, start + j, d);
    }
}

static void attention(const attn_args *a)
{
    for (size_t i = 0; i < a->n_q; i++) {
        size_t seen = a->causal && a->first + i + 1 < a->n_kv ? a->first + i + 1 : a->n_kv;
        attn_row s = { .max = -INFINITY };
        for (size_t start = 0; start < seen; start += KEYS)
            attn_keys(a, &s, i, start, seen - start < KEYS ? seen - start : KEYS);
        for (size_t d = 0; d < a->head_dim; d++)
            a->out[i * a->ld_out + d] = (float)(s.acc[d] / s.sum);
    }
}

void kernels_fill_scalar(kernels *k)
{
    *k = (kernels){
        .rms_norm = rms_norm,
        .layer_norm = layer_norm,
        .gelu = gelu,
        .silu_mul = silu_mul,
        .add = add,
        .rope = rope,
        .argmax = argmax,
        .f16_from_f32 = f16_row_from_f32,
        .bf16_from_f32 = bf16_row_from_f32,
        .max_abs = max_abs,
        .dots = dots,
        .screen_row = screen_row,
        .quantize_act = quantize_act,
        .quantize_act8 = quantize_act8,
        .unpack_int8 = { [QUANT_Q8_0] = unpack_int8_q8_0,
                         [QUANT_Q4_0] = unpack_int8_q4_0,
                         [QUANT_Q4_1] = unpack_int8_q4_1,
                         [QUANT_Q5_0] = unpack_int8_q5_0,
                         [QUANT_Q5_1] = unpack_int8_q5_1,
                         [QUANT_Q4_K] = unpack_int8_q4_k,
                         [QUANT_Q5_K] = unpack_int8_q5_k,
                         [QUANT_IQ4_NL] = unpack_int8_iq4_nl },
        .gemv = { [QUANT_F32] = gemv_f32,
                  [QUANT_F16] = gemv_f16,
                  [QUANT_BF16] = gemv_bf16,
                  [QUANT_Q8_0] = gemv_q8_0,
                  [QUANT_Q4_0] = gemv_q4_0,
                  [QUANT_Q4_1] = gemv_q4_1,
                  [QUANT_Q5_0] = gemv_q5_0,
                  [QUANT_Q5_1] = gemv_q5_1,
                  [QUANT_Q6_K] = gemv_q6_k,
                  [QUANT_Q4_K] = gemv_q4_k,
                  [QUANT_Q5_K] = gemv_q5_k,
                  [QUANT_IQ4_NL] = gemv_iq4_nl },
        .gemm = { .mr = TILE_ROWS, .nr = TILE_COLS, .tile = gemm_tile, .pack_a = gemm_pack_a, .pack_b = gemm_pack_b },
        .attention = attention,
        .attention_step = attention,
    };
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        k->dequantize[t] = quant_get((quant_type)t)->dequantize;
}
