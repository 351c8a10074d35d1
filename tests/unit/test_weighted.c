/* Importance-weighted quantization: put stores the nearest value, quantize_weighted is never worse than quantize,
 * refit never worse than before, and all of them accept any finite input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "quant/quant.h"

enum { MAX_BYTES = 210 };

static uint64_t seed = 1;

static uint32_t random_u32(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) ^ (uint32_t)(seed >> 21);
}

static double uniform(void) { return (random_u32() + 0.5) * 0x1p-32; }
static double gaussian(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

/* ---- inputs ---- */

typedef enum data_kind {
    GAUSSIAN,
    HEAVY_TAILS,
    ONE_SIDED,
    CONSTANT,
    ZERO,
    FAR_FROM_ZERO,
    SPARSE,
    GROUPS,
    DATA_KINDS
} data_kind;

static float random_value(data_kind kind, double scale, double constant, double group)
{
    switch (kind) {
    case GAUSSIAN: return (float)(scale * gaussian());
    case HEAVY_TAILS: return (float)(scale * gaussian() * exp(1.5 * gaussian()));
    case ONE_SIDED: return (float)(fabs(scale * gaussian()) * copysign(1, constant));
    case CONSTANT: return (float)(scale * constant);
    case FAR_FROM_ZERO: return (float)(scale * (constant + 0.05 * gaussian()));
    case SPARSE: return uniform() < 0.8 ? 0 : (float)(scale * gaussian());
    case GROUPS: return (float)(scale * group * gaussian());
    default: return 0;
    }
}

static void fill_data(float *x, data_kind kind)
{
    const double scale = pow(10, -3 + 3 * uniform()), constant = gaussian();
    double group = 1;
    for (int i = 0; i < QK_K; i++) {
        if (i % 16 == 0)
            group = pow(10, -3 * uniform());
        x[i] = random_value(kind, scale, constant, group);
    }
}

typedef enum importance_kind { SAME, MODERATE, WIDE, SOME_ZERO, NONE, IMPORTANCE_KINDS } importance_kind;

static void fill_importance(float *w, importance_kind kind)
{
    for (int i = 0; i < QK_K; i++)
        w[i] = kind == SAME       ? 1
               : kind == MODERATE ? (float)exp(gaussian())
               : kind == WIDE     ? (float)pow(10, -6 + 9 * uniform())
               : kind == NONE     ? 0
               : uniform() < 0.5  ? 0
                                  : (float)uniform();
}

static double error_of(const quant_info *q, const void *block, const float *x, const float *w)
{
    float y[QK_K];
    double error = 0;
    q->dequantize(y, block, q->block);
    for (unsigned i = 0; i < q->block; i++)
        error += (double)w[i] * ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    return error;
}

/* ---- put ---- */

/* Random bytes, but finite scales. */
static void random_block(uint8_t *block, const quant_info *q, int how)
{
    float x[QK_K];
    if (how % 2 || q->block == 1) {
        fill_data(x, (data_kind)(how / 2 % DATA_KINDS));
        q->quantize(block, x, q->block);
        return;
    }
    for (unsigned i = 0; i < q->bytes; i++)
        block[i] = (uint8_t)random_u32();
    const quant_type t = (quant_type)quant_from_name(q->name);
    const size_t at = t == QUANT_Q6_K ? offsetof(block_q6_k, d) : 0;
    for (size_t i = at; i < at + (quant_has_min(t) ? 4 : 2); i += 2) {
        const uint16_t h = f16_from_f32((float)(gaussian() * pow(10, -4 + 4 * uniform())));
        memcpy(block + i, &h, sizeof h);
    }
}

static float value_to_put(const float *y, unsigned n)
{
    switch (random_u32() % 8) {
    case 0: return y[random_u32() % n];
    case 1: return (y[random_u32() % n] + y[random_u32() % n]) / 2;
    case 2: return (float)(gaussian() * 1e30);
    case 3: return (float)(gaussian() * 1e-40);
    case 4: return 0;
    default: return (float)(y[random_u32() % n] * (1 + 0.3 * gaussian()));
    }
}

static void check_put(const quant_info *q, int how)
{
    uint8_t block[MAX_BYTES + 1], guard = 0xaa;
    float before[QK_K], after[QK_K];
    random_block(block, q, how);
    block[q->bytes] = guard;
    for (int k = 0; k < 300; k++) {
        const unsigned i = random_u32() % q->block;
        q->dequantize(before, block, q->block);
        const float x = value_to_put(before, q->block), stored = q->put(block, i, x);
        q->dequantize(after, block, q->block);
        if (!(memcmp(&after[i], &stored, sizeof stored) == 0))
            fail_msg("%s: put gives %.9g, dequantize %.9g", q->name, stored, after[i]);
        before[i] = stored;
        assert_memory_equal(before, after, q->block * sizeof *after);
        assert_int_equal(block[q->bytes], guard);
    }
}

static void put_agrees_with_dequantize(void **state)
{
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        for (int how = 0; how < 60; how++)
            check_put(q, how);
    }
}

/* An element's possible values are those of all blocks that differ only in the element's bits, which are the bits
 * that change this element and no other. */
static unsigned code_bits(size_t bits[8], const quant_info *q, const uint8_t *block, unsigned element)
{
    float y[QK_K], z[QK_K];
    unsigned n = 0;
    q->dequantize(y, block, q->block);
    for (size_t bit = 0; bit < 8 * q->bytes && n < 8; bit++) {
        uint8_t other[MAX_BYTES];
        memcpy(other, block, q->bytes);
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        q->dequantize(z, other, q->block);
        const bool changed = z[element] != y[element];
        z[element] = y[element];
        if (changed && memcmp(z, y, q->block * sizeof *y) == 0)
            bits[n++] = bit;
    }
    return n;
}

/* Returns the number of bits of the element; 0 if the scale is 0. */
static unsigned check_nearest(const quant_info *q, uint8_t *block)
{
    const unsigned element = random_u32() % q->block;
    size_t bits[8];
    float y[QK_K], value[256];
    const unsigned n_bits = code_bits(bits, q, block, element), n = 1u << n_bits;
    for (unsigned code = 0; code < n; code++) {
        for (unsigned b = 0; b < n_bits; b++) {
            block[bits[b] / 8] &= (uint8_t) ~(1u << bits[b] % 8);
            block[bits[b] / 8] |= (uint8_t)((code >> b & 1) << bits[b] % 8);
        }
        q->dequantize(y, block, q->block);
        value[code] = y[element];
    }
    for (int k = 0; k < 100; k++) {
        const float x = value_to_put(value, n), stored = q->put(block, element, x);
        for (unsigned code = 0; code < n; code++) {
            if (q->bytes == sizeof(block_q8_0) && code == 128) /* -128, which is not used */
                continue;
            if (fabs((double)value[code] - x) < fabs((double)stored - x))
                fail_msg("%s: %.9g stored as %.9g, but %.9g is nearer", q->name, x, stored, value[code]);
        }
    }
    return n_bits;
}

static void put_is_the_nearest_value(void **state)
{
    for (int t = QUANT_BF16 + 1; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        unsigned n_with_bits = 0;
        for (int how = 0; how < 60; how++) {
            uint8_t block[MAX_BYTES];
            random_block(block, q, how);
            n_with_bits += check_nearest(q, block) >= 4;
        }
        assert_true(n_with_bits > 40);
    }
}

static void put_of_floats_rounds(void **state)
{
    uint8_t block[4];
    assert_true(quant_get(QUANT_F32)->put(block, 0, 0.1f) == 0.1f);
    assert_true(quant_get(QUANT_F16)->put(block, 0, 0.1f) == f32_from_f16(f16_from_f32(0.1f)));
    assert_true(quant_get(QUANT_BF16)->put(block, 0, 0.1f) == f32_from_bf16(bf16_from_f32(0.1f)));
    assert_true(quant_get(QUANT_F16)->put(block, 0, 1e30f) == 65504);
    assert_true(quant_get(QUANT_F16)->put(block, 0, -65520) == -65504);
    assert_true(quant_get(QUANT_BF16)->put(block, 0, 3.4028235e38f) == 0x1.fep127f);
    assert_true(quant_get(QUANT_BF16)->put(block, 0, -3.4028235e38f) == -0x1.fep127f);
}

/* ---- quantize_weighted and refit ---- */

typedef struct tally {
    double plain, weighted; /* sums of errors relative to the block's energy */
    int n;
} tally;

static void check_block(tally *sum, const quant_info *q, data_kind data, importance_kind importance)
{
    static const float ones[QK_K] = { [0 ... QK_K - 1] = 1 };
    float x[QK_K], w[QK_K];
    uint8_t plain[MAX_BYTES], weighted[MAX_BYTES + 1], again[MAX_BYTES], zero[MAX_BYTES] = { 0 };
    fill_data(x, data);
    fill_importance(w, importance);
    weighted[q->bytes] = 0xaa;
    q->quantize(plain, x, q->block);
    q->quantize_weighted(weighted, x, w, q->block);
    q->quantize_weighted(again, x, w, q->block);
    assert_memory_equal(weighted, again, q->bytes);
    assert_int_equal(weighted[q->bytes], 0xaa);
    const float *judge = importance == NONE ? ones : w;
    const double error = error_of(q, weighted, x, judge), plain_error = error_of(q, plain, x, judge);
    if (!(error <= plain_error))
        fail_msg("%s, data %d, importance %d: error %g, plain %g", q->name, data, importance, error, plain_error);
    const double energy = error_of(q, zero, x, judge);
    if (energy > 0 && importance != SOME_ZERO) {
        sum->plain += plain_error / energy;
        sum->weighted += error / energy;
        sum->n++;
    }
    if (!q->refit)
        return;
    uint8_t *const blocks[] = { plain, weighted };
    const double before[] = { plain_error, error };
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        q->refit(blocks[i], x, judge);
        const double after = error_of(q, blocks[i], x, judge);
        if (!(after <= before[i] * (1 + 1e-5) + 1e-12 * energy)) /* sums of rounded values */
            fail_msg("%s, data %d, importance %d: error %g, before refit %g", q->name, data, importance, after,
                     before[i]);
    }
}

static void weighted_is_never_worse(void **state)
{
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        for (int data = 0; data < DATA_KINDS; data++)
            for (int importance = 0; importance < IMPORTANCE_KINDS; importance++) {
                tally sum = { 0 };
                for (int k = 0; k < 40; k++)
                    check_block(&sum, q, (data_kind)data, (importance_kind)importance);
                if (data == GAUSSIAN && importance < SOME_ZERO && q->block > 1) {
                    print_message("%s importance %d: relative error %.3e plain, %.3e weighted\n", q->name, importance,
                                  sum.plain / sum.n, sum.weighted / sum.n);
                    assert_true(sum.weighted < sum.plain);
                }
            }
    }
}

/* Refit corrects wrong scales. */
static void refit_finds_scales(void **state)
{
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        if (!q->refit)
            continue;
        float x[QK_K], w[QK_K], scaled[QK_K];
        uint8_t block[MAX_BYTES];
        fill_data(x, GAUSSIAN);
        fill_importance(w, MODERATE);
        q->quantize(block, x, q->block);
        const double good = error_of(q, block, x, w);
        for (unsigned i = 0; i < q->block; i++)
            scaled[i] = 1.25f * x[i];
        q->quantize(block, scaled, q->block); /* the same codes, or nearly */
        const double bad = error_of(q, block, x, w);
        q->refit(block, x, w);
        const double refitted = error_of(q, block, x, w);
        assert_true(bad > 2 * good);
        if (!(refitted < 1.05 * good))
            fail_msg("%s: error %g after refit, %g with the right scales", q->name, refitted, good);
    }
}

/* ---- extremes ---- */

static void fill_extreme(float *x)
{
    static const float extremes[] = { 0,     -0.0f,  1e-45f, -1e-45f, 1e-40f, 1e-38f, -3e-30f,       1e-15f,
                                      1e-8f, 6e-8f,  3e-6f,  -1e-3f,  1,      65504,  -65520,        5e5f,
                                      1e9f,  -1e20f, 1e37f,  3e38f,   -3e38f, 1e30f,  3.4028235e38f, -3.4028235e38f };
    const int n = (int)ARRAY_LEN(extremes), how = (int)(random_u32() % 3), one = (int)(random_u32() % n);
    for (int i = 0; i < QK_K; i++) {
        const float other = extremes[random_u32() % (unsigned)n];
        x[i] = how == 0 ? other : how == 1 ? extremes[one] : (float)(extremes[one] * (2 * uniform() - 1));
    }
}

static void extremes_stay_finite(void **state)
{
    static const float importances[] = { 0, 1e-45f, 1e-38f, 1e-20f, 1, 1e20f, 3.4028235e38f };
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        for (int k = 0; k < 1000; k++) {
            float x[QK_K], w[QK_K], y[QK_K];
            uint8_t block[MAX_BYTES];
            fill_extreme(x);
            for (int i = 0; i < QK_K; i++)
                w[i] = importances[random_u32() % ARRAY_LEN(importances)];
            q->quantize_weighted(block, x, w, q->block);
            q->dequantize(y, block, q->block);
            for (unsigned i = 0; i < q->block; i++)
                if (!isfinite(y[i]))
                    fail_msg("%s: %g became %g", q->name, x[i], y[i]);
            fill_extreme(x);
            if (q->refit)
                q->refit(block, x, w);
            for (unsigned i = 0; i < q->block; i++) {
                const float stored = q->put(block, i, x[i]);
                if (!isfinite(stored))
                    fail_msg("%s: %g put as %g", q->name, x[i], stored);
            }
        }
    }
}

/* Rows are sequences of blocks at any address. */
static void rows_are_blocks(void **state)
{
    enum { N = 2 * QK_K };
    float x[N], w[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)gaussian();
        w[i] = (float)uniform();
    }
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_info *q = quant_get((quant_type)t);
        uint8_t row[4 * N + 1], one[MAX_BYTES];
        memset(row, 0xaa, sizeof row);
        q->quantize_weighted(row, x, w, 0);
        assert_int_equal(row[0], 0xaa);
        q->quantize_weighted(row + 1, x, w, N);
        assert_int_equal(row[0], 0xaa);
        for (unsigned b = 0; b < N / q->block; b++) {
            q->quantize_weighted(one, x + b * q->block, w + b * q->block, q->block);
            assert_memory_equal(one, row + 1 + b * q->bytes, q->bytes);
        }
    }
}

/* The purpose of the search: with uniform importance, q4_0 must have a clearly smaller error than its plain
 * quantizer, which spends one end of its range on a single weight. Measured: a factor of 0.884. */
static void uniform_importance_helps_q4_0(void **state)
{
    enum { N = 64 * QK_K };
    static float x[N], w[N], y[N];
    static uint8_t stored[N];
    const quant_info *q = quant_get(QUANT_Q4_0);
    double error[2] = { 0 };
    for (int i = 0; i < N; i++) {
        x[i] = (float)gaussian();
        w[i] = 1;
    }
    for (int k = 0; k < 2; k++) {
        if (k == 0)
            q->quantize(stored, x, N);
        else
            q->quantize_weighted(stored, x, w, N);
        q->dequantize(y, stored, N);
        for (int i = 0; i < N; i++)
            error[k] += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    }
    print_message("q4_0: relative error %.3e plain, %.3e searched\n", error[0] / N, error[1] / N);
    assert_true(error[1] < 0.9 * error[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_agrees_with_dequantize),
        cmocka_unit_test(put_is_the_nearest_value),
        cmocka_unit_test(put_of_floats_rounds),
        cmocka_unit_test(weighted_is_never_worse),
        cmocka_unit_test(refit_finds_scales),
        cmocka_unit_test(extremes_stay_finite),
        cmocka_unit_test(rows_are_blocks),
        cmocka_unit_test(uniform_importance_helps_q4_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
