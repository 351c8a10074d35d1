/* AVX2: the register tile of int8 products, for weights of up to 5 bits. vpmaddubsw sums two products of an unsigned
 * and a signed byte in 16 bits and saturates. Weights are u = w + 16 (or already unsigned, with a minimum), 0 .. 31, so
 * a lane can sum 8 products, 8 * 31 * 127 < 2^15, before it is widened. 12 vectors of 16-bit sums stay in registers,
 * 32-bit and float sums in L1: faster than 4 x 16 or 6 x 8. */
#if !defined(__AVX2__) || !defined(__FMA__)
#error "build with the AVX2 flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

enum { INT8_ROWS = 6, INT8_VECS = 2 };

typedef __m256i vi;
static inline vi vi_load(const float *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline vf vf_from_vi(vi v) { return _mm256_cvtepi32_ps(v); }

/* Inline assembly: gcc would turn the chain of additions into a tree, which needs too many registers. */
static inline vi add_words(vi a, vi b)
{
    __asm__("vpaddw %1, %0, %0" : "+x"(a) : "x"(b));
    return a;
}

static inline __attribute__((always_inline)) void dot_block(vi acc[INT8_ROWS][INT8_VECS], const act8_block *a,
                                                            const float *b, unsigned rows, int with_min)
{
    enum { STEPS = QK / 4 };
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < INT8_VECS; v++)
            acc[r][v] = with_min ? _mm256_setzero_si256() : _mm256_set1_epi32(a[r].start / 8); /* -16 sum of q */
#pragma GCC unroll 8
    for (unsigned half = 0; half < 2; half++) {
        vi sum[INT8_ROWS][INT8_VECS];
#pragma GCC unroll 8
        for (unsigned i = half * STEPS / 2; i < (half + 1) * STEPS / 2; i++, b += INT8_VECS * VL) {
            vi bv[INT8_VECS];
#pragma GCC unroll 8
            for (unsigned v = 0; v < INT8_VECS; v++)
                bv[v] = vi_load(b + v * VL);
#pragma GCC unroll 8
            for (unsigned r = 0; r < rows; r++) {
                int32_t four;
                memcpy(&four, a[r].q + 4 * i, sizeof four);
                vi x = _mm256_set1_epi32(four);
#pragma GCC unroll 8
                for (unsigned v = 0; v < INT8_VECS; v++) {
                    vi p = _mm256_maddubs_epi16(bv[v], x);
                    sum[r][v] = i % (STEPS / 2) == 0 ? p : add_words(sum[r][v], p);
                }
            }
        }
#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (unsigned v = 0; v < INT8_VECS; v++)
                acc[r][v] = _mm256_add_epi32(acc[r][v], _mm256_madd_epi16(sum[r][v], _mm256_set1_epi16(1)));
    }
}

#include "kernels/gemm_int8.inc.h"
#include "kernels/x86/int8_pack.inc.h"

static void pack_b(float *q, const int8_t *rows, size_t ld, unsigned n_rows, size_t blocks, int with_min)
{
    pack_bytes(q, rows, ld, n_rows, blocks, with_min ? 0 : 16);
}

void kernels_fill_avx2int8(kernels *k)
{
    k->gemm_int8 =
        (gemm_int8_kernels){ .mr = INT8_ROWS, .nr = INT8_COLS, .bits = 5, .tile = int8_tile, .pack_b = pack_b };
}
