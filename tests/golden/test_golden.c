/* Parity with the reference implementation (models/demo/README.md, "Checking an implementation"): mel, audio
 * embeddings, first logits and generated ids of the demo model for every golden clip, through the public API. Prints
 * the largest difference of each stage; docs/numerics.md explains the tolerances.
 *
 * Arguments: ROOT MODEL f32|auto [QTYPE [FILE]]. f32: float32 arithmetic. auto: the default precision. QTYPE: uses
 * a decoder quantized to that type, which is made here or is FILE. If MODEL is a GGUF file, QTYPE is the type of its
 * decoder and encoder. With quantized weights or reduced precision, ids must match only where the reference chose by a
 * clear margin, and the cosine of the embeddings is checked too. First logits of a quantized decoder are compared with
 * those of the same decoder in float32 arithmetic.
 *
 * QASR_TEST_DEVICE names the device, which must meet the tolerances of 'auto'; the float32 comparison runs on the CPU.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "qasr/qasr_tools.h"
#include "weights/safetensors.h"
#include "weights/weights.h"

enum { MAX_NEW_TOKENS = 700 }; /* as in the reference run */

/* Clips beneath the project's root; those of the evaluation sets are kept once. The file name is the key of the golden
 * data. */
static const char *const clips[] = {
    "models/demo/eval/long/en-long-12s.flac",
    "models/demo/eval/long/en-long-45s.flac",
    "models/demo/eval/long/ru-long-31s.flac",
    "models/demo/eval/long/zh-long-30s.flac",
    "models/demo/eval/multi/de-000.flac",
    "models/demo/eval/multi/zh-000.flac",
    "tests/data/audio/jfk.wav",
    "tests/data/golden/clips/en-000.flac",
    "tests/data/golden/clips/en-001.flac",
    "tests/data/golden/clips/en-002.flac",
    "tests/data/golden/clips/ru-000.flac",
    "tests/data/golden/clips/ru-001.flac",
    "tests/data/golden/clips/ru-002.flac",
    "tests/data/golden/clips/short-200ms.flac",
    "tests/data/golden/clips/silence-1s.flac",
};
enum { N_CLIPS = sizeof clips / sizeof *clips };

typedef struct stage {
    const char *name;
    double tolerance, worst;
    double min_cosine; /* smallest so far */
    int n_compared;
} stage;

static struct {
    const char *root, *model, *qtype, *device; /* device NULL: the CPU */
    const char *given_gguf;                    /* NULL: quantized here */
    char gguf[64];
    bool in_gguf, f32; /* in_gguf: the whole model */
    json_t *golden;
    weights *expected;
    qasr_model *opened;
    qasr_session *session, *exact; /* exact: in float32 arithmetic; used if session rounds and weights are quantized */
    /* float32 against float32 arithmetic: rounding only */
    stage mel, embeds, logits;
} env = { .mel = { "mel", 1e-4, 0, 1 },
          .embeds = { "audio_embeds", 2e-4, 0, 1 },
          .logits = { "first_logits", 1e-3, 0, 1 } };
/* encoder weights rounded to 8 bits */
static const double stored_embeds_tolerance = 0.3;
/* bfloat16 activations: 2^-9 each, through six layers; int8 with q4_0: 2^-8 of the largest of 32 */
static const double rounded_embeds_tolerance = 0.1, rounded_logits_tolerance = 0.05, rounded_min_cosine = 0.9999;
static const double int8_logits_tolerance = 0.12;
/* ggml devices: 8-bit activations in every product, with K-quants one scale per 256 */
static const double device_min_cosine = 0.9995;
static bool rounds_to_int8(void) { return env.qtype && (env.device || strcmp(env.qtype, "q4_0") == 0); }

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

static const float *find(const weights *w, uint64_t *rows, uint64_t *cols, const char *fmt, const char *stem)
{
    char name[128];
    snprintf(name, sizeof name, fmt, stem);
    const wtensor *t = weights_find(w, name);
    if (!t)
        return NULL;
    *rows = t->n_dims == 2 ? t->shape[0] : 1;
    *cols = t->shape[t->n_dims - 1];
    return t->data;
}

/* Compares the last rows of a computed tensor with the expected ones. False if there is no expected tensor. */
static bool compare(stage *s, const weights *dump, const weights *expected, const char *stem, const char *key)
{
    uint64_t rows, cols, have_rows = 0, have_cols = 0;
    const float *want = find(expected, &rows, &cols, key, stem);
    if (!want)
        return false;
    const float *have = find(dump, &have_rows, &have_cols, "%s", s->name);
    assert_non_null(have);
    assert_int_equal(have_cols, cols);
    assert_true(have_rows >= rows);
    have += (have_rows - rows) * cols;
    double worst = 0, aa = 0, ab = 0, bb = 0;
    for (uint64_t i = 0; i < rows * cols; i++) {
        double a = (double)have[i], b = (double)want[i], diff = fabs(a - b);
        worst = diff > worst || isnan(diff) ? diff : worst;
        aa += a * a, ab += a * b, bb += b * b;
    }
    double cosine = ab / sqrt(aa * bb);
    s->min_cosine = cosine < s->min_cosine ? cosine : s->min_cosine;
    double min_cosine = env.device && env.qtype ? device_min_cosine : rounded_min_cosine;
    if (!(cosine >= min_cosine))
        fail_msg("%s of %s has cosine %.7f, expected at least %.7f", s->name, stem, cosine, min_cosine);
    if (!(worst <= s->tolerance))
        fail_msg("%s of %s differs by %g, tolerance %g", s->name, stem, worst, s->tolerance);
    s->worst = worst > s->worst ? worst : s->worst;
    s->n_compared++;
    return true;
}

/* If the reference chose by a narrow margin, other rounding may choose differently. */
static bool ids_must_match(const char *stem, double min_margin)
{
    if (!env.qtype && env.f32)
        return min_margin >= 0.5;
    return min_margin >= 4.6;
}

static void check_ids(const char *stem, const json_t *clip, const qasr_segment *segment)
{
    const json_t *want = json_object_get(clip, "output_ids");
    size_t n = json_array_size(want) - 1; /* without the end token */
    assert_int_equal(segment->n_tokens, n);
    for (size_t i = 0; i < n; i++)
        if (segment->tokens[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("%s: token %zu is %d, expected %lld", stem, i, segment->tokens[i],
                     (long long)json_integer_value(json_array_get(want, i)));
    assert_int_equal(segment->stop, QASR_STOP_EOS);
    /* the reference's text: "language X<asr_text>TEXT<|im_end|>" */
    const char *text = strstr(json_string_value(json_object_get(clip, "output")), "<asr_text>");
    assert_non_null(text);
    text += strlen("<asr_text>");
    const char *end = strstr(text, "<|im_end|>");
    assert_non_null(end);
    assert_int_equal(strlen(segment->text), end - text);
    assert_memory_equal(segment->text, text, (size_t)(end - text));
}

static void compare_with_exact(const weights *dump, const char *stem, const float *pcm, size_t n)
{
    char path[] = "/tmp/qasr-golden-XXXXXX";
    qasr_error err;
    qasr_result *result = NULL;
    weights *exact = NULL;
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    close(mkstemp(path));
    opt.dump_tensors = path;
    opt.max_new_tokens = 1;
    opt.max_segment_s = 1200;
    must(qasr_transcribe(&result, env.exact, pcm, n, &opt, &err), &err);
    must(weights_open_safetensors(&exact, path, &err), &err);
    assert_true(compare(&env.logits, dump, exact, "first_logits", "%s"));
    weights_close(exact);
    qasr_result_free(result);
    unlink(path);
}

static void clip_matches(void **state)
{
    const char *file = *state, *name = strrchr(file, '/') + 1;
    char stem[32], key[64], path[1024], dump_path[] = "/tmp/qasr-golden-XXXXXX";
    qasr_error err;
    snprintf(stem, sizeof stem, "%.*s", (int)strcspn(name, "."), name);
    snprintf(key, sizeof key, "%s.wav", stem);
    const json_t *clip = json_object_get(json_object_get(env.golden, "clips"), key);
    assert_non_null(clip);
    snprintf(path, sizeof path, "%s/%s", env.root, file);
    close(mkstemp(dump_path));

    float *pcm = NULL;
    size_t n = 0;
    must(qasr_audio_load(&pcm, &n, path, &err), &err);
    assert_int_equal(n, json_integer_value(json_object_get(clip, "samples")));
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.dump_tensors = dump_path;
    opt.max_new_tokens = MAX_NEW_TOKENS;
    opt.max_segment_s = 1200; /* the reference did not cut clips */
    opt.no_retry = 1;
    qasr_result *result = NULL;
    must(qasr_transcribe(&result, env.session, pcm, n, &opt, &err), &err);
    assert_int_equal(qasr_result_segment_count(result), 1);
    const qasr_segment *segment = qasr_result_segment(result, 0);
    assert_int_equal(segment->n_audio_tokens, json_integer_value(json_object_get(clip, "audio_tokens")));

    weights *dump = NULL;
    must(weights_open_safetensors(&dump, dump_path, &err), &err);
    compare(&env.mel, dump, env.expected, stem, "%s.mel");
    assert_true(compare(&env.embeds, dump, env.expected, stem, "%s.audio_embeds") ||
                compare(&env.embeds, dump, env.expected, stem, "%s.audio_embeds_tail"));
    if (!env.qtype)
        assert_true(compare(&env.logits, dump, env.expected, stem, "%s.first_logits"));
    if (env.exact)
        compare_with_exact(dump, stem, pcm, n);
    if (ids_must_match(stem, json_number_value(json_object_get(clip, "min_margin"))))
        check_ids(stem, clip, segment);

    weights_close(dump);
    qasr_result_free(result);
    qasr_audio_free(pcm);
    unlink(dump_path);
}

static void print_worst(void **state)
{
    print_message(
        "# device %s, level %s, precision %s: largest differences: mel %.2e, audio_embeds %.2e, first_logits %.2e; "
        "smallest cosines: %.7f, %.7f, %.7f\n",
        qasr_session_device(env.session), qasr_cpu_level(), env.f32 ? "f32" : "auto", env.mel.worst, env.embeds.worst,
        env.logits.worst, env.mel.min_cosine, env.embeds.min_cosine, env.logits.min_cosine);
    assert_true(env.mel.worst > 0 && env.embeds.worst > 0); /* the comparison ran */
    assert_true(env.logits.n_compared > 0 || (env.qtype && !env.exact));
}

static qasr_status quantize_decoder(qasr_error *err)
{
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    snprintf(env.gguf, sizeof env.gguf, "/tmp/qasr-golden-XXXXXX");
    close(mkstemp(env.gguf));
    opt.input = env.model;
    opt.output = env.gguf;
    opt.qtype = env.qtype;
    opt.quantize_embeddings = 1;
    opt.overwrite = 1;
    return qasr_quantize(&opt, NULL, err);
}

static int open_all(void **state)
{
    char path[1024];
    qasr_error err = { QASR_OK, "golden files are missing" };
    snprintf(path, sizeof path, "%s/tests/data/golden/demo.json", env.root);
    env.golden = json_load_file(path, 0, NULL);
    snprintf(path, sizeof path, "%s/tests/data/golden/demo.safetensors", env.root);
    qasr_model_options opt = QASR_MODEL_OPTIONS_INIT;
    bool makes_gguf = env.qtype && !env.given_gguf && !env.in_gguf;
    if (!env.in_gguf) {
        opt.decoder_weights = env.qtype ? QASR_DECODER_GGUF : QASR_DECODER_SAFETENSORS;
        opt.decoder_gguf = makes_gguf ? env.gguf : env.given_gguf;
    } else if (env.qtype) {
        env.embeds.tolerance = stored_embeds_tolerance;
    }
    qasr_session_options session = QASR_SESSION_OPTIONS_INIT;
    session.precision = env.f32 ? QASR_PRECISION_F32 : QASR_PRECISION_AUTO;
    session.device = env.device;
    if (!env.f32) {
        env.embeds.tolerance = rounded_embeds_tolerance;
        env.logits.tolerance = rounds_to_int8() ? int8_logits_tolerance : rounded_logits_tolerance;
    }
    if (!env.golden || (makes_gguf && quantize_decoder(&err)) || weights_open_safetensors(&env.expected, path, &err) ||
        qasr_model_open(&env.opened, env.model, &opt, &err) ||
        qasr_session_open(&env.session, env.opened, &session, &err)) {
        print_error("cannot set up: %s\n", err.message);
        return -1;
    }
    session.precision = QASR_PRECISION_F32;
    session.device = NULL;
    if (env.qtype && !env.f32 && qasr_session_open(&env.exact, env.opened, &session, &err)) {
        print_error("cannot set up: %s\n", err.message);
        return -1;
    }
    return 0;
}

static int close_all(void **state)
{
    qasr_session_close(env.session);
    qasr_session_close(env.exact);
    qasr_model_close(env.opened);
    weights_close(env.expected);
    json_decref(env.golden);
    if (env.gguf[0])
        unlink(env.gguf);
    return 0;
}

static bool device_is_here(const char *name)
{
    qasr_device_info d = QASR_DEVICE_INFO_INIT;
    for (size_t i = 0; qasr_device_get(&d, i, NULL) == QASR_OK; i++)
        if (strcasecmp(d.name, name) == 0 || strcasecmp(d.backend, name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    env.device = getenv("QASR_TEST_DEVICE");
    if (env.device && !device_is_here(env.device)) {
        printf("1..0 # SKIP no device '%s'\n", env.device);
        return 0;
    }
    env.root = argv[1];
    env.model = argv[2];
    env.f32 = strcmp(argv[3], "f32") == 0;
    env.qtype = argc > 4 ? argv[4] : NULL;
    env.given_gguf = argc > 5 ? argv[5] : NULL;
    env.in_gguf = strstr(env.model, ".gguf") != NULL;
    struct CMUnitTest tests[N_CLIPS + 1] = { [N_CLIPS] = { "largest differences", print_worst, NULL, NULL, NULL } };
    for (size_t i = 0; i < N_CLIPS; i++)
        tests[i] = (struct CMUnitTest){ clips[i], clip_matches, NULL, NULL, (void *)(uintptr_t)clips[i] };
    return _cmocka_run_group_tests("golden", tests, N_CLIPS + 1, open_all, close_all);
}
