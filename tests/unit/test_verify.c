/* Verification of a new file against the original: equal models, models that lost their text or fail, independence of
 * threads, and when a quantization verifies its file. */
#include <math.h>

#include "base/file.h"
#include "qasr/qasr_tools.h"
#include "quantize/verify.h"
#include "weights_fixture.h"

#define CLIP(name) TEST_DATA "/golden/clips/" name ".flac"

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

static qasr_quantize_options whole(const char *output, const char *qtype)
{
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    opt.input = MODEL_DIR;
    opt.output = output;
    opt.scope = "all";
    opt.qtype = qtype;
    opt.n_threads = 2;
    return opt;
}

/* The demo model in one file. */
static qasr_model *make(const char *name, const char *qtype)
{
    qasr_error err;
    qasr_model *m;
    const qasr_model_options as_usual = QASR_MODEL_OPTIONS_INIT;
    const qasr_quantize_options opt = whole(scratch_path(name), qtype);
    must(qasr_quantize(&opt, NULL, &err), &err);
    must(engine_model_open(&m, scratch_path(name), &as_usual, &err), &err);
    return m;
}

static int never_stop(void *user, double part)
{
    double *last = user;
    assert_true(part >= *last && part <= 1);
    *last = part;
    return 0;
}

static qasr_status verify(qasr_verification *out, const qasr_model *original, const qasr_model *made, const char *audio,
                          int n_threads, qasr_error *err)
{
    verifier *v;
    double last = 0;
    const verify_options opt = { .original = original,
                                 .audio = &audio,
                                 .n_audio = 1,
                                 .n_threads = n_threads,
                                 .on_part = never_stop,
                                 .user = &last };
    TRY(verifier_create(&v, &opt, err));
    qasr_status status = verifier_run(v, made, true, out, err);
    verifier_free(v);
    assert_true(status != QASR_OK || last == 1);
    return status;
}

static void equal_models_are_equal(void **state)
{
    qasr_error err;
    qasr_verification v;
    qasr_model *original = make("a.gguf", "bf16"), *made = make("b.gguf", "bf16");
    must(verify(&v, original, made, MODEL_DIR "/eval/long/en-long-45s.flac", 2, &err), &err); /* two segments */
    assert_int_equal(v.n_segments, 2);
    assert_true(v.audio_s > 30 && v.audio_s < 43); /* without the long pauses */
    assert_true(v.n_vectors > 400 && v.n_positions > 100);
    assert_true(v.kl_mean == 0 && v.kl_max == 0);
    assert_float_equal(v.cosine_mean, 1, 1e-12);
    assert_float_equal(v.cosine_lowest_vector, 1, 1e-12);
    assert_int_equal(v.n_changed, 0);
    assert_int_equal(v.n_lost, 0);
    engine_model_close(original);
    engine_model_close(made);
}

static void threads_do_not_matter(void **state)
{
    qasr_error err;
    qasr_verification one, two;
    qasr_model *original = make("a.gguf", "bf16"), *made = make("b.gguf", "q4_0");
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    must(verify(&one, original, made, TEST_DATA "/golden/clips", 1, &err), &err);
    must(verify(&two, original, made, TEST_DATA "/golden/clips", 2, &err), &err);
    assert_memory_equal(&one, &two, sizeof one);
    assert_true(one.kl_mean > 1e-5 && one.kl_mean < one.kl_max);
    assert_true(one.cosine_lowest_vector <= one.cosine_lowest && one.cosine_lowest < one.cosine_mean);
    assert_true(one.cosine_mean < 1);
    engine_model_close(original);
    engine_model_close(made);
}

/* ---- models that fail -------------------------------------------------------------------------- */

/* Opens a file of the scratch folder to be changed at a tensor. */
static FILE *open_at(const char *name, const char *tensor, wtensor *found)
{
    weights *w;
    assert_int_equal(weights_open_gguf(&w, scratch_path(name), NULL), QASR_OK);
    const wtensor *t = weights_find(w, tensor);
    assert_non_null(t);
    *found = *t;
    FILE *f = fopen(scratch_path(name), "r+b");
    const unsigned char *start = weights_file_map(w, t->file)->data;
    assert_int_equal(fseek(f, (long)((const unsigned char *)t->data - start), SEEK_SET), 0);
    weights_close(w);
    return f;
}

/* Whatever it hears, the model ends its answer: the logits of the two end tokens are x and -x, all others 0. */
static void make_mute(const char *name, const qasr_model *m)
{
    wtensor t;
    FILE *f = open_at(name, "thinker.model.embed_tokens.weight", &t);
    assert_int_equal(m->n_eos, 2);
    for (uint64_t row = 0; row < t.shape[0]; row++)
        for (uint64_t i = 0; i < t.shape[1]; i++) {
            const uint16_t value = row == (uint64_t)m->eos[0] ? 0x3F80 : row == (uint64_t)m->eos[1] ? 0xBF80 : 0;
            assert_int_equal(fwrite(&value, sizeof value, 1, f), 1);
        }
    assert_int_equal(fclose(f), 0);
}

static void lost_texts_are_counted(void **state)
{
    qasr_error err;
    qasr_verification v;
    qasr_model *original = make("a.gguf", "bf16"), *made = make("b.gguf", "bf16");
    make_mute("b.gguf", made);
    must(verify(&v, original, made, CLIP("en-001"), 2, &err), &err);
    assert_int_equal(v.n_segments, 1);
    assert_int_equal(v.n_changed, 1);
    assert_int_equal(v.n_lost, 1);
    assert_true(v.kl_mean > 1);
    must(verify(&v, made, original, CLIP("en-001"), 2, &err), &err); /* a gain of text is only a change */
    assert_int_equal(v.n_changed, 1);
    assert_int_equal(v.n_lost, 0);
    engine_model_close(original);
    engine_model_close(made);
}

static void a_failing_file_is_named(void **state)
{
    static const float nan_value = NAN;
    qasr_error err;
    qasr_verification v;
    wtensor t;
    qasr_model *original = make("a.gguf", "bf16"), *made;
    const qasr_model_options as_usual = QASR_MODEL_OPTIONS_INIT;
    engine_model_close(make("b.gguf", "bf16"));
    FILE *f = open_at("b.gguf", "thinker.model.norm.weight", &t);
    assert_int_equal(t.type, QUANT_F32);
    assert_int_equal(fwrite(&nan_value, sizeof nan_value, 1, f), 1);
    assert_int_equal(fclose(f), 0);
    must(engine_model_open(&made, scratch_path("b.gguf"), &as_usual, &err), &err);
    assert_true(verify(&v, original, made, CLIP("en-001"), 2, &err) != QASR_OK);
    assert_message(&err, "the new file cannot transcribe '" CLIP("en-001") "'");
    engine_model_close(original);
    engine_model_close(made);
}

/* ---- as part of a quantization ----------------------------------------------------------------- */

static int stop_in_the_second_half(void *user, uint64_t done, uint64_t total, const char *what)
{
    return done > total / 2;
}

static void quantize_verifies_what_it_should(void **state)
{
    static const char *const clip = CLIP("en-001"), *const missing = "missing.wav";
    qasr_error err;
    qasr_quantize_report *report;
    qasr_quantize_options opt = whole(scratch_path("a.gguf"), "q8_0");
    opt.verify = QASR_VERIFY_ON;
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_INVALID);
    assert_message(&err, "no audio to verify the file on");
    opt.verify_audio = &missing;
    opt.n_verify_audio = 1;
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_IO);
    assert_message(&err, "missing.wav");

    opt.verify_audio = &clip;
    opt.on_progress = stop_in_the_second_half;
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_CANCELLED);
    assert_int_equal(scratch_list(false), 0);
    opt.on_progress = NULL;

    opt.verify = QASR_VERIFY_AUTO; /* q8_0 needs no proof */
    must(qasr_quantize(&opt, &report, &err), &err);
    assert_null(qasr_quantize_report_verification(report));
    qasr_quantize_report_free(report);
    opt.overwrite = 1;
    opt.encoder_qtype = "q6_k";
    must(qasr_quantize(&opt, &report, &err), &err);
    const qasr_verification *v = qasr_quantize_report_verification(report);
    assert_non_null(v);
    assert_true(v->passed && v->with_encoder && v->n_segments == 1);

    weights *w; /* the keys have the values of the report */
    must(weights_open_gguf(&w, opt.output, &err), &err);
    assert_true(weights_meta_find(w, "qasr.verify.passed")->as.b);
    assert_int_equal(weights_meta_find(w, "qasr.verify.segments")->as.u, 1);
    assert_float_equal(weights_meta_find(w, "qasr.verify.kl")->as.f / v->kl_mean, 1, 0.05);
    assert_float_equal((1 - weights_meta_find(w, "qasr.verify.encoder_cosine")->as.f) / (1 - v->cosine_mean), 1, 0.05);
    weights_close(w);
    qasr_quantize_report_free(report);

    opt.verify = QASR_VERIFY_OFF;
    must(qasr_quantize(&opt, &report, &err), &err);
    assert_null(qasr_quantize_report_verification(report));
    qasr_quantize_report_free(report);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(equal_models_are_equal),           CASE(threads_do_not_matter),
        CASE(lost_texts_are_counted),           CASE(a_failing_file_is_named),
        CASE(quantize_verifies_what_it_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
