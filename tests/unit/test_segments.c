/* Segments of long audio, on the demo model: suspect answers, retries, silence, scores, words, progress. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/answer_check.h"
#include "engine/retry.h"
#include "qasr/qasr_tools.h"
#include "session_fixture.h"

static const char long_file[] = MODEL_DIR "/eval/long/en-long-45s.flac",
                  short_file[] = TEST_DATA "/golden/clips/en-000.flac",
                  russian_file[] = TEST_DATA "/golden/clips/ru-000.flac";
enum { SECOND = 16000 };

static int open_model(void **state)
{
    qasr_error err;
    qasr_status status = qasr_model_open(&opened, MODEL_DIR, NULL, &err);
    if (status != QASR_OK)
        print_error("cannot set up: %s\n", err.message);
    return status == QASR_OK ? 0 : -1;
}

static int close_model(void **state)
{
    qasr_model_close(opened);
    return 0;
}

/* ---- answer checks ---- */

static void suspect_answers_are_told_from_others(void **state)
{
    static const struct {
        const char *text;
        qasr_stop_reason stop;
        double active_s;
        qasr_segment_status status;
    } cases[] = {
        { "one two three", QASR_STOP_EOS, 1, QASR_SEGMENT_OK },
        { "one two three", QASR_STOP_LOOP, 1, QASR_SEGMENT_SUSPECT_LOOP },
        { "one two three", QASR_STOP_LIMIT, 1, QASR_SEGMENT_SUSPECT_LIMIT },
        { "one language English<asr_text>two", QASR_STOP_EOS, 1, QASR_SEGMENT_SUSPECT_LOOP },
        { "", QASR_STOP_EOS, 0, QASR_SEGMENT_OK },
        { "", QASR_STOP_EOS, 1.9, QASR_SEGMENT_OK },
        { "", QASR_STOP_EOS, 2.1, QASR_SEGMENT_SUSPECT_EMPTY },
        { "one two three", QASR_STOP_EOS, 8.7, QASR_SEGMENT_OK }, /* 11 letters are 4.4 syllables */
        { "one two three", QASR_STOP_EOS, 8.9, QASR_SEGMENT_SUSPECT_RATE },
        { "one", QASR_STOP_EOS, 5.9, QASR_SEGMENT_OK }, /* too short to tell */
        { "abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmno", QASR_STOP_EOS, 1, QASR_SEGMENT_OK },
        { "abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnop", QASR_STOP_EOS, 1,
          QASR_SEGMENT_SUSPECT_RATE },
        { "12 345 678", QASR_STOP_EOS, 16, QASR_SEGMENT_OK },
        /* Thai has no spaces between words */
        { "\xE0\xB9\x80\xE0\xB8\x8A\xE0\xB9\x89\xE0\xB8\xB2\xE0\xB8\x99\xE0\xB8\xB5\xE0\xB9\x89\xE0\xB8\xAD"
          "\xE0\xB8\xB2\xE0\xB8\x81\xE0\xB8\xB2\xE0\xB8\xA8\xE0\xB8\x94\xE0\xB8\xB5\xE0\xB8\xA1\xE0\xB8\xB2\xE0\xB8"
          "\x81",
          QASR_STOP_EOS, 8, QASR_SEGMENT_OK },
        { "\xEC\x98\xA4\xEB\x8A\x98 \xEC\x95\x84\xEC\xB9\xA8", QASR_STOP_EOS, 8, QASR_SEGMENT_OK }, /* Korean */
        { "\xE6\x88\x91\xE4\xBB\xAC\xE5\x9C\xA8\xE8\xBF\x99\xE9\x87\x8C\xE3\x80\x82", QASR_STOP_EOS, 16,
          QASR_SEGMENT_SUSPECT_RATE },
        { "\xE6\x88\x91\xE4\xBB\xAC\xE5\x9C\xA8\xE8\xBF\x99\xE9\x87\x8C\xE3\x80\x82", QASR_STOP_EOS, 9.9,
          QASR_SEGMENT_OK }, /* five characters */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_segment p = { .text = cases[i].text, .stop = cases[i].stop };
        assert_int_equal(
            answer_check(&p, &(answer_audio){ .active_s = cases[i].active_s, .length_s = 20, .level = 0.01 }),
            cases[i].status);
        assert_int_equal(answer_is_suspect(cases[i].status), cases[i].status >= QASR_SEGMENT_SUSPECT_LOOP);
    }
    static const struct {
        const char *text;
        answer_audio audio;
        qasr_segment_status status;
    } audio_files[] = {
        { "", { 1.1, 7, 0.01, 0 }, QASR_SEGMENT_OK },
        { "", { 1.1, 7, 0.01, 1 }, QASR_SEGMENT_SUSPECT_EMPTY },
        { "", { 0.9, 7, 0.01, 1 }, QASR_SEGMENT_OK },
        { "", { 0.6, 4, 0.01, 2 }, QASR_SEGMENT_SUSPECT_EMPTY },
        { "a", { 4, 7, 0.01, 0 }, QASR_SEGMENT_OK },
        { "a", { 4, 7, 0.01, 1 }, QASR_SEGMENT_SUSPECT_RATE },
        { "", { 0, 7, 0.03, 0 }, QASR_SEGMENT_SUSPECT_EMPTY },
        { "", { 0, 1, 0.03, 0 }, QASR_SEGMENT_OK }, /* steady, loud noise */
        { "one", { 0, 7, 0.03, 0 }, QASR_SEGMENT_OK },
    };
    for (size_t i = 0; i < ARRAY_LEN(audio_files); i++)
        assert_int_equal(answer_check(&(qasr_segment){ .text = audio_files[i].text }, &audio_files[i].audio),
                         audio_files[i].status);
    assert_string_equal(qasr_segment_status_name(QASR_SEGMENT_RETRIED), "retried");
    assert_string_equal(qasr_segment_status_name(QASR_SEGMENT_SUSPECT_RATE), "suspect_rate");
    assert_string_equal(qasr_segment_status_name((qasr_segment_status)99), "unknown");
}

/* Words with '|' between. */
static void words_of_all_scripts_are_found(void **state)
{
    static const char *const cases[][2] = {
        { "它叫“猫”，对吗？", "它|叫|“猫”，|对|吗？" },
        { "「你好」と言った。", "「你|好」|と|言|っ|た。" },
        { "用GPU（显卡）算", "用|GPU|（显|卡）|算" },
        { "(one) «два» three", "(one)|«два»|three" },
        { "Größe, über Köln.", "Größe,|über|Köln." },
        { "안녕 하세요", "안녕|하세요" },
        { "……好", "……好" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char found[200] = "";
        size_t begin, end = 0, len = strlen(cases[i][0]);
        while (text_next_word(cases[i][0], len, &begin, &end))
            snprintf(found + strlen(found), sizeof found - strlen(found), "%s%.*s", *found ? "|" : "",
                     (int)(end - begin), cases[i][0] + begin);
        assert_string_equal(found, cases[i][1]);
    }
}

static void words_are_counted_in_all_scripts(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } cases[] = { { "", 0 },
                  { " \n ", 0 },
                  { "one", 1 },
                  { " It's one, two-three. ", 3 },
                  { "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE5\x97\xA8\xE3\x80\x82", 3 },
                  { "\xE7\x94\xA8 GPU2 \xE7\xAE\x97", 3 },
                  { "\xE7\x94\xA8GPU\xE7\xAE\x97", 3 },
                  { "\xEC\x95\x88\xEB\x85\x95 \xED\x95\x98\xEC\x84\xB8\xEC\x9A\x94", 2 },
                  { "caf\x65\xCC\x81 noir", 2 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(text_count_words(cases[i].text), cases[i].n);
}

/* ---- retries ---- */

static const float *room; /* 40 s of the long clip */

/* A job of 40 s, starting at 100 s, with a suspect answer. */
static segment_job suspect(qasr_segment_status status)
{
    segment_job j = { .pcm = room, .n_samples = 40 * SECOND };
    assert_int_equal(mem_strdup((char **)(uintptr_t)&j.segment.text, "text", NULL), QASR_OK);
    assert_int_equal(mem_strdup((char **)(uintptr_t)&j.segment.language, "English", NULL), QASR_OK);
    j.segment.start_s = 100;
    j.segment.end_s = 140;
    j.speech_begin = 3 * SECOND / 2;
    j.speech_end = 39 * SECOND;
    j.segment.status = status;
    return j;
}

static void a_suspect_segment_is_trimmed_then_halved(void **state)
{
    qasr_error err;
    float *pcm = NULL;
    size_t n = 0;
    retry_plan plan;
    segment_job *half = NULL;
    job_options o = { .opt = QASR_TRANSCRIBE_OPTIONS_INIT, .session = open_session(1, 1, NULL) };
    must(qasr_audio_load(&pcm, &n, long_file, &err), &err);
    room = pcm;
    segment_job j = suspect(QASR_SEGMENT_SUSPECT_RATE);
    must(retry_decide(&plan, &half, &o, &j, &err), &err);
    assert_int_equal(plan, RETRY_SAME);
    assert_int_equal(j.trim_begin, 1400 * SECOND / 1000); /* 0.1 s before the speech is kept */
    assert_int_equal(j.trim_end, 900 * SECOND / 1000);
    assert_null(j.segment.text);
    segment_job again = suspect(QASR_SEGMENT_SUSPECT_RATE);
    j.segment = again.segment;
    must(retry_decide(&plan, &half, &o, &j, &err), &err);
    assert_int_equal(plan, RETRY_HALVES);
    assert_true(j.trim_begin == 0 && j.trim_end == 0 && j.pcm == pcm && half->pcm == pcm + j.n_samples);
    assert_int_equal(j.n_samples + half->n_samples, 40 * SECOND);
    assert_true(j.audio.depth == 1 && half->audio.depth == 1); /* since there was too little text */
    assert_in_range(j.n_samples, 10 * SECOND, 30 * SECOND);
    assert_true(j.segment.start_s == 100 && j.segment.end_s == half->segment.start_s && half->segment.end_s == 140);
    assert_true(fabs(j.segment.end_s - 100 - (double)j.n_samples / SECOND) < 1e-9);
    mem_free(half);
    /* quarters, and no further */
    j.segment.status = QASR_SEGMENT_SUSPECT_LOOP;
    must(retry_decide(&plan, &half, &o, &j, &err), &err);
    assert_int_equal(plan, RETRY_HALVES);
    mem_free(half);
    j.segment.status = QASR_SEGMENT_SUSPECT_LOOP;
    must(retry_decide(&plan, &half, &o, &j, &err), &err);
    assert_int_equal(plan, RETRY_NONE);
    assert_int_equal(j.segment.status, QASR_SEGMENT_SUSPECT_LOOP);
    j.segment.status = QASR_SEGMENT_OK;
    must(retry_decide(&plan, &half, &o, &j, &err), &err);
    assert_int_equal(plan, RETRY_NONE);
    assert_int_equal(j.segment.status, QASR_SEGMENT_RETRIED);
    qasr_session_close(o.session);
    qasr_audio_free(pcm);
}

static void what_is_not_tried_again(void **state)
{
    static float silent[7 * SECOND];
    qasr_error err;
    retry_plan plan;
    segment_job *half = NULL;
    job_options o = { .opt = QASR_TRANSCRIBE_OPTIONS_INIT, .session = open_session(1, 1, NULL) };
    room = silent;
    for (int i = 0; i < 5; i++) {
        segment_job j = suspect(i == 1   ? QASR_SEGMENT_SUSPECT_LIMIT
                                : i == 4 ? QASR_SEGMENT_OK
                                         : QASR_SEGMENT_SUSPECT_LOOP);
        o.opt.no_retry = i == 0;
        o.opt.max_new_tokens = i == 1; /* an explicit limit */
        o.opt.ignore_eos = i == 2;
        if (i == 3) { /* too short to halve or trim */
            j.n_samples = 7 * SECOND;
            j.speech_begin = SECOND / 10;
        }
        qasr_segment_status before = j.segment.status;
        must(retry_decide(&plan, &half, &o, &j, &err), &err);
        assert_int_equal(plan, RETRY_NONE);
        assert_int_equal(j.segment.status, before);
        segment_free_answer(&j.segment);
    }
    qasr_session_close(o.session);
}

static size_t count_words(const qasr_result *r) { return text_count_words(qasr_result_text(r)); }

/* A sentence said twenty times, 39 s, in one segment: its answer looks like a loop of the model. */
static void loops_are_cured_by_halves(void **state)
{
    enum { COPIES = 20 };
    static const char sentence[] = "Это очень чистый дедушка.";
    static const int runs[][2] = { { 1, 1 }, { 3, 2 }, { 8, 3 } }; /* batch, threads */
    qasr_error err;
    float *once = NULL, *pcm = NULL;
    size_t n_once = 0;
    qasr_result *marked = NULL, *results[ARRAY_LEN(runs)] = { NULL };
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    must(qasr_audio_load(&once, &n_once, TEST_DATA "/golden/clips/ru-002.flac", &err), &err);
    const size_t n = COPIES * n_once;
    must(MEM_ALLOC(&pcm, n, &err), &err);
    for (size_t i = 0; i < COPIES; i++)
        memcpy(pcm + i * n_once, once, n_once * sizeof *pcm);
    opt.max_segment_s = 100;
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        qasr_session *s = open_session(runs[i][0], runs[i][1], NULL);
        must(qasr_transcribe(&results[i], s, pcm, n, &opt, &err), &err);
        same_result(results[i], results[0]);
        if (i == 0) {
            opt.no_retry = 1;
            must(qasr_transcribe(&marked, s, pcm, n, &opt, &err), &err);
            opt.no_retry = 0;
        }
        qasr_session_close(s);
    }
    assert_int_equal(qasr_result_segment_count(marked), 1);
    assert_int_equal(qasr_result_segment(marked, 0)->status, QASR_SEGMENT_SUSPECT_LOOP);
    const size_t n_segments = qasr_result_segment_count(results[0]);
    assert_true(n_segments >= 2);
    for (size_t i = 0; i < n_segments; i++) {
        const qasr_segment *p = qasr_result_segment(results[0], i);
        assert_int_equal(p->status, QASR_SEGMENT_RETRIED);
        assert_true(p->start_s == (i ? qasr_result_segment(results[0], i - 1)->end_s : 0));
        assert_true(p->start_s <= p->speech_start_s && p->speech_start_s < p->speech_end_s &&
                    p->speech_end_s <= p->end_s);
    }
    assert_true(fabs(qasr_result_segment(results[0], n_segments - 1)->end_s - (double)n / SECOND) < 1e-9);
    size_t n_sentences = 0;
    for (const char *at = qasr_result_text(results[0]); (at = strstr(at, sentence)); at++)
        n_sentences++;
    assert_in_range(n_sentences, COPIES, COPIES + COPIES / 4);
    assert_int_equal(count_words(results[0]), 4 * n_sentences); /* and nothing else */
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        qasr_result_free(results[i]);
    qasr_result_free(marked);
    qasr_audio_free(once);
    mem_free(pcm);
}

/* ---- silence and progress ---- */

typedef struct progress {
    double done_s, total_s;
    size_t n, cancel_at;
} progress;

static int note_progress(void *user, double done_s, double total_s)
{
    progress *p = user;
    assert_true(done_s > p->done_s && done_s <= total_s + 1e-9);
    p->done_s = done_s;
    p->total_s = total_s;
    return p->n++ == p->cancel_at;
}

static void silence_between_clips_is_skipped(void **state)
{
    qasr_error err;
    float *a = NULL, *b = NULL, *all = NULL;
    size_t n_a, n_b;
    qasr_result *first = NULL, *second = NULL, *both = NULL;
    qasr_session *s = open_session(1, 2, NULL); /* clips run one after the other, so each reports progress */
    must(qasr_audio_load(&a, &n_a, short_file, &err), &err);
    must(qasr_audio_load(&b, &n_b, russian_file, &err), &err);
    must(qasr_transcribe(&first, s, a, n_a, NULL, &err), &err);
    must(qasr_transcribe(&second, s, b, n_b, NULL, &err), &err);
    const size_t gap = 120 * SECOND, n = n_a + gap + n_b;
    must(MEM_CALLOC(&all, n, &err), &err);
    memcpy(all, a, n_a * sizeof *a);
    memcpy(all + n_a + gap, b, n_b * sizeof *b);
    progress seen = { .cancel_at = SIZE_MAX };
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.on_progress = note_progress;
    opt.user = &seen;
    must(qasr_transcribe(&both, s, all, n, &opt, &err), &err);
    assert_int_equal(qasr_result_segment_count(both), 3);
    const qasr_segment *silent = qasr_result_segment(both, 1);
    assert_int_equal(silent->status, QASR_SEGMENT_SILENT);
    assert_true(silent->no_speech && silent->n_tokens == 0 && !silent->has_token_scores &&
                isnan(silent->avg_log_probability));
    assert_true(silent->speech_start_s == silent->start_s && silent->speech_end_s == silent->start_s);
    assert_true(silent->end_s - silent->start_s > 115);
    assert_string_equal(silent->text, "");
    assert_int_equal(silent->stop, QASR_STOP_EMPTY);
    assert_int_equal(qasr_result_stop_reason(both), QASR_STOP_EOS);
    assert_string_equal(qasr_result_segment(both, 0)->text, qasr_result_text(first));
    assert_string_equal(qasr_result_segment(both, 2)->text, qasr_result_text(second));
    assert_string_equal(qasr_result_language(both), "English,Russian");
    assert_true(qasr_result_timings(both)->audio_s == (double)n / SECOND);
    assert_true(seen.n >= 2 && fabs(seen.done_s - (double)n / SECOND) < 1e-9 && seen.total_s == (double)n / SECOND);
    qasr_result_free(both);
    both = NULL;
    seen = (progress){ .cancel_at = 0 };
    assert_int_equal(qasr_transcribe(&both, s, all, n, &opt, &err), QASR_E_CANCELLED);
    assert_int_equal(seen.n, 1);
    assert_null(both);
    opt.on_progress = NULL;
    memset(all, 0, n * sizeof *all); /* silence only */
    must(qasr_transcribe(&both, s, all, n, &opt, &err), &err);
    assert_int_equal(qasr_result_segment_count(both), 1);
    assert_int_equal(qasr_result_segment(both, 0)->status, QASR_SEGMENT_SILENT);
    assert_int_equal(qasr_result_stop_reason(both), QASR_STOP_EOS);
    assert_string_equal(qasr_result_text(both), "");
    qasr_result_free(first);
    qasr_result_free(second);
    qasr_result_free(both);
    qasr_audio_free(a);
    qasr_audio_free(b);
    mem_free(all);
    qasr_session_close(s);
}

/* ---- scores ---- */

/* ln softmax(x)[id] and the entropy, in double. */
static void score_of(double *log_probability, double *entropy, const float *x, size_t n, int32_t id)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)x[id]);
    *log_probability = -log(sum);
    *entropy = 0;
    for (size_t i = 0; i < n; i++) {
        double p = exp((double)x[i] - (double)x[id]) / sum;
        *entropy -= p > 0 ? p * log(p) : 0;
    }
}

static void scores_are_those_of_the_logits(void **state)
{
    static const char *const files[] = { TEST_DATA "/golden/clips/en-000.flac", TEST_DATA "/golden/clips/ru-000.flac",
                                         TEST_DATA "/audio/jfk.wav" };
    qasr_error err;
    qasr_session *s = open_session(0, 2, NULL);
    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        float *pcm = NULL;
        size_t n = 0;
        qasr_result *plain = NULL, *scored = NULL;
        qasr_teacher_forcing *forced = NULL;
        qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
        must(qasr_audio_load(&pcm, &n, files[f], &err), &err);
        must(qasr_transcribe(&plain, s, pcm, n, &opt, &err), &err);
        opt.token_scores = 1;
        must(qasr_transcribe(&scored, s, pcm, n, &opt, &err), &err);
        const qasr_segment *p = qasr_result_segment(scored, 0), *q = qasr_result_segment(plain, 0);
        assert_true(!q->has_token_scores && q->n_words == 0 && isnan(q->avg_log_probability));
        assert_true(!qasr_segment_token_score(q, 0) && !qasr_segment_word(q, 0));
        assert_true(p->has_token_scores && !qasr_segment_token_score(p, p->n_tokens));
        assert_int_equal(p->n_tokens, q->n_tokens);
        assert_memory_equal(p->tokens, q->tokens, p->n_tokens * sizeof *p->tokens);
        must(qasr_teacher_forcing_open(&forced, s, pcm, n, NULL, &err), &err);
        double sum = 0;
        for (size_t i = 0; i < p->n_tokens; i++) {
            double log_probability, entropy;
            score_of(&log_probability, &entropy, qasr_teacher_forcing_logits(forced),
                     qasr_teacher_forcing_vocabulary(forced), p->tokens[i]);
            const qasr_token_score *score = qasr_segment_token_score(p, i);
            assert_true(fabs((double)score->log_probability - log_probability) < 1e-5);
            assert_true(fabs((double)score->entropy - entropy) < 1e-4);
            sum += log_probability;
            must(qasr_teacher_forcing_token(forced, p->tokens[i], &err), &err);
        }
        assert_true(fabs(p->avg_log_probability - sum / (double)p->n_tokens) < 1e-5);
        qasr_teacher_forcing_close(forced);
        qasr_result_free(plain);
        qasr_result_free(scored);
        qasr_audio_free(pcm);
    }
    qasr_session_close(s);
}

static void words_have_the_confidence_of_their_tokens(void **state)
{
    static const int runs[][2] = { { 1, 1 }, { 5, 3 } };
    qasr_error err;
    float *pcm = NULL;
    size_t n = 0;
    qasr_result *results[2] = { NULL };
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.token_scores = 1;
    must(qasr_audio_load(&pcm, &n, MODEL_DIR "/eval/long/ru-long-31s.flac", &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        qasr_session *s = open_session(runs[i][0], runs[i][1], NULL);
        must(qasr_transcribe(&results[i], s, pcm, n, &opt, &err), &err);
        qasr_session_close(s);
    }
    same_result(results[0], results[1]);
    for (size_t i = 0; i < qasr_result_segment_count(results[0]); i++) {
        const qasr_segment *p = qasr_result_segment(results[0], i);
        char text[4000] = "";
        double product = 1, words = 1;
        size_t first = 0;
        while (first < p->n_tokens && p->tokens[first] != 1022) /* <asr_text> */
            first++;
        for (size_t k = first + 1; k < p->n_tokens; k++)
            product *= exp((double)qasr_segment_token_score(p, k)->log_probability);
        for (size_t k = 0; k < p->n_words; k++) {
            const qasr_word *word = qasr_segment_word(p, k);
            assert_true(word->confidence > 0 && word->confidence <= 1);
            assert_true(isnan(word->start_s) && isnan(word->end_s));
            words *= (double)word->confidence;
            strcat(strcat(text, k ? " " : ""), word->text);
        }
        assert_null(qasr_segment_word(p, p->n_words));
        assert_string_equal(text, p->text);
        assert_true(p->n_words > 10);
        assert_true(fabs(log(words) - log(product)) < 1e-3); /* in this text every token belongs to exactly one word */
    }
    qasr_result_free(results[0]);
    qasr_result_free(results[1]);
    qasr_audio_free(pcm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suspect_answers_are_told_from_others),
        cmocka_unit_test(words_of_all_scripts_are_found),
        cmocka_unit_test(words_are_counted_in_all_scripts),
        cmocka_unit_test(a_suspect_segment_is_trimmed_then_halved),
        cmocka_unit_test(what_is_not_tried_again),
        cmocka_unit_test(loops_are_cured_by_halves),
        cmocka_unit_test(silence_between_clips_is_skipped),
        cmocka_unit_test(scores_are_those_of_the_logits),
        cmocka_unit_test(words_have_the_confidence_of_their_tokens),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
