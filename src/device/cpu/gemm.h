/* Products of float32 activations with weights of any type, in host memory: blocking, packing and threads around the
 * register tile of the kernel table (structured like BLIS: Van Zee and van de Geijn 2015). */
#ifndef QASR_DEVICE_CPU_GEMM_H
#define QASR_DEVICE_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "device/device.h"
#include "kernels/kernels.h"

/* Scratch memory and threads of the products; buffers grow on demand and are kept. */
typedef struct gemm_context {
    const kernels *k;
    pool *pool;
    bool use_bf16; /* products of many rows with bf16 and block-quantized weights round activations and weights to
                      bfloat16, which is twice as fast where the CPU supports it */
    bool use_int8; /* those with 4-bit and 5-bit weights round activations to bytes (act8_block) where the CPU
                      multiplies bytes even faster */
    void *shared;  /* packed or quantized activations */
    size_t shared_bytes;
    float *per_thread;                  /* [threads][thread_floats] */
    size_t thread_floats, slice_floats; /* allocated; needed for slices of weights */
    struct gemv_lane *lanes;            /* [threads] */
} gemm_context;

typedef struct gemm_part {
    float *out; /* [m, n], row stride ld_out */
    size_t ld_out, n;
    const void *w; /* [n, k] in file layout */
    quant_type type;
    const float *bias; /* [n] or NULL */
    bool gelu, accumulate;
    const void *up; /* [n, k] in file layout: out = silu(x w^T) * (x up^T), without the three above; else NULL */
    quant_type up_type;
} gemm_part;

/* Rows of activations and their norm. */
typedef struct gemm_input {
    const float *x; /* [m, k], row stride ld */
    size_t ld, m, k;
    const float *norm_w, *norm_b; /* [k] or NULL: RMS norm; layer norm if norm_b is given */
    float eps;
} gemm_input;

/* fast: allow use_bf16 and use_int8. */
qasr_status gemm_context_init(gemm_context *g, const kernels *k, pool *p, bool fast, qasr_error *err);
void gemm_context_free(gemm_context *g);

/* For each part: out (+)= act(norm(x) w^T + bias). Up to GEMV_MAX_ROWS rows go through gemv_run; more are packed into
 * panels. Error: NOMEM (scratch). */
qasr_status gemm_run(gemm_context *g, const gemm_input *in, const gemm_part *parts, size_t n_parts, qasr_error *err);
/* The same for few rows; reads each weight once, in file layout. The results of a row do not depend on the number of
 * rows. */
qasr_status gemv_run(gemm_context *g, const gemm_input *in, const gemm_part *parts, size_t n_parts, qasr_error *err);

/* The format of factors in products of many rows with weights of a type, rows of k. */
product_type gemm_product_type(const gemm_context *g, quant_type type, size_t k);

/* 3x3 convolution, stride 2, padding 1, channels-last, as an implicit matrix product: patches are gathered tile by
 * tile, never all at once. in [n_images * h * w, c_in], out [n_images * ceil(h/2) * ceil(w/2), c_out]. Packed weights
 * are panels [ceil(c_out / nr)][steps][nr] with k ordered (u, v, c), as bfloat16 pairs or float32; conv_pack_type
 * chooses by the type in the file. */
quant_type conv_pack_type(const gemm_context *g, quant_type type, size_t c_in);
size_t conv_packed_bytes(const gemm_context *g, quant_type packed_type, size_t c_out, size_t c_in);
void conv_pack_weights(gemm_context *g, void *packed, quant_type packed_type, const void *w, quant_type type,
                       size_t c_out, size_t c_in);
qasr_status conv_run(gemm_context *g, float *out, const float *in, const void *packed, quant_type packed_type,
                     const float *bias, size_t n_images, size_t height, size_t width, size_t c_in, size_t c_out,
                     qasr_error *err);

#endif
