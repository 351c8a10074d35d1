/* The reference: every kernel as its contract in kernels.h states it, in plain C without contraction. It runs where no
 * level of the machine is built, and tests/kernels judges the other levels by it. Sums run in double where the
 * contract leaves the order open. */
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

/* Weights and activations [i, i + n) of a row as numbers; n is the weights' block length or less. */
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
    size_t x_bytes = type <= QUANT_BF16 ? k * sizeof(float) : k / QK * sizeof(act_block), row_bytes = quant_row_bytes(q, k);
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

/* Element col of key or value row. */
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
        .rms_norm = rms_norm, .layer_norm = layer_norm, .gelu = gelu, .silu_mul = silu_mul, .add = add, .rope = rope,
        .argmax = argmax, .f16_from_f32 = f16_row_from_f32,
        .bf16_from_f32 = bf16_row_from_f32, .max_abs = max_abs, .screen_row = screen_row, .quantize_act = quantize_act,
        .gemv = { [QUANT_F32] = gemv_f32, [QUANT_F16] = gemv_f16, [QUANT_BF16] = gemv_bf16, [QUANT_Q8_0] = gemv_q8_0,
                  [QUANT_Q4_0] = gemv_q4_0, [QUANT_Q4_1] = gemv_q4_1, [QUANT_Q5_0] = gemv_q5_0,
                  [QUANT_Q5_1] = gemv_q5_1, [QUANT_Q6_K] = gemv_q6_k, [QUANT_Q4_K] = gemv_q4_k,
                  [QUANT_Q5_K] = gemv_q5_k },
        .gemm = { .mr = TILE_ROWS, .nr = TILE_COLS, .tile = gemm_tile, .pack_a = gemm_pack_a,
                  .pack_b = gemm_pack_b },
        .attention = attention, .attention_step = attention,
    };
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        k->dequantize[t] = quant_get((quant_type)t)->dequantize;
}
