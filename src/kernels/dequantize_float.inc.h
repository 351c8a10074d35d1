/* Converts the floating-point types to float32. Included by the file of a level after its vec.h. */

static void dequantize_f32(float *out, const void *blocks, size_t n) { memcpy(out, blocks, n * sizeof *out); }

static void dequantize_f16(float *out, const void *blocks, size_t n)
{
    const uint16_t *h = blocks;
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(out + i, vf_load_f16(h + i));
    if (i < n)
        vf_store_part(out + i, vf_load_f16_part(h + i, n - i), n - i);
}

static void dequantize_bf16(float *out, const void *blocks, size_t n)
{
    const uint16_t *h = blocks;
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(out + i, vf_load_bf16(h + i));
    if (i < n)
        vf_store_part(out + i, vf_load_bf16_part(h + i, n - i), n - i);
}

static void dequantize_float_fill(kernels *k)
{
    k->dequantize[QUANT_F32] = dequantize_f32;
    k->dequantize[QUANT_F16] = dequantize_f16;
    k->dequantize[QUANT_BF16] = dequantize_bf16;
}
