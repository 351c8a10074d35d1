/* weights/names.c: one table of names, read in both directions. */
#include "weights_fixture.h"

static void assert_both_ways(names_layout layout, const char *name, const char *canonical)
{
    char out[128];
    assert_true(names_canonical(out, sizeof out, name, layout));
    assert_string_equal(out, canonical);
    assert_true(names_in_layout(out, sizeof out, canonical, layout));
    assert_string_equal(out, name);
}

static void test_examples_of_each_layout(void **state)
{
    (void)state;
    static const char *const rows[][NAMES_LAYOUTS] = {
        { "thinker.audio_tower.conv2d1.weight", "model.audio_tower.conv2d1.weight", "a.conv2d.1.weight",
          "enc.conv.0.weight", "audio.conv.1.weight" },
        { "thinker.audio_tower.conv2d3.bias", "model.audio_tower.conv2d3.bias", "a.conv2d.3.bias", "enc.conv.2.bias",
          "audio.conv.3.bias" },
        { "thinker.audio_tower.conv_out.weight", "model.audio_tower.conv_out.weight", "a.conv_out.weight",
          "enc.conv_out.weight", "audio.conv_out.weight" },
        { "thinker.audio_tower.layers.23.self_attn_layer_norm.bias",
          "model.audio_tower.layers.23.self_attn_layer_norm.bias", "a.blk.23.ln1.bias", "enc.blocks.23.norm_attn.bias",
          "audio.blk.23.attn_norm.bias" },
        { "thinker.audio_tower.layers.0.self_attn.out_proj.weight",
          "model.audio_tower.layers.0.self_attn.out_proj.weight", "a.blk.0.attn_out.weight",
          "enc.blocks.0.attn.out.weight", "audio.blk.0.attn_out.weight" },
        { "thinker.audio_tower.layers.7.fc2.bias", "model.audio_tower.layers.7.fc2.bias", "a.blk.7.ffn_down.bias",
          "enc.blocks.7.ffn.fc2.bias", "audio.blk.7.ffn_down.bias" },
        { "thinker.audio_tower.proj2.weight", "model.multi_modal_projector.linear_2.weight", "mm.a.mlp.2.weight",
          "enc.proj2.weight", "audio.proj2.weight" },
        { "thinker.model.embed_tokens.weight", "model.language_model.embed_tokens.weight", "token_embd.weight",
          "dec.token_embd.weight", "token_embd.weight" },
        { "thinker.model.norm.weight", "model.language_model.norm.weight", "output_norm.weight",
          "dec.output_norm.weight", "output_norm.weight" },
        { "thinker.lm_head.weight", "lm_head.weight", "output.weight", NULL, "output.weight" },
        { "thinker.model.layers.27.self_attn.o_proj.weight", "model.language_model.layers.27.self_attn.o_proj.weight",
          "blk.27.attn_output.weight", "dec.blocks.27.attn.o.weight", "blk.27.attn_output.weight" },
        { "thinker.model.layers.1.self_attn.q_norm.weight", "model.language_model.layers.1.self_attn.q_norm.weight",
          "blk.1.attn_q_norm.weight", "dec.blocks.1.attn.q_norm.weight", "blk.1.attn_q_norm.weight" },
        { "thinker.model.layers.10.post_attention_layernorm.weight",
          "model.language_model.layers.10.post_attention_layernorm.weight", "blk.10.ffn_norm.weight",
          "dec.blocks.10.norm_ffn.weight", "blk.10.ffn_norm.weight" },
        { "thinker.model.layers.3.mlp.gate_proj.weight", "model.language_model.layers.3.mlp.gate_proj.weight",
          "blk.3.ffn_gate.weight", "dec.blocks.3.ffn.gate.weight", "blk.3.ffn_gate.weight" },
    };
    char out[128];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int layout = 0; layout < NAMES_LAYOUTS; layout++)
            if (rows[i][layout])
                assert_both_ways((names_layout)layout, rows[i][layout], rows[i][NAMES_ORIGINAL]);
            else
                assert_false(names_in_layout(out, sizeof out, rows[i][NAMES_ORIGINAL], (names_layout)layout));
}

/* Every tensor of a model has a unique name in each layout, which maps back to it. */
static void test_round_trip_of_a_model(void **state)
{
    (void)state;
    qasr_error err;
    weights *w = NULL;
    if (weights_open_safetensors(&w, MODEL_DIR, &err))
        fail_msg("%s", err.message);
    for (int layout = 0; layout < NAMES_LAYOUTS; layout++) {
        size_t n_without = 0;
        wtensor *renamed;
        assert_int_equal(MEM_CALLOC(&renamed, weights_count(w), &err), QASR_OK);
        char(*names)[96];
        assert_int_equal(MEM_CALLOC(&names, weights_count(w), &err), QASR_OK);
        for (size_t i = 0; i < weights_count(w); i++) {
            const char *canonical = weights_at(w, i)->canonical;
            bool has = names_in_layout(names[i], sizeof names[i], canonical, (names_layout)layout);
            renamed[i].name = has ? names[i] : "none";
            n_without += !has;
            if (has)
                assert_both_ways((names_layout)layout, names[i], canonical);
            for (size_t j = 0; has && j < i; j++)
                assert_string_not_equal(names[i], names[j]);
        }
        assert_int_equal(n_without, layout == NAMES_STT); /* the head */
        assert_int_equal(names_detect("", renamed, weights_count(w)), layout);
        mem_free(names);
        mem_free(renamed);
    }
    weights_close(w);
}

static void test_what_a_layout_does_not_know(void **state)
{
    (void)state;
    static const struct {
        names_layout layout;
        const char *name, *canonical;
    } cases[] = {
        { NAMES_HF, "score.weight", "thinker.lm_head.weight" },
        { NAMES_HF, "thinker.model.norm.weight", "thinker.model.norm.weight" },
        { NAMES_HF, "model.norm.weight", "model.norm.weight" },
        { NAMES_HF, "blk.0.attn_q.weight", "blk.0.attn_q.weight" },
        { NAMES_HF, "", "" },
        { NAMES_ORIGINAL, "lm_head.weight", "lm_head.weight" },
        { NAMES_LLAMA, "a.position_embd.weight", "a.position_embd.weight" },
        { NAMES_LLAMA, "blk..attn_q.weight", "blk..attn_q.weight" },
        { NAMES_LLAMA, "blk.x.attn_q.weight", "blk.x.attn_q.weight" },
        { NAMES_LLAMA, "blk.0.attn_q.scale", "blk.0.attn_q.scale" },
        { NAMES_LLAMA, "blk.0.attn_q", "blk.0.attn_q" },
        { NAMES_LLAMA, "blk.0.attn_q.weight.weight", "blk.0.attn_q.weight.weight" },
        { NAMES_LLAMA, "enc.ln_post.weight", "enc.ln_post.weight" },
        { NAMES_STT, "token_embd.weight", "token_embd.weight" },
        { NAMES_STT, "frontend.mel_filterbank", "frontend.mel_filterbank" },
        { NAMES_CRISP, "audio.mel_filters", "audio.mel_filters" },
    };
    char out[64];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(names_canonical(out, sizeof out, cases[i].name, cases[i].layout));
        assert_string_equal(out, cases[i].canonical);
    }
    for (int layout = NAMES_ORIGINAL + 1; layout < NAMES_LAYOUTS; layout++) {
        assert_false(names_in_layout(out, sizeof out, "thinker.nothing.weight", (names_layout)layout));
        assert_false(names_in_layout(out, sizeof out, "", (names_layout)layout));
    }
}

static void test_size_of_the_result(void **state)
{
    (void)state;
    static const struct {
        names_layout layout;
        const char *name;
    } cases[] = { { NAMES_HF, "model.audio_tower.conv2d1.bias" },
                  { NAMES_HF, "x" },
                  { NAMES_ORIGINAL, "thinker.model.norm.weight" },
                  { NAMES_LLAMA, "a.blk.11.ln1.weight" },
                  { NAMES_STT, "enc.conv.0.bias" },
                  { NAMES_CRISP, "output.weight" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char full[128], out[128];
        assert_true(names_canonical(full, sizeof full, cases[i].name, cases[i].layout));
        size_t n = strlen(full);
        assert_true(names_canonical(out, n + 1, cases[i].name, cases[i].layout));
        assert_string_equal(out, full);
        assert_false(names_canonical(out, n, cases[i].name, cases[i].layout));
        assert_false(names_canonical(out, 0, cases[i].name, cases[i].layout));
    }
    char out[64];
    assert_true(
        names_in_layout(out, sizeof "blk.4.ffn_up.weight", "thinker.model.layers.4.mlp.up_proj.weight", NAMES_LLAMA));
    assert_false(
        names_in_layout(out, strlen("blk.4.ffn_up.weight"), "thinker.model.layers.4.mlp.up_proj.weight", NAMES_LLAMA));
}

static void test_detection(void **state)
{
    (void)state;
    const wtensor text[] = { { .name = "token_embd.weight" }, { .name = "blk.0.attn_q.weight" } };
    const wtensor crisp[] = { { .name = "token_embd.weight" }, { .name = "audio.ln_post.bias" } };
    const wtensor both[] = { { .name = "thinker.model.norm.weight" }, { .name = "lm_head.weight" } };
    assert_int_equal(names_detect("", text, 0), NAMES_ORIGINAL);
    assert_int_equal(names_detect("", text, 2), NAMES_LLAMA);
    assert_int_equal(names_detect("qwen3", text, 2), NAMES_LLAMA);
    assert_int_equal(names_detect("qwen3vl", text, 0), NAMES_LLAMA);
    assert_int_equal(names_detect("clip", text, 0), NAMES_LLAMA);
    assert_int_equal(names_detect("qwen3_asr", text, 0), NAMES_STT);
    assert_int_equal(names_detect("qwen3asr", text, 2), NAMES_CRISP);
    assert_int_equal(names_detect("", crisp, 2), NAMES_CRISP);
    assert_int_equal(names_detect("", both, 1), NAMES_ORIGINAL);
    assert_int_equal(names_detect("", both, 2), NAMES_HF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_each_layout),
        cmocka_unit_test(test_round_trip_of_a_model),
        cmocka_unit_test(test_what_a_layout_does_not_know),
        cmocka_unit_test(test_size_of_the_result),
        cmocka_unit_test(test_detection),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
