/* The register tile of int8 products. Included by the file of a level after its vec.h, with
 *   INT8_ROWS, INT8_VECS  rows of a full tile; its columns, in vectors of VL
 *   vi                    a vector of VL 32-bit integers
 *   vf_from_vi            converts each to float32
 *   dot_block             acc[r][v] = integer products of rows blocks of activations with a block of the panel;
 *                         rows and with_min are constants at the call */

enum { INT8_COLS = INT8_VECS * VL };

static inline size_t int8_lanes_of(unsigned n, unsigned v) /* lanes of vector v among n columns */
{
    return n <= v * VL ? 0 : n - v * VL < VL ? n - v * VL : VL;
}

/* rows and with_min are constants at the call, so everything unrolls. */
static inline __attribute__((always_inline)) void int8_rows(float *c, size_t ldc, const act8_block *a,
                                                            const int8_panel *b, size_t blocks, unsigned n,
                                                            int accumulate, unsigned rows, int with_min)
{
    vf sum[INT8_ROWS][INT8_VECS];
    const float *q = b->q, *scale = b->scale, *min = b->min;
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < INT8_VECS; v++)
            sum[r][v] = accumulate ? vf_load_part(c + r * ldc + v * VL, int8_lanes_of(n, v)) : vf_zero();
    for (size_t i = 0; i < blocks; i++, a += INT8_ROWS, q += QK / 4 * INT8_COLS, scale += INT8_COLS) {
        vi acc[INT8_ROWS][INT8_VECS];
        dot_block(acc, a, q, rows, with_min);
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++) {
            vf d = vf_set1(a[r].d), d_sum = vf_set1(a[r].d_sum);
#pragma GCC unroll 8
            for (unsigned v = 0; v < INT8_VECS; v++) {
                sum[r][v] = vf_fma(vf_from_vi(acc[r][v]) * vf_load(scale + v * VL), d, sum[r][v]);
                if (with_min)
                    sum[r][v] = vf_fma(vf_load(min + v * VL), d_sum, sum[r][v]);
            }
        }
        if (with_min)
            min += INT8_COLS;
    }
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < INT8_VECS; v++)
            vf_store_part(c + r * ldc + v * VL, sum[r][v], int8_lanes_of(n, v));
}

static void int8_tile(float *c, size_t ldc, const act8_block *a, const int8_panel *b, size_t blocks, unsigned m,
                      unsigned n, int accumulate)
{
#define INT8_CASE(rows)                                                                                                \
    case rows:                                                                                                         \
        if (b->min)                                                                                                    \
            int8_rows(c, ldc, a, b, blocks, n, accumulate, rows, 1);                                                   \
        else                                                                                                           \
            int8_rows(c, ldc, a, b, blocks, n, accumulate, rows, 0);                                                   \
        break
    _Static_assert(INT8_ROWS == 6, "one case per number of rows");
    switch (m) {
        INT8_CASE(6);
        INT8_CASE(5);
        INT8_CASE(4);
        INT8_CASE(3);
        INT8_CASE(2);
        INT8_CASE(1);
    default: break;
    }
#undef INT8_CASE
}
