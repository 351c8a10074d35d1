/* Estimates of files, memory and time against plans of the quantizer, documented file sizes, and measurements in
 * docs/results.md. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "device/registry.h"
#include "model/model.h"
#include "model/published.h"
#include "qasr/qasr_tools.h"

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

static qasr_estimate estimate(const qasr_estimate_options *options)
{
    qasr_error err;
    qasr_estimate e = QASR_ESTIMATE_INIT;
    must(qasr_estimate_transcription(options, &e, &err), &err);
    return e;
}

static qasr_estimate estimate_published(const char *name, const char *qtype, int batch, const qasr_limits *limits)
{
    qasr_estimate_options options = QASR_ESTIMATE_OPTIONS_INIT;
    options.published = name;
    options.qtype = qtype;
    options.batch = batch;
    options.limits = limits;
    return estimate(&options);
}

/* ---- sizes ---- */

static void published_sizes_are_those_of_the_configurations(void **state)
{
    for (size_t i = 0; published_name(i); i++) {
        char path[1024];
        buf text;
        qasr_error err;
        model_config read, known;
        snprintf(path, sizeof path, "%s/../../tools/configs/%s/config.json", MODEL_DIR, published_name(i));
        buf_init(&text, 1 << 20);
        must(file_read_all(&text, path, &err), &err);
        must(config_parse(&read, buf_str(&text), text.len, path, &err), &err);
        buf_free(&text);
        assert_true(published_config(&known, published_name(i)));
        for (int size = 0; size < CONFIG_SIZES; size++) {
            size_t a, b;
            memcpy(&a, (const char *)&read + config_ranges[size].offset, sizeof a);
            memcpy(&b, (const char *)&known + config_ranges[size].offset, sizeof b);
            assert_int_equal(a, b);
        }
        assert_true(read.dec.tied_head && known.dec.tied_head);
    }
    assert_false(published_config(&(model_config){ 0 }, "7b"));
}

/* Files of random checkpoints (docs/quantize.md), which have 6 MB of tokenizer and tables besides the weights. */
static void planned_files_have_the_documented_sizes(void **state)
{
    static const struct {
        const char *qtype;
        double mb[2]; /* 0.6b, 1.7b */
    } files[] = {
        { "q8_0", { 850, 2185 } },   { "q6_k", { 706, 1768 } }, { "q5_k_m", { 670, 1625 } },
        { "q4_k_m", { 622, 1464 } }, { "q4_0", { 552, 1325 } }, { "bf16", { 1580, 4091 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        for (size_t m = 0; m < 2; m++) {
            qasr_estimate e = estimate_published(qasr_published_model_name(m), files[i].qtype, 0, NULL);
            assert_float_equal((double)e.weights_bytes / 1e6 + 6.1, files[i].mb[m], 0.6);
        }
}

static int add_bytes(void *user, const qasr_quantize_tensor *t)
{
    if (strcmp(t->kind, "frontend") != 0)
        *(uint64_t *)user += t->bytes_after;
    return 0;
}

/* Every type gives the bytes that the quantizer plans for the same model, and those of its bf16 tensors without one. */
static void planned_types_are_those_of_the_quantizer(void **state)
{
    for (size_t i = 0; i < qasr_qtype_count(); i++) {
        qasr_error err;
        uint64_t planned = 0;
        qasr_quantize_options quantize = QASR_QUANTIZE_OPTIONS_INIT;
        quantize.input = MODEL_DIR;
        quantize.scope = "all";
        quantize.qtype = qasr_qtype_name(i);
        quantize.dry_run = 1;
        quantize.on_tensor = add_bytes;
        quantize.user = &planned;
        must(qasr_quantize(&quantize, NULL, &err), &err);
        qasr_estimate_options options = QASR_ESTIMATE_OPTIONS_INIT;
        options.model = MODEL_DIR;
        options.qtype = quantize.qtype;
        assert_int_equal(estimate(&options).weights_bytes, planned);
    }
}

/* The outline of a model's configuration has the bytes of its files. */
static void models_as_they_are(void **state)
{
    qasr_error err;
    qasr_estimate_options options = QASR_ESTIMATE_OPTIONS_INIT;
    options.model = MODEL_DIR;
    qasr_estimate e = estimate(&options);
    assert_string_equal(e.decoder_type, "bf16");
    assert_true(e.encode_s == 0 && e.prefill_s == 0 && e.decode_s == 0);
    model_config c;
    model *outline;
    must(config_read_dir(&c, MODEL_DIR, &err), &err);
    must(model_create_outline(&outline, &c, &err), &err);
    const weight_ref *first = &outline->top[TOP_CONV1_W];
    assert_true(first->tensor->n_dims == 4 && !first->tensor->data);
    uint64_t bytes = 0;
    for (size_t i = 0; i < weights_count(outline->decoder); i++)
        bytes += weights_at(outline->decoder, i)->n_bytes;
    assert_int_equal(bytes, e.weights_bytes);
    model_close(outline);
}

/* ---- memory ---- */

static void memory_grows_with_the_batch(void **state)
{
    qasr_estimate_options options = QASR_ESTIMATE_OPTIONS_INIT;
    options.published = "0.6b";
    options.qtype = "q8_0";
    qasr_estimate by_default = estimate(&options);
    assert_int_equal(by_default.batch, 8);
    options.batch = 1;
    qasr_estimate one = estimate(&options);
    const uint64_t kv = 505 * 2 * 28 * 8 * 128 * 2; /* 405 tokens of prompt, 100 of answer */
    assert_int_equal(one.kv_bytes, kv);
    assert_int_equal(by_default.peak_bytes - one.peak_bytes, 7 * kv);
    assert_int_equal(by_default.device_bytes - one.device_bytes, 7 * (kv / 505 * (405 + 24 * 30 + 64)));
    options.kv_type = "f32";
    assert_int_equal(estimate(&options).kv_bytes, 2 * kv);
    options.kv_type = "f32";
    options.batch = 0; /* 8 x 1189 positions of f32 take 2.2 GB */
    assert_int_equal(estimate(&options).batch, 7);
}

/* docs/results.md, fp: peak RSS at batch 1. */
static void memory_is_near_the_measured(void **state)
{
    assert_float_equal((double)estimate_published("0.6b", NULL, 1, NULL).peak_bytes / 1e6, 1703, 0.01 * 1703);
    assert_float_equal((double)estimate_published("1.7b", NULL, 1, NULL).peak_bytes / 1e6, 4216, 0.01 * 4216);
}

/* ---- times ---- */

/* docs/results.md: seconds per 30 s of audio, on a machine with bfloat16 and int8 products. Encoder and prefill are
 * compared where this machine computes them in the same precision. */
static void times_are_near_the_measured(void **state)
{
    static const struct {
        const char *model, *qtype;
        int batch;
        double read_gb_s, encode_s, prefill_s, ms_per_token;
    } runs[] = {
        { "0.6b", NULL, 1, 57.3, 0.780, 1.122, 37.48 },   { "0.6b", "q8_0", 1, 57.3, 0.764, 1.263, 17.94 },
        { "0.6b", "q8_0", 8, 58.1, 0.888, 1.246, 7.15 },  { "0.6b", "q4_0", 1, 57.3, 0.906, 0.821, 11.86 },
        { "1.7b", NULL, 1, 37.7, 1.119, 3.187, 87.74 },   { "1.7b", "q8_0", 1, 37.7, 1.186, 3.613, 60.42 },
        { "1.7b", "q8_0", 8, 37.0, 1.089, 3.155, 16.48 }, { "1.7b", "q4_0", 1, 37.7, 1.158, 2.305, 30.21 },
    };
    qasr_error err;
    device *d;
    must(device_open(&d, "cpu", 1, DEVICE_FAST, &err), &err);
    const bool has_bf16 = device_product_type(d, QUANT_Q8_0, 1024) == PRODUCT_BF16;
    const bool has_int8 = device_product_type(d, QUANT_Q4_0, 1024) == PRODUCT_INT8;
    device_close(d);
    qasr_limits limits = QASR_LIMITS_INIT;
    limits.f32_gop_s = 231.2;
    limits.bf16_gop_s = 462.3;
    limits.int8_gop_s = 739.5;
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        limits.read_gb_s = runs[i].read_gb_s;
        qasr_estimate e = estimate_published(runs[i].model, runs[i].qtype, runs[i].batch, &limits);
        assert_float_equal(e.decode_s / 200 * 1e3, runs[i].ms_per_token, 0.2 * runs[i].ms_per_token);
        if (has_bf16)
            assert_float_equal(e.encode_s / 2, runs[i].encode_s, 0.2 * runs[i].encode_s);
        if (has_bf16 && (has_int8 || !runs[i].qtype || strcmp(runs[i].qtype, "q8_0") == 0))
            assert_float_equal(e.prefill_s / 2, runs[i].prefill_s, 0.2 * runs[i].prefill_s);
    }
}

/* Twice the rates, half the time; a precision without a rate is computed in float32. */
static void times_follow_the_rates(void **state)
{
    qasr_limits limits = QASR_LIMITS_INIT, twice = QASR_LIMITS_INIT;
    limits.read_gb_s = 10;
    limits.f32_gop_s = 50;
    twice.read_gb_s = 20;
    twice.f32_gop_s = twice.bf16_gop_s = twice.int8_gop_s = 100;
    qasr_estimate slow = estimate_published("0.6b", "q4_k_m", 0, &limits);
    qasr_estimate fast = estimate_published("0.6b", "q4_k_m", 0, &twice);
    assert_float_equal(slow.encode_s, 2 * fast.encode_s, 1e-9);
    assert_float_equal(slow.prefill_s, 2 * fast.prefill_s, 1e-9);
    assert_float_equal(slow.decode_s, 2 * fast.decode_s, 1e-9);
    limits.read_gb_s = 0;
    assert_true(estimate_published("0.6b", NULL, 0, &limits).encode_s == 0);
}

/* ---- errors ---- */

static void wrong_options(void **state)
{
    qasr_error err;
    qasr_estimate e = QASR_ESTIMATE_INIT;
    const qasr_limits uninitialized = { 0 };
    const struct {
        qasr_estimate_options options;
        qasr_status status;
        const char *part;
    } wrong[] = {
        { QASR_ESTIMATE_OPTIONS_INIT, QASR_E_INVALID, "no model" },
        { { .model = MODEL_DIR, .published = "0.6b" }, QASR_E_INVALID, "two models" },
        { { .published = "7b" }, QASR_E_INVALID, "expected one of 0.6b, 1.7b" },
        { { .published = "0.6b", .qtype = "q3_k" }, QASR_E_INVALID, "q8_0" },
        { { .published = "0.6b", .kv_type = "q4_0" }, QASR_E_INVALID, "f16" },
        { { .published = "0.6b", .batch = 65 }, QASR_E_INVALID, "0 to 64" },
        { { .published = "0.6b", .limits = &uninitialized }, QASR_E_INVALID, "QASR_LIMITS_INIT" },
        { { .model = "/does/not/exist" }, QASR_E_IO, "'/does/not/exist'" },
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        qasr_estimate_options options = wrong[i].options;
        options.struct_size = sizeof options;
        assert_int_equal(qasr_estimate_transcription(&options, &e, &err), wrong[i].status);
        if (!strstr(err.message, wrong[i].part))
            fail_msg("'%s' does not mention '%s'", err.message, wrong[i].part);
    }
    assert_int_equal(qasr_estimate_transcription(NULL, &e, &err), QASR_E_INVALID);
    assert_null(qasr_published_model_name(2));
}

/* Each allocation fails once: an error without a leak (with AddressSanitizer), and then the usual result. */
static void without_memory(void **state)
{
    qasr_error err;
    qasr_estimate_options options = QASR_ESTIMATE_OPTIONS_INIT;
    qasr_estimate e = QASR_ESTIMATE_INIT;
    options.published = "0.6b";
    options.qtype = "q8_0";
    qasr_status status = QASR_E_NOMEM;
    size_t n = 0;
    for (; status != QASR_OK && n < 1000; n++) {
        mem_fail_after(n);
        status = qasr_estimate_transcription(&options, &e, &err);
        mem_fail_after(SIZE_MAX);
        assert_true(status == QASR_OK || (status == QASR_E_NOMEM && e.weights_bytes == 0));
    }
    assert_true(status == QASR_OK && n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_sizes_are_those_of_the_configurations),
        cmocka_unit_test(planned_files_have_the_documented_sizes),
        cmocka_unit_test(planned_types_are_those_of_the_quantizer),
        cmocka_unit_test(models_as_they_are),
        cmocka_unit_test(memory_grows_with_the_batch),
        cmocka_unit_test(memory_is_near_the_measured),
        cmocka_unit_test(times_are_near_the_measured),
        cmocka_unit_test(times_follow_the_rates),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
