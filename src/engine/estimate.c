/* See estimate.h. Where the constants come from:
 *
 * docs/results.md has measured times and memory, and the limits of the machine in the same minutes (2 threads of a Zen
 * 4, avx512vnni, 30 s of audio, 100 tokens). The shares are the medians of the columns "% of limit" at batch 1. In a
 * batch of n a pass takes longer than alone by n - 1 times the reading of one sequence's keys and values, plus the
 * arithmetic of one more row; the share for rows is that arithmetic over the rest of the measured time, relative to the
 * limit of float32 products. It comes from the batch tables: (57.2 - 17.9) / 7 ms for 0.6B, (131.8 - 51.4) / 7 ms for
 * 1.7B, less 52 MB of keys and values at 58.1 and 37.0 GB/s.
 *
 * Memory beside weights, keys and values is the largest difference between measured and calculated sums: on the CPU
 * from docs/results.md (80 to 90 MB: activations, tokenizer, packed convolutions, the program), on a device from
 * docs/results-gpu.md (162 to 258 MB). */
#include "engine/estimate.h"

#include "engine/engine.h"
#include "engine/segment.h"

/* Of the rates in qasr_limits. */
typedef struct shares {
    double encode, prefill; /* of the products' rate in their precision */
    double decode;          /* of reading */
    double rows;            /* of the rate of float32 products: the further sequences of a decoding pass */
} shares;

/* The narrowest decoder that each row stands for. */
static const struct {
    size_t d_model;
    shares shares;
} measured[] = {
    { 0, { 0.65, 0.64, 0.59, 1.10 } },    /* 0.6B */
    { 2048, { 0.70, 0.69, 0.90, 1.48 } }, /* 1.7B */
};

static const double tokens_per_s = 100.0 / 30;
enum { PROMPT_TEXT_TOKENS = 15 }; /* of the chat template, without context, in the published vocabulary */
static const uint64_t cpu_extra_bytes = 90000000, device_extra_bytes = 260000000;

static const shares *shares_for(const model_config *c)
{
    size_t i = ARRAY_LEN(measured) - 1;
    while (c->dec.d_model < measured[i].d_model)
        i--;
    return &measured[i].shares;
}

/* Products in a precision that these limits lack are computed in float32. */
static double seconds_of(const double ops[COST_KINDS], const qasr_limits *l)
{
    const double rates[COST_KINDS] = {
        [COST_F32] = l->f32_gop_s, [COST_BF16] = l->bf16_gop_s, [COST_INT8] = l->int8_gop_s
    };
    double sum = 0;
    for (int i = 0; i < COST_KINDS; i++)
        sum += ops[i] / (rates[i] > 0 ? rates[i] : l->f32_gop_s);
    return sum;
}

/* One segment. */
typedef struct segment_shape {
    double seconds;
    size_t n_frames, n_prompt, n_tokens;
} segment_shape;

static void set_times(qasr_estimate *out, const model *m, device *d, const estimate_conditions *c,
                      const segment_shape *s)
{
    const qasr_limits *l = c->limits;
    const shares *of = shares_for(&m->config);
    const double per_minute = 60 / s->seconds, others = (double)out->batch - 1;
    cost_ops ops;
    cost_count_ops(&ops, m, d, s->n_frames, s->n_prompt);
    double encode = seconds_of(ops.conv, l) + seconds_of(ops.conv_out, l) + seconds_of(ops.enc_layers, l) +
                    ops.enc_attention / l->f32_gop_s;
    double prefill = seconds_of(ops.prefill, l) + ops.prefill_attention / l->f32_gop_s;
    double kv_gb = 1e-9 * (double)cost_kv_bytes(&m->config, c->kv_type) * (double)(s->n_prompt + s->n_tokens / 2);
    double pass = (1e-9 * (double)cost_step_bytes(m) + kv_gb) / (l->read_gb_s * of->decode) +
                  others * (kv_gb / l->read_gb_s + cost_step_gop(m) / (l->f32_gop_s * of->rows));
    out->encode_s = per_minute * encode / of->encode;
    out->prefill_s = per_minute * prefill / of->prefill;
    out->decode_s = per_minute * pass * (double)s->n_tokens / out->batch;
}

void estimate_transcription(qasr_estimate *out, const model *m, device *d, const estimate_conditions *c)
{
    const double seconds = model_segment_seconds(m);
    const size_t n_samples = (size_t)(seconds * AUDIO_RATE);
    segment_shape s = { .seconds = seconds,
                        .n_frames = mel_frames(n_samples),
                        .n_tokens = (size_t)(seconds * tokens_per_s + 0.5) };
    s.n_prompt = config_audio_tokens(&m->config, s.n_frames) + PROMPT_TEXT_TOKENS;
    const uint64_t kv_bytes = cost_kv_bytes(&m->config, c->kv_type);
    const uint64_t reserved = kv_bytes * (s.n_prompt + segment_token_limit(n_samples));
    size_t batch = c->batch ? c->batch : ENGINE_AUTO_BATCH;
    while (!c->batch && batch > 1 && batch * reserved > ENGINE_AUTO_KV_BYTES)
        batch--;
    out->batch = (int)batch;
    out->weights_bytes = cost_weights_bytes(m);
    out->kv_bytes = batch * kv_bytes * (s.n_prompt + s.n_tokens);
    out->peak_bytes = out->weights_bytes + out->kv_bytes + cpu_extra_bytes;
    out->device_bytes = out->weights_bytes + batch * reserved + device_extra_bytes;
    out->decoder_type = model_decoder_type(m);
    out->encode_s = out->prefill_s = out->decode_s = 0;
    if (c->limits->read_gb_s > 0 && c->limits->f32_gop_s > 0)
        set_times(out, m, d, c, &s);
}
