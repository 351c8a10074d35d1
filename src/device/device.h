/* Operations on whole matrices. The encoder and the decoder are written once, against this interface, for all devices.
 *
 * A device owns memory (device_mem). A dmat is a view of it: rows x cols, row-major. Operations are issued between
 * device_begin and device_end. A device may run each at once (the CPU does) or record them and run all at the end. So
 * results are undefined until device_end returns QASR_OK, and leave a device only through device_read. Operations do
 * not return errors: the first failure is kept, later operations do nothing, and device_end reports it. Callers ensure
 * valid shapes, which are asserted. Operations see the results of earlier ones.
 *
 * Values that change from token to token (ids, positions) are I32 matrices in device memory instead of arguments, so a
 * recorded sequence can be replayed. The exception is n_kv of cached attention, an upper bound that a recording device
 * may round up.
 *
 * Guarantees of identical bits (rows alone or together, any number of threads) hold on the CPU. ggml devices come
 * close, but their back ends choose kernels by shape. Only the CPU has op_clear, op_scale, op_subtract and the
 * statistics.
 *
 * A device is a handle. One physical device can have several, each used by one thread at a time. They share
 * device_weights. */
#ifndef QASR_DEVICE_DEVICE_H
#define QASR_DEVICE_DEVICE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "quant/quant.h"

typedef struct device device;
typedef struct device_mem device_mem;
typedef struct device_weights device_weights;

typedef struct dmat {
    device_mem *mem; /* NULL: no matrix (an absent bias) */
    size_t offset;   /* bytes */
    size_t rows, cols;
    size_t stride; /* bytes from one row to the next */
    dtype type;
} dmat;

/* The format that the factors of a product are rounded to, most precise first. */
typedef enum product_type {
    PRODUCT_F32,
    PRODUCT_BF16,
    PRODUCT_INT8, /* bytes with a scale for each 32 */
    PRODUCT_TYPES
} product_type;

typedef enum activation { ACT_NONE, ACT_GELU, ACT_SWIGLU } activation;

/* One of several products with the same input: out (+)= act(x w^T + bias). x [m, k] F32, w [n, k] of any type, out [m,
 * n] F32, bias [1, n] F32 or absent. With accumulate the result is added to out (a residual connection), which excludes
 * an activation. ACT_SWIGLU takes a pair of matrices without bias: out = silu(x w^T) * (x up^T). */
typedef struct linear_part {
    dmat out, w, bias;
    activation act;
    bool accumulate;
    dmat up; /* [n, k] of any type; ACT_SWIGLU only */
} linear_part;
enum { LINEAR_MAX_PARTS = 4 };

/* A norm applied to the rows of a product's input. */
typedef struct row_norm {
    dmat w, b; /* [1, k]; RMS norm if b is absent, else layer norm */
    float eps;
} row_norm;

/* RMS norm and RoPE of queries and keys, between projection and attention. */
typedef struct qk_rope {
    dmat q_norm, k_norm; /* [1, head_dim]: weights of the RMS norm of each head */
    dmat rope;           /* [positions, head_dim]: cos in the first half, sin in the second */
    float eps;
    double theta; /* base of rope: the angle of pair i at position p is p theta^(-2i / head_dim) */
} qk_rope;
enum { DEVICE_MAX_SLOTS = 64 }; /* rows of different sequences in one operation */

/* The KV cache of one layer, and the slot and position of each row of an operation. A slot holds the cache of one
 * sequence, [n_kv_heads * capacity, head_dim] of F16, F32 or Q8_0, head-major: row head * capacity + position. */
typedef struct kv_view {
    const dmat *k, *v; /* [n_slots]; types and capacities may differ, slots without a row need no memory */
    size_t n_slots;
    dmat slot; /* I32 [n, 1]: slot of each row, all different, n <= DEVICE_MAX_SLOTS. Absent: all rows are in slot 0, at
                * consecutive positions */
    dmat pos;  /* I32 [n, 1]: position of each row */
    dmat peak; /* F32 [n, KV_PEAKS]: see op_rope_and_cache. Absent: not wanted */
} kv_view;
/* What a row has stored: the largest finite magnitude, and whether there was any that is not finite (0 or 1). */
enum { KV_PEAK_LARGEST, KV_PEAK_BAD, KV_PEAKS };

/* Images are stored channels-last: row (image * height + y) * width + x, one column per channel. */
typedef struct conv_shape {
    size_t n_images, height, width; /* input; output is ceil(height / 2) x ceil(width / 2) */
    size_t c_in, c_out;
} conv_shape;

typedef struct attn_heads {
    size_t n_heads, n_kv_heads, head_dim;
    float scale;
} attn_heads;

typedef struct device_ops {
    void (*close)(device *d);
    pool *(*host_pool)(device *d);
    qasr_status (*alloc)(device *d, device_mem **out, size_t bytes, qasr_error *err);
    void (*mem_free)(device *d, device_mem *mem);
    qasr_status (*weights_create)(device *d, device_weights **out, qasr_error *err);
    void (*weights_free)(device_weights *w);
    bool (*weights_fit)(const device_weights *w, const device *d); /* d has the same ops */
    qasr_status (*weights_alloc)(device_weights *w, device_mem **out, size_t bytes, qasr_error *err);
    qasr_status (*weights_map)(device_weights *w, dmat *out, const file_map *file, const void *data, quant_type type,
                               size_t rows, size_t cols, qasr_error *err);
    uint64_t (*weights_memory)(const device_weights *w);
    qasr_status (*write)(device *d, const dmat *dst, const void *src, qasr_error *err);
    qasr_status (*read)(device *d, void *dst, const dmat *src, qasr_error *err);
    void (*begin)(device *d);
    qasr_status (*end)(device *d, qasr_error *err);

    void (*copy)(device *d, const dmat *out, const dmat *x);
    void (*clear)(device *d, const dmat *out);
    void (*scale)(device *d, const dmat *out, const dmat *x, float factor);
    void (*subtract)(device *d, const dmat *out, const dmat *x, const dmat *y);
    void (*embed)(device *d, const dmat *out, const dmat *table, const dmat *ids);
    void (*linear)(device *d, const dmat *x, const row_norm *norm, const linear_part *parts, size_t n_parts,
                   bool alone);
    product_type (*product_type)(device *d, quant_type type, size_t k);
    void (*rms_norm)(device *d, const dmat *out, const dmat *x, const dmat *w, float eps);
    void (*layer_norm)(device *d, const dmat *out, const dmat *x, const dmat *w, const dmat *b, float eps);
    void (*add_cyclic)(device *d, const dmat *x, const dmat *table);
    dmat (*conv_packed)(device *d, quant_type type, size_t c_out, size_t c_in);
    void (*conv_pack)(device *d, const dmat *packed, const dmat *w, size_t c_in);
    void (*conv2d_gelu)(device *d, const dmat *out, const dmat *x, const dmat *packed, const dmat *bias,
                        const conv_shape *shape);
    void (*conv_to_rows)(device *d, const dmat *out, const dmat *x, const conv_shape *shape);
    void (*attention_windows)(device *d, const dmat *out, const dmat *q, const dmat *k, const dmat *v,
                              const attn_heads *heads, size_t window);
    void (*rope_and_cache)(device *d, const dmat *q, const dmat *k, const dmat *v, const qk_rope *rope,
                           const kv_view *kv);
    void (*attention_cached)(device *d, const dmat *out, const dmat *q, const kv_view *kv, const attn_heads *heads,
                             size_t n_kv);
    void (*argmax)(device *d, const dmat *ids, const dmat *x);
    void (*linear_argmax)(device *d, const dmat *ids, const dmat *x, const dmat *w, const dmat *scratch);
    void (*token_scores)(device *d, const dmat *out, const dmat *x, const dmat *ids);
    void (*add_squares)(device *d, const dmat *sums, const dmat *x);
    void (*add_products)(device *d, const dmat *triangle, const dmat *x);
    void (*add_cross_products)(device *d, const dmat *square, const dmat *x, const dmat *y);
    uint64_t (*memory)(const device *d);
} device_ops;

enum { DEVICE_NAME_BYTES = 64 };

struct device {
    const device_ops *ops;
    char name[DEVICE_NAME_BYTES]; /* "cpu", "Vulkan0": device_open knows it */
    size_t kv_step;               /* cache capacities should be multiples of this many positions */
    bool kv_together; /* op_attention_cached is faster if slots are equally spaced in one block of memory, and rows are
                       * in the order of their slots */
};

/* The first member of each driver's weights. */
struct device_weights {
    const device_ops *ops;
};

/* Precision of products of many rows. DEVICE_FAST may round activations to bfloat16 (in which the published model
 * computes) where that is faster, and to bytes with a scale for each 32 for 4-bit and 5-bit weights. DEVICE_EXACT keeps
 * float32. */
typedef enum device_precision { DEVICE_FAST, DEVICE_EXACT } device_precision;

/* A device that can be opened. */
typedef struct device_info {
    char name[DEVICE_NAME_BYTES], description[128], backend[32]; /* backend: "qasr", or the ggml back end: "Vulkan" */
    const char *kind;                 /* "cpu", "gpu", "igpu" (shares memory with the host) */
    uint64_t free_bytes, total_bytes; /* 0: unknown */
    bool flash_attention;             /* attention without scores in memory */
    bool maps_files;                  /* uses weights directly from a mapped file if they are aligned there */
    bool reads[QUANT_TYPE_COUNT];     /* multiplies weights of the type directly; others are converted to f16 or f32 */
} device_info;

/* A kind of device. The registry (registry.c) has a table of drivers; a new one is a row there. */
typedef struct device_driver {
    /* Like device_open (registry.h), name not NULL. Error UNSUPPORTED: the driver has no such device. */
    qasr_status (*open)(device **out, const char *name, unsigned n_threads, device_precision precision,
                        qasr_error *err);
    bool (*list)(device_info *out, size_t i); /* the i-th device that it can open; false beyond the last */
} device_driver;

static inline void device_close(device *d)
{
    if (d)
        d->ops->close(d);
}
/* Host worker threads of the device, for host work between device calls (feature extraction). */
static inline pool *device_pool(device *d) { return d->ops->host_pool(d); }

/* Peak device memory that the handle has used; 0 if the device uses host memory. */
static inline uint64_t device_memory(const device *d) { return d->ops->memory(d); }

/* Uninitialized memory. Error: NOMEM. Free with device_mem_free before the device is closed. */
static inline qasr_status device_alloc(device *d, device_mem **out, size_t bytes, qasr_error *err)
{
    return d->ops->alloc(d, out, bytes, err);
}
static inline void device_mem_free(device *d, device_mem *mem)
{
    if (mem)
        d->ops->mem_free(d, mem);
}
/* ---- weights -------------------------------------------------------------------------------------- */

/* Memory for weights, shared by all handles that it fits, in several threads at once. It must not be written once it is
 * shared. Close handles before freeing weights that they have used. Error: NOMEM. */
static inline qasr_status device_weights_create(device_weights **out, device *d, qasr_error *err)
{
    return d->ops->weights_create(d, out, err);
}
static inline void device_weights_free(device_weights *w)
{
    if (w)
        w->ops->weights_free(w);
}
/* True if d can compute with these weights: the same device and the same layout of packed weights. */
static inline bool device_weights_fit(const device_weights *w, const device *d)
{
    return w->ops == d->ops && w->ops->weights_fit(w, d);
}
/* Uninitialized memory, to be written through a handle that fits; freed with the weights. Error: NOMEM. */
static inline qasr_status device_weights_alloc(device_weights *w, device_mem **out, size_t bytes, qasr_error *err)
{
    return w->ops->weights_alloc(w, out, bytes, err);
}
/* A weight in a mapped file, [rows, cols] of a type: used in place if the device can read host memory, else uploaded.
 * The file must stay mapped as long as the weights exist. Errors: NOMEM, DEVICE, UNSUPPORTED. */
static inline qasr_status device_weights_map(device_weights *w, dmat *out, const file_map *file, const void *data,
                                             quant_type type, size_t rows, size_t cols, qasr_error *err)
{
    return w->ops->weights_map(w, out, file, data, type, rows, cols, err);
}
/* Device memory used, without mapped files; 0 if the device uses host memory. */
static inline uint64_t device_weights_memory(const device_weights *w) { return w->ops->weights_memory(w); }

/* ---- matrices ------------------------------------------------------------------------------------- */

/* Bytes of a row. */
static inline size_t dmat_row_bytes(dtype type, size_t cols)
{
    return type == DTYPE_I32 ? cols * sizeof(int32_t) : quant_row_bytes(quant_get(type), cols);
}
/* A contiguous matrix at a byte offset of mem. */
static inline dmat dmat_make(device_mem *mem, size_t offset, dtype type, size_t rows, size_t cols)
{
    return (dmat){ mem, offset, rows, cols, dmat_row_bytes(type, cols), type };
}
/* Rows [first, first + n) of m. */
static inline dmat dmat_rows(dmat m, size_t first, size_t n)
{
    assert(first <= m.rows && n <= m.rows - first);
    m.offset += first * m.stride;
    m.rows = n;
    return m;
}

/* Copies the whole contents from or to host memory, with rows packed. Not between begin and end. */
static inline qasr_status device_write(device *d, dmat dst, const void *src, qasr_error *err)
{
    return d->ops->write(d, &dst, src, err);
}
static inline qasr_status device_read(device *d, void *dst, dmat src, qasr_error *err)
{
    return d->ops->read(d, dst, &src, err);
}
static inline void device_begin(device *d) { d->ops->begin(d); }
static inline qasr_status device_end(device *d, qasr_error *err) { return d->ops->end(d, err); }

/* ---- operations; activations are F32, ids and positions I32 [n, 1] -------------------------------- */

/* out = x, same shape. */
static inline void op_copy(device *d, dmat out, dmat x) { d->ops->copy(d, &out, &x); }
/* CPU only: out = 0. */
static inline void op_clear(device *d, dmat out) { d->ops->clear(d, &out); }
/* CPU only: out = factor x, same shape. out may be x. */
static inline void op_scale(device *d, dmat out, dmat x, float factor) { d->ops->scale(d, &out, &x, factor); }
/* CPU only: out = x - y, same shape. out may be x or y. */
static inline void op_subtract(device *d, dmat out, dmat x, dmat y) { d->ops->subtract(d, &out, &x, &y); }
/* out[i] = table[ids[i]] as F32; ids in range. */
static inline void op_embed(device *d, dmat out, dmat table, dmat ids) { d->ops->embed(d, &out, &table, &ids); }
/* One to LINEAR_MAX_PARTS products of the same x. */
static inline void op_linear(device *d, dmat x, const linear_part *parts, size_t n_parts)
{
    d->ops->linear(d, &x, NULL, parts, n_parts, false);
}
/* The same for norm(x), which is not stored; norm may be NULL. With alone, each row gets exactly the bits of a call
 * with that row alone, for rows of different sequences. Weights are still read once for all rows. */
static inline void op_norm_linear(device *d, dmat x, const row_norm *norm, const linear_part *parts, size_t n_parts,
                                  bool alone)
{
    d->ops->linear(d, &x, norm, parts, n_parts, alone);
}
/* The format of factors when many rows are multiplied with weights of a type, rows of k. */
static inline product_type device_product_type(device *d, quant_type type, size_t k)
{
    return d->ops->product_type(d, type, k);
}
/* Row-wise; w [1, cols]. out may be x. */
static inline void op_rms_norm(device *d, dmat out, dmat x, dmat w, float eps)
{
    d->ops->rms_norm(d, &out, &x, &w, eps);
}
static inline void op_layer_norm(device *d, dmat out, dmat x, dmat w, dmat b, float eps)
{
    d->ops->layer_norm(d, &out, &x, &w, &b, eps);
}
/* x[i] += table[i mod table.rows] */
static inline void op_add_cyclic(device *d, dmat x, dmat table) { d->ops->add_cyclic(d, &x, &table); }

/* Convolution weights [c_out, c_in * 9] of a type (in the file: [c_out][c_in][3][3]) are packed once into the device's
 * own layout and precision. Returns shape and type of the matrix to allocate for that; the caller sets mem. */
static inline dmat device_conv_packed(device *d, quant_type type, size_t c_out, size_t c_in)
{
    return d->ops->conv_packed(d, type, c_out, c_in);
}
static inline void op_conv_pack(device *d, dmat packed, dmat w, size_t c_in)
{
    d->ops->conv_pack(d, &packed, &w, c_in);
}
/* 3x3 cross-correlation, stride 2, zero padding 1, bias, GELU; images channels-last. */
static inline void op_conv2d_gelu(device *d, dmat out, dmat x, dmat packed, dmat bias, conv_shape shape)
{
    d->ops->conv2d_gelu(d, &out, &x, &packed, &bias, &shape);
}
/* Flattens images [n, F, T, C] (shape: n_images, height F, width T, c_in C) to rows
 * out[n * T + t][c * F + f]: channel-major, as conv_out expects. */
static inline void op_conv_to_rows(device *d, dmat out, dmat x, conv_shape shape)
{
    d->ops->conv_to_rows(d, &out, &x, &shape);
}
/* Bidirectional attention inside consecutive windows of rows; q, k, v, out [N, heads * head_dim]. */
static inline void op_attention_windows(device *d, dmat out, dmat q, dmat k, dmat v, attn_heads heads, size_t window)
{
    d->ops->attention_windows(d, &out, &q, &k, &v, &heads, window);
}
/* Normalizes and rotates queries and keys, and writes keys and values to the cache. Each head_dim-wide part of each row
 * of q (in place) and of k gets the RMS norm, then RoPE (pairs i, i + head_dim / 2) for its position. k itself does not
 * change. The CPU raises the row's peaks to those of its keys and values, before they are rounded to the type of the
 * cache; ggml devices leave peaks as they are. */
static inline void op_rope_and_cache(device *d, dmat q, dmat k, dmat v, const qk_rope *rope, const kv_view *kv)
{
    d->ops->rope_and_cache(d, &q, &k, &v, rope, kv);
}
/* Causal attention over cached keys and values: row i sees positions 0..pos[i] of its slot; n_kv is at least the
 * largest pos[i] + 1. With kv->slot each row gets exactly the bits of a call with that row alone. */
static inline void op_attention_cached(device *d, dmat out, dmat q, const kv_view *kv, attn_heads heads, size_t n_kv)
{
    d->ops->attention_cached(d, &out, &q, kv, &heads, n_kv);
}
/* ids[i] = index of the largest element of x[i], the lowest on ties (ggml devices may return another one); -1 if any
 * element is not finite. */
static inline void op_argmax(device *d, dmat ids, dmat x) { d->ops->argmax(d, &ids, &x); }
/* The same for x w^T, each row as if it were alone. scratch [x.rows, w.rows] is undefined afterwards, since a device
 * may find the index without computing all products (only computed ones are checked for being finite). Intended for
 * repeated use with the same w. */
static inline void op_linear_argmax(device *d, dmat ids, dmat x, dmat w, dmat scratch)
{
    d->ops->linear_argmax(d, &ids, &x, &w, &scratch);
}

/* Scores of chosen tokens: out[i] [2] = natural logarithm of softmax(x[i]) at ids[i], entropy of softmax(x[i]) in nats.
 * x[i] [ids[i]] must be the largest value of its row. If ids[i] is negative, both are NaN. */
static inline void op_token_scores(device *d, dmat out, dmat x, dmat ids) { d->ops->token_scores(d, &out, &x, &ids); }

/* Statistics of rows, on the CPU only (UNSUPPORTED elsewhere). sums [1, n] F32: sums[c] += sum over rows of x[.][c]^2.
 */
static inline void op_add_squares(device *d, dmat sums, dmat x) { d->ops->add_squares(d, &sums, &x); }
/* triangle [1, n (n + 1) / 2] F32, the lower triangle of a symmetric matrix, row by row: element i (i + 1) / 2 + j, j
 * <= i, += sum over rows of x[.][i] x[.][j]. */
static inline void op_add_products(device *d, dmat triangle, dmat x) { d->ops->add_products(d, &triangle, &x); }
/* square [n, n] F32, contiguous: element [i][j] += sum over rows of x[.][i] y[.][j]. */
static inline void op_add_cross_products(device *d, dmat square, dmat x, dmat y)
{
    d->ops->add_cross_products(d, &square, &x, &y);
}

#endif
