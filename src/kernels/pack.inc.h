/* Packs rows of 32-bit cells into panels, where the cells of one step along k are adjacent. Included by the file of a
 * level after its vec.h. */

/* VL rows (rows from n_rows on are 0) become VL columns of a panel of the given width. */
static void pack_vector_rows(float *panel, size_t width, const float *rows, size_t ld, size_t n_rows, size_t k)
{
    for (size_t i = 0; i < k; i += VL) {
        size_t part = k - i < VL ? k - i : VL;
        vf r[VL];
        if (part == VL && n_rows >= VL) {
#pragma GCC unroll 16
            for (size_t j = 0; j < VL; j++)
                r[j] = vf_load(rows + j * ld + i);
        } else {
            for (size_t j = 0; j < VL; j++)
                r[j] = j < n_rows ? vf_load_part(rows + j * ld + i, part) : vf_zero();
        }
        vf_transpose(r);
        if (part == VL) {
#pragma GCC unroll 16
            for (size_t j = 0; j < VL; j++)
                vf_store(panel + (i + j) * width, r[j]);
        } else {
            for (size_t j = 0; j < part; j++)
                vf_store(panel + (i + j) * width, r[j]);
        }
    }
}

static void pack_six_rows(float *panel, const float *rows, size_t ld, size_t k)
{
    size_t i = 0;
    for (; i + 4 <= k; i += 4)
        pack_six_by_four(panel + i * 6, rows + i, ld);
    for (; i < k; i++)
        for (size_t r = 0; r < 6; r++)
            panel[i * 6 + r] = rows[r * ld + i];
}

static void gemm_pack(float *panel, unsigned width, const float *rows, size_t ld, unsigned n_rows, size_t k)
{
    if (width % VL == 0) {
        for (unsigned r = 0; r < width; r += VL)
            pack_vector_rows(panel + r, width, rows + (r < n_rows ? r * ld : 0), ld, n_rows > r ? n_rows - r : 0, k);
    } else if (width == 6 && n_rows == 6) {
        pack_six_rows(panel, rows, ld, k);
    } else {
        for (size_t i = 0; i < k; i++)
            for (unsigned r = 0; r < width; r++)
                panel[i * width + r] = r < n_rows ? rows[r * ld + i] : 0.0f;
    }
}
