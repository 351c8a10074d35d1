/* write_gguf OUT.gguf: writes a small file with our GGUF writer, to be read by other programs: one matrix of every
 * type that we quantize to, tensors of all ranks, and metadata of every kind that the writer supports. */
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "weights/gguf_write.h"
#include "weights/weights.h"

enum { N_ROWS = 3, ROW = 512, MAX_VALUES = N_ROWS * ROW, MAX_BYTES = 4 * MAX_VALUES };

typedef struct example {
    const char *name;
    quant_type type;
    unsigned n_dims;
    uint64_t shape[WEIGHTS_MAX_DIMS]; /* slowest first */
} example;

#define MATRIX(type)                                                                                                   \
    {                                                                                                                  \
        "matrix." #type, type, 2, { N_ROWS, ROW }                                                                      \
    }

static const example examples[] = {
    MATRIX(QUANT_F32),
    MATRIX(QUANT_F16),
    MATRIX(QUANT_BF16),
    MATRIX(QUANT_Q8_0),
    MATRIX(QUANT_Q4_0),
    MATRIX(QUANT_Q5_0),
    MATRIX(QUANT_Q4_1),
    MATRIX(QUANT_Q5_1),
    MATRIX(QUANT_IQ4_NL),
    MATRIX(QUANT_Q6_K),
    MATRIX(QUANT_Q4_K),
    MATRIX(QUANT_Q5_K),
    { "vector", QUANT_F32, 1, { 7 } },
    { "bias", QUANT_F16, 3, { 5, 1, 1 } },
    { "conv", QUANT_BF16, 4, { 2, 1, 3, 3 } },
    { "cube", QUANT_Q8_0, 3, { 2, 3, 64 } },
};

/* Smooth values of both signs, with occasional outliers and a block of zeros. */
static float value_at(size_t tensor, size_t i)
{
    if (i / 32 == 3)
        return 0;
    return 0.05f * sinf(0.7f * (float)i + (float)tensor) * (i % 97 == 0 ? 20 : 1);
}

static qasr_status add_metadata(gguf_writer *g, qasr_error *err)
{
    TRY(gguf_writer_meta_str(g, "general.architecture", "test", err));
    TRY(gguf_writer_meta_u32(g, "general.alignment", 32, err));
    TRY(gguf_writer_meta_str(g, "test.text", "caf\xC3\xA9 \xE2\x98\x95", err));
    TRY(gguf_writer_meta_str(g, "test.empty", "", err));
    TRY(gguf_writer_meta_f32(g, "test.float", 0.1f, err));
    TRY(gguf_writer_meta_bool(g, "test.yes", true, err));
    TRY(gguf_writer_meta_bool(g, "test.no", false, err));
    TRY(gguf_writer_meta_i32s(g, "test.numbers", (int32_t[]){ 1, -2, 3 }, 3, err));
    TRY(gguf_writer_meta_strings(g, "test.words", 2, err));
    TRY(gguf_writer_next_string(g, "caf\xC3\xA9", 5, err));
    return gguf_writer_next_string(g, "", 0, err);
}

static qasr_status put_example(gguf_writer *g, size_t index, qasr_error *err)
{
    static float values[MAX_VALUES];
    static unsigned char blocks[MAX_BYTES];
    const example *e = &examples[index];
    const quant_info *q = quant_get(e->type);
    size_t n = 1;
    for (unsigned d = 0; d < e->n_dims; d++)
        n *= (size_t)e->shape[d];
    for (size_t i = 0; i < n; i++)
        values[i] = value_at(index, i);
    q->quantize(blocks, values, n);
    return gguf_writer_put(g, index, 0, blocks, quant_row_bytes(q, n), err);
}

static qasr_status write_file(const char *path, qasr_error *err)
{
    gguf_writer *g = NULL;
    size_t index;
    qasr_status status;
    TRY_GOTO(gguf_writer_create(&g, path, true, err));
    TRY_GOTO(add_metadata(g, err));
    for (size_t i = 0; i < ARRAY_LEN(examples); i++)
        TRY_GOTO(
            gguf_writer_add(g, examples[i].name, examples[i].type, examples[i].n_dims, examples[i].shape, &index, err));
    TRY_GOTO(gguf_writer_begin_data(g, err));
    for (size_t i = 0; i < ARRAY_LEN(examples); i++)
        TRY_GOTO(put_example(g, i, err));
    status = gguf_writer_commit(g, NULL, err);
done:
    gguf_writer_free(g);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: write_gguf OUT.gguf\n");
        return 2;
    }
    qasr_error err;
    if (write_file(argv[1], &err) == QASR_OK)
        return 0;
    fprintf(stderr, "write_gguf: %s\n", err.message);
    return 1;
}
