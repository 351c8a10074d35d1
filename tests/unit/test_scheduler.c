/* The scheduler: jobs with individual options on one session, submitted, cancelled and closed at any time, also in
 * callbacks. On the demo model; a job must give the result of its clip alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/scheduler.h"
#include "session_fixture.h"

/* ---- audio and sessions ---- */

enum { ENGLISH, RUSSIAN, SHORT, LONG, N_SOUNDS };
static const char *const files[N_SOUNDS] = {
    [ENGLISH] = TEST_DATA "/golden/clips/en-000.flac",
    [RUSSIAN] = TEST_DATA "/golden/clips/ru-000.flac",
    [SHORT] = TEST_DATA "/golden/clips/short-200ms.flac",
    [LONG] = MODEL_DIR "/eval/long/ru-long-31s.flac",
};
static struct sound {
    float *pcm;
    size_t n;
} sounds[N_SOUNDS];

static int open_all(void **state)
{
    qasr_error err;
    qasr_status status = qasr_model_open(&opened, MODEL_DIR, NULL, &err);
    for (size_t i = 0; i < N_SOUNDS && status == QASR_OK; i++)
        status = qasr_audio_load(&sounds[i].pcm, &sounds[i].n, files[i], &err);
    if (status != QASR_OK)
        print_error("cannot set up: %s\n", err.message);
    return status == QASR_OK ? 0 : -1;
}

static int close_all(void **state)
{
    for (size_t i = 0; i < N_SOUNDS; i++)
        qasr_audio_free(sounds[i].pcm);
    qasr_model_close(opened);
    return 0;
}

/* ---- clients ---- */

enum { A, B, C, D };

/* A clip and everything its callbacks have delivered. */
typedef struct client {
    char name; /* in the log of the test */
    struct test *test;
    qasr_transcribe_options opt;
    scheduler_job job;
    uint64_t id;
    void (*reaction)(struct client *c); /* called in on_text; NULL: none */
    void (*last_word)(struct client *c);
    struct client *other; /* for both functions */
    int answer;           /* of on_text */
    size_t n_texts, n_segments, n_done;
    size_t n_polls, max_polls; /* cancels at this one */
    char text[4000];
    qasr_result *result;
    qasr_error error;
} client;

/* The log has a lower-case letter per segment and an upper-case one per completed job, in callback order. */
typedef struct test {
    qasr_session *session;
    scheduler *scheduler;
    char log[200];
} test;

static void note(test *t, char what)
{
    size_t n = strlen(t->log);
    assert_true(n + 1 < sizeof t->log);
    t->log[n] = what;
}

static int take_text(void *user, const char *text)
{
    client *c = user;
    assert_int_equal(c->n_done, 0);
    strncat(c->text, text, sizeof c->text - strlen(c->text) - 1);
    c->n_texts++;
    if (c->reaction)
        c->reaction(c);
    return c->answer;
}

static int take_segment(void *user, const struct qasr_segment *segment)
{
    client *c = user;
    c->n_segments++;
    note(c->test, (char)(c->name - 'A' + 'a'));
    return 0;
}

static void take_end(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    client *c = user;
    assert_int_equal(c->n_done++, 0);
    assert_true((result != NULL) != (error != NULL));
    assert_ptr_equal(clip->user, c);
    c->result = result;
    if (error)
        c->error = *error;
    note(c->test, c->name);
    if (c->last_word)
        c->last_word(c);
}

static void client_init(client *c, test *t, char name, size_t sound)
{
    *c = (client){ .name = name, .test = t, .opt = QASR_TRANSCRIBE_OPTIONS_INIT };
    c->opt.max_segment_s = 8; /* of the long clip: 6 segments */
    c->opt.on_segment = take_segment;
    c->opt.user = c;
    c->job = (scheduler_job){ .clip = { .pcm = sounds[sound].pcm, .n_samples = sounds[sound].n, .user = c },
                              .opt = &c->opt,
                              .on_done = take_end,
                              .user = c };
}

static void submit(client *c)
{
    qasr_error err;
    must(scheduler_submit(c->test->scheduler, &c->id, &c->job, &err), &err);
    assert_true(c->id != 0);
}

static void submit_all(client *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        submit(&c[i]);
}

static void test_open(test *t, int batch, int n_threads, scheduler_delivery delivery)
{
    qasr_error err;
    *t = (test){ .session = open_session(batch, n_threads, NULL) };
    must(scheduler_open(&t->scheduler, t->session, delivery, &err), &err);
}

static size_t free_slots(const test *t) { return decoder_free_slots(t->session->decoder); }

/* Checks that no job is left. */
static void test_close(test *t)
{
    scheduler_close(t->scheduler);
    assert_int_equal(free_slots(t), t->session->batch);
    assert_true(decoder_kv_used(t->session->decoder) == 0);
    qasr_session_close(t->session);
}

static void run(test *t)
{
    while (scheduler_step(t->scheduler))
        ;
    assert_int_equal(scheduler_n_jobs(t->scheduler), 0);
}

static void steps(test *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_true(scheduler_step(t->scheduler));
}

/* ---- results ---- */

/* Compares the client's result with that of its clip and options alone, and frees it. */
static void check_result(client *c)
{
    qasr_error err;
    qasr_result *alone = NULL;
    qasr_transcribe_options opt = c->opt;
    qasr_session *s = open_session(1, 1, NULL);
    assert_int_equal(c->n_done, 1);
    if (c->error.status != QASR_OK)
        fail_msg("%c: %s", c->name, c->error.message);
    opt.on_text = NULL;
    opt.on_segment = NULL;
    must(qasr_transcribe(&alone, s, c->job.clip.pcm, c->job.clip.n_samples, &opt, &err), &err);
    same_result(c->result, alone);
    if (c->opt.on_text)
        assert_string_equal(c->text, qasr_result_text(alone));
    if (c->opt.on_segment)
        assert_int_equal(c->n_segments, qasr_result_segment_count(alone));
    qasr_result_free(alone);
    qasr_session_close(s);
    qasr_result_free(c->result);
    c->result = NULL;
}

static void check_results(client *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_result(&c[i]);
}

static void check_cancelled(const client *c)
{
    assert_int_equal(c->n_done, 1);
    assert_null(c->result);
    assert_int_equal(c->error.status, QASR_E_CANCELLED);
    assert_string_equal(c->error.message, "transcription was cancelled");
}

/* ---- order of jobs and of delivery ---- */

static void a_short_job_overtakes_a_long_one(void **state)
{
    for (int batch = 1; batch <= 2; batch++) {
        test t;
        client c[2];
        test_open(&t, batch, 2, SCHEDULER_AS_READY);
        client_init(&c[A], &t, 'A', LONG);
        client_init(&c[B], &t, 'B', ENGLISH);
        submit(&c[A]);
        steps(&t, 3);
        submit(&c[B]);
        run(&t);
        assert_non_null(strstr(t.log, "bB"));
        assert_true(strchr(t.log, 'B') < strchr(t.log, 'A') && strchr(strchr(t.log, 'B'), 'a'));
        check_results(c, 2);
        test_close(&t);
    }
}

static void in_order_delivery_holds_back_what_is_ready(void **state)
{
    test t;
    client c[3];
    test_open(&t, 3, 2, SCHEDULER_IN_ORDER);
    client_init(&c[A], &t, 'A', LONG);
    client_init(&c[B], &t, 'B', RUSSIAN);
    client_init(&c[C], &t, 'C', ENGLISH);
    c[B].opt.on_text = take_text;
    submit_all(c, 3);
    run(&t);
    assert_string_equal(t.log + strspn(t.log, "a"), "AbBcC");
    check_results(c, 3);
    test_close(&t);
}

static void jobs_of_equal_priority_take_turns(void **state)
{
    test t;
    client c[3];
    test_open(&t, 1, 2, SCHEDULER_AS_READY);
    client_init(&c[A], &t, 'A', LONG);
    client_init(&c[B], &t, 'B', LONG);
    client_init(&c[C], &t, 'C', ENGLISH);
    submit(&c[A]);
    submit(&c[B]);
    while (strlen(t.log) < 2)
        steps(&t, 1);
    submit(&c[C]); /* after one segment of each, as both have waited longer */
    run(&t);
    assert_memory_equal(t.log, "ababcCab", 8);
    check_results(c, 3);
    test_close(&t);
}

static void free_slots_go_to_the_highest_priority(void **state)
{
    test t;
    client c[4];
    test_open(&t, 1, 2, SCHEDULER_AS_READY);
    client_init(&c[A], &t, 'A', ENGLISH);
    client_init(&c[B], &t, 'B', RUSSIAN);
    client_init(&c[C], &t, 'C', LONG);
    client_init(&c[D], &t, 'D', SHORT);
    c[B].job.priority = -1;
    c[C].job.priority = 1;
    c[D].job.priority = 2;
    submit(&c[A]);
    steps(&t, 1); /* A is in the slot, and stays there */
    submit(&c[B]);
    submit(&c[C]);
    submit(&c[D]);
    run(&t);
    assert_true(strncmp(t.log, "aAdDc", 5) == 0);
    assert_string_equal(t.log + strlen(t.log) - 4, "cCbB");
    check_results(c, 4);
    test_close(&t);
}

static void room_is_told(void **state)
{
    test t;
    client c[3];
    test_open(&t, 2, 1, SCHEDULER_AS_READY);
    assert_true(scheduler_fill(t.scheduler));
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        client_init(&c[i], &t, (char)('A' + i), ENGLISH);
        assert_int_equal(scheduler_fill(t.scheduler), i < 2);
        submit(&c[i]);
        assert_int_equal(free_slots(&t), i == 0 ? 2 : i == 1 ? 1 : 0); /* submitting does nothing else */
    }
    assert_int_equal(scheduler_n_jobs(t.scheduler), 3);
    run(&t);
    assert_true(scheduler_fill(t.scheduler));
    assert_false(scheduler_step(t.scheduler));
    check_results(c, ARRAY_LEN(c));
    test_close(&t);
    scheduler_close(NULL);
}

/* ---- options per job ---- */

static void options_are_those_of_the_job(void **state)
{
    static const struct {
        int batch, threads;
        bool late; /* each is submitted while the ones before it are decoded */
    } cases[] = { { 7, 2, false }, { 7, 1, true }, { 3, 3, false }, { 1, 1, true } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        test t;
        client c[7];
        test_open(&t, cases[i].batch, cases[i].threads, SCHEDULER_AS_READY);
        for (size_t k = 0; k < ARRAY_LEN(c); k++)
            client_init(&c[k], &t, (char)('A' + k), k % 2 ? RUSSIAN : ENGLISH);
        c[1].opt.language = "ru";
        c[2].opt.context = "Anna, Sophia, a garden in the snow";
        c[3].opt.max_new_tokens = 5;
        c[4].opt.token_scores = 1;
        c[5].opt.language = "English";
        c[5].opt.token_scores = 1;
        c[5].opt.no_retry = 1;
        c[6].opt.ignore_eos = 1;
        c[6].opt.max_new_tokens = 30;
        c[6].opt.max_segment_s = 2;
        for (size_t k = 0; k < ARRAY_LEN(c); k++) {
            c[k].opt.on_text = k % 3 || k == 3 ? NULL : take_text;
            submit(&c[k]);
            if (cases[i].late)
                steps(&t, 2);
        }
        run(&t);
        assert_int_equal(qasr_result_segment(c[3].result, 0)->n_tokens, 5);
        assert_int_equal(qasr_result_segment(c[6].result, 0)->n_tokens, 30);
        assert_string_equal(qasr_result_language(c[1].result), "Russian");
        assert_true(qasr_result_segment(c[4].result, 0)->has_token_scores);
        check_results(c, ARRAY_LEN(c));
        test_close(&t);
    }
}

static void errors_are_those_of_the_job(void **state)
{
    test t;
    client c[6];
    qasr_error err;
    static float bad[AUDIO_RATE];
    bad[100] = NAN;
    test_open(&t, 2, 2, SCHEDULER_AS_READY);
    for (size_t k = 0; k < ARRAY_LEN(c); k++)
        client_init(&c[k], &t, (char)('A' + k), k == 1 ? LONG : ENGLISH);
    c[0].job.clip = (qasr_clip){ .path = "missing.wav", .user = &c[0] };
    c[2].job.clip = (qasr_clip){ .pcm = bad, .n_samples = AUDIO_RATE, .user = &c[2] };
    c[3].opt.max_new_tokens = 1 << 30; /* more positions than the model has */
    c[4].job.clip = (qasr_clip){ .user = &c[4], .error = { QASR_E_IO, "the disk is gone" } };
    submit_all(c, ARRAY_LEN(c));
    assert_string_equal(t.log, ""); /* no callback comes while jobs are submitted */
    c[0].opt.language = "Klingon";
    assert_int_equal(scheduler_submit(t.scheduler, NULL, &c[0].job, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "'Klingon'"));
    mem_fail_after(0);
    assert_int_equal(scheduler_submit(t.scheduler, NULL, &c[1].job, &err), QASR_E_NOMEM);
    mem_fail_after(SIZE_MAX);
    assert_int_equal(scheduler_n_jobs(t.scheduler), ARRAY_LEN(c));
    run(&t);
    static const struct {
        qasr_status status;
        const char *message;
    } errors[] = { { QASR_E_IO, "missing.wav" },
                   { QASR_OK, "" },
                   { QASR_E_INVALID, "sample 100 of the audio is not a finite number" },
                   { QASR_E_INVALID, "prompt and answer need" },
                   { QASR_E_IO, "the disk is gone" },
                   { QASR_OK, "" } };
    for (size_t k = 0; k < ARRAY_LEN(c); k++) {
        assert_int_equal(c[k].n_done, 1);
        assert_int_equal(c[k].error.status, errors[k].status);
        assert_non_null(strstr(c[k].error.message, errors[k].message));
    }
    check_result(&c[1]);
    check_result(&c[5]);
    test_close(&t);
}

/* ---- cancelling ---- */

static void cancelled_jobs_free_their_memory(void **state)
{
    test t;
    client c[4];
    test_open(&t, 4, 2, SCHEDULER_AS_READY);
    for (size_t k = 0; k < ARRAY_LEN(c); k++)
        client_init(&c[k], &t, (char)('A' + k), k == 1 ? LONG : ENGLISH);
    c[0].opt.ignore_eos = c[2].opt.ignore_eos = 1; /* so that they run long enough */
    c[0].opt.max_new_tokens = c[2].opt.max_new_tokens = 40;
    submit(&c[0]);
    steps(&t, 2);
    const uint64_t one = decoder_kv_used(t.session->decoder);
    submit(&c[1]); /* takes the other three slots */
    steps(&t, 2);
    assert_int_equal(free_slots(&t), 0);
    assert_true(decoder_kv_used(t.session->decoder) > one);
    submit(&c[2]); /* waits */
    scheduler_cancel(t.scheduler, c[1].id);
    assert_int_equal(free_slots(&t), 3);
    assert_true(decoder_kv_used(t.session->decoder) == one);
    assert_int_equal(c[1].n_done, 0);
    scheduler_cancel(t.scheduler, c[1].id); /* cancelling twice is allowed */
    steps(&t, 1);
    check_cancelled(&c[1]);
    assert_int_equal(free_slots(&t), 2);
    submit(&c[3]);
    scheduler_cancel(t.scheduler, c[3].id); /* before it has started */
    scheduler_cancel(t.scheduler, c[1].id); /* already completed */
    scheduler_cancel(t.scheduler, 12345);
    run(&t);
    check_cancelled(&c[3]);
    assert_int_equal(c[3].n_segments, 0);
    check_result(&c[0]);
    check_result(&c[2]);
    test_close(&t);
}

static void cancel_self(client *c)
{
    size_t before = free_slots(c->test);
    scheduler_cancel(c->test->scheduler, c->id);
    assert_int_equal(free_slots(c->test), before); /* slots are freed only after the callback returns */
}

static void cancel_other(client *c) { scheduler_cancel(c->test->scheduler, c->other->id); }

/* Refuses the second text. */
static void refuse(client *c) { c->answer = c->n_texts == 2; }

static void callbacks_cancel(void **state)
{
    static void (*const reactions[])(client * c) = { cancel_self, cancel_other, refuse };
    for (size_t i = 0; i < ARRAY_LEN(reactions); i++)
        for (int delivery = SCHEDULER_AS_READY; delivery <= SCHEDULER_IN_ORDER; delivery++) {
            test t;
            client c[3];
            test_open(&t, 3, 2, (scheduler_delivery)delivery);
            client_init(&c[A], &t, 'A', ENGLISH);
            client_init(&c[B], &t, 'B', ENGLISH);
            client_init(&c[C], &t, 'C', RUSSIAN);
            c[B].opt.on_text = c[C].opt.on_text = take_text;
            c[B].opt.no_retry = 1; /* so that text arrives token by token */
            c[B].opt.ignore_eos = 1;
            c[B].opt.max_new_tokens = 40;
            c[B].other = i == 1 ? &c[C] : NULL;
            c[B].reaction = reactions[i];
            c[C].opt.ignore_eos = 1; /* so that it is still running */
            c[C].opt.max_new_tokens = 60;
            submit_all(c, 3);
            run(&t);
            check_result(&c[A]);
            check_cancelled(&c[i == 1 ? C : B]);
            if (i != 1)
                assert_int_equal(c[B].n_texts, i == 0 ? 1 : 2);
            c[B].answer = 0;
            check_result(&c[i == 1 ? B : C]);
            test_close(&t);
        }
}

/* Results waiting for their turn, and failed jobs, when everything is cancelled. */
static void what_has_failed_keeps_its_error(void **state)
{
    test t;
    client c[3];
    test_open(&t, 3, 2, SCHEDULER_IN_ORDER);
    client_init(&c[A], &t, 'A', LONG);
    client_init(&c[B], &t, 'B', SHORT);
    client_init(&c[C], &t, 'C', SHORT);
    c[C].job.clip = (qasr_clip){ .path = "missing.wav", .user = &c[C] };
    c[B].job.priority = c[C].job.priority = 1;
    submit_all(c, 3);
    while (free_slots(&t) == 3 || c[A].n_segments == 0)
        steps(&t, 1);
    scheduler_cancel_all(t.scheduler);
    assert_int_equal(free_slots(&t), 3);
    run(&t);
    check_cancelled(&c[A]);
    check_cancelled(&c[B]);
    assert_int_equal(c[C].error.status, QASR_E_IO);
    test_close(&t);
}

/* ---- submitting in callbacks ---- */

static void submit_other(client *c)
{
    if (c->other)
        submit(c->other);
    c->other = NULL;
}

static int count_polls(void *user)
{
    client *c = user;
    return ++c->n_polls == c->max_polls;
}

static void polls_cancel_in_the_middle_of_a_segment(void **state)
{
    static const size_t limits[] = { 1, 2, 5 }; /* before it is opened, before it is encoded, while it is decoded */
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        test t;
        client c[2];
        test_open(&t, 2, 1, SCHEDULER_AS_READY);
        client_init(&c[A], &t, 'A', LONG);
        client_init(&c[B], &t, 'B', ENGLISH);
        c[A].opt.on_poll = c[B].opt.on_poll = count_polls;
        c[A].max_polls = limits[i];
        submit_all(c, ARRAY_LEN(c));
        run(&t);
        assert_int_equal(c[A].error.status, QASR_E_CANCELLED);
        assert_int_equal(c[A].n_polls, limits[i]);
        assert_int_equal(c[A].n_segments, 0);
        assert_true(c[B].n_polls > qasr_result_segment(c[B].result, 0)->n_tokens);
        qasr_result_free(c[B].result);
        test_close(&t);
    }
}

static void callbacks_submit(void **state)
{
    test t;
    client c[3];
    test_open(&t, 2, 2, SCHEDULER_AS_READY);
    client_init(&c[A], &t, 'A', ENGLISH);
    client_init(&c[B], &t, 'B', RUSSIAN);
    client_init(&c[C], &t, 'C', ENGLISH);
    c[A].opt.on_text = take_text;
    c[A].reaction = submit_other;
    c[A].other = &c[B];
    c[B].last_word = submit_other; /* otherwise the scheduler would be idle */
    c[B].other = &c[C];
    submit(&c[A]);
    run(&t);
    assert_true(strchr(t.log, 'B') < strchr(t.log, 'C'));
    check_results(c, 3);
    test_close(&t);
}

/* ---- closing ---- */

static void submit_in_vain(client *c)
{
    qasr_error err;
    assert_int_equal(scheduler_submit(c->test->scheduler, &c->id, &c->other->job, &err), QASR_E_CANCELLED);
}

static void closing_completes_all_jobs(void **state)
{
    for (int delivery = SCHEDULER_AS_READY; delivery <= SCHEDULER_IN_ORDER; delivery++) {
        test t;
        client c[5];
        qasr_error err;
        qasr_result *result = NULL;
        test_open(&t, 2, 2, (scheduler_delivery)delivery);
        for (size_t k = 0; k < ARRAY_LEN(c); k++) {
            client_init(&c[k], &t, (char)('A' + k), k ? ENGLISH : LONG);
            c[k].opt.on_segment = NULL;
            submit(&c[k]);
        }
        c[1].last_word = submit_in_vain;
        c[1].other = &c[0];
        steps(&t, 3);
        scheduler_close(t.scheduler);
        assert_string_equal(t.log, "ABCDE");
        for (size_t k = 0; k < ARRAY_LEN(c); k++)
            check_cancelled(&c[k]);
        must(qasr_transcribe(&result, t.session, sounds[SHORT].pcm, sounds[SHORT].n, NULL, &err), &err);
        qasr_result_free(result);
        t.scheduler = NULL;
        test_close(&t);
    }
}

static void the_session_is_busy_meanwhile(void **state)
{
    test t;
    qasr_error err;
    qasr_result *result = NULL;
    scheduler *other = NULL;
    qasr_teacher_forcing *forced = NULL;
    const struct sound *x = &sounds[SHORT];
    test_open(&t, 1, 1, SCHEDULER_AS_READY);
    assert_int_equal(scheduler_open(&other, t.session, SCHEDULER_AS_READY, &err), QASR_E_INVALID);
    assert_int_equal(qasr_transcribe(&result, t.session, x->pcm, x->n, NULL, &err), QASR_E_INVALID);
    assert_int_equal(qasr_teacher_forcing_open(&forced, t.session, x->pcm, x->n, NULL, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "the session is busy with a transcription"));
    assert_true(!other && !result && !forced);
    scheduler_close(t.scheduler);
    must(qasr_teacher_forcing_open(&forced, t.session, x->pcm, x->n, NULL, &err), &err);
    assert_int_equal(scheduler_open(&other, t.session, SCHEDULER_AS_READY, &err), QASR_E_INVALID);
    qasr_teacher_forcing_close(forced);
    mem_fail_after(0);
    assert_int_equal(scheduler_open(&other, t.session, SCHEDULER_AS_READY, &err), QASR_E_NOMEM);
    mem_fail_after(SIZE_MAX);
    must(scheduler_open(&t.scheduler, t.session, SCHEDULER_AS_READY, &err), &err);
    test_close(&t);
}

/* Whichever allocation fails: every job completes once, right or with that error. */
static void failing_allocations_lose_no_job(void **state)
{
    size_t n = 0, n_failed = 0;
    test t;
    test_open(&t, 2, 1, SCHEDULER_AS_READY);
    for (bool whole = false; !whole; n += 1 + n / 4) {
        client c[3];
        qasr_error err;
        size_t n_submitted = 0;
        whole = true;
        memset(t.log, 0, sizeof t.log);
        mem_fail_after(n);
        for (size_t k = 0; k < ARRAY_LEN(c); k++) {
            client_init(&c[k], &t, (char)('A' + k), k ? SHORT : ENGLISH);
            c[k].opt.on_text = take_text;
            n_submitted += scheduler_submit(t.scheduler, NULL, &c[k].job, &err) == QASR_OK;
        }
        run(&t);
        mem_fail_after(SIZE_MAX);
        for (size_t k = 0; k < ARRAY_LEN(c); k++) {
            assert_int_equal(c[k].n_done, k < n_submitted);
            if (!c[k].result) {
                assert_true(k >= n_submitted || c[k].error.status == QASR_E_NOMEM);
                n_failed++;
                whole = false;
            }
        }
        assert_int_equal(free_slots(&t), 2);
        if (whole)
            check_results(c, ARRAY_LEN(c));
        for (size_t k = 0; k < ARRAY_LEN(c); k++)
            qasr_result_free(c[k].result);
    }
    assert_true(n > 40 && n_failed > 20);
    test_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_job_overtakes_a_long_one),
        cmocka_unit_test(in_order_delivery_holds_back_what_is_ready),
        cmocka_unit_test(jobs_of_equal_priority_take_turns),
        cmocka_unit_test(free_slots_go_to_the_highest_priority),
        cmocka_unit_test(room_is_told),
        cmocka_unit_test(options_are_those_of_the_job),
        cmocka_unit_test(errors_are_those_of_the_job),
        cmocka_unit_test(cancelled_jobs_free_their_memory),
        cmocka_unit_test(callbacks_cancel),
        cmocka_unit_test(what_has_failed_keeps_its_error),
        cmocka_unit_test(polls_cancel_in_the_middle_of_a_segment),
        cmocka_unit_test(callbacks_submit),
        cmocka_unit_test(closing_completes_all_jobs),
        cmocka_unit_test(the_session_is_busy_meanwhile),
        cmocka_unit_test(failing_allocations_lose_no_job),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
