/* AVX-512 (F, BW, DQ, VL, CD): the templates with vectors of 16 floats. Products with block-quantized weights still use
 * AVX2: they are bound by memory, and the byte products that would be faster need VNNI. */
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__)
#error "build with the AVX-512 flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"
#include "kernels/x86/vec.h"

#include "kernels/exp.inc.h"
#include "kernels/rows.inc.h"
#include "kernels/screen.inc.h"

enum { TILE_ROWS = 6, TILE_VECS = 4 };
#include "kernels/gemm.inc.h"

#include "kernels/attention.inc.h"

enum { GEMV_FLOAT_ROWS = 4 };
#include "kernels/gemv_float.inc.h"

void kernels_fill_avx512(kernels *k)
{
    rows_fill(k);
    gemm_fill(&k->gemm);
    gemv_float_fill(k);
    k->attention = attention;
    k->screen_row = screen_row;
    k->attention_step = attention_step;
}
