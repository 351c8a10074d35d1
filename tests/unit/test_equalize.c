/* equalize: outlier variants of the demo model (tests/tools/make_outliers.py) compute the same, and equalized they are
 * rounded as well as the model itself. */
#include <stdbool.h>
#include <stdlib.h>

#include "base/distribution.h"
#include "qasr/qasr_tools.h"
#include "weights_fixture.h"

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

static const char *const clips[] = { TEST_DATA "/golden/clips/en-000.flac", TEST_DATA "/golden/clips/ru-001.flac",
                                     MODEL_DIR "/eval/multi/de-000.flac", MODEL_DIR "/eval/multi/zh-000.flac" };
enum { CLIPS = sizeof clips / sizeof *clips };

/* ---- the network's output ---------------------------------------------------------------------------- */

/* Logits of all positions along an answer to each clip, [n_rows, vocabulary]. */
typedef struct output {
    size_t n_rows, vocabulary;
    float *logits;
} output;

/* The answers of the demo model to the clips. */
static struct {
    int32_t *ids;
    size_t n;
} answers[CLIPS];

static void walk(output *o, qasr_session *s, size_t clip, const float *pcm, size_t n_samples)
{
    qasr_error err;
    qasr_teacher_forcing *f;
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    must(qasr_teacher_forcing_open(&f, s, pcm, n_samples, &opt, &err), &err);
    o->vocabulary = qasr_teacher_forcing_vocabulary(f);
    const size_t n = answers[clip].n + 1;
    o->logits = realloc(o->logits, (o->n_rows + n) * o->vocabulary * sizeof *o->logits);
    assert_non_null(o->logits);
    for (size_t i = 0; i < n; i++, o->n_rows++) {
        memcpy(o->logits + o->n_rows * o->vocabulary, qasr_teacher_forcing_logits(f),
               o->vocabulary * sizeof *o->logits);
        if (i < answers[clip].n)
            must(qasr_teacher_forcing_token(f, answers[clip].ids[i], &err), &err);
    }
    qasr_teacher_forcing_close(f);
}

static void keep_answer(qasr_session *s, size_t clip, const float *pcm, size_t n_samples)
{
    qasr_error err;
    qasr_result *r;
    must(qasr_transcribe(&r, s, pcm, n_samples, NULL, &err), &err);
    const qasr_segment *p = qasr_result_segment(r, 0);
    assert_int_equal(qasr_result_segment_count(r), 1);
    answers[clip].n = p->n_tokens;
    answers[clip].ids = malloc((p->n_tokens + 1) * sizeof(int32_t));
    assert_non_null(answers[clip].ids);
    memcpy(answers[clip].ids, p->tokens, p->n_tokens * sizeof(int32_t));
    qasr_result_free(r);
}

/* In float32 arithmetic. */
static output run(const char *path)
{
    qasr_error err;
    qasr_model *m;
    qasr_session *s;
    output o = { 0 };
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    so.precision = QASR_PRECISION_F32;
    so.kv_type = "f32";
    must(qasr_model_open(&m, path, NULL, &err), &err);
    must(qasr_session_open(&s, m, &so, &err), &err);
    for (size_t i = 0; i < CLIPS; i++) {
        float *pcm;
        size_t n;
        must(qasr_audio_load(&pcm, &n, clips[i], &err), &err);
        if (!answers[i].ids)
            keep_answer(s, i, pcm, n);
        walk(&o, s, i, pcm, n);
        qasr_audio_free(pcm);
    }
    qasr_session_close(s);
    qasr_model_close(m);
    return o;
}

/* Mean KL divergence of the next-token distributions. */
static double divergence(const output *exact, const output *other)
{
    double sum = 0;
    assert_int_equal(exact->n_rows, other->n_rows);
    for (size_t i = 0; i < exact->n_rows; i++)
        sum += distribution_kl(exact->logits + i * exact->vocabulary, other->logits + i * exact->vocabulary,
                               exact->vocabulary);
    return sum / (double)exact->n_rows;
}

static output exact; /* of the demo model */

static int setup(void **state)
{
    exact = run(MODEL_DIR);
    return scratch_make(state);
}

static int teardown(void **state)
{
    free(exact.logits);
    for (size_t i = 0; i < CLIPS; i++)
        free(answers[i].ids);
    return scratch_remove(state);
}

/* ---- files ------------------------------------------------------------------------------------------------ */

static const char *variant(int exponent)
{
    static char path[300];
    if (exponent == 0)
        return MODEL_DIR;
    snprintf(path, sizeof path, OUTLIERS_DIR "/%d", exponent);
    return path;
}

static qasr_quantize_options options(const char *model, const char *qtype, qasr_equalize equalize)
{
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    opt.input = model;
    opt.output = scratch_path("x.gguf");
    opt.scope = "all";
    opt.qtype = qtype;
    opt.encoder_qtype = qtype;
    opt.equalize = equalize;
    opt.overwrite = 1;
    return opt;
}

/* Groups that were equalized; 0 if the file does not tell. */
static uint64_t equalized_groups(const char *path)
{
    weights *w;
    assert_int_equal(weights_open(&w, path, NULL), QASR_OK);
    const wmeta *m = weights_meta_find(w, "qasr.equalized");
    uint64_t n = m ? m->as.u : 0;
    weights_close(w);
    return n;
}

static double quantized_divergence(int exponent, const char *qtype, qasr_equalize equalize)
{
    qasr_error err;
    qasr_quantize_options opt = options(variant(exponent), qtype, equalize);
    must(qasr_quantize(&opt, NULL, &err), &err);
    output o = run(opt.output);
    double kl = divergence(&exact, &o);
    free(o.logits);
    return kl;
}

/* ---- tests ------------------------------------------------------------------------------------------------- */

static void float32_outputs_keep_every_bit(void **state)
{
    static const char *const patterns[] = { "." }, *const types[] = { "f32" };
    const int exponents[] = { 0, 6, 10 };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
        qasr_error err;
        qasr_quantize_options opt = options(variant(exponents[i]), "q8_0", QASR_EQUALIZE_ON);
        opt.tensor_patterns = patterns;
        opt.tensor_types = types;
        opt.n_tensor_types = 1;
        must(qasr_quantize(&opt, NULL, &err), &err);
        output o = run(opt.output);
        assert_true(o.n_rows == exact.n_rows && o.n_rows > 60);
        assert_memory_equal(o.logits, exact.logits, o.n_rows * o.vocabulary * sizeof *o.logits);
        free(o.logits);
        if (exponents[i] > 0) /* norms, values and gates of six layers, and norms and values of six more */
            assert_int_equal(equalized_groups(opt.output), 6 * 4 + 6 * 3);
    }
}

static void outliers_cost_nothing_when_equalized(void **state)
{
    static const char *const types[] = { "q8_0", "q4_0", "iq4_nl" };
    const int exponents[] = { 6, 10, 14 };
    (void)state;
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        const double plain = quantized_divergence(0, types[t], QASR_EQUALIZE_OFF);
        assert_true(plain > 0 && quantized_divergence(0, types[t], QASR_EQUALIZE_ON) <= 1.05 * plain);
        for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
            double kl = quantized_divergence(exponents[i], types[t], QASR_EQUALIZE_ON);
            if (!(kl <= 1.1 * plain))
                fail_msg("2^%d, %s: KL %g, without outliers %g", exponents[i], types[t], kl, plain);
        }
    }
    assert_true(quantized_divergence(10, "q8_0", QASR_EQUALIZE_OFF) >
                20 * quantized_divergence(10, "q8_0", QASR_EQUALIZE_ON));
}

static void read_all(buf *out, const char *path)
{
    buf_init(out, 100 << 20);
    assert_int_equal(file_read_all(out, path, NULL), QASR_OK);
}

static void the_file_does_not_depend_on_threads(void **state)
{
    buf files[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        qasr_error err;
        qasr_quantize_options opt = options(variant(6), "q4_k_m", QASR_EQUALIZE_ON);
        opt.n_threads = i ? 3 : 1;
        must(qasr_quantize(&opt, NULL, &err), &err);
        read_all(&files[i], opt.output);
    }
    assert_int_equal(files[0].len, files[1].len);
    assert_memory_equal(files[0].data, files[1].data, files[0].len);
    buf_free(&files[0]);
    buf_free(&files[1]);
}

/* A plain run, and tensors whose partner is not written, keep their values. */
static void only_complete_groups_change(void **state)
{
    static const struct {
        const char *scope;
        qasr_equalize equalize;
        uint64_t groups;
    } cases[] = {
        { "thinker.model.layers.0.mlp.up_proj", QASR_EQUALIZE_ON, 0 }, /* neither its norm nor down_proj */
        { "thinker.model.layers.0.mlp.", QASR_EQUALIZE_ON, 1 },        /* without the norm */
        { "thinker.model.layers.0.", QASR_EQUALIZE_ON, 4 },
        { "thinker.model.layers.0.", QASR_EQUALIZE_AUTO, 0 }, /* there is no calibration */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_error err;
        qasr_quantize_options opt = options(variant(10), "q8_0", cases[i].equalize);
        opt.scope = cases[i].scope;
        opt.encoder_qtype = NULL;
        must(qasr_quantize(&opt, NULL, &err), &err);
        assert_int_equal(equalized_groups(opt.output), cases[i].groups);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32_outputs_keep_every_bit),
        cmocka_unit_test(outliers_cost_nothing_when_equalized),
        cmocka_unit_test(the_file_does_not_depend_on_threads),
        cmocka_unit_test(only_complete_groups_change),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
