/* The quantizer: the bytes of each tensor, and failures that leave no file behind. */
#include <dirent.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/options.h"
#include "quantize/convert.h"
#include "quantize/convert_report.h"
#include "weights/gguf_read.h"
#include "weights/open.h"
#include "weights/safetensors.h"
#include "weights/safetensors_write.h"
#include "weights/weights.h"

#define MODEL_SCOPE "thinker.model."
#define Q_PROJ "thinker.model.layers.0.self_attn.q_proj.weight"
#define EMBED "thinker.model.embed_tokens.weight"

static char dir[64], output[96], input[96];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/qasr-convert-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(output, sizeof output, "%s/out.gguf", dir);
    snprintf(input, sizeof input, "%s/model.safetensors", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
    return rmdir(dir);
}

static size_t count_files(void)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static qasr_quantize_options options(const char *in, const char *qtype)
{
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    opt.input = in;
    opt.output = output;
    opt.qtype = qtype;
    opt.scope = MODEL_SCOPE;
    opt.n_threads = 2;
    return opt;
}

static void run(const qasr_quantize_options *opt, qasr_quantize_report *report)
{
    qasr_error err;
    if (convert_run(opt, report, &err) != QASR_OK)
        fail_msg("%s", err.message);
}

/* Runs and expects a failure whose message contains `part`, with n_left files left in the directory. */
static void run_fails(const qasr_quantize_options *opt, qasr_status status, const char *part, size_t n_left)
{
    qasr_error err;
    qasr_quantize_report report = { 0 };
    assert_int_equal(convert_run(opt, &report, &err), status);
    if (!strstr(err.message, part))
        fail_msg("'%s' does not say '%s'", err.message, part);
    assert_null(strchr(err.message, '\n'));
    assert_null(report.rows);
    assert_int_equal(count_files(), n_left);
}

static weights *open_output(void)
{
    weights *w;
    qasr_error err;
    if (weights_open_gguf(&w, output, &err) != QASR_OK)
        fail_msg("%s", err.message);
    return w;
}

static quant_type type_in_output(const char *name)
{
    weights *w = open_output();
    const wtensor *t = weights_find(w, name);
    assert_non_null(t);
    quant_type type = t->type;
    weights_close(w);
    return type;
}

/* ---- synthetic checkpoints ------------------------------------------------------------------- */

enum { MAX_DATA = 1 << 16 };
static float data[MAX_DATA];

static void fill(size_t n)
{
    for (size_t i = 0; i < n; i++)
        data[i] = (float)((int)(i * 37 + 11) % 101 - 50) / 64;
}

static st_entry entry(const char *name, unsigned n_dims, uint64_t rows, uint64_t row_length)
{
    st_entry e = { name, n_dims, { rows, row_length, 1, 1 }, data };
    if (n_dims == 1)
        e.shape[0] = row_length;
    if (n_dims == 4)
        e.shape[2] = e.shape[3] = 3;
    return e;
}

static void write_model(const st_entry *entries, size_t n)
{
    qasr_error err;
    if (safetensors_write_f32(input, entries, n, &err) != QASR_OK)
        fail_msg("%s", err.message);
}

static void write_matrix(const char *name, uint64_t rows, uint64_t row_length)
{
    st_entry e = entry(name, 2, rows, row_length);
    write_model(&e, 1);
}

static void write_text(const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* ---- the demo model -------------------------------------------------------------------------- */

static bool is_matrix(const char *name) { return strstr(name, "_proj.weight") != NULL; }

/* Checks the stored bytes of a tensor: quantized row by row from the source's floats. */
static void check_bytes(const wtensor *from, const wtensor *to)
{
    const quant_info *q = quant_get(to->type);
    size_t n = (size_t)from->shape[from->n_dims - 1], bytes = quant_row_bytes(q, n);
    float *x = malloc(n * sizeof *x);
    unsigned char *out = malloc(bytes);
    assert_int_equal(from->n_values, to->n_values);
    for (size_t row = 0; row < from->n_values / n; row++) {
        quant_get(from->type)->dequantize(x, (const char *)from->data + row * n * 2, n);
        q->quantize(out, x, n);
        assert_memory_equal(out, (const char *)to->data + row * bytes, bytes);
    }
    free(out);
    free(x);
}

static void check_demo(const char *qtype, quant_type type)
{
    qasr_quantize_options opt = options(MODEL_DIR, qtype);
    run(&opt, NULL);
    weights *source, *made = open_output();
    assert_int_equal(weights_open_safetensors(&source, MODEL_DIR, NULL), QASR_OK);
    assert_int_equal(weights_count(made), 6 * 11 + 2);
    for (size_t i = 0; i < weights_count(made); i++) {
        const wtensor *to = weights_at(made, i), *from = weights_find(source, to->name);
        assert_non_null(from);
        assert_int_equal(from->type, QUANT_BF16);
        assert_int_equal(to->n_dims, from->n_dims);
        assert_memory_equal(to->shape, from->shape, sizeof to->shape);
        assert_int_equal(to->type, is_matrix(to->name) ? type : from->n_dims == 1 ? QUANT_F32 : QUANT_BF16);
        check_bytes(from, to);
    }
    assert_string_equal(weights_meta_find(made, "qasr.qtype")->str, quant_get(type)->name);
    assert_int_equal(weights_meta_find(made, "general.file_type")->as.u, quant_get(type)->file_type);
    weights_close(source);
    weights_close(made);
}

static void test_q8_0(void **state)
{
    (void)state;
    check_demo("q8_0", QUANT_Q8_0);
}
static void test_q6_k(void **state)
{
    (void)state;
    check_demo("q6k", QUANT_Q6_K);
}
static void test_q4_0(void **state)
{
    (void)state;
    check_demo("Q4_0", QUANT_Q4_0);
}

static void test_metadata(void **state)
{
    (void)state;
    qasr_quantize_options opt = options(MODEL_DIR, "q8_0");
    run(&opt, NULL);
    weights *w = open_output();
    buf config;
    buf_init(&config, 1 << 20);
    assert_int_equal(file_read_all(&config, MODEL_DIR "/config.json", NULL), QASR_OK);
    static const char *const strings[][2] = {
        { "general.architecture", "qasr" },
        { "general.name", "demo" },
        { "qasr.source", "demo" },
        { "qasr.scope", MODEL_SCOPE },
        { "qasr.version", QASR_VERSION_STRING },
    };
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        const wmeta *m = weights_meta_find(w, strings[i][0]);
        assert_non_null(m);
        assert_string_equal(m->str, strings[i][1]);
    }
    assert_string_equal(weights_meta_find(w, "qasr.config")->str, buf_str(&config));
    assert_int_equal(weights_meta_find(w, "general.quantization_version")->as.u, 2);
    assert_int_equal(weights_meta_find(w, "general.alignment")->as.u, 32);
    buf_free(&config);
    weights_close(w);
}

/* One thread and five give the same bytes. */
static void check_threads(qasr_quantize_options opt)
{
    buf files[2];
    opt.overwrite = 1;
    for (int i = 0; i < 2; i++) {
        opt.n_threads = i ? 5 : 1;
        run(&opt, NULL);
        buf_init(&files[i], 64 << 20);
        assert_int_equal(file_read_all(&files[i], output, NULL), QASR_OK);
    }
    assert_int_equal(files[0].len, files[1].len);
    assert_memory_equal(files[0].data, files[1].data, files[0].len);
    buf_free(&files[0]);
    buf_free(&files[1]);
}

static const char *const some_patterns[] = { "layers\\.1\\..*proj\\.weight", "norm" };
static const char *const some_types[] = { "q5_0", "bf16" };

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    check_threads(options(MODEL_DIR, "q4_0"));
    qasr_quantize_options opt = options(MODEL_DIR, "q4_k_m");
    opt.embedding_qtype = "q6_k";
    opt.encoder_qtype = "q5_k_m";
    opt.scope = "";
    opt.tensor_patterns = some_patterns;
    opt.tensor_types = some_types;
    opt.n_tensor_types = ARRAY_LEN(some_types);
    check_threads(opt);
    char first[120]; /* that file again */
    snprintf(first, sizeof first, "%s/first.gguf", dir);
    assert_int_equal(rename(output, first), 0);
    check_threads(options(first, "q8_0"));
}

static const qasr_quantize_row *find_row(const qasr_quantize_report *r, const char *kind, const char *type)
{
    for (size_t i = 0; i < r->n_rows; i++)
        if (strcmp(r->rows[i].kind, kind) == 0 && strcmp(r->rows[i].type, type) == 0)
            return &r->rows[i];
    fail_msg("no row '%s' '%s'", kind, type);
    return NULL;
}

/* A scope that is not a whole model: encoder matrices too, the checkpoint's names; the tied head is left out and
 * reported. */
static void test_all_tensors(void **state)
{
    (void)state;
    qasr_quantize_report report;
    qasr_quantize_options opt = options(MODEL_DIR, "q4_0");
    opt.scope = "";
    run(&opt, &report);
    assert_int_equal(find_row(&report, "attention", "q8_0")->n_tensors, 6 * 4);
    assert_int_equal(find_row(&report, "attention", "q4_0")->n_tensors, 6 * 4);
    assert_int_equal(find_row(&report, "mlp", "q8_0")->n_tensors, 6 * 2);
    assert_int_equal(find_row(&report, "mlp", "q4_0")->n_tensors, 6 * 3);
    assert_int_equal(find_row(&report, "projection", "q8_0")->n_tensors, 3);
    assert_int_equal(find_row(&report, "convolution", "bf16")->n_tensors, 3);
    assert_int_equal(find_row(&report, "embedding", "bf16")->n_tensors, 1);
    const qasr_quantize_row *head = find_row(&report, "head", "skipped");
    assert_int_equal(head->n_tensors, 1);
    assert_int_equal(head->bytes_after, 0);
    struct stat st;
    assert_int_equal(stat(output, &st), 0);
    assert_int_equal(report.file_bytes, st.st_size);
    weights *w = open_output();
    assert_int_equal(weights_count(w), 177);
    assert_null(weights_find(w, "thinker.lm_head.weight"));
    assert_non_null(weights_find(w, "thinker.audio_tower.conv2d1.weight"));
    weights_close(w);
    mem_free(report.rows);
}

/* The errors in the report against errors computed here from the two files. */
static void test_report_errors(void **state)
{
    (void)state;
    qasr_quantize_report report;
    qasr_quantize_options opt = options(MODEL_DIR, "q4_0");
    run(&opt, &report);
    weights *source, *made = open_output();
    assert_int_equal(weights_open_safetensors(&source, MODEL_DIR, NULL), QASR_OK);
    double sum = 0, max = 0;
    uint64_t n_values = 0;
    for (size_t i = 0; i < weights_count(made); i++) {
        const wtensor *to = weights_at(made, i), *from = weights_find(source, to->name);
        if (!strstr(to->name, ".mlp."))
            continue;
        size_t n = (size_t)to->n_values;
        float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
        quant_get(from->type)->dequantize(x, from->data, n);
        quant_get(to->type)->dequantize(y, to->data, n);
        for (size_t k = 0; k < n; k++) {
            double d = fabs((double)x[k] - y[k]);
            sum += d * d;
            max = d > max ? d : max;
        }
        n_values += n;
        free(x);
        free(y);
    }
    const qasr_quantize_row *row = find_row(&report, "mlp", "q4_0");
    assert_int_equal(row->n_values, n_values);
    assert_int_equal(row->bytes_before, 2 * n_values);
    assert_int_equal(row->bytes_after, n_values / 32 * 18);
    assert_true(max > 0 && fabs(row->max_error - max) < 1e-6 * max);
    assert_true(fabs(row->rms_error - sqrt(sum / (double)n_values)) < 1e-6 * row->rms_error);
    assert_true(find_row(&report, "embedding", "bf16")->max_error == 0);
    assert_true(find_row(&report, "norm", "f32")->max_error == 0);
    weights_close(source);
    weights_close(made);
    mem_free(report.rows);
}

static void test_embeddings(void **state)
{
    (void)state;
    qasr_quantize_options opt = options(MODEL_DIR, "q6_k");
    opt.quantize_embeddings = 1;
    run(&opt, NULL);
    assert_int_equal(type_in_output(EMBED), QUANT_Q6_K);
}

/* ---- rules on synthetic tensors -------------------------------------------------------------- */

static void test_fallback(void **state)
{
    (void)state;
    static const struct {
        uint64_t row_length;
        quant_type type;
        size_t n_fallback;
    } cases[] = { { 256, QUANT_Q6_K, 0 }, { 96, QUANT_Q8_0, 1 }, { 40, QUANT_F16, 1 } };
    fill(4 * 256);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_quantize_report report;
        qasr_quantize_options opt = options(input, "q6_k");
        opt.overwrite = 1;
        write_matrix(Q_PROJ, 4, cases[i].row_length);
        run(&opt, &report);
        assert_int_equal(type_in_output(Q_PROJ), cases[i].type);
        assert_int_equal(report.n_rows, 1);
        assert_int_equal(report.rows[0].n_fallback, cases[i].n_fallback);
        mem_free(report.rows);
    }
}

/* Float32 embeddings and convolutions become half precision, unless a value does not fit. */
static void test_float32_source(void **state)
{
    (void)state;
    fill(4096);
    st_entry entries[] = { entry(EMBED, 2, 8, 64), entry("thinker.model.conv.weight", 4, 2, 3),
                           entry("thinker.model.other.weight", 2, 8, 64),
                           entry("thinker.model.norm.weight", 1, 1, 64) };
    write_model(entries, 4);
    qasr_quantize_options opt = options(input, "q8_0");
    run(&opt, NULL);
    assert_int_equal(type_in_output(EMBED), QUANT_F16);
    assert_int_equal(type_in_output("thinker.model.conv.weight"), QUANT_F16);
    assert_int_equal(type_in_output("thinker.model.other.weight"), QUANT_F32);
    assert_int_equal(type_in_output("thinker.model.norm.weight"), QUANT_F32);
    data[8 * 64 - 1] = 70000;
    write_model(entries, 4);
    opt.overwrite = 1;
    run(&opt, NULL);
    assert_int_equal(type_in_output(EMBED), QUANT_F32);
    assert_int_equal(type_in_output("thinker.model.conv.weight"), QUANT_F16);
}

/* The head is a separate matrix unless the configuration ties it to the embedding. */
static void test_untied_head(void **state)
{
    (void)state;
    fill(4096);
    st_entry entries[] = { entry(EMBED, 2, 8, 64), entry("thinker.lm_head.weight", 2, 8, 64) };
    write_model(entries, 2);
    qasr_quantize_options opt = options(dir, "q8_0");
    opt.scope = "";
    run(&opt, NULL); /* no config.json */
    assert_int_equal(type_in_output("thinker.lm_head.weight"), QUANT_F16);
    write_text("config.json", "{\"thinker_config\": {\"text_config\": {\"tie_word_embeddings\": false}}}");
    opt.overwrite = opt.quantize_embeddings = 1;
    run(&opt, NULL);
    assert_int_equal(type_in_output("thinker.lm_head.weight"), QUANT_Q8_0);
    write_text("config.json", "{\"tie_word_embeddings\": true}");
    run(&opt, NULL);
    weights *w = open_output();
    assert_int_equal(weights_count(w), 1);
    weights_close(w);
    opt.scope = "thinker.lm_head."; /* kept, since the embedding is not in scope */
    run(&opt, NULL);
    assert_int_equal(type_in_output("thinker.lm_head.weight"), QUANT_Q8_0);
}

static void test_hf_names(void **state)
{
    (void)state;
    fill(256);
    write_matrix("model.language_model.layers.0.self_attn.q_proj.weight", 4, 64);
    qasr_quantize_options opt = options(input, "q8_0");
    run(&opt, NULL);
    assert_int_equal(type_in_output(Q_PROJ), QUANT_Q8_0);
}

/* ---- dry runs -------------------------------------------------------------------------------- */

typedef struct tensor_log {
    size_t n, n_calls_left; /* calls_left 0: cancels */
    uint64_t bytes;
} tensor_log;

static int log_tensor(void *user, const qasr_quantize_tensor *t)
{
    tensor_log *h = user;
    assert_true(t->n_dims >= 1 && t->n_values > 0 && t->name[0] && t->kind[0] && t->source_type[0]);
    assert_true((strcmp(t->type, "skipped") == 0) == (t->bytes_after == 0) &&
                (t->output_name[0] == 0) == (t->bytes_after == 0));
    h->n++;
    h->bytes += t->bytes_after;
    return h->n_calls_left-- == 0;
}

/* A dry run reports the same as a real run about every tensor and the file, and writes nothing. */
static void check_dry_run(qasr_quantize_options opt)
{
    qasr_quantize_report dry = { 0 }, made = { 0 };
    tensor_log dry_log = { .n_calls_left = SIZE_MAX }, made_log = dry_log;
    struct stat st;
    opt.on_tensor = log_tensor;
    opt.user = &dry_log;
    opt.dry_run = 1;
    size_t n_files = count_files();
    run(&opt, &dry);
    assert_int_equal(count_files(), n_files);
    opt.dry_run = 0;
    opt.overwrite = 1;
    opt.user = &made_log;
    run(&opt, &made);
    assert_int_equal(stat(output, &st), 0);
    assert_int_equal(dry.file_bytes, st.st_size);
    assert_int_equal(made.file_bytes, st.st_size);
    assert_true(dry_log.n == made_log.n && dry_log.bytes == made_log.bytes);
    assert_int_equal(dry.n_rows, made.n_rows);
    uint64_t bytes = 0;
    for (size_t i = 0; i < dry.n_rows; i++) {
        qasr_quantize_row *a = &dry.rows[i], *b = &made.rows[i];
        assert_string_equal(a->type, b->type);
        assert_string_equal(a->kind, b->kind);
        assert_true(a->n_tensors == b->n_tensors && a->bytes_before == b->bytes_before &&
                    a->bytes_after == b->bytes_after);
        assert_true(a->n_fallback == b->n_fallback && a->max_error == 0 && a->rms_error == 0);
        bytes += a->bytes_after;
    }
    assert_int_equal(bytes, dry_log.bytes);
    mem_free(dry.rows);
    mem_free(made.rows);
}

static void test_dry_run(void **state)
{
    (void)state;
    check_dry_run(options(MODEL_DIR, "q8_0"));
    qasr_quantize_options opt = options(MODEL_DIR, "q5_k_m");
    opt.scope = "";
    opt.tensor_patterns = some_patterns;
    opt.tensor_types = some_types;
    opt.n_tensor_types = ARRAY_LEN(some_types);
    opt.embedding_qtype = "q4_0";
    check_dry_run(opt);
    char first[120];
    snprintf(first, sizeof first, "%s/first.gguf", dir);
    assert_int_equal(rename(output, first), 0);
    check_dry_run(options(first, "f16"));
    opt = options(MODEL_DIR, "q8_0");
    opt.output = NULL; /* not needed */
    opt.dry_run = 1;
    run(&opt, NULL);
}

static void test_tensor_callback_cancels(void **state)
{
    (void)state;
    tensor_log h = { .n_calls_left = 3 };
    qasr_quantize_options opt = options(MODEL_DIR, "q8_0");
    opt.on_tensor = log_tensor;
    opt.user = &h;
    run_fails(&opt, QASR_E_CANCELLED, "cancelled", 0);
    assert_int_equal(h.n, 4);
}

/* ---- GGUF files as input ----------------------------------------------------------------------- */

static char warning[512];
static int n_warnings;

static void keep_warning(void *user, qasr_log_level level, const char *message)
{
    (void)user;
    if (level == QASR_LOG_WARNING) {
        snprintf(warning, sizeof warning, "%s", message);
        n_warnings++;
    }
}

/* from -> first.gguf -> the output. */
static void requantize(const char *from, const char *to, char first[120])
{
    qasr_quantize_options opt = options(MODEL_DIR, from);
    opt.overwrite = 1;
    run(&opt, NULL);
    snprintf(first, 120, "%s/first.gguf", dir);
    assert_int_equal(rename(output, first), 0);
    n_warnings = 0;
    warning[0] = 0;
    qasr_log_set(keep_warning, NULL);
    opt = options(first, to);
    opt.overwrite = 1;
    run(&opt, NULL);
    qasr_log_set(NULL, NULL);
}

static void check_requantized(const char *from, const char *to)
{
    char first[120];
    requantize(from, to, first);
    qasr_error err;
    weights *source, *made = open_output();
    if (weights_open(&source, first, &err) != QASR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(weights_count(made), weights_count(source));
    for (size_t i = 0; i < weights_count(made); i++) {
        const wtensor *b = weights_at(made, i), *a = weights_find(source, b->name);
        const quant_info *q = quant_get(b->type);
        size_t n = (size_t)a->n_values;
        float *x = malloc(n * sizeof *x);
        unsigned char *out = malloc(quant_row_bytes(q, n));
        assert_int_equal(b->type, is_matrix(b->name) ? (quant_type)quant_from_name(to) : a->type);
        quant_get(a->type)->dequantize(x, a->data, n);
        q->quantize(out, x, n);
        assert_memory_equal(out, b->data, b->n_bytes);
        free(out);
        free(x);
    }
    assert_string_equal(weights_meta_find(made, "qasr.source")->str, "first.gguf");
    assert_string_equal(weights_meta_find(made, "general.name")->str, "demo");
    assert_string_equal(weights_meta_find(made, "qasr.config")->str, weights_meta_find(source, "qasr.config")->str);
    weights_close(source);
    weights_close(made);
}

static void test_gguf_input(void **state)
{
    (void)state;
    check_requantized("f16", "q8_0");
    assert_int_equal(n_warnings, 0);
    check_requantized("f32", "bf16");
    assert_int_equal(n_warnings, 0);
    check_requantized("q5_0", "q4_k");
    assert_int_equal(n_warnings, 1);
    assert_non_null(strstr(warning, "is quantized already: q5_0 (94.6 % of the weights)"));
    assert_null(strchr(warning, '\n'));
    check_requantized("q6_k", "q4_0");
    assert_int_equal(n_warnings, 1);
    check_requantized("q4_k", "f32");
    assert_int_equal(n_warnings, 1);
}

/* The same type again is a lossless copy without a warning. */
static void test_same_type_is_copied(void **state)
{
    (void)state;
    char first[120];
    requantize("q6_k", "q6_k", first);
    assert_int_equal(n_warnings, 0);
    weights *source, *made = open_output();
    assert_int_equal(weights_open(&source, first, NULL), QASR_OK);
    for (size_t i = 0; i < weights_count(made); i++) {
        const wtensor *b = weights_at(made, i), *a = weights_find(source, b->name);
        assert_true(a->type == b->type && a->n_bytes == b->n_bytes);
        assert_memory_equal(a->data, b->data, a->n_bytes);
    }
    weights_close(source);
    weights_close(made);
}

static void test_gguf_input_is_not_overwritten(void **state)
{
    (void)state;
    qasr_quantize_options opt = options(MODEL_DIR, "q8_0");
    run(&opt, NULL);
    opt = options(output, "q4_0");
    opt.overwrite = 1;
    run_fails(&opt, QASR_E_INVALID, "is one of the input files", 1);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_bad_weights(void **state)
{
    (void)state;
    static const struct {
        float value;
        qasr_status status;
        const char *part;
    } cases[] = {
        { NAN, QASR_E_FORMAT, "q_proj.weight' row 5 holds NaN" },
        { -INFINITY, QASR_E_FORMAT, "q_proj.weight' row 5 holds an infinite value" },
        { 1e8f, QASR_E_UNSUPPORTED, "q_proj.weight' row 5: 100000000 is too large for q8_0" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fill(8 * 64);
        data[5 * 64 + 63] = cases[i].value;
        write_matrix(Q_PROJ, 8, 64);
        qasr_quantize_options opt = options(input, "q8_0");
        run_fails(&opt, cases[i].status, cases[i].part, 1);
    }
    fill(8 * 64);
    data[7 * 64] = NAN; /* also in tensors that are only copied or widened */
    write_matrix(EMBED, 8, 64);
    qasr_quantize_options opt = options(input, "q8_0");
    run_fails(&opt, QASR_E_FORMAT, "embed_tokens.weight' row 7 holds NaN", 1);
}

/* Values that a type cannot hold are refused, and what it holds is stored with its neighbours unharmed. */
static void test_large_weights(void **state)
{
    (void)state;
    static const char *const types[] = { "q8_0", "q6_k", "q5_k",   "q5_1", "q5_0", "q4_k",
                                         "q4_1", "q4_0", "iq4_nl", "bf16", "f32" };
    static const float values[] = { 65504, -65504, 1e5f, -5e5f, 1e7f, -1e8f, 1e30f, -1e38f, 3.4e38f, FLT_MAX };
    for (size_t t = 0; t < ARRAY_LEN(types); t++)
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            char part[240];
            const float largest = quant_get((quant_type)quant_from_name(types[t]))->largest;
            fill(8 * 256);
            data[3 * 256 + 100] = values[v];
            write_matrix(Q_PROJ, 8, 256);
            qasr_quantize_options opt = options(input, "q8_0");
            opt.tensor_patterns = (const char *const[]){ "q_proj" };
            opt.tensor_types = &types[t];
            opt.n_tensor_types = 1;
            opt.overwrite = 1;
            if (fabsf(values[v]) > largest) {
                unlink(output);
                snprintf(part, sizeof part,
                         "q_proj.weight' row 3: %.9g is too large for %s, which holds values up to %.9g; give this "
                         "tensor another type, such as %s",
                         (double)values[v], types[t], (double)largest, strcmp(types[t], "bf16") ? "bf16" : "f32");
                run_fails(&opt, QASR_E_UNSUPPORTED, part, 1);
                continue;
            }
            run(&opt, NULL);
            weights *w = open_output();
            const wtensor *to = weights_find(w, Q_PROJ);
            float y[8 * 256];
            quant_get(to->type)->dequantize(y, to->data, 8 * 256);
            for (size_t i = 0; i < 8 * 256; i++)
                if (!(fabsf(y[i] - data[i]) <= 0.126f * (i / 256 == 3 ? fabsf(values[v]) : 1)))
                    fail_msg("%s: %g became %g", types[t], (double)data[i], (double)y[i]);
            weights_close(w);
        }
}

static int cancel(void *user, uint64_t done, uint64_t total, const char *what)
{
    assert_true(done <= total && total > 0 && what && what[0]);
    return --*(int *)user < 0;
}

static void test_cancel(void **state)
{
    (void)state;
    for (int calls = 0; calls < 3; calls++) {
        int left = calls;
        qasr_quantize_options opt = options(MODEL_DIR, "q8_0");
        opt.on_progress = cancel;
        opt.user = &left;
        opt.n_threads = 1;
        run_fails(&opt, QASR_E_CANCELLED, "cancelled", 0);
    }
}

static int count_calls(void *user, uint64_t done, uint64_t total, const char *what)
{
    (void)what;
    uint64_t *last = user;
    assert_true(done >= *last && done <= total);
    *last = done;
    return 0;
}

static void test_progress(void **state)
{
    (void)state;
    uint64_t last = 0;
    qasr_quantize_options opt = options(MODEL_DIR, "q8_0");
    opt.on_progress = count_calls;
    opt.user = &last;
    opt.n_threads = 1;
    run(&opt, NULL);
    assert_int_equal(last, 2 * 4985600); /* the text model in bf16 */
}

static void test_output_refused(void **state)
{
    (void)state;
    fill(256);
    write_matrix(Q_PROJ, 4, 64);
    qasr_quantize_options opt = options(input, "q8_0");
    write_text("out.gguf", "precious");
    run_fails(&opt, QASR_E_INVALID, "exists", 2);
    opt.overwrite = 1;
    opt.output = input;
    run_fails(&opt, QASR_E_INVALID, "is one of the input files", 2);
    opt.output = dir;
    run_fails(&opt, QASR_E_INVALID, "it is a directory", 2);
    opt.output = "/dev/null";
    run_fails(&opt, QASR_E_INVALID, "it is a special file", 2);
    opt.output = "/nonexistent/out.gguf";
    run_fails(&opt, QASR_E_IO, "cannot create '/nonexistent/out.gguf'", 2);
    opt.output = output;
    run_fails(&opt, QASR_E_INVALID, "is not a model in one GGUF file", 2);
    write_text("out.gguf", "");
    run(&opt, NULL);
    assert_int_equal(type_in_output(Q_PROJ), QUANT_Q8_0);
    opt.qtype = "q4_0";
    run(&opt, NULL);
    assert_int_equal(type_in_output(Q_PROJ), QUANT_Q4_0);
}

static void test_input_refused(void **state)
{
    (void)state;
    qasr_quantize_options opt = options("/nonexistent/model.safetensors", "q8_0");
    run_fails(&opt, QASR_E_IO, "/nonexistent/model.safetensors", 0);
    opt = options(MODEL_DIR, "q3_k");
    run_fails(&opt, QASR_E_INVALID, "unknown type 'q3_k', expected one of f32, f16, bf16, q8_0, ", 0);
    run_fails(&opt, QASR_E_INVALID, ", q5_k_m, q4_k_m", 0);
    opt = options(MODEL_DIR, "q8_0");
    opt.scope = "nothing.";
    run_fails(&opt, QASR_E_INVALID, "no tensor name starts with 'nothing.'", 0);
    opt.scope = MODEL_SCOPE;
    opt.n_threads = -1;
    run_fails(&opt, QASR_E_INVALID, "-1 threads", 0);
    fill(256);
    write_matrix(Q_PROJ, 4, 64);
    opt = options(input, "q8_0");
    write_text("config.json", "{\"a\": 1,\n \"a\": 2}");
    run_fails(&opt, QASR_E_FORMAT, "config.json' is not valid JSON: line 2, column ", 2);
    write_text("config.json", "[1]");
    run_fails(&opt, QASR_E_FORMAT, "is not a JSON object", 2);
}

/* Every allocation fails once: always a clean error, never a file. */
static void test_out_of_memory(void **state)
{
    (void)state;
    qasr_error err;
    fill(8 * 64);
    st_entry entries[] = { entry(EMBED, 2, 8, 64), entry(Q_PROJ, 2, 8, 64) };
    write_model(entries, 2);
    write_text("config.json", "{}");
    qasr_quantize_options opt = options(input, "q8_0");
    size_t n = 0;
    for (;; n++) {
        qasr_quantize_report report = { 0 };
        mem_fail_after(n);
        qasr_status status = convert_run(&opt, &report, &err);
        mem_fail_after(SIZE_MAX);
        mem_free(report.rows);
        if (status == QASR_OK)
            break;
        assert_int_equal(status, QASR_E_NOMEM);
        assert_int_equal(count_files(), 2);
        assert_true(n < 10000);
    }
    assert_true(n > 20);
}

/* ---- option structs of other versions -------------------------------------------------------- */

static void test_struct_size(void **state)
{
    (void)state;
    struct {
        qasr_quantize_options opt;
        char more[32];
    } longer = { .opt = QASR_QUANTIZE_OPTIONS_INIT };
    qasr_quantize_options own = QASR_QUANTIZE_OPTIONS_INIT;
    own.scope = "default";
    longer.opt.struct_size = offsetof(qasr_quantize_options, scope); /* an older program */
    longer.opt.input = "in";
    longer.opt.scope = "not to be read";
    assert_int_equal(options_read(&own, sizeof own, &longer, "INIT", NULL), QASR_OK);
    assert_string_equal(own.input, "in");
    assert_string_equal(own.scope, "default");
    assert_int_equal(own.struct_size, sizeof own);
    longer.opt.struct_size = sizeof longer; /* a newer one */
    assert_int_equal(options_read(&own, sizeof own, &longer, "INIT", NULL), QASR_OK);
    assert_string_equal(own.scope, "not to be read");
    longer.opt.struct_size = 0;
    qasr_error err;
    assert_int_equal(options_read(&own, sizeof own, &longer, "INIT", &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "INIT"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_q8_0),
        TEST(test_q6_k),
        TEST(test_q4_0),
        TEST(test_metadata),
        TEST(test_threads_do_not_matter),
        TEST(test_all_tensors),
        TEST(test_report_errors),
        TEST(test_embeddings),
        TEST(test_fallback),
        TEST(test_float32_source),
        TEST(test_untied_head),
        TEST(test_dry_run),
        TEST(test_tensor_callback_cancels),
        TEST(test_gguf_input),
        TEST(test_same_type_is_copied),
        TEST(test_gguf_input_is_not_overwritten),
        TEST(test_hf_names),
        TEST(test_bad_weights),
        TEST(test_large_weights),
        TEST(test_cancel),
        TEST(test_progress),
        TEST(test_output_refused),
        TEST(test_input_refused),
        TEST(test_out_of_memory),
        cmocka_unit_test(test_struct_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
