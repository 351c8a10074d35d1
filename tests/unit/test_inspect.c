/* Inspection of files: layout, parts, facts; broken files in a directory do not hide the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "inspect/inspect.h"
#include "quantize/convert.h"
#include "weights/gguf_write.h"
#include "weights/safetensors_write.h"
#include "weights/weights.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/qasr-inspect-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static qasr_inspect *look(const char *path)
{
    qasr_inspect *in = NULL;
    qasr_error err;
    if (inspect_open(&in, path, &err) != QASR_OK)
        fail_msg("%s", err.message);
    return in;
}

static const char *fact_of(const qasr_inspect *in, const char *key)
{
    const char *value;
    for (size_t i = 0; i < inspect_fact_count(in); i++)
        if (strcmp(inspect_fact(in, i, &value), key) == 0)
            return value;
    return "";
}

static void check_facts(const qasr_inspect *in, const char *const (*facts)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fact_of(in, facts[i][0]), facts[i][1]) != 0)
            fail_msg("%s is '%s', expected '%s'", facts[i][0], fact_of(in, facts[i][0]), facts[i][1]);
}

static void test_model_directory(void **state)
{
    (void)state;
    static const char *const facts[][2] = {
        { "layout", "original" },
        { "container", "safetensors, 2 files" },
        { "tensors", "178" },
        { "parameters", "10678656" },
        { "parameters.encoder", "5430912" },
        { "parameters.decoder", "4723456" },
        { "parameters.embedding", "262144" },
        { "parameters.head", "262144" },
        { "parameters.other", "" },
        { "type.bf16", "178 tensors, 21357312 bytes" },
        { "model", "qwen3_asr" },
        { "encoder.layers", "6" },
        { "encoder.width", "256" },
        { "decoder.layers", "6" },
        { "decoder.kv_heads", "1" },
        { "decoder.tied_head", "yes" },
        { "languages", "English, Russian, German, Chinese" },
        { "tokenizer", "1023 tokens, 760 merges" },
    };
    qasr_inspect *in = look(MODEL_DIR);
    check_facts(in, facts, ARRAY_LEN(facts));
    assert_int_equal(inspect_tensor_count(in), 178);
    assert_null(inspect_tensor(in, 178));
    assert_null(inspect_fact(in, inspect_fact_count(in), NULL));
    for (size_t i = 0; i < inspect_tensor_count(in); i++) {
        const qasr_tensor_info *t = inspect_tensor(in, i);
        if (strcmp(t->name, "thinker.audio_tower.proj2.weight") == 0) {
            assert_string_equal(t->part, "encoder");
            assert_string_equal(t->type, "bf16");
            assert_int_equal(t->n_dims, 2);
            assert_int_equal(t->shape[0], 256);
            assert_int_equal(t->bytes, 2 * 256 * 256);
        }
    }
    inspect_free(in);
}

static void quantize_to(const char *path)
{
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    qasr_error err;
    opt.input = MODEL_DIR;
    opt.output = path;
    opt.qtype = "q8_0";
    opt.scope = "thinker.model.";
    if (convert_run(&opt, NULL, &err) != QASR_OK)
        fail_msg("%s", err.message);
}

static void test_own_gguf(void **state)
{
    (void)state;
    static const char *const facts[][2] = {
        { "layout", "qasr" },
        { "container", "GGUF version 3" },
        { "tensors", "68" },
        { "parameters.decoder", "4723456" },
        { "type.f32", "25 tensors, 19456 bytes" },
        { "type.q8_0", "42 tensors, 5013504 bytes" },
        { "type.bf16", "1 tensor, 524288 bytes" },
        { "decoder.width", "256" },
        { "meta.qasr.qtype", "q8_0" },
        { "meta.general.alignment", "32" },
    };
    quantize_to(path_of("a.gguf"));
    qasr_inspect *in = look(path_of("a.gguf"));
    check_facts(in, facts, ARRAY_LEN(facts));
    const char *config = fact_of(in, "meta.qasr.config"); /* long text: one line, truncated, with its length */
    assert_null(strchr(config, '\n'));
    assert_non_null(strstr(config, "bytes)"));
    inspect_free(in);
}

static void make_gguf(const char *name, const char *architecture, const char *tensor)
{
    gguf_writer *g;
    size_t index;
    float x[2] = { 1, 2 };
    assert_int_equal(gguf_writer_create(&g, path_of(name), true, NULL), QASR_OK);
    bool is_type = architecture && strncmp(architecture, "type ", 5) == 0; /* of the file, not of a model */
    if (is_type)
        assert_int_equal(gguf_writer_meta_str(g, "general.type", architecture + 5, NULL), QASR_OK);
    else if (architecture)
        assert_int_equal(gguf_writer_meta_str(g, "general.architecture", architecture, NULL), QASR_OK);
    if (architecture && strcmp(architecture, "clip") == 0)
        assert_int_equal(gguf_writer_meta_str(g, "clip.audio.projector_type", "qwen3a", NULL), QASR_OK);
    assert_int_equal(gguf_writer_add(g, tensor, QUANT_F32, 1, (uint64_t[]){ 2 }, &index, NULL), QASR_OK);
    assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
    assert_int_equal(gguf_writer_put(g, index, 0, x, sizeof x, NULL), QASR_OK);
    assert_int_equal(gguf_writer_commit(g, NULL, NULL), QASR_OK);
    gguf_writer_free(g);
}

static void test_layouts(void **state)
{
    (void)state;
    static const struct {
        const char *architecture, *tensor, *layout, *part;
    } cases[] = {
        { NULL, "thinker.model.norm.weight", "RustASR", "decoder" },
        { "qwen3vl", "token_embd.weight", "llama.cpp text model", "embedding" },
        { "qwen3vl", "output.weight", "llama.cpp text model", "head" },
        { "clip", "a.blk.0.ln1.weight", "llama.cpp mmproj", "encoder" },
        { "qwen3_asr", "dec.blocks.0.norm_attn.weight", "transcribe.cpp", "decoder" },
        { "qwen3asr", "audio.blk.0.attn_norm.weight", "CrispASR", "encoder" },
        { "qwen3asr", "audio.mel_window", "CrispASR", "other" },
        { "qasr", "thinker.model.norm.weight", "qasr", "decoder" },
        { "llama", "blk.0.attn_norm.weight", "unknown", "decoder" },
        { NULL, "something", "unknown", "other" },
        { "type imatrix", "thinker.model.layers.0.mlp.up_proj.weight.in_sum2", "imatrix (statistics, no weights)",
          "decoder" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_gguf("x.gguf", cases[i].architecture, cases[i].tensor);
        qasr_inspect *in = look(path_of("x.gguf"));
        assert_string_equal(fact_of(in, "layout"), cases[i].layout);
        assert_string_equal(inspect_tensor(in, 0)->part, cases[i].part);
        inspect_free(in);
    }
}

static void test_directory_with_broken_files(void **state)
{
    (void)state;
    float x[2] = { 1, 2 };
    st_entry e = { "model.language_model.norm.weight", 1, { 2, 1, 1, 1 }, x };
    assert_int_equal(safetensors_write_f32(path_of("model.safetensors"), &e, 1, NULL), QASR_OK);
    make_gguf("good.gguf", "qasr", "thinker.model.norm.weight");
    write_text("bad.gguf", "GGUF");
    write_text("config.json", "{ nonsense");
    qasr_inspect *in = look(dir);
    assert_string_equal(fact_of(in, "layout"), "hf");
    assert_non_null(strstr(fact_of(in, "gguf.bad.gguf"), "not readable: "));
    assert_non_null(strstr(fact_of(in, "gguf.good.gguf"), "qasr layout, 1 tensor,"));
    assert_non_null(strstr(fact_of(in, "config"), "config.json' is not valid JSON: line 1, column "));
    assert_non_null(strstr(fact_of(in, "tokenizer"), "not readable: "));
    assert_int_equal(inspect_tensor_count(in), 2);
    assert_string_equal(inspect_tensor(in, 1)->file, "good.gguf");
    inspect_free(in);
}

static void test_config_inside_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *config, *fact, *value;
    } cases[] = {
        { "{\"thinker_config\": {\"text_config\": {\"hidden_size\": 64}}}", "decoder.width", "64" },
        { "{\"text_config\": {\"hidden_size\": null}, \"hidden_size\": 8}", "decoder.width", "8" },
        { "{", "config", "x.gguf: qasr.config' is not valid JSON: line 1, column " },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gguf_writer *g;
        assert_int_equal(gguf_writer_create(&g, path_of("x.gguf"), true, NULL), QASR_OK);
        assert_int_equal(gguf_writer_meta_str(g, "qasr.config", cases[i].config, NULL), QASR_OK);
        assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
        assert_int_equal(gguf_writer_commit(g, NULL, NULL), QASR_OK);
        gguf_writer_free(g);
        qasr_inspect *in = look(path_of("x.gguf"));
        assert_non_null(strstr(fact_of(in, cases[i].fact), cases[i].value));
        inspect_free(in);
    }
}

static void test_nothing_there(void **state)
{
    (void)state;
    qasr_error err;
    qasr_inspect *in = NULL;
    write_text("note.txt", "hello");
    const char *paths[] = { "/nonexistent", dir, path_of("note.txt") };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        err.status = QASR_OK;
        assert_int_not_equal(inspect_open(&in, paths[i], &err), QASR_OK);
        assert_int_not_equal(err.status, QASR_OK);
        assert_null(in);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    qasr_inspect *in = NULL;
    make_gguf("x.gguf", "qasr", "thinker.model.norm.weight");
    write_text("config.json", "{\"model_type\": \"m\", \"support_languages\": [\"English\"]}");
    size_t n = 0;
    for (;; n++) {
        mem_fail_after(n);
        qasr_status status = inspect_open(&in, dir, NULL);
        mem_fail_after(SIZE_MAX);
        if (status == QASR_OK)
            break;
        assert_int_equal(status, QASR_E_NOMEM);
        assert_null(in);
        assert_true(n < 10000);
    }
    assert_true(n > 10);
    assert_string_equal(fact_of(in, "languages"), "English");
    inspect_free(in);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_model_directory),
        TEST(test_own_gguf),
        TEST(test_layouts),
        TEST(test_config_inside_a_file),
        TEST(test_directory_with_broken_files),
        TEST(test_nothing_there),
        TEST(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
