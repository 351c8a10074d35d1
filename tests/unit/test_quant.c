/* Block formats: bytes against golden vectors and against a slow reference implementation
 * (tools/make_quant_cases.py), half conversions for every value, and the type table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "quant/mix.h"
#include "quant/quant.h"

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* ---- halves */

static float half_value(unsigned h)
{
    const int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
    const double v = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    return (float)(h & 0x8000 ? -v : v);
}

static void test_every_half_comes_back(void **state)
{
    for (unsigned h = 0; h < 0x10000; h++) {
        const float x = f32_from_f16((uint16_t)h);
        const unsigned a = h & 0x7fff;
        if (a > 0x7c00) {
            assert_true(isnan(x));
            assert_int_equal(f16_from_f32(x), h | 0x200); /* made a quiet NaN */
        } else {
            if (a == 0x7c00)
                assert_true(isinf(x) && !!signbit(x) == h >> 15);
            else
                assert_int_equal(bits_of(x), bits_of(half_value(h)));
            assert_int_equal(f16_from_f32(x), h);
        }
    }
}

/* Every boundary between neighbours, just below, on and just above, for both signs. */
static void test_halves_round_to_nearest_even(void **state)
{
    for (unsigned h = 0; h < 0x7c00; h++) {
        const float low = half_value(h), high = h == 0x7bff ? 65536.0f : half_value(h + 1);
        const float middle = low + (high - low) / 2;
        for (unsigned sign = 0; sign < 2; sign++) {
            const float s = sign ? -1.0f : 1.0f;
            const unsigned top = sign << 15;
            assert_int_equal(f16_from_f32(s * nextafterf(middle, 0)), h | top);
            assert_int_equal(f16_from_f32(s * middle), (h + (h & 1)) | top);
            assert_int_equal(f16_from_f32(s * nextafterf(middle, INFINITY)), (h + 1) | top);
        }
    }
}

static void test_half_limits(void **state)
{
    assert_int_equal(f16_from_f32(65519.996f), 0x7bff);
    assert_int_equal(f16_from_f32(65520.0f), 0x7c00);
    assert_int_equal(f16_from_f32(-3.4e38f), 0xfc00);
    assert_int_equal(f16_from_f32(INFINITY), 0x7c00);
    assert_int_equal(f16_from_f32(1e-45f), 0);
    assert_int_equal(f16_from_f32(-1e-45f), 0x8000);
    assert_int_equal(f16_from_f32(-0.0f), 0x8000);
    assert_int_equal(f16_from_f32(NAN) & 0x7e00, 0x7e00);
}

static void test_every_bfloat_comes_back(void **state)
{
    for (unsigned b = 0; b < 0x10000; b++) {
        const float x = f32_from_bf16((uint16_t)b);
        assert_int_equal(bits_of(x), b << 16);
        assert_int_equal(bf16_from_f32(x), (b & 0x7fff) > 0x7f80 ? b | 64 : b);
    }
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static void test_bfloats_round_to_nearest_even(void **state)
{
    for (uint32_t b = 0; b < 0x10000; b++) {
        if ((b & 0x7fff) >= 0x7f80)
            continue;
        assert_int_equal(bf16_from_f32(float_of(b << 16 | 0x7fff)), b);
        assert_int_equal(bf16_from_f32(float_of(b << 16 | 0x8000)), b + (b & 1));
        assert_int_equal(bf16_from_f32(float_of(b << 16 | 0x8001)), b + 1);
    }
    assert_int_equal(bf16_from_f32(float_of(0x7f800001)), 0x7fc0); /* NaN, not infinity */
    assert_int_equal(bf16_from_f32(float_of(0xffffffff)), 0xffff);
}

static void test_float_rows_at_odd_addresses(void **state)
{
    static const quant_type float_types[] = { QUANT_F32, QUANT_F16, QUANT_BF16 };
    float x[37], y[37];
    for (int i = 0; i < 37; i++)
        x[i] = (float)(i - 18) * 0.375f; /* exact in all three types */
    for (size_t t = 0; t < ARRAY_LEN(float_types); t++) {
        const quant_info *q = quant_get(float_types[t]);
        unsigned char stored[1 + sizeof x + 1];
        memset(stored, 0xaa, sizeof stored);
        q->quantize(stored + 1, x, 37);
        assert_int_equal(stored[1 + quant_row_bytes(q, 37)], 0xaa);
        q->dequantize(y, stored + 1, 37);
        assert_memory_equal(x, y, sizeof x);
    }
}

/* ---- golden vectors */

enum { MAX_BLOCK = 210 };

static const struct {
    quant_type type;
    const char *hex;
} golden[] = {
    { QUANT_Q4_0, "402ef258be1379df359bf147ac0268ce248a" },
    { QUANT_Q5_0, "402ab4b4a525f4bf7b27e3ae5a16d19d4904c08c38f4" },
    { QUANT_Q8_0, "4d1e9dfb59b61472d02e8be947a50361be1c7ad73593f14fac0a68c62481df3d9af8" },
    { QUANT_Q4_K, "de168022fffffffafff8fafaceafbfbcc2278dd3499e055ab1167cc2388de449af056bb1277cd3389ee45aa0166bc227"
                  "48ad0469c0157bd1379cf358ae046ac0268be2379df359be157ad1268ce248ada0156bc1278cd3489e045ab0167bc237"
                  "8de349ae056ab1267cd2389de459af15268ce248ad0459b0157bd1379ce348ae046ac0267bd2379df359be156ac1268c" },
    { QUANT_Q5_K, "86125322fdfdfdfdfefbfdfeffcdedfd26cc9366c9336499324c9926cd9366d9336c9936cc9b66cdb366d9326c9936cc"
                  "a35f1bd6924e0ac6813df9b4602ce7a35f1bd7924e0ac5713df8a4602ce7a35f915d09c5803cf8b36f2be7a26e1ad691"
                  "4d09c4703cf7b37f2be7a25e1ad5814d702be7a35f1ad6924d09c5813cf8b4602be7935e1ad6924d09c5703cf8a46f2b"
                  "5e1ad5915d09c5803cf8b36f2be6a25e1ad6914d09c4703cf7b36f2be7a25e1a" },
    { QUANT_Q6_K, "45df28bc069f137cf08ad367f14ade285ed67df57c038b02aa22b931b85fd75e26ac058d037bf179d258d048ce27af25"
                  "83fc741d960eb62fd840b961da53fb74d158bf37be25ad048b047bf37ad159d0c941ea63eb74fb741d951ea72fc841c9"
                  "bf35ad169b048df26be069d147cf38bd1a922c840d85ed77ff57d038b04aa22b6cb11b6cc61b71c61cb1cb6cb21b6cc6"
                  "e74d3ad04d37904ae7913ae44d3a904d18b1c66cb11b6c861b71c61cb1c76cb22453f9248ef9138ef4538d2452f9248e"
                  "8d81877c897a8677807f897a867a8487758a" },
};

static void golden_input(float x[QK_K])
{
    for (int i = 0; i < QK_K; i++)
        x[i] = (float)((i * 37 + 11) % 101 - 50) / 64;
}

static void unhex(uint8_t *out, const char *hex)
{
    for (; *hex; hex += 2) {
        unsigned v = 0;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        *out++ = (uint8_t)v;
    }
}

static void test_golden_bytes(void **state)
{
    float x[QK_K];
    golden_input(x);
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        const quant_info *q = quant_get(golden[i].type);
        uint8_t expected[MAX_BLOCK], found[MAX_BLOCK + 1] = { 0 };
        assert_int_equal(strlen(golden[i].hex), 2 * q->bytes);
        unhex(expected, golden[i].hex);
        found[q->bytes] = 0xaa;
        q->quantize(found, x, q->block);
        assert_memory_equal(found, expected, q->bytes);
        assert_int_equal(found[q->bytes], 0xaa);
    }
}

static void test_golden_values(void **state)
{
    static const struct {
        quant_type type;
        int index[5];
        float value[5];
    } cases[] = {
        { QUANT_Q4_0, { 0, 1, 16, 31, 31 }, { -0.5859375f, 0, 0.68359375f, 0, 0 } },
        { QUANT_Q5_0,
          { 0, 1, 16, 31, 31 },
          { -0.5859375f, -0.048828125f, 0.732421875f, -0.048828125f, -0.048828125f } },
        { QUANT_Q8_0,
          { 0, 1, 16, 31, 31 },
          { -0.609157562f, -0.0307655334f, 0.750679016f, -0.0492248535f, -0.0492248535f } },
        { QUANT_Q4_K,
          { 0, 1, 32, 128, 255 },
          { -0.588558197f, -0.0604419708f, 0.556541443f, -0.76171875f, 0.0557250977f } },
        { QUANT_Q5_K,
          { 0, 1, 32, 128, 255 },
          { -0.62009716f, -0.0371923447f, 0.534193039f, -0.778175354f, 0.0476064682f } },
        { QUANT_Q6_K,
          { 0, 1, 32, 128, 255 },
          { -0.611849427f, -0.0226610899f, 0.524554968f, -0.781906128f, 0.0476868153f } },
    };
    float x[QK_K], y[QK_K];
    golden_input(x);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const quant_info *q = quant_get(cases[i].type);
        uint8_t stored[MAX_BLOCK];
        q->quantize(stored, x, q->block);
        q->dequantize(y, stored, q->block);
        for (int k = 0; k < 5; k++)
            assert_true(y[cases[i].index[k]] == cases[i].value[k]);
    }
}

static void test_zeros(void **state)
{
    static const struct {
        quant_type type;
        const char *head; /* the first bytes; the last one repeats to the end */
    } cases[] = {
        { QUANT_Q4_0, "008088" },   { QUANT_Q5_0, "0080ffffffff00" },
        { QUANT_Q8_0, "00" },       { QUANT_Q4_K, "00" },
        { QUANT_Q4_1, "00" },       { QUANT_Q5_1, "00" },
        { QUANT_IQ4_NL, "000088" }, { QUANT_Q5_K, "00" },
        { QUANT_Q6_K, "00" },
    };
    const float zeros[QK_K] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const quant_info *q = quant_get(cases[i].type);
        const size_t n_head = strlen(cases[i].head) / 2;
        uint8_t head[8], found[MAX_BLOCK];
        unhex(head, cases[i].head);
        memset(found, 0xaa, sizeof found);
        q->quantize(found, zeros, q->block);
        for (size_t k = 0; k < q->bytes; k++)
            assert_int_equal(found[k], head[k < n_head ? k : n_head - 1]);
        float y[QK_K];
        q->dequantize(y, found, q->block);
        for (unsigned k = 0; k < q->block; k++)
            assert_true(y[k] == 0);
    }
}

/* ---- the cases of tools/make_quant_cases.py */

static const quant_type case_types[] = { QUANT_Q8_0,   QUANT_Q4_0, QUANT_Q5_0, QUANT_Q4_1, QUANT_Q5_1,
                                         QUANT_IQ4_NL, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K };
enum { MAX_CASE_BYTES = 512 }; /* Q8_0 needs 272 for 256 weights */

typedef void (*case_fn)(int index, const quant_info *q, const float *x, const uint8_t *expected);

static void for_each_case(case_fn fn)
{
    buf file;
    buf_init(&file, 1 << 20);
    assert_int_equal(file_read_all(&file, TEST_DATA "/quant_cases.bin", NULL), QASR_OK);
    uint32_t n_cases;
    assert_true(file.len >= 8);
    assert_memory_equal(file.data, "QCAS", 4);
    memcpy(&n_cases, file.data + 4, 4);
    assert_true(n_cases >= 120);

    const char *p = file.data + 8;
    for (uint32_t i = 0; i < n_cases; i++) {
        float x[QK_K];
        assert_true((size_t)(file.data + file.len - p) >= sizeof x);
        memcpy(x, p, sizeof x);
        p += sizeof x;
        for (size_t t = 0; t < ARRAY_LEN(case_types); t++) {
            const quant_info *q = quant_get(case_types[t]);
            const size_t n_bytes = quant_row_bytes(q, QK_K);
            assert_true((size_t)(file.data + file.len - p) >= n_bytes);
            fn((int)i, q, x, (const uint8_t *)p);
            p += n_bytes;
        }
    }
    assert_true(p == file.data + file.len);
    buf_free(&file);
}

static void check_bytes(int index, const quant_info *q, const float *x, const uint8_t *expected)
{
    uint8_t found[MAX_CASE_BYTES];
    q->quantize(found, x, QK_K);
    for (size_t i = 0; i < quant_row_bytes(q, QK_K); i++)
        if (found[i] != expected[i])
            fail_msg("%s, case %d: byte %zu is %02x, expected %02x", q->name, index, i, found[i], expected[i]);
}

static void test_bytes_of_cases(void **state) { for_each_case(check_bytes); }

/* One weight, straight from the definition of its format. */
static float value_at(quant_type type, const uint8_t *row, int i)
{
    const quant_info *q = quant_get(type);
    const uint8_t *b = row + i / (int)q->block * (int)q->bytes;
    const int j = i % (int)q->block;
    const float d = half_value((unsigned)(b[0] | b[1] << 8));
    const int nibble32 = b[q->bytes - 16 + j % 16] >> (j < 16 ? 0 : 4) & 15;
    switch (type) {
    case QUANT_Q8_0: return d * (float)(int8_t)b[2 + j];
    case QUANT_Q4_0: return d * (float)(nibble32 - 8);
    case QUANT_Q5_0: return d * (float)((nibble32 | (b[2 + j / 8] >> j % 8 & 1) << 4) - 16);
    case QUANT_Q4_1:
    case QUANT_Q5_1: {
        const int fifth = type == QUANT_Q5_1 ? b[4 + j / 8] >> j % 8 & 1 : 0;
        const volatile float scaled = d * (float)(nibble32 | fifth << 4); /* no fused multiply-add */
        return scaled + half_value((unsigned)(b[2] | b[3] << 8));
    }
    case QUANT_IQ4_NL: {
        static const int book[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
        return d * (float)book[nibble32];
    }
    case QUANT_Q4_K:
    case QUANT_Q5_K: {
        const float dmin = half_value((unsigned)(b[2] | b[3] << 8));
        const int g = j / 32, five = type == QUANT_Q5_K;
        const uint8_t *s = b + 4, *qs = b + (five ? 48 : 16);
        const int sc = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
        const int m = g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) | (s[g] >> 6) << 4;
        const int low = qs[j / 64 * 32 + j % 32] >> (g % 2 ? 4 : 0) & 15;
        const int high = five ? b[16 + j % 32] >> g & 1 : 0;
        const float scale = d * (float)sc, min = dmin * (float)m;
        const volatile float scaled = scale * (float)(low + 16 * high); /* no fused multiply-add */
        return scaled - min;
    }
    default: { /* Q6_K */
        const int h = j / 128, k = j % 128 / 32, l = j % 32;
        const int low = b[64 * h + (k % 2 ? 32 : 0) + l] >> (k < 2 ? 0 : 4) & 15;
        const int high = b[128 + 32 * h + l] >> 2 * k & 3;
        const float d6 = half_value((unsigned)(b[208] | b[209] << 8));
        return d6 * (float)(int8_t)b[192 + 8 * h + 2 * k + l / 16] * (float)(low + 16 * high - 32);
    }
    }
}

static void check_values(int index, const quant_info *q, const float *x, const uint8_t *expected)
{
    float y[QK_K];
    q->dequantize(y, expected, QK_K);
    const quant_type type = (quant_type)quant_from_name(q->name);
    for (int i = 0; i < QK_K; i++) {
        const float v = value_at(type, expected, i);
        if (v != y[i])
            fail_msg("%s, case %d: weight %d is %.9g, expected %.9g", q->name, index, i, y[i], v);
    }
}

static void test_values_of_cases(void **state) { for_each_case(check_values); }

/* Largest error relative to the largest magnitude of its block: for any weights, as docs/format.md promises it, and RMS
 * error relative to the RMS of the weights, on a Gaussian row. */
static const struct {
    quant_type type;
    float max_error, rms_error;
} bounds[] = {
    { QUANT_F16, 0.0005f, 0.0003f }, { QUANT_BF16, 0.004f, 0.0023f }, { QUANT_Q8_0, 0.0045f, 0.008f },
    { QUANT_Q4_0, 0.126f, 0.1f },    { QUANT_Q5_0, 0.064f, 0.05f },   { QUANT_Q4_K, 0.11f, 0.09f },
    { QUANT_Q5_K, 0.055f, 0.045f },  { QUANT_Q6_K, 0.05f, 0.025f },   { QUANT_Q4_1, 0.068f, 0.085f },
    { QUANT_Q5_1, 0.034f, 0.042f },  { QUANT_IQ4_NL, 0.15f, 0.085f },
};

enum { BOUND_VALUES = 64 * QK_K };

static float noise(uint32_t *seed)
{
    float sum = 0;
    for (int k = 0; k < 6; k++) {
        *seed = *seed * 1664525u + 1013904223u;
        sum += (float)(*seed >> 8) / 16777216.0f - 0.5f;
    }
    return sum;
}

/* Quantizes x [BOUND_VALUES], checks the error of each block, and returns the RMS error. */
static double check_errors(const quant_info *q, const float *x, float max_error)
{
    static float y[BOUND_VALUES];
    static uint8_t stored[BOUND_VALUES * 4];
    const unsigned block = q->block == 1 ? QK : q->block;
    double sum_error = 0, sum_x = 0;
    q->quantize(stored, x, BOUND_VALUES);
    q->dequantize(y, stored, BOUND_VALUES);
    for (unsigned b = 0; b < BOUND_VALUES; b += block) {
        float amax = 0, worst = 0;
        for (unsigned i = b; i < b + block; i++) {
            if (!isfinite(y[i]))
                fail_msg("%s: %g became %g", q->name, x[i], y[i]);
            amax = fmaxf(amax, fabsf(x[i]));
            worst = fmaxf(worst, fabsf(x[i] - y[i]));
            sum_error += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
            sum_x += (double)x[i] * x[i];
        }
        if (!(worst <= max_error * amax))
            fail_msg("%s: error %g of %g", q->name, worst, amax);
    }
    return sqrt(sum_error / sum_x);
}

static void test_error_bounds(void **state)
{
    static float x[BOUND_VALUES];
    uint32_t seed = 7;
    for (int i = 0; i < BOUND_VALUES; i++)
        x[i] = noise(&seed);
    for (size_t t = 0; t < ARRAY_LEN(bounds); t++) {
        const quant_info *q = quant_get(bounds[t].type);
        const double rms = check_errors(q, x, bounds[t].max_error);
        if (!(rms <= bounds[t].rms_error))
            fail_msg("%s: rms error %g", q->name, rms);
    }
}

/* Up to the largest magnitude of a type no scale overflows, whatever else is in the block. */
static void test_largest_values(void **state)
{
    static float x[BOUND_VALUES];
    uint32_t seed = 11;
    for (size_t t = 0; t < ARRAY_LEN(bounds); t++) {
        const quant_info *q = quant_get(bounds[t].type);
        for (int kind = 0; kind < 6; kind++) {
            for (int i = 0; i < BOUND_VALUES; i++) {
                const float n = noise(&seed), sign = n < 0 ? -1 : 1;
                const bool rare = i % 97 == 5;
                x[i] = kind == 0   ? rare ? q->largest * sign : 0.02f * n
                       : kind == 1 ? sign * q->largest
                       : kind == 2 ? -q->largest
                       : kind == 3 ? q->largest
                       : kind == 4 ? q->largest * (fabsf(n) / 3)
                                   : q->largest * (n / 3);
            }
            check_errors(q, x, bounds[t].max_error);
        }
    }
}

/* A row is a sequence of blocks at any address. */
static void test_rows(void **state)
{
    enum { N = 3 * QK_K };
    float x[N], whole[N], parts[N];
    for (int i = 0; i < N; i++)
        x[i] = sinf((float)(i * i));
    for (size_t t = 0; t < ARRAY_LEN(case_types); t++) {
        const quant_info *q = quant_get(case_types[t]);
        const size_t n_bytes = quant_row_bytes(q, N), n_blocks = N / q->block;
        uint8_t row[3 * MAX_CASE_BYTES], shifted[3 * MAX_CASE_BYTES + 2];
        q->quantize(row, x, N);
        memset(shifted, 0xaa, sizeof shifted);
        q->quantize(shifted + 1, x, N);
        assert_memory_equal(row, shifted + 1, n_bytes);
        assert_int_equal(shifted[0], 0xaa);
        assert_int_equal(shifted[1 + n_bytes], 0xaa);
        q->dequantize(whole, shifted + 1, N);
        for (size_t b = 0; b < n_blocks; b++) {
            uint8_t one[MAX_BLOCK];
            q->quantize(one, x + b * q->block, q->block);
            assert_memory_equal(one, row + b * q->bytes, q->bytes);
            q->dequantize(parts + b * q->block, one, q->block);
        }
        assert_memory_equal(whole, parts, sizeof whole);
        q->quantize(shifted, x, 0); /* n = 0 writes nothing */
        assert_int_equal(shifted[0], 0xaa);
    }
}

/* Q4_1 and Q5_1: weight = d q + m, here with d = 0.5 and m = -3. */
static void test_values_with_a_minimum(void **state)
{
    block_q4_1 b4 = { .d = 0x3800, .m = 0xc200 };
    block_q5_1 b5 = { .d = 0x3800, .m = 0xc200, .qh = { 0x01, 0x80, 0x00, 0x40 } };
    for (int j = 0; j < QK / 2; j++)
        b4.qs[j] = b5.qs[j] = (uint8_t)(j | (15 - j) << 4);
    float y4[QK], y5[QK];
    uint8_t shifted[1 + sizeof b5];
    memcpy(shifted + 1, &b4, sizeof b4);
    quant_get(QUANT_Q4_1)->dequantize(y4, shifted + 1, QK);
    memcpy(shifted + 1, &b5, sizeof b5);
    quant_get(QUANT_Q5_1)->dequantize(y5, shifted + 1, QK);
    for (int i = 0; i < QK; i++) {
        const int q = i < 16 ? i : 31 - i;
        const int fifth = i == 0 || i == 15 || i == 30; /* the bits set in qh */
        assert_true(y4[i] == 0.5f * (float)q - 3);
        assert_true(y5[i] == 0.5f * (float)(q + 16 * fifth) - 3);
    }
}

/* ---- the table */

static void test_table(void **state)
{
    static const struct {
        quant_type type;
        const char *name;
        uint32_t id, file_type;
        unsigned block, bytes;
    } expected[] = {
        { QUANT_F32, "f32", 0, 0, 1, 4 },         { QUANT_F16, "f16", 1, 1, 1, 2 },
        { QUANT_BF16, "bf16", 30, 32, 1, 2 },     { QUANT_Q8_0, "q8_0", 8, 7, 32, 34 },
        { QUANT_Q4_0, "q4_0", 2, 2, 32, 18 },     { QUANT_Q4_1, "q4_1", 3, 3, 32, 20 },
        { QUANT_Q5_0, "q5_0", 6, 8, 32, 22 },     { QUANT_Q5_1, "q5_1", 7, 9, 32, 24 },
        { QUANT_Q6_K, "q6_k", 14, 18, 256, 210 }, { QUANT_Q4_K, "q4_k", 12, 15, 256, 144 },
        { QUANT_Q5_K, "q5_k", 13, 17, 256, 176 }, { QUANT_IQ4_NL, "iq4_nl", 20, 25, 32, 18 },
    };
    assert_int_equal(ARRAY_LEN(expected), QUANT_TYPE_COUNT);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const quant_info *q = quant_get(expected[i].type);
        assert_string_equal(q->name, expected[i].name);
        assert_int_equal(q->ggml_id, expected[i].id);
        assert_int_equal(q->file_type, expected[i].file_type);
        assert_int_equal(q->block, expected[i].block);
        assert_int_equal(q->bytes, expected[i].bytes);
        assert_int_equal(quant_from_name(q->name), expected[i].type);
        assert_int_equal(quant_from_ggml_id(q->ggml_id), expected[i].type);
        assert_string_equal(quant_ggml_name(q->ggml_id), q->name);
        assert_int_equal(quant_row_bytes(q, 1024), 1024 / expected[i].block * expected[i].bytes);
        assert_true(q->quantize && q->dequantize && q->quantize_weighted && q->put);
        assert_true((q->refit != NULL) == (q->block > 1));
    }
}

static void test_names(void **state)
{
    assert_int_equal(quant_from_name("Q8_0"), QUANT_Q8_0);
    assert_int_equal(quant_from_name("BF16"), QUANT_BF16);
    assert_int_equal(quant_from_name("q6k"), QUANT_Q6_K);
    assert_int_equal(quant_from_name("Q6K"), QUANT_Q6_K);
    assert_int_equal(quant_from_name("q4k"), QUANT_Q4_K);
    assert_int_equal(quant_from_name("Q5k"), QUANT_Q5_K);
    static const char *const wrong[] = {
        "", "q", "q8", "q8_", "q8_00", "q8_0 ", " q8_0", "q2_k", "iq2_xxs", "float32"
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(quant_from_name(wrong[i]), -1);
}

/* The list of names: from 8-bit types to 4-bit ones, then types without codes; each is found by its name. */
static void test_mixes(void **state)
{
    (void)state;
    char last = '9';
    assert_int_equal(quant_mix_count(), QUANT_TYPE_COUNT - 1 + 2); /* all types but f32, and two mixes */
    for (size_t i = 0; i < quant_mix_count(); i++) {
        const quant_mix *mix = quant_mix_at(i);
        const quant_info *q = quant_get(mix->matrix);
        char digit = q->block == 1 ? '0' : mix->name[strcspn(mix->name, "0123456789")];
        assert_ptr_equal(quant_mix_find(mix->name), mix);
        assert_true(mix->is_mix || (strcmp(mix->name, q->name) == 0 && mix->embedding == mix->matrix &&
                                    mix->attention_out == mix->matrix));
        assert_true(digit <= last);
        last = digit;
    }
    assert_string_equal(quant_mix_find("Q6K")->name, "q6_k");
    assert_string_equal(quant_mix_find("Q4_K_M")->name, "q4_k_m");
    assert_null(quant_mix_find("q4_k_"));
    assert_null(quant_mix_find("f32"));
}

static void test_type_ids_we_cannot_read(void **state)
{
    static const struct {
        uint32_t id;
        const char *name;
    } known[] = {
        { 9, "q8_1" },     { 10, "q2_k" },  { 11, "q3_k" },  { 15, "q8_k" },  { 16, "iq2_xxs" }, { 17, "iq2_xs" },
        { 18, "iq3_xxs" }, { 19, "iq1_s" }, { 21, "iq3_s" }, { 22, "iq2_s" }, { 23, "iq4_xs" },  { 24, "i8" },
        { 25, "i16" },     { 26, "i32" },   { 27, "i64" },   { 28, "f64" },   { 29, "iq1_m" },   { 34, "tq1_0" },
        { 35, "tq2_0" },   { 39, "mxfp4" }, { 40, "nvfp4" }, { 41, "q1_0" },
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        assert_int_equal(quant_from_ggml_id(known[i].id), -1);
        assert_non_null(quant_ggml_name(known[i].id));
        assert_string_equal(quant_ggml_name(known[i].id), known[i].name);
    }
    static const uint32_t unknown[] = { 4, 5, 31, 32, 33, 36, 1000, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        assert_int_equal(quant_from_ggml_id(unknown[i]), -1);
        assert_null(quant_ggml_name(unknown[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half_comes_back),
        cmocka_unit_test(test_halves_round_to_nearest_even),
        cmocka_unit_test(test_half_limits),
        cmocka_unit_test(test_every_bfloat_comes_back),
        cmocka_unit_test(test_bfloats_round_to_nearest_even),
        cmocka_unit_test(test_float_rows_at_odd_addresses),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_golden_values),
        cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_bytes_of_cases),
        cmocka_unit_test(test_values_of_cases),
        cmocka_unit_test(test_error_bounds),
        cmocka_unit_test(test_largest_values),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_values_with_a_minimum),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_mixes),
        cmocka_unit_test(test_type_ids_we_cannot_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
