/* Teacher forcing: along its own answer a model must predict every token again, with the same bits for any number of
 * threads; other tokens change the predictions after them, and invalid calls are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "qasr/qasr_tools.h"

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

typedef struct fixture {
    qasr_model *model;
    qasr_session *session;
    float *pcm;
    size_t n;
} fixture;

static void open_fixture(fixture *f, const char *gguf, int n_threads, qasr_precision precision, const char *kv_type)
{
    qasr_error err;
    qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    mo.decoder_weights = gguf ? QASR_DECODER_GGUF : QASR_DECODER_SAFETENSORS;
    mo.decoder_gguf = gguf;
    so.n_threads = n_threads;
    so.precision = precision;
    so.kv_type = kv_type;
    *f = (fixture){ 0 };
    must(qasr_model_open(&f->model, MODEL_DIR, &mo, &err), &err);
    must(qasr_session_open(&f->session, f->model, &so, &err), &err);
    must(qasr_audio_load(&f->pcm, &f->n, MODEL_DIR "/samples/ru.flac", &err), &err);
}

static void close_fixture(fixture *f)
{
    qasr_audio_free(f->pcm);
    qasr_session_close(f->session);
    qasr_model_close(f->model);
}

static qasr_teacher_forcing *open_forced(const fixture *f, const qasr_transcribe_options *opt)
{
    qasr_error err;
    qasr_teacher_forcing *forced = NULL;
    must(qasr_teacher_forcing_open(&forced, f->session, f->pcm, f->n, opt, &err), &err);
    return forced;
}

static size_t arg_max(const qasr_teacher_forcing *f)
{
    const float *x = qasr_teacher_forcing_logits(f);
    size_t best = 0;
    for (size_t i = 1; i < qasr_teacher_forcing_vocabulary(f); i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* Walks along the model's own answer. Returns the logits of all positions [n_tokens + 1][vocabulary]. */
static float *walk(const fixture *f, const qasr_transcribe_options *opt, size_t *n_values)
{
    qasr_error err;
    qasr_result *result = NULL;
    must(qasr_transcribe(&result, f->session, f->pcm, f->n, opt, &err), &err);
    const qasr_segment *p = qasr_result_segment(result, 0);
    assert_int_equal(p->stop, QASR_STOP_EOS);
    assert_true(p->n_tokens > 10);
    qasr_teacher_forcing *forced = open_forced(f, opt);
    size_t n = qasr_teacher_forcing_vocabulary(forced);
    float *all = malloc((p->n_tokens + 1) * n * sizeof *all);
    for (size_t i = 0; i < p->n_tokens; i++) {
        memcpy(all + i * n, qasr_teacher_forcing_logits(forced), n * sizeof *all);
        assert_int_equal(arg_max(forced), p->tokens[i]);
        must(qasr_teacher_forcing_token(forced, p->tokens[i], &err), &err);
    }
    memcpy(all + p->n_tokens * n, qasr_teacher_forcing_logits(forced), n * sizeof *all);
    assert_true(arg_max(forced) == 1016 || arg_max(forced) == 1018); /* an end token */
    *n_values = (p->n_tokens + 1) * n;
    qasr_teacher_forcing_close(forced);
    qasr_result_free(result);
    return all;
}

/* Equal bits on 1 and 3 threads, with and without a limit and options that go into the prompt. */
static void own_answer(void **state)
{
    qasr_transcribe_options other = QASR_TRANSCRIBE_OPTIONS_INIT;
    other.language = "ru";
    other.context = "room";
    static const char *const kv_types[] = { "f16", "q8_0" };
    for (int i = 0; i < 4; i++) {
        fixture one, three;
        size_t n_one, n_three;
        qasr_precision precision = i % 2 ? QASR_PRECISION_AUTO : QASR_PRECISION_F32;
        open_fixture(&one, NULL, 1, precision, kv_types[i / 2]);
        open_fixture(&three, NULL, 3, precision, kv_types[i / 2]);
        float *a = walk(&one, NULL, &n_one), *b = walk(&three, NULL, &n_three);
        assert_int_equal(n_one, n_three);
        assert_memory_equal(a, b, n_one * sizeof *a);
        free(b);
        b = walk(&three, &other, &n_three);
        assert_true(n_three < n_one); /* a forced language is not part of the answer */
        free(a);
        free(b);
        close_fixture(&one);
        close_fixture(&three);
    }
}

static void quantized(void **state)
{
    char gguf[] = "/tmp/qasr-force-XXXXXX";
    qasr_error err;
    close(mkstemp(gguf));
    qasr_quantize_options q = QASR_QUANTIZE_OPTIONS_INIT;
    q.input = MODEL_DIR;
    q.output = gguf;
    q.qtype = "q4_0";
    q.quantize_embeddings = 1;
    q.overwrite = 1;
    must(qasr_quantize(&q, NULL, &err), &err);
    fixture f;
    size_t n;
    open_fixture(&f, gguf, 2, QASR_PRECISION_AUTO, NULL);
    free(walk(&f, NULL, &n));
    close_fixture(&f);
    unlink(gguf);
}

static void other_tokens(void **state)
{
    fixture f;
    qasr_error err;
    open_fixture(&f, NULL, 2, QASR_PRECISION_F32, NULL);
    qasr_teacher_forcing *forced = open_forced(&f, NULL);
    size_t n = qasr_teacher_forcing_vocabulary(forced);
    float *after[2];
    for (int i = 0; i < 2; i++) {
        must(qasr_teacher_forcing_token(forced, i ? 700 : (int32_t)arg_max(forced), &err), &err);
        after[i] = malloc(n * sizeof(float));
        memcpy(after[i], qasr_teacher_forcing_logits(forced), n * sizeof(float));
        qasr_teacher_forcing_close(forced);
        forced = open_forced(&f, NULL);
    }
    assert_memory_not_equal(after[0], after[1], n * sizeof(float));
    qasr_teacher_forcing_close(forced);
    free(after[0]);
    free(after[1]);
    close_fixture(&f);
}

static void wrong_calls(void **state)
{
    fixture f;
    qasr_error err;
    qasr_teacher_forcing *second = NULL;
    qasr_result *result = NULL;
    open_fixture(&f, NULL, 2, QASR_PRECISION_AUTO, NULL);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_new_tokens = 2;
    qasr_teacher_forcing *forced = open_forced(&f, &opt);
    assert_int_equal(qasr_teacher_forcing_token(forced, -1, &err), QASR_E_INVALID);
    assert_int_equal(qasr_teacher_forcing_token(forced, (int32_t)qasr_teacher_forcing_vocabulary(forced), &err),
                     QASR_E_INVALID);
    assert_non_null(strstr(err.message, "1023"));
    must(qasr_teacher_forcing_token(forced, 5, &err), &err);
    must(qasr_teacher_forcing_token(forced, 6, &err), &err);
    assert_int_equal(qasr_teacher_forcing_token(forced, 7, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "max_new_tokens"));
    assert_int_equal(qasr_teacher_forcing_open(&second, f.session, f.pcm, f.n, NULL, &err), QASR_E_INVALID);
    assert_int_equal(qasr_transcribe(&result, f.session, f.pcm, f.n, NULL, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "busy"));
    assert_null(second);
    assert_null(result);
    qasr_teacher_forcing_close(forced);
    qasr_teacher_forcing_close(NULL);

    opt.max_segment_s = 1;
    assert_int_equal(qasr_teacher_forcing_open(&forced, f.session, f.pcm, f.n, &opt, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "longest segment"));
    assert_int_equal(qasr_teacher_forcing_open(&forced, f.session, f.pcm, 0, NULL, &err), QASR_E_INVALID);
    opt = (qasr_transcribe_options)QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.language = "Klingon";
    assert_int_equal(qasr_teacher_forcing_open(&forced, f.session, f.pcm, f.n, &opt, &err), QASR_E_INVALID);
    must(qasr_transcribe(&result, f.session, f.pcm, f.n, NULL, &err), &err); /* the session is free again */
    qasr_result_free(result);
    close_fixture(&f);
}

/* A failure at any allocation leaves the session as it was. */
static void without_memory(void **state)
{
    fixture f;
    qasr_status status = QASR_E_NOMEM;
    size_t n = 0;
    open_fixture(&f, NULL, 1, QASR_PRECISION_F32, NULL);
    for (; status != QASR_OK; n++) {
        qasr_teacher_forcing *forced = NULL;
        mem_fail_after(n);
        status = qasr_teacher_forcing_open(&forced, f.session, f.pcm, f.n, NULL, NULL);
        if (status == QASR_OK)
            status = qasr_teacher_forcing_token(forced, 5, NULL);
        mem_fail_after(SIZE_MAX);
        assert_true(status == QASR_OK || status == QASR_E_NOMEM);
        qasr_teacher_forcing_close(forced);
    }
    assert_true(n > 5);
    size_t n_values;
    free(walk(&f, NULL, &n_values));
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(own_answer), cmocka_unit_test(quantized),
                                        cmocka_unit_test(other_tokens), cmocka_unit_test(wrong_calls),
                                        cmocka_unit_test(without_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
