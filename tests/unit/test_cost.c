/* Operations and bytes of a transcription: published sizes against numbers computed by hand, the demo model against
 * its files; and the measured limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "device/registry.h"
#include "engine/cost.h"
#include "qasr/qasr_tools.h"

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

/* ---- models of the published sizes, without weights ---- */

enum { MAX_TENSORS = TOP_WEIGHTS + 64 * (ENC_WEIGHTS + DEC_WEIGHTS) };

typedef struct shapes_only {
    model m;
    wtensor tensors[MAX_TENSORS];
    size_t n;
    quant_type type; /* of the matrices */
} shapes_only;

static void set_ref(shapes_only *s, weight_ref *ref, size_t rows, size_t cols)
{
    assert_true(s->n < MAX_TENSORS);
    wtensor *t = &s->tensors[s->n++];
    *ref = (weight_ref){ .tensor = t, .rows = rows ? rows : 1, .cols = cols, .is_vector = rows == 0 };
    t->type = rows ? s->type : QUANT_BF16;
    t->n_values = ref->rows * cols;
    t->n_bytes = ref->rows * quant_row_bytes(quant_get(t->type), cols);
}

static void read_config(model_config *c, const char *size)
{
    qasr_error err;
    char path[1024];
    buf text;
    snprintf(path, sizeof path, "%s/../../tools/configs/%s/config.json", MODEL_DIR, size);
    buf_init(&text, 1 << 20);
    must(file_read_all(&text, path, &err), &err);
    must(config_parse(c, buf_str(&text), text.len, path, &err), &err);
    buf_free(&text);
}

/* rows 0: vector */
typedef struct shape {
    int weight;
    size_t rows, cols;
} shape;

static void set_refs(shapes_only *s, weight_ref *refs, const shape *shapes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        set_ref(s, &refs[shapes[i].weight], shapes[i].rows, shapes[i].cols);
}

/* The encoder stays bf16; the decoder's layers get the type. */
static shapes_only *make_model(const char *size, quant_type type)
{
    shapes_only *s = calloc(1, sizeof *s);
    read_config(&s->m.config, size);
    const model_config *c = &s->m.config;
    size_t ch = c->enc.conv_channels, d = c->enc.d_model, h = c->dec.d_model, f = c->enc.d_ffn, g = c->dec.d_ffn;
    size_t q = c->dec.n_heads * c->dec.head_dim, kv = c->dec.n_kv_heads * c->dec.head_dim;
    const shape top[] = {
        { TOP_CONV1_W, ch, 9 },       { TOP_CONV1_B, 0, ch },
        { TOP_CONV2_W, ch, 9 * ch },  { TOP_CONV2_B, 0, ch },
        { TOP_CONV3_W, ch, 9 * ch },  { TOP_CONV3_B, 0, ch },
        { TOP_CONV_OUT, d, 16 * ch }, { TOP_LN_POST_W, 0, d },
        { TOP_LN_POST_B, 0, d },      { TOP_PROJ1_W, d, d },
        { TOP_PROJ1_B, 0, d },        { TOP_PROJ2_W, h, d },
        { TOP_PROJ2_B, 0, h },        { TOP_EMBED, c->dec.n_vocab, h },
        { TOP_NORM, 0, h },
    };
    const shape enc[] = {
        { ENC_LN1_W, 0, d }, { ENC_LN1_B, 0, d }, { ENC_Q_W, d, d },   { ENC_Q_B, 0, d },
        { ENC_K_W, d, d },   { ENC_K_B, 0, d },   { ENC_V_W, d, d },   { ENC_V_B, 0, d },
        { ENC_O_W, d, d },   { ENC_O_B, 0, d },   { ENC_LN2_W, 0, d }, { ENC_LN2_B, 0, d },
        { ENC_FC1_W, f, d }, { ENC_FC1_B, 0, f }, { ENC_FC2_W, d, f }, { ENC_FC2_B, 0, d },
    };
    const shape dec[] = {
        { DEC_NORM1, 0, h },
        { DEC_Q, q, h },
        { DEC_K, kv, h },
        { DEC_V, kv, h },
        { DEC_O, h, q },
        { DEC_Q_NORM, 0, c->dec.head_dim },
        { DEC_K_NORM, 0, c->dec.head_dim },
        { DEC_NORM2, 0, h },
        { DEC_GATE, g, h },
        { DEC_UP, g, h },
        { DEC_DOWN, h, g },
    };
    s->m.enc = calloc(c->enc.n_layers, sizeof *s->m.enc);
    s->m.dec = calloc(c->dec.n_layers, sizeof *s->m.dec);
    s->type = QUANT_BF16;
    set_refs(s, s->m.top, top, ARRAY_LEN(top));
    s->m.top[TOP_HEAD] = s->m.top[TOP_EMBED];
    for (size_t i = 0; i < c->enc.n_layers; i++)
        set_refs(s, s->m.enc[i], enc, ARRAY_LEN(enc));
    s->type = type;
    for (size_t i = 0; i < c->dec.n_layers; i++)
        set_refs(s, s->m.dec[i], dec, ARRAY_LEN(dec));
    return s;
}

static void free_model(shapes_only *s)
{
    free(s->m.enc);
    free(s->m.dec);
    free(s);
}

static double sum(const double ops[COST_KINDS]) { return ops[COST_F32] + ops[COST_BF16] + ops[COST_INT8]; }

static device *open_device(device_precision precision)
{
    device *d;
    qasr_error err;
    must(device_open(&d, "cpu", 1, precision, &err), &err);
    return d;
}

static void operations_of_half_a_minute(void **state)
{
    shapes_only *s = make_model("0.6b", QUANT_BF16);
    device *d = open_device(DEVICE_EXACT);
    cost_ops ops;
    cost_count_ops(&ops, &s->m, d, 3000, 405);
    assert_float_equal(sum(ops.conv), 126.2, 0.05);
    assert_float_equal(sum(ops.conv_out), 5.4, 0.05);
    assert_float_equal(sum(ops.enc_layers), 136.6, 0.05);
    /* windows of 104, 104, 104 and 78 vectors */
    assert_float_equal(ops.enc_attention, 4e-9 * (3 * 104 * 104 + 78 * 78) * 896 * 18, 1e-9);
    assert_float_equal(sum(ops.prefill), 357.0, 0.05);
    assert_float_equal(ops.prefill_attention, 18.8, 0.1);
    for (int kind = COST_F32 + 1; kind < COST_KINDS; kind++)
        assert_true(ops.conv[kind] == 0 && ops.conv_out[kind] == 0 && ops.enc_layers[kind] == 0 &&
                    ops.prefill[kind] == 0);
    device_close(d);
    free_model(s);
}

/* Totals do not depend on the precision; the device decides which part is bfloat16 or int8. */
static void precision_follows_the_device(void **state)
{
    shapes_only *s = make_model("0.6b", QUANT_F16);
    device *d = open_device(DEVICE_FAST);
    bool has_bf16 = device_product_type(d, QUANT_BF16, 1024) == PRODUCT_BF16;
    cost_ops ops;
    cost_count_ops(&ops, &s->m, d, 3000, 405);
    assert_int_equal(ops.enc_layers[COST_BF16] > 0, has_bf16);
    assert_int_equal(ops.conv[COST_BF16] > ops.conv[COST_F32], has_bf16);
    assert_float_equal(sum(ops.conv), 126.2, 0.05);
    assert_true(ops.prefill[COST_F32] > 356 &&
                ops.prefill[COST_F32] == sum(ops.prefill)); /* F16 weights keep float32 */
    free_model(s);
    s = make_model("0.6b", QUANT_Q4_0);
    bool has_int8 = device_product_type(d, QUANT_Q4_0, 1024) == PRODUCT_INT8;
    cost_count_ops(&ops, &s->m, d, 3000, 405);
    assert_int_equal(ops.prefill[COST_INT8] > 356, has_int8);
    assert_true(ops.conv[COST_INT8] == 0 &&
                ops.enc_layers[COST_INT8] == 0); /* the encoder's weights are not quantized */
    assert_float_equal(sum(ops.prefill), 357.0, 0.05);
    device_close(d);
    free_model(s);
}

/* Convolutions run over whole segments, but only valid vectors continue; one more frame means one more segment. */
static void short_segments(void **state)
{
    shapes_only *s = make_model("0.6b", QUANT_BF16);
    device *d = open_device(DEVICE_EXACT);
    cost_ops one, part, two;
    cost_count_ops(&one, &s->m, d, 100, 28);
    cost_count_ops(&part, &s->m, d, 50, 28);
    cost_count_ops(&two, &s->m, d, 101, 28);
    assert_float_equal(sum(part.conv), sum(one.conv), 1e-9);
    assert_float_equal(sum(two.conv), 2 * sum(one.conv), 1e-9);
    assert_float_equal(sum(part.conv_out), sum(one.conv_out) * 7 / 13, 1e-9);
    assert_float_equal(sum(two.conv_out), sum(one.conv_out) * 14 / 13, 1e-9);
    device_close(d);
    free_model(s);
}

static void bytes_of_a_step(void **state)
{
    shapes_only *s = make_model("0.6b", QUANT_BF16), *q = make_model("0.6b", QUANT_Q8_0);
    const model_config *c = &s->m.config;
    assert_float_equal((double)cost_step_bytes(&s->m) / 1e6, 1192, 1);
    assert_int_equal(cost_kv_bytes(c, QUANT_F16), 2 * 28 * 8 * 128 * 2);
    assert_int_equal(cost_kv_bytes(c, QUANT_F32), 2 * cost_kv_bytes(c, QUANT_F16));
    /* layers at 8.5 bits, the head unchanged */
    assert_float_equal((double)cost_step_bytes(&q->m) / 1e6, 440.4 * 8.5 / 8 + 311.2, 1);
    s->m.top[TOP_HEAD].tensor = &(wtensor){ .n_bytes = 1000 }; /* an untied head */
    assert_int_equal(cost_weights_bytes(&s->m) - cost_weights_bytes(&q->m) - 1000,
                     cost_step_bytes(&s->m) - 1000 + s->m.top[TOP_EMBED].tensor->n_bytes - cost_step_bytes(&q->m));
    free_model(s);
    free_model(q);
}

/* ---- the public calls ---- */

static uint64_t file_bytes(const char *part)
{
    qasr_error err;
    qasr_inspect *info;
    uint64_t bytes = 0;
    must(qasr_inspect_open(&info, MODEL_DIR, &err), &err);
    for (size_t i = 0; i < qasr_inspect_tensor_count(info); i++)
        if (strcmp(qasr_inspect_tensor(info, i)->part, part) == 0)
            bytes += qasr_inspect_tensor(info, i)->bytes;
    qasr_inspect_close(info);
    return bytes;
}

static void cost_of_a_session(void **state)
{
    qasr_error err;
    qasr_model *opened;
    qasr_session *session;
    qasr_model_options options = QASR_MODEL_OPTIONS_INIT;
    options.decoder_weights = QASR_DECODER_SAFETENSORS;
    must(qasr_model_open(&opened, MODEL_DIR, &options, &err), &err);
    must(qasr_session_open(&session, opened, NULL, &err), &err);
    qasr_cost work = QASR_COST_INIT, more = QASR_COST_INIT;
    must(qasr_session_cost(session, 16000, 10, &work, &err), &err);
    must(qasr_session_cost(session, 16000, 30, &more, &err), &err);
    assert_int_equal(work.n_prompt_tokens, 13 + 15);
    assert_string_equal(work.embedding_type, "bf16");
    assert_int_equal(work.weights_bytes, file_bytes("encoder") + file_bytes("decoder") + file_bytes("embedding"));
    /* a step reads the decoder, the tied head, one of its rows (256 values) as embedding, and 28 + 5 positions */
    assert_int_equal(work.decode_bytes_per_token,
                     file_bytes("decoder") + file_bytes("embedding") + 256 * 2 + 33 * work.kv_bytes_per_position);
    assert_int_equal(more.decode_bytes_per_token - work.decode_bytes_per_token, 10 * work.kv_bytes_per_position);
    assert_true(work.encode_gop > 0.01 && work.encode_gop < 270.7 / 30 &&
                work.prefill_gop > 0.01); /* smaller than 0.6B */
    assert_string_equal(work.encode_precision, work.prefill_precision);

    struct {
        qasr_cost work;
        unsigned char after[8];
    } newer = { .after = { 7, 7 } };
    newer.work.struct_size = offsetof(qasr_cost, prefill_gop); /* a caller that knows two fields */
    must(qasr_session_cost(session, 16000, 10, &newer.work, &err), &err);
    assert_true(newer.work.encode_gop == work.encode_gop && newer.work.prefill_gop == 0);
    newer.work.struct_size = sizeof newer; /* and a caller that knows more */
    must(qasr_session_cost(session, 16000, 10, &newer.work, &err), &err);
    assert_true(newer.work.prefill_gop == work.prefill_gop && newer.after[0] == 7);
    assert_int_equal(newer.work.struct_size, sizeof newer);

    assert_int_equal(qasr_session_cost(session, 0, 10, &work, &err), QASR_E_INVALID);
    assert_int_equal(qasr_session_cost(session, SIZE_MAX, 10, &work, &err), QASR_E_INVALID);
    assert_int_equal(qasr_session_cost(session, 16000, SIZE_MAX, &work, &err), QASR_E_INVALID);
    work.struct_size = 0;
    assert_int_equal(qasr_session_cost(session, 16000, 10, &work, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "QASR_COST_INIT"));
    qasr_session_close(session);
    qasr_model_close(opened);
}

static void limits_are_measured(void **state)
{
    qasr_error err;
    qasr_limits limits = QASR_LIMITS_INIT;
    device *d = open_device(DEVICE_FAST);
    bool has_bf16 = device_product_type(d, QUANT_BF16, 1024) == PRODUCT_BF16;
    bool has_int8 = device_product_type(d, QUANT_Q4_0, 1024) == PRODUCT_INT8;
    device_close(d);
    must(qasr_measure_limits(&limits, 2, &err), &err);
    assert_true(limits.read_gb_s > 0.05 && limits.read_gb_s < 1e4);
    assert_true(limits.f32_gop_s > 0.05 && limits.f32_gop_s < 1e5);
    assert_int_equal(limits.bf16_gop_s > 0, has_bf16);
    assert_int_equal(limits.int8_gop_s > 0, has_int8);
    assert_int_equal(limits.n_threads, 2);
    assert_int_equal(qasr_measure_limits(&limits, -1, &err), QASR_E_INVALID);
    limits.struct_size = 0;
    assert_int_equal(qasr_measure_limits(&limits, 1, &err), QASR_E_INVALID);
    assert_int_equal(qasr_measure_limits(NULL, 1, &err), QASR_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_of_half_a_minute),
        cmocka_unit_test(precision_follows_the_device),
        cmocka_unit_test(short_segments),
        cmocka_unit_test(bytes_of_a_step),
        cmocka_unit_test(cost_of_a_session),
        cmocka_unit_test(limits_are_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
