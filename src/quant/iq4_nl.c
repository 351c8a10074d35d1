/* IQ4_NL: blocks of 32 weights with 4 bits each, laid out as in Q4_0; weight = d * quant_iq4_nl[q], a codebook whose
 * entries are denser near zero.
 *
 * In: rows of float32. Out: 18 bytes per 32 weights. The scale has the least error, weighted with x^2, among 16
 * candidates: one maps the value of largest magnitude to 127, the others map it to -134 .. -120. The weights are then
 * rounded with this scale before it is rounded to float16. */
#include "quant/search.h"

enum { TRIALS = 7, LOWEST = -127, HIGHEST = 113, N_NEAREST = 2 * (HIGHEST - LOWEST) + 1 };

/* The code nearest to t is at [2 (t - LOWEST)], as midpoints between codebook entries are multiples of 1/2. Ties go to
 * the higher code. */
static const uint8_t nearest_codes[N_NEAREST] = {
    [0 ... 22] = 0,     [23 ... 66] = 1,    [67 ... 105] = 2,   [106 ... 139] = 3,
    [140 ... 169] = 4,  [170 ... 196] = 5,  [197 ... 221] = 6,  [222 ... 244] = 7,
    [245 ... 267] = 8,  [268 ... 291] = 9,  [292 ... 316] = 10, [317 ... 344] = 11,
    [345 ... 375] = 12, [376 ... 411] = 13, [412 ... 455] = 14, [456 ... 480] = 15,
};
/* The same with codebook entries instead of codes. */
static const int8_t nearest_points[N_NEAREST] = {
    [0 ... 22] = -127,   [23 ... 66] = -104,  [67 ... 105] = -83,  [106 ... 139] = -65,
    [140 ... 169] = -49, [170 ... 196] = -35, [197 ... 221] = -22, [222 ... 244] = -10,
    [245 ... 267] = 1,   [268 ... 291] = 13,  [292 ... 316] = 25,  [317 ... 344] = 38,
    [345 ... 375] = 53,  [376 ... 411] = 69,  [412 ... 455] = 89,  [456 ... 480] = 113,
};
static const grid code_book = { LOWEST, HIGHEST, nearest_points };

static inline int code_nearest_to(double t)
{
    const double clamped = t > LOWEST ? t < HIGHEST ? t : HIGHEST : LOWEST;
    return nearest_codes[(int)(2 * (clamped - LOWEST))];
}

/* The best scale for these codes is xp / pp; it explains xp^2 / pp of the weighted energy. */
static void fit_sums(float *xp, float *pp, const float x[QK], float inverse)
{
    float sum_xp = 0, sum_pp = 0;
    for (int i = 0; i < QK; i++) {
        const float p = quant_iq4_nl[code_nearest_to(inverse * x[i])], w = x[i] * x[i];
        sum_xp += w * p * x[i];
        sum_pp += w * p * p;
    }
    *xp = sum_xp;
    *pp = sum_pp;
}

static float fit_scale(const float x[QK])
{
    const float extreme = block_extreme(x);
    if (fabsf(extreme) < 1e-15f)
        return 0;
    float xp, pp;
    fit_sums(&xp, &pp, x, 1 / (-extreme / LOWEST));
    float scale = xp / pp, merit = scale * xp;
    for (int trial = -TRIALS; trial <= TRIALS; trial++) {
        fit_sums(&xp, &pp, x, (float)(trial + LOWEST) / extreme);
        if (pp > 0 && xp * xp > merit * pp) {
            scale = xp / pp;
            merit = scale * xp;
        }
    }
    return scale;
}

static void quantize_block(block_iq4_nl *b, const float x[QK])
{
    const float d = fit_scale(x), inverse = block_inverse(d);
    b->d = f16_from_f32(d);
    for (unsigned i = 0; i < QK; i++)
        set_nibble(b->qs, i, code_nearest_to(inverse * x[i]));
}

void iq4_nl_quantize(void *out, const float *x, size_t n)
{
    for (unsigned char *p = out; n >= QK; n -= QK, x += QK, p += sizeof(block_iq4_nl)) {
        block_iq4_nl b;
        quantize_block(&b, x);
        memcpy(p, &b, sizeof b);
    }
}

void iq4_nl_dequantize(float *out, const void *blocks, size_t n)
{
    for (const unsigned char *p = blocks; n >= QK; n -= QK, out += QK, p += sizeof(block_iq4_nl)) {
        const float d = half_at(p);
        for (unsigned i = 0; i < QK; i++)
            out[i] = (float)quant_iq4_nl[nibble_at(p + 2, i)] * d;
    }
}

static void search_block(void *block, const float *x, const float *importance)
{
    search_scale_block(block, QUANT_IQ4_NL, &code_book, x, importance);
}

void iq4_nl_quantize_weighted(void *out, const float *x, const float *importance, size_t n)
{
    quantize_rows_weighted(QUANT_IQ4_NL, search_block, out, x, importance, n);
}

float iq4_nl_put(void *block, unsigned i, float x)
{
    uint8_t *p = block;
    const float d = half_at(p);
    const int code = code_nearest_to(d != 0 ? (double)x / d : 0);
    set_nibble(p + 2, i, code);
    return (float)quant_iq4_nl[code] * d;
}

void iq4_nl_refit(void *block, const float *x, const float *importance)
{
    uint8_t *p = block;
    float points[QK];
    for (unsigned i = 0; i < QK; i++)
        points[i] = quant_iq4_nl[nibble_at(p + 2, i)];
    const uint16_t d = refit_half_scale(half_bits(p), points, x, importance, QK);
    memcpy(p, &d, sizeof d);
}
