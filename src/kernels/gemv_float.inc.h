/* Products of float32, float16 and bfloat16 weight rows with float32 activations. Included by the file of a level
 * after its vec.h, with GEMV_FLOAT_ROWS: activation rows processed together. Takes one weight row at a time, so weights
 * are read as one sequential stream. An element is summed in four vector accumulators, regardless of other elements. */

enum { SUMS = 4 };

static inline vf load_f32(const void *w, size_t i) { return vf_load((const float *)w + i); }
static inline vf load_f32_part(const void *w, size_t i, size_t n) { return vf_load_part((const float *)w + i, n); }
static inline vf load_f16(const void *w, size_t i) { return vf_load_f16((const uint16_t *)w + i); }
static inline vf load_f16_part(const void *w, size_t i, size_t n)
{
    return vf_load_f16_part((const uint16_t *)w + i, n);
}
static inline vf load_bf16(const void *w, size_t i) { return vf_load_bf16((const uint16_t *)w + i); }
static inline vf load_bf16_part(const void *w, size_t i, size_t n)
{
    return vf_load_bf16_part((const uint16_t *)w + i, n);
}

typedef vf (*load_fn)(const void *, size_t);
typedef vf (*load_part_fn)(const void *, size_t, size_t);

/* One weight row times rows activation rows x[j * k ..]. rows and the functions are constants at the call, so loops
 * unroll. */
static inline __attribute__((always_inline)) void gemv_float_row(float *out, size_t ld_out, const void *w,
                                                                 const float *x, size_t k, unsigned rows, load_fn load,
                                                                 load_part_fn load_part)
{
    vf acc[GEMV_FLOAT_ROWS][SUMS];
#pragma GCC unroll 8
    for (unsigned j = 0; j < rows; j++)
#pragma GCC unroll 8
        for (unsigned u = 0; u < SUMS; u++)
            acc[j][u] = vf_zero();
    size_t i = 0;
    for (; i + SUMS * VL <= k; i += SUMS * VL) {
#pragma GCC unroll 8
        for (unsigned u = 0; u < SUMS; u++) {
            vf v = load(w, i + u * VL);
#pragma GCC unroll 8
            for (unsigned j = 0; j < rows; j++)
                acc[j][u] = vf_fma(v, vf_load(x + j * k + i + u * VL), acc[j][u]);
        }
    }
    for (; i < k; i += VL) {
        size_t part = k - i < VL ? k - i : VL;
        vf v = load_part(w, i, part);
#pragma GCC unroll 8
        for (unsigned j = 0; j < rows; j++)
            acc[j][0] = vf_fma(v, vf_load_part(x + j * k + i, part), acc[j][0]);
    }
#pragma GCC unroll 8
    for (unsigned j = 0; j < rows; j++)
        out[j * ld_out] = vf_sum((acc[j][0] + acc[j][1]) + (acc[j][2] + acc[j][3]));
}

static inline __attribute__((always_inline)) void gemv_float(float *out, size_t ld_out, const uint8_t *w,
                                                             size_t row_bytes, const float *x, size_t n, size_t k,
                                                             size_t m, load_fn load, load_part_fn load_part)
{
    for (size_t r = 0; r < n; r++, w += row_bytes) {
        size_t j = 0;
        for (; j + GEMV_FLOAT_ROWS <= m; j += GEMV_FLOAT_ROWS)
            gemv_float_row(out + j * ld_out + r, ld_out, w, x + j * k, k, GEMV_FLOAT_ROWS, load, load_part);
        for (; j < m; j++)
            gemv_float_row(out + j * ld_out + r, ld_out, w, x + j * k, k, 1, load, load_part);
    }
}

static void gemv_f32(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)
{
    gemv_float(out, ld_out, w, 4 * k, x, n, k, m, load_f32, load_f32_part);
}

static void gemv_f16(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)
{
    gemv_float(out, ld_out, w, 2 * k, x, n, k, m, load_f16, load_f16_part);
}

static void gemv_bf16(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)
{
    gemv_float(out, ld_out, w, 2 * k, x, n, k, m, load_bf16, load_bf16_part);
}

static void gemv_float_fill(kernels *k)
{
    k->gemv[QUANT_F32] = gemv_f32;
    k->gemv[QUANT_F16] = gemv_f16;
    k->gemv[QUANT_BF16] = gemv_bf16;
}
