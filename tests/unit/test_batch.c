/* Batched decoding: tokens do not depend on the batch, the order, the threads or the other clips; clips complete in
 * order, even if others fail; samples are not kept after the call. Through the public API, on the demo model. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "device/registry.h"
#include "engine/engine.h"
#include "model/decoder.h"
#include "model/kv_slots.h"
#include "qasr/qasr_tools.h"
#include "session_fixture.h"

static const char *const files[] = {
    MODEL_DIR "/samples/en.flac",
    TEST_DATA "/golden/clips/ru-002.flac",
    TEST_DATA "/golden/clips/silence-1s.flac",
    MODEL_DIR "/samples/ru.flac",
    TEST_DATA "/golden/clips/en-001.flac",
    MODEL_DIR "/eval/long/ru-long-31s.flac",
    TEST_DATA "/golden/clips/short-200ms.flac",
    TEST_DATA "/golden/clips/en-000.flac",
    TEST_DATA "/golden/clips/ru-000.flac",
    TEST_DATA "/golden/clips/en-002.flac",
    TEST_DATA "/audio/jfk.wav",
};
enum { N_FILES = ARRAY_LEN(files), MAX_CLIPS = 32 };
static const char long_file[] = MODEL_DIR "/eval/long/en-long-45s.flac";

/* ---- audio and sessions ---- */

static struct sound {
    float *pcm;
    size_t n;
} audio_files[N_FILES], long_sound;

static int open_all(void **state)
{
    qasr_error err;
    qasr_status status = qasr_model_open(&opened, MODEL_DIR, NULL, &err);
    for (size_t i = 0; i < N_FILES && status == QASR_OK; i++)
        status = qasr_audio_load(&audio_files[i].pcm, &audio_files[i].n, files[i], &err);
    if (status == QASR_OK)
        status = qasr_audio_load(&long_sound.pcm, &long_sound.n, long_file, &err);
    if (status != QASR_OK)
        print_error("cannot set up: %s\n", err.message);
    return status == QASR_OK ? 0 : -1;
}

static int close_all(void **state)
{
    for (size_t i = 0; i < N_FILES; i++)
        qasr_audio_free(audio_files[i].pcm);
    qasr_audio_free(long_sound.pcm);
    qasr_model_close(opened);
    return 0;
}

/* ---- a caller of qasr_transcribe_many ---- */

typedef struct caller {
    size_t order[MAX_CLIPS], n_clips; /* audio files in submission order */
    size_t n_given, n_done, most_ahead;
    size_t fail_at, nan_at; /* index of a clip without samples, and of a clip with a NaN; SIZE_MAX: none */
    size_t cancel_next_at, cancel_done_at;
    size_t cancel_text_at;    /* counts calls of on_text */
    bool by_path;             /* clips are files */
    float *copies[MAX_CLIPS]; /* freed in on_done: reading them later is an error */
    qasr_result *results[MAX_CLIPS];
    qasr_error errors[MAX_CLIPS];
    char text[8000], texts[MAX_CLIPS][8000]; /* text from on_text since the last on_done, and before each */
    size_t n_texts;
} caller;

static void caller_init(caller *c, size_t n_clips)
{
    *c = (caller){ .n_clips = n_clips,
                   .fail_at = SIZE_MAX,
                   .nan_at = SIZE_MAX,
                   .cancel_next_at = SIZE_MAX,
                   .cancel_done_at = SIZE_MAX,
                   .cancel_text_at = SIZE_MAX };
    for (size_t i = 0; i < n_clips; i++)
        c->order[i] = i % N_FILES;
}

static void caller_free(caller *c)
{
    for (size_t i = 0; i < MAX_CLIPS; i++) {
        qasr_result_free(c->results[i]);
        free(c->copies[i]);
    }
}

static int give(void *user, qasr_clip *clip)
{
    caller *c = user;
    size_t i = c->n_given;
    assert_null(clip->pcm);
    if (i == c->cancel_next_at)
        return -1;
    if (i == c->n_clips)
        return 0;
    const struct sound *s = &audio_files[c->order[i]];
    c->n_given++;
    c->most_ahead = c->n_given - c->n_done > c->most_ahead ? c->n_given - c->n_done : c->most_ahead;
    clip->user = &c->copies[i];
    if (i == c->fail_at) {
        clip->error.status = QASR_E_IO;
        snprintf(clip->error.message, sizeof clip->error.message, "the disk is gone");
        return 1;
    }
    if (c->by_path) {
        clip->path = files[c->order[i]];
        return 1;
    }
    c->copies[i] = malloc(s->n * sizeof(float));
    memcpy(c->copies[i], s->pcm, s->n * sizeof(float));
    if (i == c->nan_at)
        c->copies[i][s->n - 1] = NAN;
    clip->pcm = c->copies[i];
    clip->n_samples = s->n;
    return 1;
}

static int take(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    caller *c = user;
    size_t i = c->n_done++;
    assert_ptr_equal(clip->user, &c->copies[i]); /* in order */
    assert_true((result != NULL) != (error != NULL));
    free(c->copies[i]);
    c->copies[i] = NULL;
    c->results[i] = result;
    if (error)
        c->errors[i] = *error;
    strcpy(c->texts[i], c->text);
    c->text[0] = 0;
    return i == c->cancel_done_at;
}

static int hear(void *user, const char *text)
{
    caller *c = user;
    strncat(c->text, text, sizeof c->text - strlen(c->text) - 1);
    return c->n_texts++ == c->cancel_text_at;
}

static qasr_status transcribe_many(caller *c, qasr_session *s, qasr_error *err)
{
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.on_text = hear;
    opt.user = c;
    return qasr_transcribe_many(s, &opt, give, take, c, err);
}

/* The expected results: each clip alone, one token at a time. */
static void transcribe_alone(qasr_result *results[N_FILES], const char *kv_type)
{
    qasr_error err;
    qasr_session *s = open_session(1, 1, kv_type);
    for (size_t i = 0; i < N_FILES; i++)
        must(qasr_transcribe(&results[i], s, audio_files[i].pcm, audio_files[i].n, NULL, &err), &err);
    qasr_session_close(s);
}

static void free_results(qasr_result **results, size_t n)
{
    for (size_t i = 0; i < n; i++)
        qasr_result_free(results[i]);
}

/* ---- the same tokens ---- */

static void check_many(qasr_result *const alone[N_FILES], int batch, int n_threads, const char *kv_type, bool backwards)
{
    qasr_error err;
    caller c;
    qasr_session *s = open_session(batch, n_threads, kv_type);
    caller_init(&c, N_FILES);
    for (size_t i = 0; i < N_FILES && backwards; i++)
        c.order[i] = N_FILES - 1 - i;
    must(transcribe_many(&c, s, &err), &err);
    assert_int_equal(c.n_done, N_FILES);
    assert_true(c.most_ahead <= 2 * (size_t)(batch ? batch : 8));
    for (size_t i = 0; i < N_FILES; i++) {
        same_result(c.results[i], alone[c.order[i]]);
        if (qasr_result_stop_reason(c.results[i]) == QASR_STOP_EOS)
            assert_string_equal(c.texts[i], qasr_result_text(c.results[i])); /* shown in order */
    }
    caller_free(&c);
    qasr_session_close(s);
}

static void batch_and_threads_do_not_change_tokens(void **state)
{
    /* 0: the default; 11: more rows than a group of matrix-vector products */
    static const struct {
        int batch, threads;
    } sessions[] = {
        { 1, 5 }, { 2, 1 }, { 3, 2 }, { 8, 1 }, { 8, 5 }, { 0, 2 }, { 11, 2 },
    };
    qasr_result *alone[N_FILES] = { NULL };
    transcribe_alone(alone, NULL);
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++)
        check_many(alone, sessions[i].batch, sessions[i].threads, NULL, i % 2);
    free_results(alone, N_FILES);
}

static void every_type_of_keys_and_values_has_its_own_tokens(void **state)
{
    static const char *const types[] = { "f32", "q8_0" };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        qasr_result *alone[N_FILES] = { NULL };
        transcribe_alone(alone, types[i]);
        check_many(alone, 3, 2, types[i], true);
        assert_non_null(strstr(qasr_result_text(alone[0]), "the singer is not in the airport"));
        free_results(alone, N_FILES);
    }
}

static void quantized_decoders_give_the_same_tokens_too(void **state)
{
    static const char *const qtypes[] = { "q8_0", "q4_0", "q6_k" };
    qasr_model *full = opened;
    for (size_t i = 0; i < ARRAY_LEN(qtypes); i++) {
        qasr_error err;
        char gguf[] = "/tmp/qasr-batch-XXXXXX";
        close(mkstemp(gguf));
        qasr_quantize_options q = QASR_QUANTIZE_OPTIONS_INIT;
        q.input = MODEL_DIR;
        q.output = gguf;
        q.qtype = qtypes[i];
        q.quantize_embeddings = 1;
        q.overwrite = 1;
        must(qasr_quantize(&q, NULL, &err), &err);
        qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
        mo.decoder_gguf = gguf;
        must(qasr_model_open(&opened, MODEL_DIR, &mo, &err), &err);
        qasr_result *alone[N_FILES] = { NULL };
        transcribe_alone(alone, NULL);
        check_many(alone, i % 2 ? 8 : 11, 2, NULL, i % 2);
        free_results(alone, N_FILES);
        qasr_model_close(opened);
        opened = full;
        unlink(gguf);
    }
}

static void segments_of_a_clip_are_decoded_together(void **state)
{
    qasr_error err;
    qasr_result *results[3] = { NULL };
    static const int batches[] = { 1, 0, 3 };
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        caller c;
        caller_init(&c, 0);
        qasr_session *s = open_session(batches[i], 2, NULL);
        qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
        opt.max_segment_s = 6;
        opt.on_text = hear;
        opt.user = &c;
        must(qasr_transcribe(&results[i], s, long_sound.pcm, long_sound.n, &opt, &err), &err);
        qasr_session_close(s);
        same_result(results[i], results[0]);
        size_t n_tokens = 0, n = qasr_result_segment_count(results[i]);
        assert_true(n >= 8);
        for (size_t p = 0; p < n; p++) {
            const qasr_segment *segment = qasr_result_segment(results[i], p);
            n_tokens += segment->n_tokens; /* prefill gives the first token, the last pass the end token */
        }
        assert_string_equal(c.text, qasr_result_text(results[i]));
        assert_true(c.n_texts > n);
        const qasr_timings *t = qasr_result_timings(results[i]);
        assert_int_equal(t->n_decoded_tokens, n_tokens);
        assert_true(t->decode_s > 0 && t->total_s > t->decode_s);
        if (batches[i] == 1)
            assert_int_equal(t->n_decode_steps, n_tokens);
        else
            assert_true(t->n_decode_steps < n_tokens && t->n_decode_steps * 8 > n_tokens);
    }
    free_results(results, ARRAY_LEN(results));
}

/* Files are read segment by segment, with the same cuts and results as samples in memory. */
static void files_give_what_their_samples_give(void **state)
{
    qasr_error err;
    caller by_path, by_samples;
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_segment_s = 7;
    qasr_session *s = open_session(0, 2, NULL);
    caller_init(&by_path, N_FILES);
    caller_init(&by_samples, N_FILES);
    by_path.by_path = true;
    must(qasr_transcribe_many(s, &opt, give, take, &by_path, &err), &err);
    must(qasr_transcribe_many(s, &opt, give, take, &by_samples, &err), &err);
    assert_true(qasr_result_segment_count(by_path.results[5]) >= 4);
    for (size_t i = 0; i < N_FILES; i++) {
        same_result(by_path.results[i], by_samples.results[i]);
        assert_true(qasr_result_timings(by_path.results[i])->audio_s == (double)audio_files[i].n / 16000);
        assert_true(qasr_result_timings(by_samples.results[i])->audio_s == (double)audio_files[i].n / 16000);
    }
    caller_free(&by_path);
    caller_free(&by_samples);
    qasr_session_close(s);
}

/* Segments delivered one by one, for parts of files. */
typedef struct watcher {
    qasr_audio_options audio;
    size_t n_given, n_done, n_segments, n_of_clip, cancel_at;
    struct {
        double start_s, end_s;
        char text[400];
    } seen[40]; /* of the current clip */
} watcher;

static int give_part(void *user, qasr_clip *clip)
{
    watcher *w = user;
    clip->path = w->n_given % 2 ? long_file : files[5];
    clip->audio = &w->audio;
    return w->n_given++ < 3;
}

static int watch_segment(void *user, const struct qasr_segment *p)
{
    watcher *w = user;
    assert_true(w->n_of_clip < ARRAY_LEN(w->seen));
    w->seen[w->n_of_clip].start_s = p->start_s;
    w->seen[w->n_of_clip].end_s = p->end_s;
    snprintf(w->seen[w->n_of_clip].text, sizeof w->seen[0].text, "%s", p->text);
    w->n_of_clip++;
    return ++w->n_segments == w->cancel_at;
}

static int take_part(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    watcher *w = user;
    w->n_done += result != NULL;
    assert_true(result || error->status == QASR_E_CANCELLED);
    for (size_t i = 0; result && i < qasr_result_segment_count(result); i++) {
        const qasr_segment *p = qasr_result_segment(result, i);
        assert_true(i < w->n_of_clip && p->start_s == w->seen[i].start_s && p->end_s == w->seen[i].end_s);
        assert_string_equal(p->text, w->seen[i].text);
        assert_true(i > 0 ? p->start_s == w->seen[i - 1].end_s : p->start_s == 2.5);
    }
    if (result) {
        assert_int_equal(w->n_of_clip, qasr_result_segment_count(result));
        assert_true(fabs(qasr_result_timings(result)->audio_s - 22) < 1e-9); /* of the part */
        assert_true(fabs(w->seen[w->n_of_clip - 1].end_s - 24.5) < 1e-9);
    }
    qasr_result_free(result);
    w->n_of_clip = 0;
    return 0;
}

static void segments_come_in_order_before_their_result(void **state)
{
    static const size_t cancel_at[] = { 0, 5 };
    for (size_t i = 0; i < ARRAY_LEN(cancel_at); i++) {
        qasr_error err;
        watcher w = { .audio = QASR_AUDIO_OPTIONS_INIT, .cancel_at = cancel_at[i] };
        w.audio.start_s = 2.5;
        w.audio.duration_s = 22;
        qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
        opt.max_segment_s = 8;
        opt.on_segment = watch_segment;
        opt.user = &w;
        qasr_session *s = open_session(3, 2, NULL);
        qasr_status status = qasr_transcribe_many(s, &opt, give_part, take_part, &w, &err);
        assert_int_equal(status, cancel_at[i] ? QASR_E_CANCELLED : QASR_OK);
        if (cancel_at[i])
            assert_true(w.n_segments == cancel_at[i] && w.n_done < 3);
        else
            assert_true(w.n_segments >= 9 && w.n_done == 3);
        qasr_session_close(s);
    }
}

typedef struct odd_clips {
    size_t n_given;
    qasr_error errors[3];
} odd_clips;

static int give_odd(void *user, qasr_clip *clip)
{
    odd_clips *o = user;
    clip->path = o->n_given == 0 ? "missing.wav" : o->n_given == 1 ? files[1] : NULL;
    clip->pcm = o->n_given == 1 ? audio_files[0].pcm : NULL;
    clip->n_samples = o->n_given > 0;
    return o->n_given++ < 3;
}

static int take_odd(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    odd_clips *o = user;
    assert_null(result);
    o->errors[o->errors[0].status ? o->errors[1].status ? 2 : 1 : 0] = *error;
    return 0;
}

static void clips_without_sound_have_their_errors(void **state)
{
    qasr_error err;
    odd_clips o = { 0 };
    qasr_session *s = open_session(2, 1, NULL);
    must(qasr_transcribe_many(s, NULL, give_odd, take_odd, &o, &err), &err);
    assert_int_equal(o.errors[0].status, QASR_E_IO);
    assert_non_null(strstr(o.errors[0].message, "cannot open 'missing.wav'"));
    assert_int_equal(o.errors[1].status, QASR_E_INVALID);
    assert_non_null(strstr(o.errors[1].message, "both a path"));
    assert_int_equal(o.errors[2].status, QASR_E_INVALID);
    assert_non_null(strstr(o.errors[2].message, "pcm is NULL"));
    qasr_session_close(s);
}

/* The time of a pass is divided among its sequences. */
static void times_of_the_clips_add_up(void **state)
{
    qasr_error err;
    caller c;
    qasr_session *s = open_session(4, 2, NULL);
    caller_init(&c, 4);
    for (size_t i = 0; i < 4; i++)
        c.order[i] = 3; /* the same clip four times: all end in the same pass */
    must(transcribe_many(&c, s, &err), &err);
    const qasr_timings *first = qasr_result_timings(c.results[0]);
    double sum = 0;
    for (size_t i = 0; i < 4; i++) {
        const qasr_timings *t = qasr_result_timings(c.results[i]);
        assert_int_equal(t->n_decode_steps, qasr_result_segment(c.results[i], 0)->n_tokens);
        assert_int_equal(t->n_decoded_tokens, t->n_decode_steps);
        assert_true(fabs(t->decode_s - first->decode_s) <= 1e-9);
        assert_true(t->mel_s > 0 && t->encode_s > 0 && t->prefill_s > 0);
        sum += t->decode_s;
    }
    assert_true(sum < first->total_s);
    caller_free(&c);
    qasr_session_close(s);
}

/* ---- failures and cancellation ---- */

static void a_failing_clip_does_not_stop_the_others(void **state)
{
    qasr_error err;
    qasr_result *alone[N_FILES] = { NULL };
    transcribe_alone(alone, NULL);
    for (int batch = 1; batch <= 4; batch += 3) {
        caller c;
        qasr_session *s = open_session(batch, 2, NULL);
        caller_init(&c, N_FILES);
        c.fail_at = 1;
        c.nan_at = 4;
        must(transcribe_many(&c, s, &err), &err);
        assert_int_equal(c.n_done, N_FILES);
        for (size_t i = 0; i < N_FILES; i++)
            if (i != 1 && i != 4)
                same_result(c.results[i], alone[i]);
        assert_int_equal(c.errors[1].status, QASR_E_IO);
        assert_string_equal(c.errors[1].message, "the disk is gone");
        assert_int_equal(c.errors[4].status, QASR_E_INVALID);
        assert_non_null(strstr(c.errors[4].message, "is not a finite number"));
        caller_free(&c);
        qasr_session_close(s);
    }
    free_results(alone, N_FILES);
}

static void a_segment_that_does_not_fit_fails_its_clip(void **state)
{
    qasr_error err;
    caller c;
    qasr_session *s = open_session(2, 2, NULL);
    caller_init(&c, 3);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_new_tokens = 1 << 30; /* more positions than the model has */
    must(qasr_transcribe_many(s, &opt, give, take, &c, &err), &err);
    assert_int_equal(c.n_done, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_null(c.results[i]);
        assert_int_equal(c.errors[i].status, QASR_E_INVALID);
    }
    caller_free(&c);
    qasr_session_close(s);
}

/* Sequences that reserve 400 MB of KV cache each: an automatic batch takes five of them, an explicit one takes all. */
static void an_automatic_batch_is_limited_by_memory(void **state)
{
    qasr_error err;
    for (int batch = 0; batch <= 8; batch += 8) {
        caller c;
        caller_init(&c, 8);
        for (size_t i = 0; i < 8; i++)
            c.order[i] = 3;
        qasr_session *s = open_session(batch, 2, "f32");
        qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
        opt.max_new_tokens = 65000;
        must(qasr_transcribe_many(s, &opt, give, take, &c, &err), &err);
        assert_int_equal(c.most_ahead, batch ? 8 : 6); /* including the one that waits */
        for (size_t i = 0; i < 8; i++)
            same_result(c.results[i], c.results[0]);
        caller_free(&c);
        qasr_session_close(s);
    }
}

/* Every submitted clip completes, with a result or with QASR_E_CANCELLED. */
static void check_cancelled(qasr_session *s, size_t next_at, size_t done_at, size_t text_at, size_t n_results)
{
    qasr_error err;
    caller c;
    caller_init(&c, N_FILES);
    c.cancel_next_at = next_at;
    c.cancel_done_at = done_at;
    c.cancel_text_at = text_at;
    assert_int_equal(transcribe_many(&c, s, &err), QASR_E_CANCELLED);
    assert_string_equal(err.message, "transcription was cancelled");
    assert_int_equal(c.n_done, c.n_given);
    if (next_at != SIZE_MAX)
        assert_int_equal(c.n_given, next_at);
    if (text_at != SIZE_MAX)
        assert_int_equal(c.n_texts, text_at + 1);
    for (size_t i = 0; i < c.n_done; i++) {
        assert_true((c.results[i] != NULL) == (i < n_results));
        if (i >= n_results)
            assert_int_equal(c.errors[i].status, QASR_E_CANCELLED);
    }
    caller_free(&c);
}

static void callbacks_cancel(void **state)
{
    qasr_error err;
    caller c;
    qasr_session *s = open_session(3, 2, NULL);
    check_cancelled(s, 0, SIZE_MAX, SIZE_MAX, 0);
    check_cancelled(s, 2, SIZE_MAX, SIZE_MAX, 0); /* two had started */
    check_cancelled(s, SIZE_MAX, 0, SIZE_MAX, 1);
    check_cancelled(s, SIZE_MAX, 4, SIZE_MAX, 5);
    check_cancelled(s, SIZE_MAX, SIZE_MAX, 3, 0);
    qasr_result *alone[N_FILES] = { NULL };
    transcribe_alone(alone, NULL);
    caller_init(&c, N_FILES); /* the session is still usable */
    must(transcribe_many(&c, s, &err), &err);
    for (size_t i = 0; i < N_FILES; i++)
        same_result(c.results[i], alone[i]);
    caller_free(&c);
    free_results(alone, N_FILES);
    caller_init(&c, 0);
    must(transcribe_many(&c, s, &err), &err);
    assert_int_equal(c.n_done, 0);
    qasr_session_close(s);
}

static void wrong_arguments_are_refused(void **state)
{
    qasr_error err;
    caller c;
    qasr_session *s = NULL;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    so.batch = 65;
    assert_int_equal(qasr_session_open(&s, opened, &so, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "batch"));
    so.batch = -1;
    assert_int_equal(qasr_session_open(&s, opened, &so, &err), QASR_E_INVALID);
    so.batch = 0;
    so.kv_type = "q4_0";
    assert_int_equal(qasr_session_open(&s, opened, &so, &err), QASR_E_INVALID);
    assert_string_equal(err.message, "unknown KV cache type 'q4_0'; expected f16, f32, q8_0");
    assert_null(s);
    s = open_session(2, 1, NULL);
    caller_init(&c, 2);
    assert_int_equal(qasr_transcribe_many(s, NULL, NULL, take, &c, &err), QASR_E_INVALID);
    assert_int_equal(qasr_transcribe_many(s, NULL, give, NULL, &c, &err), QASR_E_INVALID);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.language = "Klingon";
    assert_int_equal(qasr_transcribe_many(s, &opt, give, take, &c, &err), QASR_E_INVALID);
    opt = (qasr_transcribe_options)QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_new_tokens = -1;
    assert_int_equal(qasr_transcribe_many(s, &opt, give, take, &c, &err), QASR_E_INVALID);
    assert_string_equal(err.message, "qasr_transcribe_many: max_new_tokens must not be negative");
    assert_int_equal(c.n_given, 0); /* fails before the first clip is requested */
    qasr_session_close(s);
}

/* ---- concurrent sessions ---- */

/* A thread that transcribes all audio files, one after another. */
typedef struct worker {
    pthread_t thread;
    qasr_session *s;
    qasr_status status;
    qasr_error err;
    qasr_result *results[N_FILES];
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    for (size_t i = 0; i < N_FILES && w->status == QASR_OK; i++)
        w->status = qasr_transcribe(&w->results[i], w->s, audio_files[i].pcm, audio_files[i].n, NULL, &w->err);
    return NULL;
}

static void work_at_once(qasr_session *const sessions[], size_t n, qasr_result *const alone[N_FILES])
{
    worker w[2] = { { 0 } };
    assert_true(n <= ARRAY_LEN(w));
    for (size_t i = 0; i < n; i++) {
        w[i].s = sessions[i];
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(w[i].thread, NULL);
    for (size_t i = 0; i < n; i++) {
        must(w[i].status, &w[i].err);
        for (size_t k = 0; k < N_FILES; k++)
            same_result(w[i].results[k], alone[k]);
        free_results(w[i].results, N_FILES);
    }
}

/* Sessions of one model, used in two threads, closed in any order. */
static void sessions_share_the_weights(void **state)
{
    qasr_result *alone[N_FILES] = { NULL };
    transcribe_alone(alone, NULL);
    qasr_session *s[2] = { open_session(1, 2, NULL), open_session(3, 1, NULL) };
    assert_ptr_equal(s[0]->net, s[1]->net);
    assert_ptr_not_equal(s[0]->device, s[1]->device);
    work_at_once(s, 2, alone);
    qasr_session_close(s[0]); /* the one that loaded the weights */
    s[0] = open_session(0, 1, NULL);
    assert_ptr_equal(s[0]->net, s[1]->net);
    work_at_once(s, 2, alone);
    qasr_session_close(s[1]);
    work_at_once(s, 1, alone);
    qasr_session_close(s[0]);
    free_results(alone, N_FILES);
}

/* Convolution weights may be packed for another precision. */
static void a_net_serves_sessions_of_its_precision(void **state)
{
    qasr_error err;
    qasr_session *fast = open_session(1, 1, NULL), *exact = NULL;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    so.precision = QASR_PRECISION_F32;
    so.n_threads = 1;
    must(qasr_session_open(&exact, opened, &so, &err), &err);
    bool same_form = fast->net->conv_packed[1].type == exact->net->conv_packed[1].type;
    assert_int_equal(fast->net == exact->net, same_form);
    qasr_session_close(fast);
    qasr_session_close(exact);
}

/* Wide slots have memory of their own, also where others share blocks, and give it back. */
static void wide_slots_count_their_memory(void **state)
{
    enum { POSITIONS = 64 };
    qasr_error err;
    const model_config config = { .dec = { .head_dim = 64, .n_layers = 2, .n_kv_heads = 2 } };
    static const quant_type types[] = { QUANT_F16, QUANT_Q8_0 };
    for (int i = 0; i < 4; i++) {
        device *d;
        kv_slots *kv;
        size_t narrow, wide, again;
        const quant_type type = types[i / 2];
        must(device_open(&d, "cpu", 1, DEVICE_FAST, &err), &err);
        d->kv_together = i % 2;
        must(kv_slots_create(&kv, d, &config, type, 3, &err), &err);
        const uint64_t once = kv_slots_more_bytes(kv, POSITIONS, false),
                       twice = kv_slots_more_bytes(kv, POSITIONS, true);
        assert_int_equal(once * dmat_row_bytes(QUANT_F32, 64), twice * dmat_row_bytes(type, 64));
        must(kv_slots_open(kv, &narrow, POSITIONS, false, &err), &err);
        must(kv_slots_open(kv, &wide, POSITIONS, true, &err), &err);
        assert_int_equal(kv_slots_bytes(kv), once + twice);
        assert_int_equal(kv_slots_type(kv, narrow), type);
        assert_int_equal(kv_slots_type(kv, wide), QUANT_F32);
        assert_int_equal(kv_slots_view(kv, 1, 0).v[wide].type, QUANT_F32);
        assert_int_equal(kv_slots_view(kv, 1, 0).v[narrow].type, type);
        kv_slots_close(kv, wide);
        assert_int_equal(kv_slots_bytes(kv), once);
        must(kv_slots_open(kv, &again, POSITIONS, false, &err), &err);
        assert_int_equal(kv_slots_type(kv, again), type);
        kv_slots_free(kv);
        device_close(d);
    }
}

static void heads_must_suit_the_type_of_keys(void **state)
{
    qasr_error err;
    decoder *d = NULL;
    model_config config = { .dec = { .head_dim = 48, .n_layers = 1, .n_kv_heads = 1 } };
    net_context context = { .net = &(net){ .config = &config } };
    assert_int_equal(decoder_create(&d, &context, QUANT_Q8_0, 1, &err), QASR_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "use f16 or f32"));
    assert_null(d);
    must(decoder_create(&d, &context, QUANT_F16, 1, &err), &err);
    decoder_free(d);
}

/* A Chinese character is three tokens of a byte. Wherever the limit cuts, the text shown and the result are the same
 * whole characters, as are the words. */
static void no_part_of_a_character_is_shown(void **state)
{
    qasr_error err;
    float *pcm = NULL;
    size_t n = 0, n_cut = 0;
    char whole[1000] = "";
    qasr_session *s = open_session(0, 2, NULL);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    must(qasr_audio_load(&pcm, &n, MODEL_DIR "/eval/multi/zh-000.flac", &err), &err);
    for (int limit = 60; limit >= 12; limit--) {
        caller c;
        qasr_result *result = NULL;
        caller_init(&c, 0);
        opt.max_new_tokens = limit;
        opt.token_scores = 1;
        opt.on_text = hear;
        opt.user = &c;
        must(qasr_transcribe(&result, s, pcm, n, &opt, &err), &err);
        const char *text = qasr_result_text(result);
        const qasr_segment *p = qasr_result_segment(result, 0);
        n_cut += qasr_result_stop_reason(result) == QASR_STOP_LIMIT;
        if (!*whole)
            snprintf(whole, sizeof whole, "%s", text);
        assert_string_equal(c.text, text);
        assert_memory_equal(text, whole, strlen(text));
        assert_int_equal(strlen(text) % 3, 0); /* whole characters of three bytes */
        char words[1000] = "";
        for (size_t i = 0; i < p->n_words; i++)
            strcat(words, qasr_segment_word(p, i)->text);
        assert_string_equal(words, text);
        qasr_result_free(result);
    }
    assert_in_range(n_cut, 30, 40);
    qasr_audio_free(pcm);
    qasr_session_close(s);
}

/* Whichever allocation fails, every clip completes, correctly or with an error, and the session stays usable. */
static void failing_allocations_lose_no_clip(void **state)
{
    enum { CLIPS = 3 };
    static const size_t order[CLIPS] = { 6, 1, 2 };
    qasr_error err;
    qasr_result *alone[N_FILES] = { NULL };
    transcribe_alone(alone, NULL);
    size_t n = 0, n_failed = 0;
    for (bool whole = false; !whole; n += 1 + n / 6) {
        caller c;
        qasr_session *s = open_session(2, 1, NULL);
        caller_init(&c, CLIPS);
        c.by_path = n % 2;
        memcpy(c.order, order, sizeof order);
        mem_fail_after(n);
        qasr_status status = transcribe_many(&c, s, &err);
        mem_fail_after(SIZE_MAX);
        whole = status == QASR_OK && c.n_given == CLIPS;
        assert_int_equal(c.n_done, c.n_given);
        for (size_t i = 0; i < c.n_done; i++) {
            if (c.results[i]) {
                same_result(c.results[i], alone[order[i]]);
            } else {
                assert_int_equal(c.errors[i].status, QASR_E_NOMEM);
                whole = false;
                n_failed++;
            }
        }
        caller_free(&c);
        caller_init(&c, 2); /* after any failure */
        must(transcribe_many(&c, s, &err), &err);
        same_result(c.results[0], alone[0]);
        same_result(c.results[1], alone[1]);
        caller_free(&c);
        qasr_session_close(s);
    }
    assert_true(n > 50 && n_failed > 5);
    free_results(alone, N_FILES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_and_threads_do_not_change_tokens),
        cmocka_unit_test(every_type_of_keys_and_values_has_its_own_tokens),
        cmocka_unit_test(quantized_decoders_give_the_same_tokens_too),
        cmocka_unit_test(segments_of_a_clip_are_decoded_together),
        cmocka_unit_test(files_give_what_their_samples_give),
        cmocka_unit_test(segments_come_in_order_before_their_result),
        cmocka_unit_test(clips_without_sound_have_their_errors),
        cmocka_unit_test(times_of_the_clips_add_up),
        cmocka_unit_test(a_failing_clip_does_not_stop_the_others),
        cmocka_unit_test(a_segment_that_does_not_fit_fails_its_clip),
        cmocka_unit_test(an_automatic_batch_is_limited_by_memory),
        cmocka_unit_test(callbacks_cancel),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(sessions_share_the_weights),
        cmocka_unit_test(a_net_serves_sessions_of_its_precision),
        cmocka_unit_test(wide_slots_count_their_memory),
        cmocka_unit_test(heads_must_suit_the_type_of_keys),
        cmocka_unit_test(no_part_of_a_character_is_shown),
        cmocka_unit_test(failing_allocations_lose_no_clip),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
