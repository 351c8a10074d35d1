/* Calibration of the demo model: sums against independently computed rows, the same bytes for any threads, passes
 * and kinds; the reader, and files that it must refuse; which audio files a name stands for. */
#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "engine/engine.h"
#include "quantize/audio_files.h"
#include "quantize/calibration_file.h"
#include "weights/gguf_write.h"
#include "weights/safetensors.h"
#include "weights_fixture.h"

#define CLIP(name) TEST_DATA "/golden/clips/" name ".flac"
static const char *const clips[] = { CLIP("ru-002"), CLIP("en-001"), CLIP("short-200ms") };
enum { N_CLIPS = ARRAY_LEN(clips) };

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

/* ---- the demo model ---- */

static qasr_calibrate_options options(const char *output)
{
    qasr_calibrate_options opt = QASR_CALIBRATE_OPTIONS_INIT;
    opt.model = MODEL_DIR;
    opt.audio = clips;
    opt.n_audio = N_CLIPS;
    opt.output = scratch_path(output);
    opt.covariance = 1;
    return opt;
}

static qasr_calibrate_report calibrate(const qasr_calibrate_options *opt)
{
    qasr_error err;
    qasr_calibrate_report report = QASR_CALIBRATE_REPORT_INIT;
    must(qasr_calibrate(opt, &report, &err), &err);
    return report;
}

static void calibrate_fails(const qasr_calibrate_options *opt, qasr_status status, const char *part)
{
    qasr_error err = { 0 };
    size_t before = scratch_list(false);
    assert_int_equal(qasr_calibrate(opt, NULL, &err), status);
    if (!strstr(err.message, part))
        fail_msg("'%s' does not contain '%s'", err.message, part);
    assert_int_equal(scratch_list(false), before);
}

static calibration *open_file(const char *name)
{
    qasr_error err;
    calibration *c = NULL;
    must(calibration_open(&c, scratch_path(name), &err), &err);
    return c;
}

/* ---- sums of known rows ---- */

/* Rows [n, cols] and their sums. */
typedef struct expected {
    size_t cols, n;
    double weight;
    double *squares, *products; /* [cols], [cols, cols] */
} expected;

static void expect_init(expected *e, size_t cols)
{
    *e = (expected){ .cols = cols,
                     .squares = calloc(cols, sizeof *e->squares),
                     .products = calloc(cols * cols, sizeof *e->products) };
}

static void expect_free(expected *e)
{
    free(e->squares);
    free(e->products);
}

static void expect_row(expected *e, const float *x, double weight)
{
    for (size_t i = 0; i < e->cols; i++) {
        e->squares[i] += weight * (double)x[i] * (double)x[i];
        for (size_t k = 0; k < e->cols; k++)
            e->products[i * e->cols + k] += weight * (double)x[i] * (double)x[k];
    }
    e->n++;
    e->weight += weight;
}

/* Weight of row i of a prompt of n: the template has 9 tokens before the audio and 6 after it; the last row predicts
 * the first token of the answer. */
static double prompt_weight(size_t i, size_t n)
{
    enum { BEFORE = 9, AFTER = 6 };
    return i + 1 == n ? 4 : i < BEFORE || i + AFTER >= n ? 1.0 / 16 : 1;
}

/* tolerance: relative, for differences between the rows themselves. */
static void check_sums(const calibration *c, const char *matrix, const expected *e, double tolerance)
{
    qasr_error err;
    const float *means;
    double rows = 0;
    bool found = false;
    float *products = malloc(e->cols * e->cols * sizeof *products);
    must(calibration_importance(c, matrix, e->cols, &means, &rows, &err), &err);
    assert_non_null(means);
    assert_float_equal(rows, e->weight, 0);
    must(calibration_covariance(c, matrix, e->cols, products, &found, &err), &err);
    assert_true(found);
    for (size_t i = 0; i < e->cols; i++) {
        double want = e->squares[i] / e->weight;
        if (!(fabs((double)means[i] - want) <= (tolerance + 3e-7) * want))
            fail_msg("%s: mean square %zu is %.9g, expected %.9g", matrix, i, (double)means[i], want);
        for (size_t k = 0; k < e->cols; k++) {
            double size = sqrt(e->squares[i] * e->squares[k]) / e->weight;
            want = e->products[i * e->cols + k] / e->weight;
            if (!(fabs((double)products[i * e->cols + k] - want) <= (tolerance + 3e-6) * size))
                fail_msg("%s: product %zu, %zu is %.9g, expected %.9g", matrix, i, k, (double)products[i * e->cols + k],
                         want);
            assert_float_equal(products[i * e->cols + k], products[k * e->cols + i], 0);
        }
    }
    free(products);
}

/* A watch that reads back the input rows of some matrices. */
typedef struct seen {
    const char *name; /* after "thinker." */
    const dmat *w;
    expected e;
} seen;

typedef struct watcher {
    qasr_session *s;
    seen *list;
    size_t n;
} watcher;

/* With a batch of 1, each row of an answer comes alone, and the rows of a prompt come together. */
static double fetched_weight(const seen *from, size_t i, size_t n)
{
    if (strstr(from->name, ".audio_tower."))
        return 1;
    return n == 1 ? 4 : prompt_weight(i, n);
}

static void fetch_rows(void *user, dmat x, dmat w, net_rows unused)
{
    watcher *u = user;
    for (size_t i = 0; i < u->n; i++)
        if (u->list[i].w->mem == w.mem && u->list[i].w->offset == w.offset) {
            float *rows = malloc(x.rows * x.cols * sizeof *rows);
            assert_int_equal(x.cols, u->list[i].e.cols);
            assert_int_equal(device_read(u->s->device, rows, x, NULL),
                             QASR_OK); /* the CPU device computes immediately */
            for (size_t r = 0; r < x.rows; r++)
                expect_row(&u->list[i].e, rows + r * x.cols, fetched_weight(&u->list[i], r, x.rows));
            free(rows);
        }
}

static void open_session(qasr_model **m, qasr_session **s, int batch)
{
    qasr_error err;
    qasr_model_options mo = QASR_MODEL_OPTIONS_INIT;
    qasr_session_options so = QASR_SESSION_OPTIONS_INIT;
    mo.decoder_weights = QASR_DECODER_SAFETENSORS;
    so.precision = QASR_PRECISION_F32;
    so.kv_type = "f32";
    so.batch = batch;
    must(qasr_model_open(m, MODEL_DIR, &mo, &err), &err);
    must(qasr_session_open(s, *m, &so, &err), &err);
}

static qasr_result *transcribe(qasr_session *s, const char *path, const char *dump)
{
    qasr_error err;
    float *pcm;
    size_t n;
    qasr_result *r;
    qasr_transcribe_options to = QASR_TRANSCRIBE_OPTIONS_INIT;
    to.dump_tensors = dump;
    must(qasr_audio_load(&pcm, &n, path, &err), &err);
    must(qasr_transcribe(&r, s, pcm, n, &to, &err), &err);
    qasr_audio_free(pcm);
    return r;
}

/* The same clips one by one, with rows summed in double. */
static void sums_are_those_of_the_rows(void **state)
{
    qasr_model *m;
    qasr_session *s;
    open_session(&m, &s, 1);
    const net *n = s->net;
    seen list[] = {
        { "thinker.audio_tower.conv_out.weight", &n->top[TOP_CONV_OUT] },
        { "thinker.audio_tower.layers.0.self_attn.q_proj.weight", &n->enc[0][ENC_Q_W] },
        { "thinker.audio_tower.layers.5.self_attn.out_proj.weight", &n->enc[5][ENC_O_W] },
        { "thinker.audio_tower.layers.2.fc1.weight", &n->enc[2][ENC_FC1_W] },
        { "thinker.audio_tower.layers.2.fc2.weight", &n->enc[2][ENC_FC2_W] },
        { "thinker.audio_tower.proj1.weight", &n->top[TOP_PROJ1_W] },
        { "thinker.audio_tower.proj2.weight", &n->top[TOP_PROJ2_W] },
        { "thinker.model.layers.0.self_attn.q_proj.weight", &n->dec[0][DEC_Q] },
        { "thinker.model.layers.3.self_attn.o_proj.weight", &n->dec[3][DEC_O] },
        { "thinker.model.layers.3.mlp.gate_proj.weight", &n->dec[3][DEC_GATE] },
        { "thinker.model.layers.5.mlp.down_proj.weight", &n->dec[5][DEC_DOWN] },
        { "thinker.model.embed_tokens.weight", &n->top[TOP_HEAD] },
    };
    for (size_t i = 0; i < ARRAY_LEN(list); i++)
        expect_init(&list[i].e, list[i].w->cols);
    watcher u = { s, list, ARRAY_LEN(list) };
    s->context.watch = fetch_rows;
    s->context.watch_user = &u;
    for (size_t i = 0; i < N_CLIPS; i++)
        qasr_result_free(transcribe(s, clips[i], NULL));

    qasr_calibrate_options opt = options("c.gguf");
    qasr_calibrate_report report = calibrate(&opt);
    calibration *c = open_file("c.gguf");
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        check_sums(c, list[i].name, &list[i].e, 0);
        expect_free(&list[i].e);
    }
    assert_int_equal(report.encoder_rows, list[0].e.n);
    assert_int_equal(report.decoder_rows, list[7].e.n);
    assert_int_equal(report.answer_rows, list[11].e.n);
    assert_int_equal(report.n_clips, N_CLIPS);
    assert_int_equal(report.n_segments, N_CLIPS);
    assert_int_equal(report.n_passes, 1);
    assert_int_equal(report.n_matrices, 6 * 6 + 3 + 6 * 7 + 1);
    calibration_close(c);
    qasr_session_close(s);
    qasr_model_close(m);
}

/* Row by row without the network: the first layer's input is norm(embedding of prompt and answer, or audio vector). */
static void first_layer_sees_normed_embeddings(void **state)
{
    static const int32_t before[] = { 1017, 470, 198, 1018, 198, 1017, 464, 198, 1019 },
                         after[] = { 1020, 1018, 198, 1017, 471, 198 };
    enum { D = 256, MAX = 400 };
    static float rows[MAX][D];
    qasr_model *m;
    qasr_session *s;
    qasr_error err;
    open_session(&m, &s, 1);
    expected e;
    expect_init(&e, D);
    float norm[D];
    const weight_ref *table = &m->checkpoint->top[TOP_EMBED], *w = &m->checkpoint->dec[0][DEC_NORM1];
    quant_get(w->tensor->type)->dequantize(norm, w->tensor->data, D);
    for (size_t clip = 0; clip < N_CLIPS; clip++) {
        int32_t ids[MAX];
        size_t n = 0;
        qasr_result *r = transcribe(s, clips[clip], scratch_path("dump.safetensors"));
        const qasr_segment *p = qasr_result_segment(r, 0);
        assert_true(p->n_prompt_tokens + p->n_tokens < MAX);
        weights *dump;
        must(weights_open_safetensors(&dump, scratch_path("dump.safetensors"), &err), &err);
        const wtensor *embeds = weights_find(dump, "audio_embeds");
        memcpy(ids, before, sizeof before);
        n = ARRAY_LEN(before) + p->n_audio_tokens;
        memcpy(ids + n, after, sizeof after);
        n += ARRAY_LEN(after);
        assert_int_equal(n, p->n_prompt_tokens);
        memcpy(ids + n, p->tokens, p->n_tokens * sizeof *ids);
        n += p->n_tokens;
        for (size_t i = 0; i < n; i++) {
            size_t audio = i - ARRAY_LEN(before); /* wraps around before the audio */
            if (audio < p->n_audio_tokens)
                memcpy(rows[i], (const unsigned char *)embeds->data + audio * sizeof rows[i], sizeof rows[i]);
            else
                quant_get(table->tensor->type)
                    ->dequantize(rows[i],
                                 (const unsigned char *)table->tensor->data +
                                     (size_t)ids[i] * quant_row_bytes(quant_get(table->tensor->type), D),
                                 D);
            double sum = 0;
            for (size_t k = 0; k < D; k++)
                sum += (double)rows[i][k] * (double)rows[i][k];
            for (size_t k = 0; k < D; k++)
                rows[i][k] = (float)((double)rows[i][k] / sqrt(sum / D + 1e-6) * (double)norm[k]);
            expect_row(&e, rows[i], i < p->n_prompt_tokens ? prompt_weight(i, p->n_prompt_tokens) : 4);
        }
        weights_close(dump);
        qasr_result_free(r);
    }
    qasr_calibrate_options opt = options("c.gguf");
    calibrate(&opt);
    calibration *c = open_file("c.gguf");
    check_sums(c, "thinker.model.layers.0.self_attn.q_proj.weight", &e, 2e-6);
    check_sums(c, "thinker.model.layers.0.self_attn.k_proj.weight", &e, 2e-6);
    check_sums(c, "thinker.model.layers.0.self_attn.v_proj.weight", &e, 2e-6);
    expect_free(&e);
    calibration_close(c);
    qasr_session_close(s);
    qasr_model_close(m);
}

static void same_file(const char *a, const char *b)
{
    buf x, y;
    qasr_error err;
    buf_init(&x, 1 << 28);
    buf_init(&y, 1 << 28);
    must(file_read_all(&x, scratch_path(a), &err), &err);
    must(file_read_all(&y, scratch_path(b), &err), &err);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    buf_free(&x);
    buf_free(&y);
}

static void threads_and_passes_give_the_same_bytes(void **state)
{
    qasr_calibrate_options opt = options("one.gguf");
    opt.n_threads = 1;
    qasr_calibrate_report whole = calibrate(&opt);
    opt.output = scratch_path("two.gguf");
    opt.n_threads = 3;
    calibrate(&opt);
    same_file("one.gguf", "two.gguf");
    opt.output = scratch_path("passes.gguf");
    opt.max_memory_mb = 6; /* conv_out alone takes 5.5 */
    qasr_calibrate_report parts = calibrate(&opt);
    assert_true(parts.n_passes > 3);
    same_file("one.gguf", "passes.gguf");
    assert_int_equal(whole.n_passes, 1);
    assert_int_equal(whole.decoder_rows, parts.decoder_rows);
    assert_int_equal(whole.n_segments, parts.n_segments);
    assert_int_equal(whole.file_bytes, parts.file_bytes);
}

static void covariance_is_only_added(void **state)
{
    static const char *const names[] = { "thinker.audio_tower.conv_out.weight",
                                         "thinker.model.layers.5.mlp.up_proj.weight" };
    static const size_t cols[] = { 1536, 256 };
    qasr_error err;
    qasr_calibrate_options opt = options("with.gguf");
    calibrate(&opt);
    opt.output = scratch_path("without.gguf");
    opt.covariance = 0;
    calibrate(&opt);
    calibration *with = open_file("with.gguf"), *without = open_file("without.gguf");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const float *a, *b;
        float one;
        bool found = true;
        must(calibration_importance(with, names[i], cols[i], &a, NULL, &err), &err);
        must(calibration_importance(without, names[i], cols[i], &b, NULL, &err), &err);
        assert_memory_equal(a, b, cols[i] * sizeof *a);
        must(calibration_covariance(without, names[i], cols[i], &one, &found, &err), &err);
        assert_false(found);
    }
    calibration_close(with);
    calibration_close(without);
}

static int cancel_at_second(void *user, uint64_t done, uint64_t total, const char *what)
{
    assert_int_equal(total, N_CLIPS);
    assert_string_equal(what, "pass 1 of 1");
    ++*(int *)user;
    return done == 2;
}

static int cancel_inside_a_clip(void *user, uint64_t done, uint64_t total, const char *what)
{
    assert_int_equal(done, 0);
    return ++*(int *)user == 3;
}

static void what_cannot_be_done_leaves_no_file(void **state)
{
    int calls = 0, polls = 0;
    qasr_calibrate_options opt = options("c.gguf");
    opt.on_progress = cancel_at_second;
    opt.user = &calls;
    calibrate_fails(&opt, QASR_E_CANCELLED, "calibration was cancelled");
    assert_true(calls > 2);
    opt = options("c.gguf");
    opt.on_progress = cancel_inside_a_clip;
    opt.user = &polls;
    calibrate_fails(&opt, QASR_E_CANCELLED, "calibration was cancelled");
    assert_int_equal(polls, 3);
    opt = options("c.gguf");
    opt.max_memory_mb = 5;
    calibrate_fails(&opt, QASR_E_INVALID,
                    "the statistics of 'thinker.audio_tower.conv_out.weight' need 6 MB, the limit is 5");
    opt = options("c.gguf");
    const char *missing[] = { CLIP("ru-002"), "missing.wav" };
    opt.audio = missing;
    opt.n_audio = 2;
    calibrate_fails(&opt, QASR_E_IO, "missing.wav");
    opt.limit = 1; /* the missing file is not reached */
    assert_int_equal(calibrate(&opt).n_clips, 1);
    calibrate_fails(&opt, QASR_E_INVALID, "' exists");
    opt.overwrite = 1;
    calibrate(&opt);
    opt = options("d.gguf");
    opt.n_audio = 0;
    calibrate_fails(&opt, QASR_E_INVALID, "no audio");
    opt = options("d.gguf");
    opt.model = "missing";
    calibrate_fails(&opt, QASR_E_IO, "missing");
    opt = options("d.gguf");
    opt.max_memory_mb = -1;
    calibrate_fails(&opt, QASR_E_INVALID, "must not be negative");
    qasr_calibrate_report report = { 0 };
    opt.max_memory_mb = 0;
    assert_int_equal(qasr_calibrate(&opt, &report, NULL), QASR_E_INVALID); /* not initialized with _INIT */
}

/* Every failed allocation is an error and leaves no file. */
static void failing_allocations_are_errors(void **state)
{
    qasr_error err;
    qasr_calibrate_options opt = options("c.gguf");
    opt.n_audio = 1;
    opt.n_threads = 1;
    size_t n = 0;
    qasr_status status = QASR_E_NOMEM;
    for (; status != QASR_OK; n += 1 + n / 8) { /* every allocation at first, then sparser */
        assert_true(n < 100000);
        mem_fail_after(n);
        status = qasr_calibrate(&opt, NULL, &err);
        mem_fail_after(SIZE_MAX);
        assert_true(status == QASR_OK || status == QASR_E_NOMEM);
        assert_int_equal(scratch_list(false), status == QASR_OK);
    }
    assert_true(n > 100);
}

/* ---- the reader ---- */

typedef struct tensor {
    const char *name;
    size_t n;
    float first, rest;
} tensor;

static void write_file(const char *name, const char *type, const tensor *tensors, size_t n)
{
    qasr_error err;
    gguf_writer *g;
    size_t index;
    must(gguf_writer_create(&g, scratch_path(name), true, &err), &err);
    if (type)
        must(gguf_writer_meta_str(g, "general.type", type, &err), &err);
    for (size_t i = 0; i < n; i++) {
        uint64_t shape[] = { tensors[i].n };
        must(gguf_writer_add(g, tensors[i].name, QUANT_F32, 1, shape, &index, &err), &err);
    }
    must(gguf_writer_begin_data(g, &err), &err);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < tensors[i].n; k++)
            must(
                gguf_writer_put(g, i, k * sizeof(float), k ? &tensors[i].rest : &tensors[i].first, sizeof(float), &err),
                &err);
    must(gguf_writer_commit(g, NULL, &err), &err);
    gguf_writer_free(g);
}

#define QUERY0 "thinker.model.layers.0.self_attn.q_proj.weight"
#define KEY0 "thinker.model.layers.0.self_attn.k_proj.weight"

static void reads_what_llama_cpp_writes(void **state)
{
    static const tensor tensors[] = {
        { "blk.0.attn_q.weight.in_sum2", 4, 8, 2 },
        { "blk.0.attn_q.weight.counts", 1, 4 },
        { "blk.11.ffn_down.weight.in_sum2", 6, 3, 9 },
        { "blk.11.ffn_down.weight.counts", 1, 3 },
        { "blk.1.ffn_up.weight.in_sum2", 2, 0, 0 },
        { "blk.1.ffn_up.weight.counts", 1, 0 }, /* a matrix without rows */
        { "output.weight.in_sum2", 2, 1, 1 },
        { "output.weight.counts", 1, 2 },
        { "something.else", 3, 0, 0 },
    };
    qasr_error err;
    double rows = 0;
    const float *means;
    bool found = true;
    write_file("l.gguf", "imatrix", tensors, ARRAY_LEN(tensors));
    calibration *c = open_file("l.gguf");
    must(calibration_importance(c, QUERY0, 4, &means, &rows, &err), &err);
    const float wanted[] = { 2, 0.5f, 0.5f, 0.5f };
    assert_memory_equal(means, wanted, sizeof wanted);
    assert_float_equal(rows, 4, 0);
    must(calibration_importance(c, KEY0, 4, &means, &rows, &err), &err); /* has the same input */
    assert_memory_equal(means, wanted, sizeof wanted);
    must(calibration_importance(c, "thinker.model.layers.11.mlp.down_proj.weight", 6, &means, NULL, &err), &err);
    assert_float_equal(means[5], 3, 0);
    must(calibration_importance(c, "thinker.lm_head.weight", 2, &means, NULL, &err), &err);
    assert_float_equal(means[1], 0.5, 0);
    must(calibration_importance(c, "thinker.model.layers.1.mlp.up_proj.weight", 2, &means, NULL, &err), &err);
    assert_null(means);
    must(calibration_importance(c, "thinker.model.norm.weight", 2, &means, NULL, &err), &err);
    assert_null(means);
    must(calibration_covariance(c, QUERY0, 4, NULL, &found, &err), &err);
    assert_false(found);
    calibration_close(c);
}

static void packed_products_become_a_matrix(void **state)
{
    tensor tensors[] = { { QUERY0 ".in_cov", 6, 0, 0 }, { QUERY0 ".counts", 1, 2 }, { QUERY0 ".in_sum2", 3, 1, 1 } };
    qasr_error err;
    gguf_writer *g;
    size_t index;
    must(gguf_writer_create(&g, scratch_path("p.gguf"), true, &err), &err);
    must(gguf_writer_meta_str(g, "general.type", "imatrix", &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(tensors); i++)
        must(gguf_writer_add(g, tensors[i].name, QUANT_F32, 1, &(uint64_t){ tensors[i].n }, &index, &err), &err);
    const float packed[] = { 2, 4, 6, 8, -10, 12 }, count = 2, sums[] = { 2, 6, 12 };
    must(gguf_writer_begin_data(g, &err), &err);
    must(gguf_writer_put(g, 0, 0, packed, sizeof packed, &err), &err);
    must(gguf_writer_put(g, 1, 0, &count, sizeof count, &err), &err);
    must(gguf_writer_put(g, 2, 0, sums, sizeof sums, &err), &err);
    must(gguf_writer_commit(g, NULL, &err), &err);
    gguf_writer_free(g);
    calibration *c = open_file("p.gguf");
    float out[9];
    bool found = false;
    const float wanted[] = { 1, 2, 4, 2, 3, -5, 4, -5, 6 };
    must(calibration_covariance(c, "thinker.model.layers.0.self_attn.v_proj.weight", 3, out, &found, &err), &err);
    assert_true(found);
    assert_memory_equal(out, wanted, sizeof wanted);
    assert_int_equal(calibration_covariance(c, QUERY0, 4, out, &found, &err), QASR_E_FORMAT);
    assert_non_null(strstr(err.message, "has 6 values, expected 10 for the 4 columns"));
    assert_int_equal(calibration_covariance(c, QUERY0, SIZE_MAX, out, &found, &err), QASR_E_FORMAT);
    const float *means = sums;
    assert_int_equal(calibration_importance(c, QUERY0, 2, &means, NULL, &err), QASR_E_FORMAT);
    assert_non_null(strstr(err.message, "has 3 values, expected 2 for the 2 columns"));
    assert_null(means);
    calibration_close(c);
}

static void matrices_with_one_input_are_served_by_the_first(void **state)
{
    static const char *const pairs[][2] = {
        { "thinker.audio_tower.layers.17.self_attn.v_proj.weight",
          "thinker.audio_tower.layers.17.self_attn.q_proj.weight" },
        { "thinker.model.layers.3.self_attn.k_proj.weight", "thinker.model.layers.3.self_attn.q_proj.weight" },
        { "thinker.model.layers.3.self_attn.o_proj.weight", "thinker.model.layers.3.self_attn.o_proj.weight" },
        { "thinker.model.layers.3.mlp.up_proj.weight", "thinker.model.layers.3.mlp.gate_proj.weight" },
        { "thinker.model.layers.3.mlp.down_proj.weight", "thinker.model.layers.3.mlp.down_proj.weight" },
        { "x", "x" },
    };
    char out[64];
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        assert_true(calibration_source(out, sizeof out, pairs[i][0]));
        assert_string_equal(out, pairs[i][1]);
        assert_false(calibration_source(out, strlen(pairs[i][1]), pairs[i][0]));
    }
}

static void bad_files_are_refused(void **state)
{
#define SUMS                                                                                                           \
    {                                                                                                                  \
        QUERY0 ".in_sum2", 3, 1, 1                                                                                     \
    }
#define COUNTS                                                                                                         \
    {                                                                                                                  \
        QUERY0 ".counts", 1, 2                                                                                         \
    }
    static const struct {
        const char *type, *message;
        tensor tensors[4];
    } cases[] = {
        { NULL, "is not a statistics file", { SUMS, COUNTS } },
        { "model", "its general.type is not 'imatrix'", { SUMS, COUNTS } },
        { "imatrix", "holds no statistics", { { "a", 3, 1, 1 } } },
        { "imatrix", "without 'thinker.model.layers.0.self_attn.q_proj.weight.counts'", { SUMS } },
        { "imatrix", "has 2 values, expected 1", { SUMS, { QUERY0 ".counts", 2, 1, 1 } } },
        { "imatrix", "is nan, expected a number of rows", { SUMS, { QUERY0 ".counts", 1, NAN } } },
        { "imatrix", "is -1, expected a number of rows", { SUMS, { QUERY0 ".counts", 1, -1 } } },
        { "imatrix", "is 0.5, expected a number of rows", { SUMS, { QUERY0 ".counts", 1, 0.5f } } },
        { "imatrix", "is inf, expected a number of rows", { SUMS, { QUERY0 ".counts", 1, INFINITY } } },
        { "imatrix", "value 1 of tensor '" QUERY0 ".in_sum2'", { { QUERY0 ".in_sum2", 3, 1, -0.5f }, COUNTS } },
        { "imatrix", "which is not a sum of squares", { { QUERY0 ".in_sum2", 3, NAN, 1 }, COUNTS } },
        { "imatrix", "statistics of '" QUERY0 "' twice", { SUMS, COUNTS, { "blk.0.attn_q.weight.in_sum2", 3, 1, 1 } } },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_error err = { 0 };
        calibration *c = NULL;
        size_t n = 0;
        while (n < 4 && cases[i].tensors[n].name)
            n++;
        write_file("bad.gguf", cases[i].type, cases[i].tensors, n);
        assert_int_equal(calibration_open(&c, scratch_path("bad.gguf"), &err), QASR_E_FORMAT);
        assert_null(c);
        if (!strstr(err.message, cases[i].message) || !strstr(err.message, "bad.gguf"))
            fail_msg("'%s' does not contain '%s'", err.message, cases[i].message);
    }
    static const tensor products[][3] = {
        { SUMS, COUNTS, { QUERY0 ".in_cov", 6, 1, NAN } },
        { SUMS, COUNTS, { QUERY0 ".in_cov", 6, -1, 1 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(products); i++) {
        qasr_error err = { 0 };
        float out[9];
        bool found;
        write_file("bad.gguf", "imatrix", products[i], 3);
        calibration *c = open_file("bad.gguf");
        assert_int_equal(calibration_covariance(c, KEY0, 3, out, &found, &err), QASR_E_FORMAT);
        assert_non_null(strstr(err.message, i == 0 ? "is nan, which is not a sum of products"
                                                   : "is -1, which is not a sum of squares"));
        calibration_close(c);
    }
}

/* ---- audio files ---- */

static void find(audio_files *s, const char *name, size_t limit)
{
    qasr_error err;
    *s = (audio_files){ 0 };
    must(audio_files_find(s, &name, 1, limit, &err), &err);
}

static void find_fails(const char *name, qasr_status status, const char *part)
{
    qasr_error err;
    audio_files s = { 0 };
    assert_int_equal(audio_files_find(&s, &name, 1, 0, &err), status);
    assert_non_null(strstr(err.message, part));
    audio_files_free(&s);
}

static void names_stand_for_files_folders_and_lists(void **state)
{
    audio_files s;
    find(&s, "a/b.wav", 0);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.paths[0], "a/b.wav");
    audio_files_free(&s);

    static const char *const files[] = { "b.WAV", "a.flac", "c.txt", "d.md", ".hidden.wav", "wav" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        write_bytes(files[i], "x", 1);
    find(&s, scratch, 0);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.paths[0], scratch_path("a.flac"));
    assert_string_equal(s.paths[1], scratch_path("b.WAV"));
    audio_files_free(&s);
    find(&s, scratch, 1);
    assert_int_equal(s.n, 1);
    audio_files_free(&s);

    static const char list[] = "one.wav\r\n\n/two words.ogg\nthree.mp3",
                      table[] = "file\tlanguage\ttext\nx.ogg\tEnglish\tHello.\n/y.wav\n";
    write_bytes("c.txt", list, strlen(list));
    find(&s, scratch_path("c.txt"), 0);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.paths[0], "one.wav");
    assert_string_equal(s.paths[1], "/two words.ogg");
    assert_string_equal(s.paths[2], "three.mp3");
    audio_files_free(&s);
    write_bytes("t.tsv", table, strlen(table));
    find(&s, scratch_path("t.tsv"), 0);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.paths[0], scratch_path("x.ogg"));
    assert_string_equal(s.paths[1], "/y.wav");
    audio_files_free(&s);

    write_bytes("c.txt", "file\tlanguage\n", 14);
    find_fails(scratch_path("c.txt"), QASR_E_INVALID, "names no audio files");
    write_bytes("c.txt", "", 0);
    find_fails(scratch_path("c.txt"), QASR_E_INVALID, "names no audio files");
    find_fails(scratch_path("none.txt"), QASR_E_IO, "none.txt");
    find_fails("-", QASR_E_INVALID, "standard input");
    assert_int_equal(mkdir(scratch_path("sub"), 0700), 0);
    find_fails(scratch_path("sub"), QASR_E_INVALID, "holds no audio files");
    assert_int_equal(rmdir(scratch_path("sub")), 0);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(sums_are_those_of_the_rows),
        IN_SCRATCH(first_layer_sees_normed_embeddings),
        IN_SCRATCH(threads_and_passes_give_the_same_bytes),
        IN_SCRATCH(covariance_is_only_added),
        IN_SCRATCH(what_cannot_be_done_leaves_no_file),
        IN_SCRATCH(failing_allocations_are_errors),
        IN_SCRATCH(reads_what_llama_cpp_writes),
        IN_SCRATCH(packed_products_become_a_matrix),
        cmocka_unit_test(matrices_with_one_input_are_served_by_the_first),
        IN_SCRATCH(bad_files_are_refused),
        IN_SCRATCH(names_stand_for_files_folders_and_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
