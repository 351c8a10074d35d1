/* config.json in both layouts, refused configurations, and the number of audio vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_file.h"
#include "model/config.h"
#include "model/net.h"

static void read_demo(buf *text, const char *name)
{
    qasr_error err;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", MODEL_DIR, name);
    buf_init(text, 1 << 20);
    if (file_read_all(text, path, &err) != QASR_OK)
        fail_msg("%s", err.message);
}

static void both_layouts_say_the_same(void **state)
{
    model_config c[2];
    const char *names[] = { "config.json", "hf_config.json" };
    for (int i = 0; i < 2; i++) {
        buf text;
        qasr_error err;
        read_demo(&text, names[i]);
        if (config_parse(&c[i], buf_str(&text), text.len, names[i], &err) != QASR_OK)
            fail_msg("%s", err.message);
        buf_free(&text);
    }
    assert_false(c[0].hf_layout);
    assert_true(c[1].hf_layout);
    assert_memory_equal(&c[0].enc, &c[1].enc, sizeof c[0].enc);
    assert_memory_equal(&c[0].dec, &c[1].dec, sizeof c[0].dec);
    assert_int_equal(c[0].audio_pad_id, 1021);
    assert_int_equal(c[1].audio_pad_id, 1021);
    assert_int_equal(c[0].enc.d_model, 256);
    assert_int_equal(c[0].enc.chunk_frames, 100);
    assert_int_equal(c[0].enc.window_frames, 800);
    assert_int_equal(c[0].dec.n_kv_heads, 1);
    assert_true(c[0].dec.tied_head);
    assert_int_equal(c[0].n_eos, 0);
    assert_int_equal(c[1].n_eos, 2); /* only this layout lists them */
}

/* The demo configuration with one text replaced. */
static qasr_status parse_changed(const char *from, const char *to, qasr_error *err)
{
    buf text, changed;
    model_config c;
    read_demo(&text, "config.json");
    buf_init(&changed, 1 << 20);
    const char *at = strstr(buf_str(&text), from);
    assert_non_null(at);
    buf_add(&changed, text.data, (size_t)(at - text.data), NULL);
    buf_add_str(&changed, to, NULL);
    buf_add_str(&changed, at + strlen(from), NULL);
    qasr_status status = config_parse(&c, buf_str(&changed), changed.len, "c.json", err);
    buf_free(&text);
    buf_free(&changed);
    return status;
}

static void bad_configurations_are_named(void **state)
{
    static const struct {
        const char *from, *to;
        qasr_status status;
        const char *message;
    } cases[] = {
        { "\"d_model\": 256", "\"d_modell\": 256", QASR_E_FORMAT, "no key 'audio_config.d_model'" },
        { "\"d_model\": 256", "\"d_model\": \"256\"", QASR_E_FORMAT,
          "'audio_config.d_model' in 'c.json' is not a whole number" },
        { "\"d_model\": 256", "\"d_model\": -1", QASR_E_FORMAT, "is -1, expected" },
        { "\"d_model\": 256", "\"d_model\": 250", QASR_E_FORMAT, "does not split into 4 heads" },
        { "\"encoder_attention_heads\": 4", "\"encoder_attention_heads\": 99999999999", QASR_E_FORMAT,
          "expected 1 to 1024" },
        { "\"output_dim\": 256", "\"output_dim\": 512", QASR_E_FORMAT, "expected equal" },
        { "\"n_window_infer\": 800", "\"n_window_infer\": 850", QASR_E_FORMAT, "not a multiple" },
        { "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 3", QASR_E_FORMAT, "cannot share 3" },
        { "\"rope_theta\": 1000000", "\"rope_theta\": null", QASR_E_FORMAT, "rope_theta" },
        { "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 7", QASR_E_FORMAT, "rms_norm_eps" },
        { "\"gelu\"", "\"relu\"", QASR_E_UNSUPPORTED, "'relu'" },
        { "\"silu\"", "\"gelu\"", QASR_E_UNSUPPORTED, "hidden_act" },
        { "\"audio_token_id\": 1021", "\"audio_token_id\": 1024", QASR_E_FORMAT, "audio_token_id" },
        { "\"attention_bias\": false", "\"attention_bias\": true", QASR_E_UNSUPPORTED, "attention_bias" },
        { "\"audio_config\"", "\"sound_config\"", QASR_E_FORMAT, "not a Qwen3-ASR configuration" },
        { "\"audio_end_token_id\"", "\"classify_num\": 5000, \"audio_end_token_id\"", QASR_E_UNSUPPORTED,
          "forced aligner" },
        { "{", "[", QASR_E_FORMAT, "not valid JSON" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_error err = { 0 };
        assert_int_equal(parse_changed(cases[i].from, cases[i].to, &err), cases[i].status);
        if (!strstr(err.message, cases[i].message))
            fail_msg("'%s' does not say '%s'", err.message, cases[i].message);
    }
    model_config c;
    qasr_error err;
    assert_int_equal(config_parse(&c, "[1]", 3, "c.json", &err), QASR_E_FORMAT);
    assert_int_equal(config_parse(&c, "", 0, "c.json", &err), QASR_E_FORMAT);
}

static void json_files_are_read_with_line_and_column(void **state)
{
    static const struct {
        const char *text, *message;
        size_t max;
    } cases[] = {
        { "{\"a\": 1}", NULL, 100 },
        { "{\"a\": 1}", "too large: more than 7 bytes", 7 },
        { "{\"a\": 1,\n  \"a\": 2}", "c.json' is not valid JSON: line 2, column 5: duplicate object key", 100 },
        { "{\"a\": \"\\u0000\"}", "is not valid JSON: line 1, column ", 100 },
        { "{} {}", "is not valid JSON: line 1, column ", 100 },
        { "[{}]", "c.json' is not a JSON object", 100 },
        { "", "is not valid JSON: line 1, column 0: ", 100 },
    };
    char dir[] = "/tmp/qasr-config-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/c.json", dir);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        FILE *f = fopen(path, "w");
        assert_true(f && fputs(cases[i].text, f) >= 0 && fclose(f) == 0);
        buf text;
        json_t *root;
        qasr_error err = { 0 };
        buf_init(&text, cases[i].max);
        qasr_status status = json_file_read(&root, &text, path, &err);
        assert_int_equal(status, cases[i].message ? QASR_E_FORMAT : QASR_OK);
        if (cases[i].message && !strstr(err.message, cases[i].message))
            fail_msg("'%s' does not say '%s'", err.message, cases[i].message);
        assert_int_equal(root == NULL, status != QASR_OK);
        json_decref(root);
        buf_free(&text);
    }
    unlink(path);
    rmdir(dir);
}

static void the_head_is_tied_where_the_nearest_flag_says_so(void **state)
{
    static const struct {
        const char *flags[3];
        bool tied;
    } cases[] = {
        /* text_config, thinker_config, top level */
        { { NULL, NULL, NULL }, true },         { { NULL, NULL, "false" }, false },
        { { NULL, "false", NULL }, false },     { { NULL, "false", "true" }, false },
        { { "true", "false", "false" }, true }, { { "false", "true", "true" }, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf text;
        qasr_error err;
        model_config c;
        read_demo(&text, "config.json");
        json_t *root = json_loads(buf_str(&text), 0, NULL), *thinker = json_object_get(root, "thinker_config");
        json_t *at[] = { json_object_get(thinker, "text_config"), thinker, root };
        for (size_t k = 0; k < ARRAY_LEN(at); k++) {
            json_object_del(at[k], "tie_word_embeddings");
            if (cases[i].flags[k])
                json_object_set_new(at[k], "tie_word_embeddings", json_boolean(cases[i].flags[k][0] == 't'));
        }
        char *changed = json_dumps(root, 0);
        assert_int_equal(config_parse(&c, changed, strlen(changed), "config.json", &err), QASR_OK);
        assert_int_equal(c.dec.tied_head, cases[i].tied);
        free(changed);
        json_decref(root);
        buf_free(&text);
    }
}

static void end_tokens_are_a_number_or_a_list(void **state)
{
    qasr_error err;
    model_config c = { .dec.n_vocab = 100 };
    static const struct {
        const char *text;
        qasr_status status;
        size_t n;
        double segment_seconds;
    } cases[] = {
        { "{\"eos_token_id\": 7}", QASR_OK, 1, 0 },
        { "{\"eos_token_id\": [7, 9]}", QASR_OK, 2, 0 },
        { "{}", QASR_OK, 2, 0 },
        { "{\"qasr.segment_seconds\": 12.5}", QASR_OK, 2, 12.5 },
        { "{\"qasr.segment_seconds\": 1200}", QASR_OK, 2, 1200 },
        { "{\"qasr.segment_seconds\": 1201}", QASR_E_FORMAT, 2, 0 },
        { "{\"qasr.segment_seconds\": 1.9}", QASR_E_FORMAT, 2, 0 },
        { "{\"qasr.segment_seconds\": \"30\"}", QASR_E_FORMAT, 2, 0 },
        { "{\"qasr.segment_seconds\": null}", QASR_E_FORMAT, 2, 0 },
        { "{\"eos_token_id\": 100}", QASR_E_FORMAT, 0, 0 },
        { "{\"eos_token_id\": [\"x\"]}", QASR_E_FORMAT, 0, 0 },
        { "{\"eos_token_id\": -1}", QASR_E_FORMAT, 0, 0 },
        { "{\"eos_token_id\": [1,1,1,1,1,1,1,1,1]}", QASR_E_FORMAT, 8, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(config_parse_generation(&c, cases[i].text, strlen(cases[i].text), "g.json", &err),
                         cases[i].status);
        assert_int_equal(c.n_eos, cases[i].n);
        if (cases[i].status == QASR_OK)
            assert_true(c.segment_seconds == cases[i].segment_seconds);
    }
}

static void audio_tokens_of_the_specification(void **state)
{
    model_config c = { .enc.chunk_frames = 100 };
    static const size_t table[][2] = { { 10, 2 },     { 50, 7 },     { 100, 13 },   { 101, 14 },
                                       { 539, 70 },   { 800, 104 },  { 801, 105 },  { 1000, 130 },
                                       { 1100, 143 }, { 3000, 390 }, { 6000, 780 }, { 120000, 15600 } };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(config_audio_tokens(&c, table[i][0]), table[i][1]);
    assert_int_equal(config_tokens_per_chunk(&c), 13);
}

static void sinusoids_of_the_specification(void **state)
{
    static const struct {
        size_t d, p, k;
        float value;
    } table[] = {
        { 896, 1, 0, 0.84147098f },    { 1024, 1, 0, 0.84147098f },    { 896, 1, 1, 0.83027786f },
        { 1024, 1, 1, 0.83168600f },   { 896, 12, 3, -0.95962952f },   { 1024, 12, 3, -0.93131578f },
        { 896, 12, 451, 0.28126709f }, { 1024, 12, 515, 0.36421274f },
    };
    float row[1024];
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        net_sinusoids(row, table[i].d, table[i].p);
        assert_float_equal(row[table[i].k], table[i].value, 1e-7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_layouts_say_the_same),
        cmocka_unit_test(bad_configurations_are_named),
        cmocka_unit_test(json_files_are_read_with_line_and_column),
        cmocka_unit_test(end_tokens_are_a_number_or_a_list),
        cmocka_unit_test(audio_tokens_of_the_specification),
        cmocka_unit_test(sinusoids_of_the_specification),
        cmocka_unit_test(the_head_is_tied_where_the_nearest_flag_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
