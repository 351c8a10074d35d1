/* Quantizes a row of a matrix to 4 bits and measures the error. Included by the file of a level after its vec.h. */

static void screen_row(void *out, const float *x, size_t n, float *norm2, float *error2)
{
    enum { VECS = QK / VL };
    block_q4_0 *block = out;
    vf norm = vf_zero(), error = vf_zero();
    for (size_t i = 0; i < n; i += QK, block++) {
        vf v[VECS], top = vf_zero();
#pragma GCC unroll 8
        for (int u = 0; u < VECS; u++) {
            v[u] = vf_load(x + i + (size_t)u * VL);
            top = vf_max(vf_abs(v[u]), top);
        }
        uint16_t h;
        float step = vf_hmax(top) / 7.5f, q[QK];
        f16_row_from_f32(&h, &step, 1);
        step = f32_from_f16(h);
        vf d = vf_set1(step), inverse = vf_set1(step > 0 ? 1 / step : 0);
#pragma GCC unroll 8
        for (int u = 0; u < VECS; u++) {
            vf r = vf_round(v[u] * inverse);
            r = vf_min(vf_max(r, vf_set1(-8)), vf_set1(7)); /* NaN becomes -8 */
            vf e = v[u] - r * d;
            norm = vf_fma(v[u], v[u], norm);
            error = vf_fma(e, e, error);
            vf_store(q + u * VL, r);
        }
        block->d = h;
        for (int u = 0; u < QK / 2; u++)
            block->qs[u] = (uint8_t)((int)(q[u] + 8) | (int)(q[u + QK / 2] + 8) << 4);
    }
    *norm2 = vf_sum(norm);
    *error2 = vf_sum(error);
}
