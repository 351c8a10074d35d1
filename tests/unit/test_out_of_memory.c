/* Every allocation of the process fails in turn, including those of libraries: malloc and its relatives are replaced
 * by counting versions. Loading the demo model, and loading and transcribing a clip, must then either fail with an
 * error and leave nothing allocated, or succeed without the memory. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qasr/qasr.h"

/* ---- allocation ------------------------------------------------------------------------------ */

void *memalign(size_t alignment, size_t size);
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *p);

static atomic_long live;      /* blocks */
static atomic_size_t n_asked; /* since it was set to 0 */
static atomic_size_t n_first_refused, n_last_refused;
static atomic_bool counting;

/* Some libraries do not survive every failed allocation; only the sizes listed here fail for them. Jansson 2.14
 * frees a value twice if it lacks the memory to add it to an array or an object, so only its strings and values fail,
 * which are smaller than the entries of both. libsndfile 1.2 and soxr 0.1 do not check most allocations; only their
 * first block fails, which has a unique size. */
static const struct {
    const char *library;
    size_t min, max;
} refusable[] = { { "libjansson", 0, 55 }, { "libsndfile", 16384, SIZE_MAX }, { "libsoxr", 304, 304 } };

static bool can_cope(size_t size, const void *caller)
{
    Dl_info found;
    for (size_t i = 0; dladdr(caller, &found) && i < sizeof refusable / sizeof refusable[0]; i++)
        if (strstr(found.dli_fname, refusable[i].library))
            return size >= refusable[i].min && size <= refusable[i].max;
    return true;
}

static bool refuse(size_t size, const void *caller)
{
    if (!counting || !can_cope(size, caller))
        return false;
    size_t n = atomic_fetch_add(&n_asked, 1);
    if (n < n_first_refused || n > n_last_refused)
        return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *p)
{
    live += p != NULL;
    return p;
}

void *malloc(size_t size) { return refuse(size, __builtin_return_address(0)) ? NULL : counted(__libc_malloc(size)); }
void *calloc(size_t n, size_t size)
{
    return refuse(n * size, __builtin_return_address(0)) ? NULL : counted(__libc_calloc(n, size));
}
void *memalign(size_t alignment, size_t size)
{
    return refuse(size, __builtin_return_address(0)) ? NULL : counted(__libc_memalign(alignment, size));
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p = memalign(alignment, size);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

void *realloc(void *old, size_t size)
{
    if (size > 0 && refuse(size, __builtin_return_address(0)))
        return NULL;
    void *p = __libc_realloc(old, size);
    live += (p != NULL) - (old != NULL && (p || size == 0));
    return p;
}

void free(void *p)
{
    live -= p != NULL;
    __libc_free(p);
}

/* ---- calls under test -------------------------------------------------------------------------- */

static qasr_model *model;

static qasr_status load_model(qasr_error *err)
{
    qasr_model *m = NULL;
    qasr_status status = qasr_model_open(&m, MODEL_DIR, NULL, err);
    qasr_model_close(m);
    return status;
}

static qasr_status load_gguf(qasr_error *err)
{
    qasr_model *m = NULL;
    qasr_status status = qasr_model_open(&m, LAYOUTS_DIR "/stt-bf16.gguf", NULL, err);
    qasr_model_close(m);
    return status;
}

static qasr_status transcribe_clip(qasr_error *err)
{
    qasr_session *s = NULL;
    qasr_result *result = NULL;
    float *pcm = NULL;
    size_t n = 0;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    so.n_threads = 2;
    opt.max_new_tokens = 4;
    opt.context = "singer";
    opt.language = "English";
    qasr_status status = qasr_session_open(&s, model, &so, err);
    if (status == QASR_OK)
        status = qasr_audio_load(&pcm, &n, FUZZ_CORPUS "/audio/wav", err);
    if (status == QASR_OK)
        status = qasr_transcribe(&result, s, pcm, n, &opt, err);
    qasr_result_free(result);
    qasr_audio_free(pcm);
    qasr_session_close(s);
    return status;
}

static qasr_status load_sound(const char *path, qasr_error *err)
{
    float *pcm = NULL;
    size_t n = 0;
    qasr_status status = qasr_audio_load(&pcm, &n, path, err);
    qasr_audio_free(pcm);
    return status;
}

/* Another sample rate, to run the resampler. */
static qasr_status load_wav(qasr_error *err) { return load_sound(FUZZ_CORPUS "/audio/wav_stereo", err); }

/* ---- failing ------------------------------------------------------------------------------------ */

static qasr_status run(qasr_status (*call)(qasr_error *), size_t first, size_t last, qasr_error *err)
{
    n_asked = 0;
    n_first_refused = first;
    n_last_refused = last;
    counting = true;
    qasr_status status = call(err);
    counting = false;
    return status;
}

/* The n-th allocation fails, for every n: alone, or with all that follow. */
static void fail_each(const char *what, qasr_status (*call)(qasr_error *), bool and_all_after)
{
    qasr_error err;
    if (run(call, SIZE_MAX, 0, &err) != QASR_OK) /* the first run makes the allocations that libraries keep forever */
        fail_msg("%s: %s", what, err.message);
    size_t n_failed = 0, n = 0;
    for (;; n++) {
        long before = live;
        qasr_status status = run(call, n, and_all_after ? SIZE_MAX : n, &err);
        bool reached = n_asked > n;
        if (live != before)
            fail_msg("%s with allocation %zu failing leaves %ld blocks (status %d)", what, n, live - before,
                     (int)status);
        if (status != QASR_OK && strlen(err.message) == 0)
            fail_msg("%s with allocation %zu failing: status %d without a message", what, n, (int)status);
        if (status == QASR_OK && and_all_after && reached)
            fail_msg("%s without memory from allocation %zu on: no error", what, n);
        n_failed += status != QASR_OK;
        if (getenv("OUT_OF_MEMORY_SHOW") && status != QASR_OK)
            fprintf(stderr, "# %s %zu: %d %s\n", what, n, (int)status, err.message);
        if (!reached)
            break;
    }
    print_message("# %s: %zu of %zu failures are errors\n", what, n_failed, n);
    assert_true(n_failed >= 5);
}

static void loading_a_directory(void **state)
{
    fail_each("loading a directory", load_model, false);
    fail_each("loading a directory", load_model, true);
}

static void loading_a_gguf_file(void **state)
{
    fail_each("loading a GGUF file", load_gguf, false);
    fail_each("loading a GGUF file", load_gguf, true);
}

static void loading_a_sound(void **state)
{
    fail_each("loading a sound", load_wav, false);
    fail_each("loading a sound", load_wav, true);
}

static void transcribing(void **state)
{
    fail_each("transcribing", transcribe_clip, false);
    fail_each("transcribing", transcribe_clip, true);
}

static int open_model(void **state)
{
    qasr_error err;
    return qasr_model_open(&model, MODEL_DIR, NULL, &err);
}

static int close_model(void **state)
{
    qasr_model_close(model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_a_directory),
        cmocka_unit_test(loading_a_gguf_file),
        cmocka_unit_test(loading_a_sound),
        cmocka_unit_test(transcribing),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
