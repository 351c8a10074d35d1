/* AMX: the register tile on pairs of bfloat16 with 16 x 16 tile registers (tdpbf16ps: 16 pairs of products for each of
 * 256 sums at once). Four tile registers hold a block of 32 x 32 sums, two hold 32 rows of activations and two hold 32
 * rows of weights, 16 steps of each. */
#if !(defined(__AMX_TILE__) && defined(__AMX_BF16__)) &&                                                               \
    !(defined(__AMXTILE__) && defined(__AMXBF16__)) /* gcc, older clang */
#error "build with the AMX flags of src/kernels/meson.build"
#endif

#include "kernels/levels.h"

#include <immintrin.h>
#include <string.h>

enum { BLOCK = 32, STEPS = 16 };

/* gcc does not know that tile loads and stores access memory. Writes to a local array must come before a tile load, and
 * reads after a tile store. */
static inline void memory_barrier(void) { __asm__ volatile("" ::: "memory"); }

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;
_Static_assert(sizeof(tile_config) == 64, "memory operand of ldtilecfg");

/* Configures all eight tiles at full size, once per thread: nothing else uses them. */
static void configure_tiles(void)
{
    static _Thread_local int done;
    if (done)
        return;
    tile_config c = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = 64;
        c.rows[i] = 16;
    }
    memory_barrier();
    _tile_loadconfig(&c);
    done = 1;
}

/* Panel: [mr][steps]; a tile register loads 16 rows directly. */
static void pack_a(float *panel, const float *rows, size_t ld, unsigned n_rows, size_t steps)
{
    for (size_t r = 0; r < n_rows; r++)
        memcpy(panel + r * steps, rows + r * ld, steps * sizeof *panel);
    memset(panel + n_rows * steps, 0, (BLOCK - n_rows) * steps * sizeof *panel);
}

/* 16 steps; a has row stride lda, b is [16][32]. */
static inline void multiply(const float *a, size_t lda, const float *b)
{
    const int a_stride = (int)(lda * sizeof *a), b_stride = BLOCK * sizeof *b;
    _tile_loadd(4, a, a_stride);
    _tile_loadd(5, a + 16 * lda, a_stride);
    _tile_loadd(6, b, b_stride);
    _tile_loadd(7, b + 16, b_stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

/* The last steps, fewer than 16, padded with zeros. */
static void multiply_rest(const float *a, size_t lda, const float *b, size_t steps)
{
    float a_full[BLOCK * STEPS] = { 0 }, b_full[STEPS * BLOCK] = { 0 };
    for (size_t r = 0; r < BLOCK; r++)
        memcpy(a_full + r * STEPS, a + r * lda, steps * sizeof *a);
    memcpy(b_full, b, steps * BLOCK * sizeof *b);
    memory_barrier();
    multiply(a_full, STEPS, b_full);
}

/* Full blocks are summed in place, others in a copy. */
static void tile(float *c, size_t ldc, const float *a, const float *b, size_t steps, unsigned m, unsigned n,
                 int accumulate)
{
    float copy[BLOCK * BLOCK];
    int whole = m == BLOCK && n == BLOCK;
    float *out = whole ? c : copy;
    size_t ld = whole ? ldc : BLOCK, i = 0;
    const int stride = (int)(ld * sizeof *out);
    configure_tiles();
    memory_barrier();
    if (accumulate) {
        if (!whole) {
            memset(copy, 0, sizeof copy);
            for (size_t r = 0; r < m; r++)
                memcpy(copy + r * BLOCK, c + r * ldc, n * sizeof *c);
        }
        memory_barrier();
        _tile_loadd(0, out, stride);
        _tile_loadd(1, out + 16, stride);
        _tile_loadd(2, out + 16 * ld, stride);
        _tile_loadd(3, out + 16 * ld + 16, stride);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (; i + STEPS <= steps; i += STEPS)
        multiply(a + i, steps, b + i * BLOCK);
    if (i < steps)
        multiply_rest(a + i, steps, b + i * BLOCK, steps - i);
    _tile_stored(0, out, stride);
    _tile_stored(1, out + 16, stride);
    _tile_stored(2, out + 16 * ld, stride);
    _tile_stored(3, out + 16 * ld + 16, stride);
    memory_barrier();
    if (!whole)
        for (size_t r = 0; r < m; r++)
            memcpy(c + r * ldc, copy + r * BLOCK, n * sizeof *c);
}

void kernels_fill_amx(kernels *k)
{
    /* bfloat16 tiles round activations less, and byte products with AVX-512 are not known to be faster */
    k->gemm_int8 = (gemm_int8_kernels){ 0 };
    k->gemm_bf16 =
        (gemm_kernels){ .mr = BLOCK, .nr = BLOCK, .tile = tile, .pack_a = pack_a, .pack_b = kernels_pack_b_32 };
}
