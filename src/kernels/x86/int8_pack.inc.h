/* Packs rows of signed bytes w into the panel of an int8 tile, as unsigned bytes w + offset in cells of four. Included
 * by the file of a level after gemm_int8.inc.h. */
#include "kernels/pack.inc.h"

static void pack_bytes(float *q, const int8_t *rows, size_t ld, unsigned n_rows, size_t blocks, uint8_t offset)
{
    gemm_pack(q, INT8_COLS, (const float *)(const void *)rows, ld / 4, n_rows, blocks * (QK / 4));
    uint8_t *bytes = (uint8_t *)q;
    for (size_t i = 0; i < blocks * QK * INT8_COLS; i++)
        bytes[i] = (uint8_t)(bytes[i] + offset);
}
