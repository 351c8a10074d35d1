/* safetensors reader and writer, with files built here byte by byte. */
#include "weights_fixture.h"

#include <fcntl.h>

#include "base/log.h"
#include "weights/safetensors.h"
#include "weights/safetensors_write.h"

/* Length, JSON, then n bytes 0, 1, 2, ... */
static void write_st(const char *name, const char *json, size_t n_data)
{
    buf b;
    buf_init(&b, 1 << 20);
    uint64_t n = strlen(json);
    assert_int_equal(buf_add(&b, &n, sizeof n, NULL), QASR_OK);
    assert_int_equal(buf_add_str(&b, json, NULL), QASR_OK);
    for (size_t i = 0; i < n_data; i++) {
        unsigned char c = (unsigned char)i;
        assert_int_equal(buf_add(&b, &c, 1, NULL), QASR_OK);
    }
    write_bytes(name, b.data, b.len);
    buf_free(&b);
}

static void write_text(const char *name, const char *text) { write_bytes(name, text, strlen(text)); }

#define ENTRY(name, dtype, shape, begin, end)                                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static const char small_json[] = "{\"__metadata__\":{\"format\":\"pt\",\"made by\":\"a \\\"test\\\"\"}," ENTRY(
    "last", "BF16", "[2,1,3]", 32, 44) "," ENTRY("first", "F32", "[2,3]", 0,
                                                 24) "," ENTRY("scalar", "F32", "[]", 24,
                                                               28) "," ENTRY("none", "F16", "[0,7]", 12,
                                                                             12) "," ENTRY("half", "F16", "[2]", 28,
                                                                                           32) "}   ";

static int n_warnings;

static void count_warnings(void *user, qasr_log_level level, const char *message)
{
    (void)user;
    n_warnings += level == QASR_LOG_WARNING && strstr(message, "left out") != NULL;
}

static void test_reads_a_file(void **state)
{
    (void)state;
    write_st("m.safetensors", small_json, 44);
    weights *w = assert_opens(scratch_path("m.safetensors"));
    assert_sound(w);
    assert_int_equal(weights_kind(w), WEIGHTS_SAFETENSORS);
    assert_int_equal(weights_count(w), 5);
    assert_null(weights_at(w, 5));
    static const char *const in_order[] = { "first", "none", "scalar", "half", "last" };
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(weights_at(w, i)->name, in_order[i]);

    const wtensor *t = weights_find(w, "last");
    assert_int_equal(t->type, QUANT_BF16);
    assert_int_equal(t->n_dims, 3);
    assert_true(t->shape[0] == 2 && t->shape[1] == 1 && t->shape[2] == 3 && t->shape[3] == 1);
    assert_true(t->n_values == 6 && t->n_bytes == 12 && *(const unsigned char *)t->data == 32);
    assert_true(weights_find(w, "scalar")->n_dims == 0 && weights_find(w, "scalar")->n_values == 1);
    assert_true(weights_find(w, "none")->n_values == 0 && weights_find(w, "none")->n_bytes == 0);
    assert_null(weights_find(w, "missing"));
    assert_null(weights_find(w, "__metadata__"));

    assert_int_equal(weights_meta_count(w), 2);
    assert_string_equal(weights_meta_find(w, "made by")->str, "a \"test\"");
    assert_int_equal(weights_meta_find(w, "format")->type, WMETA_STRING);
    assert_int_equal(weights_meta_find(w, "format")->str_len, 2);
    assert_null(weights_meta_find(w, "first"));
    assert_int_equal(weights_file_count(w), 1);
    assert_string_equal(weights_file_path(w, 0), scratch_path("m.safetensors"));
    assert_null(weights_file_path(w, 1));
    assert_null(weights_file_map(w, 1));
    weights_close(w);
    weights_close(NULL);
}

static void test_reads_a_file_without_tensors(void **state)
{
    (void)state;
    write_st("m.safetensors", "{}", 0);
    weights *w = assert_opens(scratch_path("m.safetensors"));
    assert_int_equal(weights_count(w), 0);
    assert_null(weights_find(w, "x"));
    assert_null(weights_meta_find(w, "x"));
    weights_close(w);
}

/* ---- reading instead of mapping ---- */

enum { BIG = 20000 }; /* bytes of a tensor: some whole pages, and two shared with neighbours */
static const char big_json[] =
    "{" ENTRY("a", "BF16", "[100,100]", 0, 20000) "," ENTRY("b", "BF16", "[100,100]", 20000, 40000) "," ENTRY(
        "c", "BF16", "[100,100]", 40000, 60000) "," ENTRY("d", "F32", "[1]", 60000, 60004) "}";

static void assert_counts_up(const wtensor *t, size_t from)
{
    const unsigned char *p = t->data;
    for (size_t i = 0; i < t->n_bytes; i++)
        assert_int_equal(p[i], (unsigned char)(from + i));
}

static void test_copies_outlive_the_file(void **state)
{
    (void)state;
    write_st("m.safetensors", big_json, 60004);
    weights *w = assert_opens(scratch_path("m.safetensors"));
    const wtensor *needed[] = { weights_find(w, "d"), weights_find(w, "a"), weights_find(w, "c"),
                                weights_find(w, "a") };
    qasr_error err;
    assert_int_equal(weights_copy(w, needed, 4, &err), QASR_OK);
    assert_sound(w);
    assert_counts_up(weights_find(w, "b"), BIG); /* between them, still mapped */
    assert_int_equal(truncate(scratch_path("m.safetensors"), 0), 0);
    assert_counts_up(weights_find(w, "a"), 0); /* not mapped: that would be a signal */
    assert_counts_up(weights_find(w, "c"), 2 * BIG);
    assert_counts_up(weights_find(w, "d"), 3 * BIG);
    weights_close(w);
    write_st("m.safetensors", "{}", 0);
    w = assert_opens(scratch_path("m.safetensors"));
    assert_int_equal(weights_copy(w, NULL, 0, &err), QASR_OK);
    weights_close(w);
}

static void test_files_that_change_are_not_copied(void **state)
{
    (void)state;
    static const char *const messages[] = { "'%s' was cut short while it was read: it ends at byte %d, expected %d",
                                            "'%s' was replaced while it was read",
                                            "cannot open '%s': No such file or directory" };
    for (int i = 0; i < 3; i++) {
        char expected[400];
        int size = 8 + (int)strlen(big_json) + 60004, cut = size - 10000;
        write_st("m.safetensors", big_json, 60004);
        weights *w = assert_opens(scratch_path("m.safetensors"));
        if (i == 0)
            assert_int_equal(truncate(scratch_path("m.safetensors"), cut), 0);
        else if (i == 1) {
            write_st("new.safetensors", big_json, 60004); /* certainly another inode, since the old one is in use */
            assert_int_equal(rename(scratch_path("new.safetensors"), scratch_path("m.safetensors")), 0);
        } else
            assert_int_equal(unlink(scratch_path("m.safetensors")), 0);
        qasr_error err = { 0 };
        const wtensor *needed[] = { weights_find(w, "a"), weights_find(w, "c") };
        assert_int_equal(weights_copy(w, needed, 2, &err), QASR_E_IO);
        snprintf(expected, sizeof expected, messages[i], scratch_path("m.safetensors"), cut, size);
        assert_string_equal(err.message, expected);
        weights_close(w);
    }
}

static void test_locking_counts_whole_pages(void **state)
{
    (void)state;
    write_st("m.safetensors", big_json, 60004);
    weights *w = assert_opens(scratch_path("m.safetensors"));
    const wtensor *needed[] = { weights_find(w, "c"), weights_find(w, "a") };
    size_t page = file_page_bytes(), at = 8 + strlen(big_json);
    uint64_t n_bytes = 7;
    int refused = 0;
    qasr_error err;
    assert_int_equal(weights_lock(w, needed, 2, &n_bytes, &refused, &err), QASR_OK);
    assert_int_equal(refused, 0); /* every system allows 64 KiB */
    size_t a_end = size_round_up(at + BIG, page), c_begin = (at + 2 * BIG) / page * page, size = at + 60004;
    size_t c_end = size_round_up(at + 3 * BIG, page) < size ? size_round_up(at + 3 * BIG, page) : size;
    assert_int_equal(n_bytes,
                     7 + c_end - (a_end < c_begin ? c_begin - a_end : 0)); /* the file's first page belongs to a */
    weights_close(w);
}

static void test_leaves_other_types_out(void **state)
{
    (void)state;
    write_st("m.safetensors",
             "{" ENTRY("a", "I64", "[1]", 0, 8) "," ENTRY("b", "F64", "[2]", 8, 24) "," ENTRY(
                 "c", "F8_E4M3", "[1,1,1,1,2]", 24, 26) "," ENTRY("d", "F32", "[1]", 26, 30) "}",
             30);
    n_warnings = 0;
    qasr_log_set(count_warnings, NULL);
    weights *w = assert_opens(scratch_path("m.safetensors"));
    qasr_log_set(NULL, NULL);
    assert_int_equal(n_warnings, 3);
    assert_int_equal(weights_count(w), 1);
    assert_sound(w);
    assert_null(weights_find(w, "a"));
    weights_close(w);
}

static void test_refuses_bad_entries(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
        qasr_status status;
    } cases[] = {
        { "{" ENTRY("x", "F32", "[3]", 0, 8) "}", "tensor 'x' has 8 bytes of data, expected 12", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[2]", 8, 0) "}", "'m.safetensors': tensor 'x' lies at bytes 8 to 0", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[4]", 4, 20) "}", "bytes 4 to 20, but the file has 16 bytes", QASR_E_FORMAT },
        { "{" ENTRY("x", "I64", "[4]", 0, 32) "}", "bytes 0 to 32, but the file has 16 bytes", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[2]", -8, 0) "}", "data_offsets is not a pair", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[2]", 0.0, 8) "}", "data_offsets is not a pair", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[2]", 0, 9223372036854775807) "}", "lies at bytes 0 to 9223", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[2]", 0, 9223372036854775808) "}", "not valid JSON: too big integer", QASR_E_FORMAT },
        { "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", "not a pair", QASR_E_FORMAT },
        { "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":4}}", "not a pair", QASR_E_FORMAT },
        { "{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", "not a pair", QASR_E_FORMAT },
        { "{\"x\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", "'x' has no shape", QASR_E_FORMAT },
        { "{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "'x' has no shape", QASR_E_FORMAT },
        { "{\"x\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", "'x' has no dtype", QASR_E_FORMAT },
        { "{\"x\":[]}", "'x' has no dtype", QASR_E_FORMAT },
        { "{\"x\":null}", "'x' has no dtype", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[-1]", 0, 4) "}", "dimension 0 of the shape is not a count", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[1,\"1\"]", 0, 4) "}", "dimension 1 of the shape is not a count", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[1,1,1,1,1]", 0, 4) "}", "'x' has 5 dimensions, at most 4", QASR_E_UNSUPPORTED },
        { "{" ENTRY("x", "F32", "[4294967296,4294967296]", 0, 4) "}", "product overflows", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[4611686018427387904,2]", 0, 0) "}", "product overflows", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[4611686018427387904]", 0, 0) "}", "size in bytes overflows", QASR_E_FORMAT },
        { "{" ENTRY("", "F32", "[1]", 0, 4) "}", "a tensor has an empty name", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[2]", 0, 8) "," ENTRY("y", "F32", "[2]", 4, 12) "}",
          "data of tensors 'x' and 'y' overlap", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[2]", 0, 8) "," ENTRY("y", "F32", "[2]", 0, 8) "}",
          "data of tensors 'x' and 'y' overlap", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[3]", 0, 12) "," ENTRY("e", "F32", "[0]", 4, 4) "," ENTRY("y", "I8", "[1]", 8, 9) "}",
          "data of tensors 'x' and 'y' overlap", QASR_E_FORMAT },
        { "{" ENTRY("x", "F32", "[1]", 0, 4) "," ENTRY("x", "F32", "[1]", 4, 8) "}", "duplicate", QASR_E_FORMAT },
        { "{" ENTRY("score.weight", "F32", "[1]", 0, 4) "," ENTRY("lm_head.weight", "F32", "[1]", 4, 8) "}",
          "'score.weight' and 'lm_head.weight' name the same tensor", QASR_E_FORMAT },
        { "{\"__metadata__\":[]}", "__metadata__ is not a JSON object", QASR_E_FORMAT },
        { "{\"__metadata__\":{\"a\":1}}", "metadata 'a' is not a string", QASR_E_FORMAT },
        { "[]", "header is not a JSON object", QASR_E_FORMAT },
        { "", "header is not valid JSON", QASR_E_FORMAT },
        { "{", "header is not valid JSON", QASR_E_FORMAT },
        { "{} x", "header is not valid JSON", QASR_E_FORMAT },
        { "{\"x\\u0000\":{}}", "header is not valid JSON", QASR_E_FORMAT },
        { "{\"\xff\":{}}", "header is not valid JSON", QASR_E_FORMAT },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_st("m.safetensors", cases[i].json, 16);
        assert_refused(scratch_path("m.safetensors"), cases[i].status, cases[i].says);
    }
}

static void write_header_length(uint64_t n, size_t file_bytes)
{
    write_bytes("m.safetensors", &n, sizeof n);
    assert_int_equal(truncate(scratch_path("m.safetensors"), (off_t)file_bytes), 0);
}

static void test_refuses_bad_files(void **state)
{
    (void)state;
    const char *path = scratch_path("m.safetensors");
    write_text("m.safetensors", "");
    assert_refused(path, QASR_E_FORMAT, "has 0 bytes, too few");
    write_text("m.safetensors", "1234567");
    assert_refused(path, QASR_E_FORMAT, "has 7 bytes, too few");
    write_header_length(9, 16);
    assert_refused(path, QASR_E_FORMAT, "is neither a safetensors nor a GGUF file");
    write_header_length(UINT64_MAX, 8);
    assert_refused(path, QASR_E_FORMAT, "is neither a safetensors nor a GGUF file");
    write_bytes("m.safetensors", "\x09\0\0\0\0\0\0\0{\"a\": 1", 16);
    assert_refused(path, QASR_E_FORMAT, "is cut short: a safetensors header of 9 bytes in a file of 16 bytes");
    write_bytes("m.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{\"a\": 1", 16);
    assert_refused(path, QASR_E_FORMAT, "a safetensors header of 18446744073709551615 bytes");
    write_header_length(100000001, 100000100); /* a sparse file */
    assert_refused(path, QASR_E_FORMAT, "header of 100000001 bytes, at most 100000000");
    write_text("m.safetensors", "version https://git-lfs and so on");
    assert_refused(path, QASR_E_FORMAT, "git-lfs pointer");
    write_text("m.safetensors", "PK\003\004 and so on");
    assert_refused(path, QASR_E_FORMAT, "zip archive");
    assert_refused(scratch_path("none.safetensors"), QASR_E_IO, "none.safetensors");
    weights *w = NULL;
    qasr_error err;
    write_text("m.gguf", "GGUF and so on");
    assert_int_equal(weights_open_safetensors(&w, scratch_path("m.gguf"), &err), QASR_E_FORMAT);
    assert_message(&err, "'m.gguf' is a GGUF file, expected safetensors");
}

static void test_refuses_deep_json(void **state)
{
    (void)state;
    enum { DEPTH = 200000 };
    static char json[DEPTH + 6];
    memcpy(json, "{\"x\":", 5);
    memset(json + 5, '[', DEPTH);
    write_st("m.safetensors", json, 0);
    assert_refused(scratch_path("m.safetensors"), QASR_E_FORMAT, "header is not valid JSON: maximum parsing depth");
}

/* ---- several files ------------------------------------------------------------------------ */

#define SHARD1 "model-00001-of-00002.safetensors"
#define SHARD2 "model-00002-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

static void write_shards(void)
{
    write_st(SHARD1,
             "{\"__metadata__\":{\"format\":\"pt\"}," ENTRY("both", "F32", "[1]", 0, 4) "," ENTRY(
                 "model.language_model.norm.weight", "F32", "[2]", 4, 12) "}",
             12);
    write_st(SHARD2,
             "{\"__metadata__\":{\"format\":\"pt\"}," ENTRY("both", "F32", "[1]", 4, 8) "," ENTRY(
                 "b", "F16", "[2]", 0, 4) "," ENTRY("i", "I32", "[1]", 8, 12) "}",
             12);
}

static void test_reads_shards_by_index(void **state)
{
    (void)state;
    write_shards();
    write_text(INDEX, "{\"metadata\":{\"total_size\":16},\"weight_map\":{\"both\":\"" SHARD2 "\",\"b\":\"" SHARD2
                      "\",\"i\":\"" SHARD2 "\",\"model.language_model.norm.weight\":\"" SHARD1 "\"}}");
    const char *paths[] = { scratch, scratch_path(INDEX) };
    for (size_t i = 0; i < 2; i++) {
        weights *w = assert_opens(paths[i]);
        assert_sound(w);
        assert_int_equal(weights_file_count(w), 2);
        assert_int_equal(weights_count(w), 3);
        const wtensor *t = weights_find(w, "thinker.model.norm.weight");
        assert_non_null(t);
        assert_string_equal(t->name, "model.language_model.norm.weight");
        assert_int_equal(t->file, 0);
        t = weights_find(w, "both"); /* the index decides which */
        assert_int_equal(t->file, 1);
        assert_string_equal(file_base_name(weights_file_path(w, t->file)), SHARD2);
        assert_int_equal(*(const unsigned char *)t->data, 4);
        assert_int_equal(weights_meta_count(w), 1);
        weights_close(w);
    }
    try_allocation_failures(scratch);
    write_st("model.safetensors", "{" ENTRY("single", "F32", "[1]", 0, 4) "}", 4); /* takes precedence */
    weights *w = assert_opens(scratch);
    assert_non_null(weights_find(w, "single"));
    assert_int_equal(weights_count(w), 1);
    weights_close(w);
}

static void test_refuses_bad_indexes(void **state)
{
    (void)state;
    write_shards();
    write_text("notes.txt", "hello");
    static const struct {
        const char *index, *says;
        qasr_status status;
    } cases[] = {
        { "{\"weight_map\":{\"both\":\"" SHARD1 "\",\"lost\":\"" SHARD2 "\"}}",
          "'" SHARD2 "' lacks tensor 'lost', which the index expects there", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":\"model-3.safetensors\"}}",
          "model-3.safetensors' is missing: '" INDEX "' places tensor 'b' there", QASR_E_IO },
        { "{\"weight_map\":{\"b\":\"/etc/passwd\"}}", "placed in '/etc/passwd', expected a file name", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":\"../" SHARD1 "\"}}", "tensor 'b' is placed in '../model", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":\"..\"}}", "placed in '..'", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":\"a\\\\b\"}}", "placed in 'a\\b'", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":\".\"}}", "placed in '.'", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":\"\"}}", "placed in ''", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":1}}", "the file of tensor 'b' is not a string", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":\"notes.txt\"}}", "'notes.txt' has 5 bytes, too few", QASR_E_FORMAT },
        { "{\"weight_map\":{\"b\":\"" SHARD1 "\",\"b\":\"" SHARD2 "\"}}", "duplicate", QASR_E_FORMAT },
        { "{\"weight_map\":{}}", "has no weight_map, or an empty one", QASR_E_FORMAT },
        { "{\"weight_map\":[]}", "has no weight_map, or an empty one", QASR_E_FORMAT },
        { "{}", "has no weight_map, or an empty one", QASR_E_FORMAT },
        { "[]", "is not a JSON object", QASR_E_FORMAT },
        { "weights", "is not valid JSON", QASR_E_FORMAT },
        { "", "is not valid JSON", QASR_E_FORMAT },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_text(INDEX, cases[i].index);
        assert_refused(scratch, cases[i].status, cases[i].says);
    }
}

static void test_shards_without_index(void **state)
{
    (void)state;
    assert_refused(scratch, QASR_E_IO, "holds no weights: expected model.safetensors");
    write_shards();
    assert_refused(scratch, QASR_E_FORMAT, "tensor 'both' occurs twice, in '" SHARD1 "' and in '" SHARD2 "'");
    write_st(SHARD1, "{" ENTRY("a", "F32", "[1]", 0, 4) "}", 4);
    weights *w = assert_opens(scratch);
    assert_sound(w);
    assert_int_equal(weights_count(w), 3);
    assert_string_equal(weights_at(w, 0)->name, "a");
    assert_int_equal(weights_find(w, "b")->file, 1);
    weights_close(w);
    try_allocation_failures(scratch);
    unlink(scratch_path(SHARD1));
    assert_refused(scratch, QASR_E_IO, "holds 1 of 2 shards");
}

static void test_reads_the_demo_model(void **state)
{
    (void)state;
    weights *w = assert_opens(MODEL_DIR);
    assert_sound(w);
    assert_int_equal(weights_file_count(w), 2);
    assert_int_equal(weights_find(w, "thinker.model.norm.weight")->type, QUANT_BF16);
    assert_non_null(weights_find(w, "thinker.audio_tower.conv2d1.weight"));
    for (size_t i = 0; i < weights_count(w); i++)
        assert_ptr_equal(weights_at(w, i)->name, weights_at(w, i)->canonical);
    weights_close(w);
}

/* ---- damage --------------------------------------------------------------------------------- */

static size_t read_back(const char *name, unsigned char *out, size_t size)
{
    FILE *f = fopen(scratch_path(name), "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, size, f);
    fclose(f);
    assert_true(n < size);
    return n;
}

static void test_every_truncation(void **state)
{
    (void)state;
    unsigned char bytes[1024];
    write_st("m.safetensors", small_json, 44);
    size_t n = read_back("m.safetensors", bytes, sizeof bytes);
    for (size_t i = 0; i < n; i++)
        assert_false(try_bytes("m.safetensors", bytes, i));
    assert_true(try_bytes("m.safetensors", bytes, n));
}

static void test_random_bit_flips(void **state)
{
    (void)state;
    unsigned char bytes[1024];
    write_st("m.safetensors", small_json, 44);
    size_t n = read_back("m.safetensors", bytes, sizeof bytes);
    size_t opened = try_bit_flips("m.safetensors", bytes, n, n - 44, 4000);
    assert_true(opened > 0 && opened < 4000);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    write_st("m.safetensors", small_json, 44);
    try_allocation_failures(scratch_path("m.safetensors"));
}

/* ---- writer ----------------------------------------------------------------------------------- */

static void test_writes_and_reads_back(void **state)
{
    (void)state;
    static const float a[6] = { 1, 2, 3, 4, 5, -0.0f }, b[1] = { 1e-30f };
    const st_entry entries[] = { { "a \"quoted\" name", 2, { 2, 3 }, a },
                                 { "scalar", 0, { 0 }, b },
                                 { "empty", 3, { 2, 0, 3 }, a },
                                 { "b", 4, { 1, 1, 1, 1 }, b } };
    const char *path = scratch_path("out.safetensors");
    write_text("out.safetensors", "is replaced");
    assert_int_equal(safetensors_write_f32(path, entries, ARRAY_LEN(entries), NULL), QASR_OK);
    assert_int_equal(scratch_list(false), 1);
    weights *w = assert_opens(path);
    assert_sound(w);
    assert_int_equal(weights_count(w), 4);
    for (size_t i = 0; i < 4; i++) {
        const wtensor *t = weights_find(w, entries[i].name);
        assert_non_null(t);
        assert_int_equal(t->n_dims, entries[i].n_dims);
        assert_memory_equal(t->shape, entries[i].shape, t->n_dims * sizeof t->shape[0]);
        assert_memory_equal(t->data, entries[i].data, t->n_bytes);
    }
    const unsigned char *first = weights_find(w, "a \"quoted\" name")->data;
    assert_int_equal((first - weights_file_map(w, 0)->data) % 8, 0);
    weights_close(w);
}

static void test_writes_no_tensors(void **state)
{
    (void)state;
    const char *path = scratch_path("out.safetensors");
    assert_int_equal(safetensors_write_f32(path, NULL, 0, NULL), QASR_OK);
    weights *w = assert_opens(path);
    assert_int_equal(weights_count(w), 0);
    weights_close(w);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    static const float x[4] = { 0 };
    const struct {
        st_entry e[2];
        size_t n;
        const char *says;
    } cases[] = {
        { { { "a", 1, { 1 }, x }, { "a", 1, { 1 }, x } }, 2, "'a' is empty, reserved or not unique" },
        { { { "", 1, { 1 }, x } }, 1, "'' is empty" },
        { { { NULL, 1, { 1 }, x } }, 1, "'' is empty" },
        { { { "__metadata__", 1, { 1 }, x } }, 1, "reserved" },
        { { { "a", 5, { 1, 1, 1, 1 }, x } }, 1, "5 dimensions" },
        { { { "a", 2, { UINT64_MAX, 2 }, x } }, 1, "overflows" },
        { { { "a", 1, { INT64_MAX / 4 }, x }, { "b", 1, { 4 }, x } }, 2, "'b' lies at an offset that overflows" },
        { { { "\xff", 1, { 1 }, x } }, 1, "not UTF-8" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qasr_error err = { 0 };
        const char *path = scratch_path("out.safetensors");
        assert_int_equal(safetensors_write_f32(path, cases[i].e, cases[i].n, &err), QASR_E_INVALID);
        assert_message(&err, cases[i].says);
        assert_int_equal(scratch_list(false), 0);
    }
    qasr_error err = { 0 };
    assert_int_equal(safetensors_write_f32(scratch_path("no/such/folder"), cases[0].e, 1, &err), QASR_E_IO);
    assert_message(&err, "no/such/folder");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_reads_a_file),
        CASE(test_reads_a_file_without_tensors),
        CASE(test_copies_outlive_the_file),
        CASE(test_files_that_change_are_not_copied),
        CASE(test_locking_counts_whole_pages),
        CASE(test_leaves_other_types_out),
        CASE(test_refuses_bad_entries),
        CASE(test_refuses_bad_files),
        CASE(test_refuses_deep_json),
        CASE(test_reads_shards_by_index),
        CASE(test_refuses_bad_indexes),
        CASE(test_shards_without_index),
        CASE(test_reads_the_demo_model),
        CASE(test_every_truncation),
        CASE(test_random_bit_flips),
        CASE(test_allocation_failures),
        CASE(test_writes_and_reads_back),
        CASE(test_writes_no_tensors),
        CASE(test_writer_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
