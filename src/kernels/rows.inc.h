/* Row operations for vectors of any length: norms, activation functions, RoPE, sums, maxima, conversion to float16, dot
 * products. Included by the file of a level after its vec.h. Sums use several vector accumulators; their order depends
 * on n alone. */

#include <stdbool.h>

enum { ROW_SUMS = VL < 8 ? 8 : 4 }; /* at least 32 lanes: with fewer, long rows would lose accuracy */

static inline __attribute__((always_inline)) float sum_accumulators(const vf acc[ROW_SUMS])
{
    vf total = (acc[0] + acc[1]) + (acc[2] + acc[3]);
#pragma GCC unroll 8
    for (int u = 4; u < ROW_SUMS; u += 4)
        total += (acc[u] + acc[u + 1]) + (acc[u + 2] + acc[u + 3]);
    return vf_sum(total);
}

static inline float sum_of_squares(const float *x, float minus, size_t n)
{
    vf acc[ROW_SUMS], mean = vf_set1(minus);
#pragma GCC unroll 8
    for (int u = 0; u < ROW_SUMS; u++)
        acc[u] = vf_zero();
    size_t i = 0;
    for (; i + ROW_SUMS * VL <= n; i += ROW_SUMS * VL)
#pragma GCC unroll 8
        for (int u = 0; u < ROW_SUMS; u++) {
            vf d = vf_load(x + i + (size_t)u * VL) - mean;
            acc[u] = vf_fma(d, d, acc[u]);
        }
    for (; i < n; i += VL) {
        size_t part = n - i < VL ? n - i : VL;
        vf d = vf_cols_before(vf_load_part(x + i, part) - mean, (ptrdiff_t)part, 0.0f);
        acc[0] = vf_fma(d, d, acc[0]);
    }
    return sum_accumulators(acc);
}

static inline float sum_of(const float *x, size_t n)
{
    vf acc[ROW_SUMS];
#pragma GCC unroll 8
    for (int u = 0; u < ROW_SUMS; u++)
        acc[u] = vf_zero();
    size_t i = 0;
    for (; i + ROW_SUMS * VL <= n; i += ROW_SUMS * VL)
#pragma GCC unroll 8
        for (int u = 0; u < ROW_SUMS; u++)
            acc[u] += vf_load(x + i + (size_t)u * VL);
    for (; i < n; i += VL)
        acc[0] += vf_load_part(x + i, n - i < VL ? n - i : VL);
    return sum_accumulators(acc);
}

static void rms_norm(float *out, const float *x, const float *w, size_t n, float eps)
{
    float scale = 1.0f / sqrtf(sum_of_squares(x, 0.0f, n) / (float)n + eps);
    vf s = vf_set1(scale);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(out + i, vf_load(x + i) * s * vf_load(w + i));
    if (i < n)
        vf_store_part(out + i, vf_load_part(x + i, n - i) * s * vf_load_part(w + i, n - i), n - i);
}

static void layer_norm(float *out, const float *x, const float *w, const float *b, size_t n, float eps)
{
    float mean = sum_of(x, n) / (float)n;
    vf s = vf_set1(1.0f / sqrtf(sum_of_squares(x, mean, n) / (float)n + eps)), m = vf_set1(mean);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(out + i, vf_fma((vf_load(x + i) - m) * s, vf_load(w + i), vf_load(b + i)));
    if (i < n) {
        size_t part = n - i;
        vf v = vf_fma((vf_load_part(x + i, part) - m) * s, vf_load_part(w + i, part), vf_load_part(b + i, part));
        vf_store_part(out + i, v, part);
    }
}

/* x Phi(x), where Phi(-a) e^(a^2 / 2) is a polynomial in 1 / (1 + 0.3 a) (minimax, relative error 6e-8 up to a = 13,
 * where e^(-a^2 / 2) is negligible against any x). */
static inline vf gelu_of(vf x)
{
    vf a = vf_abs(x);
    vf t = vf_set1(1.0f) / vf_fma(vf_set1(0.3f), a, vf_set1(1.0f));
    vf p = vf_set1(0.0382704958319664f);
    p = vf_fma(p, t, vf_set1(-0.1686413288116455f));
    p = vf_fma(p, t, vf_set1(0.2275739312171936f));
    p = vf_fma(p, t, vf_set1(-0.07526139914989471f));
    p = vf_fma(p, t, vf_set1(0.14167319238185883f));
    p = vf_fma(p, t, vf_set1(0.09505205601453781f));
    p = vf_fma(p, t, vf_set1(0.1218256801366806f));
    p = vf_fma(p, t, vf_set1(0.1195010244846344f));
    p = vf_fma(p, t, vf_set1(6.381878847605549e-06f));
    vf tail = x * (p * vf_exp(x * x * vf_set1(-0.5f))); /* x Phi(-|x|) */
    return vf_pick_positive(x, x - tail, tail);
}

static void gelu(float *x, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(x + i, gelu_of(vf_load(x + i)));
    if (i < n)
        vf_store_part(x + i, gelu_of(vf_load_part(x + i, n - i)), n - i);
}

static inline vf silu_of(vf x) { return x / (vf_set1(1.0f) + vf_exp(vf_zero() - x)); }

static void silu_mul(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(gate + i, silu_of(vf_load(gate + i)) * vf_load(up + i));
    if (i < n)
        vf_store_part(gate + i, silu_of(vf_load_part(gate + i, n - i)) * vf_load_part(up + i, n - i), n - i);
}

static void add(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_load(y + i) + vf_load(x + i));
    if (i < n)
        vf_store_part(y + i, vf_load_part(y + i, n - i) + vf_load_part(x + i, n - i), n - i);
}

static void rope(float *x, const float *cos, const float *sin, size_t half)
{
    for (size_t i = 0; i < half; i += VL) {
        size_t part = half - i < VL ? half - i : VL;
        vf a = vf_load_part(x + i, part), b = vf_load_part(x + half + i, part);
        vf c = vf_load_part(cos + i, part), s = vf_load_part(sin + i, part);
        vf_store_part(x + i, vf_fnma(b, s, a * c), part);
        vf_store_part(x + half + i, vf_fma(a, s, b * c), part);
    }
}

/* Two passes over a row that fits in the cache: the maximum, then the first element equal to it. */
static size_t argmax(const float *x, size_t n)
{
    vf best[4];
    for (int u = 0; u < 4; u++)
        best[u] = vf_set1(-INFINITY);
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        for (int u = 0; u < 4; u++)
            best[u] = vf_max(vf_load(x + i + (size_t)u * VL), best[u]);
    for (; i < n; i += VL) {
        size_t part = n - i < VL ? n - i : VL;
        best[0] = vf_max(vf_cols_before(vf_load_part(x + i, part), (ptrdiff_t)part, -INFINITY), best[0]);
    }
    vf top = vf_set1(vf_hmax(vf_max(vf_max(best[0], best[1]), vf_max(best[2], best[3]))));
    for (i = 0; i < n; i += VL) {
        size_t part = n - i < VL ? n - i : VL;
        unsigned equal = vf_mask_eq(vf_load_part(x + i, part), top) & ((1u << part) - 1);
        if (equal)
            return i + (size_t)__builtin_ctz(equal);
    }
    return 0; /* all NaN */
}

static void f16_row_from_f32(uint16_t *out, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store_f16(out + i, vf_load(x + i));
    if (i < n)
        vf_store_f16_part(out + i, vf_load_part(x + i, n - i), n - i);
}

/* Compares bits: without the sign, floats order like integers, with infinity and NaN as the largest. */
static float max_abs(const float *x, size_t n)
{
    int32_t top = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        top = bits > top ? bits : top;
    }
    if (top >= 0x7f800000)
        return INFINITY;
    float result;
    memcpy(&result, &top, sizeof result);
    return result;
}

/* ---- dot products of rows ---- */

enum { DOT_ROWS = 4, DOT_COLS = VL == 8 ? 2 : 4 }; /* as many sums as fit in registers: 16 with AVX2, else 32 */

/* rows and cols are constants at the call. */
static inline __attribute__((always_inline)) void dot_tile(float *out, size_t ld_out, const float *a, size_t ld_a,
                                                           const float *b, size_t ld_b, size_t k, unsigned rows,
                                                           unsigned cols)
{
    vf acc[DOT_ROWS][DOT_COLS], y[DOT_COLS];
#pragma GCC unroll 4
    for (unsigned i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (unsigned j = 0; j < cols; j++)
            acc[i][j] = vf_zero();
    for (size_t c = 0; c < k; c += VL) {
        bool whole = k - c >= VL;
#pragma GCC unroll 4
        for (unsigned j = 0; j < cols; j++)
            y[j] = whole ? vf_load(b + j * ld_b + c) : vf_load_part(b + j * ld_b + c, k - c);
#pragma GCC unroll 4
        for (unsigned i = 0; i < rows; i++) {
            vf x = whole ? vf_load(a + i * ld_a + c) : vf_load_part(a + i * ld_a + c, k - c);
#pragma GCC unroll 4
            for (unsigned j = 0; j < cols; j++)
                acc[i][j] = vf_fma(x, y[j], acc[i][j]);
        }
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (unsigned j = 0; j < cols; j++)
            out[i * ld_out + j] = vf_sum(acc[i][j]);
}

static void dots(float *out, size_t ld_out, const float *a, size_t ld_a, const float *b, size_t ld_b, size_t m,
                 size_t n, size_t k)
{
    for (size_t j = 0; j < n;) {
        bool wide = n - j >= DOT_COLS;
        for (size_t i = 0; i < m;) {
            bool high = m - i >= DOT_ROWS;
            float *to = out + i * ld_out + j;
            const float *x = a + i * ld_a, *y = b + j * ld_b;
            if (high && wide)
                dot_tile(to, ld_out, x, ld_a, y, ld_b, k, DOT_ROWS, DOT_COLS);
            else if (high)
                dot_tile(to, ld_out, x, ld_a, y, ld_b, k, DOT_ROWS, 1);
            else if (wide)
                dot_tile(to, ld_out, x, ld_a, y, ld_b, k, 1, DOT_COLS);
            else
                dot_tile(to, ld_out, x, ld_a, y, ld_b, k, 1, 1);
            i += high ? DOT_ROWS : 1;
        }
        j += wide ? DOT_COLS : 1;
    }
}

static void rows_fill(kernels *k)
{
    k->rms_norm = rms_norm;
    k->layer_norm = layer_norm;
    k->gelu = gelu;
    k->silu_mul = silu_mul;
    k->add = add;
    k->rope = rope;
    k->argmax = argmax;
    k->f16_from_f32 = f16_row_from_f32;
    k->max_abs = max_abs;
    k->dots = dots;
}
