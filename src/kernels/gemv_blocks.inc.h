/* Products of block-quantized weight rows with fixed-point activations. Included by the file of a level after its vec.h
 * and its unpack functions, with
 *   GEMV_ROWS              weight rows processed together, at most 8: they share the work on activations
 *   loaded_act             32 activations in the form of the level, with members d and d_sum (d * sum of the integers)
 *   act_load               makes a loaded_act of an act_block
 *   dot_act                acc + scale * d * w . x of 32 elements, spread over the lanes of a vector
 *   GEMV_PREFETCH(p, far)  prefetches the line at p and, where that helps, the one at p + far; default: nothing
 * An element is summed in one vector, block after block, regardless of the other rows. */

#ifndef GEMV_PREFETCH
#define GEMV_PREFETCH(p, far) ((void)(p))
#endif

static inline __attribute__((always_inline)) void gemv_rows(float *out, const uint8_t *w, size_t row_bytes,
                                                            const act_block *x, size_t k, unsigned rows,
                                                            unpack_fn unpack, unsigned bytes, unsigned parts,
                                                            int has_min, int two_scales)
{
    vf acc[GEMV_ROWS];
    float min_acc[GEMV_ROWS];
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++) {
        acc[r] = vf_zero();
        min_acc[r] = 0.0f;
    }
    const uint8_t *ahead = w + rows * row_bytes; /* the next rows, as one stream */
    for (size_t i = 0; i < k; i += parts * QK, w += bytes, ahead += rows * bytes) {
#pragma GCC unroll 8
        for (unsigned at = 0; at < rows * bytes; at += 64)
            GEMV_PREFETCH(ahead + at, 3 * rows * row_bytes);
#pragma GCC unroll 8
        for (unsigned part = 0; part < parts; part++) {
            loaded_act a = act_load(x++);
#pragma GCC unroll 8
            for (unsigned r = 0; r < rows; r++) {
                unpacked u = unpack(w + r * row_bytes, part);
                acc[r] = dot_act(acc[r], &u, &a, two_scales);
                if (has_min)
                    min_acc[r] += u.min * a.d_sum;
            }
        }
    }
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
        out[r] = has_min ? vf_sum(acc[r]) + min_acc[r] : vf_sum(acc[r]);
}

#define GEMV(type, parts, has_min, two_scales)                                                                         \
    static void gemv_##type(float *out, size_t ld_out, const void *w, const void *x, size_t n, size_t k, size_t m)     \
    {                                                                                                                  \
        const unsigned bytes = sizeof(block_##type);                                                                   \
        size_t row_bytes = k / ((parts)*QK) * bytes, r = 0;                                                            \
        const act_block *a = x;                                                                                        \
        for (; r + GEMV_ROWS <= n; r += GEMV_ROWS)                                                                     \
            for (size_t j = 0; j < m; j++)                                                                             \
                gemv_rows(out + j * ld_out + r, (const uint8_t *)w + r * row_bytes, row_bytes, a + j * (k / QK), k,    \
                          GEMV_ROWS, unpack_##type, bytes, parts, has_min, two_scales);                                \
        for (; r < n; r++)                                                                                             \
            for (size_t j = 0; j < m; j++)                                                                             \
                gemv_rows(out + j * ld_out + r, (const uint8_t *)w + r * row_bytes, row_bytes, a + j * (k / QK), k, 1, \
                          unpack_##type, bytes, parts, has_min, two_scales);                                           \
    }

GEMV(q8_0, 1, 0, 0)
GEMV(q4_0, 1, 0, 0)
GEMV(q4_1, 1, 1, 0)
GEMV(q5_0, 1, 0, 0)
GEMV(q5_1, 1, 1, 0)
GEMV(q6_k, 8, 0, 1)
GEMV(q4_k, 8, 1, 0)
GEMV(q5_k, 8, 1, 0)
GEMV(iq4_nl, 1, 0, 0)

static void gemv_blocks_fill(kernels *k)
{
    k->gemv[QUANT_Q8_0] = gemv_q8_0;
    k->gemv[QUANT_Q4_0] = gemv_q4_0;
    k->gemv[QUANT_Q4_1] = gemv_q4_1;
    k->gemv[QUANT_Q5_0] = gemv_q5_0;
    k->gemv[QUANT_Q5_1] = gemv_q5_1;
    k->gemv[QUANT_Q6_K] = gemv_q6_k;
    k->gemv[QUANT_Q4_K] = gemv_q4_k;
    k->gemv[QUANT_Q5_K] = gemv_q5_k;
    k->gemv[QUANT_IQ4_NL] = gemv_iq4_nl;
}
