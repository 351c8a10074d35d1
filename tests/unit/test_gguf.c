/* GGUF reader and writer. Input files are built here byte by byte, so that the reader is not tested with our own
 * writer. */
#include "weights_fixture.h"

#include <fnmatch.h>
#include <pthread.h>
#include <sys/stat.h>

/* ---- building files --------------------------------------------------------------------------- */

static void add(buf *b, const void *data, size_t n) { assert_int_equal(buf_add(b, data, n, NULL), QASR_OK); }
static void add_u8(buf *b, uint8_t v) { add(b, &v, sizeof v); }
static void add_u32(buf *b, uint32_t v) { add(b, &v, sizeof v); }
static void add_u64(buf *b, uint64_t v) { add(b, &v, sizeof v); }

static void add_string(buf *b, const char *s)
{
    add_u64(b, strlen(s));
    add(b, s, strlen(s));
}

static void add_header(buf *b, uint32_t version, uint64_t n_tensors, uint64_t n_meta)
{
    add(b, "GGUF", 4);
    add_u32(b, version);
    add_u64(b, n_tensors);
    add_u64(b, n_meta);
}

static void add_key(buf *b, const char *key, uint32_t type)
{
    add_string(b, key);
    add_u32(b, type);
}

static void add_array(buf *b, const char *key, uint32_t elem_type, uint64_t n)
{
    add_key(b, key, WMETA_ARRAY);
    add_u32(b, elem_type);
    add_u64(b, n);
}

/* ne: fastest dimension first. */
static void add_tensor(buf *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset)
{
    add_string(b, name);
    add_u32(b, n_dims);
    add(b, ne, n_dims * sizeof *ne);
    add_u32(b, type);
    add_u64(b, offset);
}

#define NE(...)                                                                                                        \
    sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), (uint64_t[]) { __VA_ARGS__ }

/* Zeros up to a multiple of the alignment, then n bytes 1, 2, 3, ... */
static void add_data(buf *b, size_t alignment, size_t n)
{
    while (b->len % alignment != 0)
        add_u8(b, 0);
    for (size_t i = 1; i <= n; i++)
        add_u8(b, (uint8_t)i);
}

/* Type ids in GGUF files. */
enum { F32 = 0, F16 = 1, Q8_0 = 8, Q6_K = 14, IQ2_XXS = 16, I8 = 24 };

/* Every kind of value, several types and shapes, an explicit alignment. Data: 32 + 64 + 224 + 0 bytes. */
static void build_full(buf *b)
{
    add_header(b, 3, 4, 16);
    add_key(b, "general.architecture", WMETA_STRING), add_string(b, "test");
    add_key(b, "general.alignment", WMETA_U32), add_u32(b, 16);
    add_key(b, "u8", WMETA_U8), add_u8(b, 200);
    add_key(b, "i8", WMETA_I8), add_u8(b, 0x80);
    add_key(b, "u16", WMETA_U16), add(b, "\xff\xff", 2);
    add_key(b, "i16", WMETA_I16), add(b, "\xfe\xff", 2);
    add_key(b, "i32", WMETA_I32), add_u32(b, (uint32_t)-3);
    add_key(b, "f32", WMETA_F32), add_u32(b, 0xC0200000);
    add_key(b, "bool", WMETA_BOOL), add_u8(b, 1);
    add_key(b, "u64", WMETA_U64), add_u64(b, UINT64_MAX);
    add_key(b, "i64", WMETA_I64), add_u64(b, (uint64_t)INT64_MIN);
    add_key(b, "f64", WMETA_F64), add_u64(b, 0x3FF8000000000000);
    add_array(b, "tokens", WMETA_STRING, 3), add_string(b, "one"), add_string(b, ""), add_string(b, "three");
    add_array(b, "types", WMETA_I32, 2), add_u32(b, 1), add_u32(b, (uint32_t)-1);
    add_array(b, "nothing", WMETA_STRING, 0);
    add_key(b, "empty", WMETA_STRING), add_string(b, "");
    add_tensor(b, "model.language_model.norm.weight", NE(5), F32, 0);
    add_tensor(b, "matrix", NE(32, 2), Q8_0, 32);
    add_tensor(b, "conv", NE(1, 1, 4, 1), F16, 112);
    add_tensor(b, "scalar", 0, (uint64_t[]){ 0 }, F32, 128);
    add_data(b, 16, 144);
}

static void write_buf(const char *name, buf *b)
{
    write_bytes(name, b->data, b->len);
    buf_free(b);
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void check_full_metadata(const weights *w)
{
    assert_int_equal(weights_meta_count(w), 16);
    assert_string_equal(weights_meta_at(w, 0)->key, "general.architecture");
    assert_string_equal(weights_meta_at(w, 0)->str, "test");
    assert_int_equal(weights_meta_at(w, 0)->str_len, 4);
    assert_null(weights_meta_at(w, 16));
    assert_true(weights_meta_find(w, "u8")->as.u == 200);
    assert_true(weights_meta_find(w, "i8")->as.i == -128);
    assert_true(weights_meta_find(w, "u16")->as.u == 65535);
    assert_true(weights_meta_find(w, "i16")->as.i == -2);
    assert_true(weights_meta_find(w, "i32")->as.i == -3);
    assert_true(weights_meta_find(w, "f32")->as.f == -2.5);
    assert_true(weights_meta_find(w, "bool")->as.b);
    assert_true(weights_meta_find(w, "u64")->as.u == UINT64_MAX);
    assert_true(weights_meta_find(w, "i64")->as.i == INT64_MIN);
    assert_true(weights_meta_find(w, "f64")->as.f == 1.5);
    assert_string_equal(weights_meta_find(w, "empty")->str, "");
    assert_null(weights_meta_find(w, "missing"));

    const wmeta *types = weights_meta_find(w, "types");
    assert_true(types->type == WMETA_ARRAY && types->elem_type == WMETA_I32);
    assert_true(types->n_elems == 2 && types->elems_bytes == 8 && types->elems[0] == 1);
}

static void check_string_arrays(const weights *w)
{
    static const char *const words[] = { "one", "", "three" };
    const char *s;
    size_t len, n = 0;
    for (uint64_t pos = 0; wmeta_next_string(weights_meta_find(w, "tokens"), &pos, &s, &len); n++) {
        assert_true(n < 3 && len == strlen(words[n]));
        assert_memory_equal(s, words[n], len);
    }
    assert_int_equal(n, 3);
    uint64_t pos = 0;
    assert_false(wmeta_next_string(weights_meta_find(w, "nothing"), &pos, &s, &len));
    assert_false(wmeta_next_string(weights_meta_find(w, "types"), &pos, &s, &len));
    assert_false(wmeta_next_string(weights_meta_find(w, "u8"), &pos, &s, &len));
}

static void test_reads_everything(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1 << 20);
    build_full(&b);
    write_buf("m.gguf", &b);
    weights *w = assert_opens(scratch_path("m.gguf"));
    assert_sound(w);
    assert_int_equal(weights_kind(w), WEIGHTS_GGUF);
    check_full_metadata(w);
    check_string_arrays(w);

    assert_int_equal(weights_count(w), 4);
    const wtensor *t = weights_find(w, "thinker.model.norm.weight");
    assert_ptr_equal(t, weights_at(w, 0));
    assert_string_equal(t->name, "model.language_model.norm.weight");
    assert_true(t->type == QUANT_F32 && t->n_dims == 1 && t->shape[0] == 5 && t->n_bytes == 20);
    const unsigned char *data = t->data;
    assert_int_equal((data - weights_file_map(w, 0)->data) % 16, 0);
    assert_int_equal(data[0], 1);
    t = weights_find(w, "matrix");
    assert_true(t->type == QUANT_Q8_0 && t->shape[0] == 2 && t->shape[1] == 32 && t->n_bytes == 68);
    assert_ptr_equal(t->data, data + 32);
    t = weights_find(w, "conv");
    assert_true(t->n_dims == 4 && t->shape[0] == 1 && t->shape[1] == 4 && t->shape[2] == 1 && t->shape[3] == 1);
    t = weights_find(w, "scalar");
    assert_true(t->n_dims == 0 && t->n_values == 1);
    assert_ptr_equal(t->data, data + 128);
    weights_close(w);
}

static void test_reads_version_2_without_metadata(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1 << 20);
    add_header(&b, 2, 1, 0);
    add_tensor(&b, "thinker.model.norm.weight", NE(8), F16, 0);
    add_data(&b, 32, 16);
    write_buf("m.gguf", &b);
    weights *w = assert_opens(scratch_path("m.gguf"));
    assert_sound(w);
    assert_true(weights_count(w) == 1 && weights_meta_count(w) == 0);
    assert_int_equal(*(const unsigned char *)weights_at(w, 0)->data, 1);
    weights_close(w);
}

static void test_reads_empty_files_and_tensors(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1 << 20);
    add_header(&b, 3, 0, 0);
    write_buf("m.gguf", &b);
    weights *w = assert_opens(scratch_path("m.gguf"));
    assert_true(weights_count(w) == 0 && !weights_find(w, "x"));
    weights_close(w);

    add_header(&b, 3, 1, 0);
    add_tensor(&b, "x", NE(0, 4), Q8_0, 0); /* no data, hence no padding */
    write_buf("m.gguf", &b);
    w = assert_opens(scratch_path("m.gguf"));
    assert_sound(w);
    assert_true(weights_find(w, "x")->n_bytes == 0 && weights_find(w, "x")->shape[0] == 4);
    weights_close(w);
}

/* Data start at the next multiple of the file's alignment, wherever the tensor list ends. */
static void test_reads_any_alignment(void **state)
{
    (void)state;
    for (uint32_t alignment = 1; alignment <= 4096; alignment *= 2)
        for (size_t n_name = 1; n_name <= 63; n_name += 2) {
            char name[64] = { 0 };
            memset(name, 'x', n_name);
            buf b;
            buf_init(&b, 1 << 20);
            add_header(&b, 3, 1, 1);
            add_key(&b, "general.alignment", WMETA_U32), add_u32(&b, alignment);
            add_tensor(&b, name, NE(4), F32, 0);
            add_data(&b, alignment, 16);
            write_buf("m.gguf", &b);
            weights *w = assert_opens(scratch_path("m.gguf"));
            assert_sound(w);
            assert_int_equal(*(const unsigned char *)weights_find(w, name)->data, 1);
            weights_close(w);
        }
}

/* ---- refusing --------------------------------------------------------------------------------- */

#define HEADER_CASE(name, magic, version, n_tensors, n_meta)                                                           \
    static void name(buf *b)                                                                                           \
    {                                                                                                                  \
        add_header(b, version, n_tensors, n_meta);                                                                     \
        memcpy(b->data, magic, 4);                                                                                     \
        add_data(b, 32, 64);                                                                                           \
    }
HEADER_CASE(version_0, "GGUF", 0, 0, 0)
HEADER_CASE(version_1, "GGUF", 1, 0, 0)
HEADER_CASE(version_4, "GGUF", 4, 0, 0)
HEADER_CASE(swapped, "GGUF", 0x03000000, 0, 0)
HEADER_CASE(many_tensors, "GGUF", 3, 4, 0)
HEADER_CASE(most_tensors, "GGUF", 3, UINT64_MAX, 0)
HEADER_CASE(many_keys, "GGUF", 3, 0, 6)
HEADER_CASE(most_keys, "GGUF", 3, 0, UINT64_MAX)

/* One key, written by the statement, with padding after it. */
#define KEY_CASE(name, statement)                                                                                      \
    static void name(buf *b)                                                                                           \
    {                                                                                                                  \
        add_header(b, 3, 0, 1);                                                                                        \
        statement;                                                                                                     \
        add_data(b, 32, 64);                                                                                           \
    }
KEY_CASE(key_empty, (add_key(b, "", WMETA_U8), add_u8(b, 0)))
KEY_CASE(key_with_nul, (add_u64(b, 3), add(b, "a\0b", 3), add_u32(b, 0)))
KEY_CASE(key_without_end, (add_u64(b, 1000)))
KEY_CASE(key_too_long, (add_u64(b, UINT64_MAX)))
KEY_CASE(value_unknown, (add_key(b, "k", 13)))
KEY_CASE(value_unknown_huge, (add_key(b, "k", 0x80000004)))
KEY_CASE(string_without_end, (add_key(b, "k", WMETA_STRING), add_u64(b, 500)))
KEY_CASE(string_too_long, (add_key(b, "k", WMETA_STRING), add_u64(b, (1 << 30) + 1)))
KEY_CASE(bool_of_2, (add_key(b, "k", WMETA_BOOL), add_u8(b, 2)))
KEY_CASE(array_of_arrays, (add_array(b, "k", WMETA_ARRAY, 1), add_u32(b, 0), add_u64(b, 0)))
KEY_CASE(array_unknown, add_array(b, "k", 99, 1))
KEY_CASE(array_too_long, add_array(b, "k", WMETA_U8, (1 << 30) + 1))
KEY_CASE(array_without_end, add_array(b, "k", WMETA_U64, 100))
KEY_CASE(array_overflow, add_array(b, "k", WMETA_U64, UINT64_MAX / 8 + 1))
KEY_CASE(strings_without_end, (add_array(b, "k", WMETA_STRING, 1 << 20), add_string(b, "s")))
KEY_CASE(array_string_long, (add_array(b, "k", WMETA_STRING, 1), add_u64(b, UINT64_MAX - 7)))
KEY_CASE(alignment_u64, (add_key(b, "general.alignment", WMETA_U64), add_u64(b, 32)))
KEY_CASE(alignment_0, (add_key(b, "general.alignment", WMETA_U32), add_u32(b, 0)))
KEY_CASE(alignment_24, (add_key(b, "general.alignment", WMETA_U32), add_u32(b, 24)))

static void key_twice(buf *b)
{
    add_header(b, 3, 0, 2);
    add_key(b, "k", WMETA_U32), add_u32(b, 0);
    add_key(b, "k", WMETA_U32), add_u32(b, 0);
    add_data(b, 32, 64);
}

/* One tensor and 96 bytes of data. */
#define TENSOR_CASE(name, statement)                                                                                   \
    static void name(buf *b)                                                                                           \
    {                                                                                                                  \
        add_header(b, 3, 1, 0);                                                                                        \
        statement;                                                                                                     \
        add_data(b, 32, 96);                                                                                           \
    }
#define NAME63 "123456789012345678901234567890123456789012345678901234567890123"
TENSOR_CASE(name_of_64, add_tensor(b, NAME63 "4", NE(1), F32, 0))
TENSOR_CASE(name_empty, add_tensor(b, "", NE(1), F32, 0))
TENSOR_CASE(name_with_nul, (add_u64(b, 2), add(b, "a", 2), add_u32(b, 1), add_u64(b, 1), add_u32(b, 0), add_u64(b, 0)))
TENSOR_CASE(dims_5, add_tensor(b, "x", NE(1, 1, 1, 1, 1), F32, 0))
TENSOR_CASE(dims_most, (add_string(b, "x"), add_u32(b, UINT32_MAX)))
TENSOR_CASE(type_iq2, add_tensor(b, "x", NE(256), IQ2_XXS, 0))
TENSOR_CASE(type_i8, add_tensor(b, "x", NE(1), I8, 0))
TENSOR_CASE(type_unknown, add_tensor(b, "x", NE(1), 4711, 0))
TENSOR_CASE(type_most, add_tensor(b, "x", NE(1), UINT32_MAX, 0))
TENSOR_CASE(row_33, add_tensor(b, "x", NE(33), Q8_0, 0))
TENSOR_CASE(row_32_of_k, add_tensor(b, "x", NE(32, 8), Q6_K, 0))
TENSOR_CASE(row_of_scalar, add_tensor(b, "x", 0, NULL, Q8_0, 0))
TENSOR_CASE(product_overflow, add_tensor(b, "x", NE(1ull << 32, 1ull << 32), F32, 0))
TENSOR_CASE(product_63, add_tensor(b, "x", NE(1ull << 62, 2), F32, 0))
TENSOR_CASE(bytes_overflow, add_tensor(b, "x", NE(1ull << 62), F32, 0))
TENSOR_CASE(too_big, add_tensor(b, "x", NE(25), F32, 0))
TENSOR_CASE(behind_the_end, add_tensor(b, "x", NE(1), F32, 96))
TENSOR_CASE(far_behind, add_tensor(b, "x", NE(8), F32, UINT64_MAX - 31))
TENSOR_CASE(misaligned, add_tensor(b, "x", NE(1), F32, 16))

static void tensor_twice(buf *b)
{
    add_header(b, 3, 2, 0);
    add_tensor(b, "x", NE(1), F32, 0);
    add_tensor(b, "x", NE(1), F32, 32);
    add_data(b, 32, 64);
}

static void tensor_two_names(buf *b)
{
    add_header(b, 3, 2, 0);
    add_tensor(b, "thinker.lm_head.weight", NE(1), F32, 0);
    add_tensor(b, "lm_head.weight", NE(1), F32, 32);
    add_data(b, 32, 64);
}

static void tensors_do_not_fit(buf *b) /* the count would fit the whole file, but not the bytes left */
{
    add_header(b, 3, 8, 1);
    add_array(b, "k", WMETA_U8, 200);
    for (size_t i = 0; i < 200; i++)
        add_u8(b, 0);
}

static void test_refuses_bad_files(void **state)
{
    (void)state;
    static const struct {
        void (*build)(buf *b);
        qasr_status status;
        const char *says;
    } cases[] = {
        { version_0, QASR_E_UNSUPPORTED, "'m.gguf' is GGUF version 0, versions 2 and 3 can be read" },
        { version_1, QASR_E_UNSUPPORTED, "is GGUF version 1" },
        { version_4, QASR_E_UNSUPPORTED, "is GGUF version 4" },
        { swapped, QASR_E_UNSUPPORTED, "is in big-endian byte order" },
        { many_tensors, QASR_E_FORMAT, "claims to hold 4 tensors, more than fit into its 96 bytes" },
        { most_tensors, QASR_E_FORMAT, "claims to hold 18446744073709551615 tensors" },
        { many_keys, QASR_E_FORMAT, "claims to hold 6 metadata keys" },
        { most_keys, QASR_E_FORMAT, "claims to hold 18446744073709551615 metadata keys" },
        { key_empty, QASR_E_FORMAT, "metadata key 1 of 1 has a name that is empty" },
        { key_with_nul, QASR_E_FORMAT, "metadata key 1 of 1 has a name that contains a zero byte" },
        { key_without_end, QASR_E_FORMAT, "cut short or damaged: its 96 bytes end inside metadata key 1 of 1" },
        { key_too_long, QASR_E_FORMAT, "string of 18446744073709551615 bytes, at most 1073741824" },
        { value_unknown, QASR_E_FORMAT, "metadata key 'k' has unknown type 13" },
        { value_unknown_huge, QASR_E_FORMAT, "metadata key 'k' has unknown type 2147483652" },
        { string_without_end, QASR_E_FORMAT, "end inside metadata key 'k'" },
        { string_too_long, QASR_E_FORMAT, "'k' has a string of 1073741825 bytes" },
        { bool_of_2, QASR_E_FORMAT, "'k' is a bool with value 2, expected 0 or 1" },
        { array_of_arrays, QASR_E_UNSUPPORTED, "'k' is an array of arrays" },
        { array_unknown, QASR_E_FORMAT, "'k' is an array of unknown type 99" },
        { array_too_long, QASR_E_FORMAT, "'k' is an array of 1073741825 elements" },
        { array_without_end, QASR_E_FORMAT, "end inside metadata key 'k'" },
        { array_overflow, QASR_E_FORMAT, "'k' is an array of 2305843009213693952 elements" },
        { strings_without_end, QASR_E_FORMAT, "'k'" },
        { array_string_long, QASR_E_FORMAT, "'k' has a string of 18446744073709551608 bytes" },
        { alignment_u64, QASR_E_FORMAT, "general.alignment has type 10, expected 4 (u32)" },
        { alignment_0, QASR_E_FORMAT, "general.alignment is 0, expected a power of two" },
        { alignment_24, QASR_E_FORMAT, "general.alignment is 24, expected a power of two" },
        { key_twice, QASR_E_FORMAT, "metadata key 'k' occurs twice" },
        { name_of_64, QASR_E_FORMAT, "has 64 bytes, at most 63" },
        { name_empty, QASR_E_FORMAT, "tensor 1 of 1 has a name that is empty" },
        { name_with_nul, QASR_E_FORMAT, "tensor 1 of 1 has a name that contains a zero byte" },
        { dims_5, QASR_E_UNSUPPORTED, "tensor 'x' has 5 dimensions, at most 4" },
        { dims_most, QASR_E_UNSUPPORTED, "tensor 'x' has 4294967295 dimensions" },
        { type_iq2, QASR_E_UNSUPPORTED, "'m.gguf': tensor 'x': type 'iq2_xxs' (id 16) cannot be read" },
        { type_i8, QASR_E_UNSUPPORTED, "type 'i8' (id 24) cannot be read" },
        { type_unknown, QASR_E_UNSUPPORTED, "tensor 'x': type id 4711 is unknown" },
        { type_most, QASR_E_UNSUPPORTED, "tensor 'x': type id 4294967295 is unknown" },
        { row_33, QASR_E_FORMAT, "'x' (type 'q8_0') has rows that are not a multiple of its type's block" },
        { row_32_of_k, QASR_E_FORMAT, "'x' (type 'q6_k') has rows that are not a multiple" },
        { row_of_scalar, QASR_E_FORMAT, "not a multiple" },
        { product_overflow, QASR_E_FORMAT, "product overflows" },
        { product_63, QASR_E_FORMAT, "product overflows" },
        { bytes_overflow, QASR_E_FORMAT, "size in bytes overflows" },
        { too_big, QASR_E_FORMAT, "tensor 'x' needs 100 bytes at offset 0, but there are 96 bytes of data" },
        { behind_the_end, QASR_E_FORMAT, "tensor 'x' needs 4 bytes at offset 96" },
        { far_behind, QASR_E_FORMAT, "tensor 'x' needs 32 bytes at offset 18446744073709551584" },
        { misaligned, QASR_E_FORMAT, "tensor 'x' has offset 16, expected a multiple of 32" },
        { tensor_twice, QASR_E_FORMAT, "tensor 'x' occurs twice" },
        { tensor_two_names, QASR_E_FORMAT, "name the same tensor" },
        { tensors_do_not_fit, QASR_E_FORMAT, "claims to hold 8 tensors" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf b;
        buf_init(&b, 1 << 20);
        cases[i].build(&b);
        write_buf("m.gguf", &b);
        assert_refused(scratch_path("m.gguf"), cases[i].status, cases[i].says);
    }
}

static void test_refuses_other_files(void **state)
{
    (void)state;
    weights *w = NULL;
    qasr_error err;
    write_bytes("m.gguf", "GGML and more", 13);
    assert_int_equal(weights_open_gguf(&w, scratch_path("m.gguf"), &err), QASR_E_FORMAT);
    assert_message(&err, "'m.gguf' is not a GGUF file: it does not start with 'GGUF'");
    write_bytes("m.gguf", "", 0);
    assert_int_equal(weights_open_gguf(&w, scratch_path("m.gguf"), &err), QASR_E_FORMAT);
    assert_message(&err, "is not a GGUF file");
    assert_int_equal(weights_open_gguf(&w, scratch_path("none.gguf"), &err), QASR_E_IO);
    assert_message(&err, "none.gguf");
    assert_int_equal(weights_open_gguf(&w, scratch, &err), QASR_E_IO);
    assert_null(w);
}

/* ---- damage ----------------------------------------------------------------------------------- */

static void test_every_truncation(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1 << 20);
    build_full(&b);
    size_t needed = b.len - 12; /* the last tensor ends 12 bytes before the end */
    for (size_t i = 0; i <= b.len; i++)
        assert_int_equal(try_bytes("m.gguf", b.data, i), i >= needed);
    buf_free(&b);
}

static void test_random_bit_flips(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1 << 20);
    build_full(&b);
    size_t opened = try_bit_flips("m.gguf", b.data, b.len, b.len - 144, 6000);
    assert_true(opened > 0 && opened < 6000);
    buf_free(&b);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1 << 20);
    build_full(&b);
    write_buf("m.gguf", &b);
    try_allocation_failures(scratch_path("m.gguf"));
}

/* ---- writing ---------------------------------------------------------------------------------- */

enum { ROW = 512, N_ROWS = 3 };

/* Byte i of tensor t; never 0, so that padding can be told from data. */
static unsigned char pattern(size_t t, uint64_t i) { return (unsigned char)(1 + (t * 31 + i * 7) % 255); }

typedef struct put_job {
    gguf_writer *g;
    size_t n_tensors;
    unsigned part, n_parts;
    qasr_status status;
} put_job;

/* Writes every n_parts-th chunk of 100 bytes of each tensor. */
static void *put_parts(void *arg)
{
    put_job *j = arg;
    for (size_t t = 0; t < j->n_tensors; t++) {
        uint64_t n_bytes = N_ROWS * quant_row_bytes(quant_get((quant_type)t), ROW);
        for (uint64_t begin = 100 * j->part; begin < n_bytes; begin += 100 * j->n_parts) {
            unsigned char segment[100];
            size_t n = n_bytes - begin < 100 ? (size_t)(n_bytes - begin) : 100;
            for (size_t i = 0; i < n; i++)
                segment[i] = pattern(t, begin + i);
            if (gguf_writer_put(j->g, t, begin, segment, n, NULL) != QASR_OK)
                j->status = QASR_E_IO;
        }
    }
    return NULL;
}

static void put_from_threads(gguf_writer *g, size_t n_tensors)
{
    enum { N_THREADS = 4 };
    pthread_t threads[N_THREADS];
    put_job jobs[N_THREADS];
    for (unsigned i = 0; i < N_THREADS; i++) {
        jobs[i] = (put_job){ .g = g, .n_tensors = n_tensors, .part = i, .n_parts = N_THREADS };
        assert_int_equal(pthread_create(&threads[i], NULL, put_parts, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].status, QASR_OK);
    }
}

static gguf_writer *create(const char *path, bool overwrite)
{
    gguf_writer *g = NULL;
    qasr_error err = { 0 };
    if (gguf_writer_create(&g, path, overwrite, &err) != QASR_OK)
        fail_msg("%s", err.message);
    return g;
}

static size_t declare(gguf_writer *g, const char *name, quant_type type, unsigned n_dims, const uint64_t *shape)
{
    size_t index = SIZE_MAX;
    assert_int_equal(gguf_writer_add(g, name, type, n_dims, shape, &index, NULL), QASR_OK);
    return index;
}

/* One tensor of each type; metadata of each kind. Returns the file's size. */
static uint64_t write_all_types(const char *path)
{
    gguf_writer *g = create(path, false);
    assert_int_equal(gguf_writer_meta_str(g, "z.string", "text", NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_u32(g, "general.alignment", 32, NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_f32(g, "a.float", 0.5f, NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_bool(g, "b.true", true, NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_bool(g, "b.false", false, NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_strings(g, "strings", 2, NULL), QASR_OK);
    assert_int_equal(gguf_writer_next_string(g, "one", 3, NULL), QASR_OK);
    assert_int_equal(gguf_writer_next_string(g, "", 0, NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_strings(g, "none", 0, NULL), QASR_OK);
    for (int t = 0; t < QUANT_TYPE_COUNT; t++)
        assert_int_equal(declare(g, quant_get((quant_type)t)->name, (quant_type)t, 2, (uint64_t[]){ N_ROWS, ROW }), t);
    assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
    put_from_threads(g, QUANT_TYPE_COUNT);
    uint64_t file_bytes = 0;
    assert_int_equal(gguf_writer_commit(g, &file_bytes, NULL), QASR_OK);
    gguf_writer_free(g);
    return file_bytes;
}

static void check_written_metadata(const weights *w)
{
    static const char *const keys[] = { "z.string", "general.alignment", "a.float", "b.true",
                                        "b.false",  "strings",           "none" };
    assert_int_equal(weights_meta_count(w), ARRAY_LEN(keys));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_string_equal(weights_meta_at(w, i)->key, keys[i]);
    assert_string_equal(weights_meta_at(w, 0)->str, "text");
    assert_true(weights_meta_at(w, 1)->type == WMETA_U32 && weights_meta_at(w, 1)->as.u == 32);
    assert_true(weights_meta_at(w, 2)->type == WMETA_F32 && weights_meta_at(w, 2)->as.f == 0.5);
    assert_true(weights_meta_at(w, 3)->type == WMETA_BOOL && weights_meta_at(w, 3)->as.b);
    assert_true(weights_meta_at(w, 4)->type == WMETA_BOOL && !weights_meta_at(w, 4)->as.b);
    const wmeta *strings = weights_meta_at(w, 5), *none = weights_meta_at(w, 6);
    const char *s;
    size_t len;
    uint64_t pos = 0;
    assert_true(strings->type == WMETA_ARRAY && strings->elem_type == WMETA_STRING && strings->n_elems == 2);
    assert_true(wmeta_next_string(strings, &pos, &s, &len) && len == 3 && memcmp(s, "one", 3) == 0);
    assert_true(wmeta_next_string(strings, &pos, &s, &len) && len == 0);
    assert_false(wmeta_next_string(strings, &pos, &s, &len));
    assert_true(none->type == WMETA_ARRAY && none->elem_type == WMETA_STRING && none->n_elems == 0);
}

static void test_writes_all_types(void **state)
{
    (void)state;
    const char *path = scratch_path("out.gguf");
    uint64_t file_bytes = write_all_types(path);
    weights *w = assert_opens(path);
    assert_sound(w);
    check_written_metadata(w);
    assert_int_equal(weights_count(w), QUANT_TYPE_COUNT);
    const file_map *m = weights_file_map(w, 0);
    assert_int_equal(m->size, file_bytes);
    assert_int_equal(m->data[4], 3);
    const unsigned char *expected = weights_at(w, 0)->data;
    assert_int_equal((expected - m->data) % 32, 0);
    for (size_t t = 0; t < QUANT_TYPE_COUNT; t++) {
        const wtensor *x = weights_at(w, t);
        const unsigned char *data = x->data;
        assert_true(x->type == (quant_type)t && x->n_dims == 2 && x->shape[0] == N_ROWS && x->shape[1] == ROW);
        assert_ptr_equal(data, expected);
        uint64_t i = 0;
        for (; i < x->n_bytes; i++)
            assert_int_equal(data[i], pattern(t, i));
        for (; i % 32 != 0; i++)
            assert_int_equal(data[i], 0);
        expected = data + i;
    }
    assert_ptr_equal(expected, m->data + m->size);
    weights_close(w);
}

static void test_writes_shapes(void **state)
{
    (void)state;
    const struct {
        const char *name;
        unsigned n_dims;
        uint64_t shape[4];
        unsigned n_dims_read;
        uint64_t shape_read[4];
    } cases[] = {
        { "vector", 1, { 3 }, 1, { 3, 1, 1, 1 } },        { "bias", 3, { 2, 1, 1 }, 3, { 2, 1, 1, 1 } },
        { "row", 2, { 1, 5 }, 1, { 5, 1, 1, 1 } },        { "conv", 4, { 2, 1, 3, 1 }, 4, { 2, 1, 3, 1 } },
        { "ones", 4, { 1, 1, 1, 1 }, 1, { 1, 1, 1, 1 } }, { "scalar", 0, { 0 }, 1, { 1, 1, 1, 1 } },
        { NAME63, 2, { 0, 7 }, 2, { 0, 7, 1, 1 } },
    };
    const char *path = scratch_path("out.gguf");
    gguf_writer *g = create(path, false);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        declare(g, cases[i].name, QUANT_BF16, cases[i].n_dims, cases[i].shape);
    assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static const unsigned char data[64];
        size_t n = 2;
        for (unsigned d = 0; d < cases[i].n_dims; d++)
            n *= (size_t)cases[i].shape[d];
        assert_int_equal(gguf_writer_put(g, i, 0, data, n, NULL), QASR_OK);
    }
    assert_int_equal(gguf_writer_commit(g, NULL, NULL), QASR_OK);
    gguf_writer_free(g);

    weights *w = assert_opens(path);
    assert_sound(w);
    assert_int_equal(weights_meta_count(w), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const wtensor *t = weights_find(w, cases[i].name);
        assert_int_equal(t->n_dims, cases[i].n_dims_read);
        assert_memory_equal(t->shape, cases[i].shape_read, sizeof t->shape);
    }
    weights_close(w);
}

#define REFUSES(call, part)                                                                                            \
    do {                                                                                                               \
        qasr_error err_ = { 0 };                                                                                       \
        assert_int_equal(call, QASR_E_INVALID);                                                                        \
        assert_message(&err_, part);                                                                                   \
    } while (0)

static void test_writer_refuses(void **state)
{
    (void)state;
    gguf_writer *g = create(scratch_path("out.gguf"), false);
    size_t i;
    uint64_t shape[4] = { 4, 33, 1, 1 };
    assert_int_equal(gguf_writer_meta_u32(g, "k", 1, NULL), QASR_OK);
    REFUSES(gguf_writer_meta_str(g, "k", "v", &err_), "metadata key 'k' occurs twice");
    REFUSES(gguf_writer_meta_bool(g, "", true, &err_), "metadata key '' is empty");
    REFUSES(gguf_writer_meta_u32(g, "general.alignment", 64, &err_), "general.alignment cannot be 64");
    declare(g, "x", QUANT_F32, 1, shape);
    REFUSES(gguf_writer_add(g, "x", QUANT_F32, 1, shape, &i, &err_), "tensor 'x' occurs twice");
    REFUSES(gguf_writer_add(g, "", QUANT_F32, 1, shape, &i, &err_), "a tensor has an empty name");
    REFUSES(gguf_writer_add(g, NAME63 "4", QUANT_F32, 1, shape, &i, &err_), "has 64 bytes");
    REFUSES(gguf_writer_add(g, "q", QUANT_Q8_0, 2, shape, &i, &err_), "'q' (type 'q8_0') has rows that are not");
    REFUSES(gguf_writer_add(g, "d", QUANT_F32, 5, shape, &i, &err_), "5 dimensions");
    REFUSES(gguf_writer_add(g, "t", QUANT_TYPE_COUNT, 1, shape, &i, &err_), "tensor 't' has type ");
    shape[0] = UINT64_MAX / 8;
    REFUSES(gguf_writer_add(g, "o", QUANT_F32, 2, shape, &i, &err_), "overflows");
    shape[0] = INT64_MAX / 4;
    REFUSES(gguf_writer_add(g, "p", QUANT_F32, 1, shape, &i, &err_), "'p' (type 'f32') lies at an offset that");
    REFUSES(gguf_writer_put(g, 0, 0, shape, 4, &err_), "before the header was written");
    REFUSES(gguf_writer_commit(g, NULL, &err_), "header was not written");

    assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
    REFUSES(gguf_writer_meta_f32(g, "late", 1, &err_), "metadata key 'late' comes after");
    REFUSES(gguf_writer_add(g, "late", QUANT_F32, 1, shape, &i, &err_), "tensor 'late' comes after");
    REFUSES(gguf_writer_put(g, 1, 0, shape, 4, &err_), "tensor 1 of 1 that was not declared");
    REFUSES(gguf_writer_put(g, 0, 13, shape, 4, &err_), "'x': 4 bytes at offset 13 exceed its end at 16");
    REFUSES(gguf_writer_put(g, 0, UINT64_MAX, shape, 4, &err_), "exceed its end at 16");
    assert_int_equal(gguf_writer_put(g, 0, 4, shape, 12, NULL), QASR_OK);
    REFUSES(gguf_writer_commit(g, NULL, &err_), "tensor 'x' got 12 bytes of data, expected 16");
    gguf_writer_free(g);
    gguf_writer_free(NULL);
    assert_int_equal(scratch_list(false), 0);
}

/* Values that are known only when the file has been looked at. */
static void test_writer_replaces_values(void **state)
{
    (void)state;
    const char *path = scratch_path("out.gguf"), *unfinished = NULL;
    const uint64_t shape[4] = { 2 };
    gguf_writer *g = create(path, false);
    assert_int_equal(gguf_writer_meta_str(g, "text", "x", NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_f32(g, "share", 0, NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_bool(g, "good", false, NULL), QASR_OK);
    assert_int_equal(gguf_writer_meta_u32(g, "count", 0, NULL), QASR_OK);
    REFUSES(gguf_writer_replace_u32(g, "count", 1, &err_), "'count' is replaced before the header was written");
    declare(g, "x", QUANT_F32, 1, shape);
    assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
    REFUSES(gguf_writer_finish(g, &unfinished, &err_), "tensor 'x' got 0 bytes of data, expected 8");
    assert_int_equal(gguf_writer_put(g, 0, 0, shape, 8, NULL), QASR_OK);
    assert_int_equal(gguf_writer_finish(g, &unfinished, NULL), QASR_OK);
    assert_true(access(path, F_OK) != 0);
    weights_close(assert_opens(unfinished));

    REFUSES(gguf_writer_replace_u32(g, "other", 1, &err_), "'other' is replaced but was not added");
    REFUSES(gguf_writer_replace_u32(g, "share", 1, &err_), "'share' has type 6, its new value 4");
    assert_int_equal(gguf_writer_replace_f32(g, "share", 0.25F, NULL), QASR_OK);
    assert_int_equal(gguf_writer_replace_bool(g, "good", true, NULL), QASR_OK);
    assert_int_equal(gguf_writer_replace_u32(g, "count", 7, NULL), QASR_OK);
    assert_int_equal(gguf_writer_commit(g, NULL, NULL), QASR_OK);
    gguf_writer_free(g);
    weights *w = assert_opens(path);
    assert_string_equal(weights_meta_find(w, "text")->str, "x");
    assert_true(weights_meta_find(w, "share")->as.f == 0.25);
    assert_true(weights_meta_find(w, "good")->as.b);
    assert_int_equal(weights_meta_find(w, "count")->as.u, 7);
    weights_close(w);
}

static void test_writer_keeps_existing_files(void **state)
{
    (void)state;
    const char *path = scratch_path("out.gguf");
    write_bytes("out.gguf", "precious", 8);
    gguf_writer *g = NULL;
    REFUSES(gguf_writer_create(&g, path, false, &err_), "exists");
    assert_null(g);
    g = create(path, true);
    gguf_writer_free(g); /* without commit: nothing happened */
    struct stat st;
    assert_true(stat(path, &st) == 0 && st.st_size == 8);
    g = create(path, true);
    assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
    uint64_t n = 0;
    assert_int_equal(gguf_writer_commit(g, &n, NULL), QASR_OK);
    gguf_writer_free(g);
    assert_true(stat(path, &st) == 0 && st.st_size == (off_t)n && n == 32);
    assert_int_equal(scratch_list(false), 1);
    weights_close(assert_opens(path));
}

/* Arrays, keys copied from another file, and the file size predicted before anything is written. */
static qasr_status fill_arrays(gguf_writer *g, const weights *from, qasr_error *err)
{
    static const int32_t types[] = { 1, -3, 4 };
    for (size_t i = 0; i < weights_meta_count(from); i++)
        if (strcmp(weights_meta_at(from, i)->key, "general.alignment") != 0)
            TRY(gguf_writer_meta_copy(g, weights_meta_at(from, i), err));
    TRY(gguf_writer_meta_i32s(g, "my.types", types, 3, err));
    TRY(gguf_writer_meta_strings(g, "my.words", 3, err));
    TRY(gguf_writer_next_string(g, "one", 3, err));
    TRY(gguf_writer_next_string(g, "", 0, err));
    TRY(gguf_writer_next_string(g, "a\0b", 3, err));
    TRY(gguf_writer_meta_strings(g, "my.nothing", 0, err));
    size_t index;
    return gguf_writer_add(g, "x", QUANT_F32, 1, (uint64_t[]){ 3 }, &index, err);
}

static void check_arrays(const weights *w, const weights *from)
{
    for (size_t i = 0; i < weights_meta_count(from); i++) {
        const wmeta *a = weights_meta_at(from, i), *b = weights_meta_find(w, a->key);
        if (strcmp(a->key, "general.alignment") == 0)
            continue;
        assert_non_null(b);
        assert_int_equal(a->type, b->type);
        if (a->type == WMETA_ARRAY) {
            assert_true(a->elem_type == b->elem_type && a->n_elems == b->n_elems && a->elems_bytes == b->elems_bytes);
            assert_memory_equal(a->elems, b->elems, a->elems_bytes);
        } else if (a->type == WMETA_STRING) {
            assert_string_equal(a->str, b->str);
        } else {
            assert_memory_equal(&a->as, &b->as, sizeof a->as);
        }
    }
    const wmeta *types = weights_meta_find(w, "my.types"), *words = weights_meta_find(w, "my.words");
    assert_true(types->elem_type == WMETA_I32 && types->n_elems == 3);
    assert_memory_equal(types->elems, ((int32_t[]){ 1, -3, 4 }), 12);
    uint64_t pos = 0;
    const char *s;
    size_t len;
    assert_true(wmeta_next_string(words, &pos, &s, &len) && len == 3 && memcmp(s, "one", 3) == 0);
    assert_true(wmeta_next_string(words, &pos, &s, &len) && len == 0);
    assert_true(wmeta_next_string(words, &pos, &s, &len) && len == 3 && memcmp(s, "a\0b", 3) == 0);
    assert_false(wmeta_next_string(words, &pos, &s, &len));
    assert_int_equal(weights_meta_find(w, "my.nothing")->n_elems, 0);
}

static void test_writes_arrays_and_copies(void **state)
{
    (void)state;
    buf full;
    buf_init(&full, 1 << 20);
    build_full(&full);
    write_buf("full.gguf", &full);
    weights *from = assert_opens(scratch_path("full.gguf"));
    gguf_writer *g = NULL, *measure = NULL;
    uint64_t n_written = 0, n_measured = 0;
    assert_int_equal(gguf_writer_create(&measure, NULL, false, NULL), QASR_OK);
    assert_int_equal(fill_arrays(measure, from, NULL), QASR_OK);
    assert_int_equal(gguf_writer_measure(measure, &n_measured, NULL), QASR_OK);
    REFUSES(gguf_writer_begin_data(measure, &err_), "has no file");
    gguf_writer_free(measure);
    g = create(scratch_path("out.gguf"), false);
    assert_int_equal(fill_arrays(g, from, NULL), QASR_OK);
    assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
    assert_int_equal(gguf_writer_put(g, 0, 0, (float[]){ 1, 2, 3 }, 12, NULL), QASR_OK);
    assert_int_equal(gguf_writer_commit(g, &n_written, NULL), QASR_OK);
    gguf_writer_free(g);
    assert_int_equal(n_measured, n_written);
    weights *w = assert_opens(scratch_path("out.gguf"));
    assert_sound(w);
    check_arrays(w, from);
    weights_close(w);
    weights_close(from);
}

static void test_writer_counts_strings(void **state)
{
    (void)state;
    uint64_t n;
    gguf_writer *g = create(scratch_path("out.gguf"), false);
    REFUSES(gguf_writer_next_string(g, "x", 1, &err_), "exceeds the announced number");
    assert_int_equal(gguf_writer_meta_strings(g, "words", 2, NULL), QASR_OK);
    assert_int_equal(gguf_writer_next_string(g, "x", 1, NULL), QASR_OK);
    REFUSES(gguf_writer_meta_u32(g, "k", 1, &err_), "1 are missing");
    REFUSES(gguf_writer_measure(g, &n, &err_), "1 are missing");
    REFUSES(gguf_writer_begin_data(g, &err_), "1 are missing");
    gguf_writer_free(g);
    assert_int_equal(scratch_list(false), 0);
}

/* Before the commit the file has all data and its final size, but is not a valid GGUF file: a killed process leaves
 * this. */
static void test_unfinished_files_are_refused(void **state)
{
    (void)state;
    file_names left;
    size_t index;
    gguf_writer *g = create(scratch_path("out.gguf"), false);
    assert_int_equal(gguf_writer_add(g, "x", QUANT_F32, 1, (uint64_t[]){ 3 }, &index, NULL), QASR_OK);
    assert_int_equal(gguf_writer_begin_data(g, NULL), QASR_OK);
    assert_int_equal(gguf_writer_put(g, index, 0, (float[]){ 1, 2, 3 }, 12, NULL), QASR_OK);
    assert_int_equal(file_list(&left, scratch, "out.*", NULL), QASR_OK);
    assert_int_equal(left.n, 1);
    assert_int_not_equal(fnmatch("*.gguf", left.names[0], 0), 0); /* its name does not match model files either */
    weights *w = NULL;
    qasr_error err;
    assert_int_equal(weights_open_gguf(&w, scratch_path(left.names[0]), &err), QASR_E_FORMAT);
    assert_message(&err, "does not start with 'GGUF'");
    assert_int_equal(weights_open(&w, scratch_path(left.names[0]), &err), QASR_E_FORMAT);
    file_names_free(&left);
    assert_int_equal(gguf_writer_commit(g, NULL, NULL), QASR_OK);
    gguf_writer_free(g);
    weights_close(assert_opens(scratch_path("out.gguf")));
}

/* Many tensors and long strings, so that all arrays grow; then each allocation fails once. */
static qasr_status write_many(const char *path, size_t fail_after)
{
    static const float value[2] = { 1, 2 };
    gguf_writer *g = NULL;
    qasr_status status;
    char name[32];
    size_t index = 0;
    mem_fail_after(fail_after);
    TRY_GOTO(gguf_writer_create(&g, path, true, NULL));
    TRY_GOTO(gguf_writer_meta_str(g, "long", NAME63 NAME63 NAME63, NULL));
    for (unsigned i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "tensor %u", i);
        TRY_GOTO(gguf_writer_add(g, name, QUANT_F32, 1, (uint64_t[]){ 2 }, &index, NULL));
    }
    TRY_GOTO(gguf_writer_begin_data(g, NULL));
    for (index = 0; index < 150; index++)
        TRY_GOTO(gguf_writer_put(g, index, 0, value, sizeof value, NULL));
    TRY_GOTO(gguf_writer_commit(g, NULL, NULL));
done:
    gguf_writer_free(g);
    mem_fail_after(SIZE_MAX);
    return status;
}

static void test_writer_allocation_failures(void **state)
{
    (void)state;
    const char *path = scratch_path("out.gguf");
    size_t n = 0;
    while (write_many(path, n) == QASR_E_NOMEM) {
        if (scratch_list(false) != 0)
            fail_msg("allocation %zu fails and leaves a file", n);
        n++;
    }
    assert_true(n > 8);
    weights *w = assert_opens(path);
    assert_int_equal(weights_count(w), 150);
    assert_sound(w);
    weights_close(w);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_reads_everything),
        CASE(test_reads_version_2_without_metadata),
        CASE(test_reads_empty_files_and_tensors),
        CASE(test_reads_any_alignment),
        CASE(test_refuses_bad_files),
        CASE(test_refuses_other_files),
        CASE(test_every_truncation),
        CASE(test_random_bit_flips),
        CASE(test_allocation_failures),
        CASE(test_writes_all_types),
        CASE(test_writes_shapes),
        CASE(test_writer_refuses),
        CASE(test_writer_replaces_values),
        CASE(test_writer_keeps_existing_files),
        CASE(test_writes_arrays_and_copies),
        CASE(test_writer_counts_strings),
        CASE(test_unfinished_files_are_refused),
        CASE(test_writer_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
