/* Element types of stored tensors, and their blocks.
 *
 * The block formats are those of GGUF (ggml-common.h: block_q8_0, block_q6_K, ...). Blocks run along the
 * row (the input dimension of a linear layer); rows never share a block. Blocks are 2-byte aligned at
 * best: read with memcpy. Quantizers follow the reference quantizers (quantize_row_*_ref) without fused
 * multiply-add, bit for bit; all of src/quant is built with -ffp-contract=off. */
#ifndef QASR_QUANT_QUANT_H
#define QASR_QUANT_QUANT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Element types of matrices: first the types that weights can have, then the integers of ids and positions. */
typedef enum dtype {
    QUANT_F32 = 0,
    QUANT_F16,
    QUANT_BF16,
    QUANT_Q8_0,
    QUANT_Q4_0,
    QUANT_Q4_1,
    QUANT_Q5_0,
    QUANT_Q5_1,
    QUANT_Q6_K,
    QUANT_Q4_K,
    QUANT_Q5_K,
    QUANT_IQ4_NL,
    QUANT_TYPE_COUNT,
    DTYPE_I32 = QUANT_TYPE_COUNT
} dtype;
typedef dtype quant_type; /* a value below QUANT_TYPE_COUNT */

typedef struct quant_info {
    const char *name;   /* "q8_0" */
    uint32_t ggml_id;   /* type id in GGUF files */
    uint32_t file_type; /* general.file_type of a file that is mostly of this type */
    unsigned block;     /* elements per block */
    unsigned bytes;     /* bytes per block */
    /* Blocks can hold values up to this magnitude, whatever their other values: no stored scale overflows, and errors
     * keep the bounds of docs/format.md. Larger inputs of a quantizer give an arbitrary block, never an error. */
    float largest;
    /* n elements (a multiple of block). Inputs must be finite. dequantize is the scalar reference. */
    void (*quantize)(void *out, const float *x, size_t n);
    void (*dequantize)(float *out, const void *blocks, size_t n);

    /* For calibrated quantization. Pointers need no alignment; all results are deterministic.
     *
     * Like quantize, but searches for scales (signs, minima) that make the sum of importance[i] * (x[i] - stored[i])^2
     * small: never larger than after quantize. importance: n finite numbers, none negative; where all of a block are 0,
     * every element counts the same. For finite x all stored values are finite: scales are clamped. f32, f16 and bf16
     * round to the nearest finite number. */
    void (*quantize_weighted)(void *out, const float *x, const float *importance, size_t n);
    /* Sets element i (0 .. block - 1) of ONE block to its possible value nearest to x and changes nothing else. The
     * block's scales must be set. Returns what dequantize will give for the element, bit for bit. Values out of range
     * become the end of the range; with scale 0 the result is 0, or the minimum. Ties may go either way, but always the
     * same way. q8_0 uses -127 .. 127, as quantize does. */
    float (*put)(void *block, unsigned i, float x);
    /* Keeps the codes of ONE block and refits its scales by least squares, rounded as the block stores them. The
     * weighted error does not grow. NULL for types without scales. */
    void (*refit)(void *block, const float *x, const float *importance);
} quant_info;

const quant_info *quant_get(quant_type type);
/* -1 if there is no such type. Accepts names and aliases ("q6k") in lower or upper case. */
int quant_from_name(const char *name);
/* Another name of a type ("q6k"), NULL if it has none. */
const char *quant_alias(quant_type type);
/* True if a, in lower or upper case, equals b, in lower case. ASCII only, so independent of the locale. */
int quant_same_name(const char *a, const char *b);
int quant_from_ggml_id(uint32_t id);
/* Name of a GGUF type id, including types that we cannot read ("iq2_xxs"); NULL if it is unknown. */
const char *quant_ggml_name(uint32_t id);
/* Bytes of a row of n elements (n a multiple of the block). */
static inline size_t quant_row_bytes(const quant_info *q, size_t n) { return n / q->block * q->bytes; }

/* Types whose values are scale * q + minimum. */
static inline int quant_has_min(quant_type t)
{
    return t == QUANT_Q4_1 || t == QUANT_Q5_1 || t == QUANT_Q4_K || t == QUANT_Q5_K;
}

/* float16 (IEEE half): rounds to nearest even, keeps subnormals, overflows to infinity. bfloat16, the upper half of a
 * float32: rounds to nearest even, makes NaN quiet. */
uint16_t f16_from_f32(float x);
float f32_from_f16(uint16_t h);
uint16_t bf16_from_f32(float x);
static inline float f32_from_bf16(uint16_t b)
{
    uint32_t u = (uint32_t)b << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

enum { QK = 32, QK_K = 256 }; /* block and superblock lengths */

typedef struct block_q8_0 {
    uint16_t d;
    int8_t qs[QK];
} block_q8_0;
typedef struct block_q4_0 {
    uint16_t d;
    uint8_t qs[QK / 2];
} block_q4_0;
typedef struct block_q4_1 {
    uint16_t d, m;
    uint8_t qs[QK / 2];
} block_q4_1; /* x = d q + m */
typedef struct block_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[QK / 2];
} block_q5_0;
typedef struct block_q5_1 {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[QK / 2];
} block_q5_1; /* x = d q + m */
typedef struct block_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[QK_K / 2];
} block_q4_k;
typedef struct block_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[QK_K / 8];
    uint8_t qs[QK_K / 2];
} block_q5_k;
typedef struct block_iq4_nl {
    uint16_t d;
    uint8_t qs[QK / 2];
} block_iq4_nl; /* x = d quant_iq4_nl[q] */
typedef struct block_q6_k {
    uint8_t ql[QK_K / 2];
    uint8_t qh[QK_K / 4];
    int8_t scales[QK_K / 16];
    uint16_t d;
} block_q6_k;

_Static_assert(sizeof(block_q8_0) == 34, "q8_0");
_Static_assert(sizeof(block_q4_0) == 18, "q4_0");
_Static_assert(sizeof(block_q4_1) == 20, "q4_1");
_Static_assert(sizeof(block_q5_0) == 22, "q5_0");
_Static_assert(sizeof(block_q5_1) == 24, "q5_1");
_Static_assert(sizeof(block_iq4_nl) == 18, "iq4_nl");
_Static_assert(sizeof(block_q4_k) == 144, "q4_k");
_Static_assert(sizeof(block_q5_k) == 176, "q5_k");
_Static_assert(sizeof(block_q6_k) == 210, "q6_k");

/* The codebook of IQ4_NL. */
static const int8_t quant_iq4_nl[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

/* 6-bit scale and minimum of group j (0..7) of a Q4_K or Q5_K superblock. */
static inline void quant_k_scale_min(const uint8_t s[12], unsigned j, uint8_t *scale, uint8_t *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (uint8_t)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *min = (uint8_t)((s[j + 4] >> 4) | (s[j] >> 6) << 4);
    }
}

#endif
