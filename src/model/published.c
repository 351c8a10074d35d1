/* From config.json of Qwen/Qwen3-ASR-0.6B and Qwen/Qwen3-ASR-1.7B, which are in tools/configs; a test compares. */
#include "model/published.h"

#include <strings.h>

#include "base/error.h"

/* Both models have these in common. */
#define ENC(d, layers, heads, ffn, out)                                                                                \
    {                                                                                                                  \
        .n_mels = 128, .conv_channels = 480, .d_model = d, .n_layers = layers, .n_heads = heads, .d_ffn = ffn,         \
        .d_out = out, .chunk_frames = 100, .window_frames = 800                                                        \
    }
#define DEC(d, ffn)                                                                                                    \
    {                                                                                                                  \
        .d_model = d, .n_layers = 28, .n_heads = 16, .n_kv_heads = 8, .head_dim = 128, .d_ffn = ffn,                   \
        .n_vocab = 151936, .max_positions = 65536, .tied_head = true                                                   \
    }

static const struct {
    const char *name;
    model_config config;
} published[] = {
    { "0.6b", { .enc = ENC(896, 18, 14, 3584, 1024), .dec = DEC(1024, 3072) } },
    { "1.7b", { .enc = ENC(1024, 24, 16, 4096, 2048), .dec = DEC(2048, 6144) } },
};

const char *published_name(size_t index) { return index < ARRAY_LEN(published) ? published[index].name : NULL; }

bool published_config(model_config *c, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(published); i++)
        if (strcasecmp(published[i].name, name) == 0) {
            *c = published[i].config;
            return true;
        }
    return false;
}
