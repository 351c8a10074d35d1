/* The demo model, sessions on it, and comparison of results. */
#ifndef TESTS_SESSION_FIXTURE_H
#define TESTS_SESSION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "qasr/qasr.h"

static qasr_model *opened;

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

static qasr_session *open_session(int batch, int n_threads, const char *kv_type)
{
    qasr_error err;
    qasr_session *s = NULL;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    so.batch = batch;
    so.n_threads = n_threads;
    so.kv_type = kv_type;
    must(qasr_session_open(&s, opened, &so, &err), &err);
    return s;
}

static void same_result(const qasr_result *a, const qasr_result *b)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(qasr_result_text(a), qasr_result_text(b));
    assert_string_equal(qasr_result_language(a), qasr_result_language(b));
    assert_int_equal(qasr_result_segment_count(a), qasr_result_segment_count(b));
    for (size_t i = 0; i < qasr_result_segment_count(a); i++) {
        const qasr_segment *p = qasr_result_segment(a, i), *q = qasr_result_segment(b, i);
        assert_true(p->start_s == q->start_s && p->end_s == q->end_s && p->stop == q->stop && p->status == q->status);
        assert_true(p->speech_start_s == q->speech_start_s && p->speech_end_s == q->speech_end_s);
        assert_int_equal(p->n_prompt_tokens, q->n_prompt_tokens);
        assert_int_equal(p->n_tokens, q->n_tokens);
        assert_memory_equal(p->tokens, q->tokens, p->n_tokens * sizeof *p->tokens);
        assert_string_equal(p->text, q->text);
        assert_int_equal(p->has_token_scores, q->has_token_scores);
        for (size_t k = 0; p->has_token_scores && k < p->n_tokens; k++)
            assert_memory_equal(qasr_segment_token_score(p, k), qasr_segment_token_score(q, k),
                                sizeof(qasr_token_score));
    }
}

#endif
