/* The rules of quantization: which type each tensor of a small model gets, by kind, by name, and where rows do not fit.
 */
#include "weights_fixture.h"

#include "quantize/plan.h"
#include "weights/safetensors_write.h"

#define ENC "thinker.audio_tower."
#define DEC "thinker.model."

enum { WIDE = 896 }; /* the encoder of the 0.6B model: not a multiple of 256 */
static float data[4 * 1024];

typedef struct shape {
    const char *name;
    unsigned n_dims;
    uint64_t shape[4];
} shape;

/* One tensor of each kind, with row lengths of the 0.6B model. */
static const shape model[] = {
    { ENC "conv2d1.weight", 4, { 4, 1, 3, 3 } },
    { ENC "conv2d1.bias", 1, { 4 } },
    { ENC "conv2d2.bias", 3, { 4, 1, 1 } },
    { ENC "conv_out.weight", 2, { 1, 768 } },
    { ENC "layers.0.self_attn.q_proj.weight", 2, { 2, WIDE } },
    { ENC "layers.0.self_attn.q_proj.bias", 1, { 2 } },
    { ENC "layers.0.self_attn.out_proj.weight", 2, { 2, WIDE } },
    { ENC "layers.0.self_attn_layer_norm.weight", 1, { WIDE } },
    { ENC "layers.0.fc2.weight", 2, { 2, 512 } },
    { ENC "proj1.weight", 2, { 2, WIDE } },
    { DEC "embed_tokens.weight", 2, { 4, 1024 } },
    { DEC "layers.0.self_attn.k_proj.weight", 2, { 2, 1024 } },
    { DEC "layers.0.self_attn.o_proj.weight", 2, { 2, 256 } },
    { DEC "layers.0.mlp.gate_proj.weight", 2, { 2, 1024 } },
    { DEC "layers.0.input_layernorm.weight", 1, { 1024 } },
    { DEC "strange.weight", 2, { 2, 20 } },
    { "thinker.lm_head.weight", 2, { 4, 1024 } },
};

static weights *open_model(void)
{
    st_entry entries[ARRAY_LEN(model)];
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        data[i] = (float)((int)(i * 37 + 11) % 101 - 50) / 64;
    for (size_t i = 0; i < ARRAY_LEN(model); i++) {
        entries[i] = (st_entry){ .name = model[i].name, .n_dims = model[i].n_dims, .data = data };
        memcpy(entries[i].shape, model[i].shape, sizeof entries[i].shape);
    }
    assert_int_equal(safetensors_write_f32(scratch_path("model.safetensors"), entries, ARRAY_LEN(model), NULL),
                     QASR_OK);
    return assert_opens(scratch_path("model.safetensors"));
}

static plan_rules rules_for(const char *name)
{
    plan_rules r = { .scope = "thinker.", .tied = true };
    qasr_error err;
    if (plan_find_mix(&r.decoder, name, "type", &err) != QASR_OK)
        fail_msg("%s", err.message);
    r.encoder = plan_encoder_mix(&r.decoder);
    return r;
}

static plan build(const weights *w, const plan_rules *r)
{
    plan p;
    qasr_error err;
    if (plan_build(&p, (const weights *const[]){ w }, 1, r, &err) != QASR_OK)
        fail_msg("%s", err.message);
    return p;
}

static const plan_entry *find(const plan *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->entries[i].t->canonical, name) == 0)
            return &p->entries[i];
    fail_msg("no '%s' in the plan", name);
    return NULL;
}

typedef struct expected {
    const char *name, *type; /* type: with '!' at the end if it is a fallback; "": skipped */
} expected;

static void check(const plan *p, const expected *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const plan_entry *found = find(p, e[i].name);
        char got[32];
        snprintf(got, sizeof got, "%s%s", found->skipped ? "" : quant_get(found->type)->name,
                 found->fallback ? "!" : "");
        if (strcmp(got, e[i].type) != 0)
            fail_msg("'%s' gets %s, expected %s", e[i].name, got, e[i].type);
    }
}

#define CHECK(p, ...) check(p, (const expected[]){ __VA_ARGS__ }, ARRAY_LEN(((const expected[]){ __VA_ARGS__ })))

/* ---- kinds and types ----------------------------------------------------------------------- */

static void kinds_get_their_types(void **state)
{
    (void)state;
    weights *w = open_model();
    plan_rules r = rules_for("q8_0");
    plan p = build(w, &r);
    CHECK(&p, { ENC "conv2d1.weight", "f16" }, { ENC "conv2d1.bias", "f32" }, { ENC "conv2d2.bias", "f32" },
          { ENC "conv_out.weight", "q8_0" }, { ENC "layers.0.self_attn.q_proj.weight", "q8_0" },
          { ENC "layers.0.self_attn_layer_norm.weight", "f32" }, { DEC "embed_tokens.weight", "f16" },
          { DEC "layers.0.mlp.gate_proj.weight", "q8_0" }, { DEC "layers.0.input_layernorm.weight", "f32" },
          { DEC "strange.weight", "f32" }, { "thinker.lm_head.weight", "" });
    assert_int_equal(find(&p, ENC "conv2d2.bias")->kind, PLAN_BIAS);
    assert_int_equal(find(&p, ENC "proj1.weight")->kind, PLAN_PROJECTION);
    assert_string_equal(plan_part(find(&p, ENC "proj1.weight")), "encoder");
    assert_string_equal(plan_part(find(&p, DEC "strange.weight")), "decoder");
    plan_free(&p);
    r.quantize_embeddings = true;
    r.exact_convolutions = true;
    r.tied = false;
    p = build(w, &r);
    CHECK(&p, { ENC "conv2d1.weight", "f32" }, { DEC "embed_tokens.weight", "q8_0" },
          { "thinker.lm_head.weight", "q8_0" });
    plan_free(&p);
    weights_close(w);
}

/* Entries tell converters where the rows are and whether they need conversion. */
static void entries_say_how(void **state)
{
    (void)state;
    weights *w = open_model();
    plan_rules r = rules_for("q4_0");
    plan p = build(w, &r);
    const plan_entry *gate = find(&p, DEC "layers.0.mlp.gate_proj.weight"),
                     *norm = find(&p, DEC "layers.0.input_layernorm.weight");
    assert_true(gate->way == PLAN_CONVERT && gate->n_rows == 2 && gate->row_values == 1024 &&
                gate->bytes == 2 * 1024 / 32 * 18);
    assert_true(norm->way == PLAN_COPY && norm->n_rows == 1 && norm->bytes == 4096);
    assert_int_equal(find(&p, "thinker.lm_head.weight")->bytes, 0);
    plan_free(&p);
    weights_close(w);
}

static void mixes_are_those_people_know(void **state)
{
    (void)state;
    weights *w = open_model();
    plan_rules r = rules_for("Q4_K_M");
    assert_string_equal(r.decoder.name, "q4_k_m");
    assert_int_equal(quant_get(r.decoder.matrix)->file_type, 15);
    plan p = build(w, &r);
    CHECK(&p, { DEC "embed_tokens.weight", "f16" }, { DEC "layers.0.self_attn.k_proj.weight", "q4_k" },
          { DEC "layers.0.self_attn.o_proj.weight", "q8_0" }, { DEC "layers.0.mlp.gate_proj.weight", "q4_k" });
    plan_free(&p);
    r.quantize_embeddings = true;
    p = build(w, &r);
    CHECK(&p, { DEC "embed_tokens.weight", "q6_k" });
    plan_free(&p);
    r = rules_for("q5_k_m");
    assert_int_equal(quant_get(r.decoder.matrix)->file_type, 17);
    assert_int_equal(plan_find_mix(&r.encoder, "q5_k_m", "encoder type", NULL), QASR_OK);
    p = build(w, &r);
    CHECK(&p, { DEC "layers.0.mlp.gate_proj.weight", "q5_k" }, { ENC "layers.0.fc2.weight", "q5_k" },
          { ENC "layers.0.self_attn.q_proj.weight", "q8_0!" }, { ENC "layers.0.self_attn.out_proj.weight", "q8_0" });
    plan_free(&p);
    weights_close(w);
}

static void rows_of_896_get_blocks_of_32(void **state)
{
    static const struct {
        const char *asked, *type;
    } cases[] = { { "q4_k", "iq4_nl!" },  { "q5_k", "q5_0!" }, { "q6_k", "q8_0!" },
                  { "q4_0", "q4_0" },     { "q5_0", "q5_0" },  { "q8_0", "q8_0" },
                  { "iq4_nl", "iq4_nl" }, { "bf16", "bf16" },  { "f16", "f16" } };
    (void)state;
    weights *w = open_model();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        plan_rules r = rules_for("q8_0");
        assert_int_equal(plan_find_mix(&r.encoder, cases[i].asked, "encoder type", NULL), QASR_OK);
        plan p = build(w, &r);
        CHECK(&p, { ENC "layers.0.self_attn.q_proj.weight", cases[i].type },
              { ENC "layers.0.self_attn.out_proj.weight", cases[i].type }, { ENC "proj1.weight", cases[i].type },
              { ENC "conv_out.weight", cases[i].asked }, { DEC "layers.0.mlp.gate_proj.weight", "q8_0" });
        plan_free(&p);
    }
    weights_close(w);
}

static void encoders_keep_8_bits(void **state)
{
    static const struct {
        const char *asked, *type;
    } cases[] = { { "q4_0", "q8_0" }, { "q6_k", "q8_0" }, { "q5_k_m", "q8_0" },
                  { "q8_0", "q8_0" }, { "f16", "f16" },   { "bf16", "bf16" } };
    (void)state;
    weights *w = open_model();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        plan_rules r = rules_for(cases[i].asked);
        plan p = build(w, &r);
        CHECK(&p, { ENC "layers.0.self_attn.q_proj.weight", cases[i].type },
              { ENC "layers.0.fc2.weight", cases[i].type },
              { ENC "layers.0.self_attn.out_proj.weight", cases[i].type });
        plan_free(&p);
    }
    weights_close(w);
}

/* ---- patterns ------------------------------------------------------------------------------ */

typedef struct tensor_type {
    const char *pattern, *type;
} tensor_type;

static qasr_status build_with(plan *p, const weights *w, const tensor_type *given, size_t n, qasr_error *err)
{
    plan_rules r = rules_for("q4_0");
    const char *patterns[8], *types[8];
    assert_true(n <= ARRAY_LEN(types));
    for (size_t i = 0; i < n; i++) {
        patterns[i] = given[i].pattern;
        types[i] = given[i].type;
    }
    TRY(type_rules_create(&r.types, patterns, types, n, err));
    qasr_status status = plan_build(p, &w, 1, &r, err);
    type_rules_free(r.types);
    return status;
}

static void the_last_pattern_wins(void **state)
{
    static const tensor_type types[] = {
        { "proj", "F32" },
        { "proj\\.weight$", "q5_0" },
        { "audio_tower.*q_proj\\.weight", "q4_k" },
        { "embed", "q8_0" },
        { "^thinker\\.model\\.layers\\.\\d+\\.input", "bf16" },
    };
    (void)state;
    plan p;
    qasr_error err;
    weights *w = open_model();
    if (build_with(&p, w, types, ARRAY_LEN(types), &err) != QASR_OK)
        fail_msg("%s", err.message);
    CHECK(&p, { DEC "layers.0.mlp.gate_proj.weight", "q5_0" }, { ENC "layers.0.self_attn.out_proj.weight", "q5_0" },
          { ENC "layers.0.self_attn.q_proj.weight", "iq4_nl!" }, { ENC "layers.0.self_attn.q_proj.bias", "f32" },
          { DEC "embed_tokens.weight", "q8_0" }, { DEC "layers.0.input_layernorm.weight", "bf16" },
          { ENC "proj1.weight", "f32" }, { ENC "layers.0.fc2.weight", "q8_0" });
    plan_free(&p);
    weights_close(w);
}

static void bad_patterns_are_refused(void **state)
{
    static const struct {
        tensor_type types[2];
        qasr_status status;
        const char *part;
    } cases[] = {
        { { { "mlp", "q5_0" }, { "nowhere", "q5_0" } }, QASR_E_INVALID, "pattern 'nowhere' matches no tensor" },
        { { { "mlp", "q5_0" }, { "lm_head", "q5_0" } },
          QASR_E_INVALID,
          "pattern 'lm_head' matches no tensor" }, /* tied, so it is skipped */
        { { { "mlp", "q5_0" }, { "layernorm", "q5_0" } },
          QASR_E_INVALID,
          "pattern 'layernorm' gives type q5_0 to tensor '" DEC
          "layers.0.input_layernorm.weight' (norm): only matrices" },
        { { { "conv2d1", "q8_0" }, { "conv2d1.weight", "f16" } }, QASR_E_INVALID, "(bias): only matrices" },
        { { { "conv2d1", "f16" }, { "conv2d1.weight", "q8_0" } }, QASR_E_INVALID, "(convolution): only matrices" },
        { { { "mlp", "q5_0" }, { "mlp", "q4_k_m" } },
          QASR_E_INVALID,
          "unknown tensor type 'q4_k_m', expected one of f32, f16" },
        { { { "mlp", "q5_0" }, { "a(b", "q8_0" } },
          QASR_E_INVALID,
          "pattern 'a(b' is not a regular expression: missing" },
        { { { "mlp", NULL }, { "mlp", "q8_0" } }, QASR_E_INVALID, "a tensor type lacks its type" },
        { { { "mlp", "q8_0" }, { NULL, "q8_0" } }, QASR_E_INVALID, "a tensor type lacks its pattern" },
        { { { "mlp", "q8_0" }, { "^(([a-z0-9._]+)*)*w$", "q8_0" } }, QASR_E_UNSUPPORTED, "takes too long" },
    };
    (void)state;
    weights *w = open_model();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        plan p;
        qasr_error err = { 0 };
        assert_int_equal(build_with(&p, w, cases[i].types, 2, &err), cases[i].status);
        assert_message(&err, cases[i].part);
    }
    weights_close(w);
}

static void unknown_types_are_listed(void **state)
{
    (void)state;
    quant_mix mix;
    qasr_error err = { 0 };
    assert_int_equal(plan_find_mix(&mix, "q3_k", "encoder type", &err), QASR_E_INVALID);
    assert_message(&err, "unknown encoder type 'q3_k', expected one of f32, f16, bf16, q8_0, ");
    assert_message(&err, "iq4_nl, q5_k_m, q4_k_m");
}

/* ---- names, extra tensors, memory ---------------------------------------------------------- */

static void names_follow_the_layout(void **state)
{
    static const float filter[2] = { 1, 2 };
    const wtensor extra = { .name = "frontend.window",
                            .canonical = "frontend.window",
                            .type = QUANT_F32,
                            .n_dims = 1,
                            .shape = { 2, 1, 1, 1 },
                            .n_values = 2,
                            .n_bytes = 8,
                            .data = filter };
    (void)state;
    weights *w = open_model();
    plan_rules r = rules_for("q8_0");
    r.layout = NAMES_STT;
    r.tied = false;
    r.extra = &extra;
    r.n_extra = 1;
    plan p = build(w, &r);
    assert_int_equal(p.n, ARRAY_LEN(model) + 1);
    assert_ptr_equal(p.entries[0].t, &extra);
    assert_true(!p.entries[0].source && p.entries[0].kind == PLAN_FRONTEND && p.entries[0].way == PLAN_COPY);
    assert_string_equal(plan_name(&p.entries[0]), "frontend.window");
    assert_string_equal(plan_name(find(&p, ENC "layers.0.self_attn.out_proj.weight")), "enc.blocks.0.attn.out.weight");
    assert_string_equal(plan_name(find(&p, DEC "embed_tokens.weight")), "dec.token_embd.weight");
    assert_string_equal(plan_name(find(&p, "thinker.lm_head.weight")),
                        "thinker.lm_head.weight"); /* this layout has no name for it */
    plan_free(&p);
    weights_close(w);
}

static void failed_allocations_are_reported(void **state)
{
    static const tensor_type types[] = { { "proj\\.weight", "q5_0" } };
    (void)state;
    weights *w = open_model();
    for (size_t n = 0;; n++) {
        plan p;
        mem_fail_after(n);
        qasr_status status = build_with(&p, w, types, 1, NULL);
        mem_fail_after(SIZE_MAX);
        if (status == QASR_OK) {
            assert_true(n >= 3);
            plan_free(&p);
            break;
        }
        assert_int_equal(status, QASR_E_NOMEM);
    }
    weights_close(w);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)
    const struct CMUnitTest tests[] = {
        CASE(kinds_get_their_types),           CASE(entries_say_how),          CASE(mixes_are_those_people_know),
        CASE(rows_of_896_get_blocks_of_32),    CASE(encoders_keep_8_bits),     CASE(the_last_pattern_wins),
        CASE(bad_patterns_are_refused),        CASE(unknown_types_are_listed), CASE(names_follow_the_layout),
        CASE(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
