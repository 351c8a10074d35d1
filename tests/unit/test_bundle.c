/* Whole models in one file: contents, independence of the input format, and golden ids from the file alone. */
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "quantize/convert.h"
#include "quantize/convert_report.h"
#include "weights_fixture.h"

enum { N_LAYERS = 6, N_VOCAB = 1024, N_TENSORS = 2 + 13 + 16 * N_LAYERS + 2 + 11 * N_LAYERS };

static qasr_quantize_options options(const char *in, const char *out, const char *qtype)
{
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    opt.input = in;
    opt.output = out;
    opt.qtype = qtype;
    opt.scope = "thinker.";
    opt.n_threads = 2;
    opt.overwrite = 1;
    return opt;
}

static void make(const qasr_quantize_options *opt)
{
    qasr_error err;
    if (convert_run(opt, NULL, &err) != QASR_OK)
        fail_msg("%s", err.message);
}

static void make_file(const char *in, const char *out, const char *qtype)
{
    qasr_quantize_options opt = options(in, out, qtype);
    make(&opt);
}

static const wtensor *stored(const weights *w, const char *name)
{
    for (size_t i = 0; i < weights_count(w); i++)
        if (strcmp(weights_at(w, i)->name, name) == 0)
            return weights_at(w, i);
    fail_msg("no tensor '%s' in the file", name);
    return NULL;
}

/* ---- contents ------------------------------------------------------------------------------ */

static void types_follow_the_preset(void **state)
{
    static const struct {
        const char *qtype, *encoder, *encoder_out, *decoder, *decoder_out, *embedding;
        unsigned file_type;
    } cases[] = {
        { "q4_k_m", "q8_0", "q8_0", "q4_k", "q8_0", "q6_k", 15 },
        { "q5_k_m", "q8_0", "q8_0", "q5_k", "q8_0", "q6_k", 17 },
        { "q4_0", "q8_0", "q8_0", "q4_0", "q4_0", "q4_0", 2 },
        { "q6_k", "q8_0", "q8_0", "q6_k", "q6_k", "q6_k", 18 },
        { "q8_0", "q8_0", "q8_0", "q8_0", "q8_0", "q8_0", 7 },
        { "f16", "f16", "f16", "f16", "f16", "f16", 1 },
        { "bf16", "bf16", "bf16", "bf16", "bf16", "bf16", 32 },
    };
    (void)state;
    const char *path = scratch_path("x.gguf");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_file(MODEL_DIR, path, cases[i].qtype);
        weights *w = assert_opens(path);
        assert_int_equal(weights_count(w), N_TENSORS);
        const struct {
            const char *name, *type;
        } wanted[] = {
            { "enc.blocks.0.attn.q.weight", cases[i].encoder },
            { "enc.blocks.5.attn.out.weight", cases[i].encoder_out },
            { "enc.blocks.2.ffn.fc2.weight", cases[i].encoder },
            { "enc.conv_out.weight", cases[i].encoder },
            { "enc.proj2.weight", cases[i].encoder },
            { "dec.blocks.0.attn.v.weight", cases[i].decoder },
            { "dec.blocks.3.attn.o.weight", cases[i].decoder_out },
            { "dec.blocks.5.ffn.down.weight", cases[i].decoder },
            { "dec.token_embd.weight", cases[i].embedding },
            { "enc.conv.1.weight", "f32" },
            { "enc.conv.0.bias", "f32" },
            { "enc.blocks.1.norm_attn.weight", "f32" },
            { "dec.blocks.1.attn.q_norm.weight", "f32" },
            { "dec.output_norm.weight", "f32" },
            { "frontend.mel_filterbank", "f32" },
            { "frontend.window", "f32" },
        };
        for (size_t k = 0; k < ARRAY_LEN(wanted); k++)
            if (strcmp(quant_get(stored(w, wanted[k].name)->type)->name, wanted[k].type) != 0)
                fail_msg("%s: '%s' is %s", cases[i].qtype, wanted[k].name,
                         quant_get(stored(w, wanted[k].name)->type)->name);
        assert_int_equal(weights_meta_find(w, "general.file_type")->as.u, cases[i].file_type);
        weights_close(w);
    }
}

static void convolutions_and_tables_are_exact(void **state)
{
    (void)state;
    make_file(MODEL_DIR, scratch_path("x.gguf"), "q4_0");
    weights *w = assert_opens(scratch_path("x.gguf")), *source = assert_opens(MODEL_DIR);
    const wtensor *a = stored(w, "enc.conv.0.weight"), *b = weights_find(source, a->canonical);
    assert_true(a->n_dims == 4 && a->shape[0] == 96 && a->shape[1] == 1 && a->shape[2] == 3 && a->shape[3] == 3);
    for (uint64_t i = 0; i < a->n_values; i++)
        assert_true(((const float *)a->data)[i] == f32_from_bf16(((const uint16_t *)b->data)[i]));
    const wtensor *filters = stored(w, "frontend.mel_filterbank"), *window = stored(w, "frontend.window");
    assert_true(filters->n_dims == 2 && filters->shape[0] == 128 && filters->shape[1] == 201);
    assert_true(window->n_dims == 1 && window->shape[0] == 400);
    assert_true(fabsf(((const float *)filters->data)[64 * 201 + 42] - 0.006749683f) < 1e-8f);
    assert_true(fabsf(((const float *)window->data)[200] - 1) < 1e-6f && ((const float *)window->data)[0] == 0);
    weights_close(w);
    weights_close(source);
}

static const wmeta *key(const weights *w, const char *name, wmeta_type type)
{
    const wmeta *m = weights_meta_find(w, name);
    if (!m || m->type != type)
        fail_msg("key '%s' is missing or of another type", name);
    return m;
}

static void keys_say_what_the_configuration_says(void **state)
{
    static const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        { "stt.qwen3_asr.encoder.n_layers", 6 },
        { "stt.qwen3_asr.encoder.d_model", 256 },
        { "stt.qwen3_asr.encoder.n_heads", 4 },
        { "stt.qwen3_asr.encoder.ffn_dim", 1024 },
        { "stt.qwen3_asr.encoder.num_mel_bins", 128 },
        { "stt.qwen3_asr.encoder.downsample_hidden", 96 },
        { "stt.qwen3_asr.encoder.output_dim", 256 },
        { "stt.qwen3_asr.encoder.max_source_positions", 1500 },
        { "stt.qwen3_asr.encoder.n_window", 50 },
        { "stt.qwen3_asr.encoder.n_window_infer", 800 },
        { "stt.qwen3_asr.encoder.conv_chunksize", 500 },
        { "stt.qwen3_asr.decoder.n_layers", 6 },
        { "stt.qwen3_asr.decoder.hidden_size", 256 },
        { "stt.qwen3_asr.decoder.intermediate_size", 768 },
        { "stt.qwen3_asr.decoder.n_heads", 2 },
        { "stt.qwen3_asr.decoder.n_kv_heads", 1 },
        { "stt.qwen3_asr.decoder.head_dim", 128 },
        { "stt.qwen3_asr.decoder.max_position_embeddings", 65536 },
        { "stt.qwen3_asr.decoder.vocab_size", N_VOCAB },
        { "stt.qwen3_asr.decoder.rope_mrope_section_t", 24 },
        { "stt.qwen3_asr.decoder.rope_mrope_section_h", 20 },
        { "stt.qwen3_asr.decoder.rope_mrope_section_w", 20 },
        { "stt.qwen3_asr.audio_token_id", 1021 },
        { "stt.qwen3_asr.audio_start_token_id", 1019 },
        { "stt.qwen3_asr.audio_end_token_id", 1020 },
        { "stt.frontend.num_mels", 128 },
        { "stt.frontend.sample_rate", 16000 },
        { "stt.frontend.n_fft", 400 },
        { "stt.frontend.hop_length", 160 },
        { "stt.frontend.n_samples", 480000 },
        { "stt.frontend.nb_max_frames", 3000 },
        { "tokenizer.ggml.eos_token_id", 1018 },
        { "tokenizer.ggml.padding_token_id", 1016 },
    };
    static const struct {
        const char *key, *value;
    } strings[] = {
        { "general.architecture", "qwen3_asr" },
        { "general.name", "demo" },
        { "general.basename", "qwen3-asr" },
        { "general.size_label", "10M" },
        { "stt.variant", "demo" },
        { "stt.qwen3_asr.encoder.activation", "gelu" },
        { "stt.qwen3_asr.decoder.hidden_act", "silu" },
        { "stt.frontend.type", "mel" },
        { "stt.frontend.window", "hann_periodic" },
        { "tokenizer.ggml.model", "gpt2" },
        { "tokenizer.ggml.pre", "qwen2" },
        { "qasr.version", QASR_VERSION_STRING },
        { "qasr.source", "demo" },
        { "qasr.qtype", "q4_k_m" },
    };
    (void)state;
    make_file(MODEL_DIR, scratch_path("x.gguf"), "q4_k_m");
    weights *w = assert_opens(scratch_path("x.gguf"));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        assert_int_equal(key(w, numbers[i].key, WMETA_U32)->as.u, numbers[i].value);
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        assert_string_equal(key(w, strings[i].key, WMETA_STRING)->str, strings[i].value);
    assert_true(fabs(key(w, "stt.qwen3_asr.decoder.rms_norm_eps", WMETA_F32)->as.f - 1e-6) < 1e-12);
    assert_true(key(w, "stt.qwen3_asr.decoder.rope_theta", WMETA_F32)->as.f == 1e6);
    assert_true(key(w, "stt.qwen3_asr.decoder.tie_word_embeddings", WMETA_BOOL)->as.b);
    assert_true(key(w, "stt.frontend.f_max", WMETA_F32)->as.f == 8000);
    assert_int_equal(key(w, "tokenizer.ggml.tokens", WMETA_ARRAY)->n_elems, N_VOCAB);
    const wmeta *types = key(w, "tokenizer.ggml.token_type", WMETA_ARRAY),
                *languages = key(w, "general.languages", WMETA_ARRAY);
    assert_true(types->elem_type == WMETA_I32 && types->n_elems == N_VOCAB);
    int32_t type;
    memcpy(&type, types->elems + 4 * 1018, 4);
    assert_int_equal(type, 3);
    memcpy(&type, types->elems + 4 * 17, 4);
    assert_int_equal(type, 1);
    static const char *const codes[] = { "en", "ru", "de", "zh" };
    uint64_t pos = 0;
    const char *s;
    size_t len;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        assert_true(wmeta_next_string(languages, &pos, &s, &len) && len == 2 && memcmp(s, codes[i], 2) == 0);
    weights_close(w);
}

/* ---- independence of the input ------------------------------------------------------------- */

static void assert_same_meta(const wmeta *a, const wmeta *b)
{
    assert_int_equal(a->type, b->type);
    if (a->type == WMETA_ARRAY) {
        assert_true(a->elem_type == b->elem_type && a->n_elems == b->n_elems && a->elems_bytes == b->elems_bytes);
        assert_memory_equal(a->elems, b->elems, (size_t)a->elems_bytes);
    } else if (a->type == WMETA_STRING) {
        assert_string_equal(a->str, b->str);
    } else {
        assert_memory_equal(&a->as, &b->as, sizeof a->as);
    }
}

/* Equal except for the name of the input. */
static void assert_same_files(const char *path_a, const char *path_b)
{
    weights *a = assert_opens(path_a), *b = assert_opens(path_b);
    assert_int_equal(weights_meta_count(a), weights_meta_count(b));
    for (size_t i = 0; i < weights_meta_count(a); i++) {
        const wmeta *m = weights_meta_at(a, i), *n = weights_meta_find(b, m->key);
        if (!n)
            fail_msg("key '%s' is in one file only", m->key);
        if (strcmp(m->key, "qasr.source") != 0)
            assert_same_meta(m, n);
    }
    assert_int_equal(weights_count(a), weights_count(b));
    for (size_t i = 0; i < weights_count(a); i++) {
        const wtensor *t = weights_at(a, i), *u = stored(b, t->name);
        assert_true(t->type == u->type && t->n_dims == u->n_dims && t->n_bytes == u->n_bytes);
        assert_memory_equal(t->shape, u->shape, sizeof t->shape);
        assert_memory_equal(t->data, u->data, (size_t)t->n_bytes);
    }
    weights_close(a);
    weights_close(b);
}

static void a_file_is_as_good_as_the_directory(void **state)
{
    static const char *const exact[] = { "bf16", "f32" };
    (void)state;
    make_file(MODEL_DIR, scratch_path("direct.gguf"), "q5_k_m");
    for (size_t i = 0; i < ARRAY_LEN(exact); i++) {
        make_file(MODEL_DIR, scratch_path("first.gguf"), exact[i]);
        make_file(scratch_path("first.gguf"), scratch_path("second.gguf"), "q5_k_m");
        assert_same_files(scratch_path("direct.gguf"), scratch_path("second.gguf"));
    }
    make_file(MODEL_DIR "/model.safetensors.index.json", scratch_path("second.gguf"), "q5_k_m");
    assert_same_files(scratch_path("direct.gguf"), scratch_path("second.gguf"));
}

/* The decoder extracted from a whole model equals the one made from a checkpoint. */
static void the_decoder_can_be_taken_out(void **state)
{
    (void)state;
    qasr_quantize_options opt = options(MODEL_DIR, scratch_path("direct.gguf"), "q4_k");
    opt.scope = "thinker.model.";
    opt.embedding_qtype = "q6_k";
    make(&opt);
    make_file(MODEL_DIR, scratch_path("first.gguf"), "bf16");
    opt.input = scratch_path("first.gguf");
    opt.output = scratch_path("second.gguf");
    make(&opt);
    assert_same_files(scratch_path("direct.gguf"), scratch_path("second.gguf"));
}

static void threads_do_not_matter(void **state)
{
    buf files[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        qasr_quantize_options opt = options(MODEL_DIR, scratch_path("x.gguf"), "q4_k_m");
        opt.n_threads = i ? 5 : 1;
        make(&opt);
        buf_init(&files[i], 64 << 20);
        assert_int_equal(file_read_all(&files[i], scratch_path("x.gguf"), NULL), QASR_OK);
    }
    assert_int_equal(files[0].len, files[1].len);
    assert_memory_equal(files[0].data, files[1].data, files[0].len);
    buf_free(&files[0]);
    buf_free(&files[1]);
}

/* ---- sizes, failures ----------------------------------------------------------------------- */

static void a_dry_run_knows_the_size(void **state)
{
    static const char *const qtypes[] = { "q4_k_m", "q8_0", "f16" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(qtypes); i++) {
        qasr_quantize_report report;
        qasr_error err;
        struct stat st;
        qasr_quantize_options opt = options(MODEL_DIR, scratch_path("x.gguf"), qtypes[i]);
        make(&opt);
        assert_int_equal(stat(opt.output, &st), 0);
        opt.dry_run = 1;
        assert_int_equal(convert_run(&opt, &report, &err), QASR_OK);
        assert_int_equal(report.file_bytes, st.st_size);
        mem_free(report.rows);
    }
}

static int cancel(void *user, uint64_t done, uint64_t total, const char *what)
{
    (void)done, (void)total, (void)what;
    return --*(int *)user < 0;
}

static void nothing_is_left_when_it_is_cancelled(void **state)
{
    (void)state;
    for (int calls = 0; calls < 3; calls++) {
        int left = calls;
        qasr_error err;
        qasr_quantize_options opt = options(MODEL_DIR, scratch_path("x.gguf"), "q8_0");
        opt.on_progress = cancel;
        opt.user = &left;
        opt.n_threads = 1;
        assert_int_equal(convert_run(&opt, NULL, &err), QASR_E_CANCELLED);
        assert_int_equal(scratch_list(false), 0);
    }
}

static void inputs_that_are_no_model_are_refused(void **state)
{
    (void)state;
    qasr_error err;
    qasr_quantize_options opt = options(MODEL_DIR, scratch_path("decoder.gguf"), "q8_0");
    opt.scope = "thinker.model.";
    make(&opt);
    opt = options(scratch_path("decoder.gguf"), scratch_path("x.gguf"), "q8_0");
    assert_int_equal(convert_run(&opt, NULL, &err), QASR_E_INVALID);
    assert_message(&err, "holds a decoder without configuration and tokenizer");
    opt = options(scratch, scratch_path("x.gguf"), "q8_0"); /* a directory without config.json */
    assert_int_equal(convert_run(&opt, NULL, &err), QASR_E_IO);
    opt = options("/nonexistent", scratch_path("x.gguf"), "q8_0");
    assert_int_equal(convert_run(&opt, NULL, &err), QASR_E_IO);
    assert_int_equal(scratch_list(false), 1);
}

/* In a dry run, which covers everything but the conversion. */
static void failed_allocations_are_reported(void **state)
{
    (void)state;
    qasr_error err;
    qasr_quantize_options opt = options(MODEL_DIR, NULL, "q4_k_m");
    opt.dry_run = 1;
    for (size_t n = 0;; n++) {
        mem_fail_after(n);
        qasr_status status = convert_run(&opt, NULL, &err);
        mem_fail_after(SIZE_MAX);
        if (status == QASR_OK) {
            assert_true(n > 60);
            return;
        }
        assert_int_equal(status, QASR_E_NOMEM);
        assert_true(n < 10000);
    }
}

/* ---- transcripts --------------------------------------------------------------------------- */

/* In the folder of the golden clips, or in the evaluation set that shares the clip. False if it is not in dir. */
static bool find_clip(char path[300], const char *dir, const char *name)
{
    snprintf(path, 300, "%s/%.*s.flac", dir, (int)strcspn(name, "."), name);
    return access(path, R_OK) == 0;
}

static void check_clip(qasr_session *s, const char *name, const json_t *clip)
{
    char path[300];
    float *pcm;
    size_t n;
    qasr_error err;
    qasr_result *result;
    assert_true(find_clip(path, TEST_DATA "/golden/clips", name) || find_clip(path, MODEL_DIR "/eval/long", name) ||
                find_clip(path, MODEL_DIR "/eval/multi", name));
    assert_int_equal(qasr_audio_load(&pcm, &n, path, &err), QASR_OK);
    qasr_transcribe_options whole = QASR_TRANSCRIBE_OPTIONS_INIT;
    whole.max_segment_s = 1200; /* as in the reference */
    if (qasr_transcribe(&result, s, pcm, n, &whole, &err) != QASR_OK)
        fail_msg("%s", err.message);
    const qasr_segment *segment = qasr_result_segment(result, 0);
    const json_t *ids = json_object_get(clip, "output_ids");
    assert_int_equal(segment->n_tokens, json_array_size(ids) - 1); /* without the end token */
    for (size_t i = 0; i < segment->n_tokens; i++)
        assert_int_equal(segment->tokens[i], json_integer_value(json_array_get(ids, i)));
    qasr_result_free(result);
    qasr_audio_free(pcm);
}

/* Clips whose golden ids win by a clear margin, with a file alone in its directory. */
static void check_golden(const char *qtype, double min_margin)
{
    qasr_error err;
    qasr_model *m;
    qasr_session *s;
    size_t n_clips = 0;
    make_file(MODEL_DIR, scratch_path("x.gguf"), qtype);
    assert_int_equal(scratch_list(false), 1);
    qasr_session_options opt = QASR_SESSION_OPTIONS_INIT;
    opt.precision = QASR_PRECISION_F32;
    opt.n_threads = 2;
    if (qasr_model_open(&m, scratch_path("x.gguf"), NULL, &err) != QASR_OK ||
        qasr_session_open(&s, m, &opt, &err) != QASR_OK)
        fail_msg("%s", err.message);
    json_t *golden = json_load_file(TEST_DATA "/golden/demo.json", 0, NULL), *clip;
    const char *name;
    json_object_foreach(json_object_get(golden, "clips"), name,
                        clip) if (json_number_value(json_object_get(clip, "min_margin")) >= min_margin)
    {
        check_clip(s, name, clip);
        n_clips++;
    }
    assert_true(n_clips >= 10);
    json_decref(golden);
    qasr_session_close(s);
    qasr_model_close(m);
}

static void bf16_gives_the_golden_ids(void **state)
{
    (void)state;
    check_golden("bf16", 0.5);
}
static void q8_0_gives_the_golden_ids(void **state)
{
    (void)state;
    check_golden("q8_0", 4.6);
}
static void q4_k_m_gives_the_golden_ids(void **state)
{
    (void)state;
    check_golden("q4_k_m", 4.6);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)
    const struct CMUnitTest tests[] = {
        CASE(types_follow_the_preset),
        CASE(convolutions_and_tables_are_exact),
        CASE(keys_say_what_the_configuration_says),
        CASE(a_file_is_as_good_as_the_directory),
        CASE(the_decoder_can_be_taken_out),
        CASE(threads_do_not_matter),
        CASE(a_dry_run_knows_the_size),
        CASE(nothing_is_left_when_it_is_cancelled),
        CASE(inputs_that_are_no_model_are_refused),
        CASE(failed_allocations_are_reported),
        CASE(bf16_gives_the_golden_ids),
        CASE(q8_0_gives_the_golden_ids),
        CASE(q4_k_m_gives_the_golden_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
