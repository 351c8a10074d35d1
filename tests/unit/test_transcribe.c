/* The engine end to end on the demo model, through the public API: a GGUF decoder, full precision against q8_0,
 * threads, memory, limits, callbacks, segments, the other checkpoint layout, other programs' GGUF files, damaged
 * weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/capability.h>
#include <sys/syscall.h>
#endif

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "qasr/qasr_tools.h"
#include "weights/gguf_write.h"
#include "weights/safetensors.h"
#include "weights/safetensors_write.h"
#include "weights/weights.h"

#define SAMPLE(name) MODEL_DIR "/samples/" name
static const char *const english = SAMPLE("en.flac"), *const russian = SAMPLE("ru.flac");
static const char english_text[] = "No, the singer is not in the airport. Anna dropped a blue bag in the church. "
                                   "I can open it, but I cannot find it. It costs eight dollars and two cents. "
                                   "Who lost my bicycle?";
static const char russian_text[] = "Каждый вторник, сосед спит в комнате.";

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

/* ---- model directories made for a test: links to the demo model's files, some replaced ---- */

static char dir[64];
static const char *const model_files[] = { "config.json",
                                           "generation_config.json",
                                           "vocab.json",
                                           "merges.txt",
                                           "tokenizer_config.json",
                                           "model-00001-of-00002.safetensors",
                                           "model-00002-of-00002.safetensors",
                                           "model.safetensors.index.json" };

static const char *in_dir(const char *name)
{
    static char path[2][256];
    static int next;
    next = !next;
    snprintf(path[next], sizeof path[next], "%s/%s", dir, name);
    return path[next];
}

static int make_dir(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/qasr-model-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(model_files); i++) {
        char target[1024];
        snprintf(target, sizeof target, "%s/%s", MODEL_DIR, model_files[i]);
        if (symlink(target, in_dir(model_files[i])) != 0)
            return -1;
    }
    return 0;
}

static int remove_dir(void **state)
{
    static const char *const more[] = { "model.safetensors", "model-q8_0.gguf",  "model-q4_0.gguf",
                                        "model.gguf",        "dump.safetensors", "other.gguf" };
    for (size_t i = 0; i < ARRAY_LEN(model_files); i++)
        unlink(in_dir(model_files[i]));
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        unlink(in_dir(more[i]));
    return rmdir(dir); /* nothing else was left behind */
}

/* Replaces a file of the directory by the demo's, with one text changed. */
static void change_text(const char *name, const char *from, const char *to)
{
    buf text;
    qasr_error err;
    buf_init(&text, 1 << 20);
    must(file_read_all(&text, in_dir(name), &err), &err);
    unlink(in_dir(name));
    char *at = strstr(text.data, from);
    assert_non_null(at);
    FILE *f = fopen(in_dir(name), "w");
    fwrite(text.data, 1, (size_t)(at - text.data), f);
    fputs(to, f);
    fputs(at + strlen(from), f);
    fclose(f);
    buf_free(&text);
}

static void quantize(const char *qtype, const char *name)
{
    qasr_error err;
    char out[256];
    snprintf(out, sizeof out, "%s/%s", dir, name);
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    opt.input = MODEL_DIR;
    opt.output = out;
    opt.qtype = qtype;
    must(qasr_quantize(&opt, NULL, &err), &err);
}

/* ---- running ---- */

typedef struct run {
    qasr_model *model;
    qasr_session *session;
    qasr_result *result;
    float *pcm;
    size_t n;
} run;

static void open_run(run *r, const char *model_dir, const qasr_model_options *mo, int n_threads)
{
    qasr_error err;
    *r = (run){ 0 };
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    so.n_threads = n_threads;
    must(qasr_model_open(&r->model, model_dir, mo, &err), &err);
    must(qasr_session_open(&r->session, r->model, &so, &err), &err);
}

static const char *transcribe(run *r, const char *audio, const qasr_transcribe_options *opt)
{
    qasr_error err;
    qasr_audio_free(r->pcm);
    qasr_result_free(r->result);
    r->result = NULL;
    must(qasr_audio_load(&r->pcm, &r->n, audio, &err), &err);
    must(qasr_transcribe(&r->result, r->session, r->pcm, r->n, opt, &err), &err);
    return qasr_result_text(r->result);
}

static void close_run(run *r)
{
    qasr_audio_free(r->pcm);
    qasr_result_free(r->result);
    qasr_session_close(r->session);
    qasr_model_close(r->model);
}

static void a_gguf_decoder_is_found_and_transcribes(void **state)
{
    run r;
    quantize("q8_0", "model-q8_0.gguf");
    open_run(&r, dir, NULL, 2);
    assert_string_equal(qasr_model_decoder_type(r.model), "q8_0");
    assert_string_equal(qasr_model_decoder_path(r.model), in_dir("model-q8_0.gguf"));
    assert_string_equal(transcribe(&r, russian, NULL), russian_text);
    assert_string_equal(qasr_result_language(r.result), "Russian");
    assert_int_equal(qasr_result_stop_reason(r.result), QASR_STOP_EOS);
    close_run(&r);
    qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
    mo.decoder_weights = QASR_DECODER_SAFETENSORS;
    open_run(&r, dir, &mo, 2);
    assert_string_equal(qasr_model_decoder_type(r.model), "bf16");
    close_run(&r);
}

static void first_tokens_of_q8_0_are_those_of_full_precision(void **state)
{
    const char *audio[] = { english, russian };
    quantize("q8_0", "model-q8_0.gguf");
    qasr_model_options full = QASR_MODEL_OPTIONS_INIT;
    full.decoder_weights = QASR_DECODER_SAFETENSORS;
    for (size_t i = 0; i < 2; i++) {
        run a, b;
        open_run(&a, dir, &full, 2);
        open_run(&b, dir, NULL, 2);
        transcribe(&a, audio[i], NULL);
        transcribe(&b, audio[i], NULL);
        const qasr_segment *pa = qasr_result_segment(a.result, 0), *pb = qasr_result_segment(b.result, 0);
        size_t n = pa->n_tokens < 32 ? pa->n_tokens : 32;
        assert_true(n > 10 && pb->n_tokens >= n);
        assert_memory_equal(pa->tokens, pb->tokens, n * sizeof *pa->tokens);
        close_run(&a);
        close_run(&b);
    }
}

static void read_logits(float *out, size_t n)
{
    qasr_error err;
    weights *w = NULL;
    must(weights_open_safetensors(&w, in_dir("dump.safetensors"), &err), &err);
    const wtensor *t = weights_find(w, "first_logits");
    assert_non_null(t);
    assert_int_equal(t->n_values, n);
    memcpy(out, t->data, n * sizeof *out);
    weights_close(w);
    unlink(in_dir("dump.safetensors"));
}

static void threads_do_not_change_the_result(void **state)
{
    static float first[1024], more[1024];
    char dump[256];
    snprintf(dump, sizeof dump, "%s/dump.safetensors", dir);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.dump_tensors = dump;
    for (int q = 0; q < 2; q++) {
        if (q)
            quantize("q4_0", "model.gguf");
        for (int n = 1; n <= 5; n++) {
            run r;
            open_run(&r, dir, NULL, n);
            assert_int_equal(qasr_session_threads(r.session), n);
            assert_string_equal(transcribe(&r, english, &opt), english_text);
            read_logits(n == 1 ? first : more, 1024);
            if (n > 1)
                assert_memory_equal(first, more, sizeof first);
            close_run(&r);
        }
    }
}

/* ---- memory ---- */

/* A number from /proc/self/status in KiB; -1 on systems without it. */
static long status_kib(const char *key)
{
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
            value = strtol(line + strlen(key) + 1, NULL, 10);
    if (f)
        fclose(f);
    return value;
}

static void options_of_memory_do_not_change_the_result(void **state)
{
    static float mapped[1024], other[1024];
    char dump[256];
    snprintf(dump, sizeof dump, "%s/dump.safetensors", dir);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.dump_tensors = dump;
    quantize("q4_0", "model-q4_0.gguf");
    for (int i = 0; i < 8; i++) {
        run r;
        qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
        mo.no_mmap = i & 1;
        mo.mlock = i >> 1 & 1;
        mo.decoder_weights = i >> 2 ? QASR_DECODER_SAFETENSORS : QASR_DECODER_GGUF;
        open_run(&r, dir, &mo, 2);
        assert_string_equal(transcribe(&r, english, &opt), english_text);
        read_logits(i % 4 == 0 ? mapped : other, 1024);
        if (i % 4)
            assert_memory_equal(mapped, other, sizeof mapped);
        close_run(&r);
    }
}

/* Replaces the links to the weights by copies. */
static void copy_weights(void)
{
    for (size_t i = 5; i < 7; i++) {
        qasr_error err;
        buf bytes;
        buf_init(&bytes, 64 << 20);
        must(file_read_all(&bytes, in_dir(model_files[i]), &err), &err);
        unlink(in_dir(model_files[i]));
        FILE *f = fopen(in_dir(model_files[i]), "w");
        assert_int_equal(fwrite(bytes.data, 1, bytes.len, f), bytes.len);
        assert_int_equal(fclose(f), 0);
        buf_free(&bytes);
    }
}

static void weights_that_were_read_need_no_files(void **state)
{
    enum { WEIGHTS_KIB = 18000 }; /* 20353, minus memory that sanitizers' allocators keep */
    run r = { 0 };
    qasr_error err;
    qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
    mo.no_mmap = 1;
    copy_weights();
    long before = status_kib("RssAnon");
    must(qasr_model_open(&r.model, dir, &mo, &err), &err);
    if (before >= 0)
        assert_true(status_kib("RssAnon") >= before + WEIGHTS_KIB);
    for (size_t i = 5; i < 7; i++) /* from now on, touching a mapping would raise a signal */
        assert_int_equal(truncate(in_dir(model_files[i]), 0), 0);
    must(qasr_session_open(&r.session, r.model, NULL, &err), &err);
    assert_string_equal(transcribe(&r, english, NULL), english_text);
    qasr_session_close(r.session);
    long with = status_kib("RssAnon");
    qasr_model_close(r.model);
    if (before >= 0)
        assert_true(status_kib("RssAnon") <= with - WEIGHTS_KIB); /* freed immediately */
    qasr_audio_free(r.pcm);
    qasr_result_free(r.result);
}

/* Sanitizers replace mlock by a no-op. */
static bool locks_are_real(void)
{
    size_t page = file_page_bytes();
    void *p;
    long before = status_kib("VmLck");
    qasr_error err;
    must(mem_alloc(&p, 2, page, &err), &err);
    bool real = mlock(p, page) == 0 && status_kib("VmLck") > before;
    munlock(p, page);
    mem_free(p);
    if (!real)
        print_message(
            "# memory cannot be locked here: nothing to test\n"); /* cmocka's skip() counts as a failure in TAP */
    return real;
}

static char log_text[1024];

static void keep_warnings(void *user, qasr_log_level level, const char *message)
{
    size_t n = strlen(log_text);
    if (level == QASR_LOG_WARNING)
        snprintf(log_text + n, sizeof log_text - n, "%s|", message);
}

/* Drops or restores the capability to lock memory beyond the limit, which root has. */
static void set_lock_right(bool on)
{
#ifdef __linux__
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    if (on)
        data[0].effective |= data[0].permitted & (1u << CAP_IPC_LOCK);
    else
        data[0].effective &= ~(1u << CAP_IPC_LOCK);
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
#endif
}

static void locking_beyond_the_limit_is_a_warning(void **state)
{
    run r;
    struct rlimit old, low;
    qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
    mo.mlock = 1;
    if (!locks_are_real())
        return;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
    low = (struct rlimit){ .rlim_cur = 64 << 10, .rlim_max = old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
    set_lock_right(false);
    log_text[0] = 0;
    qasr_log_set(keep_warnings, NULL);
    open_run(&r, MODEL_DIR, &mo, 2);
    qasr_log_set(NULL, NULL);
    set_lock_right(true);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
    assert_non_null(strstr(log_text, "the weights are not locked in memory: they take 20"));
    assert_non_null(strstr(log_text, "the limit (RLIMIT_MEMLOCK) is 64 KiB; raise it with 'ulimit -l 20"));
    assert_ptr_equal(strchr(log_text, '|'), log_text + strlen(log_text) - 1); /* one warning for all files */
    assert_string_equal(transcribe(&r, english, NULL), english_text);
    close_run(&r);
}

static void weights_are_locked_until_the_model_is_closed(void **state)
{
    run r;
    qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
    mo.mlock = 1;
    if (!locks_are_real())
        return;
    struct rlimit old, all;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
    all = (struct rlimit){ .rlim_cur = old.rlim_max, .rlim_max = old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &all), 0);
    for (int no_mmap = 0; no_mmap < 2; no_mmap++) {
        long before = status_kib("VmLck");
        mo.no_mmap = no_mmap;
        log_text[0] = 0;
        qasr_log_set(keep_warnings, NULL);
        open_run(&r, MODEL_DIR, &mo, 2);
        qasr_log_set(NULL, NULL);
        if (!log_text[0]) /* an ordinary user may be allowed less */
            assert_true(status_kib("VmLck") >= before + 20000);
        close_run(&r);
        assert_int_equal(status_kib("VmLck"), before);
    }
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
}

static void languages_are_forced_by_name_or_code(void **state)
{
    run r;
    qasr_error err;
    open_run(&r, MODEL_DIR, NULL, 2);
    static const char *const names[] = { "Russian", "ru", "RUSSIAN", " russian " };
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        opt.language = names[i];
        assert_string_equal(transcribe(&r, russian, &opt), russian_text);
        assert_string_equal(qasr_result_language(r.result), "Russian");
    }
    qasr_result *none = NULL;
    opt.language = "Rusian";
    assert_int_equal(qasr_transcribe(&none, r.session, r.pcm, r.n, &opt, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "did you mean Russian"));
    opt.language = "Klingon";
    assert_int_equal(qasr_transcribe(&none, r.session, r.pcm, r.n, &opt, &err), QASR_E_INVALID);
    assert_null(none);
    close_run(&r);
}

static void the_token_limit_is_reported(void **state)
{
    run r;
    open_run(&r, MODEL_DIR, NULL, 2);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_new_tokens = 5;
    transcribe(&r, russian, &opt);
    assert_int_equal(qasr_result_stop_reason(r.result), QASR_STOP_LIMIT);
    assert_int_equal(qasr_result_segment(r.result, 0)->n_tokens, 5);
    assert_int_equal(qasr_result_timings(r.result)->n_decode_steps, 5);
    opt.max_new_tokens = 19; /* exactly what is needed */
    assert_string_equal(transcribe(&r, russian, &opt), russian_text);
    assert_int_equal(qasr_result_stop_reason(r.result), QASR_STOP_EOS);
    opt.max_new_tokens = 40;
    opt.ignore_eos = 1;
    transcribe(&r, russian, &opt);
    assert_int_equal(qasr_result_segment(r.result, 0)->n_tokens, 40);
    assert_int_equal(qasr_result_stop_reason(r.result), QASR_STOP_LIMIT);
    assert_int_equal(qasr_result_timings(r.result)->n_decode_steps, 39);
    close_run(&r);
}

static void segments_of_long_audio_are_joined(void **state)
{
    run r;
    char whole[1000];
    open_run(&r, MODEL_DIR, NULL, 2);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_segment_s = 1200;
    transcribe(&r, MODEL_DIR "/eval/long/ru-long-31s.flac", &opt);
    assert_int_equal(qasr_result_segment_count(r.result), 1);
    snprintf(whole, sizeof whole, "%s", qasr_result_text(r.result));
    opt.max_segment_s = 8;
    transcribe(&r, MODEL_DIR "/eval/long/ru-long-31s.flac", &opt);
    size_t n = qasr_result_segment_count(r.result);
    assert_in_range(n, 4, 8);
    assert_string_equal(qasr_result_text(r.result), whole); /* cut between sentences */
    for (size_t i = 0; i < n; i++) {
        const qasr_segment *p = qasr_result_segment(r.result, i);
        assert_int_equal(p->stop, QASR_STOP_EOS);
        assert_string_equal(p->language, "Russian");
        assert_true(p->end_s > p->start_s && (i == 0 || p->start_s == qasr_result_segment(r.result, i - 1)->end_s));
        assert_non_null(strstr(qasr_result_text(r.result), p->text)); /* joined */
    }
    assert_true(qasr_result_segment(r.result, n - 1)->end_s > 31.3);
    assert_string_equal(qasr_result_language(r.result), "Russian");
    assert_null(qasr_result_segment(r.result, n));
    close_run(&r);
}

typedef struct active {
    char text[1000];
    int calls, stop_after;
} active;

static int hear(void *user, const char *text)
{
    active *h = user;
    strncat(h->text, text, sizeof h->text - strlen(h->text) - 1);
    return ++h->calls == h->stop_after;
}

static void text_is_shown_while_decoding(void **state)
{
    run r;
    qasr_error err;
    active h = { .stop_after = 0 };
    open_run(&r, MODEL_DIR, NULL, 2);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.on_text = hear;
    opt.user = &h;
    assert_string_equal(transcribe(&r, russian, &opt), russian_text);
    assert_string_equal(h.text, russian_text);
    assert_true(h.calls > 5);
    h = (active){ .stop_after = 0 };
    opt.no_retry = 1;
    assert_string_equal(transcribe(&r, russian, &opt), russian_text);
    assert_string_equal(h.text, russian_text);
    assert_true(h.calls > 5);
    h = (active){ .stop_after = 3 };
    qasr_result *none = NULL;
    assert_int_equal(qasr_transcribe(&none, r.session, r.pcm, r.n, &opt, &err), QASR_E_CANCELLED);
    assert_null(none);
    assert_int_equal(h.calls, 3);
    close_run(&r);
}

static void odd_audio_is_answered_or_refused(void **state)
{
    run r;
    qasr_error err;
    open_run(&r, MODEL_DIR, NULL, 2);
    qasr_result *result = NULL;
    must(qasr_transcribe(&result, r.session, NULL, 0, NULL, &err), &err);
    assert_string_equal(qasr_result_text(result), "");
    assert_int_equal(qasr_result_stop_reason(result), QASR_STOP_EMPTY);
    assert_int_equal(qasr_result_segment_count(result), 0);
    qasr_result_free(result);
    float few[160] = { 0 }, bad[2] = { 0, NAN };
    must(qasr_transcribe(&result, r.session, few, 160, NULL, &err), &err);
    assert_string_equal(qasr_result_text(result), "");
    assert_int_equal(qasr_result_segment(result, 0)->n_audio_tokens, 7); /* padded to half a second */
    qasr_result_free(result);
    assert_int_equal(qasr_transcribe(&result, r.session, bad, 2, NULL, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "sample 1"));
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_new_tokens = -1;
    assert_int_equal(qasr_transcribe(&result, r.session, few, 160, &opt, &err), QASR_E_INVALID);
    opt.max_new_tokens = 1 << 30; /* more positions than the model has */
    assert_int_equal(qasr_transcribe(&result, r.session, few, 160, &opt, &err), QASR_E_INVALID);
    opt = (qasr_transcribe_options){ 0 }; /* not started from _INIT */
    assert_int_equal(qasr_transcribe(&result, r.session, few, 160, &opt, &err), QASR_E_INVALID);
    close_run(&r);
}

static void full_attention_is_an_option(void **state)
{
    run r;
    open_run(&r, MODEL_DIR, NULL, 2);
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.encoder_attention = QASR_ENCODER_FULL;
    char dump[256];
    snprintf(dump, sizeof dump, "%s/dump.safetensors", dir);
    opt.dump_tensors = dump;
    static float full[1024], windows[1024];
    transcribe(&r, russian, &opt);
    read_logits(full, 1024);
    opt.encoder_attention = QASR_ENCODER_WINDOWS;
    transcribe(&r, russian, &opt);
    read_logits(windows, 1024);
    assert_memory_equal(full, windows, sizeof full); /* audio under 8 s has only one window */
    transcribe(&r, english, &opt);
    read_logits(windows, 1024);
    opt.encoder_attention = QASR_ENCODER_FULL;
    transcribe(&r, english, &opt);
    read_logits(full, 1024);
    assert_memory_not_equal(full, windows, sizeof full);
    close_run(&r);
}

/* ---- other layouts ---- */

/* Original name -> name in the "-hf" layout. */
static const char *hf_name(char *out, size_t size, const char *name)
{
    static const char *const map[][2] = { { "thinker.model.", "model.language_model." },
                                          { "thinker.audio_tower.proj1.", "model.multi_modal_projector.linear_1." },
                                          { "thinker.audio_tower.proj2.", "model.multi_modal_projector.linear_2." },
                                          { "thinker.audio_tower.", "model.audio_tower." },
                                          { "thinker.lm_head.", "lm_head." } };
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (strncmp(name, map[i][0], strlen(map[i][0])) == 0) {
            snprintf(out, size, "%s%s", map[i][1], name + strlen(map[i][0]));
            return out;
        }
    fail_msg("no name for '%s'", name);
    return NULL;
}

static void the_other_checkpoint_layout_loads(void **state)
{
    qasr_error err;
    weights *w = NULL;
    must(weights_open_safetensors(&w, MODEL_DIR, &err), &err);
    size_t n = weights_count(w), kept = 0;
    st_entry *entries = calloc(n, sizeof *entries);
    for (size_t i = 0; i < n; i++) {
        const wtensor *t = weights_at(w, i);
        if (strstr(t->name, "lm_head"))
            continue; /* that layout does not store a tied head */
        float *values = malloc(t->n_values * sizeof *values);
        quant_get(t->type)->dequantize(values, t->data, t->n_values);
        char *name = malloc(200);
        entries[kept] = (st_entry){ hf_name(name, 200, t->name), t->n_dims, { 0 }, values };
        memcpy(entries[kept++].shape, t->shape, sizeof t->shape);
    }
    for (size_t i = 5; i < ARRAY_LEN(model_files); i++)
        unlink(in_dir(model_files[i]));
    unlink(in_dir("config.json"));
    assert_int_equal(symlink(MODEL_DIR "/hf_config.json", in_dir("config.json")), 0);
    must(safetensors_write_f32(in_dir("model.safetensors"), entries, kept, &err), &err);
    for (size_t i = 0; i < kept; i++) {
        free((void *)(uintptr_t)entries[i].name);
        free((void *)(uintptr_t)entries[i].data);
    }
    free(entries);
    weights_close(w);

    run r;
    open_run(&r, dir, NULL, 2);
    assert_string_equal(qasr_model_decoder_type(r.model), "f32");
    assert_string_equal(transcribe(&r, english, NULL), english_text);
    close_run(&r);
}

static void a_stored_head_is_used_when_not_tied(void **state)
{
    run r;
    change_text("config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    open_run(&r, dir, NULL, 2);
    assert_string_equal(transcribe(&r, russian, NULL), russian_text);
    close_run(&r);
    quantize("q8_0", "model.gguf"); /* has no head, which comes from the safetensors */
    open_run(&r, dir, NULL, 2);
    assert_string_equal(transcribe(&r, russian, NULL), russian_text);
    close_run(&r);
}

/* A file as other converters write it: GGUF version 2 without metadata, quantized projections, everything else F16. */
static void a_gguf_without_metadata_loads(void **state)
{
    qasr_error err;
    weights *w = NULL;
    gguf_writer *g = NULL;
    must(weights_open_safetensors(&w, MODEL_DIR, &err), &err);
    must(gguf_writer_create(&g, in_dir("other.gguf"), true, &err), &err);
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            must(gguf_writer_begin_data(g, &err), &err);
        for (size_t i = weights_count(w), index = 0; i-- > 0;) { /* any order */
            const wtensor *t = weights_at(w, i);
            if (strncmp(t->name, "thinker.model.", 14) != 0)
                continue;
            quant_type type = strstr(t->name, "_proj.weight") ? QUANT_Q4_0 : QUANT_F16;
            if (!pass) {
                must(gguf_writer_add(g, t->name, type, t->n_dims, t->shape, &index, &err), &err);
                continue;
            }
            const quant_info *q = quant_get(type);
            size_t bytes = quant_row_bytes(q, t->n_values);
            float *values = malloc(t->n_values * sizeof *values);
            void *blocks = malloc(bytes);
            quant_get(t->type)->dequantize(values, t->data, t->n_values);
            q->quantize(blocks, values, t->n_values);
            must(gguf_writer_put(g, index++, 0, blocks, bytes, &err), &err);
            free(values);
            free(blocks);
        }
    }
    must(gguf_writer_commit(g, NULL, &err), &err);
    gguf_writer_free(g);
    weights_close(w);
    FILE *f = fopen(in_dir("other.gguf"), "r+b");
    fseek(f, 4, SEEK_SET);
    fputc(2, f); /* the version */
    fclose(f);

    run r;
    qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
    mo.decoder_gguf = "other.gguf"; /* relative to the model directory */
    open_run(&r, dir, &mo, 2);
    assert_string_equal(qasr_model_decoder_type(r.model), "q4_0");
    assert_string_equal(transcribe(&r, russian, NULL), russian_text);
    close_run(&r);
}

/* ---- errors ---- */

static void wrong_models_are_refused(void **state)
{
    qasr_error err;
    qasr_model *m = NULL;
    qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
    mo.decoder_weights = QASR_DECODER_GGUF;
    assert_int_equal(qasr_model_open(&m, dir, &mo, &err), QASR_E_IO);
    assert_non_null(strstr(err.message, "qasr quantize"));
    mo.decoder_gguf = "missing.gguf";
    assert_int_equal(qasr_model_open(&m, dir, &mo, &err), QASR_E_IO);
    assert_non_null(strstr(err.message, "missing.gguf"));
    mo.decoder_weights = QASR_DECODER_SAFETENSORS;
    assert_int_equal(qasr_model_open(&m, dir, &mo, &err), QASR_E_INVALID);
    assert_int_equal(qasr_model_open(&m, "/nonexistent", NULL, &err), QASR_E_IO);
    assert_int_equal(qasr_model_open(&m, NULL, NULL, &err), QASR_E_INVALID);
    unlink(in_dir("vocab.json"));
    assert_int_equal(qasr_model_open(&m, dir, NULL, &err), QASR_E_IO);
    assert_non_null(strstr(err.message, "has no vocab.json"));
    assert_int_equal(rename(in_dir("merges.txt"), in_dir("tokenizer.json")), 0);
    assert_int_equal(qasr_model_open(&m, dir, NULL, &err), QASR_E_IO);
    assert_non_null(strstr(err.message, "tokenizer.json alone is not supported"));
    assert_int_equal(rename(in_dir("tokenizer.json"), in_dir("merges.txt")), 0);
    assert_int_equal(symlink(MODEL_DIR "/vocab.json", in_dir("vocab.json")), 0);
    change_text("config.json", "\"intermediate_size\": 768", "\"intermediate_size\": 1024");
    assert_int_equal(qasr_model_open(&m, dir, NULL, &err), QASR_E_FORMAT);
    assert_non_null(strstr(err.message, "is 768x256, config.json expects 1024x256"));
    change_text("config.json", "\"intermediate_size\": 1024", "\"intermediate_size\": 768");
    change_text("config.json", "\"num_hidden_layers\": 6,\n      \"num_key",
                "\"num_hidden_layers\": 7,\n      \"num_key");
    assert_int_equal(qasr_model_open(&m, dir, NULL, &err), QASR_E_FORMAT);
    assert_non_null(strstr(err.message, "thinker.model.layers.6."));
    assert_null(m);
}

/* The shard that holds a tensor. */
static const char *find_shard(const char *tensor)
{
    qasr_error err;
    weights *w = NULL;
    must(weights_open_safetensors(&w, dir, &err), &err);
    const wtensor *t = weights_find(w, tensor);
    assert_non_null(t);
    const char *name = strstr(weights_file_path(w, t->file), "00001") ? model_files[5] : model_files[6];
    weights_close(w);
    return name;
}

static void transcribe_damaged(const char *tensor, const char *file, const char *message)
{
    qasr_error err;
    buf bytes;
    buf_init(&bytes, 64 << 20);
    must(file_read_all(&bytes, in_dir(file), &err), &err);
    weights *w = NULL;
    must(weights_open_safetensors(&w, in_dir(file), &err), &err);
    const wtensor *t = weights_find(w, tensor);
    assert_non_null(t);
    size_t at = (size_t)((const unsigned char *)t->data - weights_file_map(w, t->file)->data);
    weights_close(w);
    for (uint64_t i = 0; i < 16; i += 2) { /* bf16 NaN */
        bytes.data[at + i] = (char)0xC0;
        bytes.data[at + i + 1] = 0x7F;
    }
    unlink(in_dir(file));
    FILE *f = fopen(in_dir(file), "wb");
    fwrite(bytes.data, 1, bytes.len, f);
    fclose(f);
    buf_free(&bytes);
    run r;
    open_run(&r, dir, NULL, 1);
    must(qasr_audio_load(&r.pcm, &r.n, russian, &err), &err);
    assert_int_equal(qasr_transcribe(&r.result, r.session, r.pcm, r.n, NULL, &err), QASR_E_DEVICE);
    if (!strstr(err.message, message))
        fail_msg("'%s' does not say '%s'", err.message, message);
    close_run(&r);
}

static void damaged_weights_do_not_become_text(void **state)
{
    transcribe_damaged("thinker.model.norm.weight", find_shard("thinker.model.norm.weight"),
                       "the output head gives values that are not finite");
}

static void a_damaged_embedding_row_is_noticed(void **state)
{
    transcribe_damaged("thinker.model.embed_tokens.weight", find_shard("thinker.model.embed_tokens.weight"),
                       "the output head gives values that are not finite");
}

static void a_damaged_encoder_is_named(void **state)
{
    transcribe_damaged("thinker.audio_tower.proj2.bias", find_shard("thinker.audio_tower.proj2.bias"),
                       "the audio projector gives values that are not finite");
}

/* One model, sessions in several threads at once. */
#include <pthread.h>
static void *transcribe_in_thread(void *arg)
{
    run r = { .model = arg };
    qasr_error err;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    so.n_threads = 2;
    must(qasr_session_open(&r.session, r.model, &so, &err), &err);
    const char *text = transcribe(&r, russian, NULL);
    bool same = strcmp(text, russian_text) == 0;
    r.model = NULL;
    close_run(&r);
    return same ? arg : NULL;
}

static void sessions_share_a_model(void **state)
{
    qasr_error err;
    qasr_model *m = NULL;
    must(qasr_model_open(&m, MODEL_DIR, NULL, &err), &err);
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, transcribe_in_thread, m), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *same;
        pthread_join(threads[i], &same);
        assert_ptr_equal(same, m);
    }
    qasr_model_close(m);
}

static int failed_allocations(const char *what, qasr_status (*call)(qasr_error *))
{
    qasr_error err;
    for (size_t n = 0;; n++) {
        mem_fail_after(n);
        qasr_status status = call(&err);
        mem_fail_after(SIZE_MAX);
        if (status == QASR_OK)
            return (int)n;
        if (status != QASR_E_NOMEM)
            fail_msg("%s with allocation %zu failing: status %d, '%s'", what, n, status, err.message);
    }
}

static qasr_status whole_run(qasr_error *err)
{
    static float pcm[16000];
    qasr_model *m = NULL;
    qasr_session *s = NULL;
    qasr_result *result = NULL;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    so.n_threads = 2;
    qasr_status status = qasr_model_open(&m, MODEL_DIR, NULL, err);
    if (status == QASR_OK)
        status = qasr_session_open(&s, m, &so, err);
    if (status == QASR_OK)
        status = qasr_transcribe(&result, s, pcm, 16000, NULL, err);
    qasr_result_free(result);
    qasr_session_close(s);
    qasr_model_close(m);
    return status;
}

static void every_failing_allocation_is_an_error(void **state)
{
    assert_true(failed_allocations("transcription", whole_run) > 50);
}

/* The same session throughout: leftovers of a failed call must not reach the text of a later one. */
static void a_session_survives_failing_allocations(void **state)
{
    run r;
    qasr_error err;
    qasr_status status = QASR_E_NOMEM;
    open_run(&r, MODEL_DIR, NULL, 2);
    must(qasr_audio_load(&r.pcm, &r.n, russian, &err), &err);
    for (size_t n = 0; status == QASR_E_NOMEM; n++) {
        mem_fail_after(n);
        status = qasr_transcribe(&r.result, r.session, r.pcm, r.n, NULL, &err);
        mem_fail_after(SIZE_MAX);
    }
    must(status, &err);
    assert_string_equal(qasr_result_text(r.result), russian_text);
    close_run(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_gguf_decoder_is_found_and_transcribes, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(first_tokens_of_q8_0_are_those_of_full_precision, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(threads_do_not_change_the_result, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(options_of_memory_do_not_change_the_result, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(weights_that_were_read_need_no_files, make_dir, remove_dir),
        cmocka_unit_test(locking_beyond_the_limit_is_a_warning),
        cmocka_unit_test(weights_are_locked_until_the_model_is_closed),
        cmocka_unit_test(languages_are_forced_by_name_or_code),
        cmocka_unit_test(the_token_limit_is_reported),
        cmocka_unit_test(segments_of_long_audio_are_joined),
        cmocka_unit_test(text_is_shown_while_decoding),
        cmocka_unit_test(odd_audio_is_answered_or_refused),
        cmocka_unit_test_setup_teardown(full_attention_is_an_option, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(the_other_checkpoint_layout_loads, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_stored_head_is_used_when_not_tied, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_gguf_without_metadata_loads, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(wrong_models_are_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(damaged_weights_do_not_become_text, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_damaged_embedding_row_is_noticed, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_damaged_encoder_is_named, make_dir, remove_dir),
        cmocka_unit_test(sessions_share_a_model),
        cmocka_unit_test(every_failing_allocation_is_an_error),
        cmocka_unit_test(a_session_survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
