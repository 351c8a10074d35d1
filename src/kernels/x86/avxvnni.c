/* AVX-VNNI (vpdpbusd on 256 bits, in processors without AVX-512): products with block-quantized weights, and the
 * register tile of int8 products. Weights are made unsigned, u = w + 128. In products of few rows, activations are v =
 * 256 hi + lo, so sum w v = 256 sum u hi + sum u lo - 128 sum v is exact in 32-bit lanes of 4 elements. The result, at
 * most 4 * 128 * 32639 < 2^24, converts to float exactly.
 *
 * The tests also build this file with AVXVNNI_EVEX: the same instruction in its AVX-512 encoding, for machines that
 * have only that. */
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "build with the AVX2 flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

#include "kernels/x86/blocks_avx2.h"

typedef __m256i vi;
static inline vi vi_set1(int32_t x) { return _mm256_set1_epi32(x); }
static inline vi vi_load(const float *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline vf vf_from_vi(vi v) { return _mm256_cvtepi32_ps(v); }

/* Inline assembly: gcc 12 copies accumulators around the intrinsic. */
static inline vi dot_bytes(vi acc, vi u, vi s)
{
#ifdef AVXVNNI_EVEX
    __asm__("vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(u), "x"(s));
#else
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(u), "x"(s));
#endif
    return acc;
}

/* ---- products with quantized rows ---- */

typedef struct loaded_act {
    vi hi, lo;
    vi fix; /* -128 sum v of each lane's four elements */
    float d, d_sum;
} loaded_act;

static inline loaded_act act_load(const act_block *x)
{
    const vi none = _mm256_setzero_si256(), offset = _mm256_set1_epi8(-128);
    loaded_act a = { .hi = load_bytes((const uint8_t *)x->hi), .lo = load_bytes((const uint8_t *)x->lo), .d = x->d };
    vi sum = dot_bytes(_mm256_slli_epi32(dot_bytes(none, offset, a.hi), 8), offset, a.lo);
    a.fix = _mm256_sub_epi32(none, sum);
    a.d_sum = x->d * (float)(x->sum[0] + x->sum[1]);
    return a;
}

static inline __attribute__((always_inline)) vf dot_act(vf acc, const unpacked *w, const loaded_act *x, int two_scales)
{
    vi u = _mm256_xor_si256(w->q, _mm256_set1_epi8(-128));
    vi hi = dot_bytes(_mm256_setzero_si256(), u, x->hi), lo = dot_bytes(x->fix, u, x->lo);
    vf scale = two_scales ? _mm256_set_m128(_mm_set1_ps(w->scale[1] * x->d), _mm_set1_ps(w->scale[0] * x->d))
                          : vf_set1(w->scale[0] * x->d);
    return vf_fma(vf_from_vi(_mm256_add_epi32(_mm256_slli_epi32(hi, 8), lo)), scale, acc);
}

enum { GEMV_ROWS = 4 };
#include "kernels/gemv_blocks.inc.h"

/* ---- the tile of int8 products: 12 vectors of integers in registers, float sums in L1 ---- */

enum { INT8_ROWS = 6, INT8_VECS = 2 };
#include "kernels/x86/int8_vnni.inc.h"

#ifdef AVXVNNI_EVEX
void kernels_fill_avxvnni_evex(kernels *k)
#else
void kernels_fill_avxvnni(kernels *k)
#endif
{
    gemv_blocks_fill(k);
    gemm_int8_fill(&k->gemm_int8);
}
