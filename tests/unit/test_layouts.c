/* Models in GGUF files of other programs: configuration from their metadata, and opening them when memory runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "model/net.h"

static const char *const files[] = {
    "stt-bf16.gguf", "stt-q8_0.gguf", "crisp-f16.gguf", "llama/Demo-F16.gguf", "llama/mmproj-Demo-F16.gguf", "llama"
};

static const char *path_of(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", LAYOUTS_DIR, name);
    return path;
}

static qasr_model *open_model(const char *path)
{
    qasr_error err;
    qasr_model *m = NULL;
    if (qasr_model_open(&m, path, NULL, &err) != QASR_OK)
        fail_msg("%s", err.message);
    return m;
}

static void metadata_say_what_config_json_says(void **state)
{
    (void)state;
    qasr_model *dir = open_model(MODEL_DIR);
    const model_config *want = &dir->checkpoint->config;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        qasr_model *m = open_model(path_of(files[i]));
        const model_config *have = &m->checkpoint->config;
        assert_memory_equal(&have->enc, &want->enc, sizeof want->enc);
        assert_int_equal(have->dec.d_model, want->dec.d_model);
        assert_int_equal(have->dec.n_layers, want->dec.n_layers);
        assert_int_equal(have->dec.n_heads, want->dec.n_heads);
        assert_int_equal(have->dec.n_kv_heads, want->dec.n_kv_heads);
        assert_int_equal(have->dec.head_dim, want->dec.head_dim);
        assert_int_equal(have->dec.d_ffn, want->dec.d_ffn);
        assert_int_equal(have->dec.n_vocab, want->dec.n_vocab);
        assert_int_equal(have->dec.max_positions, want->dec.max_positions);
        assert_true(have->dec.rms_eps == want->dec.rms_eps && have->dec.rope_theta == want->dec.rope_theta);
        /* only transcribe.cpp's files omit the head */
        assert_int_equal(have->dec.tied_head, strncmp(files[i], "stt", 3) == 0);
        assert_true((m->checkpoint->top[TOP_HEAD].tensor == m->checkpoint->top[TOP_EMBED].tensor) ==
                    have->dec.tied_head);
        assert_true((m->checkpoint->encoder == m->checkpoint->decoder) == (strncmp(files[i], "llama", 5) != 0));
        qasr_model_close(m);
    }
    qasr_model_close(dir);
}

static void end_tokens_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        qasr_model *m = open_model(path_of(files[i]));
        assert_int_equal(m->n_eos, 2); /* one from the metadata, the other by default */
        assert_int_equal(m->eos[0], 1018);
        assert_int_equal(m->eos[1], 1016);
        qasr_model_close(m);
    }
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        qasr_status status = QASR_E_NOMEM;
        size_t n = 0;
        for (; status != QASR_OK; n++) {
            qasr_error err = { QASR_OK, "" };
            qasr_model *m = NULL;
            mem_fail_after(n);
            status = qasr_model_open(&m, path_of(files[i]), NULL, &err);
            mem_fail_after(SIZE_MAX);
            if (status != QASR_OK && status != QASR_E_NOMEM)
                fail_msg("%s: %s", files[i], err.message);
            assert_int_equal(err.status == QASR_E_NOMEM, status == QASR_E_NOMEM);
            qasr_model_close(m);
            assert_true(n < 1000);
        }
        assert_true(n > 10);
    }
}

/* The demo's weights are bfloat16; other layouts store convolutions as float32 or float16. */
static void convolutions_count_as_bfloat16(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        qasr_model *m = open_model(path_of(files[i]));
        for (size_t conv = 0; conv < 3; conv++) {
            const weight_ref *w = &m->checkpoint->top[TOP_CONV1_W + 2 * conv];
            assert_true(w->tensor->type == QUANT_F32 || w->tensor->type == QUANT_F16);
            assert_int_equal(net_conv_type(w), QUANT_BF16);
        }
        qasr_model_close(m);
    }
}

/* A single value that bfloat16 would round keeps the whole weight as it is, wherever it is. */
static void other_convolutions_keep_their_type(void **state)
{
    (void)state;
    enum { N = 700 };
    float wide[N];
    uint16_t half[N];
    for (size_t i = 0; i < N; i++) {
        wide[i] = 0x1.fep-3f;
        half[i] = f16_from_f32(wide[i]);
    }
    wtensor t32 = { .type = QUANT_F32, .n_values = N, .data = wide };
    wtensor t16 = { .type = QUANT_F16, .n_values = N, .data = half };
    weight_ref as_f32 = { .tensor = &t32 }, as_f16 = { .tensor = &t16 };
    assert_int_equal(net_conv_type(&as_f32), QUANT_BF16);
    assert_int_equal(net_conv_type(&as_f16), QUANT_BF16);
    static const size_t places[] = { 0, 255, 256, N - 1 };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        const float was = wide[places[i]];
        wide[places[i]] = 0x1.ffp-3f; /* one bit more than bfloat16 has */
        half[places[i]] = f16_from_f32(wide[places[i]]);
        assert_int_equal(net_conv_type(&as_f32), QUANT_F32);
        assert_int_equal(net_conv_type(&as_f16), QUANT_F16);
        wide[places[i]] = was;
        half[places[i]] = f16_from_f32(was);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_say_what_config_json_says),  cmocka_unit_test(end_tokens_are_found),
        cmocka_unit_test(convolutions_count_as_bfloat16),      cmocka_unit_test(other_convolutions_keep_their_type),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("layouts", tests, NULL, NULL);
}
