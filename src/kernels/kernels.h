/* The only interface between portable code and instruction sets: one table of function pointers per CPU level.
 *
 * Kernels are single-threaded, allocate nothing, take any n and any alignment unless a contract below says otherwise,
 * and never read or write outside the stated ranges. The summation order of an output element depends only on k (and
 * the level), never on the number of rows, columns or threads, so results do not depend on how work is split. scalar.c
 * is the reference, built without contraction. */
#ifndef QASR_KERNELS_KERNELS_H
#define QASR_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "quant/quant.h"

/* Activations for products with block-quantized weights are 16-bit fixed point. This is as good as float32: the error,
 * 2^-16 of the largest value of a group, is far below that of any weight type. A level uses one of two forms
 * (kernels.act_form). x must be finite; a group whose maximum is below ACT_MIN counts as zero (d = 0, v = 0); v is
 * rounded to nearest even.
 *
 * ACT_BLOCKS: groups of 32, split into two signed bytes so that int8 dot-product instructions apply twice. x[i] ~
 * d * (256 * hi[i] + lo[i]), the integer v = 256 hi + lo in [-32639, 32639]. With a = max|x| of the block, in float32:
 * d = a / 32639 and v = x * (32639 / a) rounded. sum[h] = sum of v over elements 16 h .. 16 h + 15, for weight offsets
 * and minima. */
typedef enum act_form { ACT_BLOCKS, ACT_RUNS } act_form;
#define ACT_MAX 32639.0f /* = 127 * 256 + 127: hi and lo both reach 127 */
#define ACT_MIN 0x1p-100f

typedef struct act_block {
    float d;
    int32_t sum[2];
    int8_t hi[QK];
    int8_t lo[QK];
} act_block;

/* ACT_RUNS: groups of 256, the last one padded with zeros, as 16-bit words in the order in which packed weights unpack:
 * v[q][2 * odd + h][8 * b + i] is element 128 q + 32 b + 16 h + 2 i + odd. d = a / 32767, v = x * (32767 / a) rounded.
 * sum[q][h][4 * b + i] = v[q][h][8 * b + 2 * i] + [.. + 1] + the same two of v[q][2 + h]. */
enum { ACT_RUN = 256 };
#define ACT_RUN_MAX 32767.0f

typedef struct act_run {
    _Alignas(64) int16_t v[2][4][32];
    int32_t sum[2][2][16];
    float d;
} act_run;

enum { GEMV_MAX_ROWS = 8 }; /* activation rows per call */
enum { ATTN_MAX_HEAD_DIM = 256 };

/* out[j * ld_out + r] = sum over k of x[j][k] * w[r][k],  r in [0, n), j in [0, m), m in [1, 8].
 * w: n rows in file layout, consecutive, each quant_row_bytes(k) long. x: m rows of kernels_act_bytes. */
typedef void (*gemv_fn)(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m);

/* Register-blocked products: out[m][n] = sum over k of a[m][k] * b[n][k], in blocks of mr x nr. A step along k is one
 * 32-bit cell: a float32, or a pair of consecutive bfloat16 (the lower k in the lower half). The driver packs rows into
 * panels and passes matching slices of them to tile. */
typedef struct gemm_kernels {
    unsigned mr, nr;
    /* c[i * ldc + j] (+)= sum over k of a[i][k] * b[j][k] for i < m <= mr, j < n <= nr; products and sums in
     * float32, subnormal bfloat16 count as 0. Sums run from step 0 up into one accumulator per element, which starts
     * at the old c with accumulate, else at 0. b is 64-byte aligned. */
    void (*tile)(float *c, size_t ldc, const float *a, const float *b, size_t steps, unsigned m, unsigned n,
                 int accumulate);
    /* Rows [n_rows][steps] of cells, row stride ld -> one panel of mr (pack_a) or nr (pack_b) rows, missing rows 0.
     * Cells are only copied. A panel has steps * mr or steps * nr cells. Panels of pack_b are [steps][nr]; the layout
     * of pack_a is private to the tile. */
    void (*pack_a)(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps);
    void (*pack_b)(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps);
} gemm_kernels;

/* Activations for products of many rows with 4-bit and 5-bit weights (see gemm_product_type in device/cpu/gemm.h):
 * signed bytes in blocks of 32, x[i] ~ d * q[i]. With a = max|x| of the block, in float32: d = a / 127 and q = x * (127
 * / a) rounded to nearest even; a block with a < ACT_MIN counts as zero (d = 0, q = 0). x must be finite. The error,
 * 2^-8 of the block's maximum, is a sixteenth of that of 4-bit weights. */
typedef struct act8_block {
    float d;
    float d_sum;    /* d * sum of q, for weights with a minimum */
    int32_t start;  /* -128 * sum of q: start of sums, corrects products with unsigned bytes w + 128 */
    int32_t unused; /* keeps q aligned */
    int8_t q[QK];
} act8_block;

/* A panel of block-quantized weights, nr rows: value = scale * q + min. */
typedef struct int8_panel {
    const float *q;     /* cells of four bytes, QK / 4 per block and row, from pack_b */
    const float *scale; /* [blocks][nr] */
    const float *min;   /* [blocks][nr], NULL for types without a minimum */
} int8_panel;

/* The register tile of int8 products: 32 products of bytes are summed exactly in 32 bits, then
 *   sum += (float)integers * scale_b * d_a + min_b * d_sum_a,  block after block from the first up.
 * Activations and weights share blocks of 32 and each block has its own scales, so only the rounding of activations to
 * bytes loses precision. */
typedef struct gemm_int8_kernels {
    unsigned mr, nr;
    unsigned bits; /* widest weights: 8; or 5, i.e. [-16, 15] without and [0, 31] with a minimum (not IQ4_NL) */
    /* Like gemm_kernels.tile; a: [blocks][mr], missing rows 0. The panel's q is 64-byte aligned; its values for missing
     * rows do not matter. */
    void (*tile)(float *c, size_t ldc, const act8_block *a, const int8_panel *b, size_t blocks, unsigned m, unsigned n,
                 int accumulate);
    /* Rows [n_rows][blocks * QK] of signed bytes, row stride ld bytes, a multiple of 4 -> the panel's q. with_min: the
     * panel will have minima. */
    void (*pack_b)(float *q, const int8_t *rows, size_t ld, unsigned n_rows, size_t blocks, int with_min);
} gemm_int8_kernels;

/* Unpacks n weights (a multiple of the type's block) to signed bytes q[n] and, for each 32 of them, i = 0, 1 ..:
 * scale[i
 * * stride] and, for types with a minimum, min[i * stride]. scale * q (+ min), rounded after each operation, equals the
 * result of dequantize. */
typedef void (*unpack_int8_fn)(int8_t *q, float *scale, float *min, size_t stride, const void *blocks, size_t n);

/* One head of attention with online softmax, which keeps scores for one block of keys only.
 * out[i] = softmax_j(scale * q[i].k[j]) v[j],  j in [0, n_visible(i)),
 * n_visible(i) = causal ? min(n_kv, first + i + 1) : n_kv (at least 1).
 * Row strides of q and out are in elements. Keys visible to the last row must be finite. The result for row i does not
 * depend on n_q. */
typedef struct attn_args {
    float *out;     /* [n_q, head_dim], row stride ld_out */
    const float *q; /* [n_q, head_dim], row stride ld_q */
    const void *k;  /* [n_kv, head_dim] of kv_type */
    const void *v;
    size_t ld_out, ld_q;
    size_t kv_stride;           /* bytes between consecutive keys or values */
    quant_type kv_type;         /* F32, F16, or Q8_0 (head_dim a multiple of 32) */
    size_t n_q, n_kv, head_dim; /* head_dim a multiple of 16, at most ATTN_MAX_HEAD_DIM */
    size_t first;               /* position of q[0] among the keys (causal only) */
    float scale;
    int causal;
} attn_args;

typedef struct kernels {
    const char *name;
    cpu_level level;

    /* ---- rows of numbers ---- */
    void (*rms_norm)(float *out, const float *x, const float *w, size_t n, float eps); /* out may be x */
    void (*layer_norm)(float *out, const float *x, const float *w, const float *b, size_t n, float eps);
    void (*gelu)(float *x, size_t n); /* in place, 0.5 x (1 + erf(x / sqrt 2)), abs error <= 1e-6 (|x| + 1) */
    void (*silu_mul)(float *gate, const float *up, size_t n); /* gate = silu(gate) * up */
    void (*add)(float *y, const float *x, size_t n);          /* y += x */
    /* x: [2 * half]: rotates each pair x[i], x[i + half] in place by the angle with cos[i], sin[i] */
    void (*rope)(float *x, const float *cos, const float *sin, size_t half);
    size_t (*argmax)(const float *x, size_t n); /* lowest index on ties; NaN never wins (all NaN: 0) */
    void (*f16_from_f32)(uint16_t *out, const float *x, size_t n);
    void (*bf16_from_f32)(uint16_t *out, const float *x, size_t n); /* nearest even; subnormals may become 0 */
    float (*max_abs)(const float *x, size_t n);                     /* NaN or infinity in x gives infinity */
    /* Dot products of rows: out[i * ld_out + j] = sum over c < k of a[i * ld_a + c] * b[j * ld_b + c], i < m, j < n; 0
     * if k is 0. */
    void (*dots)(float *out, size_t ld_out, const float *a, size_t ld_a, const float *b, size_t ld_b, size_t m,
                 size_t n, size_t k);

    /* ---- weights ---- */
    void (*dequantize[QUANT_TYPE_COUNT])(float *out, const void *blocks,
                                         size_t n); /* exact: equal to quant_info.dequantize */
    /* Quantizes n numbers (a multiple of 32) to q4_0 blocks, faster than the format's quantizer. *norm2, *error2: sums
     * of squares of the numbers and of their errors; NaN if a number is not finite. */
    void (*screen_row)(void *out, const float *x, size_t n, float *norm2, float *error2);
    act_form act_form; /* activations for the level's gemv */
    void (*quantize_act)(void *out, const float *x,
                         size_t n); /* n a multiple of 32; bit-exact at all levels of a form */
    gemv_fn gemv[QUANT_TYPE_COUNT];
    /* n elements to blocks out[0], out[stride], ..; n a multiple of 32; bit-exact at all levels */
    void (*quantize_act8)(act8_block *out, size_t stride, const float *x, size_t n);
    unpack_int8_fn unpack_int8[QUANT_TYPE_COUNT]; /* exact; NULL for types that are not blocks of 32 */

    /* ---- blocked products ---- */
    gemm_kernels gemm;                        /* cells are float32 */
    gemm_kernels gemm_bf16;                   /* cells are bfloat16 pairs; tile is NULL where it would not be faster */
    gemm_int8_kernels gemm_int8;              /* tile is NULL where it would not be faster */
    void (*attention)(const attn_args *args); /* many queries: reads the keys once per 48 queries */
    void (*attention_step)(const attn_args *args); /* decoding: the few query heads of one key head; not causal */
} kernels;

/* Bytes of a row of k activations for weights of type t: floats for F32, F16 and BF16, else act_blocks or act_runs. */
static inline size_t kernels_act_bytes(const kernels *kn, quant_type t, size_t k)
{
    if (t <= QUANT_BF16)
        return k * sizeof(float);
    return kn->act_form == ACT_RUNS ? (k + ACT_RUN - 1) / ACT_RUN * sizeof(act_run) : k / QK * sizeof(act_block);
}

/* The table of a level, or of the next lower level that the machine has. */
const kernels *kernels_get(cpu_level level);

#endif
